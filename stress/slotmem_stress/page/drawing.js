// Drawing: lanes with bars, the axis, what is not explained, the overview.

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
    if (x < w - 30) parts.push(make("text", { class: "time", x, y: height - 7, "text-anchor": "middle" }, moment(ns, step)));
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
  for (const number of data.window) {
    parts.push(make("rect", { class: "spot", x: place(operations[number].begin) - 1, y: 0, width: 3, height: 24 }));
  }
  const from = place(Math.max(0, view.from)), to = place(Math.min(end, view.to));
  parts.push(make("rect", { class: "frame", x: from, y: 0.5, width: Math.max(3, to - from), height: 24, rx: 4 }));
  parts.push(make("text", { class: "name", x: 8, y: 17 }, "overview"));
  overview.setAttribute("viewBox", `0 0 ${w} 26`);
  overview.replaceChildren(...parts);
}
