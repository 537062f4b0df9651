// Putting it together: what the page shows first, and what people do with it.

const tip = document.getElementById("tip");
const help = document.getElementById("help");
const NARROWEST_US = 20;
let isDirty = false;

function redraw() {
  if (isDirty) return;
  isDirty = true;
  requestAnimationFrame(() => {
    isDirty = false;
    drawLanes();
    drawOverview();
  });
}

let listTimer = 0;
function show(from, to) {
  const span = Math.max(NARROWEST_US, Math.min(to - from, (END - START) * 1.04));
  const middle = (from + to) / 2;
  const slack = (END - START) * 0.02;
  view.from = Math.max(START - slack, Math.min(middle - span / 2, END + slack - span));
  view.to = view.from + span;
  redraw();
  clearTimeout(listTimer);
  listTimer = setTimeout(fillList, 60);
}

function zoom(factor, about) {
  const kept = about ?? (view.from + view.to) / 2;
  show(kept - (kept - view.from) * factor, kept + (view.to - kept) * factor);
}

function pan(share) {
  const by = (view.to - view.from) * share;
  show(view.from + by, view.to + by);
}

function showFailure() {
  if (!failure) return;
  // The last 200 events before it, as the text of the failure has them.
  const last = lowerBound(COUNT, (event) => at[event], failure.at + 0.5);
  const from = COUNT ? at[Math.max(0, last - 200)] : START;
  const span = Math.max(2000, failure.at - from);
  show(failure.at - span, failure.at + span * 0.12);
}

function choose(thing, isFromList) {
  chosen = thing;
  showChosen();
  if (thing && thing.event !== undefined) {
    if (at[thing.event] < view.from || at[thing.event] > view.to) {
      const half = (view.to - view.from) / 2;
      show(at[thing.event] - half, at[thing.event] + half);
    }
    if (!isFromList) scrollTo(thing.event);
  }
  drawRows();
  redraw();
}

// ---- What is under the pointer. ----

function thingAt(x, y) {
  let best = null;
  let nearest = 9;
  eachMark((event) => {
    for (const [left, top] of placesOf(event)) {
      const far = Math.hypot(left - x, top - y);
      if (far < nearest) [nearest, best] = [far, { event }];
    }
  });
  if (best) return best;
  if (y >= frame.clientsTop && processes.length) {
    const row = Math.floor((y - frame.clientsTop) / frame.clientPitch);
    const us = timeOf(x);
    const slack = timeOf(x + 3) - us;
    if (row < processes.length) {
      eachOperation(row, (op) => {
        if (op.from - slack <= us && us <= op.to + slack) best = { op };
      });
    }
    return best;
  }
  nearest = 6;
  if (frame.inView < 60_000) {
    eachMessage((event) => {
      const far = distance(x, y, ...ends(event));
      if (far < nearest) [nearest, best] = [far, { event }];
    });
  }
  return best ?? roleAt(x, y);
}

function distance(x, y, x1, y1, x2, y2) {
  if (x < Math.min(x1, x2) - 6 || x > Math.max(x1, x2) + 6) return Infinity;
  const long = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1;
  const share = Math.max(0, Math.min(1, ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / long));
  return Math.hypot(x - x1 - share * (x2 - x1), y - y1 - share * (y2 - y1));
}

function roleAt(x, y) {
  const node = Math.floor((y - AXIS) / frame.pitch) + 1;
  if (node < 1 || node > NODES || x < LEFT || Math.abs(y - yOf(node)) > frame.bar) return null;
  const span = spanAt(node, timeOf(x));
  return span && span.role > -2 ? { node, span } : null;
}

function showTip(thing, x, y) {
  if (!thing) {
    tip.hidden = true;
    return;
  }
  const lines = thing.span
    ? [["", `n${thing.node} ${thing.span.role < 0 ? "is down" : `${ROLES[thing.span.role]} in term ${thing.span.term}`}`],
      ["for", lasting(thing.span.to - thing.span.from)]]
    : linesOf(thing);
  tip.replaceChildren(...lines.map(([name, value]) => {
    const line = document.createElement("div");
    if (name === "") line.textContent = value;
    else line.append(Object.assign(document.createElement("small"), { textContent: `${name} ${value}` }));
    return line;
  }));
  tip.hidden = false;
  const left = Math.min(x + 14, frame.width - tip.offsetWidth - 8);
  const top = y + 18 + tip.offsetHeight > frame.height ? y - tip.offsetHeight - 10 : y + 18;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

// ---- The pointer, the wheel, the keys. ----

let drag = null;
lanes.addEventListener("pointerdown", (event) => {
  drag = { x: event.offsetX, from: view.from, to: view.to, moved: false };
  lanes.setPointerCapture(event.pointerId);
  lanes.classList.add("dragging");
});
lanes.addEventListener("pointermove", (event) => {
  if (drag) {
    const by = ((drag.x - event.offsetX) / (frame.width - LEFT - RIGHT)) * (drag.to - drag.from);
    drag.moved ||= Math.abs(drag.x - event.offsetX) > 3;
    if (drag.moved) show(drag.from + by, drag.to + by);
    return;
  }
  const thing = thingAt(event.offsetX, event.offsetY);
  showTip(thing, event.offsetX, event.offsetY);
  const next = thing && !thing.span ? thing : null;
  if ((next?.event ?? next?.op) !== (hovered?.event ?? hovered?.op)) {
    hovered = next;
    redraw();
  }
});
lanes.addEventListener("pointerup", (event) => {
  lanes.classList.remove("dragging");
  if (drag && !drag.moved) {
    const thing = thingAt(event.offsetX, event.offsetY);
    choose(thing && !thing.span ? thing : null);
  }
  drag = null;
});
lanes.addEventListener("pointerleave", () => {
  hovered = null;
  tip.hidden = true;
  redraw();
});
lanes.addEventListener("dblclick", (event) => zoom(0.25, timeOf(event.offsetX)));
lanes.addEventListener("wheel", (event) => {
  event.preventDefault();
  tip.hidden = true;
  const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
  if (isSideways) pan((event.deltaX || event.deltaY) / frame.width);
  else zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), timeOf(event.offsetX));
}, { passive: false });

function centre(event) {
  const us = START + ((event.offsetX - LEFT) / (overview.clientWidth - LEFT - RIGHT)) * (END - START);
  const half = (view.to - view.from) / 2;
  show(us - half, us + half);
}
overview.addEventListener("pointerdown", (event) => {
  overview.setPointerCapture(event.pointerId);
  centre(event);
});
overview.addEventListener("pointermove", (event) => event.buttons && centre(event));
overview.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(event.deltaY / 300));
}, { passive: false });

list.addEventListener("scroll", drawRows);
list.addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (row) choose({ event: Number(row.dataset.event) }, true);
});
search.addEventListener("input", fillList);

function nextEvent(by) {
  if (!listed.length) return;
  const current = chosen?.event;
  let nth = current === undefined ? 0 : lowerBound(listed.length, (position) => listed[position], current) + by;
  nth = Math.max(0, Math.min(listed.length - 1, nth));
  choose({ event: listed[nth] });
}

const KEYS = {
  "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => show(START, END), f: showFailure,
  ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), ArrowDown: () => nextEvent(1), ArrowUp: () => nextEvent(-1),
  "?": () => { help.hidden = !help.hidden; }, "/": () => search.focus(),
  Escape: () => { help.hidden = true; search.blur(); choose(null); },
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === search && event.key !== "Escape") return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
document.getElementById("to-failure").addEventListener("click", showFailure);
document.getElementById("to-all").addEventListener("click", () => show(START, END));
document.getElementById("closer").addEventListener("click", () => zoom(0.5));
document.getElementById("farther").addEventListener("click", () => zoom(2));
document.getElementById("to-help").addEventListener("click", KEYS["?"]);

// ---- The head, the filters, the legend. ----

function fillHead() {
  const number = (value) => value.toLocaleString("en");
  document.getElementById("title").textContent = `Seed ${head.seed}`;
  const verdict = document.getElementById("verdict");
  verdict.textContent = failure ? failure.property : "no property broke";
  verdict.classList.add(failure ? "bad" : "good");
  const detail = document.getElementById("detail");
  detail.textContent = failure ? failure.detail : (head.canary ?? "");
  detail.title = detail.textContent;
  const choices = head.choices === null ? "" : `${number(head.choices)} choices · `;
  document.getElementById("facts").textContent = `profile ${head.profile} · ${choices}${NODES} nodes · `
    + `${number(head.events)} events · ${lasting(head.simulated_us)} · ${number(head.faults)} faults · ${head.commit}`;
  document.getElementById("to-failure").hidden = !failure;
}

function fillFilters() {
  const chips = groups.map((one, position) => {
    const chip = document.createElement("button");
    chip.className = "chip";
    chip.title = `Show or hide ${one.name}; with Shift, only ${one.name}`;
    const sign = document.createElement("i");
    sign.style.background = one.colour;
    const count = Object.assign(document.createElement("small"), { textContent: one.count.toLocaleString("en") });
    chip.append(sign, one.name, count);
    chip.addEventListener("click", (event) => {
      if (event.shiftKey) {
        const isAlone = groups.every((other, nth) => other.on === (nth === position));
        groups.forEach((other, nth) => { other.on = isAlone || nth === position; });
      } else {
        one.on = !one.on;
      }
      chips.forEach((other, nth) => {
        other.classList.toggle("off", !groups[nth].on);
        other.setAttribute("aria-pressed", groups[nth].on);
      });
      fillList();
      redraw();
    });
    chip.setAttribute("aria-pressed", "true");
    chip.hidden = one.count === 0;
    return chip;
  });
  document.getElementById("filters").append(...offered.map((position) => chips[position]));
}

function fillHelp() {
  const sample = (colour, words) => {
    const item = document.createElement("li");
    item.append(Object.assign(document.createElement("i"), { style: `background: var(--${colour})` }));
    item.append(Object.assign(document.createElement("span"), { textContent: words }));
    return item;
  };
  const key = (name, words) => {
    const item = document.createElement("li");
    item.append(Object.assign(document.createElement("kbd"), { textContent: name }));
    item.append(Object.assign(document.createElement("span"), { textContent: words }));
    return item;
  };
  const part = (title, items) => {
    const part = document.createElement("ul");
    part.append(...items);
    return [Object.assign(document.createElement("h2"), { textContent: title }), part];
  };
  help.append(
    ...part("Lanes", [
      sample("follower", "follower; t3 is its term"), sample("precandidate", "pre-candidate"),
      sample("candidate", "candidate"), sample("leader", "leader"), sample("down", "not running: a dashed line"),
      sample("done", "a client's operation, answered"), sample("unknown", "nobody knows whether it took effect"),
      sample("failed", "it certainly took no effect"),
    ]),
    ...part("Marks", [
      key("╲→", "a message; its colour is its kind"), key("╲✕", "a message that is lost"), key("▲", "a fault; a red band as long as it lasts"),
      key("✕", "a process ends"), key("▶", "a process starts"), key("❙", "a write is durable"),
    ]),
    ...part("Keys", [
      key("wheel + −", "closer, farther"), key("drag ← →", "move"), key("↑ ↓", "next event"), key("f", "the failure"),
      key("0", "the whole run"), key("/", "search"), key("Esc", "close, choose nothing"),
    ]),
  );
}

function start() {
  fillHead();
  fillFilters();
  readColours();
  fillHelp();
  showChosen();
  if (failure) showFailure();
  else show(START, END);
  fillList();
  new ResizeObserver(() => {
    redraw();
    drawRows();
  }).observe(document.getElementById("stage"));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    ground = null;
    redraw();
    drawRows();
  });
}
start();
