"""The contract of the benchmark's tables, the same for slotmem and for its rivals.

A *table* has slots of item_size bytes:

- `grab()` takes the lowest free slot and returns its id; `release(item_id)` frees it, its contents
  stay.
- `put(item_id, data)` and `get(item_id)` copy a whole slot, which must be in use.
- `update(item_id, function)` replaces a slot by what the function makes of its bytes, and returns
  that; `compare_and_put(item_id, expected, new)` puts new where expected is, and returns whether it
  was. Both see whole slots, in use.
- `num_free_slots()` counts the free slots.
- An id out of range, data of another length and a grab of a full table are errors and change
  nothing.
- Calls may come from several processes at once; each takes effect as a whole.

A *setup* is a context manager. It makes a table in a folder, yields an opener, which can be pickled
and opens the table in any process, and removes the table at the end.

Of a table with one lock for all, `lock` is that lock: `acquire(timeout=...)` returns whether it got
it. That is how a survivor of a death tells a lock that is held from one that is slow.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, NoReturn, Protocol

from slotmem import LengthOutOfRange, NoFreeSlot, NotInUse, SlotOutOfRange


class SlotTable(Protocol):
    """One process's access to a table; see the header."""

    def grab(self) -> int: ...
    def release(self, item_id: int) -> None: ...
    def get(self, item_id: int) -> bytes: ...
    def put(self, item_id: int, data: bytes) -> None: ...
    def update(self, item_id: int, function: Callable[[bytes], bytes]) -> bytes: ...
    def compare_and_put(self, item_id: int, expected: bytes, new: bytes) -> bool: ...
    def num_free_slots(self) -> int: ...
    def close(self) -> None: ...


Opener = Callable[[], SlotTable]
Setup = Callable[[str, int, int], AbstractContextManager[Opener]]


class Rival(NamedTuple):
    """A way to share slots.

    `needs` is a module that has to be installed, with what would help; `timed` says whether its
    speed is measured, besides what a death does to it; `lacks` are operations it does not have.
    """

    setup: Setup
    needs: tuple[str, str] | None = None
    timed: bool = True
    lacks: tuple[str, ...] = ()


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
