"""Segments that httpd made: no control block, so no locks, no redo records, no repair.

`ReadOnlySlots` reads them; `UnsafeSlots` also writes, exactly as unsafely as httpd does: safe only
if the caller keeps everybody else out.
"""

from __future__ import annotations

from typing import Any, NoReturn

from slotmem.slots import Slots
from slotmem.status import ReadOnly


class UnsafeSlots(Slots):
    """The slot operations on an image whose locks are never refused, because there are none."""

    def num_free_slots(self) -> int:
        """Count the free slots as httpd does (COUNT-3): without PREGRAB, where its counter drifts,
        from the in-use bytes.
        """
        if self.pregrab:
            return super().num_free_slots()
        self.trylock(None)
        inuse: bytes = self.memory[self.inuse_start : self.payload_end]
        return inuse.count(0)


class ReadOnlySlots(UnsafeSlots):
    """The operations that change nothing; a get does not mark the slot."""

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Read the beginning of a slot, and do not mark it in use (FOREIGN-1)."""
        item_id = self.checked_id(item_id)
        nbytes = self.item_size if nbytes is None else self.checked_length(nbytes)
        self.trylock(None)
        if self.pregrab and not self.inuse[item_id]:
            self._refuse(item_id)
        return bytes(self.dptr(item_id)[:nbytes])

    def _read_only(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to write (FOREIGN-2)."""
        raise ReadOnly(
            "this segment was made without a control block (by httpd), so nothing keeps writers apart; it is attached "
            "for reading only; use attach(..., unsafe=True) if you keep everybody else out"
        )

    grab = fgrab = release = put = update = compare_and_put = locked = _read_only
