"""One robust mutex around each operation, with repair: the simplest design that survives deaths.

The mutex is the table's, so every put uses the one redo record. Slower than stripes when many
processes use their own slots, and easier to trust.
"""

from __future__ import annotations

from slotmem_model.algorithms.base import TABLE
from slotmem_model.algorithms.striped import Striped


class OneLock(Striped):
    """Striped with a single stripe, which is the table's mutex."""

    def stripe(self, item_id: int) -> int:
        """Return the index of a slot's mutex: always the table's."""
        del item_id
        return TABLE

    def record(self, which: int) -> tuple[int, int]:
        """Return where the redo record is: always the first."""
        del which
        return super().record(self.first_stripe)

    def repair(self, which: int) -> None:
        """Finish the put that a death interrupted, then recount: it may have marked a slot."""
        self.finish(*self.record(which))
        self.recount()
