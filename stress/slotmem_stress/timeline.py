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

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from slotmem_model import spec
from slotmem_model.budget import Budget, Exhausted
from slotmem_model.events import Crash, Event, Invoke, Return
from slotmem_model.order import Order, find_order
from slotmem_model.slot_judge import SlotMonitor
from slotmem_model.slot_timeline import Timeline
from slotmem_stress.history import INVOKED, RETURNED, Description
from slotmem_stress.history_files import Recorded, to_columns, to_object
from slotmem_stress.stress_report import describe

MOST = 5000
BEHIND = 500
"""How many operations after the violation are shown."""
MOST_LOOKED_AT = 20_000
"""For so many operations the order is looked for from the beginning on; of longer histories, from where the page begins."""
_ORDER_S, _ORDER_MB = 20.0, 1024.0
_TRIED = 64
_STATUSES = {"OK": spec.SUCCESS, "NOTFOUND": spec.NOTFOUND, "EINVAL": spec.EINVAL}


def to_timeline(recorded: Recorded, window: list[dict[str, Any]], before: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the data. `window` and `before` are those of `slotmem_stress.judging.Judged`; no window: no violation."""
    begun, ended = recorded.records[:, INVOKED], recorded.records[:, RETURNED]
    by_begin = np.argsort(begun, kind="stable")
    roles = {(done["client"], done["invoke_ns"]): 2 if done.get("unexplained") else 1 for done in window}
    last = max((done.get("return_ns", done["invoke_ns"]) for done in window if done.get("unexplained")), default=0)
    stop = min(len(by_begin), max(int(np.searchsorted(begun[by_begin], last, side="right")) + BEHIND, MOST))
    start = max(0, stop - MOST)
    is_exact = stop <= MOST_LOOKED_AT
    left_ns = int(begun[by_begin[start]]) if len(by_begin) else 0
    rows = by_begin[:stop]
    is_open = (np.arange(stop) >= start) | (ended[rows] >= left_ns) | (ended[rows] == 0)
    is_kept = is_open | np.isin(begun[rows], [done["invoke_ns"] for done in window]) | is_exact
    objects = [to_object(int(recorded.clients[row]), recorded.records[row].tolist()) for row in rows[is_kept]]
    # With what begins in what is shown, and with the window: what ran when that began.
    shown = [number for number, done in enumerate(objects) if _ends(done) >= left_ns or _key(done) in roles]
    until_ns = int(begun[by_begin[stop]]) if stop < len(by_begin) else None
    if is_exact:
        initials = [_first_state(recorded.description)]
    else:
        initials = [_state(*state) for state in _states_at(recorded, left_ns)]
    search = _Search(objects, initials, 0 if is_exact else left_ns, last or float("inf"), until_ns)
    looked_at = [number for number, done in enumerate(objects) if is_exact or _ends(done) >= left_ns]
    found, note = search.find(looked_at)
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
    if found is not None:
        _add_order(given, found, objects, numbers, left_ns, origin)
    return given


def _key(done: dict[str, Any]) -> tuple[int, int]:
    return done["client"], done["invoke_ns"]


def _ends(done: dict[str, Any]) -> float:
    ends: float = done.get("return_ns", float("inf"))
    return ends


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


class _Found(NamedTuple):
    """An order, and the number of the operation for each of its calls."""

    order: Order
    numbers: list[int]

    @property
    def failed(self) -> int | None:
        """The operation at whose return no order is left."""
        return None if self.order.failed is None else self.numbers[self.order.failed]


class _Search:
    """The search for an order of operations: up to the return of the one that the judge does not explain, if there is one.

    Trying every order with every operation that never returned takes far too long. So it begins without them; whenever it
    comes to an operation that it cannot explain, it adds one of them that changes that. Likewise what was running at left_ns
    may have taken effect before: that is found out by leaving it out.
    """

    def __init__(
        self, objects: list[dict[str, Any]], initials: list[spec.Slots], left_ns: int, last: float, until_ns: int | None
    ) -> None:
        self.objects, self.initials = objects, initials
        self.left_ns, self.last, self.until_ns = left_ns, last, until_ns
        self.budget = Budget(_ORDER_S, _ORDER_MB)

    def find(self, numbers: Sequence[int]) -> tuple[_Found | None, str]:
        """Give the order, and what to say if there is none."""
        if not self.initials:
            return None, "The states are not shown: the judge's budget was used up."
        lost = [number for number in numbers if self.is_pending(number)]
        try:
            best = self.look(sorted(set(numbers) - set(lost)))
            while best.failed is not None and _ends(self.objects[best.failed]) < self.last:
                better = (self.look(chosen) for chosen in self.options(best, lost))
                found = next((each for each in better if self.reach(each) > self.reach(best)), None)
                if found is None:
                    return None, "The states are not shown: too much of what they depend on is left out."
                best = found
        except Exhausted as exhausted:
            return None, f"The states are not shown: {exhausted}."
        return best, ""

    def look(self, numbers: list[int]) -> _Found:
        """Give an order of some operations. Raises: Exhausted."""
        events = _events([self.objects[number] for number in numbers], self.until_ns)
        step = lambda state, operation: (spec.step(state, operation),)  # noqa: E731
        return _Found(find_order(events, self.initials, step, self.budget), numbers)

    def options(self, found: _Found, lost: list[int]) -> Iterator[list[int]]:
        """Give other choices of operations, with which the order might go on."""
        assert found.failed is not None
        failed = self.objects[found.failed]
        if failed["invoke_ns"] < self.left_ns:
            yield [number for number in found.numbers if number != found.failed]
        for number in reversed(lost):
            other = self.objects[number]
            is_early = other["invoke_ns"] < failed["return_ns"]
            same = failed.get("slot") in (None, other.get("slot")) or "grab" in (other["op"], failed["op"])
            if is_early and same and number not in found.numbers:
                yield sorted([*found.numbers, number])

    def reach(self, found: _Found) -> float:
        """Say how far an order goes."""
        return float("inf") if found.failed is None else _ends(self.objects[found.failed])

    def is_pending(self, number: int) -> bool:
        """Say whether an operation did not return; or so late that it may have been told of what is not looked at."""
        return _ends(self.objects[number]) >= (float("inf") if self.until_ns is None else self.until_ns)


def _first_state(description: Description) -> spec.Slots:
    values = description.values or (0,) * description.slots
    return _state(sum(1 << slot for slot in description.inuse), values)


def _states_at(recorded: Recorded, instant_ns: int) -> list[tuple[int, tuple[int, ...]]]:
    """Give the states that the judge holds possible at an instant."""
    history = to_columns(recorded)
    begun = Timeline.compile(history).invoked[np.argsort(history.invoked, kind="stable")]
    first = int(np.searchsorted(np.sort(history.invoked), instant_ns))
    watched = begun[first : first + _TRIED].tolist()  # the judge does not look at each
    monitor = SlotMonitor(history, Budget(_ORDER_S, _ORDER_MB), watched)
    try:
        monitor.run()
    except Exhausted:
        return []
    return next((monitor.seen[position] for position in watched if monitor.seen[position]), [])


def _state(mask: int, values: Sequence[int]) -> spec.Slots:
    inuse = tuple(bool(mask >> slot & 1) for slot in range(len(values)))
    return spec.Slots(8, True, inuse, tuple((value % 2**64).to_bytes(8, "little") for value in values))


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
    found: _Found,
    objects: list[dict[str, Any]],
    shown: dict[int, int],
    left_ns: int,
    origin: int,
) -> None:
    """Put the order into the data: the first state that is shown, and what each operation does from there on."""
    order = found.order
    done = [objects[number] for number in found.numbers]
    if order.failed is not None:
        given["explained_ns"] = done[order.failed]["return_ns"] - origin
    state = order.first
    is_begun = False
    for (call, after), instant in zip(order.placed, _instants(order, done), strict=True):
        is_late = _ends(done[call]) >= left_ns
        if is_late and not is_begun:
            is_begun, given["first"] = True, _shown(state)
        if is_begun:
            at = max(0, instant - origin)
            number = shown[found.numbers[call]]
            given["placed"].append({"operation": number, "at": at, **_change(state, after, done[call])})
            given["operations"][number]["at"] = at
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
