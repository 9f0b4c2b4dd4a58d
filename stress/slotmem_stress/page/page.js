"use strict";
// The time line of a history. `data` is what slotmem_stress.timeline describes; times are ns since its first operation.
// Shown times are counted from the window's first operation, if there is a window.
// All text gets into the page as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const operations = data.operations;
  if (!operations.length) return;
  const by = (id) => document.getElementById(id);
  const main = by("main"), chart = by("chart"), overview = by("overview"), tip = by("tip");
  const GUTTER = 92, ROW = 30, BODY = 22, AXIS = 26, TOP = 18;
  const KINDS = ["grab", "fgrab", "release", "get", "put", "num_free_slots"];
  const end = Math.max(1, ...operations.map((each) => each.end ?? each.begin));
  const least = Math.min(50, end);
  const lanes = new Map(data.clients.map((client, lane) => [client, lane]));
  const height = TOP + lanes.size * ROW + AXIS;
  const zero = data.window.length ? Math.min(...data.window.map((number) => operations[number].begin)) : 0;
  const view = { from: 0, to: end };
  let at = data.explained_ns ?? end;

  // -- small tools

  function make(name, attributes = {}, text = "") {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text) element.textContent = text;
    return element;
  }

  function html(name, className = "", text = "") {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.textContent = text;
    return element;
  }

  function time(ns, step = ns) {
    const [unit, name] = step >= 1e9 ? [1e9, "s"] : step >= 1e6 ? [1e6, "ms"] : step >= 1e3 ? [1e3, "µs"] : [1, "ns"];
    return `${(ns / unit).toLocaleString("en", { maximumFractionDigits: 3 }).replace("-", "\u2212")} ${name}`;
  }

  const moment = (ns, step = 1e3) => time(ns - zero, step);

  const width = () => Math.max(320, chart.clientWidth);
  const toX = (ns) => GUTTER + ((ns - view.from) / (view.to - view.from)) * (width() - GUTTER);
  const toTime = (x) => view.from + ((x - GUTTER) / (width() - GUTTER)) * (view.to - view.from);
  const color = (kind) => `var(--${KINDS.includes(kind) ? kind : "num_free_slots"})`;

  // -- the view

  function look(from, to) {
    const span = Math.min(end * 1.04, Math.max(least, to - from));
    const middle = (from + to) / 2;
    view.from = Math.min(Math.max(middle - span / 2, -end * 0.02), end * 1.02 - span);
    view.to = view.from + span;
    later();
  }

  function zoom(factor, around = (view.from + view.to) / 2) {
    const span = Math.min(end * 1.04, Math.max(least, (view.to - view.from) * factor));
    const share = (around - view.from) / (view.to - view.from);
    look(around - share * span, around + (1 - share) * span);
  }

  function all() {
    look(-end * 0.02, end * 1.02);
  }

  function toWindow() {
    const shown = operations.filter((each) => each.role);
    const from = Math.min(...shown.map((each) => each.begin));
    const to = Math.max(...shown.map((each) => each.end ?? each.begin));
    const span = Math.max(to - from, least);
    look((from + to - span) / 2 - span * 0.6, (from + to + span) / 2 + span * 0.6);
  }

  let waiting = false;
  function later() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  }

  function remember() {
    const hash = `#from=${Math.round(view.from)}&to=${Math.round(view.to)}&at=${Math.round(at)}`;
    try {
      history.replaceState(null, "", hash);
    } catch {
      // some browsers refuse this for file: addresses; the view is then not in the address
    }
  }

  // -- drawing

  function draw() {
    const w = width();
    chart.setAttribute("viewBox", `0 0 ${w} ${height}`);
    chart.style.height = `${height}px`;
    const parts = [];
    for (const [client, lane] of lanes) {
      const y = TOP + lane * ROW;
      if (lane % 2 === 0) parts.push(make("rect", { class: "stripe", x: 0, y, width: w, height: ROW }));
      const name = make("text", { class: "name", x: 8, y: y + ROW / 2 + 4 }, `process ${client}`);
      if (data.window.some((number) => operations[number].client === client)) name.classList.add("of-window");
      parts.push(name);
    }
    parts.push(...ticks(w));
    if (data.explained_ns !== null) parts.push(...unexplained(w));
    const reached = new Map();
    let drawn = 0;
    const loud = [];
    for (const [number, each] of operations.entries()) {
      const begin = toX(each.begin), stop = each.end === null ? w + 9 : toX(each.end);
      if (stop < GUTTER || begin > w) continue;
      if (!each.role && stop - begin < 1 && stop < (reached.get(each.client) ?? -1)) continue; // nothing new to be seen
      reached.set(each.client, stop + 0.4);
      drawn += 1;
      (each.role ? loud : parts).push(bar(number, each, Math.max(begin, GUTTER), Math.min(stop, w + 9)));
    }
    parts.push(...loud);
    const x = toX(at);
    if (x >= GUTTER) parts.push(make("line", { class: "scrub", x1: x, x2: x, y1: TOP - 8, y2: height - AXIS }));
    chart.replaceChildren(...parts);
    chart.dataset.drawn = drawn;
    drawOverview();
    drawState();
    remember();
  }

  function ticks(w) {
    const rough = (view.to - view.from) / Math.max(2, (w - GUTTER) / 120);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(1, power * [1, 2, 5, 10].find((each) => each * power >= rough));
    const parts = [];
    for (let ns = Math.ceil((view.from - zero) / step) * step + zero; ns <= view.to; ns += step) {
      const x = toX(ns);
      if (x < GUTTER) continue;
      parts.push(make("line", { class: "axis", x1: x, x2: x, y1: TOP, y2: height - AXIS + 4 }));
      parts.push(make("text", { class: "time", x, y: height - 7, "text-anchor": "middle" }, moment(ns, step)));
    }
    return parts;
  }

  function unexplained(w) {
    const x = toX(data.explained_ns);
    if (x > w) return [];
    const from = Math.max(x, GUTTER), bottom = height - AXIS;
    const parts = [make("rect", { class: "unexplained", x: from, y: TOP, width: w - from, height: bottom - TOP })];
    if (x < GUTTER) return parts;
    parts.push(make("line", { class: "end", x1: x, x2: x, y1: TOP - 4, y2: bottom }));
    const isLeft = x > w - 160;
    const anchor = isLeft ? "end" : "start";
    parts.push(make("text", { class: "end-text", x: x + (isLeft ? -6 : 6), y: 12, "text-anchor": anchor }, "explained up to here"));
    return parts;
  }

  function bar(number, each, begin, stop) {
    const y = TOP + lanes.get(each.client) * ROW + (ROW - BODY) / 2;
    const length = Math.max(stop - begin, each.role ? 4 : 1);
    const group = make("g", { class: "op", "data-number": number, style: `--kind: ${color(each.kind)}` });
    if (each.role) group.classList.add(...(each.role === 2 ? ["window", "culprit"] : ["window"]));
    else if (data.window.length) group.classList.add("dim");
    if (each.end === null) group.classList.add("pending");
    group.append(make("rect", { class: "body", x: begin, y, width: length, height: BODY, rx: Math.min(4, length / 3) }));
    const text = [each.text, each.short].find((text) => text.length * 6.6 + 14 < length);
    if (text) group.append(make("text", { x: begin + 7, y: y + 14.5 }, text));
    if (each.at !== null && length > 9) {
      const x = toX(each.at);
      if (x >= GUTTER) group.append(make("path", { class: "instant", d: `M${x} ${y + BODY - 5}l3.5 4.5l-3.5 4.5l-3.5-4.5z` }));
    }
    return group;
  }

  function drawOverview() {
    const w = width(), parts = [], buckets = new Map();
    const place = (ns) => GUTTER + (ns / end) * (w - GUTTER);
    for (const each of operations) {
      const bucket = Math.floor(place(each.begin) / 3);
      buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
    }
    const most = Math.max(...buckets.values());
    for (const [bucket, count] of buckets) {
      const tall = 3 + (17 * count) / most;
      parts.push(make("rect", { class: "density", x: bucket * 3, y: 23 - tall, width: 2.4, height: tall }));
    }
    for (const number of data.window) parts.push(make("rect", { class: "spot", x: place(operations[number].begin) - 1, y: 0, width: 3, height: 24 }));
    const from = place(Math.max(0, view.from)), to = place(Math.min(end, view.to));
    parts.push(make("rect", { class: "frame", x: from, y: 0.5, width: Math.max(3, to - from), height: 24, rx: 4 }));
    parts.push(make("text", { class: "name", x: 8, y: 17 }, "overview"));
    overview.setAttribute("viewBox", `0 0 ${w} 26`);
    overview.replaceChildren(...parts);
  }

  // -- the specification's state

  const placed = data.placed, SAVED = 128;
  const saved = [];
  const state = data.first && { used: new Set(data.first.inuse), values: [...data.first.values] };
  for (const [number, each] of placed.entries()) {
    if (number % SAVED === 0) saved.push({ used: new Set(state.used), values: [...state.values] });
    apply(state, each);
  }

  function apply(to, each) {
    if (each.slot < 0) return;
    if (each.used) to.used.add(each.slot);
    else to.used.delete(each.slot);
    to.values[each.slot] = each.value;
  }

  function countPlaced(ns) {
    let low = 0, high = placed.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (placed[middle].at <= ns) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function stateAfter(count) {
    if (!count) return { used: new Set(data.first.inuse), values: [...data.first.values] };
    const from = Math.floor((count - 1) / SAVED);
    const found = { used: new Set(saved[from].used), values: [...saved[from].values] };
    for (let number = from * SAVED; number < count; number += 1) apply(found, placed[number]);
    return found;
  }

  function drawState() {
    if (!data.first) {
      by("told").textContent = data.note;
      return;
    }
    const count = countPlaced(at), now = stateAfter(count), last = count ? placed[count - 1] : null;
    by("when").textContent = `at ${moment(at)}, after ${count.toLocaleString("en")} of ${placed.length.toLocaleString("en")} explained operations`;
    const cells = now.values.map((value, slot) => {
      const cell = html("div", "slot" + (now.used.has(slot) ? " used" : "") + (last && last.slot === slot ? " changed" : ""));
      cell.append(html("b", "", `slot ${slot}`), html("span", "", now.used.has(slot) ? value : `free · ${value}`));
      return cell;
    });
    by("slots").replaceChildren(...cells);
    const done = last && operations[last.operation];
    const beyond = data.explained_ns !== null && at >= data.explained_ns ? " From here on no order explains what was seen." : "";
    by("told").textContent = (done ? `Last to take effect: ${done.text} of process ${done.client}.` : "Nothing has taken effect yet.") + beyond + (data.note ? ` ${data.note}` : "");
  }

  function step(by_) {
    const count = countPlaced(at);
    const next = by_ > 0 ? placed[count] : placed[count - 2];
    at = next ? next.at : by_ > 0 ? end : 0;
    const span = view.to - view.from;
    if (at < view.from || at > view.to) look(at - span / 2, at + span / 2);
    later();
  }

  // -- what the user does

  chart.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
      const shift = ((event.deltaX || event.deltaY) / (width() - GUTTER)) * (view.to - view.from);
      look(view.from + shift, view.to + shift);
    } else {
      const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
      zoom(Math.exp(Math.max(-300, Math.min(300, pixels)) * 0.0025), toTime(Math.max(GUTTER, place(event))));
    }
  }, { passive: false });

  const place = (event) => event.clientX - chart.getBoundingClientRect().left;
  let drag = null;
  chart.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    drag = { x: event.clientX, from: view.from, to: view.to };
    chart.setPointerCapture(event.pointerId);
    chart.classList.add("moving");
  });
  chart.addEventListener("pointermove", (event) => {
    if (drag) {
      const shift = ((drag.x - event.clientX) / (width() - GUTTER)) * (drag.to - drag.from);
      look(drag.from + shift, drag.to + shift);
      tip.hidden = true;
      return;
    }
    if (place(event) >= GUTTER) {
      at = toTime(place(event));
      later();
    }
    showTip(event);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    chart.addEventListener(name, () => {
      drag = null;
      chart.classList.remove("moving");
    });
  }
  chart.addEventListener("pointerleave", () => { tip.hidden = true; });
  chart.addEventListener("dblclick", all);
  overview.addEventListener("pointerdown", (event) => {
    const share = (event.clientX - overview.getBoundingClientRect().left - GUTTER) / (width() - GUTTER);
    const span = view.to - view.from;
    look(share * end - span / 2, share * end + span / 2);
  });

  function showTip(event) {
    const group = event.target.closest(".op");
    tip.hidden = !group;
    if (!group) return;
    const each = operations[group.dataset.number];
    const lines = [`${each.text}`, `process ${each.client}`];
    lines.push(each.end === null ? `from ${moment(each.begin)} on; it never returned` : `${moment(each.begin)} to ${moment(each.end)}, which is ${time(each.end - each.begin)}`);
    if (each.at !== null) lines.push(`takes effect at ${moment(each.at)}`);
    if (each.role === 2) lines.push("cannot be explained");
    else if (each.role === 1) lines.push("one of those that contradict one another");
    tip.textContent = lines.join("\n");
    tip.style.left = `${Math.min(event.clientX + 16, innerWidth - tip.offsetWidth - 12)}px`;
    tip.style.top = `${Math.min(event.clientY + 18, innerHeight - tip.offsetHeight - 12)}px`;
  }

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const does = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), "+": () => zoom(0.5), "-": () => zoom(2), f: all };
    if (data.window.length) does.v = toWindow;
    if (!does[event.key]) return;
    event.preventDefault();
    does[event.key]();
  });
  by("to-all").addEventListener("click", all);
  by("to-window").addEventListener("click", toWindow);
  by("closer").addEventListener("click", () => zoom(0.5));
  by("farther").addEventListener("click", () => zoom(2));
  addEventListener("resize", later);
  addEventListener("hashchange", () => fromAddress() && later());

  // -- the rest of the page

  function fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    const [from, to, when] = ["from", "to", "at"].map((name) => Number.parseFloat(given.get(name)));
    if (Number.isFinite(when)) at = when;
    if (!Number.isFinite(from) || !Number.isFinite(to) || to <= from) return false;
    look(from, to);
    return true;
  }

  for (const kind of KINDS.filter((kind) => operations.some((each) => each.kind === kind))) {
    const entry = html("span"), swatch = html("i");
    swatch.style.background = color(kind);
    entry.append(swatch, kind);
    by("legend").append(entry);
  }
  if (placed.length) {
    const entry = html("span");
    entry.append(html("i", "instant", "◆"), "takes effect");
    by("legend").append(entry);
  }
  by("left-out").textContent = data.left_out;
  if (data.window.length) {
    by("window-card").hidden = by("to-window").hidden = false;
    for (const number of data.window) {
      const each = operations[number], row = html("tr", each.role === 2 ? "culprit" : "");
      const swatch = html("i"), cell = html("td");
      swatch.style.background = each.role === 2 ? "var(--red)" : color(each.kind);
      cell.append(swatch);
      const until = each.end === null ? "never returned" : moment(each.end);
      row.append(cell, html("td", "number", `process ${each.client}`), html("td", "number", `${moment(each.begin)} – ${until}`), html("td", "", each.text + (each.role === 2 ? "   cannot be explained" : "")));
      row.addEventListener("click", toWindow);
      by("window").append(row);
    }
    by("before").textContent = data.before;
  }
  main.hidden = false;
  if (!fromAddress()) data.window.length ? toWindow() : all();
  draw();
})();
