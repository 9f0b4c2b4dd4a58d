"""A run that goes on for ever, told: which operations never end, and why.

Interface: `endless(model, lasso)` returns its `Explanation`.
"""

from __future__ import annotations

from collections.abc import Sequence

from slotmem_model.automata.slots_kind import SlotsKind
from slotmem_model.checker.model import Model
from slotmem_model.checker.progress.lasso import Lasso
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
    return {action.access.word for action in local.actions[:1]}


def _sentence(told: Explanation, lasso: Lasso) -> str:
    """Say who goes round, who waits, and what never ends."""
    model, loop = told.model, lasso.steps[lasso.loop :]
    moves = {step.process for step in loop}
    parts = []
    for process in lasso.starves:
        words = _waits_for(told, lasso, process)
        if process not in moves and any(each.writes and each.word in words for each in told.happenings[lasso.loop :]):
            word = model.words[words.pop()]
            what = f"the {word.name}" if word.kind == "mutex" else f"{word.name} to change"
            parts.append(f"{wording.process(process)} waits for ever for {what}: each time another process is quicker")
        elif process not in moves:
            parts.append(waiting_for(told, process, told.states[lasso.loop], for_ever=not lasso.stopped))
    if rounds := [each for each in lasso.starves if each in moves]:
        calls = wording.listed(operation_of(model, lasso, each) for each in rounds)
        goes, ends = ("goes", "ends") if len(rounds) == 1 else ("go", "end")
        parts.append(f"{_who(rounds)} {goes} round for ever in a loop of {len(loop)} steps, and {calls} never {ends}")
    if others := sorted(moves - set(lasso.starves)):
        ends = "ends" if len(others) == 1 else "end"
        parts.append(f"{_who(others)} meanwhile {ends} one operation after the other")
    if lasso.stopped:
        parts[-1] += f", if {_who(lasso.stopped)} {'is' if len(lasso.stopped) == 1 else 'are'} stopped there"
    return "; ".join(parts)


def _who(processes: Sequence[int]) -> str:
    """Name some processes."""
    if len(processes) == 1:
        return wording.process(processes[0])
    return f"processes {wording.listed(process + 1 for process in processes)}"
