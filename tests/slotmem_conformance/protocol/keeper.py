"""What stands between a driver and whoever started it, in a process of its own.

Interface: `keep(pid, told)` waits for a child that is a driver, and says on the socket `told` how
it ended: its status, as `os.waitpid` has it, on a line. When the other side of the socket is shut
down or gone, it ends the driver and all that descends from it, also daemons with a session of their
own, and returns.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from contextlib import suppress

from slotmem_stress import descendants


def keep(pid: int, told: socket.socket) -> None:
    """See the header; `descendants.adopt_orphans(True)` comes before the child is started."""
    woken, waker = os.pipe()
    for each in (woken, waker):
        os.set_blocking(each, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _reap(pid, told)  # whoever ended before the signal had a handler
    ready: list[int] = []
    while told.fileno() not in ready:
        ready, _, _ = select.select([told.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, select.PIPE_BUF)
            _reap(pid, told)
    descendants.end_all()


def _reap(pid: int, told: socket.socket) -> None:
    """Wait for the children that have ended, orphans of the driver among them."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == pid:
                with suppress(ConnectionError):  # nobody wants to know
                    told.sendall(b"%d\n" % ended[1])
