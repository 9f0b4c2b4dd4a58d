"""The judge of recorded histories of slots: the general search, with a compact state.

Interface:

- `judge(history)` judges columns (`slotmem_model.judge.slots.history`); `check_slots(events,
  initial)` judges events, and passes those that do not fit into columns to the judge of any
  specification. Both give a `Verdict`.
- Without PREGRAB, where get and put mark slots too, the judge of any specification takes over.
- A history with a witness is first replayed in the witness's order. If that explains it, it is
  linearizable; if not, it is judged in full.
- Where grab may give any free slot, the judge first tries whether every grab gave the lowest, which
  is faster to judge.

How fast it is depends on the values: with a value of its own for every put it hardly ever has to
follow more than a few possibilities. With repeated values it is just as right, but may need more
than its budget.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import numpy as np

from slotmem_model import spec
from slotmem_model.judge.budget import Budget, Exhausted
from slotmem_model.judge.events import Event, Return
from slotmem_model.judge.linearizability import LINEARIZABLE, UNKNOWN, VIOLATION, Verdict, check
from slotmem_model.judge.slots.failure import find_clearest
from slotmem_model.judge.slots.history import SlotHistory, Unsuited, from_events
from slotmem_model.judge.slots.possibilities import SlotPossibilities
from slotmem_model.judge.slots.sentences import NO_TIME, answered, describe, to_events
from slotmem_model.judge.slots.witness import is_accepted


def judge(history: SlotHistory, *, budget_s: float | None = None, memory_mb: float | None = 1024) -> Verdict:
    """Judge a history of slots."""
    strictly = replace(history, lowest_first=True)
    if is_accepted(strictly):
        return Verdict(LINEARIZABLE, judged=len(history), possibilities=1)
    if not history.pregrab:
        return _judge_by_specification(history, budget_s, memory_mb)
    budget = Budget(budget_s, memory_mb)
    try:
        possibilities = SlotPossibilities(strictly, budget)
        failed = possibilities.run()
        if failed is not None and not history.lowest_first:
            possibilities = SlotPossibilities(history, budget)
            failed = possibilities.run()
    except Exhausted as exhausted:
        return Verdict(UNKNOWN, str(exhausted))
    if failed is None:
        return Verdict(LINEARIZABLE, judged=len(history), possibilities=possibilities.most)
    judged = int((possibilities.timeline.invoked <= possibilities.timeline.returned[failed]).sum())
    found = find_clearest(history, possibilities.timeline, failed, budget)
    numbers = (found.number, *(other for other in found.window.numbers if other != found.number))
    return Verdict(
        VIOLATION,
        describe(history, found.window, found.number) if found.is_certain else NO_TIME,
        to_events(history, found.window.numbers),
        tuple(found.window.states),
        judged,
        possibilities.most,
        numbers,
        found.window.is_whole,
    )


def _judge_by_specification(history: SlotHistory, budget_s: float | None, memory_mb: float | None) -> Verdict:
    """Judge by the specification itself, with bytes for the values. Each operation counts as that
    of a process of its own, so that its row can be found again.
    """
    names = {value: b"%24d" % value for value in (*np.unique(history.value).tolist(), *history.first_values())}
    told = replace(history, process=np.arange(len(history)), process_names={}, value_names=names)
    used = tuple(bool(history.inuse >> slot & 1) for slot in range(history.item_num))
    initial = spec.Slots(24, False, used, tuple(names[value] for value in history.first_values()))
    step = partial(spec.steps, lowest_first=history.lowest_first)
    verdict = check(to_events(told, range(len(history))), initial, step, budget_s=budget_s, memory_mb=memory_mb)
    if verdict.name != VIOLATION:
        return verdict
    returned = [int(str(event.process)) for event in verdict.window if isinstance(event, Return)]
    number = returned[-1]  # a window ends with the return that nothing explains
    numbers = (number, *(other for other in dict.fromkeys(returned) if other != number))
    reason = f"{answered(history, number)}, which no order of the operations shown explains"
    return replace(verdict, reason=reason, window=to_events(history, sorted(numbers)), before=(), numbers=numbers)


def check_slots(
    events: Iterable[Event],
    initial: spec.Slots,
    *,
    lowest_first: bool = True,
    budget_s: float | None = None,
    memory_mb: float | None = 1024,
) -> Verdict:
    """Judge a history of the operations of `slotmem_model.spec` that begins in the given state.

    With `lowest_first` grab must give the lowest free slot (GRAB-2), otherwise any.

    Raises:
        MalformedHistory: a ValueError, if the events are not those of processes that do one
            operation after the other.
    """
    events = list(events)
    try:
        history = from_events(events, initial, lowest_first=lowest_first)
    except Unsuited:
        step = partial(spec.steps, lowest_first=lowest_first)
        return check(events, initial, step, budget_s=budget_s, memory_mb=memory_mb)
    return judge(history, budget_s=budget_s, memory_mb=memory_mb)
