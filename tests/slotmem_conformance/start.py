"""Where the command `slotmem` begins: Ctrl-C during imports ends it as quietly as later.

It lies outside the package `slotmem`, whose import takes most of that time. `python -m slotmem`
imports the package first.
"""

import os
import signal

_INTERRUPTED = 130  # as `slotmem.command` has it, which is not imported yet


def main() -> int:
    """Run `slotmem` with the process's own arguments, and return the exit code."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not in a shell's background job
    if heeded:  # nothing is begun that could be left behind; an exception would become another one in some imports
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    # numpy's threads are of no use here; without memory for them it would end us with exit code 1.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from slotmem import command

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = command.main()
    if heeded:  # all is said and cleaned up; Python, on its way out, would report an impatient second Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code
