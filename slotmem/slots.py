"""The heart: what each slot operation does to shared memory, and in which order.

`Slots` is an ordinary class over an *image*, which is what it sees of shared memory:

- `geometry`   the shape (`slotmem.memory.layout.Geometry`)
- `memory`     all bytes of the segment: slices, `find`
- `inuse`      the in-use bytes, one a slot: 0 or 1
- `num_free`   one integer, `num_free[0]`: how many slots are free
- `redo`       bytes again, for the redo records, which begin at `redo_start`; `words`, the same
  as 64-bit words
- `mutexes`    handles: number 0 guards the table (`inuse`, `num_free`), the others guard slot
  bytes, each with a redo record
- `trylock`, `lock`, `unlock`, `consistent`, `give_back`   as in `slotmem.memory.mutex`
- `nobody`     a mutex that nobody holds

An image of a real segment is the mapped memory itself. A simulated one answers the same accesses
one at a time, so that a model checker can explore every interleaving and every crash of this very
code.

The rules that make it safe (ATOMIC-1 to ATOMIC-3, KILL-2 to KILL-4, SIGNAL-1):

1. No operation holds two mutexes, but for `snapshot`, which takes all of them in ascending order.
2. An owner may die between any two accesses. The next one to lock is told (EOWNERDEAD), and repairs
   what the mutex guards: a put whose redo record is complete is finished, and `num_free` is counted
   again. Repair is idempotent, so a repairer may die too.
3. `put` writes its redo record first: the bytes, the length, and last the item id, which is what
   makes it valid.
4. With PREGRAB, get and put look at `inuse` under the slot's mutex only. If a release comes between
   the look and the copy, they took effect at the look: a release changes no bytes, and any other
   put waits for this mutex.
5. Without PREGRAB get and put mark the slot, so the table's mutex guards everything.
6. From the first store of a critical section to the last there is no call, so that a signal
   handler's exception cannot come between them. An exception anywhere else finds nothing half done;
   `_settle` repairs what a mutex taken over from the dead guards.

The lock's prelude and postlude are written out in every operation. A helper class used with `with`
would make grab and release together 84 to 93 % slower, put 62 to 68 %, get 80 to 87 % (medians of
15 interleaved repeats of processor time, Python 3.11, 64 bytes a slot; as written they take 1,000,
730 and 510 ns). A `contextmanager` costs still more, and every further call is one more place where
a signal handler's exception can come between a lock and the promise to unlock it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from slotmem.bounds import Bounded
from slotmem.memory.layout import PAYLOAD_START, REDO_HEADER_BYTES, SLOTS_START
from slotmem.memory.mutex import EBUSY, EDEADLK, ENOTRECOVERABLE, EOWNERDEAD
from slotmem.status import (
    Forged,
    NoFreeSlot,
    NotInUse,
    Reentered,
    Unrecoverable,
)

TABLE = 0
SETTLE_TRIES = 5  # a signal storm may interrupt the settling of an interruption


class Slots(Bounded):
    """The slot operations, safe under concurrency and SIGKILL.

    See `slotmem.interface.Instance` for their meaning.
    """

    survives_deaths = True
    """Whether the checker may kill its processes at any moment."""
    checks_lengths = True
    """Whether the checker may ask for lengths that do not fit."""

    def __init__(self, image: Any) -> None:
        shape = image.geometry
        self.image = image
        super().__init__(shape.item_size, shape.item_num)
        self.pregrab: bool = shape.pregrab
        self.stripes: int = shape.stripes
        self.first_stripe: int = shape.first_stripe
        self.inuse_start: int = shape.inuse_start
        self.payload_end: int = shape.apr_length
        self.memory = image.memory
        self.inuse = image.inuse
        self.num_free = image.num_free
        self.redo = image.redo
        self.words = image.words
        self.mutexes = image.mutexes
        self.table_mutex = image.mutexes[TABLE]
        self.stripe_mutexes = image.mutexes[shape.first_stripe :]
        # For each stripe: its mutex, the index in `words` of its redo record, the offset in `redo`
        # of the record's bytes.
        records = [image.redo_start + stripe * shape.redo_stride for stripe in range(shape.stripes)]
        self.stripe_redo = [
            (mutex, record // 8, record + REDO_HEADER_BYTES)
            for mutex, record in zip(self.stripe_mutexes, records, strict=True)
        ]
        self.trylock = image.trylock
        self.unlock = image.unlock

    # -- the table ---------------------------------------------------------------------------------

    def grab(self) -> int:
        """Take the lowest free slot and return its id (GRAB-1 to GRAB-4)."""
        mutex = self.table_mutex
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            status = trylock(mutex)
            if status:
                self._enter(mutex, status)
            item_id: int = self.memory.find(b"\0", self.inuse_start, self.payload_end) - self.inuse_start
            if item_id >= 0:
                self.inuse[item_id] = 1
                self.num_free[0] -= 1
        except BaseException:
            mutex = self._settle(mutex, status)
            raise
        finally:
            unlock(mutex)
        if item_id < 0:
            raise NoFreeSlot(f"all {self.item_num} slots are in use; release one first")
        return item_id

    def fgrab(self, item_id: int) -> None:
        """Take the slot of this id, free or not (FGRAB-1, FGRAB-2)."""
        if type(item_id) is not int or not 0 <= item_id < self.item_num:
            item_id = self.checked_id(item_id)
        mutex = self.table_mutex
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            status = trylock(mutex)
            if status:
                self._enter(mutex, status)
            if not self.inuse[item_id]:
                self.inuse[item_id] = 1
                self.num_free[0] -= 1
        except BaseException:
            mutex = self._settle(mutex, status)
            raise
        finally:
            unlock(mutex)

    def release(self, item_id: int) -> None:
        """Release a slot (RELEASE-1 to RELEASE-3)."""
        if type(item_id) is not int or not 0 <= item_id < self.item_num:
            item_id = self.checked_id(item_id)
        mutex = self.table_mutex
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            status = trylock(mutex)
            if status:
                self._enter(mutex, status)
            used = self.inuse[item_id]
            if used:
                self.inuse[item_id] = 0
                self.num_free[0] += 1
        except BaseException:
            mutex = self._settle(mutex, status)
            raise
        finally:
            unlock(mutex)
        if not used:
            raise NotInUse(f"slot {item_id} is not in use, so it cannot be released; grab it first")

    def num_free_slots(self) -> int:
        """Count the free slots (COUNT-2).

        It takes the lock: a bare load can miss a grab whose slot a get has already shown.
        """
        mutex = self.table_mutex
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            status = trylock(mutex)
            if status:
                self._enter(mutex, status)
            free: int = self.num_free[0]
        except BaseException:
            mutex = self._settle(mutex, status)
            raise
        finally:
            unlock(mutex)
        return free

    # -- slot bytes --------------------------------------------------------------------------------

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Read the beginning of a slot (GET-1 to GET-5)."""
        if type(item_id) is not int or not 0 <= item_id < self.item_num:
            item_id = self.checked_id(item_id)
        if nbytes is None:
            nbytes = self.item_size
        elif type(nbytes) is not int or not 0 <= nbytes <= self.item_size:
            nbytes = self.checked_length(nbytes)
        start = SLOTS_START + item_id * self.item_size
        mutex = self.stripe_mutexes[item_id % self.stripes]
        data: bytes | None = None
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            status = trylock(mutex)
            if status:
                self._enter(mutex, status)
            if self.inuse[item_id]:
                data = self.memory[start : start + nbytes]
            elif not self.pregrab:
                data = self.memory[start : start + nbytes]
                self.inuse[item_id] = 1
                self.num_free[0] -= 1
        except BaseException:
            mutex = self._settle(mutex, status)
            raise
        finally:
            unlock(mutex)
        if data is None:
            self._refuse(item_id)
        return data

    def put(self, item_id: int, data: Any) -> None:
        """Write the beginning of a slot (PUT-1 to PUT-5)."""
        if type(item_id) is not int or not 0 <= item_id < self.item_num:
            item_id = self.checked_id(item_id)
        if type(data) is not bytes:
            data = self.checked_bytes(data)  # never in the model: clients put bytes
        nbytes = len(data)
        if nbytes > self.item_size:
            self.checked_length(nbytes)
        start = SLOTS_START + item_id * self.item_size
        mutex, word, copy = self.stripe_redo[item_id % self.stripes]
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            status = trylock(mutex)
            if status:
                self._enter(mutex, status)
            used = self.inuse[item_id]
            if used or not self.pregrab:
                self.redo[copy : copy + nbytes] = data
                self.words[word + 1] = nbytes
                self.words[word] = item_id + 1  # from here on the put happens, whoever finishes it
                self.memory[start : start + nbytes] = data
                if not used:
                    self.inuse[item_id] = 1
                    self.num_free[0] -= 1
                self.words[word] = 0
        except BaseException:
            mutex = self._settle(mutex, status)
            raise
        finally:
            unlock(mutex)
        if not used and self.pregrab:
            self._refuse(item_id)

    # -- all slots ---------------------------------------------------------------------------------

    def doall(self, func: Callable[[memoryview, Any], int | None], data: Any = None) -> int:
        """Call func on one slot after another, with no lock held (DOALL-1 to DOALL-3)."""
        for item_id in range(self.item_num):  # never in the model: no client calls doall
            if not self.pregrab or self.inuse[item_id]:
                status = func(self.dptr(item_id), data)
                if status:
                    return status
        return 0  # never in the model: no client calls doall

    def dptr(self, item_id: int) -> memoryview:  # never in the model: no client calls it
        """Return a slot's own memory, not a copy (DPTR-1)."""
        start = SLOTS_START + self.checked_id(item_id) * self.item_size
        return memoryview(self.memory)[start : start + self.item_size]

    def slots(self) -> Iterator[int]:
        """Iterate over the ids in use at this moment."""
        mutex = self.table_mutex
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            status = trylock(mutex)
            if status:
                self._enter(mutex, status)
            inuse = self.memory[self.inuse_start : self.payload_end]
        except BaseException:
            mutex = self._settle(mutex, status)
            raise
        finally:
            unlock(mutex)
        return (item_id for item_id, used in enumerate(inuse) if used)

    def snapshot(  # never in the model: no client calls it
        self, take: Callable[[Any, slice], Any] = operator.getitem, which: int = TABLE
    ) -> Any:
        """Return what `take(memory, slice)` makes of the payload (num_free, slots, in-use bytes) of
        one instant: it is called with all mutexes held (STORE-6). The default copies.
        """
        mutex = self.mutexes[which]
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            status = trylock(mutex)
            if status:
                self._enter(mutex, status)
            if which + 1 < len(self.mutexes):
                return self.snapshot(take, which + 1)
            return take(self.memory, slice(PAYLOAD_START, self.payload_end))
        except BaseException:
            mutex = self._settle(mutex, status)
            raise
        finally:
            unlock(mutex)

    # -- when a lock is not simply free ------------------------------------------------------------

    def _enter(self, mutex: Any, status: int) -> None:
        """Wait for a mutex that trylock did not simply take, and repair what a dead owner left."""
        if status == EBUSY:
            status = self.image.lock(mutex)
        if status == EOWNERDEAD:
            self.repair(self.mutexes.index(mutex))
            self.image.consistent(mutex)
        elif status == EDEADLK:  # never in the model: no signals
            raise Reentered(
                "a signal handler called into the segment whose operation it had interrupted; "
                "let the handler note the signal and act on it later"
            )
        elif status == ENOTRECOVERABLE:  # never in the model: everybody repairs
            self.image.give_back(mutex)
            raise Unrecoverable(
                f"mutex {self.mutexes.index(mutex)} was given up by an owner that could not repair what it guards; "
                "stop every process that uses this segment and create it again"
            )
        elif status:  # never in the model: no other errno
            raise Unrecoverable(
                f"mutex {self.mutexes.index(mutex)} answered errno {status}: its memory was overwritten; "
                "create the segment again"
            )

    def _settle(self, mutex: Any, status: int) -> Any:
        """Prepare the mutex of an operation that an exception ends; return the mutex to unlock.

        A mutex that this thread held before, or that can never be taken again, is not ours to
        unlock: `nobody` takes its place. Otherwise the exception may have come between the trylock
        that took over a dead owner's mutex and the repair, and unlocking it unrepaired would make
        it unusable for ever. Another trylock tells whether it is held here. Further exceptions may
        strike meanwhile, so this is tried several times, and the last of them is raised when all is
        well. What cannot be repaired (`Forged`) is unlocked unrepaired, which tells everybody so.
        """
        if status in (EDEADLK, ENOTRECOVERABLE):  # never in the model: see _enter
            return self.image.nobody
        interruption: BaseException | None = None
        for _ in range(SETTLE_TRIES):
            try:
                if self.image.trylock(mutex) in (0, EDEADLK, EOWNERDEAD):
                    self.repair(self.mutexes.index(mutex))
                    self.image.consistent(mutex)
                break
            except BaseException as error:  # never in the model: no signals
                interruption = error
        if interruption is not None:  # never in the model: no signals
            raise interruption
        return mutex

    def repair(self, which: int) -> None:
        """Repair what a mutex guards. The caller holds it; its last owner may have died at any
        access.
        """
        if which >= self.first_stripe:
            _, word, copy = self.stripe_redo[which - self.first_stripe]
            item_id = self.words[word] - 1
            if item_id >= 0:
                nbytes = self.words[word + 1]
                if item_id >= self.item_num or nbytes > self.item_size:  # never in the model: nobody overwrites memory
                    raise Forged(
                        f"redo record {which} puts {nbytes} bytes to slot {item_id}, but the segment has "
                        f"{self.item_num} slots of {self.item_size} bytes: somebody overwrote it; create the segment again"
                    )
                start = SLOTS_START + item_id * self.item_size
                self.memory[start : start + nbytes] = self.redo[copy : copy + nbytes]
                if not self.pregrab:
                    self.inuse[item_id] = 1
                self.words[word] = 0
        if which == TABLE:
            free = self.memory[self.inuse_start : self.payload_end].count(0)
            self.num_free[0] = free

    def _refuse(self, item_id: int) -> NoReturn:
        raise NotInUse(f"slot {item_id} is not in use; with PREGRAB grab it before get and put")
