"""Histories on disk: the one format that every run writes and every judge reads.

A history is a folder::

    history.json      {"format": "slotmem history 1", "slots": 8, "slot_bytes": 64,
                       "inuse": [0, 3], "values": [0, 0, ...]}
    3.ops             what client 3 did; 3 is its name in every report

As in Jepsen's histories, each operation has an invocation and, unless its process died, a return.
`inuse` and `values` are the state in which the history begins, and `"pregrab": false` says that get
and put mark slots. A *client* is a process or one of
its threads: it performs one operation at a time. Its `.ops` file is an array of 40-byte records,
each five 64-bit words in native byte order::

    word 0   kind | status << 8 | slot << 32     slot: what a grab gave, else the argument
    word 1   value        put: what was put; get: what was read; num_free_slots: the count
    word 2   second       a TORN get: another of the mixed values; else the witness, a reading of
                          the same clock inside the critical section; 0: none was taken
    word 3   invoke_ns    CLOCK_MONOTONIC before the call
    word 4   return_ns    the same after it; 0: pending, it may have taken effect or not

A put fills the whole slot with one 64-bit value, repeated, so that a torn get shows which puts were
mixed. Record 0 is the header: `MAGIC`, the client, its pid.

The words of an invocation are stored before the call, word 3 last; those of the return after it,
word 4 last. The file is mapped, so that what a writer stored survives its death. It follows that:

- A record whose word 3 is 0 is no record. What a pending record says about its result means
  nothing.
- A file may end anywhere: a missing or incomplete word counts as zero.

`slotmem_stress.history.reading` reads such a folder, or a file of JSON lines that says the same.
This module only writes, and imports no numpy.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Sequence
from typing import NamedTuple

FORMAT = "slotmem history 1"
DESCRIPTION = "history.json"
SUFFIX = ".ops"
MAGIC = int.from_bytes(b"slotops1", "little")

RECORD_BYTES = 40
RECORD_WORDS = 5
HEAD, VALUE, SECOND, INVOKED, RETURNED = range(RECORD_WORDS)

KINDS = ("grab", "fgrab", "release", "get", "put", "num_free_slots")
GRAB, FGRAB, RELEASE, GET, PUT, COUNT = range(len(KINDS))
STATUSES = ("OK", "NOTFOUND", "EINVAL", "TORN")
OK, NOTFOUND, EINVAL, TORN = range(len(STATUSES))

STATUS_SHIFT = 8
SLOT_SHIFT = 32

_PAGE_RECORDS = 512  # 40 * 512 bytes are whole pages, wherever a page has 4 KiB
CHUNK_RECORDS = 128 * _PAGE_RECORDS

MOST_SLOTS = 2**20
"""Of a history. The judge keeps a value of each, many times over."""


class BadHistory(ValueError):
    """Not a valid history; the message says where and why."""


class Description(NamedTuple):
    """What a history is about: the segment's shape, and the state in which the history begins."""

    slots: int
    slot_bytes: int
    inuse: tuple[int, ...] = ()
    """The slots in use at the beginning."""
    values: tuple[int, ...] = ()
    """The value in each slot at the beginning; empty: 0 in every slot."""
    pregrab: bool = True
    """Whether get and put need a slot that is in use; without, they mark it."""

    def write(self, folder: str) -> None:
        """Write the description into a history's folder."""
        with open(os.path.join(folder, DESCRIPTION), "w", encoding="utf-8") as file:
            json.dump(self.to_json(), file)

    def to_json(self) -> dict[str, object]:
        """Return the content of history.json."""
        return {"format": FORMAT, **self._asdict()}


class Recorder:
    """Writes one client's file.

    A client in a hurry writes to `words`, the mapped file, itself: `room(at, count)` tells it the
    word at which its next `count` records begin, and for each of them it moves on by RECORD_WORDS.
    """

    def __init__(self, folder: str, client: int, *, chunk_records: int = CHUNK_RECORDS) -> None:
        """Create the file. It grows by `chunk_records` at a time, a multiple of 512.

        Raises:
            OSError: if the file exists or cannot be created, or if the disk is full.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(os.path.join(folder, f"{client}{SUFFIX}"), flags, 0o600)
        self._chunk_records = chunk_records
        self._chunks = 0
        self._memory: mmap.mmap | None = None
        self.words = memoryview(b"")
        self._grow()
        self.words[SECOND] = os.getpid()
        self.words[VALUE] = client
        self.words[HEAD] = MAGIC
        self.at = RECORD_WORDS

    def room(self, at: int, count: int) -> int:
        """Return the word at which the next `count` records begin: `at`, or 0 in a fresh chunk.

        Raises:
            OSError: if the disk is full.
        """
        if at + count * RECORD_WORDS > len(self.words):
            self._grow()
            return 0
        return at

    def write(
        self, kind: int, status: int, slot: int, value: int, invoked_ns: int, returned_ns: int, second: int = 0
    ) -> None:
        """Write a whole record, for whoever is in no hurry."""
        at = self.at = self.room(self.at, 1)
        words = self.words
        words[at + VALUE], words[at + SECOND] = value, second
        words[at + HEAD] = kind | status << STATUS_SHIFT | slot << SLOT_SHIFT
        words[at + INVOKED] = invoked_ns
        words[at + RETURNED] = returned_ns
        self.at += RECORD_WORDS

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._fd >= 0:
            self._unmap()
            os.close(self._fd)
            self._fd = -1

    def _unmap(self) -> None:
        self.words.release()
        if self._memory is not None:
            self._memory.close()

    def _grow(self) -> None:
        """Map the next chunk of the file in place of the last one."""
        size, start = self._chunk_records * RECORD_BYTES, self._chunks * self._chunk_records * RECORD_BYTES
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._fd, start, size)  # a full disk shows here, not as a SIGBUS later
        else:
            os.ftruncate(self._fd, start + size)
        memory = mmap.mmap(self._fd, size, offset=start)
        self._unmap()
        self._memory = memory
        self.words = memoryview(memory).cast("Q")
        self._chunks += 1


def values_of(data: bytes, nbytes: int) -> Sequence[int]:
    """Return the distinct values in a slot's bytes, in order: several if a get was torn.

    Raises:
        ValueError: these are not all the bytes of a slot.
    """
    if len(data) != nbytes:
        raise ValueError(f"it gave {len(data)} bytes of a slot that has {nbytes}")
    return tuple(dict.fromkeys(int.from_bytes(data[start : start + 8], "little") for start in range(0, len(data), 8)))
