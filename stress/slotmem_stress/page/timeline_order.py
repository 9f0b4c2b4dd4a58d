"""An order that explains a recorded history, as far as there is one, for a time line.

Interface: `OrderSearch(...).find(numbers)` returns a `NumberedOrder`. It begins in
`first_state(description)`, or in one of `states_at(recorded, instant_ns)`.

Operations are objects of the JSON lines of `slotmem_stress.history.reading`, in the order of their
invocations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from slotmem_model import spec
from slotmem_model.judge.budget import Budget, Exhausted
from slotmem_model.judge.events import Crash, Event, Invoke, Return
from slotmem_model.judge.order import Order, find_order
from slotmem_model.judge.slots.failure import without_returns
from slotmem_model.judge.slots.possibilities import SlotPossibilities
from slotmem_stress.history.reading import to_columns
from slotmem_stress.history.recorded import Recorded
from slotmem_stress.history.records import Description

_ORDER_S, _ORDER_MB = 20.0, 1024.0
_STATUSES = {"OK": spec.SUCCESS, "NOTFOUND": spec.NOTFOUND, "EINVAL": spec.EINVAL}


def ends(done: dict[str, Any]) -> float:
    """Return when an operation returned; infinity if it did not."""
    instant: float = done.get("return_ns", float("inf"))
    return instant


class NumberedOrder(NamedTuple):
    """An order of operations; call n of `order` is operation `numbers[n]`."""

    order: Order
    numbers: list[int]

    @property
    def failed(self) -> int | None:
        """The operation whose return no order explains; None if all are explained."""
        return None if self.order.failed is None else self.numbers[self.order.failed]


class OrderSearch:
    """The search for an order up to the return of the operation that the judge found unexplained.

    Trying every subset of the operations that never returned takes far too long. So the search
    begins without them; whenever it meets an operation that it cannot explain, it adds the one of
    them that takes it further. Likewise, what was running at `left_ns` may have taken effect before
    that: the search finds out by leaving it out.
    """

    def __init__(
        self, objects: list[dict[str, Any]], initials: list[spec.Slots], left_ns: int, last: float, until_ns: int | None
    ) -> None:
        self.objects, self.initials = objects, initials
        self.left_ns, self.last, self.until_ns = left_ns, last, until_ns
        self.budget = Budget(_ORDER_S, _ORDER_MB)

    def find(self, numbers: Sequence[int]) -> tuple[NumberedOrder | None, str]:
        """Return the order, or None and a sentence that says why there is none."""
        if not self.initials:
            return None, "The states are not shown: the judge's budget was used up."
        lost = [number for number in numbers if self.is_pending(number)]
        try:
            best = self.look(sorted(set(numbers) - set(lost)))
            while best.failed is not None and ends(self.objects[best.failed]) < self.last:
                better = (self.look(chosen) for chosen in self.options(best, lost))
                found = next((each for each in better if self.reach(each) > self.reach(best)), None)
                if found is None:
                    return None, "The states are not shown: too much of what they depend on is left out."
                best = found
        except Exhausted as exhausted:
            return None, f"The states are not shown: {exhausted}."
        return best, ""

    def look(self, numbers: list[int]) -> NumberedOrder:
        """Return an order of these operations.

        Raises:
            Exhausted: if the budget is used up.
        """
        events = _events([self.objects[number] for number in numbers], self.until_ns)
        step = lambda state, operation: (spec.step(state, operation),)  # noqa: E731
        return NumberedOrder(find_order(events, self.initials, step, self.budget), numbers)

    def options(self, found: NumberedOrder, lost: list[int]) -> Iterator[list[int]]:
        """Yield other choices of operations, with which the order might go further."""
        assert found.failed is not None
        failed = self.objects[found.failed]
        for number in found.numbers:
            if self.objects[number]["invoke_ns"] < self.left_ns and _are_related(self.objects[number], failed):
                yield [other for other in found.numbers if other != number]
        for number in reversed(lost):
            other = self.objects[number]
            is_early = other["invoke_ns"] < failed["return_ns"]
            if is_early and number not in found.numbers and _are_related(other, failed):
                yield sorted([*found.numbers, number])
        # The failed operation is a violation too, but not the one that is shown.
        yield [other for other in found.numbers if other != found.failed]

    def reach(self, found: NumberedOrder) -> float:
        """Return the time until which an order explains what was seen."""
        return float("inf") if found.failed is None else ends(self.objects[found.failed])

    def is_pending(self, number: int) -> bool:
        """Return whether an operation did not return, or after the part that is looked at."""
        return ends(self.objects[number]) >= (float("inf") if self.until_ns is None else self.until_ns)


def _are_related(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether one's effect may change the other's result; a grab tells about every slot."""
    is_grab = "grab" in (one["op"], other["op"])
    return is_grab or "slot" not in one or "slot" not in other or one["slot"] == other["slot"]


def first_state(description: Description) -> spec.Slots:
    """Return the state in which a history begins."""
    values = description.values or (0,) * description.slots
    return _state(sum(1 << slot for slot in description.inuse), values)


def states_at(recorded: Recorded, instant_ns: int) -> list[spec.Slots]:
    """Return the states that the judge holds possible at an instant; none if its budget is used up.

    An earlier operation that no order explains counts as pending: the violation shown may not be
    the first.
    """
    history, budget = to_columns(recorded), Budget(_ORDER_S, _ORDER_MB)
    later = np.flatnonzero(history.invoked >= instant_ns)
    if not len(later):
        return []
    first = int(later[np.argmin(history.invoked[later])])
    while True:
        monitor = SlotPossibilities(history, budget)
        monitor.watch([first])
        try:
            failed = monitor.run()
        except Exhausted:
            return []
        if failed is None or first in monitor.seen:
            return [_state(*state) for state in monitor.seen[first]]
        history = without_returns(history, [failed])


def _state(mask: int, values: Sequence[int]) -> spec.Slots:
    inuse = tuple(bool(mask >> slot & 1) for slot in range(len(values)))
    return spec.Slots(8, True, inuse, tuple((value % 2**64).to_bytes(8, "little") for value in values))


def _events(objects: list[dict[str, Any]], until_ns: int | None) -> list[Event]:
    """Return the events of operations in the order of their invocations; call n is operation n.

    Each has a process of its own: those of one client may touch.
    """
    timed: list[tuple[int, int, int, Event]] = []
    crashes: list[Event] = []
    for number, done in enumerate(objects):
        operation: tuple[Any, ...] = (done["op"],)
        operation += () if done["op"] in ("grab", "num_free_slots") else (done["slot"],)
        operation += (done["value"].to_bytes(8, "little"),) if done["op"] == "put" else ()
        timed.append((done["invoke_ns"], 0, number, Invoke(number, operation)))
        if "return_ns" in done and (until_ns is None or done["return_ns"] < until_ns):
            timed.append((done["return_ns"], 1, number, Return(number, _result(done))))
        else:
            crashes.append(Crash(number))
    timed.sort(key=lambda entry: entry[:3])
    return [event for _, _, _, event in timed] + crashes


def _result(done: dict[str, Any]) -> spec.Result:
    if done["status"] == "TORN":
        return spec.Result(spec.SUCCESS, "mixed")  # no state allows that
    status = _STATUSES[done["status"]]
    if status != spec.SUCCESS:
        return spec.Result(status)
    if done["op"] == "get":
        return spec.Result(status, done["value"].to_bytes(8, "little"))
    return spec.Result(status, {"grab": done.get("slot"), "num_free_slots": done.get("value")}.get(done["op"]))
