"""What holds of progress: does an operation that has begun also end?

Interface:

- `judge(reached)` returns, for each of the five properties, the run that breaks it, or None.

Whoever is stopped, at whatever step (what it has buffered still reaches memory):

- *wait-free*: a process ends each operation within a bounded number of its own steps.
- *lock-free*: as long as some process goes on, operations end, again and again.
- *obstruction-free*: a process that goes on alone ends its operation.

If nobody is stopped (weak fairness: a process that can go on, and can do so continuously, does;
and buffered stores reach memory):

- *starvation-free*: every operation ends.
- *deadlock-free*: operations end, again and again, until all processes are done: neither a deadlock
  nor a livelock.

Wait-free implies lock-free, which implies obstruction-free and deadlock-free; wait-free implies
starvation-free, which implies deadlock-free (Herlihy and Shavit, On the Nature of Progress, 2011).

What is looked for is a loop in the graph of states, in which nothing ends. A process that waits
(for a mutex, or for a word to change) does no step: the automata have none. In the first group it
counts as going on in vain, wherever it waits; so what locks is not even obstruction-free. In the
second group it counts as unable to go on at that moment. Under weak fairness that excuses the
others: a process that waits at a spinlock may be unlucky each time it is free, and so starve.

A death is no stop: what dies is gone, and so is its operation. The loop has none; the way there
may.

A loop is fair if each process either does a step in it or is unable to somewhere in it, and so for
each store buffer. If a component of the graph has a fair loop, the one through all of it is fair;
so whole components are looked at, those of the graph without the steps that end what must not end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slotmem_model.checker.progress.components import components
from slotmem_model.checker.progress.lasso import (
    DEADLOCK_FREE,
    FAIR,
    LOCK_FREE,
    OBSTRUCTION_FREE,
    PROGRESS,
    STARVATION_FREE,
    WAIT_FREE,
    Lasso,
    lasso_of,
)
from slotmem_model.checker.progress.loop import Need, shortest_loop
from slotmem_model.checker.progress.reached import Reached

_Flags = NDArray[np.bool_]


class _Candidate(NamedTuple):
    """A state from which something goes on for ever in vain."""

    state: int
    inside: _Flags | None = None
    """The steps of its component; None if nobody does any."""
    needs: tuple[Need, ...] = ()


def judge(reached: Reached, names: Iterable[str] = PROGRESS) -> dict[str, Lasso | None]:
    """Return how each property is broken in what was explored; None if it is not."""
    graph = _Graph(reached)
    found = {}
    for name in names:
        nearest = min(graph.broken(name), key=lambda each: each.state, default=None)
        found[name] = nearest and graph.lasso(name, nearest)
    return found


def most_steps(reached: Reached) -> int:
    """Return how many steps an operation takes at most, given that it is wait-free."""
    graph = _Graph(reached)
    return max(map(graph.longest, graph.processes))


class _Graph:
    """The graph as arrays, of what was explored."""

    def __init__(self, reached: Reached) -> None:
        self.reached = reached
        self.processes = range(len(reached.model.processes))
        self.everybody = (1 << len(self.processes)) - 1
        self.first, self.target = np.asarray(reached.first), np.asarray(reached.target)
        self.source, self.who = reached.source, np.asarray(reached.who)
        self.returns, self.drains = (np.asarray(each, np.bool_) for each in (reached.returns, reached.drains))
        number = reached.explored
        self.known = self.target < number
        self.able, self.draining, self.ended = (
            np.asarray(each)[:number] for each in (reached.able, reached.draining, reached.ended)
        )

    def broken(self, name: str) -> Iterator[_Candidate]:
        """Yield the nearest state for each way to break a property."""
        yield from self.stuck() if name in FAIR else self.waiting()
        if name == LOCK_FREE:
            yield from self.loops(~self.returns, self.drained())
        if name == DEADLOCK_FREE:
            yield from self.loops(~self.returns, self.fair())
        for process in self.processes:
            is_own = self.who == process
            goes_on = ~(self.returns & is_own)
            if name == WAIT_FREE:
                yield from self.loops(goes_on, (Need(is_own & ~self.drains), *self.drained()), (process,))
            elif name == OBSTRUCTION_FREE:
                yield from self.loops(goes_on & is_own, self.drained(), (process,))
            elif name == STARVATION_FREE:
                yield from self.loops(goes_on, self.fair(), (process,))

    def fair(self) -> tuple[Need, ...]:
        """Return what a loop needs in which nobody is stopped."""
        bits = [(self.who == process, 1 << process) for process in self.processes]
        return (*(Need(is_own & ~self.drains, self.able & bit == 0) for is_own, bit in bits), *self.drained())

    def drained(self) -> tuple[Need, ...]:
        """Return what every loop needs: buffered stores reach memory, whoever is stopped."""
        bits = [(self.who == process, 1 << process) for process in self.processes]
        return tuple(
            Need(is_own & self.drains, self.draining & bit == 0) for is_own, bit in bits if (self.draining & bit).any()
        )

    def stuck(self) -> Iterator[_Candidate]:
        """Yield the nearest state from which nobody goes on, although not all have ended."""
        left = ~self.ended & self.everybody
        where = np.flatnonzero((self.able | self.draining == 0) & (left != 0))
        if len(where):
            yield _Candidate(int(where[0]))

    def waiting(self) -> Iterator[_Candidate]:
        """Yield the nearest state in which somebody waits, and no buffered store can end that."""
        waits = ~(self.able | self.ended) & self.everybody
        where = np.flatnonzero((waits != 0) & (self.draining == 0))
        if len(where):
            yield _Candidate(int(where[0]))

    def loops(self, kept: _Flags, needs: tuple[Need, ...], starves: tuple[int, ...] = ()) -> Iterator[_Candidate]:
        """Yield the nearest state of a component of these steps that has all that a loop needs, and
        in which these processes have not ended.
        """
        kept = kept & self.known
        in_ = components(self.first, self.target, kept)
        inside = kept.copy()
        inside[kept] = in_[self.source[kept]] == in_[self.target[kept]]

        def have(steps: _Flags, states: _Flags | None = None) -> _Flags:
            """Return which components have one of these steps, or of these states."""
            found = np.zeros(len(self.able), np.bool_)
            found[in_[self.source[steps & inside]]] = True
            if states is not None:
                found[in_[states]] = True
            return found

        good = have(inside)
        for need in needs:
            good &= have(*need)
        for process in starves:
            good &= ~have(np.zeros_like(inside), self.ended >> process & 1 == 1)
        where = np.flatnonzero(good[in_])
        if len(where):
            state = int(where[0])
            inside[inside] = in_[self.source[inside]] == in_[state]
            yield _Candidate(state, inside, needs)

    def lasso(self, name: str, candidate: _Candidate) -> Lasso:
        """Return the run."""
        reached, state = self.reached, candidate.state
        steps = list(reached.way_to(state))
        loop = len(steps)
        if candidate.inside is not None:
            edges = shortest_loop(state, self.first, self.target, candidate.inside, candidate.needs)
            steps += [reached.step(edge, at) for at, edge in edges]
        found = lasso_of(reached.model, name, tuple(steps), loop)
        assert found, (name, loop, steps)
        return found

    def longest(self, process: int) -> int:
        """Return the most steps that a process does until one of its operations ends, given that
        these have a bound.
        """
        is_own = (self.who == process) & ~self.drains
        ends = self.returns & (self.who == process)
        in_ = components(self.first, self.target, self.known & ~ends)
        most = np.zeros(len(self.able), np.int64)
        for state in np.argsort(in_, kind="stable").tolist():
            for edge in range(self.first[state], self.first[state + 1]):
                after = 0 if ends[edge] else most[in_[self.target[edge]]]
                most[in_[state]] = max(most[in_[state]], after + is_own[edge])
        return int(most.max())
