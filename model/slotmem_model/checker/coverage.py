"""Which source lines of the algorithm the explored steps ran.

Interface: `lines_run(model, steps)` returns the lines; a step is (process, local state, action,
index of the value that it found). The model must have been compiled with the algorithm's files.

Steps with the same future are one step in the model, and so their lines count together.
"""

from __future__ import annotations

from collections.abc import Iterable

from slotmem_model.automata.recording import ENTRY, RAISED, RAISED_AS_IT_RETURNED, TIMED_OUT
from slotmem_model.automata.source_lines import Line
from slotmem_model.checker.model import Model

Taken = tuple[int, int, int, int]


def lines_run(model: Model, steps: Iterable[Taken]) -> set[Line]:
    """Return the lines that any of these steps ran."""
    found: set[Line] = set()
    for process, at, number, value in steps:
        local = model.processes[process].locals[at]
        if local.operation is None:
            continue
        access = local.actions[number].access
        lines, kind = model.graph_of(local.operation).lines, access.kind
        if not local.inside and kind != "drain":
            found |= lines.get(ENTRY, frozenset())
        if kind == "timeout":
            found |= lines.get((local.node, TIMED_OUT), frozenset())
        elif kind == "exception":
            found |= lines.get((local.node, RAISED), frozenset())
        elif access.raises:
            found |= lines.get((local.node, RAISED_AS_IT_RETURNED - value), frozenset())
        elif kind == "buffer":  # a store goes on in the same way, whatever was there
            found |= next((ran for (node, _), ran in lines.items() if node == local.node), frozenset())
        elif kind not in ("drain", "reread", "reawait"):
            found |= lines.get((local.node, value), frozenset())
    return found


def lines_known(model: Model) -> set[Line]:
    """Return every line that ran when the model was tabulated, explored or not."""
    operations = {local.operation for automaton in model.processes for local in automaton.locals if local.operation}
    return {line for operation in operations for ran in model.graph_of(operation).lines.values() for line in ran}
