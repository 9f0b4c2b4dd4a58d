"""A lock for anything that processes share: robust, so that a holder's death hinders nobody.

>>> import tempfile, slotmem
>>> lock = slotmem.Lock("printer", runtime_dir=tempfile.mkdtemp())
>>> with lock as last:
...     print(last.died, lock.locked())
False True
>>> lock.unlink()

Its object is a segment of ours with one slot, so all is shared with segments: how it is published,
opened with suspicion and judged. Its mutex is the table's, waited for and taken over from the dead
by `slotmem.recovery`, as every operation of `slotmem.slots` does. Two things differ:

- Nobody owns it. Who comes first makes it, and one that nobody has open is not replaced but opened:
  its mutex may still have to tell of a death.
- The mark means that the next holder must be told that the last one died. So `repair` only notes
  that. Whoever is interrupted while taking the lock sets the mark again if nobody was told yet.

`_held` says which threads of this process were given a lock, and keeps its memory: the C library
keeps a list of the robust mutexes that a thread holds, and one that is unmapped while it is in
there ends the process with SIGSEGV. A mutex that this thread has although it is not in `_held`, was
left by an exception from a trace function, and is taken over as from the dead.
"""

from __future__ import annotations

import os
import threading
from threading import get_native_id
from types import FrameType
from typing import Any, NamedTuple

from slotmem.arguments import checked_runtime_dir, checked_timeout
from slotmem.environment import check_interpreter, telling
from slotmem.memory import control, mutex
from slotmem.memory.image import SharedImage
from slotmem.memory.mutex import EDEADLK, GIVEN_UP
from slotmem.memory.names import Names, resolve_lock
from slotmem.memory.segment import Segment, make_way, object_path, open_segment, publish
from slotmem.recovery import TABLE, Recoverable
from slotmem.shm import Filling
from slotmem.status import (
    Closed,
    Forged,
    NoSegment,
    NotHeld,
    OtherBoot,
    Reentered,
    SegmentExists,
    SlotmemError,
    Unsupported,
)

_SHAPE = control.shape_of(1, 1, 0)
_held: dict[tuple[int, int, int], _Guard] = {}  # by device and inode of the object, and thread


class Last(NamedTuple):
    """What a lock tells its new holder of the one before."""

    died: bool
    """Whether it ended while it held the lock, so that what the lock guards may be half changed."""


class Lock:
    """A lock shared by all processes and threads of this user that give the same name.

    Args:
        name: as the name of a segment; a relative one lies in the runtime directory. Segments and
            locks of one name do not disturb each other.
        runtime_dir: where relative names live; default as for a provider. Symlinks are followed.
        timeout_s: the longest wait of `with` and `acquire`, in seconds; None waits for ever.
        replace: make it anew whatever stands there; its users keep the old lock and do not see
            the new one.

    Raises:
        InvalidName
        WrongType
        Forged, Truncated: somebody overwrote it.
        OtherNamespace
        AccessDenied
        NoSpace
        Unsupported: on systems other than Linux.
    """

    def __init__(
        self,
        name: str,
        runtime_dir: str | os.PathLike[str] | None = None,
        *,
        timeout_s: float | None = None,
        replace: bool = False,
    ) -> None:
        mutex.pthread()  # Unsupported, before anything is touched
        check_interpreter()
        self._timeout_s = checked_timeout(timeout_s)
        self._names = resolve_lock(name, os.path.realpath(checked_runtime_dir(runtime_dir)))
        with telling(f"lock {name!r} cannot be opened"):
            opened = _make(self._names, replace) if replace else _open(self._names)
            self._guard: _Guard | None = _Guard(opened)

    def acquire(self, timeout_s: float | None = None) -> Last:
        """Take the lock, and tell whether its last holder died. None waits as long as the lock was
        made to.

        Raises:
            LockTimeout: names the holder.
            Reentered: this thread holds it already.
            Closed
        """
        guard = self._open_guard()
        guard.image.patience.timeout_s = self._timeout_s if timeout_s is None else checked_timeout(timeout_s)
        return _NEWS[guard.acquire()]

    def release(self) -> None:
        """Give the lock back.

        Raises:
            NotHeld: this thread does not hold it, or acquired it through another `Lock`.
            Closed
        """
        self._open_guard().release()

    def locked(self) -> bool:
        """Return whether somebody holds it at this moment.

        Raises:
            Unsupported: this C library does not show it.
            Closed
        """
        holder = self._open_guard().holder()
        if holder is None:
            raise Unsupported("this C library does not show who holds a mutex; acquire it with timeout_s=0 instead")
        return holder != 0

    def close(self) -> None:
        """End this object's use of the lock, and leave it to the others. Idempotent.

        Raises:
            SlotmemError: a thread of this process holds it.
        """
        if self._guard is not None:
            self._guard.end_use(self._names.name)
            self._guard = None

    def unlink(self) -> None:
        """Close it, and remove it if nobody else has it open; one that is gone already is no error.

        Raises:
            SegmentExists: somebody has it open, another `Lock` of this process perhaps.
            SlotmemError: a thread of this process holds it.
        """
        self.close()
        with telling(f"lock {self._names.name!r} cannot be removed"):
            while not make_way(self._names):
                pass

    def _open_guard(self) -> _Guard:
        if self._guard is None:
            raise Closed(f"lock {self._names.name!r} was closed here; make a new Lock of that name")
        return self._guard

    def __enter__(self) -> Last:
        guard = self._open_guard()
        guard.image.patience.timeout_s = self._timeout_s
        return _NEWS[guard.acquire()]

    def __exit__(self, *_: object) -> None:
        self._open_guard().release()

    def __repr__(self) -> str:
        return f"<slotmem lock {self._names.name!r}: {'closed' if self._guard is None else self._names.segment}>"


class _Image(SharedImage):
    """A segment with one lock, each wait for which has its own bound."""

    def __init__(self, opened: Segment) -> None:
        self.patience = threading.local()
        self.name = opened.names.name if opened.names else ""
        super().__init__(opened.memory, opened.shape)

    @property
    def timeout_s(self) -> float | None:
        given: float | None = self.patience.timeout_s
        return given

    @timeout_s.setter
    def timeout_s(self, value: float | None) -> None:
        self.patience.timeout_s = value

    def described(self, which: int) -> str:
        del which
        return f"lock {self.name!r}"


class _Guard(Recoverable):
    """The mutex of a lock."""

    calling = frozenset()
    reentered = (
        "this thread holds the lock already, or a signal handler asked for it while it was being taken or released; "
        "release it first, and let the handler note the signal and act on it later"
    )

    def __init__(self, opened: Segment) -> None:
        super().__init__(_Image(opened))
        self._object = (opened.info.st_dev, opened.info.st_ino)
        self._died = False  # known to the holder alone

    def acquire(self) -> bool:
        """Take the mutex; return whether its last holder died with it."""
        mutex = self.table_mutex
        trylock, unlock = self.trylock, self.unlock
        tid = get_native_id()
        key = (*self._object, tid)
        if key in _held and self.holder() == tid:
            raise Reentered(self.reentered)
        status, died, left = 0, False, False
        try:
            try:
                status = trylock(mutex)
                if status or self.marks[TABLE]:
                    status = self._enter(TABLE, status)
                died, self._died = self._died, False
                _held[key] = self
                return died
            except BaseException:
                if self.consistent(mutex) == 0 or died or (self._died and self.holder() == tid):
                    self.dirty[TABLE] = 1  # nobody was told
                _held.pop(key, None)
                unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
                left = True
                raise
        except BaseException:
            if not left:  # an exception from a trace function: rather told once too often
                self.dirty[TABLE] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
            raise

    def release(self) -> None:
        """Unlock the mutex."""
        mutex = self.table_mutex
        key = (*self._object, get_native_id())
        if _held.get(key) is not self or self.unlock(mutex):
            raise NotHeld("this thread does not hold the lock, or acquired it through another Lock; release it there")
        _held.pop(key, None)

    operations = frozenset([acquire.__code__, release.__code__])

    def repair(self, which: int) -> None:
        """Note that the last holder died; what the lock guards, its users repair."""
        del which
        self._died = True

    def holder(self) -> int | None:
        """Return the id of the thread that holds the mutex; 0 for nobody, None if not known."""
        return mutex.holder(self.memory, self.image.geometry.mutexes_start)

    def end_use(self, name: str) -> None:
        """Make sure that the memory may be unmapped.

        Raises:
            SlotmemError: a thread of this process holds the lock.
        """
        tid = self.holder()
        if tid and _held.get((*self._object, tid)) is self and os.path.exists(f"/proc/self/task/{tid}"):
            raise SlotmemError(
                f"lock {name!r} is held by {mutex.describe_thread(tid)} here; release it before you close it"
            )
        if tid == get_native_id() and (*self._object, tid) not in _held:
            self.unlock_all()

    def _is_interrupted(self, mutex: Any, frame: FrameType) -> bool:
        return (*self._object, get_native_id()) in _held or super()._is_interrupted(mutex, frame)


_NEWS = {False: Last(died=False), True: Last(died=True)}


def _make(names: Names, replace: bool) -> Segment:
    return publish(names, _SHAPE, Filling(None, _SHAPE), begun=[], replace=replace, keep=not replace)


def _open(names: Names) -> Segment:
    """Open the lock of a name, or make it if there is none, or one of before the last boot."""
    while True:
        try:
            opened = open_segment(names, writable=True, robust=True)
            if opened.ours and opened.shape == _SHAPE:
                return opened
            raise Forged(
                f"the object of lock {names.name!r} ({object_path(names)}) is not a lock of ours: somebody overwrote it; "
                "make the lock again with replace=True"
            )
        except NoSegment:
            try:
                return _make(names, replace=False)
            except SegmentExists:
                continue  # somebody was faster
        except OtherBoot:
            make_way(names)
