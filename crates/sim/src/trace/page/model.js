// The run: what the page shows, in arrays that are quick to search by time.

const run = JSON.parse(document.getElementById("data").textContent);
const head = run.head;
const strings = run.strings;
const NODES = head.nodes;
const ROLES = ["follower", "pre-candidate", "candidate", "leader"];

// Rows of events: step, time, kind, a, b, extra, text. By kind:
const SENT = 0; // from a to b, extra: when it arrives, -1 if it is lost
const ARRIVED = 1; // from a at b
const ROLE = 2; // node a is b (of ROLES) in term extra
const STARTED = 3; // node a, for the extra-th time
const ENDED = 4; // node a
const DURABLE = 5; // on node a
const FAULT = 6; // a: a bit for each node, b: the class
const CLIENT = 7; // client b at node a
const PHASE = 8;

const COUNT = run.events.length;
const at = new Float64Array(COUNT);
const step = new Float64Array(COUNT);
const kind = new Uint8Array(COUNT);
const nodeA = new Float64Array(COUNT);
const nodeB = new Float64Array(COUNT);
const extra = new Float64Array(COUNT);
const textOf = new Uint32Array(COUNT);
run.events.forEach((row, event) => {
  [step[event], at[event], kind[event], nodeA[event], nodeB[event], extra[event], textOf[event]] = row;
});
run.events = null;

const START = 0;
const END = Math.max(head.simulated_us, COUNT ? at[COUNT - 1] : 0, head.failure ? head.failure.at : 0, 1000);
const failure = head.failure;

function text(event) {
  return strings[textOf[event]];
}

// ---- Groups: what the filters switch on and off. ----

const PALETTE = ["#3b72d9", "#8e4ec6", "#0f93a5", "#b0752f", "#d6409f", "#5f7d2e", "#5b5bd6", "#b3564d", "#67758a"];
const groups = []; // {name, colour, count, on}
const groupByName = new Map();
const groupOf = new Uint8Array(COUNT);

function group(name, colour) {
  let found = groupByName.get(name);
  if (found === undefined) {
    found = groups.length;
    groups.push({ name, colour, count: 0, on: true });
    groupByName.set(name, found);
  }
  return found;
}

const colourByQuestion = new Map();
function messageGroup(said) {
  const name = /^[A-Za-z]+/.exec(said)?.[0] ?? "message";
  // An answer has the colour of the question, but paler.
  const question = name.replace(/Response$|Refused$|Reply$|Ack$/, "");
  if (!colourByQuestion.has(question)) colourByQuestion.set(question, PALETTE[colourByQuestion.size % PALETTE.length]);
  return group(name, colourByQuestion.get(question) + (name === question ? "" : "8c"));
}

const OTHER_GROUPS = {
  [ROLE]: ["roles", "var(--leader)"],
  [STARTED]: ["processes", "var(--ink)"],
  [ENDED]: ["processes", "var(--ink)"],
  [DURABLE]: ["durable", "var(--durable)"],
  [FAULT]: ["faults", "var(--bad)"],
  [CLIENT]: ["clients", "var(--done)"],
  [PHASE]: ["phases", "var(--dim)"],
};
const groupByText = new Map();
for (let event = 0; event < COUNT; event++) {
  let of;
  if (kind[event] <= ARRIVED) {
    of = groupByText.get(textOf[event]);
    if (of === undefined) {
      of = messageGroup(text(event));
      groupByText.set(textOf[event], of);
    }
  } else {
    of = group(...OTHER_GROUPS[kind[event]]);
  }
  groupOf[event] = of;
  if (kind[event] !== ARRIVED) groups[of].count++;
}
if (run.operations.length) groups[group("clients", "var(--done)")].count ||= run.operations.length;
const lostGroup = group("lost", "var(--bad)");
for (let event = 0; event < COUNT; event++) {
  if (kind[event] === SENT && extra[event] < 0) groups[lostGroup].count++;
}

// In the order in which they are offered: first what is not a message, then messages by name.
const offered = groups.map((_, position) => position).sort((one, two) => {
  const isMessage = (position) => (groups[position].colour.startsWith("var(") ? 0 : 1);
  return isMessage(one) - isMessage(two) || groups[one].name.localeCompare(groups[two].name);
});

function isShown(event) {
  if (!groups[groupOf[event]].on) return false;
  return !(kind[event] === SENT && extra[event] < 0 && !groups[lostGroup].on);
}

// ---- Messages. Those that travel long are kept apart: the others can be found by when they left. ----

const SHORT_US = 100_000;
const shortMessages = [];
const longMessages = [];
const flights = [];
for (let event = 0; event < COUNT; event++) {
  if (kind[event] !== SENT) continue;
  const isLong = extra[event] - at[event] > SHORT_US;
  (isLong ? longMessages : shortMessages).push(event);
  if (extra[event] >= 0 && flights.length < 5000) flights.push(extra[event] - at[event]);
}
flights.sort((one, two) => one - two);
const FLIGHT_US = flights.length ? Math.max(50, flights[flights.length >> 1]) : 500;

// Where a message ends in time. A lost one is drawn half of a usual way.
function endOf(event) {
  return extra[event] < 0 ? at[event] + FLIGHT_US / 2 : extra[event];
}

// ---- What each node is over time: {from, to, role (-1: not running), term}. ----

const spans = Array.from({ length: NODES }, () => []);
{
  const now = Array.from({ length: NODES }, () => ({ from: START, role: -1, term: 0 }));
  const change = (node, when, role, term) => {
    const current = now[node];
    if (!current) return;
    if (when > current.from) spans[node].push({ from: current.from, to: when, role: current.role, term: current.term });
    now[node] = { from: when, role, term };
  };
  for (let event = 0; event < COUNT; event++) {
    const node = nodeA[event] - 1;
    if (kind[event] === ROLE) change(node, at[event], nodeB[event], extra[event]);
    else if (kind[event] === STARTED) change(node, at[event], 0, now[node]?.term ?? 0);
    else if (kind[event] === ENDED) change(node, at[event], -1, now[node]?.term ?? 0);
  }
  const last = failure ? failure.at : END;
  for (let node = 0; node < NODES; node++) change(node, Math.max(last, now[node].from + 1), -2, 0);
}

// ---- Marks: all events that are drawn at one moment. Phases: {from, to, text}. ----

// How long a fault lasts, as its text says: "for 1200 us", "until 88000 us".
function faultEnd(event) {
  const said = /\b(for|until) (\d+) us/.exec(text(event));
  if (!said) return at[event];
  return said[1] === "for" ? at[event] + Number(said[2]) : Number(said[2]);
}

const faultBands = []; // {event, from, to, nodes}
const marks = [];
const phases = [];
for (let event = 0; event < COUNT; event++) {
  if ([STARTED, ENDED, DURABLE, FAULT].includes(kind[event])) marks.push(event);
  if (kind[event] === FAULT && faultEnd(event) > at[event]) {
    faultBands.push({ event, from: at[event], to: faultEnd(event), nodes: nodesOf(nodeA[event]).map((name) => Number(name.slice(1))) });
  }
  if (kind[event] === PHASE) {
    if (phases.length) phases[phases.length - 1].to = at[event];
    phases.push({ from: at[event], to: END, text: text(event) });
  }
}

// ---- Operations of clients. Rows: process, node, from, to, outcome, asked, told. ----

const OUTCOMES = ["open", "done", "failed", "unknown"];
const processes = [...new Set(run.operations.map((row) => row[0]))].sort((one, two) => one - two);
const operationsOf = processes.map(() => []);
{
  const place = new Map(processes.map((process, position) => [process, position]));
  run.operations.forEach((row, operation) => {
    const to = row[3] < 0 ? END : row[3];
    const outcome = OUTCOMES[row[4]];
    operationsOf[place.get(row[0])].push({
      operation, process: row[0], node: row[1], from: row[2], to, outcome, asked: strings[row[5]], told: strings[row[6]],
    });
  });
}
// The longest operation of each client that is not endless, to find those in view.
const longestOf = operationsOf.map((list) => list.reduce((most, op) => Math.max(most, op.to - op.from), 0));

// ---- Searching and saying. ----

// The first position of a list whose value is not below `bound`.
function lowerBound(length, valueAt, bound) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (valueAt(middle) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

function clock(us) {
  return `${(us / 1e6).toFixed(6)}`;
}

function lasting(us) {
  if (us < 1000) return `${us.toFixed(0)} µs`;
  if (us < 1e6) return `${(us / 1e3).toFixed(us < 1e4 ? 2 : 1)} ms`;
  return `${(us / 1e6).toFixed(us < 1e7 ? 2 : 1)} s`;
}

function nodesOf(bits) {
  const names = [];
  for (let node = 0; node < NODES; node++) if (Math.floor(bits / 2 ** node) % 2) names.push(`n${node + 1}`);
  return names;
}

// What an event says, in a line.
function say(event) {
  const said = text(event);
  switch (kind[event]) {
    case SENT:
      return extra[event] < 0
        ? `n${nodeA[event]} ─✕ n${nodeB[event]}  ${said}  lost`
        : `n${nodeA[event]} → n${nodeB[event]}  ${said}`;
    case ARRIVED:
      return `n${nodeA[event]} ⇥ n${nodeB[event]}  ${said}`;
    case ENDED:
      return `n${nodeA[event]} ends: ${said}`;
    case DURABLE:
      return `n${nodeA[event]} durable: ${said}`;
    case FAULT:
      return `${said} ${nodesOf(nodeA[event]).join(" ")}`;
    case CLIENT:
      return `c${nodeB[event]} at n${nodeA[event]}: ${said}`;
    default:
      return said;
  }
}
