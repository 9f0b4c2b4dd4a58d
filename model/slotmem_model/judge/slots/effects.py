"""What an action does to a possibility.

Interface: `happen(tables, at, pending)` lets a pending action take effect and returns what may
follow, nothing if it cannot; `settle(tables, at)` lets everything happen that is best done at once.
Both change `at`.

Three rules are built in. The first two are sound for any history, the third where
`Timeline.is_eager` allows it:

- *Looking* actions take effect in the first state that gives their result. They change nothing, so
  nothing is lost.
- A put that takes effect *hides* the pending puts to its slot that no later get will read: they
  happen just before it, and with them the pending gets that read them. Later they could only be in
  the way. One that a later get reads is hidden only if some other put writes the same value, and
  then both ways are followed.
- A pending grab takes effect as soon as it may have its slot. Nobody else can take the slot in
  between, and a slot in use is in the way only of those who look for a free one.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotmem_model.judge.slots.pending import Pending, Possibility, Tables, list_bits
from slotmem_model.judge.slots.timeline import FGRAB, GRAB, LOST_FGRAB, LOST_GRAB, LOST_RELEASE, PUT, RELEASE


def settle(tables: Tables, at: Possibility) -> None:
    """Let everything happen that is best done at once: what looks, and eager grabs."""
    while True:
        for look in tables.looks:
            if not at.done & look.bit and tables.is_seen(at, look):
                at.done |= look.bit
        if not tables.grabs:
            return
        for slot in list_bits(tables.grabbable(at.mask)):
            first = tables.first_undone(tables.grabs.get(slot), at.done)
            if first is not None and first.is_eager:
                break
        else:
            return
        at.done |= first.bit
        at.mask |= 1 << slot
        settle_gets(tables, at, slot)


def settle_gets(tables: Tables, at: Possibility, slot: int) -> None:
    """Let the gets of a slot happen that can."""
    listed = tables.gets.get(slot)
    if listed and at.mask >> slot & 1:
        value = at.values[slot]
        for get in listed:
            if get.value == value:
                at.done |= get.bit


def happen(tables: Tables, at: Possibility, pending: Pending) -> list[Possibility]:
    """Let an action take effect that changes something.

    Return what may follow; `at` may be one of these.
    """
    action, slot = pending.action, pending.slot
    if action == GRAB:
        if not tables.grabbable(at.mask) >> slot & 1:
            return []
        at.mask |= 1 << slot
    elif action == LOST_GRAB:
        return [_take(tables, at.copy(), pending, each) for each in list_bits(tables.grabbable(at.mask))]
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
        return _write(tables, at, pending)
    return [_settled(tables, at, pending, slot)]


def _take(tables: Tables, at: Possibility, lost: Pending, slot: int) -> Possibility:
    at.mask |= 1 << slot
    return _settled(tables, at, lost, slot)


def _settled(tables: Tables, at: Possibility, pending: Pending, slot: int) -> Possibility:
    """Note that an action on a slot has taken effect, and let everything happen that is best done
    at once.
    """
    at.done |= pending.bit
    settle_gets(tables, at, slot)
    settle(tables, at)
    return at


def _write(tables: Tables, at: Possibility, put: Pending) -> list[Possibility]:
    """Let a put take effect, after those that it hides."""
    slot = put.slot
    ways = [at]
    at.done |= put.bit
    listed = tables.puts[slot]
    if len(listed) > 1:
        choices: dict[int, list[Pending]] = {}
        for other in listed:
            if at.done & other.bit:
                continue
            if other.last_read <= tables.now:
                _hide(tables, at, other)
            elif not other.is_only:
                choices.setdefault(other.value, []).append(other)
        for same in choices.values():
            ways = [hidden for way in ways for hidden in _hide_some(tables, way, same)]
    for way in ways:
        way.values[slot] = put.value
        settle_gets(tables, way, slot)
    return ways


def _hide(tables: Tables, at: Possibility, put: Pending) -> None:
    reads = 0
    for get in tables.gets.get(put.slot, ()):
        if get.value == put.value:
            reads |= get.bit & ~at.done
    if put.action == PUT or reads:  # a crashed put that nobody reads need not happen
        at.done |= put.bit | reads


def _hide_some(tables: Tables, at: Possibility, same: list[Pending]) -> Iterator[Possibility]:
    """Hide none, the first, the first two, ... of equal puts."""
    for count in range(len(same) + 1):
        way = at.copy()
        for put in same[:count]:
            _hide(tables, way, put)
            way.done |= put.bit
        yield way
