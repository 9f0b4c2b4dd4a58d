"""Algorithms of strangers, each with one mistake, and right ones of many designs.

They are what `slotmem check own_algorithms.py:Class` is held to: each of `WRONG` must be caught
without any option, and none of `RIGHT` accused. The mistakes are not the museum's.
"""

from typing import ClassVar

from slotmem_model.algorithms.base import TABLE, Refused
from slotmem_model.algorithms.cas import Cas
from slotmem_model.algorithms.plain_lock import PlainLock
from slotmem_model.algorithms.striped import Striped
from slotmem_model.automata.shared_words import ExtraWord
from slotmem_model.spec import EINVAL, NOTFOUND

# -- right -----------------------------------------------------------------------------------------


class HighestFirst(Striped):
    """Grab the highest free slot; it does not promise the lowest."""

    lowest_first = False

    def lowest_free(self):
        for item_id in reversed(range(self.item_num)):
            if not self.inuse[item_id]:
                return item_id
        return -1


class Recounting(Striped):
    """Set the counter to what the in-use bytes say, after each change."""

    def count(self, change):
        self.recount()


class Coarse(PlainLock):
    """One plain lock around everything."""

    def stripe(self, item_id):
        return TABLE


class PerSlot(PlainLock):
    """The reference's locks, one a slot, for tables with PREGRAB, in one function."""

    made_for: ClassVar = {"pregrab": True}


class Tickets(PlainLock):
    """First come, first served, by two numbers."""

    extra_words = (ExtraWord("ticket", values=5, goes_round=True), ExtraWord("turn", values=5, goes_round=True))

    def enter(self, which):
        mine = self.image.fetch_add(self.image.cell(self.image.extra["ticket"], 0), 1)
        self.image.wait_for(self.image.cell(self.image.extra["turn"], 0), mine)

    def leave(self, which):
        self.image.fetch_add(self.image.cell(self.image.extra["turn"], 0), 1)


class ReadersAndWriter(PlainLock):
    """Any number of readers, or one writer: a word that counts readers, and is 9 for a writer."""

    made_for: ClassVar = {"pregrab": True, "memory": "sc"}
    extra_words = (ExtraWord("readers", values=10),)

    def __init__(self, image):
        super().__init__(image)
        self.readers = image.cell(image.extra["readers"], 0)

    def enter(self, which):
        while not self.image.compare_and_swap(self.readers, 0, 9):
            self.image.retry()

    def leave(self, which):
        self.image.extra["readers"][0] = 0
        self.image.fence()

    def enter_reading(self):
        while True:
            number = self.image.extra["readers"][0]
            if number < 9 and self.image.compare_and_swap(self.readers, number, number + 1):
                return
            self.image.retry()

    def get(self, item_id, nbytes=None):
        self.check(item_id)
        self.enter_reading()
        try:
            return self.fetch(item_id, nbytes)
        finally:
            self.image.fetch_add(self.readers, -1)

    def num_free_slots(self):
        self.enter_reading()
        free = self.num_free[0]
        self.image.fetch_add(self.readers, -1)
        return free

    def slots(self):
        self.enter_reading()
        listed = self.listed()
        self.image.fetch_add(self.readers, -1)
        return listed


class Swapped(Coarse):
    """One word that is swapped from 0 to 1, and waited for in between."""

    extra_words = (ExtraWord("taken", values=2),)

    def enter(self, which):
        cell = self.image.cell(self.image.extra["taken"], 0)
        while not self.image.compare_and_swap(cell, 0, 1):
            self.image.wait_for(cell, 0)
            self.image.retry()

    def leave(self, which):
        self.image.extra["taken"][0] = 0


class OnlyTable(Cas):
    """Take, give back: one compare-and-swap a slot. Any free slot; no counter, no bytes."""

    lowest_first = False
    get = put = num_free_slots = slots = None


class GrabOnly:
    """A class with two operations and a lock, from nothing."""

    def __init__(self, image):
        self.image = image

    def grab(self):
        mutex = self.image.mutexes[0]
        self.image.lock(mutex)
        try:
            for item_id in range(len(self.image.inuse)):
                if not self.image.inuse[item_id]:
                    self.image.inuse[item_id] = 1
                    self.image.num_free[0] -= 1
                    return item_id
        finally:
            self.image.unlock(mutex)
        raise Refused(EINVAL)

    def release(self, item_id):
        if not 0 <= item_id < len(self.image.inuse):
            raise Refused(EINVAL)
        mutex = self.image.mutexes[0]
        self.image.lock(mutex)
        used = self.image.inuse[item_id]
        if used:
            self.image.inuse[item_id] = 0
            self.image.num_free[0] += 1
        self.image.unlock(mutex)
        if not used:
            raise Refused(NOTFOUND)


RIGHT = (HighestFirst, Recounting, Coarse, PerSlot, Tickets, ReadersAndWriter, Swapped, GrabOnly)

# -- wrong -----------------------------------------------------------------------------------------


class LostCount(PlainLock):
    """The counter is changed after the lock is given back."""

    def grab(self):
        with self.locked(TABLE):
            item_id = self.lowest_free()
            if item_id < 0:
                raise Refused(EINVAL)
            self.inuse[item_id] = 1
        self.count(-1)
        return item_id


class ReleaseNoLock(PlainLock):
    """Release takes no lock."""

    def release(self, item_id):
        self.check(item_id)
        self.give_back(item_id)


class GetNoLock(Striped):
    """Get takes no lock."""

    def get(self, item_id, nbytes=None):
        self.check(item_id)
        return self.fetch(item_id, nbytes)


class MarksLate(Striped):
    """Without PREGRAB put marks the slot when it has given the lock back."""

    def put(self, item_id, data):
        self.check(item_id)
        used = 1
        with self.locked(self.stripe(item_id)):
            used = self.inuse[item_id]
            if not used and self.pregrab:
                raise Refused(NOTFOUND)
            self.write(item_id, data)
        if not used:
            self.mark(item_id)


class WrongStripe(Striped):
    """Put takes the lock of the slot before."""

    def put(self, item_id, data):
        self.check(item_id)
        with self.locked(self.stripe((item_id - 1) % self.item_num)):
            self.write(item_id, data) if self.inuse[item_id] or not self.pregrab else self.refuse()

    def refuse(self):
        raise Refused(NOTFOUND)


class LockKept(PlainLock):
    """A grab that finds the table full keeps the lock."""

    def grab(self):
        self.enter(TABLE)
        item_id = self.take()
        self.leave(TABLE)
        return item_id


class RepairForgetsCount(Striped):
    """The repair finishes puts, and does not count."""

    def repair(self, which):
        if which >= self.first_stripe:
            self.finish(*self.record(which))


class RepairClears(Striped):
    """The repair clears the record before it has finished the put."""

    def finish(self, record, copy):
        item_id = self.words[record] - 1
        if item_id >= 0:
            nbytes = self.words[record + 1]
            self.words[record] = 0
            self.write(item_id, self.redo[copy : copy + nbytes])


class OffByOne(Striped):
    """The search ends one before the end."""

    def lowest_free(self):
        found = self.memory.find(b"\0", self.inuse_start, self.inuse_start + self.item_num - 1)
        return found - self.inuse_start if found >= 0 else -1


class BadIdAccepted(Striped):
    """Release takes any id, and does nothing about those that do not exist."""

    def release(self, item_id):
        if 0 <= item_id < self.item_num:
            super().release(item_id)


class NegativeId(Striped):
    """Ids below zero count from the end, as Python's do."""

    def check(self, item_id):
        if item_id >= self.item_num:
            raise Refused(EINVAL)

    def get(self, item_id, nbytes=None):
        return super().get(item_id % self.item_num if item_id < 0 else item_id, nbytes)


class FgrabCounts(Striped):
    """Fgrab of a slot in use counts it off again."""

    def take_this(self, item_id):
        self.mark(item_id)


class FreeReleased(Striped):
    """Release of a free slot counts it in, and says that it worked."""

    def give_back(self, item_id):
        self.clear(item_id)


class TicketSkips(PlainLock):
    """A ticket lock whose holder moves on by two after a release."""

    extra_words = (ExtraWord("ticket", values=5, goes_round=True), ExtraWord("turn", values=5, goes_round=True))

    def enter(self, which):
        mine = self.image.fetch_add(self.image.cell(self.image.extra["ticket"], 0), 1)
        self.image.wait_for(self.image.cell(self.image.extra["turn"], 0), mine)

    def leave(self, which):
        self.image.fetch_add(self.image.cell(self.image.extra["turn"], 0), 1)

    def release(self, item_id):
        self.check(item_id)
        self.enter(TABLE)
        self.image.fetch_add(self.image.cell(self.image.extra["turn"], 0), 1)
        try:
            self.give_back(item_id)
        finally:
            self.leave(TABLE)


class TicketRead(PlainLock):
    """A ticket lock whose tickets are read and then written."""

    extra_words = (ExtraWord("ticket", values=8), ExtraWord("turn", values=8, goes_round=True))

    def enter(self, which):
        mine = self.image.extra["ticket"][0]
        self.image.extra["ticket"][0] = (mine + 1) % 8
        self.image.wait_for(self.image.cell(self.image.extra["turn"], 0), mine)

    def leave(self, which):
        self.image.fetch_add(self.image.cell(self.image.extra["turn"], 0), 1)


class ShortGet(Striped):
    """Get gives the whole slot, whatever length is asked for."""

    def get(self, item_id, nbytes=None):
        if nbytes is not None and not 0 <= nbytes <= self.item_size:
            raise Refused(EINVAL)
        return super().get(item_id)


class GetForgives(Striped):
    """With PREGRAB get reads a free slot too."""

    def get(self, item_id, nbytes=None):
        self.check(item_id)
        with self.locked(self.stripe(item_id)):
            return self.read(item_id, nbytes)


class WipesOnRelease(Striped):
    """Release wipes the slot."""

    def give_back(self, item_id):
        super().give_back(item_id)
        self.write(item_id, bytes(self.item_size))


class TimeoutGoesOn(Striped):
    """A wait that was given up counts as the lock."""

    def enter(self, which):
        try:
            super().enter(which)
        except Exception as error:
            if getattr(error, "status", None) is None:
                raise


class CountsFree(Striped):
    """The number of free slots is counted without the lock."""

    def num_free_slots(self):
        return self.item_num - len(self.listed())


class StripeOfTable(Striped):
    """Without PREGRAB there is one lock; get takes none there."""

    def get(self, item_id, nbytes=None):
        if self.pregrab:
            return super().get(item_id, nbytes)
        self.check(item_id)
        return self.fetch(item_id, nbytes)


class TwoLocks(Striped):
    """Put holds its stripe and asks for the table; release does it the other way round."""

    def put(self, item_id, data):
        self.check(item_id)
        with self.locked(self.stripe(item_id)):
            if self.pregrab:
                self.image.lock(self.mutexes[TABLE])
            self.store_both(item_id, data)

    def store_both(self, item_id, data):
        try:
            self.store(item_id, data)
        finally:
            if self.pregrab:
                self.image.unlock(self.mutexes[TABLE])

    def release(self, item_id):
        self.check(item_id)
        with self.locked(TABLE):
            if self.pregrab:
                self.image.lock(self.mutexes[self.stripe(item_id)])
            try:
                self.give_back(item_id)
            finally:
                if self.pregrab:
                    self.image.unlock(self.mutexes[self.stripe(item_id)])


class SpinsBlindly(PlainLock):
    """Look until the lock is free, then take it: two steps."""

    extra_words = (ExtraWord("taken", values=2),)

    def enter(self, which):
        self.image.wait_for(self.image.cell(self.image.extra["taken"], 0), 0)
        self.image.extra["taken"][0] = 1

    def leave(self, which):
        self.image.extra["taken"][0] = 0


class SlotsBackwards(Striped):
    """The ids in use come in the wrong order."""

    def listed(self):
        return tuple(reversed(super().listed()))


class ClaimsToSurvive(PlainLock):
    """Plain mutexes, and it says that it survives deaths."""

    survives_deaths = True


class LongPut(Striped):
    """A put that is too long is cut."""

    checks_lengths = True

    def put(self, item_id, data):
        super().put(item_id, data[: self.item_size])


WRONG = (
    LostCount,
    ReleaseNoLock,
    GetNoLock,
    MarksLate,
    WrongStripe,
    LockKept,
    RepairForgetsCount,
    RepairClears,
    OffByOne,
    BadIdAccepted,
    NegativeId,
    FgrabCounts,
    FreeReleased,
    TicketSkips,
    TicketRead,
    ShortGet,
    GetForgives,
    WipesOnRelease,
    TimeoutGoesOn,
    CountsFree,
    StripeOfTable,
    TwoLocks,
    SpinsBlindly,
    SlotsBackwards,
    ClaimsToSurvive,
    LongPut,
)
