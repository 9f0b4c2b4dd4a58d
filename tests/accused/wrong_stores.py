"""Drivers of implementations that store wrongly, or begin wrongly after a death, in one way each:
`python wrong_stores.py MISTAKE`, right otherwise.

The reference with one function replaced. `MISTAKES` maps each to the case that must catch it, and
what it must say.
"""

import operator
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from slotmem.memory import files, segment, storing
from slotmem.memory.layout import PAYLOAD_START
from slotmem.slots import Slots
from slotmem_conformance.protocol.driver import main

MISTAKES = {
    "in place": ("STORE-4/killed", "neither the old nor the new"),
    "old file first away": ("STORE-4/killed", "is gone"),
    "destroys first": ("STORE-5/killed", "the segment is gone"),
    "no fsync": ("STORE-5/on-disk", "no fsync between the last write"),
    "no fsync of the folder": ("STORE-5/on-disk", "no fsync of the folder"),
    "syncs too late": ("STORE-5/on-disk", "no fsync between the last write"),
    "marks after the locks": ("STORE-6/one-instant", "no instant had all that"),
    "what it put itself": ("RESTORE-1/restart-anew", "must answer"),
    "takes over a remainder": ("CREATE-6/kill-anew", "must answer"),
}
_right_store, _right_unlink = storing.store, segment.Segment.unlink
_LATE_S = 0.3  # a busy machine may let nobody work sooner
_right_snapshot, _right_put, _right_publish = Slots.snapshot, Slots.put, segment.publish


def _in_place(path, data, timeout_s=None):
    with open(path, "r+b" if os.path.exists(path) else "wb") as file:
        file.writelines(data)
        os.fsync(file.fileno())
    storing.sync_folder(path)


def _gone_first(path, data, timeout_s=None):
    with suppress(FileNotFoundError):
        os.unlink(path)
    _right_store(path, data)


def _without_fsync(path, data, timeout_s=None):
    os.fsync = lambda fd: None
    _right_store(path, data)


def _without_folder(path, data, timeout_s=None):
    storing.sync_folder = lambda path: None
    _right_store(path, data)


def _after_its_end(made, timeout_s=None):
    _right_unlink(made)
    os.sync()


def _destroy_first(made, storer, timeout_s, instance):
    del storer
    payload = instance.algorithm().snapshot()
    made.unlink()
    storing.store(made.names.persisted, files.encode(made.shape, [payload]))


def _with_late_marks(slots, take=operator.getitem, *inner):
    if inner:  # it takes one lock after the other by calling itself
        return _right_snapshot(slots, take, *inner)
    payload = _right_snapshot(slots)
    marks = payload[-slots.item_num :]
    ends = time.monotonic() + _LATE_S
    while slots.memory[slots.inuse_start : slots.payload_end] == marks and time.monotonic() < ends:
        time.sleep(0)
    return take(payload[: -slots.item_num] + slots.memory[slots.inuse_start : slots.payload_end], slice(None))


def _noting(slots, item_id, data):
    slots.noted = getattr(slots, "noted", {}) | {item_id: data}
    _right_put(slots, item_id, data)


def _as_noted(slots, take=operator.getitem, *inner):
    if inner:
        return _right_snapshot(slots, take, *inner)
    payload = bytearray(_right_snapshot(slots))
    for item_id in range(slots.item_num):
        start = 8 + item_id * slots.item_size
        data = getattr(slots, "noted", {}).get(item_id, b"")
        payload[start : start + slots.item_size] = data.ljust(slots.item_size, b"\0")
    return take(payload, slice(None))


def _take_over(names, shape, contents, **options):
    place = segment.object_path(names)
    left = Path(place).read_bytes()[PAYLOAD_START : shape.apr_length] if os.path.exists(place) else b""
    made = _right_publish(names, shape, contents, **options)
    made.memory[PAYLOAD_START : PAYLOAD_START + len(left)] = left
    return made


def spoil(mistake):
    """Make the reference of this process store wrongly."""
    from slotmem import shm

    match mistake:
        case "in place":
            storing.store = _in_place
        case "old file first away":
            storing.store = _gone_first
        case "destroys first":
            shm._destroy = _destroy_first
        case "no fsync":
            storing.store = _without_fsync
        case "no fsync of the folder":
            storing.store = _without_folder
        case "syncs too late":
            storing.store, segment.Segment.unlink = _without_fsync, _after_its_end
        case "marks after the locks":
            Slots.snapshot = _with_late_marks
        case "what it put itself":
            Slots.put, Slots.snapshot = _noting, _as_noted
        case "takes over a remainder":
            segment.publish = _take_over


if __name__ == "__main__":
    spoil(sys.argv[1])
    sys.exit(main(["shm"]))
