"""Slot-based shared memory as Apache httpd defines it, safe under concurrency and `kill -9`.

>>> import slotmem, tempfile
>>> with slotmem.provider("shm", runtime_dir=tempfile.mkdtemp()) as provider:
...     workers = provider.create("workers", item_size=64, item_num=8, type=slotmem.Type.PREGRAB)
...     mine = workers.grab()
...     workers.put(mine, b"hello")
...     print(mine, workers.get(mine, 5), workers.num_free_slots())
0 b'hello' 7

Start reading at `slotmem.interface` (what can be called) and `slotmem.slots` (what it does).
"""

from slotmem.interface import Instance, Outcome, Owner, Provider, PythonInstance, Restored, Type
from slotmem.lock import Last, Lock
from slotmem.providers import attach, create, provider
from slotmem.status import (
    AccessDenied,
    Closed,
    Ended,
    Forged,
    InvalidArgument,
    InvalidName,
    InvalidSize,
    LengthOutOfRange,
    LockTimeout,
    Mismatch,
    NoFreeSlot,
    NoSegment,
    NoSharedMemory,
    NoSpace,
    NotHeld,
    NotInUse,
    OtherBoot,
    OtherNamespace,
    OtherUser,
    OutOfResources,
    Planted,
    ReadOnly,
    Reentered,
    SegmentExists,
    SlotmemError,
    SlotOutOfRange,
    Status,
    Truncated,
    Unrecoverable,
    Unsupported,
    WrongType,
)

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "Closed",
    "Ended",
    "Forged",
    "Instance",
    "InvalidArgument",
    "InvalidName",
    "InvalidSize",
    "Last",
    "LengthOutOfRange",
    "Lock",
    "LockTimeout",
    "Mismatch",
    "NoFreeSlot",
    "NoSegment",
    "NoSharedMemory",
    "NoSpace",
    "NotHeld",
    "NotInUse",
    "OtherBoot",
    "OtherNamespace",
    "OtherUser",
    "OutOfResources",
    "Outcome",
    "Owner",
    "Planted",
    "Provider",
    "PythonInstance",
    "ReadOnly",
    "Reentered",
    "Restored",
    "SegmentExists",
    "SlotOutOfRange",
    "SlotmemError",
    "Status",
    "Truncated",
    "Type",
    "Unrecoverable",
    "Unsupported",
    "WrongType",
    "attach",
    "create",
    "provider",
]
