"""Reads a history, a folder of records or a file of JSON lines, into the judge's columns.

A file of JSON lines says the same as a folder, for tools that do not write records. Its first line
is the description, each other line an operation, in any order::

  {"format": "slotmem history 1", "slots": 8, "slot_bytes": 64, "inuse": [], "values": []}
  {"client": 3, "op": "put", "slot": 4, "value": 17, "status": "OK", "invoke_ns": 7, "return_ns": 9}
  {"client": 5, "op": "grab", "invoke_ns": 8}

- `op`: grab, fgrab, release, get, put or num_free_slots. `status`: OK, NOTFOUND, EINVAL or, of a
  get that returned a mixture of values, TORN (`value` and `second` are two of them). An operation
  without `return_ns` is pending.
- `slot`: the argument, or the slot that a grab returned. `value`: what was put or read, or the
  count; 64 bits, unsigned.
- Times are nanoseconds of one clock that all clients share. No two operations of a client overlap.

Interface: `read(path)` returns a `Recorded`, `to_columns` makes of it what the judge takes;
`export` and `parse` convert to JSON lines and back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from slotmem_model.judge.slots import history as slot_history
from slotmem_model.judge.slots.history import Column, SlotHistory
from slotmem_model.judge.slots.timeline import Flags
from slotmem_stress.history.records import (
    COUNT,
    DESCRIPTION,
    GET,
    GRAB,
    HEAD,
    INVOKED,
    KINDS,
    MAGIC,
    OK,
    PUT,
    RECORD_BYTES,
    RECORD_WORDS,
    RETURNED,
    SECOND,
    SLOT_SHIFT,
    STATUS_SHIFT,
    STATUSES,
    SUFFIX,
    TORN,
    VALUE,
    BadHistory,
    Description,
)

Words = npt.NDArray[np.uint64]

_FIRST_TORN = -(2**62)
"""Torn values are numbered from here on: no put wrote them."""


class Recorded(NamedTuple):
    """A recorded history: `records` has a row of five words per operation, `clients` who did it."""

    description: Description
    clients: npt.NDArray[np.int64]
    records: Words

    @property
    def pending(self) -> int:
        """How many operations did not return."""
        return int((self.records[:, RETURNED] == 0).sum())


def read(path: str) -> Recorded:
    """Read a folder of records or a file of JSON lines.

    Raises:
        BadHistory: if it is no history.
        OSError: if it cannot be read.
    """
    if not os.path.isdir(path):
        with open(path, encoding="utf-8", errors="replace") as lines:
            return parse(lines)
    with open(os.path.join(path, DESCRIPTION), encoding="utf-8") as file:
        try:
            description = Description.from_json(json.load(file))
        except ValueError as error:
            raise BadHistory(f"{file.name}: {error}") from error
    names = sorted(name for name in os.listdir(path) if name.endswith(SUFFIX))
    clients, records = [], []
    for name in names:
        client, found = read_records(os.path.join(path, name))
        if len(found):
            clients.append(np.full(len(found), client, dtype=np.int64))
            records.append(found)
    if not records:
        return Recorded(description, np.empty(0, dtype=np.int64), np.empty((0, RECORD_WORDS), dtype=np.uint64))
    return Recorded(description, np.concatenate(clients), np.concatenate(records))


def read_records(path: str) -> tuple[int, Words]:
    """Read one client's file: the client's number and its records.

    Raises:
        BadHistory: if the file holds something else.
        OSError: if it cannot be read.
    """
    data = np.fromfile(path, dtype=np.uint8)
    data = data[: len(data) // 8 * 8]  # an incomplete word says nothing
    whole = np.zeros(-(-len(data) // RECORD_BYTES) * RECORD_BYTES, dtype=np.uint8)
    whole[: len(data)] = data
    words = whole.view("=u8").reshape(-1, RECORD_WORDS)
    if len(words) == 0 or not words.any():
        return -1, words[:0]  # killed before its first store
    if words[0, HEAD] not in (0, MAGIC) and len(data) >= 8:
        raise BadHistory(f"{path} is not a file of records: it does not begin with their magic number")
    return int(words[0, VALUE]), words[1:][words[1:, INVOKED] != 0]


def to_columns(recorded: Recorded) -> SlotHistory:
    """Return the columns that the judge takes.

    Raises:
        BadHistory: for what no recorder writes, such as overlapping operations of one client.
    """
    head = recorded.records[:, HEAD]
    kind = (head & np.uint64(0xFF)).astype(np.int64)
    status = (head >> np.uint64(STATUS_SHIFT) & np.uint64(0xFF)).astype(np.int64)
    slot = (head >> np.uint64(SLOT_SHIFT)).astype(np.int64)
    value = recorded.records[:, VALUE].astype(np.int64)
    pending = recorded.records[:, RETURNED] == 0
    if len(kind) and (kind.max() >= len(KINDS) or (~pending & (status >= len(STATUSES))).any()):
        raise BadHistory("an operation has an unknown kind or status: the records are damaged")
    names: dict[int, Any] = {}
    torn = np.flatnonzero((status == TORN) & ~pending)
    for number, row in enumerate(torn.tolist()):
        mixed = (int(recorded.records[row, VALUE]), int(recorded.records[row, SECOND]))
        value[row] = _FIRST_TORN + number
        names[_FIRST_TORN + number] = f"{mixed[0]} mixed with {mixed[1]}"
    outcome = np.where(status == TORN, slot_history.TORN, status)
    outcome[pending] = slot_history.PENDING
    description = recorded.description
    try:
        return SlotHistory(
            description.slots,
            recorded.clients,
            kind,
            outcome,
            slot,
            value,
            recorded.records[:, INVOKED].astype(np.int64),
            np.where(pending, -1, recorded.records[:, RETURNED].astype(np.int64)),
            witness=_to_witness(recorded, pending, status == TORN),
            inuse=sum(1 << slot for slot in description.inuse),
            values=description.values,
            value_names=names,
        )
    except ValueError as error:
        raise BadHistory(str(error)) from error


def _to_witness(recorded: Recorded, pending: Flags, is_torn: Flags) -> Column | None:
    """Return the witness: an instant for each operation, or None if none took a stamp.

    An operation without a stamp gets a guess, which is safe because the judge checks the whole
    order: its invocation or, of a get, just after the put of its value if that is later.
    """
    records = recorded.records
    stamps = np.where(is_torn, 0, records[:, SECOND].astype(np.int64))
    if not stamps.any():
        return None
    guessed = np.flatnonzero((stamps == 0) & ~pending)
    kind, invoked = records[:, HEAD] & np.uint64(0xFF), records[:, INVOKED].astype(np.int64)
    puts = np.flatnonzero((kind == PUT) & (stamps != 0))
    puts = puts[np.argsort(records[puts, VALUE])]
    at = np.searchsorted(records[puts, VALUE], records[guessed, VALUE])
    stamps[guessed] = invoked[guessed]
    inside = at < len(puts)
    by, gets = puts[at[inside]], guessed[inside]
    found = (records[by, VALUE] == records[gets, VALUE]) & (kind[gets] == GET)
    stamps[gets[found]] = np.maximum(invoked[gets], stamps[by] + 1)[found]
    stamps[pending & (stamps == 0)] = -1
    return stamps


# -- JSON lines ------------------------------------------------------------------------------------


def export(recorded: Recorded) -> Iterator[str]:
    """Yield the lines, operations in the order of their invocations."""
    yield json.dumps(recorded.description.to_json())
    for row in np.argsort(recorded.records[:, INVOKED], kind="stable").tolist():
        yield json.dumps(to_object(int(recorded.clients[row]), recorded.records[row].tolist()))


def to_object(client: int, words: list[int]) -> dict[str, Any]:
    """Return one operation as an object of the JSON lines."""
    kind, status, slot = words[HEAD] & 0xFF, words[HEAD] >> STATUS_SHIFT & 0xFF, words[HEAD] >> SLOT_SHIFT
    pending = words[RETURNED] == 0
    given: dict[str, Any] = {"client": client, "op": KINDS[kind]}
    if kind not in (GRAB, COUNT) or (kind == GRAB and not pending and status == OK):
        given["slot"] = slot
    if kind == PUT or (not pending and status in (OK, TORN) and kind in (GET, COUNT)):
        given["value"] = words[VALUE]
    if not pending:
        given["status"] = STATUSES[status]
    if status == TORN and not pending:
        given["second"] = words[SECOND]
    given["invoke_ns"] = words[INVOKED]
    return given if pending else given | {"return_ns": words[RETURNED]}


def parse(lines: Iterable[str]) -> Recorded:
    """Return what the lines describe.

    Raises:
        BadHistory: names the line, and what is wrong with it.
    """
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    description: Description | None = None
    clients, rows = [], []
    for number, line in numbered:
        try:
            given = json.loads(line)
            if description is None:
                description = Description.from_json(given)
                continue
            clients.append(_number(given, "client"))
            rows.append(_to_words(given))
        except ValueError as error:
            raise BadHistory(f"line {number}: {error}") from error
    if description is None:
        raise BadHistory('it is empty; the first line must be the description, {"format": "slotmem history 1", ...}')
    records = np.array(rows, dtype=np.uint64).reshape(len(rows), RECORD_WORDS)
    return Recorded(description, np.array(clients, dtype=np.int64), records)


def _to_words(given: dict[str, Any]) -> list[int]:
    if given.get("op") not in KINDS:
        raise BadHistory(f"op must be one of {', '.join(KINDS)}, got {given.get('op')!r}")
    kind = KINDS.index(given["op"])
    pending = "return_ns" not in given
    status = 0 if pending else _status(given)
    argument = kind not in (GRAB, COUNT)
    slot = _number(given, "slot", 2**32) if argument or (kind == GRAB and not pending and status == OK) else 0
    shown = kind == PUT or (not pending and status in (OK, TORN) and kind in (GET, COUNT))
    value = _number(given, "value", 2**64) if shown else 0
    second = _number(given, "second", 2**64) if status == TORN else 0
    head = kind | status << STATUS_SHIFT | slot << SLOT_SHIFT
    returned = 0 if pending else _number(given, "return_ns", least=1)
    return [head, value, second, _number(given, "invoke_ns", least=1), returned]


def _status(given: dict[str, Any]) -> int:
    status = str(given.get("status")).removeprefix("APR_")
    status = "OK" if status == "SUCCESS" else status
    if status not in STATUSES or (status == "TORN" and given["op"] != "get"):
        raise BadHistory(
            f"status must be one of {', '.join(STATUSES)} (TORN only of a get), got {given.get('status')!r}"
        )
    return STATUSES.index(status)


def _number(given: Any, key: str, below: int = 2**63, least: int = 0) -> int:
    number = given.get(key) if isinstance(given, dict) else None
    if type(number) is not int or not least <= number < below:
        raise BadHistory(f"{key} must be an integer from {least} to {below - 1}, got {number!r}")
    return number
