"""Open files that close themselves, so that no exception can leave a descriptor open.

Interface:

- `opened(path, flags, mode)` opens a file; use it with `with`.
- `read_at(fd, start, nbytes)` reads all that is there.
- `patiently(lock, timeout_s, what)` tries to lock a file until that succeeds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from io import FileIO

from slotmem.status import LockTimeout

_PAUSE_S = 0.002


def opened(path: str, flags: int, mode: int = 0o600) -> FileIO:
    """Open a file as the system does; what is opened closes itself when it is forgotten.

    Between os.open and a variable for its result, an exception (Ctrl-C) would leave a number that
    nobody knows. Here both steps are one for Python, which raises such exceptions between steps.

    Raises:
        OSError
    """
    (file,) = map(FileIO, map(os.open, (path,), (flags | getattr(os, "O_CLOEXEC", 0),), (mode,)))
    return file


def read_at(fd: int, start: int, nbytes: int) -> bytes:
    """Return the bytes from start on: nbytes of them, or fewer where the file ends."""
    parts = []
    while nbytes > 0 and (part := os.pread(fd, nbytes, start)):
        parts.append(part)
        start, nbytes = start + len(part), nbytes - len(part)
    return b"".join(parts)


def patiently(lock: Callable[[], object], timeout_s: float | None, what: str) -> None:
    """Call a function that locks a file, or raises because another process has it locked, until it
    succeeds. None waits for ever.

    Raises:
        LockTimeout
        OSError: for any other reason.
    """
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        try:
            lock()
            return
        except BlockingIOError:
            if deadline_s is not None and time.monotonic() >= deadline_s:
                raise LockTimeout(
                    f"timed out after {timeout_s} s waiting for {what}; raise timeout_s, or end the process that holds it"
                ) from None
        time.sleep(_PAUSE_S)
