"""Ctrl-C and SIGTERM where they must not come: while a child is started, and while what is left is removed.

Interface:

- `with without_interrupts():` puts them off until the end of the block.
- `with starting_a_child():` does so too, and the child leaves them to its parent.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Put Ctrl-C and SIGTERM off until the end. In a thread there is nothing to put off: they come to the main thread.

    To block them is not enough: a thread that does not, such as those of a library, would take the signal, and have the main
    thread interrupted.

    Raises: KeyboardInterrupt: at the end, if there was one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    handlers = [(number, signal.signal(number, lambda which, _: came.append(which))) for number in INTERRUPTS]
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # what waits is noted now
        for number, handler in reversed(handlers):
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


@contextmanager
def starting_a_child() -> Iterator[None]:
    """Put them off; a child that is started meanwhile inherits that.

    Raises: KeyboardInterrupt: at the end, if there was one; a child that was started is there then.
    """
    resource_tracker.ensure_running()  # the start of the first child would start it, and unblock Ctrl-C on the way
    with without_interrupts():
        yield


def die_with_parent() -> None:
    """Leave Ctrl-C to the supervisor, who ends us; and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
