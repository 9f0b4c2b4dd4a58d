"""The judge of recorded histories: can some order of the operations explain what was seen?

Interface:

- `check(events, initial, step)` judges a history against any specification and returns a `Verdict`.
- A verdict is LINEARIZABLE, VIOLATION (with a window: the calls that contradict one another, and
  one sentence) or UNKNOWN (the budget is used up). It is never a guess.

`search` explains how it searches, `window` how the window is found. The public name of this module
is `slotmem_model.linearizability`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from slotmem_model.judge.budget import Budget, Exhausted
from slotmem_model.judge.events import Event, History
from slotmem_model.judge.search import State, Step, find_failure
from slotmem_model.judge.window import minimise_history

LINEARIZABLE = "LINEARIZABLE"
VIOLATION = "VIOLATION"
UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Verdict:
    """What the judge found.

    - `reason` is a sentence, empty for LINEARIZABLE.
    - `window` has the events of the calls that contradict one another. They are a violation by
      themselves, whichever of the states in `before` they begin in (none given: any state).
    - `is_whole` is False if the calls that contradict one another are too many to show; the window
      then has only the call that cannot be explained.
    - `judged` counts the operations that were looked at, `possibilities` the most that were held at
      once.
    - `numbers` are the rows of the window's operations, if the history came in columns; the one
      that cannot be explained is first.
    """

    name: str
    reason: str = ""
    window: tuple[Event, ...] = ()
    before: tuple[Any, ...] = ()
    judged: int = 0
    possibilities: int = 0
    numbers: tuple[int, ...] = ()
    is_whole: bool = True


def check(
    events: Iterable[Event],
    initial: State,
    step: Step,
    *,
    budget_s: float | None = None,
    memory_mb: float | None = 1024,
) -> Verdict:
    """Judge a history against a specification.

    `events` are in time order. `step(state, operation)` yields every (state, result) that the
    specification allows; states are hashable. Pending calls may have taken effect or not.

    Raises:
        MalformedHistory: a ValueError, if the events are not those of processes that do one
            operation after the other.
    """
    history = History.from_events(events)
    budget = Budget(budget_s, memory_mb)
    try:
        failed, most = find_failure(history, [initial], step, budget)
    except Exhausted as exhausted:
        return Verdict(UNKNOWN, str(exhausted))
    if failed is None:
        return Verdict(LINEARIZABLE, judged=len(history.calls), possibilities=most)
    window, reason, before = minimise_history(history, failed, initial, step, budget)
    judged = sum(1 for moment in history.moments[: failed + 1] if not moment & 1)
    return Verdict(VIOLATION, reason, window, before, judged, most)
