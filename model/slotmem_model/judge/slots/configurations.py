"""A configuration of the judge of slots, and what can happen in it.

Interface:

- `Pending` is an action that has been asked for and has not returned; `Tables` has them all, sorted by what they touch.
- `Configuration` is a mask of the slots in use, what is in each slot, and a bit for each pending action that has taken effect.
- `happen(configuration, pending)` lets one take effect and gives what may follow, nothing if it cannot.

Three rules are built in. The first two are sound for any history, the third where `Timeline.is_eager` allows it:

- *Looking* actions take effect in the first state that gives their result. They change nothing, so nothing is lost.
- A put that takes effect *hides* the pending puts to its slot that no later get will read: they happen just before it, and with them the
  pending gets that read them. Later they could only be in the way. One that a later get reads is hidden only if some other put brings the
  same value, and then both ways are followed.
- A pending grab takes effect as soon as its slot is the lowest free one. Nobody else can take the slot in between, and a slot in use is
  in nobody's way but of those who look for a free one.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from slotmem_model.judge.slots.future import Future


def list_bits(mask: int) -> Iterator[int]:
    """Give the numbers of the bits of a mask, lowest first."""
    while mask:
        yield (mask & -mask).bit_length() - 1
        mask &= mask - 1


class Pending:
    """An action between its invocation and its return. Those that return sort by the position of it, before the crashed ones."""

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


class Configuration:
    """One way how things may stand."""

    __slots__ = ("done", "mask", "values")

    def __init__(self, mask: int, done: int, values: list[int]) -> None:
        self.mask = mask
        self.done = done
        self.values = values

    def copy(self) -> Configuration:
        """Give another one that may be changed."""
        return Configuration(self.mask, self.done, self.values.copy())

    def key(self) -> tuple[int, int, tuple[int, ...]]:
        """Give what makes two configurations the same."""
        return self.mask, self.done, tuple(self.values)


# Under which kind each action is listed: that of a crashed process with the same one that returns.
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

    def __init__(self, item_num: int, future: Future) -> None:
        self.item_num = item_num
        self.asks_future = True  # else a violation shows no sooner than at what cannot be explained
        self._future = future
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
        """Take in an action that has been asked for."""
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

    # What follows looks at one configuration, and changes it in place.

    def lowest_free(self, mask: int) -> int:
        """Give the bit of the lowest free slot, 0 if all are in use."""
        return ~mask & (mask + 1) & self.full

    def settle(self, at: Configuration) -> None:
        """Let everything happen that is best done at once: what looks, and eager grabs."""
        while True:
            for look in self.looks:
                if not at.done & look.bit and self.is_seen(at, look):
                    at.done |= look.bit
            if not self.grabs:
                return
            lowest = self.lowest_free(at.mask)
            listed = self.grabs.get(lowest.bit_length() - 1)
            first = self.first_undone(listed, at.done) if listed else None
            if first is None or not first.is_eager:
                return
            at.done |= first.bit
            at.mask |= lowest
            self.settle_gets(at, first.slot)

    def settle_gets(self, at: Configuration, slot: int) -> None:
        """Let the gets happen that can."""
        listed = self.gets.get(slot)
        if listed and at.mask >> slot & 1:
            value = at.values[slot]
            for get in listed:
                if get.value == value:
                    at.done |= get.bit

    def is_seen(self, at: Configuration, look: Pending) -> bool:
        """Say whether this state gives the result of one that looks."""
        if look.action == SEES_FREE:
            return not at.mask >> look.slot & 1
        if look.action == SEES_FULL:
            return at.mask == self.full
        if look.action == COUNT:
            return self.item_num - at.mask.bit_count() == look.value
        return bool(at.mask >> look.slot & 1) and at.values[look.slot] == look.value

    def first_undone(self, listed: list[Pending] | None, done: int) -> Pending | None:
        """Give the first that has not taken effect: of equal actions the one that returns first goes first."""
        for pending in listed or ():
            if not done & pending.bit:
                return pending
        return None

    def happen(self, at: Configuration, pending: Pending) -> list[Configuration]:
        """Let an action take effect that changes something. Gives what may follow; `at` may be one of these."""
        action, slot = pending.action, pending.slot
        if action in (GRAB, LOST_GRAB):
            lowest = self.lowest_free(at.mask)
            if not lowest or (action == GRAB and lowest != 1 << slot):
                return []
            at.mask |= lowest
            slot = lowest.bit_length() - 1
        elif action in (RELEASE, LOST_RELEASE):
            if not at.mask >> slot & 1:
                return []
            at.mask &= ~(1 << slot)
        elif action == FGRAB:
            at.mask |= 1 << slot
        elif action == LOST_FGRAB:
            if at.mask >> slot & 1:
                return []
            at.mask |= 1 << slot
        elif not at.mask >> slot & 1:
            return []
        else:
            return self._write(at, pending)
        at.done |= pending.bit
        self.settle_gets(at, slot)
        self.settle(at)
        return [at]

    def _write(self, at: Configuration, put: Pending) -> list[Configuration]:
        """Let a put take effect, behind those that it hides."""
        slot = put.slot
        ways = [at]
        at.done |= put.bit
        listed = self.puts[slot]
        if len(listed) > 1:
            choices: dict[int, list[Pending]] = {}
            for other in listed:
                if at.done & other.bit:
                    continue
                if other.last_read <= self.now:
                    self._hide(at, other)
                elif not other.is_only:
                    choices.setdefault(other.value, []).append(other)
            for same in choices.values():
                ways = [hidden for way in ways for hidden in self._hide_some(way, same)]
        for way in ways:
            way.values[slot] = put.value
            self.settle_gets(way, slot)
        return ways

    def _hide(self, at: Configuration, put: Pending) -> None:
        reads = 0
        for get in self.gets.get(put.slot, ()):
            if get.value == put.value:
                reads |= get.bit & ~at.done
        if put.action == PUT or reads:  # a crashed put that nobody reads need not happen
            at.done |= put.bit | reads

    def _hide_some(self, at: Configuration, same: list[Pending]) -> Iterator[Configuration]:
        """Hide none, the first, the first two, ... of equal puts."""
        for count in range(len(same) + 1):
            way = at.copy()
            for put in same[:count]:
                self._hide(way, put)
                way.done |= put.bit
            yield way

    # Which of the pending actions matter when one returns.

    def may_be_lost(self, done: int, slot: int) -> bool:
        """Say whether a crashed grab may have this slot from now on, as far as the future (if it may be asked) tells."""
        return not (self.asks_future and self._future.is_doomed(done, slot, self))

    def undone(self, kind: int, done: int) -> Iterator[Pending]:
        """Give for each slot the first pending action of a kind that has not taken effect."""
        for listed in self.by_slot[kind].values():
            first = self.first_undone(listed, done)
            if first is not None:
                yield first
