"""The states of a small model, or those around one run of it, as the page needs them.

Interface: `walk(model, steps)` returns a `Walk`: numbered states, what each process can do next in
each, which property a state breaks, and how far the nearest violation is.

The page walks along these states and knows nothing of the semantics: what it shows is what the
checker explored.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from slotmem_model.checker.model import Model, State, Step
from slotmem_model.checker.properties import OUTSIDE, faults, property_check

MOST_STATES = 3_000
"""States on a page: with what they need some 500 kB."""


@dataclass
class Walk:
    """States by number; 0 is the first."""

    model: Model
    states: list[State]
    steps: list[tuple[Step, ...] | None] = field(default_factory=list)
    """What can be done in each state; None if that is not on the page."""
    broken: list[str] = field(default_factory=list)
    """The property that each state breaks; a state that breaks one has no steps."""
    number: dict[State, int] = field(default_factory=dict)
    outside: set[str] = field(default_factory=set)
    """What steps store that words do not have in the model, as their faults say."""

    @property
    def is_whole(self) -> bool:
        """Whether every state that can be reached is there, with its steps."""
        return None not in self.steps

    def distances(self) -> list[int]:
        """Return for each state the number of steps to the nearest violation; -1 if none can be
        reached.
        """
        before: list[list[int]] = [[] for _ in self.states]
        for at, steps in enumerate(self.steps):
            for step in steps or ():
                before[self.number[step.state]].append(at)
        found = [0 if broken and broken != OUTSIDE else -1 for broken in self.broken]
        waiting = deque(at for at, steps in enumerate(found) if not steps)
        while waiting:
            at = waiting.popleft()
            for one in before[at]:
                if found[one] < 0:
                    found[one] = found[at] + 1
                    waiting.append(one)
        return found


def walk(model: Model, steps: tuple[Step, ...] = (), most: int = MOST_STATES) -> Walk:
    """Return the states of a model. steps: a run whose states are there in any case."""
    found = Walk(model, [])
    judge = property_check(model)

    def number(state: State) -> int:
        if state not in found.number:
            found.number[state] = len(found.states)
            found.states.append(state)
            found.steps.append(None)
            found.broken.append("")
        return found.number[state]

    def expand(at: int) -> None:
        state = found.states[at]
        following = tuple(model.successors(state))
        found.broken[at] = judge.violated(state, can_go_on=any(step.action is not None for step in following))
        if found.broken[at] == OUTSIDE:
            found.outside |= faults(model, state)
        found.steps[at] = () if found.broken[at] else following
        for step in found.steps[at] or ():
            number(step.state)

    for state in (model.initial, *(step.state for step in steps)):
        if found.steps[number(state)] is None:
            expand(found.number[state])
    at = 0
    while at < len(found.states) <= most:
        if found.steps[at] is None:
            expand(at)
        at += 1
    return found
