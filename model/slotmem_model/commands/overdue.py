"""A bound on code that is not ours: an operation that neither ends nor accesses anything.

Interface: `with bounded(seconds, files):` raises `Overdue` in the block when the time is over; the
message says which line of these files was running. It is a signal's work, so that it does nothing
outside the main thread.
"""

from __future__ import annotations

import linecache
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_GRACE_S = 0.5


class Overdue(BaseException):
    """The time is over. An operation's `except Exception` must not catch it."""


@contextmanager
def bounded(seconds: float | None, files: frozenset[str]) -> Iterator[None]:
    """See the header; None is no bound.

    There is some grace: what looks at the clock itself ends before.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    ends = time.monotonic() + seconds

    def ring(number: int, frame: FrameType | None) -> None:
        if time.monotonic() < ends and callable(handler):
            handler(number, frame)  # the command's own, which has something else to say
        else:
            raise Overdue(_place(frame, files))

    handler = signal.signal(signal.SIGALRM, ring)
    # Again and again: what Python raises where it cannot be heeded, such as in `__del__`, is lost.
    signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE_S, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def _place(frame: FrameType | None, files: frozenset[str]) -> str:
    while frame is not None:
        file, line = frame.f_code.co_filename, frame.f_lineno
        if file in files:
            text = linecache.getline(file, line).strip()
            return f"{frame.f_code.co_name} was still at line {line} of {os.path.basename(file)} ({text}); does it ever end?"
        frame = frame.f_back
    return "it was still being compiled"
