"""The verdict of a command, and the exit code it ends with.

Interface:

- `HELD`, `VIOLATED` and `UNDECIDED` are the words of every report.
- `exit_code(verdict)` is the exit code of a verdict; `Exit` has all of them.

The judge of histories (`slotmem_model.linearizability`) has public names of its own for the same
three ideas: LINEARIZABLE, VIOLATION, UNKNOWN. `slotmem.exit_codes` has the same numbers for the
library.
"""

from __future__ import annotations

from enum import IntEnum

HELD, VIOLATED, UNDECIDED = "held", "violated", "undecided"


class Exit(IntEnum):
    """The exit codes of every command."""

    HELD = 0
    VIOLATED = 1
    USAGE = 2
    """A wrong argument, something the machine lacks, or a bug of ours. Nothing was judged."""
    UNDECIDED = 3
    INTERRUPTED = 130
    """Ctrl-C: 128 + SIGINT, as shells count. After SIGTERM the command `slotmem` makes it 143, and
    after SIGHUP 129.
    """


_EXIT = {HELD: Exit.HELD, VIOLATED: Exit.VIOLATED, UNDECIDED: Exit.UNDECIDED}


def exit_code(verdict: str) -> Exit:
    """Return the exit code of a verdict."""
    return _EXIT[verdict]
