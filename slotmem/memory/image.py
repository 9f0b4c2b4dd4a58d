"""The images of real memory: what `slotmem.slots` works on when a user runs it.

Interface:

- `SharedImage`   a segment with our control block: mutexes and redo records lie in its memory.
- `ThreadImage`   memory of one process, with locks of `threading`: for systems without robust
  mutexes (macOS, Windows).
- `ForeignImage`  a segment that httpd made: no mutexes, and a redo record that nobody ever reads.

All three have the attributes that the header of `slotmem.slots` lists.
"""

from __future__ import annotations

import ctypes
import mmap
import threading
import time
from collections.abc import Iterator
from functools import cache
from typing import Any, NoReturn

from slotmem.memory import futex
from slotmem.memory import mutex as posix
from slotmem.memory.layout import (
    MARK_AT,
    MUTEX_BYTES,
    NUM_FREE_START,
    PAGE_BYTES,
    PUTTING_AT,
    REDO_HEADER_BYTES,
    WAITING_AT,
    Geometry,
    redo_stride,
)
from slotmem.memory.mutex import EBUSY, EDEADLK, ENOTRECOVERABLE
from slotmem.processes import ME
from slotmem.status import LockTimeout, Unsupported


class _Forgotten:
    """Words that are 0 whatever is stored there."""

    def __getitem__(self, index: int) -> int:
        return 0

    def __setitem__(self, index: int, value: int) -> None: ...

    def __iter__(self) -> Iterator[int]:
        return iter(())


FORGOTTEN = _Forgotten()


class _Mapped:
    """What all images share: views of the mapped bytes, made once."""

    def __init__(self, memory: mmap.mmap, geometry: Geometry) -> None:
        self.geometry = geometry
        self.memory = memory
        self.inuse = memoryview(memory)[geometry.inuse_start : geometry.apr_length]
        self.num_free = memoryview(memory)[NUM_FREE_START : NUM_FREE_START + 4].cast("I")
        self.redo: Any = memory
        self.redo_start = geometry.redo_start
        self.marks: Any = [0] * geometry.mutexes
        self.dirty: Any = self.marks
        self.ended: Any = (0,) * geometry.mutexes
        self.owners: Any = (0,) * geometry.mutexes  # nobody gives up a lock of one process
        self.me = ME
        self.waiting: Any = FORGOTTEN
        self.tenants: Any = FORGOTTEN
        self.putters: Any = FORGOTTEN
        self.putting: Any = FORGOTTEN

    def _keep_tenants(self, words: memoryview) -> None:
        """Show the words that say who has which slot."""
        shape = self.geometry
        middle, last = (shape.tenants_start // 8 + shape.item_num * times for times in (1, 2))
        self.tenants, self.putters = words[middle - shape.item_num : middle], words[middle:last]
        first, step = (shape.mutexes_start + PUTTING_AT) // 8, MUTEX_BYTES // 8
        self.putting = words[first : first + step * shape.mutexes : step]


class SharedImage(_Mapped):
    """A segment of ours. timeout_s bounds every wait for a lock; None waits for ever."""

    def __init__(self, memory: mmap.mmap, geometry: Geometry, timeout_s: float | None = None) -> None:
        super().__init__(memory, geometry)
        calls = posix.pthread()
        self.words = memoryview(memory).cast("Q")
        self._keep_tenants(self.words)
        start = geometry.control_start + WAITING_AT
        self.waiting = memoryview(memory)[start : start + 4].cast("I")
        self._waiting_word = ctypes.c_uint32.from_buffer(memory, start)  # keeps the memory, and so its address
        self.mutexes = [posix.at(memory, self._mutex_start(which)) for which in range(geometry.mutexes)]
        self.nobody = _nobody()
        first, step = (geometry.mutexes_start + MARK_AT) // 8, MUTEX_BYTES // 8
        self.marks = self.words[first : first + step * geometry.mutexes : step]
        halves = memoryview(memory).cast("I")
        self.dirty, self.ended = (
            halves[2 * first + half : 2 * (first + step * geometry.mutexes) : 2 * step] for half in (0, 1)
        )
        self.owners = posix.owners(memory, geometry.mutexes_start, geometry.mutexes)
        self.trylock = calls.trylock
        self.unlock = calls.unlock
        self.consistent = calls.consistent
        self.timeout_s = timeout_s

    def _mutex_start(self, which: int) -> int:
        return self.geometry.mutexes_start + which * MUTEX_BYTES

    def initialize(self) -> None:
        """Make every mutex, unlocked; nobody else may be using the memory."""
        for mutex in self.mutexes:
            posix.initialize(mutex)

    def described(self, which: int) -> str:
        """Say which lock that is, to somebody who waited for it in vain."""
        return f"the lock of {'the table' if which == 0 else f'slots {which - 1} + n*{self.geometry.stripes}'}"

    def sleep(self, timeout_s: float) -> None:
        """Sleep for as long as somebody is said to wait."""
        futex.wait(ctypes.addressof(self._waiting_word), 1, timeout_s)

    def wake(self) -> None:
        """Wake everybody who sleeps, in all processes."""
        futex.wake(ctypes.addressof(self._waiting_word))

    def revive(self, mutex: Any) -> int:
        """Make a mutex usable again that answered ENOTRECOVERABLE, and try to take it. Return the
        errno: ENOTRECOVERABLE where the C library does not let us.
        """
        start = self._mutex_start(self.mutexes.index(mutex))
        if not posix.revive(self.memory, start):  # it was a wait that ended so: that keeps nothing
            status = int(self.trylock(mutex))
            if status != ENOTRECOVERABLE or not posix.revive(self.memory, start):
                return status
        return int(self.trylock(mutex))

    def lock(self, mutex: Any) -> int:
        """Wait for a mutex, and return the errno of the attempt that ended the wait.

        Raises:
            LockTimeout: names the holder where it can be known.
        """
        deadline_s = None if self.timeout_s is None else time.monotonic() + self.timeout_s
        status = posix.lock(mutex, deadline_s)
        if status == EBUSY:
            which = self.mutexes.index(mutex)
            tid = posix.holder(self.memory, self._mutex_start(which))
            who = f"; {posix.describe_thread(tid)} holds it" if tid else ""
            raise LockTimeout(
                f"timed out after {self.timeout_s} s waiting for {self.described(which)}{who}; "
                "raise timeout_s, or end the process that holds it"
            )
        return status


class ThreadImage(_Mapped):
    """Memory of this process alone, guarded by locks of `threading`. No owner dies without the rest
    of the process.
    """

    def __init__(self, memory: mmap.mmap, geometry: Geometry, timeout_s: float | None = None) -> None:
        super().__init__(memory, geometry)
        self.words = memoryview(memory).cast("Q")
        self._keep_tenants(self.words)
        self.waiting = [0]
        self._freed = threading.Condition()
        self.mutexes = [_ThreadMutex() for _ in range(geometry.mutexes)]
        self.nobody = _ThreadMutex()
        self.timeout_s = timeout_s

    def initialize(self) -> None:
        """Do nothing: the locks start unlocked."""

    def sleep(self, timeout_s: float) -> None:
        """Sleep for as long as somebody is said to wait."""
        with self._freed:
            if self.waiting[0]:
                self._freed.wait(timeout_s)

    def wake(self) -> None:
        """Wake every thread that sleeps."""
        with self._freed:
            self._freed.notify_all()

    def trylock(self, mutex: _ThreadMutex) -> int:
        """Take a mutex if it is free; return 0, EBUSY or EDEADLK."""
        if mutex.owner == threading.get_ident():
            return EDEADLK
        if not mutex.lock.acquire(blocking=False):
            return EBUSY
        mutex.owner = threading.get_ident()
        return 0

    def lock(self, mutex: _ThreadMutex) -> int:
        """Wait for a mutex, and return 0.

        Raises:
            LockTimeout
        """
        if not mutex.lock.acquire(timeout=-1 if self.timeout_s is None else self.timeout_s):
            raise LockTimeout(f"timed out after {self.timeout_s} s waiting for a lock; thread {mutex.owner} holds it")
        mutex.owner = threading.get_ident()
        return 0

    def unlock(self, mutex: _ThreadMutex) -> int:
        """Unlock a mutex if this thread holds it."""
        if mutex.owner == threading.get_ident():
            mutex.owner = None
            mutex.lock.release()
        return 0

    def consistent(self, mutex: _ThreadMutex) -> int:
        """Do nothing: no owner dies alone."""
        del mutex
        return 0

    revive = consistent


class _ThreadMutex:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owner: int | None = None


class ForeignImage(_Mapped):
    """A segment without a control block: its maker uses no locks, so there are none."""

    def __init__(self, memory: mmap.mmap, geometry: Geometry, *, writable: bool) -> None:
        # One mutex that is never refused, one redo record outside the segment, which who only reads
        # does not need: a slot may be larger than this process's memory.
        super().__init__(memory, geometry._replace(stripes=1, first_stripe=0, mutexes=1))
        self.redo = bytearray(redo_stride(geometry.item_size) if writable else REDO_HEADER_BYTES)
        self.redo_start = 0
        self.words = memoryview(self.redo).cast("Q")
        self.mutexes = [None]
        self.nobody = None

    def trylock(self, mutex: None) -> int:
        """Return 0: there is nothing to take."""
        del mutex
        return 0

    lock = unlock = consistent = revive = trylock

    def sleep(self, timeout_s: float) -> NoReturn:
        """Refuse: nobody would wake us.

        Raises:
            Unsupported
        """
        del timeout_s
        raise Unsupported(
            "a segment without a control block has nothing to wait at; grab without timeout_s, and try again later"
        )


@cache
def _nobody() -> Any:
    """Return a mutex that nobody ever locks: unlocking it is refused, and harmless."""
    mutex = posix.at(mmap.mmap(-1, PAGE_BYTES), 0)
    posix.initialize(mutex)
    return mutex
