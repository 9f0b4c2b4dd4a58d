"""Histories on disk: the one format that every run writes and every judge reads.

A history is a folder::

    history.json      {"format": "slotmem history 1", "slots": 8, "slot_bytes": 64, "inuse": [0, 3], "values": [0, 0, ...]}
    3.ops             what client 3 did; 3 is its name in every report

`inuse` and `values` are the state that the history begins in. An `.ops` file is an array of records of 40 bytes, each five
64-bit words, native byte order. A *client* is a process, or one of its threads: it does one operation after the other::

    word 0   kind | status << 8 | slot << 32     the slot is what a grab gave, else the argument
    word 1   value                               put: what is put; get: what was got; num_free_slots: the count
    word 2   second                              get, status TORN: another of the values that were mixed; else the witness,
                                                 a time of the same clock inside the critical section; 0: none taken
    word 3   invoke_ns                           CLOCK_MONOTONIC before the call
    word 4   return_ns                           the same after it; 0: pending, it may have taken effect or not

A slot's bytes are one value of 64 bits again and again, so that a torn get shows who was mixed. Record 0 is the header:
`MAGIC`, the client, its pid.

The words of an invocation are stored before the call, word 3 as the last; those of the return after it, word 4 as the last.
The file is mapped, so that what a killed writer has stored is there. So:

- A record whose word 3 is 0 is no record. What a pending record says of a result means nothing.
- A file may end anywhere: a word that is missing, or not whole, counts as zero.

`history_files` reads a folder, and a file of JSON lines in its place. This module writes, and imports no numpy.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
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


class BadHistory(ValueError):
    """What was given is no history; the message says where and why."""


class Description(NamedTuple):
    """What a history is about: the shape of the segment, and the state that it begins in."""

    slots: int
    slot_bytes: int
    inuse: tuple[int, ...] = ()
    """The slots in use."""
    values: tuple[int, ...] = ()
    """What is in each slot; none given: 0 in all."""

    def write(self, folder: str) -> None:
        """Write it into a folder."""
        with open(os.path.join(folder, DESCRIPTION), "w", encoding="utf-8") as file:
            json.dump(self.to_json(), file)

    def to_json(self) -> dict[str, object]:
        """Give it as it stands in history.json."""
        return {"format": FORMAT, **self._asdict()}

    @classmethod
    def from_json(cls, given: object) -> Description:
        """Read it back. Raises: BadHistory."""
        if not isinstance(given, dict) or given.get("format") != FORMAT:
            raise BadHistory(f'its description must be an object with "format": "{FORMAT}"')
        slots, slot_bytes = given.get("slots"), given.get("slot_bytes", 8)
        inuse, values = given.get("inuse", []), given.get("values", [])
        if not isinstance(slots, int) or not isinstance(slot_bytes, int) or slots < 1 or slot_bytes < 1:
            raise BadHistory(f"slots and slot_bytes must be numbers from 1, got {slots!r} and {slot_bytes!r}")
        if not isinstance(inuse, list) or not all(isinstance(slot, int) and 0 <= slot < slots for slot in inuse):
            raise BadHistory(f"inuse must list slots from 0 to {slots - 1}, got {inuse!r}")
        if not isinstance(values, list) or len(values) not in (0, slots):
            raise BadHistory(f"values must be empty or have one entry for each of the {slots} slots, got {values!r}")
        return cls(slots, slot_bytes, tuple(inuse), tuple(values))


class Recorder:
    """The writer of one client's file.

    `words` is the memory to write to: the record that begins at word `at` has room, and so have the `count - 1` behind it, after
    `room(count)`. The writer adds RECORD_WORDS to its own index for each record, and tells at the next `room`.
    """

    def __init__(self, folder: str, client: int, *, chunk_records: int = CHUNK_RECORDS) -> None:
        """Make the file. chunk_records: by how many it grows, a multiple of 512. Raises: OSError."""
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
        """See that `count` records have room from word `at` on; give the word to go on at. Raises: OSError: the disk is full."""
        if at + count * RECORD_WORDS > len(self.words):
            self._grow()
            return 0
        return at

    def write(
        self, kind: int, status: int, slot: int, value: int, invoked_ns: int, returned_ns: int, second: int = 0
    ) -> None:
        """Write a record at once, for whoever is in no hurry."""
        at = self.at = self.room(self.at, 1)
        words = self.words
        words[at + VALUE], words[at + SECOND] = value, second
        words[at + HEAD] = kind | status << STATUS_SHIFT | slot << SLOT_SHIFT
        words[at + INVOKED] = invoked_ns
        words[at + RETURNED] = returned_ns
        self.at += RECORD_WORDS

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self._fd >= 0:
            self._unmap()
            os.close(self._fd)
            self._fd = -1

    def _unmap(self) -> None:
        self.words.release()
        if self._memory is not None:
            self._memory.close()

    def _grow(self) -> None:
        """Map the next chunk. What was mapped before stays in the file."""
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


def is_readable_here() -> bool:
    """Say whether files that others made on this kind of machine mean the same here."""
    return sys.byteorder == "little"


def pattern(value: int, slot_bytes: int) -> bytes:
    """Give what a slot holds when `value` was put into it."""
    return value.to_bytes(8, "little") * (slot_bytes // 8)


def values_of(data: bytes) -> Sequence[int]:
    """Give the values in what was got, each once, in order: one, or more if it is torn."""
    return tuple(dict.fromkeys(int.from_bytes(data[start : start + 8], "little") for start in range(0, len(data), 8)))
