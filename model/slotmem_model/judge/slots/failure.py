"""The operation of a history of slots that no order explains, and the window that shows why.

Interface: `find_clearest(history, timeline, failed, budget)`, once the judge has found that the
history is a violation; `without_returns` makes operations pending.

The judge looks ahead: which possibilities it keeps depends on what later gets will see. So where it
fails there need not be a violation yet. Here the history is cut after the return at which the judge
failed, and judged without what comes later, until the return is found that turns a history that can
be explained into one that cannot. The window is about that return, and what is said of it is true.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from slotmem_model.judge.budget import Budget, Effort, Exhausted
from slotmem_model.judge.slots.history import PENDING, Column, SlotHistory
from slotmem_model.judge.slots.possibilities import SlotPossibilities
from slotmem_model.judge.slots.timeline import Timeline
from slotmem_model.judge.slots.window import Window, find_window, list_starts

_COLUMNS = ("process", "kind", "outcome", "slot", "value", "invoked", "returned")
_WINDOW_S = 5.0
_LOOK_FURTHER_S = 2.0


class Failure(NamedTuple):
    """The operation at whose return no order is left, and its window. `is_certain` is False if the
    time ran out before it was certain to be this one.
    """

    number: int
    window: Window
    is_certain: bool = True


def find_clearest(history: SlotHistory, timeline: Timeline, failed: int, budget: Budget) -> Failure:
    """Return the first operation that cannot be explained and has a clear window; if there is none
    soon, the clearest there is.

    An operation that very many contradict is then treated as one that did not return. That allows
    more, so what cannot be explained then is a violation by itself.
    """
    best: Failure | None = None
    number: int | None = failed
    effort = Effort(budget.remaining_s(_LOOK_FURTHER_S))
    try:
        while number is not None and (best is None or effort.remaining_s(1.0)):
            found = _find_first(history, timeline, number, budget)
            best = found if best is None else min(best, found, key=_rank)
            if best.window.is_clear:
                break
            history = without_returns(history, [found.number])
            possibilities = SlotPossibilities(history, budget)
            number, timeline = possibilities.run(), possibilities.timeline
    except Exhausted:
        pass
    return best or Failure(failed, Window([failed], [], is_whole=False), is_certain=False)


def _rank(failure: Failure) -> tuple[bool, int]:
    return not failure.window.is_whole, len(failure.window.numbers)


def _find_first(history: SlotHistory, timeline: Timeline, number: int, budget: Budget) -> Failure:
    """Return the operation whose return turns the history into a violation, trying first the one at
    which the judge failed.

    Raises:
        Exhausted: when the budget is used up.
    """
    is_sure = False
    while True:
        rows = _list_begun(timeline, number)
        here = int(np.searchsorted(rows, number))
        until = Timeline.compile(_cut(history, timeline, number))
        before = SlotPossibilities(_cut(history, timeline, number, is_returning=False), budget)
        before.watch(list_starts(until, here))
        earlier = before.run()
        if earlier is not None:
            number = int(rows[earlier])
            continue
        found = find_window(
            until,
            history.item_num,
            here,
            before.seen,
            Effort(budget.remaining_s(_WINDOW_S)),
            lowest_first=history.lowest_first,
        )
        if found is not None:
            return Failure(number, found._replace(numbers=rows[found.numbers].tolist()))
        if is_sure or _is_violation(history, timeline, number, budget):
            return Failure(number, Window([number], [], is_whole=False))
        number, is_sure = _find_later(history, timeline, number, budget), True


def _find_later(history: SlotHistory, timeline: Timeline, number: int, budget: Budget) -> int:
    """Return the first operation that returns later than this one and by whose return the history
    is a violation. The whole history is one.

    Raises:
        Exhausted: when the budget is used up.
    """
    later = np.flatnonzero((timeline.returned > timeline.returned[number]) & (history.outcome != PENDING))
    later = later[np.argsort(timeline.returned[later])]

    def is_late_enough(index: int) -> bool:
        return _is_violation(history, timeline, int(later[index]), budget)

    step = 1
    while step < len(later) and not is_late_enough(step - 1):
        step *= 2
    return int(later[bisect_left(range(min(step, len(later)) - 1), True, lo=step // 2, key=is_late_enough)])


def _is_violation(history: SlotHistory, timeline: Timeline, number: int, budget: Budget) -> bool:
    return SlotPossibilities(_cut(history, timeline, number), budget).run() is not None


def _list_begun(timeline: Timeline, number: int) -> Column:
    """Return the operations that were invoked before this one returned."""
    return np.flatnonzero(timeline.invoked < timeline.returned[number])


def _cut(history: SlotHistory, timeline: Timeline, number: int, is_returning: bool = True) -> SlotHistory:
    """Return what had happened when an operation returned, or just before."""
    rows = _list_begun(timeline, number)
    end = int(timeline.returned[number]) + is_returning
    part = replace(history, **{name: getattr(history, name)[rows] for name in _COLUMNS}, witness=None)
    return without_returns(part, np.flatnonzero(timeline.returned[rows] >= end))


def without_returns(history: SlotHistory, numbers: Sequence[int] | Column) -> SlotHistory:
    """Return the history as if some operations had not returned; their processes go on under other
    names.
    """
    outcome, process = history.outcome.copy(), history.process.copy()
    outcome[numbers] = PENDING
    fresh = np.arange(len(numbers)) + history.process.max(initial=-1) + 1
    process[numbers] = fresh
    called = {int(name): history.name(number) for name, number in zip(fresh, numbers, strict=True)}
    return replace(history, outcome=outcome, process=process, process_names=history.process_names | called)
