"""What the page of a history shows: its operations, an order that explains them, the state after
each.

Interface: `to_timeline(recorded, window)` returns plain data for `slotmem_stress.page.html_report`:

    clients      the lanes, in order
    operations   [{client, kind, begin, end, text, short, role, at}]; role: 1 in the window,
                 2 the operation that no order explains
    window       the numbers of the window's operations
    before       a sentence about the states that they contradict
    first        {inuse, values}: the state at the beginning; None if it is unknown
    placed       [{operation, at, slot, used, value}]: what each does to which slot, in the order;
                 slot -1: it changes nothing
    explained_ns until when an order explains what was seen; None: to the end of what is shown
    left_out     a sentence about what is not shown

Times are ns since the first operation shown; an operation's instant `at` is somewhere between its
begin and its end. Values are strings, since a browser's numbers have 53 bits. At most about `MOST`
operations are shown: the last before the violation and some after it or, without one, the first of
the history. The window's operations, and what ran when the first of those shown began, are added
however old.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slotmem_model import spec
from slotmem_model.judge.order import Order
from slotmem_stress.history.recorded import Recorded
from slotmem_stress.history.records import INVOKED, RETURNED
from slotmem_stress.history.wording import describe
from slotmem_stress.page.timeline_order import NumberedOrder, OrderSearch, ends, first_state, states_at

MOST = 5000
BEHIND = 500
"""How many operations are shown after the violation."""
MOST_LOOKED_AT = 20_000
"""Up to this many operations, the search for an order begins where the history does; else where the
page does.
"""


def to_timeline(
    recorded: Recorded, window: list[dict[str, Any]], before: list[dict[str, Any]], is_whole: bool = True
) -> dict[str, Any]:
    """Return the data; `window` (empty: no violation), `before` and `is_whole` are as in
    `Judged`.
    """
    begun, ended = recorded.records[:, INVOKED], recorded.records[:, RETURNED]
    by_begin = np.argsort(begun, kind="stable")
    roles = {_key(done): 2 if done.get("unexplained") else 1 for done in window}
    last = max((done.get("return_ns", done["invoke_ns"]) for done in window if done.get("unexplained")), default=0)
    stop = min(len(by_begin), max(int(np.searchsorted(begun[by_begin], last, side="right")) + BEHIND, MOST))
    start = max(0, stop - MOST)
    is_exact = stop <= MOST_LOOKED_AT
    left_ns = int(begun[by_begin[start]]) if len(by_begin) else 0
    rows = by_begin[:stop]
    is_open = (np.arange(stop) >= start) | (ended[rows] >= left_ns) | recorded.is_pending[rows]
    is_kept = is_open | np.isin(begun[rows], [done["invoke_ns"] for done in window]) | is_exact
    objects = [recorded.to_object(row) for row in rows[is_kept].tolist()]
    # What begins in the part shown, what still ran when it began, and the window.
    shown = [number for number, done in enumerate(objects) if ends(done) >= left_ns or _key(done) in roles]
    until_ns = int(begun[by_begin[stop]]) if stop < len(by_begin) else None
    initials = [first_state(recorded.description)] if is_exact else states_at(recorded, left_ns)
    search = OrderSearch(objects, initials, 0 if is_exact else left_ns, last or float("inf"), until_ns)
    looked_at = [number for number, done in enumerate(objects) if is_exact or ends(done) >= left_ns]
    found, note = search.find(looked_at)
    origin = objects[shown[0]]["invoke_ns"] if shown else 0
    numbers = {number: at for at, number in enumerate(shown)}
    operations = [_operation(objects[number], origin, roles.get(_key(objects[number]), 0)) for number in shown]
    given: dict[str, Any] = {
        "clients": sorted({done["client"] for done in operations}, key=lambda client: (type(client) is str, client)),
        "operations": operations,
        "window": [number for number, done in enumerate(operations) if done["role"]],
        "before": _before(window, before, is_whole),
        "first": None,
        "placed": [],
        "explained_ns": None,
        "left_out": _left_out(len(ended), start, len(by_begin) - stop),
        "note": note,
    }
    if found is not None:
        _add_order(given, found, objects, numbers, origin)
    return given


def _key(done: dict[str, Any]) -> tuple[Any, ...]:
    return done["client"], done["invoke_ns"], done.get("return_ns"), done["op"], done.get("slot")


def _operation(done: dict[str, Any], origin: int, role: int) -> dict[str, Any]:
    return {
        "client": done["client"],
        "kind": done["op"],
        "begin": done["invoke_ns"] - origin,
        "end": done["return_ns"] - origin if "return_ns" in done else None,
        "text": describe(done).replace("->", "\N{RIGHTWARDS ARROW}"),
        "short": done["op"],
        "role": role,
        "at": None,
    }


def _before(window: list[dict[str, Any]], before: list[dict[str, Any]], is_whole: bool) -> str:
    if not window:
        return ""
    if not is_whole:
        return "The operations that contradict it are too many to list."
    they = "It contradicts" if len(window) == 1 else "They contradict"
    if not before:
        return f"{they} {'itself' if len(window) == 1 else 'one another'}, whatever the state was before."
    states = {
        f"slots {', '.join(map(str, state['inuse']))} in use" if state["inuse"] else "all free" for state in before
    }
    return f"{they} what the state was before: {' or '.join(sorted(states)[:4])}{' ...' * (len(states) > 4)}."


def _left_out(total: int, before: int, behind: int) -> str:
    if not before and not behind:
        return f"All {total:,} operations are shown."
    said = [f"{before:,} earlier"] * bool(before) + [f"{behind:,} later"] * bool(behind)
    return f"Left out of {total:,} operations: {' and '.join(said)} ones."


# -- the order -------------------------------------------------------------------------------------


def _add_order(
    given: dict[str, Any],
    found: NumberedOrder,
    objects: list[dict[str, Any]],
    shown: dict[int, int],
    origin: int,
) -> None:
    """Add the order to the data: the first state shown, and what each operation then does."""
    order = found.order
    done = [objects[number] for number in found.numbers]
    if order.failed is not None:
        given["explained_ns"] = done[order.failed]["return_ns"] - origin
    numbers = [shown.get(found.numbers[at.call], -1) for at in order.placed]
    begin = max((place + 1 for place, number in enumerate(numbers) if number < 0), default=0)
    state = order.placed[begin - 1].state if begin else order.first
    given["first"] = _shown(state)
    rows = list(zip(order.placed, numbers, _instants(order, done), strict=True))
    for (call, after), number, instant in rows[begin:]:
        at = max(0, instant - origin)
        given["placed"].append({"operation": number, "at": at, **_change(state, after, done[call])})
        given["operations"][number]["at"] = at
        state = after


def _instants(order: Order, objects: list[dict[str, Any]]) -> list[int]:
    """Return instants that rise in the order, each within its operation's interval."""
    earliest, latest = [], []
    reached = 0
    for call, _ in order.placed:
        reached = max(reached, objects[call]["invoke_ns"])
        earliest.append(reached)
    reached = max((done.get("return_ns", done["invoke_ns"]) for done in objects), default=0)
    if order.failed is not None:
        reached = objects[order.failed]["return_ns"]
    for call, _ in reversed(order.placed):
        reached = min(reached, objects[call].get("return_ns", reached))
        latest.append(reached)
    return [(early + late) // 2 for early, late in zip(earliest, reversed(latest), strict=True)]


def _change(state: spec.Slots, after: spec.Slots, done: dict[str, Any]) -> dict[str, Any]:
    """Return what an operation did to which slot."""
    slot = done.get("slot", -1)
    if slot == -1 and state.inuse != after.inuse:  # a grab that never returned
        slot = next(slot for slot, used in enumerate(after.inuse) if used != state.inuse[slot])
    if not 0 <= slot < len(after.inuse):
        return {"slot": -1, "used": False, "value": ""}
    return {"slot": slot, "used": after.inuse[slot], "value": _value(after.data[slot])}


def _shown(state: spec.Slots) -> dict[str, Any]:
    return {
        "inuse": [slot for slot, used in enumerate(state.inuse) if used],
        "values": [_value(data) for data in state.data],
    }


def _value(data: bytes) -> str:
    return str(int.from_bytes(data, "little"))
