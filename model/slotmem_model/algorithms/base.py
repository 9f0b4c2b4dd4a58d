"""What every algorithm here shares: the steps of the slot operations, without any lock.

Interface:

- `Table(image)` holds the image's parts; its methods are single moves (`lowest_free`, `mark`,
  `clear`, `read`, `write`) and the operations made of them (`take`, `take_this`, `give_back`,
  `fetch`, `store`, `listed`). They take no lock.
- `Locking` adds `locked(which)`, a mutex held for the length of a `with`; `recover` says what to do
  after an owner's death.
- `Refused` is the error of an operation, with APR's status.

An algorithm decides which move happens under which lock, and nothing else. An operation ends with
its last access, so nothing here looks at shared memory when it need not.
"""

from __future__ import annotations

import inspect
from types import TracebackType
from typing import Any, NamedTuple

from slotmem_model.automata.accesses import EBUSY, EDEADLK, ENOTRECOVERABLE, EOWNERDEAD
from slotmem_model.automata.shared_words import SLOTS_START
from slotmem_model.spec import EINVAL, NOTFOUND

TABLE = 0
"""The index of the mutex that guards the in-use bytes and the counter."""
UINT32 = 2**32


def first_paragraph(algorithm: object) -> str:
    """Return the first paragraph of an algorithm's docstring, in one line."""
    return " ".join((inspect.getdoc(algorithm) or "").partition("\n\n")[0].split())


class Status(NamedTuple):
    """An APR status by name."""

    name: str


class Refused(Exception):
    """An operation was refused. `.status.name` is APR's name for the reason."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.status = Status(name)


class Unrecoverable(Exception):
    """A mutex that nobody can ever lock again.

    It has no status: no operation of the specification ends like this.
    """


class Table:
    """The moves on a segment's table and slots. None of them is atomic."""

    def __init__(self, image: Any) -> None:
        shape = image.geometry
        self.image = image
        self.item_size: int = shape.item_size
        self.item_num: int = shape.item_num
        self.pregrab: bool = shape.pregrab
        self.inuse_start: int = shape.inuse_start
        self.inuse = image.inuse
        self.num_free = image.num_free
        self.memory = image.memory

    # -- single moves ------------------------------------------------------------------------------

    def lowest_free(self) -> int:
        """Find the lowest free slot, one in-use byte after another; -1 if there is none."""
        found: int = self.memory.find(b"\0", self.inuse_start, self.inuse_start + self.item_num)
        return found - self.inuse_start if found >= 0 else -1

    def mark(self, item_id: int) -> None:
        """Mark a slot in use, and count it off."""
        self.inuse[item_id] = 1
        self.count(-1)

    def clear(self, item_id: int) -> None:
        """Mark a slot free, and count it in."""
        self.inuse[item_id] = 0
        self.count(1)

    def count(self, change: int) -> None:
        """Change the free counter: a load and a store, modulo 2^32 as C's unsigned int."""
        self.num_free[0] = (self.num_free[0] + change) % UINT32

    def recount(self) -> None:
        """Set the free counter to what the in-use bytes say."""
        self.num_free[0] = self.memory[self.inuse_start : self.inuse_start + self.item_num].count(0)

    def read(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Copy the first bytes of a slot out, one after another."""
        start = SLOTS_START + item_id * self.item_size
        data: bytes = self.memory[start : start + (self.item_size if nbytes is None else nbytes)]
        return data

    def write(self, item_id: int, data: bytes) -> None:
        """Copy bytes into a slot, one after another."""
        start = SLOTS_START + item_id * self.item_size
        self.memory[start : start + len(data)] = data

    def check(self, item_id: int) -> None:
        """Refuse a slot that does not exist."""
        if not 0 <= item_id < self.item_num:
            raise Refused(EINVAL)

    def use(self, item_id: int) -> None:
        """Check that get and put may touch a slot; without PREGRAB, mark it."""
        if not self.inuse[item_id]:
            if self.pregrab:
                raise Refused(NOTFOUND)
            self.mark(item_id)

    # -- operations made of them -------------------------------------------------------------------

    def take(self) -> int:
        """Take the lowest free slot and return its id."""
        item_id = self.lowest_free()
        if item_id < 0:
            raise Refused(EINVAL)
        self.mark(item_id)
        return item_id

    def take_this(self, item_id: int) -> None:
        """Take the slot of this id, if it is free."""
        if not self.inuse[item_id]:
            self.mark(item_id)

    def give_back(self, item_id: int) -> None:
        """Release a slot that is in use."""
        if not self.inuse[item_id]:
            raise Refused(NOTFOUND)
        self.clear(item_id)

    def fetch(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Read a slot that may be touched."""
        self.use(item_id)
        return self.read(item_id, nbytes)

    def store(self, item_id: int, data: bytes) -> None:
        """Write a slot that may be touched."""
        self.use(item_id)
        self.write(item_id, data)

    def listed(self) -> tuple[int, ...]:
        """List the slots in use."""
        inuse = self.memory[self.inuse_start : self.inuse_start + self.item_num]
        return tuple(item_id for item_id, used in enumerate(inuse) if used)


class Locking(Table):
    """A table with mutexes: number 0 for the table itself, the others for slot bytes; without
    PREGRAB, 0 for both.
    """

    robust = True
    """Whether the mutexes tell of an owner's death; if not, its waiters wait for ever."""

    def __init__(self, image: Any) -> None:
        super().__init__(image)
        self.mutexes = image.mutexes
        self.first_stripe: int = image.geometry.first_stripe
        self.stripes: int = image.geometry.stripes

    def stripe(self, item_id: int) -> int:
        """Return the index of the mutex that guards a slot's bytes."""
        return self.first_stripe + item_id % self.stripes

    def locked(self, which: int) -> Held:
        """Hold a mutex for the length of a `with`."""
        return Held(self, which)

    def enter(self, which: int) -> None:
        """Take a mutex, waiting for it if need be.

        Raises:
            Unrecoverable
        """
        mutex = self.mutexes[which]
        status = self.image.trylock(mutex)
        if status == EBUSY:
            status = self.image.lock(mutex)
        if status == EOWNERDEAD:
            self.recover(which)
        elif status == ENOTRECOVERABLE:
            raise Unrecoverable(f"mutex {which} was unlocked by an owner that did not make it consistent")
        elif status == EDEADLK:
            raise Unrecoverable(f"mutex {which} is held by this process already")

    def leave(self, which: int) -> None:
        """Unlock a mutex."""
        self.image.unlock(self.mutexes[which])

    def recover(self, which: int) -> None:
        """Repair what a dead owner's mutex guards, then declare the mutex consistent."""
        self.repair(which)
        self.image.consistent(self.mutexes[which])

    def repair(self, which: int) -> None:
        """Repair what a mutex guards; here there is nothing to repair."""


class Held:
    """A mutex, held for the length of a `with`."""

    def __init__(self, algorithm: Locking, which: int) -> None:
        self._algorithm = algorithm
        self._which = which

    def __enter__(self) -> None:
        self._algorithm.enter(self._which)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._algorithm.leave(self._which)
