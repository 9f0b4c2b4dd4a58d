"""The interface that every implementation has, in Apache's words.

Interface:

- `Type` holds the flags of `create`.
- `Provider` creates and attaches segments; one provider object is one server lifetime.
- `Instance` is one process's access to one segment; ids are 0-based. `PythonInstance` is what
  those of slotmem's own providers can do besides.
- `Owner` says which process marked a slot in use, whether it lives, and whether the slot was put
  since.
- `Restored` says what became of a persisted file when its segment was created.

The protocols are structural: an implementation need not derive from them. Every failure is a
`slotmem.SlotmemError`, and `.status` tells which one (see `slotmem.status`).

Source: ap_slotmem.h and the documentation of mod_slotmem_shm, httpd 2.4.
"""

from __future__ import annotations

import builtins
import ctypes
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import Enum, IntFlag
from typing import Any, NamedTuple, Protocol, Self, TypeVar, runtime_checkable

from slotmem.processes import is_gone, process_id, started_ticks

View = TypeVar("View", bound=ctypes.Structure | ctypes.Union)


class Type(IntFlag):
    """The flags of a segment, with httpd's values (AP_SLOTMEM_TYPE_...)."""

    PERSIST = 1
    """Store the segment in a file at restart and clean stop; restore it at create."""
    NOTMPSAFE = 2
    """Stored with the segment and otherwise ignored, as in httpd."""
    PREGRAB = 4
    """Slots must be grabbed before get and put; without it, get and put mark the slot in use."""
    CLEARINUSE = 8
    """Store every slot as free."""


class Outcome(Enum):
    """What `create` found where the persisted file would be."""

    NOT_PERSISTENT = "not persistent"
    NO_FILE = "no file"
    RESTORED = "restored"
    SET_ASIDE = "set aside"


class Restored(NamedTuple):
    """What became of the persisted file when the segment was created.

    With `SET_ASIDE` the segment started fresh, `reason` says what was wrong with the file and
    `aside` where it is now.
    """

    outcome: Outcome
    reason: str = ""
    aside: str = ""

    def __bool__(self) -> bool:
        return self.outcome is Outcome.RESTORED


class Owner(NamedTuple):
    """The process that marked a slot in use."""

    token: int
    """Its id and start time in one number, which no other process of this boot ever has."""
    has_put: bool
    """Whether the slot was put since; if not, its bytes are those of whoever had it before."""

    @property
    def pid(self) -> int:
        """The process id, which may have been given to another process since."""
        return process_id(self.token)

    @property
    def started_ticks(self) -> int:
        """When the process started, in clock ticks since boot, as /proc/PID/stat has it."""
        return started_ticks(self.token)

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return not is_gone(self.token)


@runtime_checkable
class Instance(Protocol):
    """One process's access to one segment.

    Every call raises `Closed` after `close()`, and after its provider's `restart()` or `close()`;
    slotmem's own raise `Ended`, a kind of it, once the segment's server has ended it.
    """

    @property
    def name(self) -> str:
        """The name given to create or attach; "none" for anonymous memory."""

    @property
    def type(self) -> Type:
        """The flags of the segment."""

    @property
    def restored(self) -> Restored:
        """What became of the persisted file when this instance created the segment."""

    def doall(self, func: Callable[[memoryview, Any], int | None], data: Any = None) -> int:
        """Call `func(memory, data)` on one slot after another: with PREGRAB on those in use,
        without it on all.

        The first status other than success (0 or None) stops the walk and is returned. No lock is
        held meanwhile.
        """

    def dptr(self, item_id: int) -> memoryview:
        """Return the slot's own memory, slot_size() bytes, writable, not a copy, in use or not.

        Reads and writes through it take no lock. It stays valid memory for as long as it is
        referenced; after a close or restart nobody else sees what is written to it.
        """

    def view(self, item_id: int, structure: builtins.type[View]) -> View:
        """Lay a ctypes structure over the slot's own memory; see `dptr`."""

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Copy the first nbytes (0..slot_size(), default all) out of the slot.

        Raises:
            NotInUse: with PREGRAB, if the slot is not in use. Without PREGRAB the slot becomes in
                use.
        """

    def put(self, item_id: int, data: Any) -> None:
        """Copy a bytes-like object of 0..slot_size() bytes to the beginning of the slot; the rest
        stays.

        Raises:
            NotInUse: with PREGRAB, if the slot is not in use. Without PREGRAB the slot becomes in
                use.
        """

    def num_slots(self) -> int:
        """Return the number of slots: item_num of create."""

    def num_free_slots(self) -> int:
        """Return the number of slots not in use."""

    def slot_size(self) -> int:
        """Return the size of a slot in bytes: item_size of create."""

    def grab(self) -> int:
        """Take the lowest free slot, mark it in use and return its id; its old contents stay.

        Raises:
            NoFreeSlot: if every slot is in use.
        """

    def fgrab(self, item_id: int) -> None:
        """Mark the slot of this id in use; nothing changes if it is already."""

    def release(self, item_id: int) -> None:
        """Mark the slot free; its contents stay.

        Raises:
            NotInUse: if it is free already.
        """

    def slots(self) -> Iterator[int]:
        """Iterate over the ids that are in use at the moment of the call, in ascending order."""

    def close(self) -> None:
        """Close the instance: the segment's creator stores (PERSIST) and destroys it, an attacher
        detaches. Idempotent.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


@runtime_checkable
class PythonInstance(Instance, Protocol):
    """What Apache's interface does not have (profiles python and owners)."""

    def grab(self, timeout_s: float | None = 0) -> int:
        """Take the lowest free slot, as `Instance.grab` does; if there is none, wait for one up to
        timeout_s seconds, asleep. None waits for ever.

        Raises:
            NoFreeSlot: if every slot is in use, and stayed so.
            Unsupported: to wait at a segment that httpd made.
        """

    def grabbed(self, timeout_s: float | None = 0) -> AbstractContextManager[int]:
        """Grab a slot for the length of a `with`, which gets its id; timeout_s as in `grab`.

        At the end it is released, if it is still this process's.

        Raises:
            NoFreeSlot
        """

    async def grab_async(self, timeout_s: float | None = None) -> int:
        """Grab a slot, or wait for one while the event loop goes on. Cancelled, it keeps no slot.

        Raises:
            NoFreeSlot: none came free within timeout_s seconds; None waits for ever.
        """

    def owner(self, item_id: int) -> Owner | None:
        """Return the process that marked the slot in use; None if it is free, or nobody knows: it
        was restored from a file, or httpd marked it.
        """

    def reap(self, callback: Callable[[int, Owner], object] | None = None) -> list[int]:
        """Release every slot whose owner is dead, and return their ids.

        With a callback, only those are released for which `callback(item_id, owner)` returns
        something true. No lock is held meanwhile.
        """

    def update(self, item_id: int, function: Callable[[bytes], Any]) -> bytes:
        """Replace the beginning of the slot by what function makes of all its bytes, under the
        slot's lock; return that.

        The function must be quick, and must not use the segment. If it raises, nothing changes.

        Raises:
            NotInUse: with PREGRAB, if the slot is not in use. Without PREGRAB the slot becomes in
                use.
            LengthOutOfRange: if it returns more bytes than a slot has.
        """

    def compare_and_put(self, item_id: int, expected: Any, new: Any) -> bool:
        """Put new if the slot begins with expected, under the slot's lock; return whether it did.

        Raises:
            NotInUse: with PREGRAB, if the slot is not in use. Without PREGRAB the slot becomes in
                use, whether it begins so or not.
        """

    def locked(self, item_id: int) -> AbstractContextManager[memoryview]:
        """Hold the slot's lock for a `with`, which gets a writable view of all its bytes: a ctypes
        structure can be laid over it.

        What was changed is stored at the end of the block, wholly or not at all; if it ends by an
        exception, nothing is. The block must be quick, and must not use the segment.

        Raises:
            NotInUse: with PREGRAB, if the slot is not in use. Without PREGRAB the slot becomes in
                use.
        """

    def items(self) -> Iterator[tuple[int, bytes]]:
        """Iterate over the slots in use at the moment of the call: (id, bytes). Each is read by
        itself.
        """

    def __len__(self) -> int:
        """Return the number of slots."""

    @property
    def closed(self) -> bool:
        """Whether the instance is closed."""

    def detach(self) -> None:
        """Release the memory, and leave the segment as it is."""


@runtime_checkable
class Provider(Protocol):
    """One server lifetime: it creates and attaches segments, and ends them at restart and close."""

    @property
    def generation(self) -> int:
        """How often this server was restarted; part of the segment name of relative names."""

    def create(self, name: str | None, item_size: int, item_num: int, type: Type = Type(0)) -> Instance:
        """Make a segment of item_num slots of item_size bytes each.

        `name`: None, "" or "none" is anonymous memory, which cannot be attached and is not stored;
        a relative name lies under the runtime directory; an absolute one is taken as it is. For a
        name that this provider already has, it returns the same instance, and the other arguments
        are ignored.

        Raises:
            SegmentExists: another process has a live segment of that name.
        """

    def attach(self, name: str) -> Instance:
        """Attach to a segment that somebody created.

        Raises:
            NoSegment: if there is none.
            NoSharedMemory: for the names of anonymous memory.
        """

    def restart(self) -> None:
        """Store what is persistent, destroy every segment created here, and begin the next
        generation.
        """

    def close(self) -> None:
        """Store what is persistent, destroy every segment created here, and end. Idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
