"""Slots of one byte, read and written without a lock: a single load, a single store, and a fence.

A single access cannot tear, and a death cannot halve it, so it needs no redo record. The fence is
the price of a store buffer: without it put returns before anybody else can see what it wrote.
The table is the striped design's.
"""

from __future__ import annotations

from typing import ClassVar

from slotmem_model.algorithms.striped import Striped


class OneStore(Striped):
    """Striped, for slots of a single byte, with PREGRAB."""

    made_for: ClassVar = {"pregrab": True, "slot_bytes": 1}

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Read the slot."""
        self.check(item_id)
        return self.fetch(item_id, nbytes)

    def put(self, item_id: int, data: bytes) -> None:
        """Write the slot."""
        self.check(item_id)
        self.use(item_id)
        self.write(item_id, data)
        self.image.fence()
