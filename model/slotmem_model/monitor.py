"""The monitor: can what was invoked and returned so far be explained by the specification in some order?

Interface:

- `Monitor(initial, events)` begins with nothing pending; `advance(number, event)` gives the number of what follows.
- Number 0 is the empty set: no explanation is left, a violation of linearizability (ATOMIC-1).
- `states(number)` are the abstract states that memory may be in when nobody is inside an operation.

The monitor is a set of configurations: an abstract state, and for each process what it has pending: nothing, an operation,
or an operation that has taken effect, with its result. An invocation adds a pending operation to each. A return lets
pending operations take effect, in every order, until the returning one has; those that gave the result which was seen
remain. A crashed process's operation stays pending for ever: it may have taken effect, may still, or never. Sets are
numbered, and what follows is remembered, so that the search over a million states asks a few thousand times.

An operation that timed out waiting has not taken effect.
"""

from __future__ import annotations

from typing import NamedTuple

from slotmem_model import spec
from slotmem_model.automaton import Event
from slotmem_model.spec import Operation, Result, Slots

TIMED_OUT = "APR_TIMEUP"


class Taken(NamedTuple):
    """A pending operation that has taken effect, and its result."""

    result: Result


_Pending = tuple[Operation | Taken | None, ...]
_Configuration = tuple[Slots, _Pending]
_Set = frozenset[_Configuration]


class Monitor:
    """Numbered sets of configurations, and the transitions between them."""

    def __init__(self, initial: Slots, processes: int, events: list[tuple[Event, ...]]) -> None:
        self._events = events
        self._sets: list[_Set] = [frozenset()]
        self._numbers: dict[_Set, int] = {self._sets[0]: 0}
        self._steps: dict[tuple[Slots, Operation], tuple[Slots, Result]] = {}
        self.initial = self._number(frozenset({(initial, (None,) * processes)}))

    def __len__(self) -> int:
        return len(self._sets)

    def advance(self, number: int, event: int) -> int:
        """Give the set that follows when the events of one step have happened."""
        after = self._sets[number]
        for _, process, what in self._events[event]:
            if isinstance(what, Result):
                after = self._returned(after, process, what)
            else:
                after = self._invoked(after, process, what)
        return self._number(after)

    def allowed(self, number: int, event: int) -> frozenset[Result]:
        """Give what the operation that returns in a step's events could have answered instead."""
        *invoked, (_, process, _) = self._events[event]
        before = self._sets[number]
        for _, other, what in invoked:
            before = self._invoked(before, other, what)
        taken = (pending[process] for _, pending in self._closed(before, process))
        return frozenset(each.result for each in taken if isinstance(each, Taken))

    def states(self, number: int) -> frozenset[Slots]:
        """Give every abstract state that may be memory's now, whatever pending operations have done so far."""
        return frozenset(state for state, _ in self._closed(self._sets[number]))

    def configurations(self, number: int) -> _Set:
        """Give the configurations of a set."""
        return self._sets[number]

    def _number(self, configurations: _Set) -> int:
        if configurations not in self._numbers:
            self._numbers[configurations] = len(self._sets)
            self._sets.append(configurations)
        return self._numbers[configurations]

    @staticmethod
    def _invoked(before: _Set, process: int, operation: Operation) -> _Set:
        return frozenset((state, _with(pending, process, operation)) for state, pending in before)

    def _returned(self, before: _Set, process: int, result: Result) -> _Set:
        if result.status == TIMED_OUT:
            return frozenset(
                (state, _with(pending, process, None))
                for state, pending in before
                if not isinstance(pending[process], Taken)
            )
        return frozenset(
            (state, _with(pending, process, None))
            for state, pending in self._closed(before, process)
            if pending[process] == Taken(result)
        )

    def _closed(self, before: _Set, until: int | None = None) -> _Set:
        """Let pending operations take effect in every order; nothing after that of process `until`."""
        found = set(before)
        waiting = list(before)
        while waiting:
            state, pending = waiting.pop()
            if until is not None and isinstance(pending[until], Taken):
                continue
            for process, operation in enumerate(pending):
                if operation is None or isinstance(operation, Taken):
                    continue
                after, result = self._step(state, operation)
                configuration = (after, _with(pending, process, Taken(result)))
                if configuration not in found:
                    found.add(configuration)
                    waiting.append(configuration)
        return frozenset(found)

    def _step(self, state: Slots, operation: Operation) -> tuple[Slots, Result]:
        key = (state, operation)
        if key not in self._steps:
            self._steps[key] = spec.step(state, operation)
        return self._steps[key]


def _with(pending: _Pending, process: int, what: Operation | Taken | None) -> _Pending:
    return (*pending[:process], what, *pending[process + 1 :])
