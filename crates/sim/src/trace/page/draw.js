// The picture: lanes of nodes with messages between them, lanes of clients, and the overview.

const lanes = document.getElementById("lanes");
const overview = document.getElementById("overview");
const view = { from: START, to: END };
let hovered = null; // {event} or {op}
let chosen = null;
let colours = {};
const LEFT = 62;
const RIGHT = 14;
const AXIS = 46;

const frame = { width: 0, height: 0, pitch: 0, bar: 12, clientsTop: 0, clientPitch: 0, inView: 0 };

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  for (const name of ["panel", "ink", "dim", "line", "soft", "accent", "bad", "good", "warn", "follower", "precandidate",
    "candidate", "leader", "down", "durable", "done", "failed", "unknown"]) colours[name] = value(name);
  colours.roles = [colours.follower, colours.precandidate, colours.candidate, colours.leader];
  colours.groups = groups.map(({ colour }) => (colour.startsWith("var(--") ? value(colour.slice(6, -1)) : colour));
}

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  return [pen, width, height];
}

const xOf = (us) => LEFT + ((us - view.from) / (view.to - view.from)) * (frame.width - LEFT - RIGHT);
const timeOf = (x) => view.from + ((x - LEFT) / (frame.width - LEFT - RIGHT)) * (view.to - view.from);
const yOf = (node) => AXIS + (node - 0.5) * frame.pitch; // nodes from 1
const clientY = (row) => frame.clientsTop + (row + 0.5) * frame.clientPitch;

function layout(width, height) {
  frame.width = width;
  frame.height = height;
  const below = height - AXIS - 6;
  const rows = processes.length;
  frame.clientPitch = rows ? Math.max(3, Math.min(13, (below * 0.34) / rows)) : 0;
  const clients = rows ? rows * frame.clientPitch + 16 : 0;
  frame.pitch = (below - clients) / Math.max(1, NODES);
  frame.clientsTop = AXIS + NODES * frame.pitch + 12;
  frame.bar = Math.max(6, Math.min(14, frame.pitch / 5));
}

function drawLanes() {
  const [pen, width, height] = fit(lanes);
  layout(width, height);
  drawPhases(pen);
  drawAxis(pen);
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, AXIS - 12, width - LEFT - RIGHT, height - AXIS + 12);
  pen.clip();
  drawFaultBands(pen);
  drawFaultLines(pen);
  drawMessages(pen);
  for (let node = 1; node <= NODES; node++) drawNode(pen, node);
  drawMarks(pen);
  drawClients(pen);
  drawEmphasis(pen, chosen, 3);
  drawEmphasis(pen, hovered, 2);
  drawFailure(pen);
  pen.restore();
  drawNames(pen);
}

function tickStep(span, most) {
  let size = 1;
  for (;;) {
    for (const factor of [1, 2, 5]) if (span / (size * factor) <= most) return size * factor;
    size *= 10;
  }
}

function drawAxis(pen) {
  const size = tickStep(view.to - view.from, (frame.width - LEFT) / 110);
  const digits = Math.max(0, 6 - Math.floor(Math.log10(size)));
  pen.textAlign = "center";
  for (let us = Math.ceil(view.from / size) * size; us <= view.to; us += size) {
    const x = Math.round(xOf(us)) + 0.5;
    pen.strokeStyle = colours.line;
    pen.globalAlpha = 0.7;
    pen.beginPath();
    pen.moveTo(x, AXIS - 16);
    pen.lineTo(x, frame.height);
    pen.stroke();
    pen.globalAlpha = 1;
    pen.fillStyle = colours.dim;
    pen.fillText(`${(us / 1e6).toFixed(digits)} s`, x, AXIS - 24);
  }
}

function drawPhases(pen) {
  pen.textAlign = "left";
  phases.forEach((phase, position) => {
    const from = Math.max(LEFT, xOf(phase.from));
    const to = Math.min(frame.width - RIGHT, xOf(phase.to));
    if (to <= from) return;
    pen.fillStyle = position % 2 ? colours.soft : colours.panel;
    pen.fillRect(from, 0, to - from, frame.height);
    pen.fillStyle = colours.soft;
    pen.fillRect(from, 0, to - from, 14);
    pen.fillStyle = colours.dim;
    if (to - from > 30) fillTextWithin(pen, phase.text, from + 5, 8, to - from - 8);
    pen.strokeStyle = colours.dim;
    pen.beginPath();
    pen.moveTo(from, 0);
    pen.lineTo(from, 14);
    pen.stroke();
  });
}

function fillTextWithin(pen, words, x, y, room) {
  let shown = words;
  if (pen.measureText(shown).width > room) {
    const letters = Math.floor((room / pen.measureText(shown).width) * shown.length) - 1;
    if (letters < 2) return;
    shown = `${shown.slice(0, letters)}…`;
  }
  pen.fillText(shown, x, y);
}

function drawNames(pen) {
  pen.fillStyle = colours.panel;
  pen.fillRect(0, AXIS - 12, LEFT - 1, frame.height);
  pen.textAlign = "right";
  const middle = (view.from + view.to) / 2;
  for (let node = 1; node <= NODES; node++) {
    pen.fillStyle = colours.ink;
    pen.font = "600 13px system-ui, sans-serif";
    pen.fillText(`n${node}`, LEFT - 12, yOf(node));
    pen.font = "10px system-ui, sans-serif";
    const span = spanAt(node, middle);
    if (span && span.role >= -1 && frame.pitch > 40) {
      pen.fillStyle = colours.dim;
      pen.fillText(span.role < 0 ? "down" : ROLES[span.role].replace("pre-candidate", "pre-cand."), LEFT - 12, yOf(node) + 14);
    }
  }
  if (processes.length) {
    pen.fillStyle = colours.dim;
    pen.fillText("clients", LEFT - 12, frame.clientsTop + (processes.length * frame.clientPitch) / 2);
  }
  pen.font = "11px system-ui, sans-serif";
}

function spanAt(node, us) {
  const list = spans[node - 1];
  const position = lowerBound(list.length, (nth) => list[nth].to, us);
  return list[position];
}

function drawNode(pen, node) {
  const list = spans[node - 1];
  const y = yOf(node);
  const first = lowerBound(list.length, (nth) => list[nth].to, view.from);
  for (let nth = first; nth < list.length && list[nth].from < view.to; nth++) {
    const { from, to, role, term } = list[nth];
    const left = Math.max(xOf(from), LEFT - 20);
    const right = Math.min(xOf(to), frame.width);
    if (role < 0) {
      pen.strokeStyle = colours.down;
      pen.setLineDash([3, 4]);
      pen.beginPath();
      pen.moveTo(left, y);
      pen.lineTo(right, y);
      pen.stroke();
      pen.setLineDash([]);
      continue;
    }
    pen.fillStyle = colours.roles[role];
    pen.beginPath();
    pen.roundRect(left, y - frame.bar / 2, Math.max(1.5, right - left), frame.bar, right - left > 8 ? 3 : 0);
    pen.fill();
    if (right - left > 26 && frame.bar >= 10) {
      pen.fillStyle = role === 0 ? colours.ink : role === 1 ? "#3b2f00" : "#fff";
      pen.textAlign = "left";
      pen.font = "600 10px system-ui, sans-serif";
      pen.fillText(`t${term}`, Math.max(left, LEFT) + 5, y + 0.5);
      pen.font = "11px system-ui, sans-serif";
    }
  }
}

// Calls `visit` for each message that is in view and shown.
function eachMessage(visit) {
  const first = lowerBound(shortMessages.length, (nth) => at[shortMessages[nth]], view.from - SHORT_US);
  for (let nth = first; nth < shortMessages.length && at[shortMessages[nth]] <= view.to; nth++) {
    const event = shortMessages[nth];
    if (endOf(event) >= view.from && isShown(event)) visit(event);
  }
  for (const event of longMessages) {
    if (at[event] > view.to) break;
    if (endOf(event) >= view.from && isShown(event)) visit(event);
  }
}

function ends(event) {
  const down = nodeB[event] > nodeA[event] ? 1 : -1;
  const x = xOf(at[event]);
  const y = yOf(nodeA[event]) + (down * frame.bar) / 2;
  const xEnd = xOf(endOf(event));
  let yEnd = yOf(nodeB[event]) - (down * frame.bar) / 2;
  if (extra[event] < 0) yEnd = y + (yEnd - y) / 2;
  return [x, y, xEnd, yEnd];
}

function drawMessages(pen) {
  const byGroup = groups.map(() => []);
  const lost = [];
  let count = 0;
  eachMessage((event) => {
    count++;
    (extra[event] < 0 ? lost : byGroup[groupOf[event]]).push(event);
  });
  frame.inView = count;
  const isDense = count > 2500;
  pen.lineWidth = 1;
  pen.globalAlpha = isDense ? 0.3 : count > 800 ? 0.55 : 0.9;
  byGroup.forEach((list, position) => drawArrows(pen, list, colours.groups[position], isDense, count < 700));
  if (!isDense) pen.setLineDash([4, 3]); // dashes take long to draw
  drawArrows(pen, lost, colours.bad, isDense, false);
  pen.setLineDash([]);
  pen.globalAlpha = lost.length > 300 ? 0.45 : 1;
  drawCrosses(pen, lost);
  pen.globalAlpha = 1;
  if (count < 90) for (const list of byGroup) for (const event of list) drawLabel(pen, event);
}

function drawArrows(pen, list, colour, isDense, withHeads) {
  if (!list.length) return;
  const seen = new Set();
  const heads = [];
  pen.strokeStyle = colour;
  pen.fillStyle = colour;
  pen.beginPath();
  for (const event of list) {
    const [x, y, xEnd, yEnd] = ends(event);
    if (isDense) {
      // Where lines fall on each other, one of them is enough.
      const key = (Math.round(x) * 64 + nodeA[event]) * 64 + nodeB[event];
      if (seen.has(key)) continue;
      seen.add(key);
    }
    pen.moveTo(x, y);
    pen.lineTo(xEnd, yEnd);
    if (withHeads) heads.push([x, y, xEnd, yEnd]);
  }
  pen.stroke();
  for (const ends of heads) drawHead(pen, ...ends);
}

function drawHead(pen, x, y, xEnd, yEnd) {
  const angle = Math.atan2(yEnd - y, xEnd - x);
  pen.beginPath();
  pen.moveTo(xEnd, yEnd);
  pen.lineTo(xEnd - 7 * Math.cos(angle - 0.4), yEnd - 7 * Math.sin(angle - 0.4));
  pen.lineTo(xEnd - 7 * Math.cos(angle + 0.4), yEnd - 7 * Math.sin(angle + 0.4));
  pen.fill();
}

function drawCrosses(pen, list) {
  const arm = list.length > 300 ? 2.5 : 4;
  const taken = new Set();
  pen.strokeStyle = colours.bad;
  pen.lineWidth = list.length > 300 ? 1 : 1.6;
  pen.beginPath();
  for (const event of list) {
    const [, , x, y] = ends(event);
    // Crosses that fall on each other are drawn once.
    const key = Math.round(x / arm) * 8192 + Math.round(y);
    if (taken.has(key)) continue;
    taken.add(key);
    pen.moveTo(x - arm, y - arm);
    pen.lineTo(x + arm, y + arm);
    pen.moveTo(x + arm, y - arm);
    pen.lineTo(x - arm, y + arm);
  }
  pen.stroke();
  pen.lineWidth = 1;
}

function drawLabel(pen, event) {
  let [x, y, xEnd, yEnd] = ends(event);
  const long = Math.hypot(xEnd - x, yEnd - y);
  if (long < 60 || Math.abs(xEnd - x) < 24) return; // too steep to read
  let angle = Math.atan2(yEnd - y, xEnd - x);
  if (Math.abs(angle) > Math.PI / 2) angle += Math.PI;
  pen.save();
  pen.translate((x + xEnd) / 2, (y + yEnd) / 2);
  pen.rotate(angle);
  pen.font = "10px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.fillStyle = colours.ink;
  const words = text(event);
  const room = long - 20;
  const wide = pen.measureText(words).width;
  const shown = wide <= room ? words : `${words.slice(0, Math.max(3, Math.floor((room / wide) * words.length) - 1))}…`;
  pen.lineWidth = 3;
  pen.strokeStyle = colours.panel;
  pen.strokeText(shown, 0, -6);
  pen.fillText(shown, 0, -6);
  pen.restore();
}

// Calls `visit` for each mark in view and shown.
function eachMark(visit) {
  const first = lowerBound(marks.length, (nth) => at[marks[nth]], view.from);
  for (let nth = first; nth < marks.length && at[marks[nth]] <= view.to; nth++) {
    if (isShown(marks[nth])) visit(marks[nth]);
  }
}

// The places of a mark: one for each node that it is about, or the top of the picture.
function placesOf(event) {
  const x = xOf(at[event]);
  if (kind[event] === DURABLE) return [[x, yOf(nodeA[event]) + frame.bar / 2 + 5]];
  if (kind[event] !== FAULT) return [[x, yOf(nodeA[event])]];
  const nodes = nodesOf(nodeA[event]);
  if (!nodes.length) return [[x, AXIS - 6]];
  return nodes.map((name) => [x, yOf(Number(name.slice(1))) - frame.bar / 2 - 8]);
}

// Faults that last: a band behind the lanes that they strike, or behind all of them.
function drawFaultBands(pen) {
  pen.fillStyle = colours.bad;
  for (const { event, from, to, nodes } of faultBands) {
    if (to < view.from || from > view.to || !isShown(event)) continue;
    const left = Math.max(xOf(from), LEFT);
    const wide = Math.max(1, Math.min(xOf(to), frame.width) - left);
    pen.globalAlpha = nodes.length ? 0.09 : 0.05;
    if (!nodes.length) pen.fillRect(left, AXIS, wide, NODES * frame.pitch);
    for (const node of nodes) pen.fillRect(left, yOf(node) - frame.bar * 1.5, wide, frame.bar * 3);
  }
  pen.globalAlpha = 1;
}

function drawFaultLines(pen) {
  pen.strokeStyle = colours.bad;
  pen.globalAlpha = 0.22;
  pen.beginPath();
  let last = -10;
  eachMark((event) => {
    const x = xOf(at[event]);
    if (kind[event] !== FAULT || x - last < 3) return;
    last = x;
    const places = placesOf(event).map(([, y]) => y);
    pen.moveTo(x, Math.min(...places, AXIS));
    pen.lineTo(x, Math.max(...places));
  });
  pen.stroke();
  pen.globalAlpha = 1;
}

function drawMarks(pen) {
  const taken = new Set();
  eachMark((event) => {
    for (const [x, y] of placesOf(event)) {
      // Marks that fall on each other are drawn once.
      const key = `${Math.round(x / 2)} ${Math.round(y)} ${kind[event]}`;
      if (taken.has(key)) continue;
      taken.add(key);
      drawMark(pen, kind[event], x, y);
    }
  });
}

function drawMark(pen, what, x, y) {
  pen.lineWidth = 1;
  if (what === DURABLE) {
    pen.fillStyle = colours.durable;
    pen.fillRect(x - 1, y - 3.5, 2, 7);
  } else if (what === FAULT) {
    pen.fillStyle = colours.bad;
    pen.beginPath();
    pen.moveTo(x, y - 5);
    pen.lineTo(x + 5, y + 4);
    pen.lineTo(x - 5, y + 4);
    pen.fill();
  } else if (what === STARTED) {
    pen.fillStyle = colours.good;
    pen.strokeStyle = colours.panel;
    pen.beginPath();
    pen.moveTo(x - 2, y - 8);
    pen.lineTo(x + 8, y);
    pen.lineTo(x - 2, y + 8);
    pen.closePath();
    pen.fill();
    pen.stroke();
  } else {
    for (const [colour, wide] of [[colours.panel, 6], [colours.bad, 3]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = wide;
      pen.beginPath();
      pen.moveTo(x - 6, y - 6);
      pen.lineTo(x + 6, y + 6);
      pen.moveTo(x + 6, y - 6);
      pen.lineTo(x - 6, y + 6);
      pen.stroke();
    }
    pen.lineWidth = 1;
  }
}

// Calls `visit` for each operation of a client that is in view.
function eachOperation(row, visit) {
  const list = operationsOf[row];
  const first = lowerBound(list.length, (nth) => list[nth].from, view.from - longestOf[row]);
  for (let nth = first; nth < list.length && list[nth].from <= view.to; nth++) {
    if (list[nth].to >= view.from) visit(list[nth]);
  }
}

function drawClients(pen) {
  if (!processes.length || !(groups[groupByName.get("clients")]?.on ?? true)) return;
  const high = Math.max(2, frame.clientPitch - 2);
  processes.forEach((process, row) => {
    const y = clientY(row) - high / 2;
    let last = -1;
    let labelled = null; // the label that waits to see how much room the next operation leaves
    const label = (until) => {
      if (!labelled || until - labelled.left < 50) return;
      pen.globalAlpha = 1;
      pen.fillStyle = colours.ink;
      fillTextWithin(pen, labelled.asked, labelled.left + 3, y + high / 2 + 0.5, until - labelled.left - 6);
    };
    pen.textAlign = "left";
    pen.font = "9px system-ui, sans-serif";
    eachOperation(row, (op) => {
      const left = Math.max(xOf(op.from), LEFT - 1);
      const right = Math.min(xOf(op.to), frame.width);
      if (right < last && op.outcome === "done") return;
      last = right;
      pen.fillStyle = colours[op.outcome === "open" ? "unknown" : op.outcome];
      pen.globalAlpha = op.outcome === "done" ? 0.85 : 0.65;
      pen.fillRect(left, y, Math.max(1, right - left - 0.5), high);
      if (high <= 8) return;
      label(Math.min(left, labelled?.right ?? 0));
      labelled = { left, right, asked: op.asked };
    });
    label(labelled?.right ?? 0);
  });
  pen.globalAlpha = 1;
  pen.font = "11px system-ui, sans-serif";
}

function drawEmphasis(pen, thing, wide) {
  if (!thing) return;
  pen.strokeStyle = colours.accent;
  pen.lineWidth = wide;
  pen.beginPath();
  if (thing.op) {
    const row = processes.indexOf(thing.op.process);
    const left = xOf(thing.op.from);
    pen.strokeRect(left, clientY(row) - frame.clientPitch / 2, Math.max(3, xOf(thing.op.to) - left), frame.clientPitch);
  } else if (kind[thing.event] === SENT) {
    const [x, y, xEnd, yEnd] = ends(thing.event);
    pen.moveTo(x, y);
    pen.lineTo(xEnd, yEnd);
    pen.stroke();
    pen.fillStyle = colours.accent;
    if (extra[thing.event] >= 0) drawHead(pen, x, y, xEnd, yEnd);
  } else {
    const x = xOf(at[thing.event]);
    pen.globalAlpha = 0.6;
    pen.moveTo(x, AXIS - 10);
    pen.lineTo(x, frame.height);
    pen.stroke();
    pen.globalAlpha = 1;
    const places = [FAULT, DURABLE].includes(kind[thing.event]) ? placesOf(thing.event) : [];
    if (![FAULT, DURABLE, PHASE].includes(kind[thing.event])) {
      places.push([x, yOf(kind[thing.event] === ARRIVED ? nodeB[thing.event] : nodeA[thing.event])]);
    }
    for (const [left, y] of places) {
      pen.beginPath();
      pen.arc(left, y, 9, 0, 7);
      pen.stroke();
    }
  }
  pen.lineWidth = 1;
}

function drawFailure(pen) {
  if (!failure) return;
  const x = xOf(failure.at);
  pen.fillStyle = colours.bad;
  pen.globalAlpha = 0.06;
  pen.fillRect(x, AXIS - 12, frame.width, frame.height);
  pen.globalAlpha = 1;
  pen.fillRect(x - 1, AXIS - 12, 2, frame.height);
  pen.font = "600 11px system-ui, sans-serif";
  const wide = pen.measureText(failure.property).width + 12;
  const left = x + wide > frame.width - RIGHT ? x - wide : x;
  pen.fillRect(left, AXIS - 12, wide, 17);
  pen.fillStyle = "#fff";
  pen.textAlign = "left";
  pen.fillText(failure.property, left + 6, AXIS - 3);
  pen.font = "11px system-ui, sans-serif";
}

// ---- The overview: the whole run, and the part of it in view. Its ground is drawn once. ----

let ground = null;
const overX = (us, width) => LEFT + ((us - START) / (END - START)) * (width - LEFT - RIGHT);

function drawGround(pen, width, height) {
  const room = height - 14;
  const pitch = room / Math.max(1, NODES);
  for (let node = 1; node <= NODES; node++) {
    for (const { from, to, role } of spans[node - 1]) {
      if (role < 0) continue;
      pen.fillStyle = colours.roles[role];
      const left = overX(from, width);
      pen.fillRect(left, 4 + (node - 1) * pitch, Math.max(0.7, overX(to, width) - left), Math.max(1, pitch - 2));
    }
  }
  pen.fillStyle = colours.bad;
  for (const event of marks) {
    if (kind[event] === FAULT) pen.fillRect(overX(at[event], width) - 0.5, height - 8, 1, 5);
  }
  if (failure) pen.fillRect(overX(failure.at, width) - 1, 0, 2, height);
}

function drawOverview() {
  const [pen, width, height] = fit(overview);
  if (!ground || ground.width !== overview.width || ground.height !== overview.height) {
    drawGround(pen, width, height);
    ground = document.createElement("canvas");
    ground.width = overview.width;
    ground.height = overview.height;
    ground.getContext("2d").drawImage(overview, 0, 0);
  } else {
    pen.drawImage(ground, 0, 0, width, height);
  }
  pen.fillStyle = colours.dim;
  pen.textAlign = "right";
  pen.fillText("run", LEFT - 12, height / 2);
  const left = overX(view.from, width);
  const right = Math.max(left + 3, overX(view.to, width));
  pen.fillStyle = colours.panel;
  pen.globalAlpha = 0.6;
  pen.fillRect(LEFT, 0, left - LEFT, height);
  pen.fillRect(right, 0, width - RIGHT - right, height);
  pen.globalAlpha = 1;
  pen.strokeStyle = colours.accent;
  pen.lineWidth = 1.5;
  pen.strokeRect(left, 1, right - left, height - 2);
}
