"""Files that users name: regular ones are read, and nothing else is waited for.

Interface: `opened(path)` opens one for reading bytes, `read_text(path)` reads one. A pipe nobody
writes to, a device without an end, a socket and whatever else is no file is refused at once.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def opened(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        OSError: it is none, or cannot be read; it has the path and the reason.
    """
    _refuse_other(path, os.stat(path).st_mode)  # before it is opened: some devices act on that
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse_other(path, os.fstat(descriptor).st_mode)
        os.pread(descriptor, 1, 0)  # some files of /proc can be opened only
    except OSError as error:
        os.close(descriptor)
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    return os.fdopen(descriptor, "rb")


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a regular file in UTF-8.

    Raises:
        OSError: as `opened` says.
        UnicodeDecodeError
    """
    with opened(path) as file:
        return file.read().decode("utf-8")


def _refuse_other(path: str | os.PathLike[str], mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((what for is_it, what in _KINDS if is_it(mode)), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}; expected a file", os.fspath(path))
