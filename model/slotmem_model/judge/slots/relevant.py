"""Which pending actions may have to happen before an action returns.

Interface:

- `list_relevant(tables, at, pending)` yields them.
- `is_release_free(tables, at, slot)` says whether a release can take effect without any of them.

Whatever commutes with all that follows can just as well happen after the return, and is left out.
Too small a set here raises false alarms, often only in long histories. The tests hold it to an
exhaustive judge.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotmem_model.judge.slots.doomed import is_doomed
from slotmem_model.judge.slots.pending import Pending, Possibility, Tables, list_bits
from slotmem_model.judge.slots.timeline import COUNT, FGRAB, GET, GRAB, PUT, RELEASE, SEES_FREE


def list_relevant(tables: Tables, at: Possibility, pending: Pending) -> Iterator[Pending]:
    """Yield the actions that may have to happen before this one returns."""
    done = at.done
    if (
        pending.action == RELEASE
        and at.mask >> pending.slot & 1
        and not any(look.action != SEES_FREE and not done & look.bit for look in tables.looks)
    ):
        yield from _list_before_release(tables, at, pending.slot)
        return
    grabs = [*tables.undone(GRAB, done), *tables.undone(FGRAB, done)]
    yield from grabs
    below = 0
    if (lost := tables.first_undone(tables.lost_grabs, done)) is not None:
        if tables.lowest_first:
            yield from _list_lost(tables, at, tables.lowest_free(at.mask).bit_length() - 1)
            below = _compute_reach(tables, at)  # of lower slots, since a crashed grab may take them at once
        else:
            yield lost
    if pending.action == COUNT or is_undone(tables, COUNT, done):
        below = tables.item_num
    wanted_free = {look.slot for look in tables.looks if look.action == SEES_FREE and not done & look.bit}
    wanted_free.update(grab.slot for grab in grabs)
    wanted_free.add(pending.slot)
    cleared = {pending.slot}
    for release in tables.undone(RELEASE, done):
        if release.slot < below or release.slot in wanted_free:
            cleared.add(release.slot)
            yield release
    for slot in cleared:
        yield from _list_puts(tables, at, slot)


def is_release_free(tables: Tables, at: Possibility, slot: int) -> bool:
    """Return whether no pending action needs the slot to be in use."""
    done = at.done
    if any(not done & other.bit for kind in (PUT, GET, FGRAB) for other in tables.by_slot[kind].get(slot, ())) or any(
        not done & look.bit and look.action != SEES_FREE for look in tables.looks
    ):
        return False
    if not tables.lowest_first:
        return True
    # This slot in use may have been what let a higher one be the lowest free.
    return not _list_higher_grabs(tables, at, slot) and not _list_lost_targets(tables, at, slot)


def is_undone(tables: Tables, action: int, done: int) -> bool:
    return any(look.action == action and not done & look.bit for look in tables.looks)


def _list_before_release(tables: Tables, at: Possibility, slot: int) -> Iterator[Pending]:
    """Yield what may have to happen while a slot is still in use, where nobody counts: everything
    else that is pending can just as well come later.

    A slot in use matters because it lets a higher one be the lowest free, for a grab of that slot
    or a crashed grab to take. Before that, each lower free slot has to be taken once, and the
    higher one released if it is in use. Everything else that marks lower slots can come later in
    the same order: at each of those grabs the slots below are in use then too, since what took them
    first is not put off.
    """
    higher, targets = [], []
    if tables.lowest_first:
        higher, targets = _list_higher_grabs(tables, at, slot), _list_lost_targets(tables, at, slot)
    yield from higher
    highest = max((*(grab.slot for grab in higher), *targets), default=0)
    lowest = tables.lowest_free(at.mask).bit_length() - 1
    if 0 <= lowest <= highest and (lowest < slot or lowest in targets):
        yield from _list_lost(tables, at, lowest)
    for lower in list_bits(~at.mask & tables.full & ((1 << highest) - 1)):
        yield from (taker for taker in _list_takers(tables, at, lower) if taker not in higher)
    cleared = [slot]
    if (fgrab := tables.first_undone(tables.fgrabs.get(slot), at.done)) is not None:
        yield fgrab
    for above in dict.fromkeys((*(grab.slot for grab in higher), *targets)):
        release = tables.first_undone(tables.releases.get(above), at.done)
        if release is not None and at.mask >> above & 1:
            cleared.append(above)
            yield release
    for each in cleared:
        yield from _list_puts(tables, at, each)


def _list_higher_grabs(tables: Tables, at: Possibility, slot: int) -> list[Pending]:
    """Return the pending grabs of higher slots that may happen as long as this slot is in use.

    Each free slot below must have an action that takes it, and the slot itself must be free or have
    one that releases it.
    """
    if not tables.grabs:
        return []
    done, free = at.done, ~at.mask & tables.full
    lost = sum(1 for grab in tables.lost_grabs if not done & grab.bit)
    found = []
    for grab in tables.undone(GRAB, done):
        if grab.slot <= slot:
            continue
        if not free >> grab.slot & 1 and tables.first_undone(tables.releases.get(grab.slot), done) is None:
            continue
        below = list_bits(free & ((1 << grab.slot) - 1))
        if sum(1 for lower in below if not _list_takers(tables, at, lower)) <= lost:
            found.append(grab)
    return found


def _list_lost_targets(tables: Tables, at: Possibility, slot: int) -> list[int]:
    """Return the slots above this one that a crashed grab may take as long as this slot is in use.

    As with `_list_higher_grabs`, each free slot below must have an action that takes it. Slots that
    no crashed grab can have, as the rest of the history shows, are left out.
    """
    done, free = at.done, ~at.mask & tables.full
    lost = sum(1 for grab in tables.lost_grabs if not done & grab.bit)
    if not lost:
        return []
    above = tables.full >> (slot + 1) << (slot + 1)
    untaken = 0  # free slots that only a crashed grab can take
    for each in list_bits(free):
        untaken += not _list_takers(tables, at, each)
        if untaken == lost:
            above &= (2 << each) - 1  # the last of them can take this one, and none beyond
            break
    targets = [each for each in list_bits(free & above) if _may_be_lost(tables, done, each)]
    for each, listed in tables.releases.items():
        if above & ~free & 1 << each:
            release = tables.first_undone(listed, done)
            if release is not None and _may_be_lost(tables, done | release.bit, each):
                targets.append(each)
    return targets


def _list_takers(tables: Tables, at: Possibility, slot: int) -> list[Pending]:
    """Return the pending actions that may take just this slot, one of each kind."""
    listed = (tables.grabs.get(slot), tables.fgrabs.get(slot))
    return [first for each in listed if (first := tables.first_undone(each, at.done)) is not None]


def _list_lost(tables: Tables, at: Possibility, lowest: int) -> Iterator[Pending]:
    """Yield a crashed grab that may take the lowest free slot; a pending grab of that slot that
    returns goes first.
    """
    lost = tables.first_undone(tables.lost_grabs, at.done)
    if (
        lost is not None
        and tables.first_undone(tables.grabs.get(lowest), at.done) is None
        and _may_be_lost(tables, at.done, lowest)
    ):
        yield lost


def _list_puts(tables: Tables, at: Possibility, slot: int) -> Iterator[Pending]:
    """Yield the pending puts to a slot, one for each value."""
    yielded = set()
    for put in tables.puts.get(slot, ()):
        if not at.done & put.bit and put.value not in yielded:
            yielded.add(put.value)
            yield put


def _compute_reach(tables: Tables, at: Possibility) -> int:
    """Return a slot above all that a crashed grab can reach before anything else returns."""
    free = ~at.mask & tables.full
    for _ in range(_count_takers(tables, at.done) - 1):
        free &= free - 1  # the lowest is taken
    return (free & -free).bit_length() if free else tables.item_num


def _count_takers(tables: Tables, done: int) -> int:
    """Return how many free slots may be taken before anything else returns."""
    lost = sum(1 for grab in tables.lost_grabs if not done & grab.bit)
    return lost + sum(len(listed) for kind in (GRAB, FGRAB) for listed in tables.by_slot[kind].values())


def _may_be_lost(tables: Tables, done: int, slot: int) -> bool:
    """Return whether a crashed grab may have this slot from now on, as far as the future tells (if
    it may be asked).
    """
    return tables.future is None or not is_doomed(done, slot, tables, tables.future)
