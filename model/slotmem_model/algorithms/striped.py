"""The reference's design without its marks: robust mutexes, and a redo record for each stripe.

The next process to lock repairs what an owner's death left: it counts the free slots again from the
in-use bytes, and finishes a put whose record is complete. put writes its record first: the bytes,
the length, and last the item id, which makes it valid; then the slot; then it clears the record:
write-ahead logging, with a log of one entry. Repair is idempotent, so a repairer may die too.

Deaths need no more than that. In the reference an exception may end an operation anywhere, too. So
whoever takes a mutex over from the dead sets its mark, and whoever finds a mark repairs. A test
adds the marks, and holds what comes of it to the same steps as the reference itself. Variants that
leave something out are in the museum.
"""

from __future__ import annotations

from typing import Any

from slotmem_model.algorithms.base import TABLE, Refused
from slotmem_model.algorithms.plain_lock import PlainLock
from slotmem_model.automata.shared_words import REDO_HEADER_BYTES
from slotmem_model.spec import NOTFOUND


class Striped(PlainLock):
    """Table and stripes, robust, with redo records."""

    robust = True
    survives_deaths = True

    def __init__(self, image: Any) -> None:
        super().__init__(image)
        self.redo = image.redo
        self.words = image.words
        self.redo_start: int = image.redo_start
        self.redo_stride: int = image.geometry.redo_stride

    def store(self, item_id: int, data: bytes) -> None:
        """Write a slot that may be touched, so that a death in the middle of it can be repaired."""
        used = self.inuse[item_id]
        if not used and self.pregrab:
            raise Refused(NOTFOUND)
        record, copy = self.record(self.stripe(item_id))
        self.note(record, copy, item_id, data)
        self.write(item_id, data)
        if not used:
            self.mark(item_id)
        self.words[record] = 0

    def record(self, which: int) -> tuple[int, int]:
        """Return a mutex's redo record: the index in `words` of its item id, the offset in `redo`
        of its bytes.
        """
        start = self.redo_start + (which - self.first_stripe) * self.redo_stride
        return start // 8, start + REDO_HEADER_BYTES

    def note(self, record: int, copy: int, item_id: int, data: bytes) -> None:
        """Write the redo record; the item id makes it valid, so it comes last."""
        self.redo[copy : copy + len(data)] = data
        self.words[record + 1] = len(data)
        self.words[record] = item_id + 1

    def repair(self, which: int) -> None:
        """Repair what a mutex guards."""
        if which >= self.first_stripe:
            self.finish(*self.record(which))
        if which == TABLE:
            self.recount()

    def finish(self, record: int, copy: int) -> None:
        """Finish the put that a valid record describes."""
        item_id = self.words[record] - 1
        if item_id >= 0:
            nbytes = self.words[record + 1]
            self.write(item_id, self.redo[copy : copy + nbytes])
            if not self.pregrab:
                self.inuse[item_id] = 1
            self.words[record] = 0
