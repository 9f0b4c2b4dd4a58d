"""Programs of your own, for the checker: declare shared words and operations, and ask.

    from slotmem_model.program import Words, operation

    class Counter:
        n = Words(1, initial=0)

        @operation
        def increment(self):
            value = self.n[0]
            self.n[0] = value + 1
            return value

`slotmem check counter.py` explores every interleaving of it; `slotmem_model.programs.declared` says
what a class may declare.
"""

from slotmem_model.automata.kind import BadProgram
from slotmem_model.programs.declared import (
    PROCESSES,
    Lock,
    NotRecoverable,
    Private,
    RobustLock,
    Words,
    blocked,
    choose,
    fence,
    final,
    invariant,
    operation,
    sometimes,
)

__all__ = [
    "PROCESSES",
    "BadProgram",
    "Lock",
    "NotRecoverable",
    "Private",
    "RobustLock",
    "Words",
    "blocked",
    "choose",
    "fence",
    "final",
    "invariant",
    "operation",
    "sometimes",
]
