"""The benchmark's rivals that the standard library has: a SharedMemory with one lock, and a
manager's lists.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.managers import SyncManager
from multiprocessing.shared_memory import SharedMemory
from typing import Any

from slotmem_stress.bench.contract import Opener, check_length, full, refuse


class SharedMemoryTable:
    """Slots, in-use bytes and the counter in one SharedMemory; one Lock."""

    def __init__(self, name: str, lock: Any, item_size: int, item_num: int) -> None:
        self.item_size, self.item_num, self.lock = item_size, item_num, lock
        self.memory = SharedMemory(name)
        self.buffer = _bytes_of(self.memory)
        self.inuse_start = item_num * item_size
        self.inuse_end = self.inuse_start + item_num
        self.inuse = self.buffer[self.inuse_start : self.inuse_end]
        self.num_free = self.buffer[-4:].cast("I")

    def grab(self) -> int:
        """Take the lowest free slot."""
        with self.lock:
            item_id = bytes(self.inuse).find(0)
            if item_id < 0:
                full()
            self.inuse[item_id] = 1
            self.num_free[0] -= 1
            return item_id

    def release(self, item_id: int) -> None:
        """Free a slot."""
        with self.lock:
            if not 0 <= item_id < self.item_num or not self.inuse[item_id]:
                refuse(item_id, self.item_num)
            self.inuse[item_id] = 0
            self.num_free[0] += 1

    def get(self, item_id: int) -> bytes:
        """Read a slot."""
        start = item_id * self.item_size
        with self.lock:
            if not 0 <= item_id < self.item_num or not self.inuse[item_id]:
                refuse(item_id, self.item_num)
            return bytes(self.buffer[start : start + self.item_size])

    def put(self, item_id: int, data: bytes) -> None:
        """Write a slot."""
        if len(data) != self.item_size:
            check_length(data, self.item_size)
        start = item_id * self.item_size
        with self.lock:
            if not 0 <= item_id < self.item_num or not self.inuse[item_id]:
                refuse(item_id, self.item_num)
            self.buffer[start : start + self.item_size] = data

    def update(self, item_id: int, function: Callable[[bytes], bytes]) -> bytes:
        """Replace a slot by what the function makes of it."""
        start = item_id * self.item_size
        with self.lock:
            if not 0 <= item_id < self.item_num or not self.inuse[item_id]:
                refuse(item_id, self.item_num)
            data = function(bytes(self.buffer[start : start + self.item_size]))
            check_length(data, self.item_size)
            self.buffer[start : start + self.item_size] = data
            return data

    def compare_and_put(self, item_id: int, expected: bytes, new: bytes) -> bool:
        """Write a slot if it is as expected."""
        check_length(expected, self.item_size)
        check_length(new, self.item_size)
        start = item_id * self.item_size
        with self.lock:
            if not 0 <= item_id < self.item_num or not self.inuse[item_id]:
                refuse(item_id, self.item_num)
            same = self.buffer[start : start + self.item_size] == expected
            if same:
                self.buffer[start : start + self.item_size] = new
            return same

    def num_free_slots(self) -> int:
        """Return the counter."""
        with self.lock:
            return int(self.num_free[0])

    def close(self) -> None:
        """Unmap the memory."""
        self.inuse.release()
        self.num_free.release()
        self.memory.close()


def _bytes_of(memory: SharedMemory) -> memoryview:
    assert memory.buf is not None  # it is None when closed
    return memory.buf


@contextmanager
def shared_memory_setup(kind: str, folder: str, item_size: int, item_num: int) -> Iterator[Opener]:
    """Create a SharedMemory and a lock of the kind of multiprocessing that is named.

    The system chooses the names, so folder is not used.
    """
    del folder
    lock = getattr(get_context("spawn"), kind)()
    with shared_memory(lock, item_size, item_num) as opener:
        yield opener


@contextmanager
def shared_memory(lock: Any, item_size: int, item_num: int) -> Iterator[Opener]:
    """Create a SharedMemory with this lock."""
    # The counter lies at the very end, aligned; the system rounds up to a page anyway.
    memory = SharedMemory(create=True, size=-(-(item_num * (item_size + 1) + 4) // 4096) * 4096)
    try:
        _bytes_of(memory)[-4:] = item_num.to_bytes(4, "little")
        yield partial(SharedMemoryTable, memory.name, lock, item_size, item_num)
    finally:
        memory.close()
        memory.unlink()


class ListTable:
    """Two sequences that processes share, such as a manager's lists, where each access is a message
    there and back.
    """

    def __init__(self, inuse: Any, data: Any, lock: Any, item_size: int, item_num: int) -> None:
        self.inuse, self.data, self.lock = inuse, data, lock
        self.item_size, self.item_num = item_size, item_num

    def grab(self) -> int:
        """Take the lowest free slot."""
        with self.lock:
            try:
                item_id: int = self.inuse.index(0)
            except ValueError:
                full()
            self.inuse[item_id] = 1
            return item_id

    def release(self, item_id: int) -> None:
        """Free a slot."""
        with self.lock:
            if not 0 <= item_id < self.item_num or not self.inuse[item_id]:
                refuse(item_id, self.item_num)
            self.inuse[item_id] = 0

    def get(self, item_id: int) -> bytes:
        """Read a slot."""
        with self.lock:
            if not 0 <= item_id < self.item_num or not self.inuse[item_id]:
                refuse(item_id, self.item_num)
            data: bytes = self.data[item_id]
            return data

    def put(self, item_id: int, data: bytes) -> None:
        """Write a slot."""
        if len(data) != self.item_size:
            check_length(data, self.item_size)
        with self.lock:
            if not 0 <= item_id < self.item_num or not self.inuse[item_id]:
                refuse(item_id, self.item_num)
            self.data[item_id] = data

    def update(self, item_id: int, function: Callable[[bytes], bytes]) -> bytes:
        """Replace a slot by what the function makes of it."""
        with self.lock:
            if not 0 <= item_id < self.item_num or not self.inuse[item_id]:
                refuse(item_id, self.item_num)
            data = function(self.data[item_id])
            check_length(data, self.item_size)
            self.data[item_id] = data
            return data

    def compare_and_put(self, item_id: int, expected: bytes, new: bytes) -> bool:
        """Write a slot if it is as expected."""
        check_length(expected, self.item_size)
        check_length(new, self.item_size)
        with self.lock:
            if not 0 <= item_id < self.item_num or not self.inuse[item_id]:
                refuse(item_id, self.item_num)
            same: bool = self.data[item_id] == expected
            if same:
                self.data[item_id] = new
            return same

    def num_free_slots(self) -> int:
        """Count the in-use marks that are 0."""
        return int(self.inuse.count(0))

    def close(self) -> None:
        """Nothing: the connection goes with the process."""


@contextmanager
def manager_setup(folder: str, item_size: int, item_num: int) -> Iterator[Opener]:
    """Start a manager, its socket in the folder."""
    context = get_context("spawn")
    with SyncManager(os.path.join(folder, f"manager-{item_size}"), ctx=context) as manager:
        inuse, data = manager.list([0] * item_num), manager.list([bytes(item_size)] * item_num)
        yield partial(ListTable, inuse, data, context.Lock(), item_size, item_num)
