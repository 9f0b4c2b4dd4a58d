"""Algorithms that a stress run must accuse: each is the reference with one thing wrong.
`algorithm:accused.stress_accused:NAME`.
"""

import ctypes
import os
import time

from slotmem.memory.layout import SLOTS_START
from slotmem.slots import Slots

EVERY = 500


class Counting(Slots):
    """Counts the puts of this process."""

    puts = 0

    def is_turn(self):
        """Return whether this put is one of those that go wrong."""
        self.puts += 1
        return self.puts % EVERY == 0


class LosesPuts(Counting):
    """Now and then a put says that it is done, and is not."""

    def put(self, item_id, data):
        if self.is_turn():
            self.get(item_id)  # it fails as a put would
        else:
            super().put(item_id, data)


class TearsPuts(Counting):
    """Now and then a put writes the first half only."""

    def put(self, item_id, data):
        super().put(item_id, data[: len(data) // 2] if self.is_turn() else data)


class MarksNothing(Counting):
    """Now and then a slot is free again as soon as it is grabbed."""

    def grab(self):
        item_id = super().grab()
        if self.is_turn():
            self.inuse[item_id] = 0
        return item_id


class Miscounts(Counting):
    """The counter goes wrong once in a while."""

    def grab(self):
        item_id = super().grab()
        if self.is_turn():
            self.num_free[0] += 1
        return item_id


class Resurrects(Counting):
    """Now and then a release leaves the slot in use."""

    def release(self, item_id):
        super().release(item_id)
        if self.is_turn():
            self.inuse[item_id] = 1


class Dies(Counting):
    """The process ends by itself in the middle of a put."""

    def put(self, item_id, data):
        if self.is_turn():
            os._exit(3)
        super().put(item_id, data)


class Fails(Counting):
    """A put ends in an error that the specification does not know."""

    def put(self, item_id, data):
        if self.is_turn():
            raise RuntimeError("I have had enough")
        super().put(item_id, data)


class NeverHeals(Slots):
    """It takes a lock that it has kept for one that an operation below still needs."""

    def _is_interrupted(self, mutex, frame):
        return True


class KeepsTheLock(Counting, NeverHeals):
    """Now and then a grab keeps the table's lock."""

    def grab(self):
        item_id = super().grab()
        if self.is_turn():
            self.trylock(self.table_mutex)
        return item_id


class Hangs(Counting):
    """A grab stops for ever with the lock held, and everybody waits."""

    def grab(self):
        item_id = super().grab()
        if self.is_turn():
            self.trylock(self.table_mutex)
            time.sleep(1000)
        return item_id


class ShortGets(Slots):
    """Every get gives half of the slot."""

    def get(self, item_id, nbytes=None):
        return super().get(item_id, nbytes)[: self.item_size // 2]


class LooksAtItsOwner(Slots):
    """Only the owner looks at every slot without holding one: fgrab, get, release."""

    def fgrab(self, item_id):
        self.trouble()


class KeepsTheLockOfTheDead(LooksAtItsOwner, NeverHeals):
    """It takes the table's lock and asks for it again."""

    def trouble(self):
        self.trylock(self.table_mutex)
        super().num_free_slots()


class CrashesTheOwner(LooksAtItsOwner):
    """It reads where there is no memory."""

    def trouble(self):
        ctypes.string_at(8)


class HangsTheOwner(LooksAtItsOwner):
    """It does not come back."""

    def trouble(self):
        time.sleep(1000)


class Right(Counting):
    """The reference, written in another way: it looks at the bytes themselves. It must not be
    accused.
    """

    def get(self, item_id, nbytes=None):
        data = super().get(item_id, nbytes)
        self.memory[SLOTS_START:SLOTS_START]
        return data
