"""Which local variables of a function may still be read: the others say nothing about its future.

Interface: `live_before(code)` returns for each instruction's offset the names that may be read from
there on before they are written; None for code in which exceptions are handled, where control may
come from anywhere.

This is the classic backward analysis (F. E. Allen and J. Cocke, "A program data flow analysis
procedure", 1976), on bytecode. An instruction is known by its name: those that begin with LOAD_FAST
read, those that begin with STORE_FAST write, some do two such things in a row. Whatever else names
a local variable counts as reading it.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from functools import cache
from types import CodeType

_JUMPS = {*dis.hasjrel, *dis.hasjabs}
_ENDS = {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"}
_ALWAYS_JUMPS = {"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_ABSOLUTE"}


@cache
def live_before(code: CodeType) -> dict[int, frozenset[str]] | None:
    """See the header."""
    if code.co_exceptiontable:
        return None
    instructions = list(dis.get_instructions(code))
    after: dict[int, list[int]] = {}
    for at, each in enumerate(instructions):
        falls_through = each.opname not in _ENDS | _ALWAYS_JUMPS and at + 1 < len(instructions)
        after[each.offset] = [instructions[at + 1].offset] if falls_through else []
        if each.opcode in _JUMPS:
            after[each.offset].append(each.argval)
    elsewhere = {*code.co_cellvars, *code.co_freevars}
    found = {each.offset: frozenset(elsewhere) for each in instructions}
    changed = True
    while changed:
        changed = False
        for each in reversed(instructions):
            live = frozenset(elsewhere).union(*(found[offset] for offset in after[each.offset]))
            for name, reads in reversed(list(_touched(each))):
                live = live | {name} if reads else live - {name}
            if live != found[each.offset]:
                found[each.offset], changed = live, True
    return found


def _touched(instruction: dis.Instruction) -> Iterator[tuple[str, bool]]:
    """Yield the local variables that an instruction touches in order, and whether it reads them."""
    if "_FAST" not in instruction.opname:
        return
    given = instruction.argval
    names = list(given) if isinstance(given, tuple) else [given]
    verbs = [part for part in instruction.opname.split("_") if part in ("LOAD", "STORE")]
    verbs = verbs if len(verbs) == len(names) else ["LOAD"] * len(names)
    for name, verb in zip(names, verbs, strict=True):
        if isinstance(name, str):
            yield name, verb == "LOAD"
