// The list of events beside the picture: those in view, as far as the filters and the search let them.

const list = document.getElementById("list");
const rows = document.getElementById("rows");
const search = document.getElementById("search");
const ROW = 21;
const ROWS_MOST = 400_000; // browsers cannot make an element much higher than this many rows
let listed = [];

function fillList() {
  const first = lowerBound(COUNT, (event) => at[event], view.from);
  const words = search.value.trim().toLowerCase();
  const found = strings.map((said) => words === "" || said.toLowerCase().includes(words));
  listed = [];
  for (let event = first; event < COUNT && at[event] <= view.to && listed.length < ROWS_MOST; event++) {
    if (isShown(event) && (found[textOf[event]] || (words !== "" && say(event).toLowerCase().includes(words)))) {
      listed.push(event);
    }
  }
  document.getElementById("count").textContent = `${listed.length.toLocaleString("en")} in view`;
  rows.style.height = `${listed.length * ROW}px`;
  drawRows();
}

function drawRows() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const last = Math.min(listed.length, first + Math.ceil(list.clientHeight / ROW) + 10);
  const shown = document.createDocumentFragment();
  for (let nth = first; nth < last; nth++) {
    const event = listed[nth];
    const row = document.createElement("div");
    row.className = "row";
    if (chosen && chosen.event === event) row.classList.add("chosen");
    if (failure && at[event] > failure.at) row.classList.add("after");
    row.style.top = `${nth * ROW}px`;
    row.dataset.event = event;
    const sign = document.createElement("i");
    const isLost = kind[event] === SENT && extra[event] < 0;
    sign.style.background = isLost ? colours.bad : colours.groups[groupOf[event]];
    const time = document.createElement("time");
    time.textContent = clock(at[event]);
    const words = document.createElement("span");
    words.textContent = say(event);
    row.title = words.textContent;
    row.append(sign, time, words);
    shown.append(row);
  }
  rows.replaceChildren(shown);
}

function scrollTo(event) {
  const nth = lowerBound(listed.length, (position) => listed[position], event);
  if (listed[nth] !== event) return;
  const top = nth * ROW;
  if (top < list.scrollTop + ROW || top > list.scrollTop + list.clientHeight - 2 * ROW) {
    list.scrollTop = top - list.clientHeight / 2;
  }
}

// What is known of the thing that is chosen, as lines of [name, value].
function linesOf(thing) {
  if (thing.op) {
    const { process, node, from, to, outcome, asked, told } = thing.op;
    return [["", `client ${process} at n${node}: ${outcome}`], ["asked", asked], ["told", told],
      ["from", `${clock(from)} s`], ["for", outcome === "open" ? "ever" : lasting(to - from)]];
  }
  const { event } = thing;
  const lines = [["", say(event)], ["at", `${clock(at[event])} s, step ${step[event]}`]];
  if (kind[event] === SENT && extra[event] >= 0) {
    lines.push(["arrives", `${clock(extra[event])} s, after ${lasting(extra[event] - at[event])}`]);
  }
  if (kind[event] === FAULT && faultEnd(event) > at[event]) lines.push(["lasts", lasting(faultEnd(event) - at[event])]);
  return lines;
}

function showChosen() {
  const box = document.getElementById("selected");
  const things = chosen ? [linesOf(chosen)] : failure ? [failureLines()] : [];
  box.replaceChildren(...things.flat().map(([name, value]) => {
    const line = document.createElement("p");
    if (name === "") line.append(Object.assign(document.createElement("b"), { textContent: value }));
    else line.append(Object.assign(document.createElement("span"), { className: "dim", textContent: `${name} ` }), value);
    return line;
  }));
}

function failureLines() {
  return [["", failure.property], ["detail", failure.detail], ["at", `${clock(failure.at)} s, step ${failure.step}`],
    ...failure.nodes.map((node) => ["node", node])];
}
