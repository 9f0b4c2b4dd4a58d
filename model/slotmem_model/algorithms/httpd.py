"""Apache httpd's own algorithm: no lock anywhere.

grab looks for a zero byte, sets it, and counts; between any two of these another process may do the
same. get and put set the in-use byte again after they have looked at it, so a release in between is
undone. httpd leaves locking to its callers: see `slotmem_model.algorithms.httpd_locked`.

Source: modules/slotmem/mod_slotmem_shm.c, httpd 2.4.
"""

from __future__ import annotations

from slotmem_model.algorithms.base import Refused, Table
from slotmem_model.spec import NOTFOUND


class Httpd(Table):
    """mod_slotmem_shm as it is."""

    def grab(self) -> int:
        """Take the lowest free slot and return its id."""
        return self.take()

    def fgrab(self, item_id: int) -> None:
        """Take the slot of this id; nothing changes if it is in use."""
        self.check(item_id)
        self.take_this(item_id)

    def release(self, item_id: int) -> None:
        """Release a slot."""
        self.check(item_id)
        self.give_back(item_id)

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Read the beginning of a slot; it is marked in use, whatever it was."""
        self.check(item_id)
        self.use(item_id)
        return self.read(item_id, nbytes)

    def put(self, item_id: int, data: bytes) -> None:
        """Write the beginning of a slot; it is marked in use, whatever it was."""
        self.check(item_id)
        self.use(item_id)
        self.write(item_id, data)

    def use(self, item_id: int) -> None:
        """Check the slot with PREGRAB only; mark it in any case, and do not count."""
        if self.pregrab and not self.inuse[item_id]:
            raise Refused(NOTFOUND)
        self.inuse[item_id] = 1

    def num_free_slots(self) -> int:
        """Return the counter; without PREGRAB, where it drifts, count the in-use bytes."""
        if self.pregrab:
            free: int = self.num_free[0]
            return free
        return self.item_num - len(self.listed())  # never in the model: nobody is right without PREGRAB

    def slots(self) -> tuple[int, ...]:
        """List the slots in use."""
        return self.listed()
