"""Histories as JSON lines: the form in which other tools give theirs.

A file of JSON lines says the same as a folder. Its first line is the description, each other line
an operation, in any order::

  {"format": "slotmem history 1", "slots": 8, "slot_bytes": 64, "inuse": [], "values": []}
  {"client": 3, "op": "put", "slot": 4, "value": 17, "status": "OK", "invoke_ns": 7, "return_ns": 9}
  {"client": 5, "op": "grab", "invoke_ns": 8}

- `op`: grab, fgrab, release, get, put or num_free_slots. `status`: OK, NOTFOUND, EINVAL or, of a
  get that returned a mixture of values, TORN (`value` and `second` are two of them). An operation
  without `status` and `return_ns` is pending.
- `slot`: the argument, or the slot that a grab returned. `value`: what was put or read, or the
  count; 64 bits, unsigned.
- Times are nanoseconds, or any other ticks, of one clock that all clients share. No two operations
  of a client overlap; one may begin at the instant at which the last one returned.

Interface: `export(recorded)` yields lines, `parse(lines)` reads them. What a field may be stands in
`slotmem_stress.history.fields`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from slotmem_stress.history.fields import MOST_BYTES, load, to_description, to_operation
from slotmem_stress.history.recorded import Recorded
from slotmem_stress.history.records import (
    INVOKED,
    KINDS,
    RECORD_WORDS,
    SLOT_SHIFT,
    STATUS_SHIFT,
    STATUSES,
    BadHistory,
    Description,
)


def export(recorded: Recorded) -> Iterator[str]:
    """Yield the lines, operations in the order of their invocations."""
    yield json.dumps(recorded.description.to_json())
    for row in np.argsort(recorded.records[:, INVOKED], kind="stable").tolist():
        yield json.dumps(recorded.to_object(row))


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file with their ends.

    Raises:
        BadHistory: if a line is too long to be one of a history.
    """
    while line := file.readline(MOST_BYTES + 1):
        if len(line) > MOST_BYTES:
            raise BadHistory(f"a line has more than {MOST_BYTES} bytes")
        yield line


def parse(lines: Iterable[bytes]) -> Recorded:
    """Return what the lines say.

    The last line may lack its end, as when the writer died: if it says nothing, it is left out,
    with a note.

    Raises:
        BadHistory: names the line, and what is wrong with it.
    """
    description: Description | None = None
    clients: dict[int | str, int] = {}
    rows: list[tuple[int, list[int], bool]] = []
    numbers: list[int] = []
    notes: list[str] = []
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            try:
                text = _decode(line, number)
                given = load(text) if text.strip() else None
            except BadHistory as error:
                if line.endswith(b"\n") or description is None:
                    raise
                notes.append(
                    f"line {number}, the last, is cut off and was left out ({error}); "
                    "what it told is not known to the judge"
                )
                continue
            if not text.strip():
                continue
            if description is None:
                description = to_description(given)
                continue
            done = to_operation(given, description)
            client = done["client"]
            if client not in clients:
                clients[client] = client if type(client) is int else -1 - len(clients)
            rows.append((clients[client], _to_words(done), "return_ns" not in done))
            numbers.append(number)
    except BadHistory as error:
        raise BadHistory(f"line {number or 1}: {error}") from error
    if description is None:
        raise BadHistory(
            'line 1: it is empty; the first line must be the description, {"format": "slotmem history 1", ...}'
        )
    return Recorded(
        description,
        np.array([client for client, _, _ in rows], dtype=np.int64),
        np.array([words for _, words, _ in rows], dtype=np.uint64).reshape(len(rows), RECORD_WORDS),
        np.array([is_pending for _, _, is_pending in rows], dtype=np.bool_),
        {client: name for name, client in clients.items() if type(name) is str},
        numbers,
        notes,
    )


def _decode(line: bytes, number: int) -> str:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadHistory(f"not UTF-8, from byte {error.start + 1} on") from error
    return text.removeprefix("\ufeff") if number == 1 else text


def _to_words(done: dict[str, Any]) -> list[int]:
    status = STATUSES.index(done.get("status", "OK"))
    head = KINDS.index(done["op"]) | status << STATUS_SHIFT | done.get("slot", 0) << SLOT_SHIFT
    return [head, done.get("value", 0), done.get("second", 0), done["invoke_ns"], done.get("return_ns", 0)]
