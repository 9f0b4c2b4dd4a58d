"""httpd's algorithm under its caller's mutex, as mod_proxy_balancer uses it.

The caller's mutex is APR's. When its owner dies, APR passes it to the next process and says
nothing, so nobody repairs. Right as long as nobody dies.
"""

from __future__ import annotations

from typing import ClassVar

from slotmem_model.algorithms.base import TABLE, Locking
from slotmem_model.algorithms.httpd import Httpd


class HttpdLocked(Locking, Httpd):
    """httpd's operations, each under the one mutex."""

    made_for: ClassVar = {"pregrab": True}
    """Without PREGRAB httpd lets the counter drift."""

    def grab(self) -> int:
        """Take the lowest free slot and return its id."""
        with self.locked(TABLE):
            return super().grab()

    def fgrab(self, item_id: int) -> None:
        """Take the slot of this id."""
        with self.locked(TABLE):
            super().fgrab(item_id)

    def release(self, item_id: int) -> None:
        """Release a slot."""
        with self.locked(TABLE):
            super().release(item_id)

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Read the beginning of a slot."""
        with self.locked(TABLE):
            return super().get(item_id, nbytes)

    def put(self, item_id: int, data: bytes) -> None:
        """Write the beginning of a slot."""
        with self.locked(TABLE):
            super().put(item_id, data)

    def num_free_slots(self) -> int:
        """Return the counter."""
        with self.locked(TABLE):
            return super().num_free_slots()

    def slots(self) -> tuple[int, ...]:
        """List the slots in use."""
        with self.locked(TABLE):
            return super().slots()
