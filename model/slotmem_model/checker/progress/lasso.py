"""A run that goes on for ever: the way in, then a loop; and which property of progress it breaks.

Interface:

- `PROGRESS` names the five properties; `judge` says what they mean.
- `lasso_of(model, name, steps, loop)` judges one run, by its steps alone: the search for loops is
  checked by it, and a trace that is run again.
"""

from __future__ import annotations

from typing import NamedTuple

from slotmem_model.checker.model import Model, State, Step, move_of

WAIT_FREE, LOCK_FREE, OBSTRUCTION_FREE = "wait-free", "lock-free", "obstruction-free"
STARVATION_FREE, DEADLOCK_FREE = "starvation-free", "deadlock-free"
PROGRESS = {
    WAIT_FREE: "every operation ends within a bounded number of its process's own steps, whoever is stopped",
    LOCK_FREE: "as long as some process goes on, operations end again and again, whoever is stopped",
    OBSTRUCTION_FREE: "an operation ends if its process goes on alone, wherever the others are stopped",
    STARVATION_FREE: "every operation ends, if no process is stopped",
    DEADLOCK_FREE: "operations end again and again, if no process is stopped: no deadlock, no livelock",
}
FAIR = frozenset({STARVATION_FREE, DEADLOCK_FREE})
"""Those that assume that nobody is stopped."""


class Lasso(NamedTuple):
    """See the header. Processes are numbered from 0."""

    broken: str
    steps: tuple[Step, ...]
    loop: int
    """The steps from this number on repeat for ever. None are left if from there on all that go on
    wait.
    """
    starves: tuple[int, ...]
    """The processes that go on, and whose operations never end."""
    stopped: tuple[int, ...]
    """The processes that do nothing more although they could."""


class Standing(NamedTuple):
    """How the processes stand in a state: bit i for process i."""

    able: int
    """They can do a step."""
    draining: int
    """A buffered store of theirs can reach memory."""
    ended: int
    """They are done, or dead."""


def standing(model: Model, state: State) -> Standing:
    """Return how the processes stand."""
    able = draining = ended = 0
    for process, automaton in enumerate(model.processes):
        local = automaton.locals[state.locals[process]]
        ended |= (bool(local.end) and local.end != "draining") << process
        for action in local.actions:
            if move_of(action, state.words) is not None:
                if action.access.kind == "drain":
                    draining |= 1 << process
                else:
                    able |= 1 << process
    return Standing(able, draining, ended)


def is_drain(model: Model, before: State, step: Step) -> bool:
    """Return whether it is a buffered store that drains, not the process that goes on."""
    if step.action is None:
        return False
    local = model.processes[step.process].locals[before.locals[step.process]]
    return local.actions[step.action].access.kind == "drain"


def lasso_of(model: Model, name: str, steps: tuple[Step, ...], loop: int) -> Lasso | None:
    """Return the run as a lasso if it breaks this property; the steps must be ones of the model."""
    states = (model.initial, *(step.state for step in steps))
    if states[loop] != states[-1]:
        return None
    stands = [standing(model, state) for state in states[loop:]]
    processes = range(len(model.processes))
    left = {process for process in processes if not stands[0].ended >> process & 1}
    moved = list(zip(states[loop:], steps[loop:], strict=False))
    goes_on = {step.process for before, step in moved if not is_drain(model, before, step)}
    drained = {step.process for before, step in moved if is_drain(model, before, step)}
    ends = {process for step in steps[loop:] for kind, process, _ in model.events.table[step.event] if kind == "return"}
    starving = left - ends
    is_broken = all(process in drained or not all(each.draining >> process & 1 for each in stands) for process in left)
    if name in FAIR:
        is_fair = all(process in goes_on or not all(each.able >> process & 1 for each in stands) for process in left)
        is_broken &= is_fair and (name == STARVATION_FREE or not ends)
    elif not moved:
        goes_on = starving = {each for each in left if not stands[0].able >> each & 1}
    else:
        starving = goes_on - ends
        is_broken &= name == WAIT_FREE or (not ends and (name == LOCK_FREE or len(goes_on | drained) == 1))
    is_broken &= bool(starving)
    if not is_broken:
        return None
    stopped = (
        ()
        if name in FAIR
        else tuple(sorted(each for each in left - goes_on if any(stand.able >> each & 1 for stand in stands)))
    )
    return Lasso(name, steps, loop, tuple(sorted(starving)), stopped)
