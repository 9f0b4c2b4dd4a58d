// The specification's state at an instant.

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
  const shown = [count, placed.length].map((number) => number.toLocaleString("en"));
  by("when").textContent = `at ${moment(at)}, after ${shown[0]} of ${shown[1]} explained operations`;
  const cells = now.values.map((value, slot) => {
    const cell = html("div", "slot" + (now.used.has(slot) ? " used" : "") + (last && last.slot === slot ? " changed" : ""));
    cell.append(html("b", "", `slot ${slot}`), html("span", "", now.used.has(slot) ? value : `free · ${value}`));
    return cell;
  });
  by("slots").replaceChildren(...cells);
  if (last && last.slot >= 0) reveal(cells[last.slot]);
  const done = last && operations[last.operation];
  const beyond = data.explained_ns !== null && at >= data.explained_ns ? " From here on no order explains what was seen." : "";
  const told = done ? `Last to take effect: ${done.text} of process ${done.client}.` : "Nothing has taken effect yet.";
  by("told").textContent = told + beyond;
}

// Of many slots only some are seen at a time; the one that changed is among them. The page itself stays where it is.
function reveal(cell) {
  const box = by("slots"), top = cell.offsetTop - box.offsetTop, bottom = top + cell.offsetHeight;
  if (top < box.scrollTop) box.scrollTop = top - 4;
  else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight + 4;
}

function step(by_) {
  const count = countPlaced(at);
  const next = by_ > 0 ? placed[count] : placed[count - 2];
  at = next ? next.at : by_ > 0 ? end : 0;
  const span = view.to - view.from;
  if (at < view.from || at > view.to) look(at - span / 2, at + span / 2);
  later();
}
