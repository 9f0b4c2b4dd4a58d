"""What may have happened by the time an action returns: the closure of one configuration.

Interface: `close(tables, at, pending, budget)` gives the configurations in which the returning action has taken effect.

Pending actions take effect just in time, so only what the return depends on matters; whatever commutes with all that follows can as
well happen after the return. Most returns depend on nothing else (`_close_at_once`: each line there says why). For the others
`_search` tries every order of the actions that matter, and keeps a result only if it is not what another result leads to.

A set of actions that is too small here makes false alarms, often in long histories only. The tests hold this to an exhaustive judge.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotmem_model.judge.budget import Budget
from slotmem_model.judge.slots.configurations import Configuration, Pending, Tables, list_bits
from slotmem_model.judge.slots.timeline import (
    COUNT,
    FGRAB,
    GET,
    GRAB,
    PUT,
    RELEASE,
    SEES_FREE,
)

_CHANGING = (GRAB, RELEASE, FGRAB, PUT)


def close(tables: Tables, at: Configuration, pending: Pending, budget: Budget) -> list[Configuration]:
    """Let what matters happen until this action has; it has not yet in `at`, which may be changed."""
    at_once = _close_at_once(tables, at, pending)
    return _search(tables, at, pending, budget) if at_once is None else at_once


def _close_at_once(tables: Tables, at: Configuration, pending: Pending) -> list[Configuration] | None:
    """Give the closure where nothing but puts to its slot matters, None where more may."""
    action, slot = pending.action, pending.slot
    if action in (PUT, GET):
        if not at.mask >> slot & 1:
            return None  # somebody has to mark the slot first
        # In a slot in use nothing but puts matters: that it is released and grabbed again can come later.
        if action == PUT:
            return tables.happen(at, pending)
        for put in tables.puts.get(slot, ()):
            if put.value == pending.value and not at.done & put.bit:
                return tables.happen(at, put)
        return []
    if action == GRAB and tables.lowest_free(at.mask) == 1 << slot:
        # Once this slot is taken the rest can go on as it would have, but for who counts.
        return None if _is_undone(tables, COUNT, at.done) else tables.happen(at, pending)
    if action == RELEASE and at.mask >> slot & 1 and _is_release_free(tables, at, slot):
        return tables.happen(at, pending)
    return None


def _is_release_free(tables: Tables, at: Configuration, slot: int) -> bool:
    """Say whether nobody needs the slot in use for what he does."""
    done = at.done
    if any(not done & other.bit for kind in (PUT, GET, FGRAB) for other in tables.by_slot[kind].get(slot, ())) or any(
        not done & look.bit and look.action != SEES_FREE for look in tables.looks
    ):
        return False
    # This slot in use may have been what let a higher one be the lowest free.
    return not _list_higher_grabs(tables, at, slot) and not _list_lost_targets(tables, at, slot)


def _list_higher_grabs(tables: Tables, at: Configuration, slot: int) -> list[Pending]:
    """Give the pending grabs of higher slots that may happen as long as this slot is in use.

    Each free slot below must have somebody who takes it, and the slot itself be free or have somebody who releases it.
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


def _list_lost_targets(tables: Tables, at: Configuration, slot: int) -> list[int]:
    """Give the slots above this one that a crashed grab may come to as long as this slot is in use.

    As with `_list_higher_grabs`, each free slot below must have somebody who takes it. Left out are the slots of which the rest of the
    history refutes that a crashed grab has them.
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
    targets = [each for each in list_bits(free & above) if tables.may_be_lost(done, each)]
    for each, listed in tables.releases.items():
        if above & ~free & 1 << each:
            release = tables.first_undone(listed, done)
            if release is not None and tables.may_be_lost(done | release.bit, each):
                targets.append(each)
    return targets


def _list_takers(tables: Tables, at: Configuration, slot: int) -> list[Pending]:
    """Give the pending actions that may take just this slot, one of a kind."""
    listed = (tables.grabs.get(slot), tables.fgrabs.get(slot))
    return [first for each in listed if (first := tables.first_undone(each, at.done)) is not None]


def _count_takers(tables: Tables, done: int) -> int:
    """Give how many free slots may be taken before anything else returns."""
    lost = sum(1 for grab in tables.lost_grabs if not done & grab.bit)
    return lost + sum(len(listed) for kind in (GRAB, FGRAB) for listed in tables.by_slot[kind].values())


def _is_undone(tables: Tables, action: int, done: int) -> bool:
    return any(look.action == action and not done & look.bit for look in tables.looks)


def _search(tables: Tables, start: Configuration, pending: Pending, budget: Budget) -> list[Configuration]:
    """Try the actions that matter in every order."""
    results: list[Configuration] = []
    redundant: set[tuple[int, int, tuple[int, ...]]] = set()  # results that another one leads to
    seen = {start.key()}
    stack = [start]
    while stack:
        budget.spend()
        at = stack.pop()
        if at.done & pending.bit:
            results.append(at)  # more can happen after the return
            continue
        here: list[Configuration] = []
        if pending.action in _CHANGING:
            here = tables.happen(at.copy(), pending)
            results += here
            if here and (pending.action == PUT or (pending.action == GRAB and not _is_undone(tables, COUNT, at.done))):
                continue  # as in _close_at_once: nothing need happen before
        elif pending.action == GET and at.mask >> pending.slot & 1:
            results += _close_at_once(tables, at.copy(), pending) or ()
            continue
        for other in _matter(tables, at, pending):
            for after in tables.happen(at.copy(), other):
                if here and not after.done & pending.bit:
                    redundant.update(_compute_redundant(tables, here, after, other, pending))
                key = after.key()
                if key not in seen:
                    seen.add(key)
                    stack.append(after)
    return [result for result in results if result.key() not in redundant]


def _compute_redundant(
    tables: Tables, here: list[Configuration], after: Configuration, other: Pending, pending: Pending
) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Give what `pending` after `other` leads to, as far as `other` after `pending` leads there too."""
    swapped = [way for result in here if not result.done & other.bit for way in tables.happen(result.copy(), other)]
    if swapped:
        for result in tables.happen(after.copy(), pending):
            for way in swapped:
                if way.mask == result.mask and way.values == result.values and way.done & result.done == result.done:
                    yield result.key()
                    break


def _matter(tables: Tables, at: Configuration, pending: Pending) -> Iterator[Pending]:
    """Give the actions that may have to happen before this one returns."""
    done = at.done
    if (
        pending.action == RELEASE
        and at.mask >> pending.slot & 1
        and not any(look.action != SEES_FREE and not done & look.bit for look in tables.looks)
    ):
        yield from _matter_to_release(tables, at, pending.slot)
        return
    grabs = [*tables.undone(GRAB, done), *tables.undone(FGRAB, done)]
    yield from grabs
    below = 0
    if tables.first_undone(tables.lost_grabs, done) is not None:
        yield from _list_lost(tables, at, tables.lowest_free(at.mask).bit_length() - 1)
        below = _compute_reach(tables, at)  # releases of lower slots matter, since a crashed grab may take them at once
    if pending.action == COUNT or _is_undone(tables, COUNT, done):
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


def _matter_to_release(tables: Tables, at: Configuration, slot: int) -> Iterator[Pending]:
    """Give what may have to happen while a slot is still in use, where nobody counts: what else is pending can come later as well.

    What a slot in use is good for is that a higher one is the lowest free, so that a grab of that, or a crashed grab, can have it. Before
    that each lower free slot has to be taken once, and the higher one released if it is in use. All else that marks lower slots can come
    later in the same order: at each of its grabs the slots below are in use then as well, since what took them first is not put off.
    """
    higher = _list_higher_grabs(tables, at, slot)
    yield from higher
    targets = _list_lost_targets(tables, at, slot)
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


def _list_lost(tables: Tables, at: Configuration, lowest: int) -> Iterator[Pending]:
    """Give a crashed grab that may take the lowest free slot; a pending grab of that slot, which returns, goes first."""
    lost = tables.first_undone(tables.lost_grabs, at.done)
    if (
        lost is not None
        and tables.first_undone(tables.grabs.get(lowest), at.done) is None
        and tables.may_be_lost(at.done, lowest)
    ):
        yield lost


def _list_puts(tables: Tables, at: Configuration, slot: int) -> Iterator[Pending]:
    """Give the pending puts to a slot, one for each value."""
    yielded = set()
    for put in tables.puts.get(slot, ()):
        if not at.done & put.bit and put.value not in yielded:
            yielded.add(put.value)
            yield put


def _compute_reach(tables: Tables, at: Configuration) -> int:
    """Give a slot above all that a crashed grab can come to before anything else returns."""
    free = ~at.mask & tables.full
    for _ in range(_count_takers(tables, at.done) - 1):
        free &= free - 1  # the lowest is taken
    return (free & -free).bit_length() if free else tables.item_num
