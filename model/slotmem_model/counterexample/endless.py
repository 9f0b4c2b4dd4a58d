"""A run that goes on for ever, told: which operations never end, and why.

Interface: `endless(model, lasso)` returns its `Explanation`.
"""

from __future__ import annotations

from slotmem_model.automata.slots_kind import SlotsKind
from slotmem_model.checker.model import Model
from slotmem_model.checker.progress.lasso import LOCK_FREE, Lasso
from slotmem_model.counterexample import wording
from slotmem_model.counterexample.blame import waiting_for
from slotmem_model.counterexample.explain import explain
from slotmem_model.counterexample.story import Explanation


def endless(model: Model, lasso: Lasso) -> Explanation:
    """Explain a run that breaks a property of progress."""
    told = explain(model, "", lasso.steps)
    told.broken, told.loop = lasso.broken, lasso.loop
    told.starves = tuple(f"{operation_of(model, lasso, each)} of {wording.process(each)}" for each in lasso.starves)
    told.culprits = frozenset(
        number
        for number, each in enumerate(told.intervals)
        if each.process in lasso.starves and (each.last is None or each.last >= lasso.loop)
    )
    told.words = frozenset(each.word for each in told.happenings[lasso.loop :] if each.writes) | {
        word for process in lasso.starves for word in _waits_for(told, lasso, process)
    }
    told.sentence = _sentence(told, lasso)
    return told


def operation_of(model: Model, lasso: Lasso, process: int) -> str:
    """Return the operation that a process is in, or is about to begin, where the loop begins."""
    state = (model.initial, *(step.state for step in lasso.steps))[lasso.loop]
    operation = model.processes[process].locals[state.locals[process]].operation
    assert operation is not None
    return wording.operation(operation) if isinstance(model.kind, SlotsKind) else wording.call(operation)


def _waits_for(told: Explanation, lasso: Lasso, process: int) -> set[int]:
    """Return the word that a process waits for where the loop begins, if it does no step in it."""
    if any(step.process == process for step in lasso.steps[lasso.loop :]):
        return set()
    local = told.model.processes[process].locals[told.states[lasso.loop].locals[process]]
    return {action.access.word for action in local.actions if action.access.word >= 0}


def _sentence(told: Explanation, lasso: Lasso) -> str:
    """Say who goes round, who waits, and what never ends."""
    model, loop = told.model, lasso.steps[lasso.loop :]
    moves = {step.process for step in loop}
    stopped = wording.listed(wording.process(each) for each in lasso.stopped)
    parts = []
    if waits := [each for each in lasso.starves if each not in moves]:
        said = [waiting_for(told, each, told.states[lasso.loop], for_ever=not lasso.stopped) for each in waits]
        again = ", which is never free when it looks" if moves and _is_taken(told, lasso, waits) else ""
        parts.append("; ".join(said) + again)
    if rounds := [each for each in lasso.starves if each in moves]:
        number = f"step{'s' * (len(loop) != 1)}"
        who = wording.listed(wording.process(each) for each in rounds)
        goes = "go" if len(rounds) > 1 else "goes"
        calls = wording.listed(operation_of(model, lasso, each) for each in rounds)
        ends = f"and {calls} {'do' if len(rounds) > 1 else 'does'} not end"
        parts.append(f"{who} {goes} round for ever in {len(loop)} {number}, {ends}")
    if others := moves - set(lasso.starves):
        who = wording.listed(wording.process(each) for each in sorted(others))
        parts.append(f"{who} end{'s' * (len(others) == 1)} one operation after the other meanwhile")
    if stopped:
        parts.append(f"if {stopped} {'are' if len(lasso.stopped) > 1 else 'is'} stopped there")
    return ", ".join(parts) if lasso.broken == LOCK_FREE or stopped else "; ".join(parts)


def _is_taken(told: Explanation, lasso: Lasso, waits: list[int]) -> bool:
    """Return whether what is waited for changes in the loop."""
    words = {word for process in waits for word in _waits_for(told, lasso, process)}
    return any(each.writes and each.word in words for each in told.happenings[lasso.loop :])
