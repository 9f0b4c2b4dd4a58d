"""The search for an interleaving in which every operation returns what was observed.

Interface: `find(question, model, limits, looked)`; questions are those of
`slotmem_model.counterexample.observed`, the model is that of the question's configuration. Of all
interleavings the one found has the fewest changes between processes, because it is the easiest to
read.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from slotmem_model.checker.exploration import Exploration, Limits
from slotmem_model.checker.model import Model, State, Step
from slotmem_model.counterexample.observed import Question
from slotmem_model.spec import SUCCESS, Result

_STATE_BYTES = 900  # of a state and what is remembered of it, about


class _At(NamedTuple):
    """Where a search is: a state, how many operations each process has done, whose step was the
    last.
    """

    state: State
    returned: tuple[int, ...]
    last: int


def find(question: Question, model: Model, limits: Limits, looked: Exploration) -> tuple[Step, ...] | None:
    """Return the steps, or None; `looked` notes how much was explored, and whether that was all."""
    required = tuple(sum(each.result is not None for each in lane) for lane in question.asked)
    start = _At(model.initial, (0,) * len(required), -1)
    came: dict[_At, tuple[int, _At | None, Step | None]] = {start: (0, None, None)}
    waiting = deque([(0, start)])
    while waiting:
        changes, at = waiting.popleft()
        if changes > came[at][0]:
            continue
        if all(done >= need for done, need in zip(at.returned, required, strict=True)):
            return _way(came, at)
        looked.states += 1
        if looked.states % 1024 == 0 and (reason := limits.spent(looked, len(came) * _STATE_BYTES)):
            looked.complete, looked.reason = False, reason
            return None
        for step in model.successors(at.state):
            looked.transitions += 1
            returned = _returned(question, model, at, step, looked)
            if returned is None:
                continue
            after = _At(step.state, returned, step.process)
            more = changes + (step.process != at.last)
            if after not in came or more < came[after][0]:
                came[after] = (more, at, step)
                (waiting.appendleft if more == changes else waiting.append)((more, after))
    return None


def _returned(question: Question, model: Model, at: _At, step: Step, looked: Exploration) -> tuple[int, ...] | None:
    """Return how many operations each process has done after a step; None if that is not what was
    observed.
    """
    process, asked = step.process, question.asked[step.process]
    count = at.returned[process]
    local = model.processes[process].locals[at.state.locals[process]]
    if step.action is None:
        # What never returned may have been killed on the way; nothing says that others were.
        return at.returned if local.inside and count < len(asked) and asked[count].result is None else None
    fault = model.processes[process].locals[step.state.locals[process]].fault
    result: Result | None = None
    for kind, _, what in model.events.table[step.event]:
        if kind == "invoke" and any(at.returned[other] < least for other, least in asked[count].after):
            return None
        if kind == "return":
            assert isinstance(what, Result)
            result = what
    if fault.startswith("torn"):
        result = Result(SUCCESS, bytes.fromhex(fault.rpartition(" gave ")[2]))
    elif fault:
        if fault.startswith("outside"):
            looked.complete, looked.reason = False, f"a word got a value that the model does not have ({fault})"
        return None
    if result is None:
        return at.returned
    if asked[count].result not in (None, result):
        return None
    return (*at.returned[:process], count + 1, *at.returned[process + 1 :])


def _way(came: dict[_At, tuple[int, _At | None, Step | None]], at: _At) -> tuple[Step, ...]:
    """Return the steps to a place, found by going back to the first."""
    steps: list[Step] = []
    while True:
        _, before, step = came[at]
        if before is None or step is None:
            return tuple(reversed(steps))
        steps.append(step)
        at = before
