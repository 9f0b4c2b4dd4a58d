"""An order that explains a history, as far as one can: what a picture of a history is drawn from.

Interface: `find_order(events, initials, step)` gives an `Order`: the calls in the order in which
they take effect, with the state after each; and the call at whose return no order is left.

The judge says only whether there is an order; this keeps one. It runs the judge's own search on
states that remember how they came about, and that are equal even if they came about differently. So
it costs a little more than judging, and is meant for a few thousand operations. Where several
orders explain the history, it gives one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from slotmem_model.judge.budget import Budget
from slotmem_model.judge.events import Event, History
from slotmem_model.judge.search import Possibilities, State, Step


class Placed(NamedTuple):
    """A call that takes effect, and the state after it."""

    call: int
    state: State


class Order(NamedTuple):
    """An order of the calls of `history` that explains it up to the return of `failed` (None: all
    of it).

    Calls that are not in `placed` have not taken effect: they were pending, or returned later than
    `failed`.
    """

    history: History
    first: State
    placed: tuple[Placed, ...]
    failed: int | None


class _Traced:
    """A state that remembers how it came about; equal to the same state, however it came about."""

    __slots__ = ("before", "call", "state")

    def __init__(self, state: State, before: _Traced | None = None, call: int = -1) -> None:
        self.state, self.before, self.call = state, before, call

    def __hash__(self) -> int:
        return hash(self.state)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Traced) and self.state == other.state


class _Numbered:
    """An operation that knows its call; equal to the same operation of another call."""

    __slots__ = ("call", "operation")

    def __init__(self, operation: Any, call: int) -> None:
        self.operation, self.call = operation, call

    def __hash__(self) -> int:
        return hash(self.operation)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Numbered) and self.operation == other.operation

    def __repr__(self) -> str:
        return repr(self.operation)


def find_order(events: Iterable[Event], initials: Iterable[State], step: Step, budget: Budget | None = None) -> Order:
    """Find an order that begins in one of the states `initials`.

    Raises:
        MalformedHistory: a ValueError.
        Exhausted: when the budget is used up.
    """

    def traced(state: _Traced, operation: _Numbered) -> Iterator[tuple[_Traced, Any]]:
        for after, result in step(state.state, operation.operation):
            yield _Traced(after, state, operation.call), result

    history = History.from_events(events)
    budget = budget or Budget()
    calls = tuple(
        call._replace(operation=_Numbered(call.operation, number)) for number, call in enumerate(history.calls)
    )
    so_far = Possibilities(calls, [_Traced(initial) for initial in initials], traced, budget)
    before = so_far.held
    for moment in history.moments:
        budget.spend()
        if not moment & 1:
            so_far.invoke(moment >> 1)
        elif not so_far.return_(moment >> 1):
            return _told(history, before, moment >> 1)
        else:
            before = so_far.held
    return _told(history, before, None)


def _told(history: History, possibilities: Iterable[Any], failed: int | None) -> Order:
    """Follow one possibility back to the beginning: the one in which the fewest calls took effect,
    since no more is certain.
    """
    chains = [_chain(possibility.state) for possibility in possibilities]
    first, placed = min(chains, key=lambda chain: (len(chain[1]), [at.call for at in chain[1]]))
    return Order(history, first, tuple(placed), failed)


def _chain(last: _Traced) -> tuple[State, list[Placed]]:
    placed = []
    while last.before is not None:
        placed.append(Placed(last.call, last.state))
        last = last.before
    return last.state, placed[::-1]
