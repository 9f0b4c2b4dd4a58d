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
- `trylock`, `lock`, `unlock`, `consistent`, `revive`   as in `slotmem.memory.mutex`
- `tenants`    for each slot who has it, `putters`, whose slot it was at its last put; `putting`,
  one for each mutex: whose slot the redo record is for; `me[0]`, this process
- `waiting[0]`, `sleep`, `wake`   as in `slotmem.waiting`
- `marks`      one for each mutex, with two halves: `dirty` and `ended`
- `owners`     what each mutex says of its owner; `nobody`, a mutex that nobody holds

An image of a real segment is the mapped memory itself. A simulated one answers the same accesses
one at a time, so that a model checker can explore every interleaving and every crash of this very
code.

The rules that make it safe (ATOMIC-1 to ATOMIC-3, KILL-2 to KILL-4, SIGNAL-1):

1. No operation holds two mutexes, but for `snapshot`, which takes all of them in ascending order.
2. An owner may die between any two accesses, and an exception may end it there. Whoever has the
   mutex next repairs what it guards: a put whose redo record is complete is finished, and
   `num_free` is counted again. Repair is idempotent, so that a repairer may end in the same ways.
3. `put` writes its redo record first: the bytes, the length, and last the item id, which is what
   makes it valid.
4. With PREGRAB, get and put look at `inuse` under the slot's mutex only. If a release comes between
   the look and the copy, they took effect at the look: a release changes no bytes, and any other
   put waits for this mutex.
5. Without PREGRAB get and put mark the slot, so the table's mutex guards everything.
6. Each mutex has a *mark*: `dirty` if what it guards may be half changed. Whoever takes a mutex
   over from the dead (EOWNERDEAD) sets it, and whoever leaves an operation by an exception; whoever
   finds it set repairs, then clears it. So a mutex can be declared consistent at once, and an
   operation that an exception ends needs only to mark and to unlock. To mark without holding the
   mutex is harmless: it costs the next owner a repair that changes nothing.
7. The way out of an exception calls no Python and allocates nothing, so that nothing can go wrong
   on it: neither the recursion limit nor a lack of memory, nor another exception from a signal
   handler, which CPython raises after a call and not before. A trace function can raise before the
   unlock, too; that is why there are two ways out, one around the other. What it can still do is to
   leave the lock with this thread, whose next operation finds it (EDEADLK) and repairs.

8. A slot's tenant is stored before whatever marks it in use (the in-use byte, or the redo record
   of a put without PREGRAB), so that nobody who dies leaves a slot that is in use to the wrong one.
   On a free slot it means nothing; release clears it for the sake of httpd, which knows of none.
   put reads the tenant before it looks at `inuse`, so that a put that comes late, into a slot that
   has been released and grabbed meanwhile, does not count as the new tenant's. (It does if the new
   tenant is the old one: a stranger's put that began in the tenancy before. That much is left.)

The lock's prelude and postlude are written out in every operation. A helper class used with `with`
would make grab and release together 84 to 93 % slower, put 62 to 68 %, get 80 to 87 % (medians of
15 interleaved repeats of processor time, Python 3.11, 64 bytes a slot; as written, and without the
marks, they took 1,000, 730 and 510 ns; to look at the mark costs some 30 ns more). A
`contextmanager` costs still more, and every further call is one more place where a signal handler's
exception can come between a lock and the promise to unlock it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from slotmem.memory.layout import PAYLOAD_START, SLOTS_START
from slotmem.memory.mutex import EDEADLK, GIVEN_UP
from slotmem.recovery import COUNTERS, TABLE
from slotmem.status import NoFreeSlot, NotInUse
from slotmem.tenancy import Tenancy
from slotmem.updates import Updates
from slotmem.waiting import ONCE, Waiting


class Slots(Updates, Tenancy, Waiting):
    """The slot operations, safe under concurrency and SIGKILL.

    See `slotmem.interface.Instance` for their meaning.
    """

    survives_deaths = True
    """Whether the checker may kill its processes at any moment."""
    survives_exceptions = True
    """Whether it may raise an exception in them at any moment."""
    checks_lengths = True
    """Whether the checker may ask for lengths that do not fit."""

    # -- the table ---------------------------------------------------------------------------------

    def grab(self, timeout_s: float | None = 0) -> int:
        """Take the lowest free slot and return its id (GRAB-1 to GRAB-4), or wait for one
        (WAITING-1).
        """
        mutex, num_free = self.table_mutex, self.num_free
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            try:
                status = trylock(mutex)
                if status or self.marks[TABLE]:
                    status = self._enter(TABLE, status)
                item_id: int = self.memory.find(b"\0", self.inuse_start, self.payload_end) - self.inuse_start
                if item_id >= 0:
                    self.putters[item_id] = 0
                    self.tenants[item_id] = self.me[0]
                    self.inuse[item_id] = 1
                    num_free[0] = (num_free[0] or COUNTERS) - 1
                elif timeout_s != 0:  # never in the model: nobody waits for a slot
                    self.waiting[0] = 1
                unlock(mutex)
            except BaseException:
                self.dirty[TABLE] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
                raise
        except BaseException:
            self.dirty[TABLE] = 1
            unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
            raise
        if item_id < 0:
            if timeout_s != 0 and timeout_s is not ONCE:  # never in the model: nobody waits for a slot
                return self.grab_later(timeout_s)
            raise NoFreeSlot(f"all {self.item_num} slots are in use; release one first")
        return item_id

    def fgrab(self, item_id: int) -> None:
        """Take the slot of this id, free or not (FGRAB-1, FGRAB-2)."""
        if type(item_id) is not int or not 0 <= item_id < self.item_num:
            item_id = self.checked_id(item_id)
        mutex, num_free = self.table_mutex, self.num_free
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            try:
                status = trylock(mutex)
                if status or self.marks[TABLE]:
                    status = self._enter(TABLE, status)
                if not self.inuse[item_id]:
                    self.putters[item_id] = 0
                    self.tenants[item_id] = self.me[0]
                    self.inuse[item_id] = 1
                    num_free[0] = (num_free[0] or COUNTERS) - 1
                unlock(mutex)
            except BaseException:
                self.dirty[TABLE] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
                raise
        except BaseException:
            self.dirty[TABLE] = 1
            unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
            raise

    def release(self, item_id: int) -> None:
        """Release a slot (RELEASE-1 to RELEASE-3)."""
        if type(item_id) is not int or not 0 <= item_id < self.item_num:
            item_id = self.checked_id(item_id)
        mutex, num_free = self.table_mutex, self.num_free
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            try:
                status = trylock(mutex)
                if status or self.marks[TABLE]:
                    status = self._enter(TABLE, status)
                used = self.inuse[item_id]
                if used:
                    self.inuse[item_id] = 0
                    free = num_free[0] + 1
                    num_free[0] = free if free < COUNTERS else 0
                    self.tenants[item_id] = 0
                    waited = free == 1 and self.waiting[0]
                    if waited:  # never in the model: nobody waits for a slot
                        self.waiting[0] = 0
                unlock(mutex)
            except BaseException:
                self.dirty[TABLE] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
                raise
        except BaseException:
            self.dirty[TABLE] = 1
            unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
            raise
        if not used:
            raise NotInUse(f"slot {item_id} is not in use, so it cannot be released; grab it first")
        if waited:  # never in the model: nobody waits for a slot
            self.image.wake()

    def num_free_slots(self) -> int:
        """Count the free slots (COUNT-2).

        It takes the lock: a bare load can miss a grab whose slot a get has already shown.
        """
        mutex = self.table_mutex
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            try:
                status = trylock(mutex)
                if status or self.marks[TABLE]:
                    status = self._enter(TABLE, status)
                free: int = self.num_free[0]
                unlock(mutex)
            except BaseException:
                self.dirty[TABLE] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
                raise
        except BaseException:
            self.dirty[TABLE] = 1
            unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
            raise
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
        which, mutex = self.stripe_guards[item_id % self.stripes]
        data: bytes | None = None
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            try:
                status = trylock(mutex)
                if status or self.marks[which]:
                    status = self._enter(which, status)
                if self.inuse[item_id]:
                    data = self.memory[start : start + nbytes]
                elif not self.pregrab:
                    data = self.memory[start : start + nbytes]
                    self.putters[item_id] = 0
                    self.tenants[item_id] = self.me[0]
                    self.inuse[item_id] = 1
                    self.num_free[0] = (self.num_free[0] or COUNTERS) - 1
                unlock(mutex)
            except BaseException:
                self.dirty[which] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[which] != GIVEN_UP else self.nobody)
                raise
        except BaseException:
            self.dirty[which] = 1
            unlock(mutex if status != EDEADLK and self.owners[which] != GIVEN_UP else self.nobody)
            raise
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
        which, mutex, word, copy = self.stripe_redo[item_id % self.stripes]
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            try:
                status = trylock(mutex)
                if status or self.marks[which]:
                    status = self._enter(which, status)
                tenant = self.tenants[item_id]
                used = self.inuse[item_id]
                if used or not self.pregrab:
                    if not used:
                        tenant = self.tenants[item_id] = self.me[0]
                    self.putting[which] = tenant
                    self.redo[copy : copy + nbytes] = data
                    self.words[word + 1] = nbytes
                    self.words[word] = item_id + 1  # from here on the put happens, whoever finishes it
                    self.memory[start : start + nbytes] = data
                    if not used:
                        self.inuse[item_id] = 1
                        self.num_free[0] = (self.num_free[0] or COUNTERS) - 1
                    self.putters[item_id] = tenant
                    self.words[word] = 0
                unlock(mutex)
            except BaseException:
                self.dirty[which] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[which] != GIVEN_UP else self.nobody)
                raise
        except BaseException:
            self.dirty[which] = 1
            unlock(mutex if status != EDEADLK and self.owners[which] != GIVEN_UP else self.nobody)
            raise
        if not used and self.pregrab:
            self._refuse(item_id)

    # -- all slots ---------------------------------------------------------------------------------

    def doall(self, func: Callable[[memoryview, Any], int | None], data: Any = None) -> int:
        """Call func on one slot after another, with no lock held (DOALL-1 to DOALL-3)."""
        if self.ended[TABLE]:  # never in the model: no client calls doall
            self._raise_ended()
        for item_id in range(self.item_num):  # never in the model: no client calls doall
            if not self.pregrab or self.inuse[item_id]:
                status = func(self.dptr(item_id), data)
                if status:
                    return status
        return 0  # never in the model: no client calls doall

    def dptr(self, item_id: int) -> memoryview:  # never in the model: no client calls it
        """Return a slot's own memory, not a copy (DPTR-1)."""
        start = SLOTS_START + self.checked_id(item_id) * self.item_size
        if self.ended[TABLE]:
            self._raise_ended()
        return memoryview(self.memory)[start : start + self.item_size]

    def slots(self) -> Iterator[int]:
        """Iterate over the ids in use at this moment."""
        mutex = self.table_mutex
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            try:
                status = trylock(mutex)
                if status or self.marks[TABLE]:
                    status = self._enter(TABLE, status)
                inuse = self.memory[self.inuse_start : self.payload_end]
                unlock(mutex)
            except BaseException:
                self.dirty[TABLE] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
                raise
        except BaseException:
            self.dirty[TABLE] = 1
            unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
            raise
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
            try:
                status = trylock(mutex)
                if status or self.marks[which]:
                    status = self._enter(which, status)
                if which + 1 < len(self.mutexes):
                    taken = self.snapshot(take, which + 1)
                else:
                    taken = take(self.memory, slice(PAYLOAD_START, self.payload_end))
                unlock(mutex)
            except BaseException:
                self.dirty[which] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[which] != GIVEN_UP else self.nobody)
                raise
        except BaseException:
            self.dirty[which] = 1
            unlock(mutex if status != EDEADLK and self.owners[which] != GIVEN_UP else self.nobody)
            raise
        return taken

    operations = (
        Updates.operations
        | Tenancy.operations
        | frozenset(each.__code__ for each in (grab, fgrab, release, num_free_slots, get, put, slots, snapshot))
    )
