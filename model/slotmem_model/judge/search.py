"""The judge of recorded histories: can some order of the operations, each at one instant, explain what was seen?

Interface:

- `check(events, initial, step)` judges a history against any specification and gives a `Verdict`.
- `Monitor` is what it runs: the set of configurations, event by event.
- A verdict is LINEARIZABLE, VIOLATION (with a window: the calls that contradict one another, and one sentence) or UNKNOWN
  (the budget is used up). It is never a guess.

A *configuration* is an abstract state, and the pending calls that have already taken effect in it. An invocation adds a pending
call. A return is met by letting pending calls take effect, one after the other, until the returning one has (just in time, no sooner);
configurations in which it cannot are dropped. When none is left, the history is not linearizable. The specification of slots has a
faster judge, `slotmem_model.judge.slots.judge`, which is held to this one.

Three things keep the set small. Each is sound for every specification:

- Results are known before the judging starts, so a call takes effect only with the result that it will return.
- Of pending calls that are equal, the one that returns first takes effect first: two that are swapped explain the same.
- Of two configurations that differ only in which crashed calls took effect, the one with fewer of them can do whatever the other can.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from slotmem_model.judge.budget import Budget, Exhausted
from slotmem_model.judge.events import Call, Crash, Event, History, Invoke, MalformedHistory, Return

__all__ = [
    "LINEARIZABLE",
    "UNKNOWN",
    "VIOLATION",
    "Crash",
    "Event",
    "Invoke",
    "MalformedHistory",
    "Return",
    "Verdict",
    "check",
]

LINEARIZABLE = "LINEARIZABLE"
VIOLATION = "VIOLATION"
UNKNOWN = "UNKNOWN"

State = Any
Step = Callable[[Any, Any], Iterable[tuple[Any, Any]]]


@dataclass(frozen=True)
class Verdict:
    """What the judge found.

    `reason` is a sentence, empty for LINEARIZABLE. `window` has the events of the calls that contradict one another; they are a
    violation by themselves, beginning in any of the states in `before` (none given: in any state); unless it is not whole: then it has
    only the one call that cannot be explained, because those that contradict it are too many to be shown. `judged` counts the operations that
    were looked at, `configurations` the most that were held at once. `numbers` are the rows of the window's operations, if the
    history was given in columns; the one that cannot be explained comes first.
    """

    name: str
    reason: str = ""
    window: tuple[Event, ...] = ()
    before: tuple[Any, ...] = ()
    judged: int = 0
    configurations: int = 0
    numbers: tuple[int, ...] = ()
    is_whole: bool = True


class Configuration(NamedTuple):
    """A state, the returning calls that have taken effect and not yet returned, and the crashed calls that have."""

    state: State
    done: frozenset[int]
    used: frozenset[int]


class Monitor:
    """The configurations that explain a history so far.

    Pass each moment of the history to `invoke` or `return_`; `return_` says whether anything is left that explains it.
    """

    def __init__(self, calls: tuple[Call, ...], initials: Iterable[State], step: Step, budget: Budget) -> None:
        self._calls = calls
        self._step = step
        self._budget = budget
        self._kinds = _number_kinds(calls)
        self._pending: dict[Any, list[int]] = {}  # by kind; those that return, by the time of it, then the others
        self.configurations = {Configuration(initial, frozenset(), frozenset()) for initial in initials}

    def invoke(self, number: int) -> None:
        """Add a pending call."""
        same = self._pending.setdefault(self._kinds[number], [])
        same.append(number)
        same.sort(key=self._compute_deadline)

    def return_(self, number: int) -> bool:
        """Let a pending call return. Gives False if no configuration is left."""
        explained: set[Configuration] = set()
        for configuration in self.configurations:
            if number in configuration.done:
                explained.add(configuration._replace(done=configuration.done - {number}))
            else:
                explained.update(self._let_happen(configuration, number))
        kind = self._kinds[number]
        self._pending[kind].remove(number)
        if not self._pending[kind]:
            del self._pending[kind]
        self.configurations = _drop_dominated(explained)
        return bool(explained)

    def _let_happen(self, start: Configuration, number: int) -> Iterator[Configuration]:
        """Give what follows when pending calls take effect in any order, the last of them this one."""
        seen = {start}
        stack = [start]
        while stack:
            configuration = stack.pop()
            for candidate in self._candidates(configuration):
                call = self._calls[candidate]
                for state, result in self._step(configuration.state, call.operation):
                    self._budget.spend()
                    if call.is_pending:
                        after = configuration._replace(state=state, used=configuration.used | {candidate})
                    elif result != call.result:
                        continue
                    elif candidate == number:
                        yield configuration._replace(state=state)
                        continue
                    else:
                        after = configuration._replace(state=state, done=configuration.done | {candidate})
                    if after not in seen:
                        seen.add(after)
                        stack.append(after)

    def _candidates(self, configuration: Configuration) -> Iterator[int]:
        for same in self._pending.values():
            for number in same:
                if number not in configuration.done and number not in configuration.used:
                    yield number
                    break

    def _compute_deadline(self, number: int) -> tuple[bool, int]:
        returned = self._calls[number].returned
        return returned is None, returned or 0


def _number_kinds(calls: tuple[Call, ...]) -> list[Any]:
    """Give calls that ask and answer the same the same kind; what cannot be hashed is a kind of its own."""
    kinds: list[Any] = []
    for number, call in enumerate(calls):
        kind: Hashable = (_Typed(call.operation), call.is_pending, _Typed(call.result))
        try:
            hash(kind)
        except TypeError:
            kind = number
        kinds.append(kind)
    return kinds


class _Typed:
    """A value that equals another only if its text does too: 1, 1.0 and True are not the same operation."""

    def __init__(self, value: Any) -> None:
        self._key = (value, repr(value))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Typed) and self._key == other._key


def _drop_dominated(configurations: set[Configuration]) -> set[Configuration]:
    """Drop each configuration that another one equals but for having used fewer crashed calls."""
    if not any(configuration.used for configuration in configurations):
        return configurations
    minimal: dict[tuple[State, frozenset[int]], list[Configuration]] = {}
    for configuration in sorted(configurations, key=lambda configuration: len(configuration.used)):
        kept = minimal.setdefault(configuration[:2], [])
        if not any(other.used <= configuration.used for other in kept):
            kept.append(configuration)
    return {configuration for kept in minimal.values() for configuration in kept}


def find_failure(history: History, initials: Iterable[State], step: Step, budget: Budget) -> tuple[int | None, int]:
    """Find the first moment that nothing explains, None if all are explained; and the most configurations held.

    Raises: Exhausted when the budget is used up.
    """
    monitor = Monitor(history.calls, initials, step, budget)
    most = len(monitor.configurations)
    for position, moment in enumerate(history.moments):
        budget.spend()
        if not moment & 1:
            monitor.invoke(moment >> 1)
        elif not monitor.return_(moment >> 1):
            return position, most
        most = max(most, len(monitor.configurations))
    return None, most


def check(
    events: Iterable[Event],
    initial: State,
    step: Step,
    *,
    budget_s: float | None = None,
    memory_mb: float | None = 1024,
) -> Verdict:
    """Judge a history against a specification.

    `events` are in the order of time. `step(state, operation)` yields every (state, result) that the specification allows; states
    are hashable. Pending calls may have taken effect or not.

    Raises: MalformedHistory, a ValueError, if the events are not those of processes that do one operation after the other.
    """
    from slotmem_model.judge.window import minimise_history  # here, since it is built on this module

    history = History.from_events(events)
    budget = Budget(budget_s, memory_mb)
    try:
        failed, most = find_failure(history, [initial], step, budget)
    except Exhausted as exhausted:
        return Verdict(UNKNOWN, str(exhausted))
    if failed is None:
        return Verdict(LINEARIZABLE, judged=len(history.calls), configurations=most)
    window, reason, before = minimise_history(history, failed, initial, step, budget)
    judged = sum(1 for moment in history.moments[: failed + 1] if not moment & 1)
    return Verdict(VIOLATION, reason, window, before, judged, most)
