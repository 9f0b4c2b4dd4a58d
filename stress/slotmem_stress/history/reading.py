"""Reads a history, a folder of records or a file of JSON lines, into the judge's columns.

Interface: `read(path)` returns a `Recorded`, `to_columns` makes of it what the judge takes.
JSON lines are read by `slotmem_stress.history.lines`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from slotmem_model.given_files import opened
from slotmem_model.judge.events import MalformedHistory
from slotmem_model.judge.slots import history as slot_history
from slotmem_model.judge.slots.history import Column, SlotHistory
from slotmem_stress.history.fields import MOST_BYTES, MOST_TIME, load, to_description
from slotmem_stress.history.lines import parse, read_lines
from slotmem_stress.history.recorded import Flags, Recorded, Words
from slotmem_stress.history.records import (
    COUNT,
    DESCRIPTION,
    GET,
    HEAD,
    INVOKED,
    KINDS,
    MAGIC,
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


def read(path: str) -> Recorded:
    """Read a folder of records or a file of JSON lines.

    Raises:
        BadHistory: if it is no history.
        OSError: if it cannot be read.
    """
    if not os.path.isdir(path):
        with opened(path) as file:
            return parse(read_lines(file))
    description = _read_description(os.path.join(path, DESCRIPTION))
    names = sorted(name for name in os.listdir(path) if name.endswith(SUFFIX))
    clients, records = [np.empty(0, dtype=np.int64)], [np.empty((0, RECORD_WORDS), dtype=np.uint64)]
    for name in names:
        client, found = read_records(os.path.join(path, name))
        clients.append(np.full(len(found), client, dtype=np.int64))
        records.append(found)
    words = np.concatenate(records)
    return Recorded(description, np.concatenate(clients), words, words[:, RETURNED] == 0)


def _read_description(path: str) -> Description:
    with opened(path) as file:
        data = file.read(MOST_BYTES + 1)
    try:
        if len(data) > MOST_BYTES:
            raise BadHistory(f"it has more than {MOST_BYTES} bytes")
        return to_description(load(data.decode("utf-8-sig", errors="replace")))
    except BadHistory as error:
        raise BadHistory(f"{path}: {error}") from error


def read_records(path: str) -> tuple[int, Words]:
    """Read one client's file: the client's number and its records.

    Raises:
        BadHistory: if the file holds something else.
        OSError: if it cannot be read.
    """
    with opened(path) as file:
        data = np.fromfile(file, dtype=np.uint8)
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
    if len(kind) and (kind.max() >= len(KINDS) or (~recorded.is_pending & (status >= len(STATUSES))).any()):
        raise BadHistory("an operation has an unknown kind or status: the records are damaged")
    times = recorded.records[:, [INVOKED, RETURNED]]
    if (times > MOST_TIME).any():
        raise BadHistory(f"an operation has a time beyond {MOST_TIME}: the records are damaged")
    outcome = np.where(status == TORN, slot_history.TORN, status)
    outcome[recorded.is_pending] = slot_history.PENDING
    is_torn = outcome == slot_history.TORN
    value, at_first, names = _to_values(recorded, kind == COUNT, is_torn)
    description = recorded.description
    try:
        return SlotHistory(
            description.slots,
            recorded.clients,
            kind,
            outcome,
            slot,
            value,
            times[:, 0].astype(np.int64),
            np.where(recorded.is_pending, -1, times[:, 1].astype(np.int64)),
            witness=_to_witness(recorded, is_torn),
            inuse=_to_mask(description.inuse, description.slots),
            values=at_first,
            value_names=names,
            process_names=dict(recorded.names),
            pregrab=description.pregrab,
        )
    except MalformedHistory as error:
        raise BadHistory(_located(recorded, error)) from error


def _located(recorded: Recorded, error: MalformedHistory) -> str:
    """Return what is wrong with a history, with the lines of the operations if it has lines."""
    if not (recorded.lines and len(error.rows) == 2):
        return str(error)
    row, before = error.rows
    return (
        f"line {recorded.lines[row]}: invoke_ns must not be less than the return_ns of the same client's last operation, "
        f"in line {recorded.lines[before]}; a client whose operation did not return goes on under another name"
    )


def _to_values(recorded: Recorded, is_count: Flags, is_torn: Flags) -> tuple[Column, tuple[int, ...], dict[int, Any]]:
    """Return the number of each operation's value and of each slot's first one, and the names of
    numbers that say something else.

    A value of 64 bits is numbered by the same bits with a sign. A torn get has a number of its own,
    which no put wrote.
    """
    value = recorded.records[:, VALUE].astype(np.int64)
    at_first = np.array(recorded.description.values, dtype=np.uint64).astype(np.int64)
    large = {*value[(value < 0) & ~is_count].tolist(), *at_first[at_first < 0].tolist()}
    names: dict[int, Any] = {number: number % 2**64 for number in large}
    unused = (number for number in itertools.count(-1, -1) if number not in large)
    for row in np.flatnonzero(is_torn).tolist():
        one, other = recorded.records[row, [VALUE, SECOND]].tolist()
        value[row] = next(unused)
        names[int(value[row])] = f"{one} mixed with {other}"
    return value, tuple(at_first.tolist()), names


def _to_mask(slots: Iterable[int], slot_num: int) -> int:
    """Return the mask of some slots; to shift a bit for each takes long where there are many."""
    bits = np.zeros(slot_num, dtype=np.bool_)
    bits[list(slots)] = True
    return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")


def _to_witness(recorded: Recorded, is_torn: Flags) -> Column | None:
    """Return the witness: an instant for each operation, or None if none took a stamp.

    An operation without a stamp gets a guess, which is safe because the judge checks the whole
    order: its invocation or, of a get, just after the put of its value if that is later.
    """
    records, pending = recorded.records, recorded.is_pending
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
