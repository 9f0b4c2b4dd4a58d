"""The judge of recorded histories of slots: the general search, with a compact state.

Interface:

- `judge(history)` judges columns (`slotmem_model.judge.slots.history`); `check_slots(events,
  initial)` judges events, and passes those that do not fit into columns to the judge of any
  specification. Both give a `Verdict`.
- A history with a witness is first replayed in the witness's order. Accepted, it is linearizable;
  else the full judging follows.

How fast it is depends on the values: with a value of its own for every put it hardly ever has to
follow more than a few possibilities. With repeated values it is right too, but may need more than
its budget.
"""

from __future__ import annotations

from collections.abc import Iterable

from slotmem_model import spec
from slotmem_model.judge.budget import Budget, Exhausted
from slotmem_model.judge.events import Event
from slotmem_model.judge.linearizability import LINEARIZABLE, UNKNOWN, VIOLATION, Verdict, check
from slotmem_model.judge.slots.failure import find_clearest
from slotmem_model.judge.slots.history import SlotHistory, Unsuited, from_events
from slotmem_model.judge.slots.possibilities import SlotPossibilities
from slotmem_model.judge.slots.sentences import NO_TIME, describe, to_events
from slotmem_model.judge.slots.witness import is_accepted


def judge(history: SlotHistory, *, budget_s: float | None = None, memory_mb: float | None = 1024) -> Verdict:
    """Judge a history of slots with PREGRAB."""
    if is_accepted(history):
        return Verdict(LINEARIZABLE, judged=len(history), possibilities=1)
    budget = Budget(budget_s, memory_mb)
    try:
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


def check_slots(
    events: Iterable[Event],
    initial: spec.Slots,
    *,
    budget_s: float | None = None,
    memory_mb: float | None = 1024,
) -> Verdict:
    """Judge a history of the operations of `slotmem_model.spec`, beginning in the given state.

    Raises:
        MalformedHistory: a ValueError, if the events are not those of processes that do one
            operation after the other.
    """
    events = list(events)
    try:
        history = from_events(events, initial)
    except Unsuited:
        step = lambda state, operation: (spec.step(state, operation),)  # noqa: E731
        return check(events, initial, step, budget_s=budget_s, memory_mb=memory_mb)
    return judge(history, budget_s=budget_s, memory_mb=memory_mb)
