"""All reachable states of a model, kept with every step between them.

Interface:

- `reach(model, limits)` explores breadth first and returns the `Reached`: states numbered in the
  order in which they were found, and one entry in each array for each step.
- `Reached.way_to(state)` is a shortest way there.

Properties of single states are not asked here: what breaks one is explored like anything else. An
operation that ends with a fault ends its process, and `Reached.faults` counts the states in which
that has happened. A state from which no process can go on is not explored further, so that nobody
dies in it, as in the other engines.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slotmem_model.checker.exploration import Exploration, Limits
from slotmem_model.checker.model import Model, State, Step
from slotmem_model.checker.progress.lasso import is_drain, standing
from slotmem_model.checker.properties import OUTSIDE, fault_property, faults

_BETWEEN_LOOKS = 2048
_STATE_BYTES, _STEP_BYTES = 700, 24  # in Python's memory, about
NOBODY = -1
"""In place of a process: a death, which is nobody's step."""


@dataclass
class Reached:
    """The graph. Arrays of states have `len(states)` entries, those of steps one for each step."""

    model: Model
    states: list[State] = field(default_factory=list)
    explored: int = 0
    """The states before this number have their steps here; of the others nothing is known."""
    first: array[int] = field(default_factory=lambda: array("q", [0]))
    """Steps `first[i]` to `first[i + 1]` lead away from state i."""
    target: array[int] = field(default_factory=lambda: array("q"))
    who: array[int] = field(default_factory=lambda: array("b"))
    """The process that does the step, or NOBODY."""
    returns: array[int] = field(default_factory=lambda: array("b"))
    """1 if an operation of this process ends with the step."""
    drains: array[int] = field(default_factory=lambda: array("b"))
    """1 if it is not the process that goes on, but its oldest buffered store that drains."""
    came: array[int] = field(default_factory=lambda: array("q", [-1]))
    """For each state, the step by which it was first reached."""
    able: array[int] = field(default_factory=lambda: array("q"))
    """For each explored state, bit i if process i can do a step."""
    draining: array[int] = field(default_factory=lambda: array("q"))
    """... bit i if a buffered store of process i can drain."""
    ended: array[int] = field(default_factory=lambda: array("q"))
    """... bit i if process i is done, or dead."""
    faults: dict[str, int] = field(default_factory=dict)
    """The number of states in which a process has just met a fault, for the property it breaks."""
    outside: set[str] = field(default_factory=set)
    """What a step stores that its word does not have in the model, as its fault says."""
    reason: str = ""
    """Why not everything was explored."""
    depth: int = 0
    seconds: float = 0.0

    @property
    def source(self) -> NDArray[np.int64]:
        """For each step, the state that it leads away from."""
        return np.repeat(np.arange(self.explored), np.diff(np.asarray(self.first)))

    def step(self, number: int, source: int) -> Step:
        """Return a step of the model, given its number and the state that it leads away from."""
        for at, step in enumerate(self.model.successors(self.states[source]), self.first[source]):
            if at == number:
                return step
        raise IndexError(number)

    def way_to(self, state: int) -> tuple[Step, ...]:
        """Return the steps of a shortest way from the initial state."""
        found: list[Step] = []
        first = np.asarray(self.first)
        while (number := self.came[state]) >= 0:
            state = int(np.searchsorted(first, number, side="right")) - 1
            found.append(self.step(number, state))
        return tuple(reversed(found))


def reach(model: Model, limits: Limits) -> Reached:
    """Explore all states, and keep the graph. It ends at once when a word gets a value that the
    model does not have: more of them are needed, or the words have no end.
    """
    began = time.monotonic()
    found = Reached(model, [model.initial])
    numbers = {model.initial: 0}
    ends = [frozenset(process for kind, process, _ in events if kind == "return") for events in model.events.table]
    looked = Exploration("progress")
    level_ends = 1
    while found.explored < len(found.states):
        number = found.explored
        if number == level_ends:
            level_ends, found.depth = len(found.states), found.depth + 1
        if number % _BETWEEN_LOOKS == 0:
            looked.states, looked.transitions, looked.depth = number, len(found.target), found.depth
            found.reason = limits.spent(looked, len(numbers) * _STATE_BYTES + len(found.target) * _STEP_BYTES)
            if found.reason:
                break
        state = found.states[number]
        _note(found, state)
        if OUTSIDE in found.faults:
            found.outside = faults(model, state)
            found.reason = "a word got a value that the model does not have"
            break
        for step in model.successors(state) if found.able[-1] | found.draining[-1] else ():
            after = numbers.setdefault(step.state, len(found.states))
            if after == len(found.states):
                found.states.append(step.state)
                found.came.append(len(found.target))
            found.target.append(after)
            found.who.append(NOBODY if step.action is None else step.process)
            found.returns.append(step.process in ends[step.event])
            found.drains.append(is_drain(model, state, step))
        found.first.append(len(found.target))
        found.explored += 1
    found.seconds = time.monotonic() - began
    return found


def _note(found: Reached, state: State) -> None:
    """Note how the processes stand in a state, and the faults."""
    for array_, bits in zip((found.able, found.draining, found.ended), standing(found.model, state), strict=True):
        array_.append(bits)
    for process, automaton in enumerate(found.model.processes):
        if fault := automaton.locals[state.locals[process]].fault:
            broken = fault_property(fault)
            found.faults[broken] = found.faults.get(broken, 0) + 1
