"""What has been asked for and has not returned, and one possibility of what has happened so far.

Interface:

- `Pending` is an action between its invocation and its return; `Tables` has them all, sorted by
  what they touch.
- `Possibility` is a mask of the slots in use, what is in each slot, and a bit for each pending
  action that has taken effect.

`effects` says what happens to a possibility.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterator

from slotmem_model.judge.slots.future import Future
from slotmem_model.judge.slots.timeline import (
    COUNT,
    FGRAB,
    GET,
    GRAB,
    LOST_FGRAB,
    LOST_GRAB,
    LOST_PUT,
    LOST_RELEASE,
    PUT,
    RELEASE,
    SEES_FREE,
    SEES_FULL,
)


def list_bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits of a mask, lowest first."""
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1


class Pending:
    """An action between its invocation and its return.

    Actions that return sort by the position of their return, before the crashed ones.
    """

    __slots__ = ("action", "bit", "is_eager", "is_only", "last_read", "number", "returned", "slot", "value")

    def __init__(
        self,
        number: int,
        action: int,
        slot: int,
        value: int,
        returned: int,
        bit: int,
        last_read: int,
        is_only: bool,
        is_eager: bool,
    ) -> None:
        self.number = number
        self.action = action
        self.slot = slot
        self.value = value
        self.returned = returned
        self.bit = bit
        self.last_read = last_read
        self.is_only = is_only
        self.is_eager = is_eager

    def __lt__(self, other: Pending) -> bool:
        return (self.returned, self.number) < (other.returned, other.number)


class Possibility:
    """One way that everything returned so far can be explained (a *possibility* of Herlihy and
    Wing).

    `mask` has a bit for each slot in use, `values` the number of what each slot holds, `done` the
    bits of the pending actions that have taken effect.
    """

    __slots__ = ("done", "mask", "values")

    def __init__(self, mask: int, done: int, values: list[int]) -> None:
        self.mask = mask
        self.done = done
        self.values = values

    def copy(self) -> Possibility:
        """Return a copy that may be changed without changing this one."""
        return Possibility(self.mask, self.done, self.values.copy())

    def key(self) -> tuple[int, int, tuple[int, ...]]:
        """Return what makes two possibilities the same."""
        return self.mask, self.done, tuple(self.values)


# The kind that each action is listed under: one of a crashed process beside the same one that
# returns.
_LISTED = {
    GRAB: GRAB,
    RELEASE: RELEASE,
    LOST_RELEASE: RELEASE,
    FGRAB: FGRAB,
    LOST_FGRAB: FGRAB,
    PUT: PUT,
    LOST_PUT: PUT,
    GET: GET,
}


class Tables:
    """The pending actions by kind and slot; `now` is the position in time."""

    def __init__(self, item_num: int, lowest_first: bool) -> None:
        self.item_num = item_num
        self.lowest_first = lowest_first
        self.future: Future | None = None  # None: it may not be asked
        self.full = (1 << item_num) - 1
        self.now = 0
        self.by_slot: dict[int, dict[int, list[Pending]]] = {
            kind: defaultdict(list) for kind in (GRAB, RELEASE, FGRAB, PUT, GET)
        }
        self.grabs, self.releases, self.fgrabs, self.puts, self.gets = (
            self.by_slot[kind] for kind in (GRAB, RELEASE, FGRAB, PUT, GET)
        )
        self.looks: list[Pending] = []  # free, full, count
        self.lost_grabs: list[Pending] = []
        self.crashed_bits = 0

    def add(self, pending: Pending) -> None:
        """Add an action that has been asked for."""
        insort(self._list_of(pending), pending)
        if LOST_GRAB <= pending.action <= LOST_PUT:
            self.crashed_bits |= pending.bit

    def remove(self, pending: Pending) -> None:
        """Forget an action that has returned, or that has taken effect everywhere."""
        listed = self._list_of(pending)
        listed.remove(pending)
        if not listed and pending.action in _LISTED:
            del self.by_slot[_LISTED[pending.action]][pending.slot]
        self.crashed_bits &= ~pending.bit

    def _list_of(self, pending: Pending) -> list[Pending]:
        if pending.action in _LISTED:
            return self.by_slot[_LISTED[pending.action]][pending.slot]
        return self.lost_grabs if pending.action == LOST_GRAB else self.looks

    def lowest_free(self, mask: int) -> int:
        """Return the bit of the lowest free slot, 0 if all are in use."""
        return ~mask & (mask + 1) & self.full

    def grabbable(self, mask: int) -> int:
        """Return the bits of the slots that a grab may give: the lowest free one, or all that are
        free.
        """
        return self.lowest_free(mask) if self.lowest_first else ~mask & self.full

    def is_seen(self, at: Possibility, look: Pending) -> bool:
        """Return whether this state gives the result of an action that looks."""
        if look.action == SEES_FREE:
            return not at.mask >> look.slot & 1
        if look.action == SEES_FULL:
            return at.mask == self.full
        if look.action == COUNT:
            return self.item_num - at.mask.bit_count() == look.value
        return bool(at.mask >> look.slot & 1) and at.values[look.slot] == look.value

    def first_undone(self, listed: list[Pending] | None, done: int) -> Pending | None:
        """Return the first that has not taken effect: of equal actions the one that returns first
        goes first.
        """
        for pending in listed or ():
            if not done & pending.bit:
                return pending
        return None

    def undone(self, kind: int, done: int) -> Iterator[Pending]:
        """Yield, for each slot, the first pending action of a kind that has not taken effect."""
        for listed in self.by_slot[kind].values():
            first = self.first_undone(listed, done)
            if first is not None:
                yield first
