"""Open files that close themselves, so that no exception can leave a descriptor open.

Interface:

- `opened(path, flags, mode)` opens a file; use it with `with`.
- `read_at(fd, start, nbytes)` reads all that is there.
"""

from __future__ import annotations

import os
from io import FileIO


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
