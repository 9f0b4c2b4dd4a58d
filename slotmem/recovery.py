"""What the slot operations share, and what they do when a mutex is not simply free.

`Recoverable` is the base of `slotmem.slots.Slots`, whose header says what an image is, and by which
rules an owner of a mutex may end anywhere:

- `_enter(which, status)`   waits for a mutex, and repairs what its last owner left unfinished
- `repair(which)`           finishes a put, counts the free slots again, and forgets their tenants
- `unlock_all()`            before the memory is unmapped

A repair needs no memory to speak of: it copies and counts in pieces.
"""

from __future__ import annotations

import sys
from array import array
from types import CodeType, FrameType
from typing import Any, NoReturn

from slotmem.blocks import is_within_block
from slotmem.bounds import Bounded
from slotmem.memory.layout import REDO_HEADER_BYTES, SLOTS_START
from slotmem.memory.mutex import EBUSY, EDEADLK, ENOTRECOVERABLE, EOWNERDEAD, GIVEN_UP
from slotmem.status import Ended, Forged, NotInUse, Reentered, Unrecoverable

TABLE = 0
COUNTERS = 2**32  # how many values the free counter has; one that drifted in httpd's hands goes round, as there
_CHUNK = 2**16  # bytes copied or counted at a time


class Recoverable(Bounded):
    """A segment's parts, and how whoever takes a mutex finds whole what it guards."""

    operations: frozenset[CodeType]
    """The code that holds a mutex while it runs."""
    calling: frozenset[CodeType]
    """The code that calls a user's function meanwhile."""
    reentered = (
        "a signal handler called into the segment whose operation it had interrupted, or the function given to update, or a "
        "block of locked, into its own; let the handler note the signal and act on it later, the function and the block only "
        "compute"
    )
    """What `Reentered` says to a thread that holds the mutex already."""

    def __init__(self, image: Any) -> None:
        shape = image.geometry
        self.image = image
        super().__init__(shape.item_size, shape.item_num)
        self.pregrab: bool = shape.pregrab
        self.stripes: int = shape.stripes
        self.inuse_start: int = shape.inuse_start
        self.payload_end: int = shape.apr_length
        self.memory = image.memory
        self.inuse = image.inuse
        self.num_free = image.num_free
        self.redo = image.redo
        self.words = image.words
        self.mutexes = image.mutexes
        self.marks = image.marks
        self.waiting = image.waiting
        self.me, self.tenants, self.putters, self.putting = image.me, image.tenants, image.putters, image.putting
        self.dirty = image.dirty
        self.ended = image.ended
        self.owners = image.owners
        self.nobody = image.nobody
        self.table_mutex = image.mutexes[TABLE]
        # No further attributes: with more than 30, CPython 3.11 and 3.12 find each more slowly.
        #
        # For each stripe: the number of its mutex, the mutex, the index in `words` of its redo
        # record, the offset in `redo` of the record's bytes.
        guarding = image.mutexes[shape.first_stripe :]
        records = [image.redo_start + stripe * shape.redo_stride for stripe in range(shape.stripes)]
        self.stripe_redo = [
            (which, mutex, record // 8, record + REDO_HEADER_BYTES)
            for which, (mutex, record) in enumerate(zip(guarding, records, strict=True), shape.first_stripe)
        ]
        self.stripe_guards = list(enumerate(guarding, shape.first_stripe))
        self.trylock = image.trylock
        self.unlock = image.unlock
        self.consistent = image.consistent

    @property
    def first_stripe(self) -> int:
        """The number of the first mutex that guards slots."""
        first: int = self.image.geometry.first_stripe
        return first

    def _enter(self, which: int, status: int) -> int:
        """Wait for a mutex that trylock did not simply give, and repair what its last owner left.

        Returns 0: the mutex is held, and what it guards is whole.
        """
        mutex = self.mutexes[which]
        while status not in (0, EOWNERDEAD):
            if status == EBUSY:
                if is_within_block() or self._is_within_update(
                    sys._getframe(2)
                ):  # never in the model: no client has a function
                    raise Reentered(
                        "the function given to update, or a block of locked, called into a segment, and would have to wait for a "
                        "lock while it keeps one itself; read what it needs before"
                    )
                status = self.image.lock(mutex)
            elif status == EDEADLK:  # never in the model: no signals
                if self._is_interrupted(mutex, sys._getframe(1)):
                    raise Reentered(self.reentered)
                status = ENOTRECOVERABLE if self.owners[which] == GIVEN_UP else EOWNERDEAD
            elif status == ENOTRECOVERABLE:
                status = self.image.revive(mutex) or EOWNERDEAD
                if status == ENOTRECOVERABLE:  # never in the model: it can be revived there
                    raise Unrecoverable(
                        f"mutex {which} was given up by an owner, and the C library does not let it be made usable again; "
                        "stop every process that uses this segment and create it again"
                    )
            elif status:  # never in the model: no other errno
                raise Unrecoverable(
                    f"mutex {which} answered errno {status}: its memory was overwritten; create the segment again"
                )
        if status == EOWNERDEAD:
            self.dirty[which] = 1
            self.consistent(mutex)
        elif not self.marks[which]:
            return 0
        self.repair(which)
        self.dirty[which] = 0
        if self.ended[which]:  # never in the model: no client closes
            self._raise_ended()
        return 0

    def end(self) -> None:  # never in the model: no client closes
        """Refuse every operation from now on, in whatever process: the segment has ended."""
        self.ended[:] = array("I", [1]) * len(self.mutexes)  # in one step: Ctrl-C must not come in between
        self.waiting[0] = 0
        self.image.wake()  # who waits for a slot is told, too

    def _raise_ended(self) -> NoReturn:  # never in the model: no client closes
        raise Ended(
            "the server of this segment has closed it, or was restarted: what is put here now, nobody would ever see; "
            "attach to the name again"
        )

    def repair(self, which: int) -> None:
        """Make whole what a mutex guards. The caller holds it; its last owner may have ended at any
        access.
        """
        if which >= self.first_stripe:
            _, _, word, copy = self.stripe_redo[which - self.first_stripe]
            item_id = self.words[word] - 1
            if item_id >= 0:
                nbytes = self.words[word + 1]
                if item_id >= self.item_num or nbytes > self.item_size:  # never in the model: nobody overwrites memory
                    raise Forged(
                        f"redo record {which} puts {nbytes} bytes to slot {item_id}, but the segment has "
                        f"{self.item_num} slots of {self.item_size} bytes: somebody overwrote it; create the segment again"
                    )
                start = SLOTS_START + item_id * self.item_size
                for at in range(0, nbytes, _CHUNK):
                    end = min(at + _CHUNK, nbytes)
                    self.memory[start + at : start + end] = self.redo[copy + at : copy + end]
                if not self.pregrab:
                    self.inuse[item_id] = 1
                self.putters[item_id] = self.putting[which]
                self.words[word] = 0
        if which == TABLE:
            free = 0
            for at in range(self.inuse_start, self.payload_end, _CHUNK):
                free += self.memory[at : min(at + _CHUNK, self.payload_end)].count(0)
            self.num_free[0] = free
            if free and self.waiting[0]:  # never in the model: nobody waits for a slot
                self.waiting[0] = 0
                self.image.wake()  # the dead one may have freed a slot, and woken nobody
            for item_id, tenant in enumerate(self.tenants):
                if tenant and not self.inuse[item_id]:
                    self.tenants[item_id] = 0

    def unlock_all(self) -> None:  # never in the model: no client closes
        """Unlock what an exception from a trace function has kept this thread from unlocking.

        The C library keeps a list of the robust mutexes that a thread holds. One that is unmapped
        while it is in there ends the process with SIGSEGV at the next lock of any other.
        """
        for which, mutex in enumerate(self.mutexes):
            if self.owners[which] != GIVEN_UP and not self._is_interrupted(mutex, sys._getframe(1)):
                self.dirty[which] = 1
                self.consistent(mutex)
                self.unlock(mutex)

    def _refuse(self, item_id: int) -> NoReturn:
        raise NotInUse(f"slot {item_id} is not in use; with PREGRAB grab it before get and put")

    def _is_within_update(self, frame: FrameType | None) -> bool:
        """Return whether a function that an update calls is below on the thread's stack."""
        while frame is not None:
            if frame.f_code in self.calling:  # never in the model: no client has a function
                return True
            frame = frame.f_back
        return False

    def _is_interrupted(self, mutex: Any, frame: FrameType) -> bool:  # never in the model: no signals
        """Return whether an operation below this one on the thread's stack may hold the mutex.

        If none does, an exception from a trace function has kept an earlier operation from
        unlocking it, and what it guards is as if its owner had died.
        """
        if is_within_block(self, mutex):
            return True
        below = frame.f_back
        while below is not None:
            if below.f_code in self.operations:
                held = below.f_locals
                # An instance on its own may hold another mutex there (snapshot has all of them);
                # another instance may be of the same segment.
                if held["self"] is not self or held.get("mutex") is mutex:
                    return True
            below = below.f_back
        return False
