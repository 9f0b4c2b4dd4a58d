"""Readers without a lock: a sequence number tells them whether a writer came between.

    put: lock; sequence is odd from here; write; sequence is even again; unlock; fence
    get: read sequence; read the slot; read sequence again; if it was odd or has changed, try again

The table is under its mutex. A spinlock keeps writers apart. Its unlock is a plain store: stores
become visible in the order in which they were made, so no fence is needed between the bytes and the
sequence, nor before the unlock (x86 keeps that order; others do not). One fence is needed, at the
end of put: otherwise put returns while its stores still wait in the store buffer, and a later get
returns the old bytes.

This is Linux's seqlock (Hemminger, 2003; described by Lameter, 2005). Linux has barriers instead of
relying on x86, and does not need the fence: it does not promise that a later reader sees the write.

It does not survive deaths: a writer that dies leaves the sequence odd and the spinlock taken, and
nobody is told.
"""

from __future__ import annotations

from typing import Any

from slotmem_model.algorithms.plain_lock import PlainLock
from slotmem_model.automata.shared_words import ExtraWord


class Seqlock(PlainLock):
    """Table under a mutex, slot bytes under a sequence number."""

    extra_words = (ExtraWord("sequence", values=6), ExtraWord("writer", values=2))
    """The sequence wraps round after three puts; a get must not be overtaken by as many.

    A real one has 32 bits.
    """

    def __init__(self, image: Any) -> None:
        super().__init__(image)
        self.sequence = image.extra["sequence"]
        self.writer = image.extra["writer"]

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Read the beginning of a slot, again and again until no writer came between."""
        self.check(item_id)
        while True:
            before = self.sequence[0]
            if before % 2 == 0:
                data = self.fetch(item_id, nbytes)
                if self.sequence[0] == before:
                    return data
            self.image.retry()

    def put(self, item_id: int, data: bytes) -> None:
        """Write the beginning of a slot."""
        self.check(item_id)
        while not self.image.compare_and_swap(self.image.cell(self.writer, 0), 0, 1):
            self.image.retry()
        try:
            self.store(item_id, data)
        finally:
            self.writer[0] = 0
            self.image.fence()

    def write(self, item_id: int, data: bytes) -> None:
        """Copy bytes into a slot, between two changes of the sequence number."""
        odd = self.sequence[0] | 1
        self.sequence[0] = odd
        super().write(item_id, data)
        self.sequence[0] = (odd + 1) % self.extra_words[0].values
