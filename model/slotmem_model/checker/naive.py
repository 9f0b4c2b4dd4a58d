"""The oracle: explore every state with a set and a queue, exactly as `Model.successors` says.

Slow, and easy to trust. The other engine must give the same verdicts and the same numbers.
"""

from __future__ import annotations

import time
from collections import deque

from slotmem_model.checker.exploration import Exploration, Limits
from slotmem_model.checker.model import Model, State, Step
from slotmem_model.checker.properties import OUTSIDE, Seen, faults, full_events, property_check

_BETWEEN_LOOKS = 4096
_STATE_BYTES = 500  # of a state in a Python set, about


def explore(model: Model, limits: Limits | None = None) -> Exploration:
    """Explore all reachable states, breadth first."""
    limits = limits or Limits()
    began = time.monotonic()
    outcome = Exploration("naive")
    judge, full = property_check(model), full_events(model)
    outcome.seen.met = judge.met
    found = {model.initial}
    waiting = deque([(model.initial, 0)])
    while waiting:
        state, depth = waiting.popleft()
        if outcome.states % _BETWEEN_LOOKS == 0:
            outcome.reason = limits.spent(outcome, len(found) * _STATE_BYTES)
            if outcome.reason:
                outcome.complete = False
                break
        outcome.states += 1
        outcome.depth = depth
        steps = list(model.successors(state))
        broken = judge.violated(state, can_go_on=any(step.action is not None for step in steps))
        if broken:
            outcome.violations[broken] = outcome.violations.get(broken, 0) + 1
            if broken == OUTSIDE:
                outcome.outside |= faults(model, state)
            continue
        _look(model, state, steps, outcome.seen, full)
        if model.place.files:
            outcome.taken |= {_taken(model, state, step) for step in steps if step.action is not None}
        outcome.transitions += len(steps)
        for step in steps:
            if step.state not in found:
                found.add(step.state)
                waiting.append((step.state, depth + 1))
    outcome.seconds = time.monotonic() - began
    return outcome


def _taken(model: Model, state: State, step: Step) -> tuple[int, int, int, int]:
    """Name a step by what it depends on."""
    at = state.locals[step.process]
    assert step.action is not None
    access = model.processes[step.process].locals[at].actions[step.action].access
    return step.process, at, step.action, state.words[access.word] if access.touches else 0


def _look(model: Model, state: State, steps: list[Step], seen: Seen, full: frozenset[int]) -> None:
    """Note which of the things that must sometimes happen do so here."""
    locals_ = [automaton.locals[number] for automaton, number in zip(model.processes, state.locals, strict=True)]
    seen.two_inside |= sum(local.inside for local in locals_) >= 2
    seen.full |= any(step.event in full for step in steps)
    for step in steps:
        local = locals_[step.process]
        if step.action is None and local.inside and local.operation:
            seen.crashed_in.add(local.operation[0])
    for local in locals_:
        for action in local.actions:
            if action.access.kind in ("lock", "trylock"):
                word = action.access.word
                seen.waited |= model.words[word].values[state.words[word]] == 1
