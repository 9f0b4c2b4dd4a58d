"""The window of a violation: the fewest calls of a history that contradict one another.

Interface:

- `minimise_history` gives the window of a history that was found not to be linearizable, and a
  sentence.
- `is_violation` and `shrink` are the pieces, for specifications that know more
  (`slotmem_model.judge.slots.window`).

A call is never left out: that could make a violation where none was. It is *relaxed*: its result
and its return are forgotten, so that it may have happened or not, at any time. Whatever remains a
violation then is one because of the other calls alone. A relaxed call need not have happened, so
the calls that remain are also a violation without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from slotmem_model.judge.budget import Budget, Effort, Exhausted
from slotmem_model.judge.events import Call, Event, History
from slotmem_model.judge.search import Possibilities, Step, find_failure

_ATTEMPT_S = 0.3  # an attempt that takes longer counts as failed: the window may then be larger than it need be
_ALL_S = 5.0
_WHOLE = 40  # histories of up to this many calls are minimised from their beginning
_LARGEST = 64  # of longer ones, at most this many of the last calls


def is_violation(history: History, initials: Iterable[Any], step: Step, seconds: float = _ATTEMPT_S) -> bool:
    """Return whether a history is certainly not linearizable; False also if finding out takes too
    long.
    """
    try:
        return find_failure(history, initials, step, Effort(seconds))[0] is not None
    except Exhausted:
        return False


def relax(history: History, relaxed: Iterable[int]) -> History:
    """Return the history with some calls pending for ever."""
    calls = list(history.calls)
    forgotten = set(relaxed)
    for number in forgotten:
        calls[number] = calls[number]._replace(result=None, returned=None)
    moments = tuple(moment for moment in history.moments if not (moment & 1 and moment >> 1 in forgotten))
    return History(tuple(calls), moments)


def cut(history: History, first: int, last: int) -> tuple[History, list[int]]:
    """Return the part between two positions, both in it, and the numbers that its calls have in the
    whole.

    What runs at the beginning of the part is relaxed, and what returns later is pending: both only
    allow more.
    """
    part = history.moments[first : last + 1]
    inside = {moment >> 1 for moment in part if not moment & 1}
    opened = {moment >> 1 for moment in history.moments[:first] if not moment & 1}
    opened -= {moment >> 1 for moment in history.moments[:first] if moment & 1}
    numbers = [*sorted(opened), *sorted(inside)]
    place = {number: index for index, number in enumerate(numbers)}
    closed = {moment >> 1 for moment in part if moment & 1} & inside
    calls = tuple(
        history.calls[number] if number in closed else history.calls[number]._replace(result=None, returned=None)
        for number in numbers
    )
    moments = [2 * place[number] for number in sorted(opened)]
    moments += [2 * place[moment >> 1] + (moment & 1) for moment in part if not moment & 1 or moment >> 1 in inside]
    return History(calls, tuple(moments)), numbers


def shrink(history: History, initials: Sequence[Any], step: Step, budget: Budget) -> list[int]:
    """Return the calls of a violation that it cannot do without, the others being relaxed, oldest
    first.
    """
    relaxed = {number for number, call in enumerate(history.calls) if call.is_pending}
    needed = [number for number in range(len(history.calls)) if number not in relaxed]
    failing = history.moments[-1] >> 1
    chunk = max(1, len(needed) // 2)
    while True:
        for start in range(0, len(needed), chunk):
            tried = set(needed[start : start + chunk]) - {failing}
            seconds = budget.remaining_s(_ATTEMPT_S)
            if tried and seconds > 0 and is_violation(relax(history, relaxed | tried), initials, step, seconds):
                relaxed |= tried
        needed = [number for number in needed if number not in relaxed]
        if chunk == 1:
            return needed
        chunk = max(1, chunk // 2)


def minimise_history(
    history: History, failed: int, initial: Any, step: Step, budget: Budget
) -> tuple[tuple[Event, ...], str, tuple[Any, ...]]:
    """Return the window of a violation that shows at position `failed`, a sentence, and the states
    that the window may begin in.

    If no time is left for that, the window is everything that had happened by then.
    """
    failing = history.calls[history.moments[failed] >> 1]
    try:
        part, numbers, states = _find_part(history, failed, initial, step, budget)
    except Exhausted:
        part, numbers = cut(history, 0, failed)
        return history.to_events(numbers), _describe(failing, len(numbers), []), (initial,)
    kept = [numbers[call] for call in shrink(part, states, step, Effort(budget.remaining_s(_ALL_S)))]
    is_end = len(part.calls) < len(history.calls)
    return history.to_events(kept), _describe(failing, len(kept), states if is_end else []), tuple(states)


def _find_part(
    history: History, failed: int, initial: Any, step: Step, budget: Budget
) -> tuple[History, list[int], list[Any]]:
    """Return the shortest end of the history that is a violation from every state that is possible
    at its beginning.
    """
    whole = cut(history, 0, failed)
    if len(whole[1]) <= _WHOLE:
        return *whole, [initial]
    starts = [position for position, moment in enumerate(history.moments[: failed + 1]) if not moment & 1]
    wanted = {starts[-size] for size in (1 << power for power in range(10)) if size <= min(_LARGEST, len(starts))}
    states: dict[int, list[Any]] = {}
    so_far = Possibilities(history.calls, [initial], step, budget)
    for position, moment in enumerate(history.moments[:failed]):
        if position in wanted:
            states[position] = list({possibility.state for possibility in so_far.held})
        if moment & 1:
            so_far.return_(moment >> 1)
        else:
            so_far.invoke(moment >> 1)
    for position in sorted(states, reverse=True):
        part, numbers = cut(history, position, failed)
        if is_violation(part, states[position], step):
            return part, numbers, states[position]
    return *whole, [initial]


def _describe(failing: Call, calls: int, states: Sequence[Any]) -> str:
    said = f"{failing.operation!r} by process {failing.process!r} returned {failing.result!r}"
    if calls > 1:
        said += f"; no order of this and {calls - 1} other {'call' if calls == 2 else 'calls'} explains that"
    elif not states:
        said += ", which is not possible whatever the others did"
    if states:
        some = " or ".join(map(repr, states[:3])) + (" or ..." if len(states) > 3 else "")
        said += f"{';' if calls > 1 else ', but'} the state before was {some}"
    return said
