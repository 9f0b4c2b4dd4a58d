"""The benchmark's rivals that keep slots in a database: lmdb and sqlite, with files in shared
memory.

Nothing there outlives a loss of power, so syncing is switched off where the database allows it.
Each module is imported where its table is opened, since either may be missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from slotmem_stress.bench.contract import Opener, check_length, full, refuse

BUSY_S = 60.0
LMDB_BYTES = 1 << 26


class LmdbTable:
    """One key a slot; all in-use bytes under one key more."""

    def __init__(self, path: str, item_size: int, item_num: int) -> None:
        import lmdb

        self.item_size, self.item_num = item_size, item_num
        self.environment: Any = lmdb.open(path, map_size=LMDB_BYTES, sync=False, metasync=False, writemap=True)
        self.begin: Any = self.environment.begin
        self.keys = [b"%d" % item_id for item_id in range(item_num)]

    def grab(self) -> int:
        """Take the lowest free slot."""
        with self.begin(write=True) as transaction:
            inuse = bytearray(transaction.get(b"inuse"))
            item_id = inuse.find(0)
            if item_id < 0:
                full()
            inuse[item_id] = 1
            transaction.put(b"inuse", inuse)
        return item_id

    def release(self, item_id: int) -> None:
        """Free a slot."""
        with self.begin(write=True) as transaction:
            inuse = bytearray(transaction.get(b"inuse"))
            if not 0 <= item_id < self.item_num or not inuse[item_id]:
                refuse(item_id, self.item_num)
            inuse[item_id] = 0
            transaction.put(b"inuse", inuse)

    def get(self, item_id: int) -> bytes:
        """Read a slot."""
        with self.begin() as transaction:
            if not 0 <= item_id < self.item_num or not transaction.get(b"inuse")[item_id]:
                refuse(item_id, self.item_num)
            data: bytes = transaction.get(self.keys[item_id])
        return data

    def put(self, item_id: int, data: bytes) -> None:
        """Write a slot."""
        if len(data) != self.item_size:
            check_length(data, self.item_size)
        with self.begin(write=True) as transaction:
            if not 0 <= item_id < self.item_num or not transaction.get(b"inuse")[item_id]:
                refuse(item_id, self.item_num)
            transaction.put(self.keys[item_id], data)

    def update(self, item_id: int, function: Callable[[bytes], bytes]) -> bytes:
        """Replace a slot by what the function makes of it."""
        with self.begin(write=True) as transaction:
            if not 0 <= item_id < self.item_num or not transaction.get(b"inuse")[item_id]:
                refuse(item_id, self.item_num)
            data = function(transaction.get(self.keys[item_id]))
            check_length(data, self.item_size)
            transaction.put(self.keys[item_id], data)
        return data

    def compare_and_put(self, item_id: int, expected: bytes, new: bytes) -> bool:
        """Write a slot if it is as expected."""
        check_length(expected, self.item_size)
        check_length(new, self.item_size)
        with self.begin(write=True) as transaction:
            if not 0 <= item_id < self.item_num or not transaction.get(b"inuse")[item_id]:
                refuse(item_id, self.item_num)
            same: bool = transaction.get(self.keys[item_id]) == expected
            if same:
                transaction.put(self.keys[item_id], new)
        return same

    def num_free_slots(self) -> int:
        """Count the in-use bytes that are 0."""
        with self.begin() as transaction:
            return int(transaction.get(b"inuse").count(0))

    def close(self) -> None:
        """Close the environment."""
        self.environment.close()


@contextmanager
def lmdb_setup(folder: str, item_size: int, item_num: int) -> Iterator[Opener]:
    """Create an environment."""
    opener = partial(LmdbTable, os.path.join(folder, f"lmdb-{item_size}"), item_size, item_num)
    table = opener()
    with table.begin(write=True) as transaction:
        transaction.put(b"inuse", bytes(item_num))
        for key in table.keys:
            transaction.put(key, bytes(item_size))
    table.close()
    yield opener


class SqliteTable:
    """One row a slot, a partial index of the free ones. Each call is one transaction, and all
    but update are one statement.
    """

    def __init__(self, path: str, item_size: int, item_num: int) -> None:
        self.item_size, self.item_num = item_size, item_num
        import sqlite3

        self.connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
        self.execute = self.connection.execute
        self.execute("PRAGMA journal_mode = WAL")
        self.execute("PRAGMA synchronous = OFF")

    def grab(self) -> int:
        """Take the lowest free slot."""
        taken = self.execute(
            "UPDATE slot SET inuse = 1 WHERE id = (SELECT min(id) FROM slot WHERE inuse = 0) RETURNING id"
        ).fetchall()
        if not taken:
            full()
        item_id: int = taken[0][0]
        return item_id

    def release(self, item_id: int) -> None:
        """Free a slot."""
        if not self.execute("UPDATE slot SET inuse = 0 WHERE id = ? AND inuse = 1", (item_id,)).rowcount:
            refuse(item_id, self.item_num)

    def get(self, item_id: int) -> bytes:
        """Read a slot."""
        found = self.execute("SELECT data FROM slot WHERE id = ? AND inuse = 1", (item_id,)).fetchone()
        if found is None:
            refuse(item_id, self.item_num)
        data: bytes = found[0]
        return data

    def put(self, item_id: int, data: bytes) -> None:
        """Write a slot."""
        if len(data) != self.item_size:
            check_length(data, self.item_size)
        if not self.execute("UPDATE slot SET data = ? WHERE id = ? AND inuse = 1", (data, item_id)).rowcount:
            refuse(item_id, self.item_num)

    def update(self, item_id: int, function: Callable[[bytes], bytes]) -> bytes:
        """Replace a slot by what the function makes of it, in a transaction of two statements."""
        self.execute("BEGIN IMMEDIATE")
        with self.connection:  # commits, or rolls back
            data = function(self.get(item_id))
            self.put(item_id, data)
        return data

    def compare_and_put(self, item_id: int, expected: bytes, new: bytes) -> bool:
        """Write a slot if it is as expected; if not, look whether there is one."""
        check_length(expected, self.item_size)
        check_length(new, self.item_size)
        same = "UPDATE slot SET data = ? WHERE id = ? AND inuse = 1 AND data = ?"
        if self.execute(same, (new, item_id, expected)).rowcount:
            return True
        self.get(item_id)
        return False

    def num_free_slots(self) -> int:
        """Count the rows that are free."""
        return int(self.execute("SELECT count(*) FROM slot WHERE inuse = 0").fetchone()[0])

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


@contextmanager
def sqlite_setup(folder: str, item_size: int, item_num: int) -> Iterator[Opener]:
    """Create a database."""
    opener = partial(SqliteTable, os.path.join(folder, f"sqlite-{item_size}"), item_size, item_num)
    table = opener()
    table.execute("CREATE TABLE slot (id INTEGER PRIMARY KEY, inuse INTEGER NOT NULL, data BLOB NOT NULL)")
    table.execute("CREATE INDEX free ON slot (id) WHERE inuse = 0")
    table.connection.executemany("INSERT INTO slot VALUES (?, 0, ?)", [(i, bytes(item_size)) for i in range(item_num)])
    table.close()
    yield opener
