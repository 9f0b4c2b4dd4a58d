"""The monitor: does some order of the operations so far agree with the specification?

Interface:

- `Monitor(initial, processes, events, step)` begins with nothing pending; `advance(number, event)`
  returns the number of the set that follows.
- Number 0 is the empty set: no explanation is left, a violation of linearizability (ATOMIC-1).
- `states(number)` are the abstract states that memory may be in when nobody is inside an operation.

The monitor is a set of possibilities (Herlihy and Wing, 1990), called configurations below: an
abstract state, and for each process what it has pending: nothing, an operation, or an operation
that has taken effect, with its result. An invocation adds a pending operation to each. A return
lets pending operations take effect, in every order, until the returning one has (just in time, as
Lowe does with histories); those in which it had the result that was seen remain. A crashed
process's operation stays pending for ever: it may have taken effect, may still, or never (unless
the monitor is told of the death: then it has by now, or never will). Unlike
the judges of single histories, this is one more automaton of the product: configurations and sets
are numbered, and what follows is remembered, so that the search over a million states asks a few
thousand times.

An operation that timed out waiting has not taken effect.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from slotmem_model.automata.automaton import Event
from slotmem_model.automata.kind import Step
from slotmem_model.spec import Operation, Result

TIMED_OUT = Result("APR_TIMEUP")


class Taken(NamedTuple):
    """A pending operation that has taken effect, and its result."""

    result: Result


_Pending = tuple[Operation | Taken | None, ...]
_Configuration = tuple[Any, _Pending]
_Set = frozenset[int]
"""Configurations are numbered too."""


class Monitor:
    """Numbered sets of configurations, and the transitions between them."""

    def __init__(self, initial: Any, processes: int, events: list[tuple[Event, ...]], step: Step) -> None:
        self._events = events
        self._specification = step
        self._configurations: list[_Configuration] = []
        self._configuration_numbers: dict[_Configuration, int] = {}
        self._sets: list[_Set] = [frozenset()]
        self._numbers: dict[_Set, int] = {self._sets[0]: 0}
        self._steps: dict[tuple[Any, Operation, int], tuple[tuple[Any, Result], ...]] = {}
        self._invocations: dict[tuple[int, int, Operation], int] = {}
        self._returns: dict[tuple[int, int], dict[Result, _Set]] = {}
        self.initial = self._number(frozenset({self._configuration(initial, (None,) * processes)}))

    def __len__(self) -> int:
        return len(self._sets)

    def advance(self, number: int, event: int) -> int:
        """Return the number of the set that follows when the events of one step have happened."""
        after = self._sets[number]
        for kind, process, what in self._events[event]:
            if kind == "crash":
                after = frozenset().union(*(self._crashed(one, process) for one in after))
            elif isinstance(what, Result):
                after = frozenset().union(*(self._returned(one, process).get(what, ()) for one in after))
            else:
                after = frozenset(self._invoked(one, process, what) for one in after)
        return self._number(after)

    def allowed(self, number: int, event: int) -> frozenset[Result]:
        """Return the results that the operation which returns in a step's events could have had
        (other than timing out).
        """
        *invoked, (_, process, _) = self._events[event]
        before = self._sets[number]
        for _, other, operation in invoked:
            before = frozenset(self._invoked(one, other, operation) for one in before)
        return frozenset().union(*(self._returned(one, process) for one in before)) - {TIMED_OUT}

    def states(self, number: int) -> frozenset[Any]:
        """Return every abstract state that may be memory's now, whatever pending operations have
        done so far.
        """
        return frozenset(
            state for one in self._sets[number] for state, _ in self._closed(self._configurations[one], None)
        )

    def configurations(self, number: int) -> frozenset[_Configuration]:
        """Return the configurations of a set."""
        return frozenset(self._configurations[one] for one in self._sets[number])

    def swapped(self, number: int, one: int, two: int) -> int:
        """Return the number of the set in which two processes have changed places."""
        found = []
        for state, pending in self.configurations(number):
            order = list(pending)
            order[one], order[two] = order[two], order[one]
            found.append(self._configuration(state, tuple(order)))
        return self._number(frozenset(found))

    def _number(self, configurations: _Set) -> int:
        if configurations not in self._numbers:
            self._numbers[configurations] = len(self._sets)
            self._sets.append(configurations)
        return self._numbers[configurations]

    def _configuration(self, state: Any, pending: _Pending) -> int:
        configuration = (state, pending)
        if configuration not in self._configuration_numbers:
            self._configuration_numbers[configuration] = len(self._configurations)
            self._configurations.append(configuration)
        return self._configuration_numbers[configuration]

    def _invoked(self, one: int, process: int, operation: Operation) -> int:
        """Return the configuration in which a process has an operation pending."""
        key = (one, process, operation)
        if key not in self._invocations:
            state, pending = self._configurations[one]
            self._invocations[key] = self._configuration(state, _with(pending, process, operation))
        return self._invocations[key]

    def _returned(self, one: int, process: int) -> dict[Result, _Set]:
        """Return, for each result that a process's pending operation may have, the configurations
        after its return.
        """
        key = (one, process)
        if key not in self._returns:
            found: dict[Result, set[int]] = {}
            configuration = self._configurations[one]
            for state, pending in self._closed(configuration, process):
                done = pending[process]
                if isinstance(done, Taken):
                    found.setdefault(done.result, set()).add(self._configuration(state, _with(pending, process, None)))
            state, pending = configuration
            if not isinstance(pending[process], Taken):
                found[TIMED_OUT] = {self._configuration(state, _with(pending, process, None))}
            self._returns[key] = {result: frozenset(after) for result, after in found.items()}
        return self._returns[key]

    def _crashed(self, one: int, process: int) -> _Set:
        """Return the configurations in which what a process has pending has taken effect by now, or
        never will.
        """
        after = self._closed(self._configurations[one], process)
        return frozenset(self._configuration(state, _with(pending, process, None)) for state, pending in after)

    def _closed(self, configuration: _Configuration, until: int | None) -> set[_Configuration]:
        """Let pending operations take effect in every order, that of process `until` last."""
        found = {configuration}
        waiting = [configuration]
        while waiting:
            state, pending = waiting.pop()
            if until is not None and isinstance(pending[until], Taken):
                continue
            for process, operation in enumerate(pending):
                if operation is None or isinstance(operation, Taken):
                    continue
                for after, result in self._step(state, operation, process):
                    following = (after, _with(pending, process, Taken(result)))
                    if following not in found:
                        found.add(following)
                        waiting.append(following)
        return found

    def _step(self, state: Any, operation: Operation, process: int) -> tuple[tuple[Any, Result], ...]:
        key = (state, operation, process)
        if key not in self._steps:
            self._steps[key] = self._specification(state, operation, process)
        return self._steps[key]


def _with(pending: _Pending, process: int, what: Operation | Taken | None) -> _Pending:
    return (*pending[:process], what, *pending[process + 1 :])
