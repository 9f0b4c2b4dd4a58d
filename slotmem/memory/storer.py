"""Who may store a persisted file: one segment's owner at a time, for as long as the segment lives.

Interface: `Storer(names, replace=...)` is that right; `is_replaced()` says whether another
owner has taken it, `release()` gives it up.

The name of a segment keeps two owners apart only where they see the same names: through a symlinked
folder, or from containers that share the folder and not the shared memory, two could own one file,
and the last close would win. So the owner holds the `flock` of SEGMENT.owner, a file with its
process id in it, which is removed at the end. Whoever replaces a living owner puts a new one there.
Generations have a segment each, and share the persisted file: that is httpd's graceful restart.
A forked child does not keep the right: the descriptor is closed in it.
Clause CREATE-10.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from io import FileIO
from weakref import WeakSet

from slotmem.environment import failure
from slotmem.memory.descriptor import opened
from slotmem.memory.names import Names
from slotmem.memory.planted import check_plain, refusal
from slotmem.status import AccessDenied, SegmentExists, SlotmemError

if sys.platform != "win32":
    import fcntl

SUFFIX = ".owner"
_MODE = 0o600
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_here: WeakSet[Storer] = WeakSet()


class Storer:
    """The right to store what a segment has.

    Raises:
        SegmentExists: another process has it.
        AccessDenied, SlotmemError: no file can be made or locked beside it.
    """

    def __init__(self, names: Names, *, replace: bool = False) -> None:
        self._path = f"{names.segment}{SUFFIX}"
        while (file := self._taken(names, replace)) is None:
            pass
        with file:
            self._file = os.fstat(file.fileno())
            try:
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), f"{os.getpid()}\n".encode())
                # CPython's mmap keeps a duplicate of the descriptor, and closes it without a word.
                self._lock = mmap.mmap(file.fileno(), 1)
            except BaseException as error:
                with suppress(OSError):
                    os.unlink(self._path)
                if isinstance(error, OSError):
                    raise failure(f"the file {self._path} cannot be written", error) from error
                raise
        _here.add(self)

    def is_replaced(self) -> bool:
        """Return whether another owner has put its own file there.

        Raises:
            SlotmemError: that cannot be seen.
        """
        try:
            return not os.path.samestat(self._file, os.lstat(self._path))
        except FileNotFoundError:  # somebody removed it, or the folder is out of sight: then storing says so
            return False
        except OSError as error:
            raise failure(f"the file {self._path} cannot be opened", error, AccessDenied) from error

    @property
    def is_released(self) -> bool:
        """Whether this owner has given the right up itself."""
        return self._lock.closed

    def release(self) -> None:
        """Give the right up, and remove the file. Idempotent."""
        if not self._lock.closed:
            with suppress(OSError, SlotmemError):
                if not self.is_replaced():
                    os.unlink(self._path)
            self._lock.close()

    def _taken(self, names: Names, replace: bool) -> FileIO | None:
        """Open and lock the file; None if it is another one by now: try again."""
        what = f"the file {self._path}"
        try:
            file = opened(self._path, _FLAGS, _MODE)
        except OSError as error:
            raise refusal(what, self._path, error) from error
        try:
            check_plain(what, os.fstat(file.fileno()), alone=True)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), os.lstat(self._path)):
                return file
        except FileNotFoundError:
            pass
        except BlockingIOError:
            if not replace:
                owner = os.pread(file.fileno(), 20, 0).decode("ascii", "replace").strip() or "another process"
                file.close()
                raise SegmentExists(
                    f"the persisted file {names.persisted} has an owner (process {owner}) that will store it, though its segment is "
                    "not to be seen from here: it came through another path, or has its own shared memory; end it, use "
                    "another name or runtime directory, or create with replace=True, and it will not store"
                ) from None
            with suppress(FileNotFoundError):
                os.unlink(self._path)
        except BaseException as error:
            file.close()  # an exception's traceback may keep it, and its lock, for a long time
            if isinstance(error, OSError) and not isinstance(error, AccessDenied):
                raise failure(f"{what} cannot be locked", error, AccessDenied) from error
            raise
        file.close()
        return None


def _after_fork() -> None:
    """Close what the parent holds: its right ends with it, not with its children."""
    for storer in list(_here):
        storer._lock.close()
    _here.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
