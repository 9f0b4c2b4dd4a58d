"""The contract of the benchmark's tables, the same for slotmem and for its rivals.

A *table* has slots of item_size bytes:

- `grab()` takes the lowest free slot and returns its id; `release(item_id)` frees it, its contents
  stay.
- `put(item_id, data)` and `get(item_id)` copy a whole slot, which must be in use.
- `num_free_slots()` counts the free slots.
- An id out of range, data of another length and a grab of a full table are errors and change
  nothing.
- Calls may come from several processes at once; each takes effect as a whole.

A *setup* is a context manager. It makes a table in a folder, yields an opener, which can be pickled
and opens the table in any process, and removes the table at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NoReturn, Protocol

from slotmem import LengthOutOfRange, NoFreeSlot, NotInUse, SlotOutOfRange


class SlotTable(Protocol):
    """One process's access to a table; see the header."""

    def grab(self) -> int: ...
    def release(self, item_id: int) -> None: ...
    def get(self, item_id: int) -> bytes: ...
    def put(self, item_id: int, data: bytes) -> None: ...
    def num_free_slots(self) -> int: ...
    def close(self) -> None: ...


Opener = Callable[[], SlotTable]
Setup = Callable[[str, int, int], AbstractContextManager[Opener]]


def full() -> NoReturn:
    """Refuse a grab."""
    raise NoFreeSlot("all slots are in use")


def refuse(item_id: int, item_num: int) -> NoReturn:
    """Refuse a slot that is out of range or free."""
    if 0 <= item_id < item_num:
        raise NotInUse(f"slot {item_id} is not in use")
    raise SlotOutOfRange(f"slot {item_id} is out of range: there are {item_num} slots (0..{item_num - 1})")


def check_length(data: bytes, item_size: int) -> None:
    """Refuse data that is not a whole slot."""
    if len(data) != item_size:
        raise LengthOutOfRange(f"got {len(data)} bytes, but a slot has {item_size}")
