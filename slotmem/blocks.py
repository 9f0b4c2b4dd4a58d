"""A slot's lock held for the length of a `with`: what was changed is stored at its end, or not at
all.

Interface:

- `Locked(algorithm, item_id, make)` is the context manager behind `SlotInstance.locked`.
- `is_within_block(algorithm, mutex)` says whether this thread is in one that has, or may have, a
  mutex; without a mutex, whether it is in any.

The rules of `slotmem.slots` hold. The bytes that the block changes are a copy; they go through the
redo record at the end, all of them. Should a signal handler's exception come between the end of the
block and the first line of `__exit__`, the lock is given back once that exception is forgotten.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from slotmem.memory.layout import SLOTS_START
from slotmem.memory.mutex import EDEADLK, GIVEN_UP
from slotmem.status import Reentered

Shown = TypeVar("Shown")

FORKED = (
    "this process was forked while its parent held a slot's lock, in a function given to update or in a block of locked; "
    "nothing was stored here, the lock is the parent's: fork before or after it"
)


class _Blocks(threading.local):
    def __init__(self) -> None:
        self.held: list[tuple[Any, Any, int]] = []  # algorithm, mutex, process


_BLOCKS = _Blocks()


def is_within_block(algorithm: Any = None, mutex: Any = None) -> bool:
    """Return whether this thread is in a block that holds the mutex, or one of another instance,
    which may be of the same segment; without a mutex, whether it is in any. A block that a forked
    process has inherited holds nothing.
    """
    return any(
        pid == os.getpid() and (mutex is None or held is mutex or owner is not algorithm)
        for owner, held, pid in _BLOCKS.held
    )


class Locked(Generic[Shown]):
    """A slot under its lock; see `slotmem.interface.PythonInstance.locked`.

    make: what the `with` is given, made of a writable view of the slot's bytes.
    """

    def __init__(self, algorithm: Any, item_id: int, make: Callable[[memoryview], Shown]) -> None:
        self._algorithm, self._item_id, self._make = algorithm, item_id, make
        self._entry: tuple[Any, Any, int] | None = None  # while the block has the lock

    def __enter__(self) -> Shown:
        algorithm, item_id = self._algorithm, self._item_id
        if self._entry is not None:
            raise Reentered("this block of locked has begun already; ask the instance for another one")
        start = SLOTS_START + item_id * algorithm.item_size
        which, mutex = algorithm.stripe_guards[item_id % algorithm.stripes]
        status = 0
        shown: Any = None
        try:
            try:
                status = algorithm.trylock(mutex)
                if status or algorithm.marks[which]:
                    status = algorithm._enter(which, status)
                self._tenant = algorithm.tenants[item_id]
                self._used = algorithm.inuse[item_id]
                if self._used or not algorithm.pregrab:
                    self._copy = bytearray(algorithm.memory[start : start + algorithm.item_size])
                    shown = self._make(memoryview(self._copy))
                    self._entry = (algorithm, mutex, os.getpid())
                    _BLOCKS.held.append(self._entry)
                else:
                    algorithm.unlock(mutex)
            except BaseException:
                algorithm.dirty[which] = 1
                algorithm.consistent(mutex)
                algorithm.unlock(
                    mutex if status != EDEADLK and algorithm.owners[which] != GIVEN_UP else algorithm.nobody
                )
                self._forget()
                raise
        except BaseException:
            algorithm.dirty[which] = 1
            algorithm.unlock(mutex if status != EDEADLK and algorithm.owners[which] != GIVEN_UP else algorithm.nobody)
            raise
        if self._entry is None:
            algorithm._refuse(item_id)
        held: Shown = shown
        return held

    def __exit__(self, kind: object, *_: object) -> None:
        if self._entry is None:
            return
        algorithm, mutex, pid = self._entry
        which = algorithm.stripe_guards[self._item_id % algorithm.stripes][0]
        is_ours = os.getpid() == pid
        try:
            try:
                self._forget()
                if kind is None and is_ours and not algorithm.ended[which]:
                    algorithm._write(self._item_id, bytes(self._copy), self._used, self._tenant)
                algorithm.unlock(mutex)
            except BaseException:
                algorithm.dirty[which] = 1
                algorithm.consistent(mutex)
                algorithm.unlock(mutex)
                raise
        except BaseException:
            algorithm.dirty[which] = 1
            algorithm.unlock(mutex)
            raise
        if kind is None and not is_ours:
            raise Reentered(FORKED)
        if kind is None and algorithm.ended[which]:
            algorithm._raise_ended()

    def _forget(self) -> None:
        """Say that the block has ended."""
        if self._entry in _BLOCKS.held:
            _BLOCKS.held.remove(self._entry)
        self._entry = None

    def __del__(self) -> None:
        self.__exit__(RuntimeError)  # the end of the block was cut short

    operations = frozenset([__enter__.__code__, __exit__.__code__])
