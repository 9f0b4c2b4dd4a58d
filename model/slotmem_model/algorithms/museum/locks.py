"""The museum, second room: locks left out, dropped early, confused, or never released.

Right in one process; each needs two. Most are the striped design with one thing changed. The first
line of a class says what is wrong with it.
"""

from __future__ import annotations

from slotmem_model.algorithms.base import TABLE, Refused
from slotmem_model.algorithms.httpd_locked import HttpdLocked
from slotmem_model.algorithms.plain_lock import PlainLock
from slotmem_model.algorithms.striped import Striped
from slotmem_model.algorithms.ticket_lock import TicketLock
from slotmem_model.automata.accesses import EBUSY
from slotmem_model.spec import EINVAL, NOTFOUND


class GrabDropsEarly(Striped):
    """grab unlocks between finding a slot and marking it."""

    def take(self) -> int:
        item_id = self.lowest_free()
        self.leave(TABLE)
        if item_id < 0:
            raise Refused(EINVAL)
        self.mark(item_id)
        return item_id


class GrabScansUnlocked(Striped):
    """grab looks for a free slot before it takes the lock, and does not look again."""

    def grab(self) -> int:
        item_id = self.lowest_free()
        if item_id < 0:
            raise Refused(EINVAL)
        with self.locked(TABLE):
            self.mark(item_id)
        return item_id


class GrabCountsUnlocked(Striped):
    """grab counts after it has unlocked."""

    def grab(self) -> int:
        with self.locked(TABLE):
            item_id = self.lowest_free()
            if item_id < 0:
                raise Refused(EINVAL)
            self.inuse[item_id] = 1
        self.count(-1)
        return item_id


class ReleaseUnlocked(Striped):
    """release takes no lock."""

    def release(self, item_id: int) -> None:
        self.give_back(item_id)


class FgrabUnlocked(Striped):
    """fgrab takes no lock."""

    def fgrab(self, item_id: int) -> None:
        self.take_this(item_id)


class GetUnlocked(Striped):
    """get takes no lock."""

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        return self.fetch(item_id, nbytes)


class PutUnlocked(Striped):
    """put takes no lock."""

    def put(self, item_id: int, data: bytes) -> None:
        self.store(item_id, data)


class NumFreeUnlocked(Striped):
    """num_free_slots reads the counter without the lock, and misses a grab whose slot a get has
    already shown.
    """

    def num_free_slots(self) -> int:
        free: int = self.num_free[0]
        return free


class NumFreeCountsUnlocked(Striped):
    """num_free_slots counts the in-use bytes without the lock."""

    def num_free_slots(self) -> int:
        return self.item_num - len(self.listed())


class SlotsUnlocked(Striped):
    """slots lists the in-use bytes without the lock."""

    def slots(self) -> tuple[int, ...]:
        return self.listed()


class ReleaseLooksEarly(Striped):
    """release looks at the in-use byte before it takes the lock: two of them can both release one
    slot.
    """

    def release(self, item_id: int) -> None:
        if not self.inuse[item_id]:
            raise Refused(NOTFOUND)
        with self.locked(TABLE):
            self.clear(item_id)


class FgrabLooksEarly(Striped):
    """fgrab looks at the in-use byte before it takes the lock: two of them can both count it."""

    def fgrab(self, item_id: int) -> None:
        if not self.inuse[item_id]:
            with self.locked(TABLE):
                self.mark(item_id)


class GetCopiesLate(Striped):
    """get unlocks before it copies."""

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        with self.locked(self.stripe(item_id)):
            self.use(item_id)
        return self.read(item_id, nbytes)


class PutCopiesLate(Striped):
    """put unlocks before it copies."""

    def put(self, item_id: int, data: bytes) -> None:
        with self.locked(self.stripe(item_id)):
            self.use(item_id)
        self.write(item_id, data)


class PutMarksUnlocked(Striped):
    """Without PREGRAB, put looks at the in-use byte before it takes the lock, and counts by what it
    saw.
    """

    def put(self, item_id: int, data: bytes) -> None:
        used = self.inuse[item_id]
        with self.locked(self.stripe(item_id)):
            self.write(item_id, data)
            if not used:
                self.mark(item_id)


class GetWrongStripe(Striped):
    """get takes the mutex of the next slot."""

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        with self.locked(self.stripe(item_id + 1)):
            return self.fetch(item_id, nbytes)


class SharedRecord(Striped):
    """All stripes use the first redo record, so two puts can write it at once."""

    def record(self, which: int) -> tuple[int, int]:
        del which
        return super().record(self.first_stripe)


class GetMarksAgain(PlainLock):
    """get sets the in-use byte again after it has looked, as httpd's does: a release in between is
    undone.
    """

    def use(self, item_id: int) -> None:
        super().use(item_id)
        self.inuse[item_id] = 1


class BusyIsSuccess(Striped):
    """A busy mutex is taken for locked: the answer of trylock is ignored."""

    def enter(self, which: int) -> None:
        self.image.trylock(self.mutexes[which])


class OtherOrder(PlainLock):
    """release takes the table, then the slot's stripe; put takes the stripe, then the table."""

    def give_back(self, item_id: int) -> None:
        with self.locked(self.stripe(item_id)):
            super().give_back(item_id)

    def use(self, item_id: int) -> None:
        with self.locked(TABLE):
            super().use(item_id)


class NestedLock(HttpdLocked):
    """grab calls num_free_slots first, under its own lock: the inner call's unlock unlocks the
    outer's mutex.
    """

    def enter(self, which: int) -> None:
        status = self.image.trylock(self.mutexes[which])
        if status == EBUSY:
            self.image.lock(self.mutexes[which])

    def take(self) -> int:
        if self.num_free_slots() == 0:
            raise Refused(EINVAL)
        return super().take()


class KeptWhenFull(Striped):
    """grab of a full segment returns without unlocking."""

    def grab(self) -> int:
        self.enter(TABLE)
        item_id = self.take()
        self.leave(TABLE)
        return item_id


class TicketRead(TicketLock):
    """A ticket is read and then written, in two steps: two processes can have the same one."""

    def enter(self, which: int) -> None:
        """Read the next ticket, store the one after it, and wait."""
        del which
        ticket = self.image.extra["next ticket"][0]
        self.image.extra["next ticket"][0] = (ticket + 1) % self.extra_words[0].values
        self.image.wait_for(self.served, ticket)
