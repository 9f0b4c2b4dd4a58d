"""Who holds what, found out without locking: mutexes, redo records, and who has it open.

All of it is read: mutexes and redo records from bytes of the control block, the rest from /proc.
glibc's mutexes are understood; with another C library the locks are "unknown".
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass

from slotmem.memory import mutex
from slotmem.memory.layout import MUTEX_BYTES, Geometry
from slotmem.memory.mutex_kind import is_mutex

_OWNER_DIED = 0x40000000  # of the futex word, linux/futex.h
_WAITERS = 0x80000000
_OWNER = slice(mutex.OWNER_AT, mutex.OWNER_AT + 4)  # of glibc's pthread_mutex_t, on 64-bit systems
_INCONSISTENT = 0x7FFFFFFF  # as the owner: taken over from the dead, not repaired yet


@dataclass(frozen=True)
class Lock:
    """One mutex as it was when looked at."""

    which: int
    guards: str
    state: str
    """One of: free, held, owner died, given up, damaged, unknown."""
    thread: int | None = None
    """The thread that holds it, or died holding it."""
    alive: bool | None = None
    waited_for: bool = False
    holder: str = ""


@dataclass(frozen=True)
class Redo:
    """A marked redo record: its put happens, whoever finishes it."""

    which: int
    """The mutex whose owner wrote it."""
    slot: int
    nbytes: int
    possible: bool
    """Whether the segment has such a slot."""


@dataclass(frozen=True)
class Opener:
    """A process that has the segment mapped."""

    process: int
    command: str


def are_taken(memory: bytes) -> bool:
    """Return whether any of the mutexes is not simply free; memory begins with the first."""
    return any(any(memory[at : at + 4]) for at in range(0, len(memory), MUTEX_BYTES))


def read_locks(shape: Geometry, memory: bytes) -> list[Lock]:
    """Decode the mutexes; memory begins with the first."""
    return [_read_lock(shape, memory, which) for which in range(shape.mutexes)]


def _read_lock(shape: Geometry, memory: bytes, which: int) -> Lock:
    raw = memory[which * MUTEX_BYTES : (which + 1) * MUTEX_BYTES]
    guards = _guarded(shape, which)
    holder = mutex.holder(raw, 0)
    if holder is None:
        return Lock(which, guards, "unknown")
    if not is_mutex(raw):
        return Lock(which, guards, "damaged")
    word = int.from_bytes(raw[:4], sys.byteorder)
    owner = int.from_bytes(raw[_OWNER], sys.byteorder)
    waited_for = bool(word & _WAITERS)
    if owner == mutex.GIVEN_UP:
        return Lock(which, guards, "given up")
    if word & _OWNER_DIED:
        who = None if owner in (0, _INCONSISTENT) else owner
        return Lock(which, guards, "owner died", who, False, waited_for, f"thread {who}" if who else "a repairer")
    if holder:
        alive = os.path.exists(f"/proc/{holder}")
        return Lock(which, guards, "held", holder, alive, waited_for, mutex.describe_thread(holder))
    return Lock(which, guards, "free")


def _guarded(shape: Geometry, which: int) -> str:
    if not shape.first_stripe:
        return "table and slots"
    if which == 0:
        return "table"
    slot = which - shape.first_stripe
    return f"slot {slot}" if slot + shape.stripes >= shape.item_num else f"slots {slot}, {slot + shape.stripes}, ..."


def read_redo(shape: Geometry, marks: list[tuple[int, int]]) -> list[Redo]:
    """Decode the marks of the redo records, (slot + 1 or 0, length) for each stripe."""
    return [
        Redo(shape.first_stripe + stripe, mark - 1, nbytes, mark <= shape.item_num and nbytes <= shape.item_size)
        for stripe, (mark, nbytes) in enumerate(marks)
        if mark
    ]


def read_openers(info: os.stat_result) -> tuple[list[Opener], int]:
    """Return the processes that have a file mapped, and how many could not be asked."""
    here = [f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}", str(info.st_ino)]
    openers, unasked = [], 0
    with suppress(FileNotFoundError):
        for pid in sorted(int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
            try:
                with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
                    if any(line.split(maxsplit=5)[3:5] == here for line in maps):
                        openers.append(Opener(pid, _command(pid)))
            except PermissionError:
                unasked += 1
            except OSError:
                continue  # it has ended
    return openers, unasked


def _command(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().rstrip("\n")
    return "?"


def has_flock(info: os.stat_result) -> bool:
    """Return whether anybody in sight holds a flock on a file: the sign that a segment of ours is
    alive.
    """
    here = f" {os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino} "
    with suppress(OSError), open("/proc/locks", encoding="ascii", errors="replace") as locks:
        return any(" FLOCK " in line and here in line for line in locks)
    return False
