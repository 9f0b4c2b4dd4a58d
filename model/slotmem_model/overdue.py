"""A bound on code that is not ours: an operation or an import that does not end.

Interface: `with bounded(seconds, files):` raises `Overdue` in the block when the time is over; the
message says which line of these files was running or, without files, which line that belongs
neither to Python nor to us. `tell` is called with such a line now and then, if it takes long.

It is a signal's work, so that it does nothing outside the main thread; nor inside another such
block, whose bound stands.
"""

from __future__ import annotations

import linecache
import os
import signal
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_GRACE_S = 0.5
_BETWEEN_TELLING_S = 2.0
_OURS = tuple(
    os.path.realpath(each) + os.sep
    for each in (os.path.dirname(__file__), sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
)


class Overdue(BaseException):
    """The time is over. An operation's `except Exception` must not catch it."""

    def __init__(self, seconds: float, line: str, function: str = "") -> None:
        self.seconds = seconds
        """The bound."""
        self.line = line
        """Which line was running."""
        super().__init__(f"{function} was still at {line}; does it ever end?" if function else f"it was at {line}")


@contextmanager
def bounded(
    seconds: float | None, files: frozenset[str] = frozenset(), tell: Callable[[str], None] | None = None
) -> Iterator[None]:
    """See the header; None is no bound.

    There is some grace: what looks at the clock itself ends before.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if seconds is None or not is_main or not hasattr(signal, "setitimer") or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return
    ends = time.monotonic() + seconds + _GRACE_S

    due = 0.0

    def arm() -> None:
        nonlocal due
        now = time.monotonic()
        due = min(ends, now + _BETWEEN_TELLING_S) if tell else ends
        # Again and again: what Python raises where it cannot be heeded, as in `__del__`, is lost.
        signal.setitimer(signal.ITIMER_REAL, max(due - now, 1e-6), 0.1)

    def ring(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now >= ends:
            raise Overdue(seconds, *_place(frame, files))
        if tell and now >= due:
            arm()
            tell(_place(frame, files)[0])
        elif callable(handler):
            handler(number, frame)  # the command's own, which has something else to say

    handler = signal.signal(signal.SIGALRM, ring)
    arm()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


def _place(frame: FrameType | None, files: frozenset[str]) -> tuple[str, str]:
    """Return the line that runs, in words, and its function."""
    while frame is not None:
        file, line = frame.f_code.co_filename, frame.f_lineno
        if file in files or not (files or file.startswith("<") or os.path.realpath(file).startswith(_OURS)):
            text = linecache.getline(file, line).strip()
            return f"line {line} of {os.path.basename(file)} ({text})", frame.f_code.co_name
        frame = frame.f_back
    return "its compilation", ""
