"""The shortest way from the initial state to one that breaks a property.

Interface:

- `find(model)` returns the steps to the nearest violation of any property, `find(model, "counter")`
  to the nearest violation of this one.

States are taken breadth first, so no shorter way exists. Of equally short ways the one that changes
between processes least often is preferred, because it is easier to read; it is the same one each
time. As in the engines, a state that breaks a property is not explored further.
"""

from __future__ import annotations

from typing import NamedTuple

from slotmem_model.checker.exploration import Exploration, Limits
from slotmem_model.checker.model import Model, State, Step
from slotmem_model.checker.properties import OUTSIDE, property_check

_STATE_BYTES = 700  # of a state and what is remembered of it, about


class Counterexample(NamedTuple):
    """The property that breaks, and the steps that lead there."""

    broken: str
    steps: tuple[Step, ...]


class _Came(NamedTuple):
    """How a state was first reached: from which state, by whose step, after how many changes
    between processes.
    """

    before: State | None
    process: int
    changes: int


def find(model: Model, broken: str = "", limits: Limits | None = None) -> Counterexample | None:
    """Return the nearest violation; None if there is none, or none was found within the limits."""
    limits = limits or Limits()
    judge, looked = property_check(model), Exploration("shortest")
    came = {model.initial: _Came(None, -1, 0)}
    level = [model.initial]
    while level:
        if limits.spent(looked, len(came) * _STATE_BYTES):
            return None
        following: dict[State, _Came] = {}
        for state in level:
            steps = list(model.successors(state))
            looked.states, looked.transitions = looked.states + 1, looked.transitions + len(steps)
            breaks = judge.violated(state, can_go_on=any(step.action is not None for step in steps))
            if breaks and breaks == (broken or breaks) and (broken or breaks != OUTSIDE):
                return Counterexample(breaks, _way(model, came, state))
            if breaks:
                continue
            here = came[state]
            for step in steps:
                if step.state in came:
                    continue
                changes = here.changes + (step.process != here.process)
                if step.state not in following or changes < following[step.state].changes:
                    following[step.state] = _Came(state, step.process, changes)
        came |= following
        level = list(following)
        looked.depth += 1
    return None


def _way(model: Model, came: dict[State, _Came], state: State) -> tuple[Step, ...]:
    """Return the steps to a state, found by going back to the initial one."""
    steps: list[Step] = []
    while (before := came[state].before) is not None:
        process = came[state].process
        steps.append(next(s for s in model.successors(before) if s.process == process and s.state == state))
        state = before
    return tuple(reversed(steps))
