"""What the page of a history shows: some of its operations, an order that explains them, and the state after each.

Interface: `to_timeline(recorded, window)` gives plain data for `slotmem_stress.html_report`:

    clients      the lanes, in order
    operations   [{client, kind, begin, end, text, short, role, at}]; role: 1 of the window, 2 the one that cannot be
    explained
    window       the numbers of the window's operations
    first        {inuse, values}: the state at first; None if it is not known
    placed       [{operation, at, slot, used, value}], in order: what each does to a slot; slot -1: it changes nothing
    explained_ns up to when an order explains what was seen; None: to the end of what is shown
    left_out     a sentence on what is not shown

Times are ns since the first operation shown; an operation's instant `at` is somewhere between its begin and its end.
Values are strings: a browser's numbers have 53 bits. About `MOST` operations are shown at most: those before the
violation and some behind it, or the first ones; and the window's, and what ran when the first of them began, however
old that is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slotmem_model import spec
from slotmem_model.budget import Budget, Exhausted
from slotmem_model.events import Crash, Event, Invoke, Return
from slotmem_model.order import Order, find_order
from slotmem_stress.history import INVOKED, RETURNED, Description
from slotmem_stress.history_files import Recorded, to_object
from slotmem_stress.stress_report import describe

MOST = 5000
BEHIND = 500
"""How many operations after the violation are shown."""
_ORDER_S, _ORDER_MB = 30.0, 1024.0
_STATUSES = {"OK": spec.SUCCESS, "NOTFOUND": spec.NOTFOUND, "EINVAL": spec.EINVAL}


def to_timeline(recorded: Recorded, window: list[dict[str, Any]], before: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the data. `window` and `before` are those of `slotmem_stress.judging.Judged`; no window: there is no violation."""
    begun, ended = recorded.records[:, INVOKED], recorded.records[:, RETURNED]
    by_begin = np.argsort(begun, kind="stable")
    roles = {(done["client"], done["invoke_ns"]): 2 if done.get("unexplained") else 1 for done in window}
    last = max((done.get("return_ns", done["invoke_ns"]) for done in window if done.get("unexplained")), default=0)
    ahead = int(np.searchsorted(begun[by_begin], last, side="right")) if window else 0
    stop = min(len(by_begin), max(ahead + BEHIND, MOST) if len(by_begin) > MOST else len(by_begin))
    start = max(0, stop - MOST)
    rows = by_begin[:stop].tolist()
    objects = [to_object(int(recorded.clients[row]), recorded.records[row].tolist()) for row in rows]
    left_ns = objects[start]["invoke_ns"] if objects else 0
    shown = [
        number
        for number, done in enumerate(objects)
        if number >= start or _key(done) in roles or done.get("return_ns", left_ns) >= left_ns
    ]
    until_ns = int(begun[by_begin[stop]]) if stop < len(by_begin) else None
    order, note = _order(recorded.description, objects, until_ns)
    origin = objects[shown[0]]["invoke_ns"] if shown else 0
    numbers = {number: at for at, number in enumerate(shown)}
    operations = [_operation(objects[number], origin, roles.get(_key(objects[number]), 0)) for number in shown]
    given: dict[str, Any] = {
        "clients": sorted({done["client"] for done in operations}),
        "operations": operations,
        "window": [number for number, done in enumerate(operations) if done["role"]],
        "before": _before(window, before),
        "first": None,
        "placed": [],
        "explained_ns": None,
        "left_out": _left_out(len(ended), start, len(by_begin) - stop),
        "note": note,
    }
    if order is not None:
        _add_order(given, order, objects, numbers, start, origin)
    return given


def _key(done: dict[str, Any]) -> tuple[int, int]:
    return done["client"], done["invoke_ns"]


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


def _before(window: list[dict[str, Any]], before: list[dict[str, Any]]) -> str:
    if not window:
        return ""
    if not before:
        return "They contradict one another, whatever the state was before."
    states = {
        f"slots {', '.join(map(str, state['inuse']))} in use" if state["inuse"] else "all free" for state in before
    }
    return f"They contradict what the state was before: {' or '.join(sorted(states)[:4])}{' ...' * (len(states) > 4)}."


def _left_out(total: int, before: int, behind: int) -> str:
    if not before and not behind:
        return f"All {total:,} operations are shown."
    said = [f"{before:,} earlier"] * bool(before) + [f"{behind:,} later"] * bool(behind)
    return f"Left out of {total:,} operations: {' and '.join(said)} ones."


# -- the order ----------------------------------------------------------------------------------------------------------


def _order(description: Description, objects: list[dict[str, Any]], until_ns: int | None) -> tuple[Order | None, str]:
    """Give the order of what is not later than what is shown; and what to say if there is none.

    What returned after until_ns may have been told of operations that are not looked at, so it counts as pending.
    """
    values = description.values or (0,) * description.slots
    inuse = tuple(slot in description.inuse for slot in range(description.slots))
    first = spec.Slots(8, True, inuse, tuple(value.to_bytes(8, "little") for value in values))
    step = lambda state, operation: (spec.step(state, operation),)  # noqa: E731
    try:
        return find_order(_events(objects, until_ns), [first], step, Budget(_ORDER_S, _ORDER_MB)), ""
    except Exhausted as exhausted:
        return None, f"The states are not shown: {exhausted}."


def _events(objects: list[dict[str, Any]], until_ns: int | None) -> list[Event]:
    """Give the events of operations, which are in the order of their invocations. Call n is operation n."""
    timed: list[tuple[int, int, int, Event]] = []
    crashes: list[Event] = []
    for number, done in enumerate(objects):
        operation: tuple[Any, ...] = (done["op"],)
        operation += () if done["op"] in ("grab", "num_free_slots") else (done["slot"],)
        operation += (done["value"].to_bytes(8, "little"),) if done["op"] == "put" else ()
        timed.append((done["invoke_ns"], 0, number, Invoke(done["client"], operation)))
        if "return_ns" in done and (until_ns is None or done["return_ns"] < until_ns):
            timed.append((done["return_ns"], 1, number, Return(done["client"], _result(done))))
        else:
            crashes.append(Crash(done["client"]))
    timed.sort(key=lambda entry: entry[:3])
    return [event for _, _, _, event in timed] + crashes


def _result(done: dict[str, Any]) -> spec.Result:
    if done["status"] == "TORN":
        return spec.Result(spec.SUCCESS, "mixed")  # no state has that
    status = _STATUSES[done["status"]]
    if status != spec.SUCCESS:
        return spec.Result(status)
    if done["op"] == "get":
        return spec.Result(status, done["value"].to_bytes(8, "little"))
    return spec.Result(status, {"grab": done.get("slot"), "num_free_slots": done.get("value")}.get(done["op"]))


def _add_order(
    given: dict[str, Any],
    order: Order,
    objects: list[dict[str, Any]],
    numbers: dict[int, int],
    start: int,
    origin: int,
) -> None:
    """Put the order into the data: the first state that is shown, and what each operation does from there on."""
    instants = _instants(order, objects)
    if order.failed is not None:
        given["explained_ns"] = objects[order.failed]["return_ns"] - origin
    state = order.first
    is_begun = False
    for (call, after), instant in zip(order.placed, instants, strict=True):
        if call >= start and not is_begun:
            is_begun, given["first"] = True, _shown(state)
        if is_begun:
            change = _change(state, after, objects[call])
            at = max(0, instant - origin)
            given["placed"].append({"operation": numbers.get(call, -1), "at": at, **change})
            if call in numbers:
                given["operations"][numbers[call]]["at"] = at
        state = after
    if not is_begun:
        given["first"] = _shown(state)


def _instants(order: Order, objects: list[dict[str, Any]]) -> list[int]:
    """Give an instant for each operation of an order: in its interval, and none before the one before it."""
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
    """Say what an operation has done to which slot."""
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
