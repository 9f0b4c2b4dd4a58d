"""The museum, fourth room: too little instead of a lock, and what only a store buffer shows.

Compare-and-swap, sequence numbers, a spinlock, a single store. The first line of a class says what
is wrong with it. Those that need `--memory tso` are right on a machine that does every store at
once.
"""

from __future__ import annotations

from slotmem_model.algorithms.base import TABLE, UINT32, Refused
from slotmem_model.algorithms.cas import Cas
from slotmem_model.algorithms.one_store import OneStore
from slotmem_model.algorithms.seqlock import Seqlock
from slotmem_model.algorithms.spin_lock import SpinLock
from slotmem_model.automata.shared_words import ExtraWord
from slotmem_model.spec import NOTFOUND


class CasCountsPlainly(Cas):
    """The counter is loaded and stored: of two changes at once, one is lost."""

    def count(self, change: int) -> None:
        self.num_free[0] = (self.num_free[0] + change) % UINT32


class CasChecksThenStores(Cas):
    """The in-use byte is loaded, compared, and stored, where it should be swapped."""

    def swapped(self, item_id: int, expected: int, new: int) -> bool:
        is_so: bool = self.inuse[item_id] == expected
        if is_so:
            self.inuse[item_id] = new
        return is_so


class CasNotChecked(Cas):
    """grab does not check whether its swap succeeded."""

    def swapped(self, item_id: int, expected: int, new: int) -> bool:
        super().swapped(item_id, expected, new)
        return True


class CasCountsFirst(Cas):
    """release counts before it clears: the counter promises a slot that a grab does not find."""

    def release(self, item_id: int) -> None:
        if not self.inuse[item_id]:
            raise Refused(NOTFOUND)
        self.count(1)
        self.inuse[item_id] = 0
        self.image.fence()


class CasReleaseUnfenced(Cas):
    """release clears the in-use byte by a plain store, last: it returns before anybody sees the
    slot free.
    """

    def release(self, item_id: int) -> None:
        if not self.inuse[item_id]:
            raise Refused(NOTFOUND)
        self.count(1)
        self.inuse[item_id] = 0


class SeqlockUnfenced(Seqlock):
    """put has no fence at its end: a later get returns the old bytes."""

    def put(self, item_id: int, data: bytes) -> None:
        self.check(item_id)
        while not self.image.compare_and_swap(self.image.cell(self.writer, 0), 0, 1):
            self.image.retry()
        try:
            self.store(item_id, data)
        finally:
            self.writer[0] = 0


class SeqlockBumpedLate(Seqlock):
    """The sequence changes only after the bytes have."""

    def write(self, item_id: int, data: bytes) -> None:
        super(Seqlock, self).write(item_id, data)
        self.sequence[0] = (self.sequence[0] + 2) % self.extra_words[0].values


class SeqlockBumpedEarly(Seqlock):
    """The sequence is even again before the bytes are written."""

    def write(self, item_id: int, data: bytes) -> None:
        self.sequence[0] = (self.sequence[0] + 2) % self.extra_words[0].values
        super(Seqlock, self).write(item_id, data)


class SeqlockOddIgnored(Seqlock):
    """get compares the two readings of the sequence, but does not check that they are even."""

    extra_words = (ExtraWord("sequence", values=4), ExtraWord("writer", values=2))  # enough for a single put

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        while True:
            before = self.sequence[0]
            data = self.fetch(item_id, nbytes)
            if self.sequence[0] == before:
                return data
            self.image.retry()


class SeqlockReadOnce(Seqlock):
    """get does not read the sequence again."""

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        while self.sequence[0] % 2:
            self.image.retry()
        return self.fetch(item_id, nbytes)


class SeqlockShort(Seqlock):
    """The sequence wraps round so soon that two puts during one get leave it as it was."""

    extra_words = (ExtraWord("sequence", values=4), ExtraWord("writer", values=2))


class SeqlockNoTurns(Seqlock):
    """Nothing keeps writers apart."""

    def put(self, item_id: int, data: bytes) -> None:
        self.store(item_id, data)
        self.image.fence()


class SpinTestAndSet(SpinLock):
    """The spinlock is read, and then taken by a store: two processes can both find it free."""

    def enter(self, which: int) -> None:
        del which
        while self.lock[0]:
            self.image.retry()
        self.lock[0] = 1


class SpinBareCount(SpinLock):
    """num_free_slots reads the counter without the spinlock: a grab that has returned may not be
    seen yet.
    """

    def num_free_slots(self) -> int:
        free: int = self.num_free[0]
        return free


class SpinFreedEarly(SpinLock):
    """grab releases the spinlock before it stores the counter."""

    def take(self) -> int:
        item_id = self.lowest_free()
        if item_id >= 0:
            self.inuse[item_id] = 1
        self.leave(TABLE)
        if item_id < 0:
            raise Refused("APR_EINVAL")
        self.count(-1)
        return item_id


class OneStoreUnfenced(OneStore):
    """put of one byte has no fence: a later get by another process returns the old byte."""

    def put(self, item_id: int, data: bytes) -> None:
        self.use(item_id)
        self.write(item_id, data)
