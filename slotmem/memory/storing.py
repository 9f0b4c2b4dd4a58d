"""Replacing a persisted file: a crash at any moment leaves the old one or the new one, on disk.

Interface:

- `probe(path)` finds out whether a file can be stored there, before anything depends on it.
- `store(path, data, timeout_s)` replaces the file.
- `sync_folder(path)` brings the name of a file to disk.

The new file is written at PATH.new, so that crashes leave one such file at most. Whoever writes
there holds its `flock`. If something that is not ours stands there, another name is used.
Clauses STORE-4, STORE-5, CREATE-10.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from io import FileIO

from slotmem.environment import failure
from slotmem.memory.descriptor import opened, patiently
from slotmem.memory.planted import check_plain, refusal
from slotmem.status import LockTimeout, NoSegment, NoSpace, OtherUser, Planted

if sys.platform != "win32":
    import fcntl

_MODE = 0o600
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def probe(path: str) -> None:
    """Write what a store writes first, and remove it.

    Raises:
        NoSegment: the folder does not exist.
        SlotmemError: no file can be made or locked in it.
    """
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise NoSegment(f"the folder {folder} of the persisted file {path} does not exist; make it first")
    with suppress(LockTimeout):  # somebody is storing at this moment: so it is possible
        fresh, file = _open_fresh(path, 0)
        with file:
            _remove(fresh, file)


def store(path: str, data: Iterable[bytes | memoryview], timeout_s: float | None = None) -> None:
    """Replace the file by one with these bytes, and return when both it and its name are on disk.

    timeout_s: how long to wait for another process that is storing there; None waits for ever.

    Raises:
        LockTimeout
        NoSpace
        Planted: a folder stands at the path.
        AccessDenied
    """
    fresh, file = _open_fresh(path, timeout_s)
    with file:
        try:
            os.ftruncate(file.fileno(), 0)
            for part in data:
                view = memoryview(part)
                while view:
                    view = view[os.write(file.fileno(), view) :]
            os.fsync(file.fileno())
            os.rename(fresh, path)
        except BaseException as error:
            _remove(fresh, file)
            if isinstance(error, IsADirectoryError):
                raise refusal(f"the persisted file {path}", path, error) from error
            if isinstance(error, OSError):
                raise failure(f"{path} could not be stored, and the old file, if any, is untouched", error) from error
            raise
    try:
        sync_folder(path)
    except OSError as error:
        raise failure(f"{path} was stored, but its name may not be on disk yet", error, NoSpace) from error


def sync_folder(path: str) -> None:
    """Bring the name of a file to disk; a file system that cannot do that is warned of.

    Raises:
        OSError
    """
    folder = os.path.dirname(path)
    fd = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        logging.getLogger("slotmem").warning(
            "%s is stored, but the file system of %s cannot sync a folder (%s), so a power failure may still bring the "
            "old file back",
            path,
            folder,
            error.strerror,
        )
    finally:
        os.close(fd)


def _open_fresh(path: str, timeout_s: float | None) -> tuple[str, FileIO]:
    """Open and lock the file that will replace the old one; return its path, too.

    Raises:
        LockTimeout: another process is writing it.
        SlotmemError
    """
    fresh = f"{path}.new"
    try:
        while (file := _open_locked(fresh, timeout_s)) is None:
            pass
        return fresh, file
    except (Planted, OtherUser) as error:
        other = f"{fresh}-{os.urandom(3).hex()[:5]}"  # as long as the names of files set aside
        logging.getLogger("slotmem").warning("%s; %s is used instead", error, other)
        if (file := _open_locked(other, timeout_s, os.O_EXCL)) is None:
            raise refusal(f"the file {other}", other, FileNotFoundError(errno.ENOENT, "it was removed")) from error
        return other, file


def _open_locked(fresh: str, timeout_s: float | None, more: int = 0) -> FileIO | None:
    """Open and lock a file; None if it was renamed or removed before we got the lock."""
    try:
        file = opened(fresh, _FLAGS | more, _MODE)
    except OSError as error:
        raise refusal(f"the file {fresh}", fresh, error) from error
    try:
        check_plain(f"the file {fresh}", os.fstat(file.fileno()), alone=True)
        lock = partial(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        patiently(lock, timeout_s, f"the lock of {fresh}, which another process is writing")
        info = os.fstat(file.fileno())
        if os.path.samestat(info, os.lstat(fresh)):
            if stat.S_IMODE(info.st_mode) != _MODE:
                os.fchmod(file.fileno(), _MODE)
            return file
    except FileNotFoundError:
        pass
    except BaseException as error:
        file.close()  # an exception's traceback may keep it, and its lock, for a long time
        if isinstance(error, OSError) and not isinstance(error, LockTimeout | Planted | OtherUser):
            raise failure(f"the file {fresh} cannot be locked for writing", error) from error
        raise
    file.close()
    return None


def _remove(fresh: str, file: FileIO) -> None:
    with suppress(OSError):
        if os.path.samestat(os.fstat(file.fileno()), os.lstat(fresh)):
            os.unlink(fresh)
