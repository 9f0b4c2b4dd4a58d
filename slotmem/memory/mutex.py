"""Process-shared, robust, error-checking POSIX mutexes in mapped memory, through ctypes.

Interface:

- `at(memory, offset)` returns a handle on the mutex at an offset; `initialize(handle)` makes one
  there, unlocked.
- `trylock`, `lock`, `unlock`, `consistent` take a handle and return an errno: 0, EBUSY (somebody
  holds it), EOWNERDEAD (we hold it now, its owner died holding it), EDEADLK (this thread holds it
  already), ENOTRECOVERABLE, EPERM (unlock: not ours).
- `revive(memory, offset)` makes one usable again that answered ENOTRECOVERABLE.
- `holder(memory, offset)` names the thread that holds a mutex, where the C library shows it.

Rules for its users (each was learned from a failure that was measured):

1. `trylock` keeps the GIL (PyDLL: 166 ns a pair) and never blocks. To wait, call `lock`, which
   releases the GIL and waits in slices, so that other threads run and signals (Ctrl-C) are
   served.
2. Call `trylock` *inside* the `try` whose `finally` unlocks: CPython can raise a signal handler's
   exception between the return of a call and the next bytecode. Unlocking a mutex that is not held
   is EPERM and harmless.
3. Do not unlock after EDEADLK: the lock may belong to the operation that a signal handler has
   interrupted. Nor after ENOTRECOVERABLE: call `revive`. Never unlock a mutex taken over from the
   dead before `consistent`, which does nothing to one that is as it should be.
4. Inside a critical section only subscript stores, no calls, from the first store to the last:
   signal exceptions are raised between calls, not between stores.

Three weaknesses are known and left. A signal handler that itself uses the segment, interrupted by a
second handler that raises within the same few nanoseconds, can release the lock of the operation
below it. A process that is killed while it revives a mutex, which takes two exceptions from trace
functions before, leaves it locked for ever. And a mutex names its owner by thread id, which means
nothing in another pid namespace or after a reboot (`slotmem.memory.segment` refuses both).
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
import threading
import time
from functools import cache
from typing import Any

from slotmem.memory.layout import MUTEX_BYTES
from slotmem.status import Unsupported

EBUSY = errno.EBUSY
EDEADLK = errno.EDEADLK
EOWNERDEAD = getattr(errno, "EOWNERDEAD", 130)
ENOTRECOVERABLE = getattr(errno, "ENOTRECOVERABLE", 131)

_PROCESS_SHARED = 1
_ROBUST = 1
_ERRORCHECK = 2
_SPIN = 30  # trylocks before sleeping: half as fast again as sleeping at once when two processes contend
_SLICE_NS = 100_000_000
OWNER_AT = 8  # of glibc's pthread_mutex_t, on 64-bit systems
GIVEN_UP = 0x7FFFFFFE  # as the owner: unlocked by somebody who took it over from the dead, and not made consistent
_TID_MASK = 0x3FFFFFFF  # of a futex word, linux/futex.h


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Pthread:
    """The C library's functions, looked up once."""

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise Unsupported(
                f"the provider 'shm' needs Linux's robust process-shared mutexes, but this is {sys.platform}; "
                "use the provider 'plain' for slots within one process"
            )
        held = ctypes.PyDLL(None)  # keeps the GIL: for calls that do not block
        free = ctypes.CDLL(None)  # releases the GIL
        self.trylock = held.pthread_mutex_trylock
        self.unlock = held.pthread_mutex_unlock
        self.consistent = held.pthread_mutex_consistent
        self.init = held.pthread_mutex_init
        self.attribute_calls = (
            (held.pthread_mutexattr_setpshared, _PROCESS_SHARED),
            (held.pthread_mutexattr_setrobust, _ROBUST),
            (held.pthread_mutexattr_settype, _ERRORCHECK),
        )
        self.attribute_init = held.pthread_mutexattr_init
        self.attribute_destroy = held.pthread_mutexattr_destroy
        # Since 2.30 glibc can wait by the clock that never jumps.
        monotonic = hasattr(free, "pthread_mutex_clocklock")
        self.clock = time.CLOCK_MONOTONIC if monotonic else time.CLOCK_REALTIME
        self.clocklock = free.pthread_mutex_clocklock if monotonic else None
        self.timedlock = free.pthread_mutex_timedlock

    def sleep(self, mutex: Any, until_ns: int) -> int:
        """Wait for a mutex until `clock` shows until_ns. Return the errno."""
        until = ctypes.byref(_Timespec(until_ns // 10**9, until_ns % 10**9))
        return int(self.clocklock(mutex, self.clock, until) if self.clocklock else self.timedlock(mutex, until))


@cache
def pthread() -> _Pthread:
    """Return the C library's mutex functions.

    Raises:
        Unsupported: where they do not exist.
    """
    return _Pthread()


def at(memory: mmap.mmap, offset: int) -> Any:
    """Return a handle on the mutex at an offset; it keeps the memory mapped for as long as it
    lives.
    """
    return ctypes.byref((ctypes.c_char * MUTEX_BYTES).from_buffer(memory, offset))


def initialize(mutex: Any) -> None:
    """Make an unlocked mutex; nobody may be using its memory.

    Raises:
        Unsupported
    """
    calls = pthread()
    attributes = ctypes.byref(ctypes.create_string_buffer(MUTEX_BYTES))
    calls.attribute_init(attributes)
    try:
        for call, value in calls.attribute_calls:
            if error := call(attributes, value):
                raise Unsupported(f"the C library has no robust process-shared mutexes: {os.strerror(error)}")
        if error := calls.init(mutex, attributes):
            raise Unsupported(f"a mutex could not be made: {os.strerror(error)}")
    finally:
        calls.attribute_destroy(attributes)


def lock(mutex: Any, deadline_s: float | None) -> int:
    """Wait for a mutex (WAIT-1): spin a little, then sleep in slices. Return the errno of the
    attempt that ended it.

    deadline_s is a reading of time.monotonic() or None; once it has passed, EBUSY is returned.
    """
    calls = pthread()
    for _ in range(_SPIN):
        if (status := int(calls.trylock(mutex))) != EBUSY:
            return status
    while deadline_s is None or time.monotonic() < deadline_s:
        wait_ns = _SLICE_NS if deadline_s is None else min(_SLICE_NS, int((deadline_s - time.monotonic()) * 1e9))
        # A signal's exception may be raised as this returns, with the mutex taken: the caller's
        # `finally` unlocks it.
        if (status := calls.sleep(mutex, time.clock_gettime_ns(calls.clock) + max(0, wait_ns))) != errno.ETIMEDOUT:
            return status
    return EBUSY


def revive(memory: mmap.mmap, offset: int) -> bool:
    """Make a mutex usable again whose trylock has just answered ENOTRECOVERABLE to this thread:
    somebody took it over from the dead and unlocked it without `consistent`.

    glibc's trylock leaves the futex word with this thread's id then (seen in 2.36), in no list of
    robust mutexes: unlocking it would crash, and nobody else can get it meanwhile. Return whether
    it was so.
    """
    if holder(memory, offset) != threading.get_native_id():
        return False
    memory[offset + OWNER_AT : offset + OWNER_AT + 4] = bytes(4)
    memory[offset : offset + 4] = bytes(4)  # from here on anybody may have it
    return True


def owners(memory: mmap.mmap, offset: int, number: int) -> Any:
    """Return a view of what each of a row of mutexes says of its owner: a thread id, or
    `GIVEN_UP`.
    """
    if not _is_glibc():
        return (0,) * number
    step, first = MUTEX_BYTES // 4, (offset + OWNER_AT) // 4
    return memoryview(memory).cast("I")[first : first + step * number : step]


def holder(memory: mmap.mmap | bytes, offset: int) -> int | None:
    """Return the thread id that a mutex names as its owner; 0 if it is free, None if this C library
    does not show it.
    """
    if not _is_glibc():
        return None
    word = int.from_bytes(memory[offset : offset + 4], sys.byteorder)  # glibc keeps the futex word first
    return word & _TID_MASK


@cache
def _is_glibc() -> bool:
    names = getattr(os, "confstr_names", {})
    return "CS_GNU_LIBC_VERSION" in names and "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")


def describe_thread(tid: int) -> str:
    """Describe a thread in words: its process and command, or that it no longer exists."""
    try:
        with open(f"/proc/{tid}/status", encoding="utf-8", errors="replace") as lines:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
    except OSError:
        return f"thread {tid}, which no longer exists,"
    process = fields.get("Tgid", "?")
    thread = "" if process == str(tid) else f"thread {tid} of "
    return f"{thread}process {process} ({fields.get('Name', '?')})"
