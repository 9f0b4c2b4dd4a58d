"""The search behind the judge: event by event, every way in which a history can be explained.

Interface: `Possibilities` holds them; `find_failure(history, initials, step, budget)` goes through
a history and returns the first moment that nothing explains.

A *possibility* (Herlihy and Wing 1990) is an abstract state, together with the pending calls that
have already taken effect in it. An invocation adds a pending call. A return is met by letting
pending calls take effect, one after the other, until the returning one has: just in time, no sooner
(Lowe 2017). Possibilities in which it cannot are dropped; when none is left, the history is not
linearizable. Wing and Gong (1993) search the same tree depth first, one order after the other; here
all orders go on side by side, so that a history of any length costs as much as its widest moment.
Horn and Kroening (2015) split a history by object before they search it; the fast judge of slots
(`slotmem_model.judge.slots`) goes further, and is held to this one.

Three things keep the set small. Each is sound for every specification:

- Results are known before the judging starts, so a call takes effect only with the result that it
  will return.
- Of pending calls that are equal, the one that returns first takes effect first: swapping the two
  explains nothing more.
- Of two possibilities that differ only in which crashed calls took effect, the one with fewer of
  them can do whatever the other can.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, NamedTuple

from slotmem_model.judge.budget import Budget
from slotmem_model.judge.events import Call, History

State = Any
Step = Callable[[Any, Any], Iterable[tuple[Any, Any]]]


class Possibility(NamedTuple):
    """A state, the returning calls that have taken effect and not yet returned, and the crashed
    calls that have.
    """

    state: State
    done: frozenset[int]
    used: frozenset[int]


class Possibilities:
    """The possibilities that explain a history so far: `held`.

    Pass each moment of the history to `invoke` or `return_`; `return_` says whether anything is
    left that explains it.
    """

    def __init__(self, calls: tuple[Call, ...], initials: Iterable[State], step: Step, budget: Budget) -> None:
        self._calls = calls
        self._step = step
        self._budget = budget
        self._kinds = _number_kinds(calls)
        self._pending: dict[Any, list[int]] = {}  # by kind: first those that return, in that order, then the others
        self.held = {Possibility(initial, frozenset(), frozenset()) for initial in initials}

    def invoke(self, number: int) -> None:
        """Add a pending call."""
        same = self._pending.setdefault(self._kinds[number], [])
        same.append(number)
        same.sort(key=self._compute_deadline)

    def return_(self, number: int) -> bool:
        """Let a pending call return, and say whether any possibility is left."""
        explained: set[Possibility] = set()
        for possibility in self.held:
            if number in possibility.done:
                explained.add(possibility._replace(done=possibility.done - {number}))
            else:
                explained.update(self._let_happen(possibility, number))
        kind = self._kinds[number]
        self._pending[kind].remove(number)
        if not self._pending[kind]:
            del self._pending[kind]
        self.held = _drop_dominated(explained)
        return bool(explained)

    def _let_happen(self, start: Possibility, number: int) -> Iterator[Possibility]:
        """Yield what follows when pending calls take effect in any order, this one last."""
        seen = {start}
        stack = [start]
        while stack:
            possibility = stack.pop()
            for candidate in self._candidates(possibility):
                call = self._calls[candidate]
                for state, result in self._step(possibility.state, call.operation):
                    self._budget.spend()
                    if call.is_pending:
                        after = possibility._replace(state=state, used=possibility.used | {candidate})
                    elif result != call.result:
                        continue
                    elif candidate == number:
                        yield possibility._replace(state=state)
                        continue
                    else:
                        after = possibility._replace(state=state, done=possibility.done | {candidate})
                    if after not in seen:
                        seen.add(after)
                        stack.append(after)

    def _candidates(self, possibility: Possibility) -> Iterator[int]:
        for same in self._pending.values():
            for number in same:
                if number not in possibility.done and number not in possibility.used:
                    yield number
                    break

    def _compute_deadline(self, number: int) -> tuple[bool, int]:
        returned = self._calls[number].returned
        return returned is None, returned or 0


def _number_kinds(calls: tuple[Call, ...]) -> list[Any]:
    """Return the kind of each call: calls that ask and answer the same are of one kind; one that
    cannot be hashed is a kind of its own.
    """
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
    """A value that equals another only if its text does too: 1, 1.0 and True are not the same
    operation.
    """

    def __init__(self, value: Any) -> None:
        self._key = (value, repr(value))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Typed) and self._key == other._key


def _drop_dominated(possibilities: set[Possibility]) -> set[Possibility]:
    """Drop each possibility that another equals, except that it used fewer crashed calls."""
    if not any(possibility.used for possibility in possibilities):
        return possibilities
    minimal: dict[tuple[State, frozenset[int]], list[Possibility]] = {}
    for possibility in sorted(possibilities, key=lambda possibility: len(possibility.used)):
        kept = minimal.setdefault(possibility[:2], [])
        if not any(other.used <= possibility.used for other in kept):
            kept.append(possibility)
    return {possibility for kept in minimal.values() for possibility in kept}


def find_failure(history: History, initials: Iterable[State], step: Step, budget: Budget) -> tuple[int | None, int]:
    """Find the first moment that nothing explains (None: all are explained), and the most
    possibilities held at once.

    Raises:
        Exhausted: when the budget is used up.
    """
    so_far = Possibilities(history.calls, initials, step, budget)
    most = len(so_far.held)
    for position, moment in enumerate(history.moments):
        budget.spend()
        if not moment & 1:
            so_far.invoke(moment >> 1)
        elif not so_far.return_(moment >> 1):
            return position, most
        most = max(most, len(so_far.held))
    return None, most
