"""What every table of the benchmark must do: one contract, for slotmem and for its rivals.

A *table* has slots of item_size bytes, and:

- `grab()` takes the lowest free slot and gives its id; `release(item_id)` gives it back, its contents stay
- `put(item_id, data)` and `get(item_id)` copy a whole slot; one that is not in use is an error
- `num_free_slots()` counts the free ones
- an id out of range, data of another length, a full table are errors, and change nothing
- calls come from several processes, and each takes effect as a whole

A *setup* is a context manager: it makes a table in a folder, yields what opens it in a process (it can be pickled as an
argument of a new process), and removes the table at the end.
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
    """Refuse a slot that is out of range, or else free."""
    if 0 <= item_id < item_num:
        raise NotInUse(f"slot {item_id} is not in use")
    raise SlotOutOfRange(f"slot {item_id} is out of range: there are {item_num} slots")


def check_length(data: bytes, item_size: int) -> None:
    """Refuse data that is not a whole slot."""
    if len(data) != item_size:
        raise LengthOutOfRange(f"got {len(data)} bytes, a slot has {item_size}")
