"""What may have happened by the time an action returns: the closure of one possibility.

Interface: `close(tables, at, pending, budget)` returns the possibilities in which the returning
action has taken effect.

Pending actions take effect just in time (Lowe), so only what the return depends on matters. Most
returns depend on nothing else (`_close_at_once`: each line there says why). For the others
`_search` tries every order of the actions that `relevant` lists, and drops each result that another
one leads to.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotmem_model.judge.budget import Budget
from slotmem_model.judge.slots.effects import happen
from slotmem_model.judge.slots.pending import Pending, Possibility, Tables
from slotmem_model.judge.slots.relevant import is_release_free, is_undone, list_relevant
from slotmem_model.judge.slots.timeline import COUNT, FGRAB, GET, GRAB, PUT, RELEASE

_CHANGING = (GRAB, RELEASE, FGRAB, PUT)


def close(tables: Tables, at: Possibility, pending: Pending, budget: Budget) -> list[Possibility]:
    """Let what matters happen until this action has taken effect. It has not in `at`, which is
    changed.
    """
    at_once = _close_at_once(tables, at, pending)
    return _search(tables, at, pending, budget) if at_once is None else at_once


def _close_at_once(tables: Tables, at: Possibility, pending: Pending) -> list[Possibility] | None:
    """Return the closure where nothing but puts to its slot matters, None where more may."""
    action, slot = pending.action, pending.slot
    if action in (PUT, GET):
        if not at.mask >> slot & 1:
            return None  # somebody has to mark the slot first
        # In a slot in use nothing but puts matters: that it is released and grabbed again can come
        # later.
        if action == PUT:
            return happen(tables, at, pending)
        for put in tables.puts.get(slot, ()):
            if put.value == pending.value and not at.done & put.bit:
                return happen(tables, at, put)
        return []
    if action == GRAB and tables.grabbable(at.mask) >> slot & 1:
        # Once this slot is taken the rest can go on as it would have, except for a count.
        return None if is_undone(tables, COUNT, at.done) else happen(tables, at, pending)
    if action == RELEASE and at.mask >> slot & 1 and is_release_free(tables, at, slot):
        return happen(tables, at, pending)
    return None


def _search(tables: Tables, start: Possibility, pending: Pending, budget: Budget) -> list[Possibility]:
    """Try the actions that matter in every order."""
    results: list[Possibility] = []
    redundant: set[tuple[int, int, tuple[int, ...]]] = set()  # results that another one leads to
    seen = {start.key()}
    stack = [start]
    while stack:
        budget.spend()
        at = stack.pop()
        if at.done & pending.bit:
            results.append(at)  # more can happen after the return
            continue
        here: list[Possibility] = []
        if pending.action in _CHANGING:
            here = happen(tables, at.copy(), pending)
            results += here
            if here and (pending.action == PUT or (pending.action == GRAB and not is_undone(tables, COUNT, at.done))):
                continue  # as in _close_at_once: nothing need happen before
        elif pending.action == GET and at.mask >> pending.slot & 1:
            results += _close_at_once(tables, at.copy(), pending) or ()
            continue
        for other in list_relevant(tables, at, pending):
            for after in happen(tables, at.copy(), other):
                if here and not after.done & pending.bit:
                    redundant.update(_compute_redundant(tables, here, after, other, pending))
                key = after.key()
                if key not in seen:
                    seen.add(key)
                    stack.append(after)
    return [result for result in results if result.key() not in redundant]


def _compute_redundant(
    tables: Tables, here: list[Possibility], after: Possibility, other: Pending, pending: Pending
) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Yield what `pending` after `other` leads to, as far as `other` after `pending` leads there
    too.
    """
    swapped = [way for result in here if not result.done & other.bit for way in happen(tables, result.copy(), other)]
    if swapped:
        for result in happen(tables, after.copy(), pending):
            for way in swapped:
                if way.mask == result.mask and way.values == result.values and way.done & result.done == result.done:
                    yield result.key()
                    break
