// Wheel, drag, keys, the tooltip, the address; and what is made once.

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
  if (each.end === null) lines.push(`from ${moment(each.begin)} on; it never returned`);
  else lines.push(`${moment(each.begin)} to ${moment(each.end)}, which is ${time(each.end - each.begin)}`);
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
    const interval = `${moment(each.begin)} – ${until}`;
    row.append(cell, html("td", "number", `process ${each.client}`), html("td", "number", interval));
    row.append(html("td", "", each.text + (each.role === 2 ? ": cannot be explained" : "")));
    row.addEventListener("click", toWindow);
    by("window").append(row);
  }
  if (data.window.length === 1) by("window-title").textContent = "The operation that cannot be explained";
  by("before").textContent = data.before;
}
main.hidden = false;
if (!fromAddress()) data.window.length ? toWindow() : all();
draw();
