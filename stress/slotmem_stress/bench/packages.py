"""The benchmark's rivals that are packages of their own: semaphores of posix_ipc, and dictionaries
in shared memory.

Each module is imported where its table is opened, since any may be missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any

from slotmem_stress.bench.contract import Opener
from slotmem_stress.bench.standard import ListTable, shared_memory


class PosixLock:
    """A named semaphore as a lock; each process opens it when it first uses it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.semaphore: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "semaphore": None}

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lock; return whether that was possible in time."""
        import posix_ipc

        self.semaphore = self.semaphore or posix_ipc.Semaphore(self.name)
        try:
            self.semaphore.acquire(timeout)
        except posix_ipc.BusyError:
            return False
        return True

    def release(self) -> None:
        """Give it back."""
        self.semaphore.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


@contextmanager
def posix_ipc_setup(folder: str, item_size: int, item_num: int) -> Iterator[Opener]:
    """Create a SharedMemory and a semaphore, named after the folder."""
    import posix_ipc

    name = f"/{os.path.basename(folder)}-lock"
    posix_ipc.Semaphore(name, posix_ipc.O_CREX, initial_value=1).close()
    try:
        with shared_memory(PosixLock(name), item_size, item_num) as opener:
            yield opener
    finally:
        posix_ipc.unlink_semaphore(name)


class _Inuse:
    """The in-use marks under one key of a dictionary, as a list."""

    def __init__(self, shared: Any) -> None:
        self.shared = shared

    def __getitem__(self, item_id: int) -> int:
        return int(self.shared["inuse"][item_id])

    def __setitem__(self, item_id: int, mark: int) -> None:
        inuse = bytearray(self.shared["inuse"])
        inuse[item_id] = mark
        self.shared["inuse"] = bytes(inuse)

    def index(self, mark: int) -> int:
        """Return the first slot with this mark, as a list does."""
        return int(self.shared["inuse"].index(mark))

    def count(self, mark: int) -> int:
        """Return how many have it."""
        return int(self.shared["inuse"].count(mark))


class UltraLock:
    """The lock of an UltraDict, with the calls of multiprocessing's."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock

    def acquire(self, timeout: float) -> bool:
        """Take the lock; return whether that was possible in time."""
        from UltraDict import Exceptions

        try:
            self.lock.acquire(timeout=timeout)
        except Exceptions.CannotAcquireLockTimeout:
            return False
        return True

    def release(self) -> None:
        """Give it back."""
        self.lock.release()

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def _fill(shared: Any, item_size: int, item_num: int) -> None:
    shared["inuse"] = bytes(item_num)
    for item_id in range(item_num):
        shared[item_id] = bytes(item_size)


@contextmanager
def ultradict_setup(folder: str, item_size: int, item_num: int) -> Iterator[Opener]:
    """Create an UltraDict with a lock for processes that did not fork from one another."""
    from UltraDict import UltraDict

    name, size = f"{os.path.basename(folder)}-dict", 16 * (item_size + 1024) * item_num
    shared = UltraDict(name=name, create=True, shared_lock=True, buffer_size=size, full_dump_size=size)
    try:
        _fill(shared, item_size, item_num)
        yield partial(_open_ultradict, name, size, item_size, item_num)
    finally:
        shared.close(unlink=True)


def _open_ultradict(name: str, size: int, item_size: int, item_num: int) -> ListTable:
    from UltraDict import UltraDict

    shared = UltraDict(name=name, create=False, shared_lock=True, buffer_size=size)
    return ListTable(_Inuse(shared), shared, UltraLock(shared.lock), item_size, item_num)


@contextmanager
def shared_memory_dict_setup(folder: str, item_size: int, item_num: int) -> Iterator[Opener]:
    """Create a SharedMemoryDict and a Lock, since its own does not reach processes that did not
    fork from one another.
    """
    from shared_memory_dict import SharedMemoryDict

    name, size = f"{os.path.basename(folder)}-dict", 2 * (item_size + 1024) * item_num
    shared = SharedMemoryDict(name=name, size=size)
    try:
        _fill(shared, item_size, item_num)
        lock = get_context("spawn").Lock()
        yield partial(_open_shared_memory_dict, name, size, lock, item_size, item_num)
    finally:
        shared.shm.close()
        shared.shm.unlink()


def _open_shared_memory_dict(name: str, size: int, lock: Any, item_size: int, item_num: int) -> ListTable:
    from shared_memory_dict import SharedMemoryDict

    shared = SharedMemoryDict(name=name, size=size)
    return ListTable(_Inuse(shared), shared, lock, item_size, item_num)
