"""The processes of `slotmem bench --kill`: one that dies inside an operation, and one that survives
it.

Interface: `be_victim` and `be_survivor` are what the two processes run, `Mark` is how the victim
says where it is.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing import shared_memory
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from slotmem import NotInUse
from slotmem_stress.bench.contract import Opener, SlotTable
from slotmem_stress.bench.findings import ITEM_NUM, KEPT, Seen, pattern
from slotmem_stress.interrupts import die_with_parent

OPERATIONS = ("grab+release", "put", "get", "update")
HELD_S = 0.1
"""A lock that is not to be had for so long, twice, by the only process there is, is held by a dead
one. A free lock is had at once, however busy the machine is."""
_STARTING, _BETWEEN, _INSIDE = range(3)


class Mark:
    """Where the victim is, in a file that both it and its killer have mapped."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(16))
        with open(path, "r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), 16)).cast("q")

    def repeat(self, puts: bool, call: Callable[[bytes], object]) -> None:
        """Call for ever, and mark when we are inside. Each call gets the bytes to put."""
        words, patterns = self._words, [pattern(number) for number in range(8)]
        words[0] = _BETWEEN
        number = 0
        while True:
            if puts:
                number += 1
            words[1] = number
            data = patterns[number % 8]
            words[0] = _INSIDE
            call(data)
            words[0] = _BETWEEN

    def is_ready(self) -> bool:
        """Return whether the victim has begun."""
        return self._words[0] != _STARTING

    def is_inside(self) -> bool:
        """Return whether it is inside a call; ask while it is stopped."""
        return self._words[0] == _INSIDE

    def puts(self) -> int:
        """Return how many puts it has begun."""
        return self._words[1]


def name_objects(mark: str) -> None:
    """Let names of shared memory that this process makes have a mark, to tell them from others'."""
    shared_memory._SHM_NAME_PREFIX = f"/{mark}"  # type: ignore[attr-defined]


def be_victim(path: Path, mark: str, opener: Opener, operation: str) -> None:
    """Repeat an operation until killed."""
    die_with_parent()
    name_objects(mark)
    table = opener()
    assert table.grab() == KEPT
    table.put(KEPT, pattern(0))
    Mark(path).repeat(operation in ("put", "update"), _call(table, operation))


def _call(table: SlotTable, operation: str) -> Callable[[bytes], object]:
    if operation == "put":
        return lambda data: table.put(KEPT, data)
    if operation == "get":
        return lambda _: table.get(KEPT)
    if operation == "update":
        return lambda data: table.update(KEPT, lambda _: data)
    return lambda _: table.release(table.grab())


def be_survivor(pipe: Connection, mark: str, opener: Opener) -> None:
    """Open the table, say whether that went wrong, wait for the word, and tell what there is."""
    die_with_parent()
    name_objects(mark)
    try:
        table = opener()
    except Exception as error:  # as in `look`
        pipe.send(_said(error))
        return
    pipe.send("")
    pipe.recv()
    pipe.send(look(table))
    pipe.recv()  # we are killed here; to close a table in use is a rival's weak spot


def look(table: Any) -> Seen:
    """Look at a table whose other users are dead; if its lock is not held, use it too."""
    began, seen = time.monotonic(), Seen()
    lock = getattr(table, "lock", None)
    try:
        if lock is not None and not (_is_free(lock) or _is_free(lock)):
            seen = seen._replace(refused="the lock is still held, though the only process that could hold it is dead")
            table.lock = nullcontext()
        contents = {}
        for item_id in range(ITEM_NUM):
            try:
                contents[item_id] = table.get(item_id)
            except NotInUse:
                continue
        seen = seen._replace(contents=contents, num_free=table.num_free_slots())
        if not seen.refused:
            table.release(table.grab())
            table.put(KEPT, pattern(1))
            if table.get(KEPT) != pattern(1):
                return seen._replace(
                    refused=f"a put to slot {KEPT} succeeds, but its bytes are not those that were put"
                )
            seen = seen._replace(ms=(time.monotonic() - began) * 1000)
    except Exception as error:  # whatever a rival raises is what its user would get
        return seen._replace(refused=seen.refused or _said(error))
    return seen


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _is_free(lock: Any) -> bool:
    if not lock.acquire(timeout=HELD_S):
        return False
    lock.release()
    return True
