// The time line of a history: what it is drawn from, and which part of it is looked at. All files here become one function
// (see page.html). `data` is what slotmem_stress.page.timeline describes; times are ns since its first operation. Shown times are
// counted from the window's first operation, if there is a window. All text gets into the page as text, never as markup.

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
