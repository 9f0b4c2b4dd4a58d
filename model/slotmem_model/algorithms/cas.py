"""Without locks: compare-and-swap takes a slot, and the counter is added to atomically.

What it promises: no slot is held by two, the counter is right when nobody is inside, and nobody
ever waits. Each process may put and get the slots that it holds.

What it does not promise, and the checker shows each (see the museum):

- The lowest free slot, from three processes on: the scan has passed slot 0 when that is released,
  and takes slot 1, which was in use until then. There is no instant at which slot 1 was the lowest
  free one.
- A counter that is right whenever it is read: it changes a moment after the in-use byte.
- get and put of a slot that another process writes: nothing keeps the bytes together.
- Deaths: a counter that was not yet added to stays wrong for ever.

To fix the first two, all in-use flags would have to be one word; httpd's layout has a byte for each
slot.
"""

from __future__ import annotations

from slotmem_model.algorithms.base import Refused, Table
from slotmem_model.spec import EINVAL, NOTFOUND


class Cas(Table):
    """Compare-and-swap grab, atomic counter."""

    def grab(self) -> int:
        """Take the first slot, ascending, whose byte can be swapped from 0 to 1."""
        for item_id in range(self.item_num):
            if not self.inuse[item_id] and self.swapped(item_id, 0, 1):
                self.count(-1)
                return item_id
        raise Refused(EINVAL)

    def fgrab(self, item_id: int) -> None:
        """Take the slot of this id; nothing changes if it is in use."""
        self.check(item_id)
        if self.swapped(item_id, 0, 1):
            self.count(-1)

    def release(self, item_id: int) -> None:
        """Release a slot.

        The byte first: the counter may be one too low for a moment, never one too high.
        """
        self.check(item_id)
        if not self.swapped(item_id, 1, 0):
            raise Refused(NOTFOUND)
        self.count(1)

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Read the beginning of a slot."""
        self.check(item_id)
        return self.fetch(item_id, nbytes)

    def put(self, item_id: int, data: bytes) -> None:
        """Write the beginning of a slot."""
        self.check(item_id)
        self.store(item_id, data)

    def num_free_slots(self) -> int:
        """Return the counter as it is at this moment."""
        free: int = self.num_free[0]
        return free

    def slots(self) -> tuple[int, ...]:
        """List the slots in use."""
        return self.listed()

    def mark(self, item_id: int) -> None:
        """Mark a slot for get or put without PREGRAB; only one of them counts it off."""
        self.fgrab(item_id)

    def swapped(self, item_id: int, expected: int, new: int) -> bool:
        """Set an in-use byte if it is as expected; return whether it was."""
        done: bool = self.image.compare_and_swap(self.image.cell(self.inuse, item_id), expected, new)
        return done

    def count(self, change: int) -> None:
        """Add to the counter in one step."""
        self.image.fetch_add(self.image.cell(self.num_free, 0), change)
