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
from dataclasses import replace

from slotmem_model import spec
from slotmem_model.judge.budget import Budget, Effort, Exhausted
from slotmem_model.judge.events import Event
from slotmem_model.judge.linearizability import LINEARIZABLE, UNKNOWN, VIOLATION, Verdict, check
from slotmem_model.judge.slots.history import PENDING, SlotHistory, Unsuited, from_events
from slotmem_model.judge.slots.possibilities import SlotPossibilities
from slotmem_model.judge.slots.sentences import describe, to_events
from slotmem_model.judge.slots.timeline import Timeline
from slotmem_model.judge.slots.window import State, Window, find_window
from slotmem_model.judge.slots.witness import is_accepted

_LOOK_FURTHER_S = 2.0


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
    judged = int((possibilities.timeline.invoked <= possibilities.timeline.returned[failed[1]]).sum())
    number, window = _find_clearest(history, possibilities.timeline, failed, budget)
    reason = describe(history, window.numbers, number)
    numbers = (number, *(other for other in window.numbers if other != number))
    return Verdict(
        VIOLATION,
        reason,
        to_events(history, window.numbers),
        tuple(window.states),
        judged,
        possibilities.most,
        numbers,
        window.is_whole,
    )


def _find_clearest(
    history: SlotHistory, timeline: Timeline, failed: tuple[int, int], budget: Budget
) -> tuple[int, Window]:
    """Return the first operation that cannot be explained and has a clear window; if there is none
    soon, the clearest there is.

    An operation that very many contradict is taken for one that did not return. That allows more,
    so what cannot be explained then is a violation by itself.
    """
    number, window = best = failed[1], _find_window(history, timeline, *failed, budget)
    effort = Effort(budget.remaining_s(_LOOK_FURTHER_S))
    while not best[1].is_clear and effort.remaining_s(1.0):
        history = without_return(history, number)
        try:
            possibilities = SlotPossibilities(history, budget)
            another = possibilities.run()
        except Exhausted:
            break
        if another is None:
            break
        number, window = another[1], _find_window(history, possibilities.timeline, *another, budget)
        best = min(best, (number, window), key=lambda found: (not found[1].is_whole, len(found[1].numbers)))
    return best


def without_return(history: SlotHistory, number: int) -> SlotHistory:
    """Return the history in which an operation did not return; who did it goes on under another
    name.
    """
    outcome, process = history.outcome.copy(), history.process.copy()
    outcome[number] = PENDING
    process[number] = history.process.max() + 1
    return replace(history, outcome=outcome, process=process)


def _find_window(history: SlotHistory, timeline: Timeline, position: int, number: int, budget: Budget) -> Window:
    """Return the window of a violation; one that is not whole if there is no time for it."""

    def states_at(positions: list[int]) -> dict[int, list[State]]:
        possibilities = SlotPossibilities(history, budget, positions)
        possibilities.run()
        return possibilities.seen

    try:
        return find_window(timeline, history.item_num, number, position, states_at, budget)
    except Exhausted:
        return Window([number], [], is_whole=False)


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
