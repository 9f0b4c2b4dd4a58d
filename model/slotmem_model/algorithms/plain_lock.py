"""The reference's locking with plain mutexes: one for the table, one a stripe, no redo records.

A plain mutex tells nobody that its owner died: it stays locked. So this is right until a process
dies inside an operation; then everybody who needs the same lock waits for ever.
`slotmem_model.algorithms.striped` is the same with robust mutexes.

With PREGRAB, get and put look at the in-use byte under the slot's stripe only. If a release comes
between the look and the copy, they took effect at the look. Without PREGRAB they mark the slot, and
the one mutex guards everything.
"""

from __future__ import annotations

from slotmem_model.algorithms.base import TABLE, Locking


class PlainLock(Locking):
    """Table and stripes; an operation holds one mutex."""

    robust = False

    def grab(self) -> int:
        """Take the lowest free slot and return its id."""
        with self.locked(TABLE):
            return self.take()

    def fgrab(self, item_id: int) -> None:
        """Take the slot of this id."""
        self.check(item_id)
        with self.locked(TABLE):
            self.take_this(item_id)

    def release(self, item_id: int) -> None:
        """Release a slot."""
        self.check(item_id)
        with self.locked(TABLE):
            self.give_back(item_id)

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Read the beginning of a slot."""
        self.check(item_id)
        with self.locked(self.stripe(item_id)):
            return self.fetch(item_id, nbytes)

    def put(self, item_id: int, data: bytes) -> None:
        """Write the beginning of a slot."""
        self.check(item_id)
        with self.locked(self.stripe(item_id)):
            self.store(item_id, data)

    def num_free_slots(self) -> int:
        """Return the counter. A bare load could miss a grab whose slot a get has already shown."""
        with self.locked(TABLE):
            free: int = self.num_free[0]
            return free

    def slots(self) -> tuple[int, ...]:
        """List the slots in use."""
        with self.locked(TABLE):
            return self.listed()
