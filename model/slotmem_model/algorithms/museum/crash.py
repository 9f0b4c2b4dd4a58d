"""The museum, third room: what goes wrong when a process dies inside an operation.

Right as long as nobody dies. Each is the striped design, or the one lock, with one thing changed.
The first line of a class says what is wrong with it.
"""

from __future__ import annotations

from slotmem_model.algorithms.base import TABLE, Refused
from slotmem_model.algorithms.one_lock import OneLock
from slotmem_model.algorithms.striped import Striped
from slotmem_model.automata.accesses import EBUSY, EOWNERDEAD
from slotmem_model.spec import NOTFOUND


class NoRecord(Striped):
    """put writes no redo record."""

    def note(self, record: int, copy: int, item_id: int, data: bytes) -> None:
        pass


class RecordIdFirst(Striped):
    """put writes the item id, which makes the record valid, before the record's bytes."""

    def note(self, record: int, copy: int, item_id: int, data: bytes) -> None:
        self.words[record] = item_id + 1
        self.words[record + 1] = len(data)
        self.redo[copy : copy + len(data)] = data


class RecordClearedEarly(Striped):
    """put clears its redo record before it has copied."""

    def write(self, item_id: int, data: bytes) -> None:
        self.words[self.record(self.stripe(item_id))[0]] = 0
        super().write(item_id, data)


class RecordKept(Striped):
    """put never clears its redo record, so the next put writes into a valid one."""

    def store(self, item_id: int, data: bytes) -> None:
        if not self.inuse[item_id]:
            raise Refused(NOTFOUND)
        self.note(*self.record(self.stripe(item_id)), item_id, data)
        self.write(item_id, data)


class RecordKeptByRepair(Striped):
    """The repair finishes the put and leaves its record valid."""

    def finish(self, record: int, copy: int) -> None:
        item_id = self.words[record] - 1
        if item_id >= 0:
            self.write(item_id, self.redo[copy : copy + self.words[record + 1]])


class RecordAfterCopy(Striped):
    """put writes its redo record after the slot."""

    def store(self, item_id: int, data: bytes) -> None:
        if not self.inuse[item_id]:
            raise Refused(NOTFOUND)
        record, copy = self.record(self.stripe(item_id))
        self.write(item_id, data)
        self.note(record, copy, item_id, data)
        self.words[record] = 0


class RepairHalf(Striped):
    """The repair copies all bytes but the last."""

    def finish(self, record: int, copy: int) -> None:
        item_id = self.words[record] - 1
        if item_id >= 0:
            nbytes = self.words[record + 1] - 1
            self.write(item_id, self.redo[copy : copy + nbytes])
            self.words[record] = 0


class RepairClearsFirst(Striped):
    """The repair clears the record before it has copied, so a repairer that dies loses the put."""

    def finish(self, record: int, copy: int) -> None:
        item_id = self.words[record] - 1
        if item_id >= 0:
            nbytes = self.words[record + 1]
            self.words[record] = 0
            self.write(item_id, self.redo[copy : copy + nbytes])


class RepairWrongStripe(Striped):
    """The repair looks at the redo record of the next stripe."""

    def repair(self, which: int) -> None:
        super().repair(which % self.stripes + self.first_stripe if which != TABLE else which)


class RepairForgotten(Striped):
    """Nobody repairs: the mutex is only declared consistent."""

    def repair(self, which: int) -> None:
        pass


class NotRecounted(Striped):
    """The repair finishes puts but does not count the free slots again."""

    def recount(self) -> None:
        pass


class RepairAddsOne(OneLock):
    """The repair assumes that the dead process had marked a slot and not counted it."""

    def recount(self) -> None:
        self.count(-1)


class NotConsistent(Striped):
    """The repair is never declared done: the unlock makes the mutex unusable for ever."""

    def recover(self, which: int) -> None:
        self.repair(which)


class RepairAfterUnlock(Striped):
    """The free slots are counted again only after the mutex is unlocked."""

    def leave(self, which: int) -> None:
        super().leave(which)
        if self.owed:
            self.recount()

    owed = False

    def recover(self, which: int) -> None:
        self.image.consistent(self.mutexes[which])
        self.owed = which == TABLE


class DeathIsSuccess(Striped):
    """EOWNERDEAD counts as success: no repair, and the unlock makes the mutex unusable for ever."""

    def recover(self, which: int) -> None:
        pass


class DeathIsFailure(Striped):
    """EOWNERDEAD counts as failure: the operation ends, and the mutex, which it holds, stays
    locked.
    """

    def recover(self, which: int) -> None:
        del which
        raise Refused("APR_EGENERAL")


class DeathWhileWaiting(Striped):
    """EOWNERDEAD is noticed after trylock, but not after waiting."""

    def enter(self, which: int) -> None:
        mutex = self.mutexes[which]
        status = self.image.trylock(mutex)
        if status == EBUSY:
            self.image.lock(mutex)
            self.image.consistent(mutex)
        elif status == EOWNERDEAD:
            self.recover(which)


class TwoSections(Striped):
    """release clears and counts in two critical sections, so a death between them leaves no
    sign.
    """

    def release(self, item_id: int) -> None:
        with self.locked(TABLE):
            if not self.inuse[item_id]:
                raise Refused(NOTFOUND)
            self.inuse[item_id] = 0
        with self.locked(TABLE):
            self.count(1)
