"""APR status codes, and the exceptions that carry them.

Interface:

- `Status` names the codes that slotmem uses, as APR 1.7 spells and numbers them on Linux.
- Every failure is a `SlotmemError`; `.status` says which code httpd would have returned.
- Where one code covers several mistakes, each has a class of its own, so that `except` can tell
  them apart.
- A message says what was got, what was expected, and what to do.

Errors of this library also derive from the built-in exception a Python programmer expects
(`IndexError` for a slot out of range, `TimeoutError` for a wait that took too long, ...).
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

_START_ERROR = 20_000  # APR_OS_START_ERROR
_START_STATUS = 70_000  # APR_OS_START_STATUS


class Status(IntEnum):
    """The APR status codes in use here.

    Source: apr_errno.h of APR 1.7; codes below 20000 are the system's errno values on Linux.
    """

    APR_SUCCESS = 0
    APR_ENOENT = 2
    APR_EACCES = 13
    APR_EEXIST = 17
    APR_EINVAL = 22
    APR_ENOSPC = 28
    APR_EGENERAL = _START_ERROR + 14
    APR_ENOSHMAVAIL = _START_ERROR + 15
    APR_TIMEUP = _START_STATUS + 7
    APR_NOTFOUND = _START_STATUS + 15
    APR_ENOTIMPL = _START_STATUS + 23
    APR_EMISMATCH = _START_STATUS + 24
    APR_EBUSY = _START_STATUS + 25


class SlotmemError(Exception):
    """Any failure of a slotmem call; `.status` is the APR code."""

    status: ClassVar[Status] = Status.APR_EGENERAL


class InvalidArgument(SlotmemError, ValueError):
    """An argument's value cannot be used."""

    status = Status.APR_EINVAL


class WrongType(SlotmemError, TypeError):
    """An argument is of a type that cannot be used."""

    status = Status.APR_EINVAL


class SlotOutOfRange(InvalidArgument, IndexError):
    """A slot id that the segment does not have."""


class LengthOutOfRange(InvalidArgument):
    """A get or put of fewer than 0 or more than slot_size() bytes."""


class NoFreeSlot(InvalidArgument):
    """A grab found every slot in use (httpd answers APR_EINVAL)."""


class InvalidName(InvalidArgument):
    """A segment name that cannot be used."""


class InvalidSize(InvalidArgument):
    """An item_size or item_num that no segment can have."""


class NotInUse(SlotmemError, LookupError):
    """The slot is not in use: it was not grabbed, or it was released."""

    status = Status.APR_NOTFOUND


class NoSegment(SlotmemError, FileNotFoundError):
    """There is no segment, or no folder, of that name."""

    status = Status.APR_ENOENT


class SegmentExists(SlotmemError, FileExistsError):
    """A segment of that name is alive, or nobody can tell whether it is."""

    status = Status.APR_EEXIST


class AccessDenied(SlotmemError, PermissionError):
    """What stands at the name is not ours to use."""

    status = Status.APR_EACCES


class Planted(AccessDenied):
    """A symlink, a FIFO, a folder or a second name of another file stands where a plain file of
    ours belongs.
    """


class OtherUser(AccessDenied):
    """What stands at the name belongs to another user."""


class ReadOnly(AccessDenied):
    """A write to a segment that was attached for reading only."""


class NoSpace(SlotmemError, OSError):
    """The shared memory folder or the disk cannot hold it."""

    status = Status.APR_ENOSPC


class Mismatch(SlotmemError):
    """Bytes that contradict themselves or what was asked for."""

    status = Status.APR_EMISMATCH


class Truncated(Mismatch):
    """A segment shorter than its own header says."""


class Forged(Mismatch):
    """A segment whose header contradicts itself."""


class OtherBoot(Mismatch):
    """A segment whose locks were made before the last reboot."""


class OtherNamespace(Mismatch):
    """A segment whose locks name their owners in another pid namespace."""


class NoSharedMemory(SlotmemError):
    """Shared memory is not available in this way."""

    status = Status.APR_ENOSHMAVAIL


class Unsupported(NoSharedMemory):
    """This system lacks what the provider needs."""


class OutOfResources(NoSharedMemory):
    """A limit of this process or of the machine is reached: open files, or memory."""


class Closed(NoSharedMemory):
    """The instance or its provider is closed, or was restarted."""


class Ended(Closed):
    """The server of an attached segment has closed it, or was restarted: nobody would see a put."""


class LockTimeout(SlotmemError, TimeoutError):
    """A wait for a lock took longer than `timeout_s`."""

    status = Status.APR_TIMEUP


class Reentered(SlotmemError, RuntimeError):
    """A signal handler called into the segment whose operation it had interrupted, or the function
    given to `update` did.
    """

    status = Status.APR_EBUSY


class Unrecoverable(SlotmemError):
    """A lock that cannot be made usable again: its memory was overwritten."""

    status = Status.APR_EGENERAL
