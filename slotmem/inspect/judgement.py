"""Look into a segment or a persisted file and judge it, by reading alone.

Interface:

`inspect(found, data)` returns an `Inspection`: what was read, the problems, and notes that are no
problems. It takes no lock and changes nothing. A live segment changes while it is read, so whatever
looks wrong is read again until it stands still; what never stands still is not reported as wrong.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from slotmem.inspect.finding import Found
from slotmem.inspect.locks import Lock, Opener, Redo, are_taken, has_flock, read_locks, read_openers, read_redo
from slotmem.inspect.opened import MOST_COUNTED, Bytes, Occupancy, read_occupancy
from slotmem.interface import Type
from slotmem.memory import control, files
from slotmem.memory.control import Control
from slotmem.memory.descriptor import read_at
from slotmem.memory.layout import (
    CONTROL_HEADER_BYTES,
    DESCRIPTOR_BYTES,
    DESCRIPTOR_FORMAT,
    NUM_FREE_START,
    REDO_HEADER_BYTES,
    SLOTS_START,
    Geometry,
    persisted_bytes,
    slot_start,
)
from slotmem.status import Mismatch, SlotmemError

SLOT_BYTES = 24  # shown of each
_STILL = 8  # equal looks in a row: a busy segment may show the same half-way state twice
_LOOKS = 50  # a millisecond apart; then the segment counts as never standing still
_MOST_SUMMED = 2**26  # bytes of a file; more would take seconds
_KNOWN = int(Type.PERSIST | Type.NOTMPSAFE | Type.PREGRAB | Type.CLEARINUSE)


@dataclass(frozen=True)
class Header:
    """The numbers in the header, sound or not."""

    item_size: int
    item_num: int
    type: int
    num_free: int
    apr_length: int | None = None
    """None in a persisted file, which has no such word."""


@dataclass
class Inspection:
    """What was found."""

    found: Found
    info: os.stat_result
    header: Header | None = None
    shape: Geometry | None = None
    control: Control | None = None
    occupancy: Occupancy | None = None
    slots: list[tuple[int, bytes]] = field(default_factory=list)
    """The first slots in use and the beginning of each."""
    locks: list[Lock] = field(default_factory=list)
    redo: list[Redo] = field(default_factory=list)
    openers: list[Opener] = field(default_factory=list)
    unasked: int = 0
    """The number of processes that could not be asked whether they have it open."""
    alive: bool | None = None
    """Whether anybody has the segment open; None for a file, or if it cannot be known."""
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class _Look(NamedTuple):
    """Everything that changes in a live segment."""

    num_free: int
    occupancy: Occupancy
    locks: bytes
    marks: list[tuple[int, int]]


def inspect(found: Found, data: Bytes) -> Inspection:
    """Read what was found, and return it with what is wrong with it."""
    result = Inspection(found, os.fstat(data.fd), notes=list(found.notes))
    if found.is_segment:
        _inspect_segment(data, result)
    else:
        _inspect_file(data, result)
    if result.shape is not None and result.occupancy is not None:
        for item_id in result.occupancy.first_used:
            start = slot_start(result.shape.item_size, item_id)
            result.slots.append((item_id, data.read(start, min(SLOT_BYTES, result.shape.item_size))))
    return result


def _inspect_file(data: Bytes, result: Inspection) -> None:
    size = result.info.st_size
    least = persisted_bytes(0, 0)
    if size < least:
        result.problems.append(f"it has {size} bytes, the smallest persisted file has {least}")
        return
    descriptor = os.pread(data.fd, DESCRIPTOR_BYTES, size - DESCRIPTOR_BYTES)
    counter = data.read(NUM_FREE_START, 4)
    if len(descriptor) < DESCRIPTOR_BYTES or len(counter) < 4:
        result.problems.append(
            f"it says that it has {size} bytes, and fewer can be read; if it was just cut, look again"
        )
        return
    item_size, item_num, type_ = struct.unpack(DESCRIPTOR_FORMAT, descriptor)
    (num_free,) = struct.unpack("=I", counter)
    result.header = Header(item_size, item_num, type_, num_free)
    expected = persisted_bytes(item_size, item_num)
    if size != expected:
        result.problems.append(
            f"it has {size} bytes, but its last {DESCRIPTOR_BYTES} say {item_num} slots of {item_size} bytes, which take "
            f"{expected}: it was cut short, or something was appended, or it is not a persisted file"
        )
        return
    result.shape = shape = control.shape_of(item_size, item_num, type_)
    result.occupancy = occupancy = read_occupancy(data, shape)
    if size > _MOST_SUMMED:
        result.notes.append(f"its MD5 was not compared with its bytes: they are more than {_MOST_SUMMED}")
        if occupancy.odd:
            result.problems.append(f"{occupancy.odd} in-use bytes are neither 0 nor 1")
    else:
        try:
            for _ in files.decode(shape, size, partial(read_at, data.fd)):
                pass
        except Mismatch as error:
            result.problems.append(str(error))
    _judge_flags(result)
    _judge_counter(result, num_free, occupancy, ours=True)


def _inspect_segment(data: Bytes, result: Inspection) -> None:
    size, name = result.info.st_size, result.found.name
    head = data.read(0, SLOTS_START)
    if len(head) == SLOTS_START:
        apr_length, item_size, item_num, type_, num_free = struct.unpack_from("=Q" + DESCRIPTOR_FORMAT[1:] + "I", head)
        result.header = Header(item_size, item_num, type_, num_free, apr_length)
    result.openers, result.unasked = read_openers(result.info)
    result.alive = True if result.openers or has_flock(result.info) else None if result.unasked else False
    try:
        result.shape = shape = control.read_geometry(head, size, name)
    except Mismatch as error:
        result.problems.append(str(error))
        return
    _judge_flags(result)
    behind = data.read(shape.control_start, CONTROL_HEADER_BYTES)
    moved = shape._replace(control_start=0)  # where it lies in `behind`
    usable = ours = control.is_ours(behind, len(behind), moved)
    if ours:
        result.control = control.read_control(behind, moved)
        try:
            control.check_control(behind, size, moved, name)
        except SlotmemError as error:
            result.problems.append(str(error))
            usable = False
    elif behind.startswith(control.MAGIC):
        result.problems.append("the control block behind it is cut off")
    elif size == shape.total:
        result.problems.append("it is as long as a segment made by slotmem, but its control block is overwritten")
    elif size > shape.apr_length:
        result.notes.append(f"{size - shape.apr_length} bytes lie behind httpd's part, and are not slotmem's")
    look, still = _look_steadily(data, shape, usable)
    result.occupancy = look.occupancy
    result.locks = read_locks(shape, look.locks) if usable else []
    result.redo = read_redo(shape, look.marks)
    table = result.locks[0].state if result.locks else "free"
    if not _counts(look, shape) and (not still or table in ("held", "owner died")):
        why = "the table's lock is held" if still else "it kept changing while it was read"
        result.notes.append(f"the free counter and the in-use bytes disagreed, but {why}")
    else:
        _judge_counter(result, look.num_free, look.occupancy, ours=ours)
    _judge_locks(result, still)
    if usable:
        # Every user of a segment of ours holds a flock, and sees the same processes as we do:
        # nobody is hidden.
        result.alive = bool(result.alive)
        _judge_life(result)


def _look_steadily(data: Bytes, shape: Geometry, usable: bool) -> tuple[_Look, bool]:
    """Look until nothing looks wrong or nothing changes; also return whether that was reached."""
    look, same = _look(data, shape, usable), 1
    looks = _LOOKS if shape.item_num < MOST_COUNTED else _STILL  # each takes a while
    for _ in range(looks):
        if _counts(look, shape) and not any(mark for mark, _ in look.marks) and not are_taken(look.locks):
            return look, True
        time.sleep(0.001)
        before, look = look, _look(data, shape, usable)
        same = same + 1 if look == before else 1
        if same == _STILL:
            return look, True
    return look, False


def _counts(look: _Look, shape: Geometry) -> bool:
    occupancy = look.occupancy
    return occupancy.counted < shape.item_num or look.num_free == shape.item_num - occupancy.used


def _look(data: Bytes, shape: Geometry, usable: bool) -> _Look:
    (num_free,) = struct.unpack("=I", data.read(NUM_FREE_START, 4).ljust(4, b"\0"))
    occupancy = read_occupancy(data, shape)
    if not usable:
        return _Look(num_free, occupancy, b"", [])
    locks = data.read(shape.mutexes_start, shape.redo_start - shape.mutexes_start)
    marks = []
    for stripe in range(shape.stripes):
        record = data.read(shape.redo_start + stripe * shape.redo_stride, REDO_HEADER_BYTES)
        mark, nbytes = struct.unpack("=QQ", record.ljust(REDO_HEADER_BYTES, b"\0"))
        marks.append((mark, nbytes if mark else 0))
    return _Look(num_free, occupancy, locks, marks)


def _judge_flags(result: Inspection) -> None:
    if result.shape is not None and (unknown := result.shape.type & ~_KNOWN):
        result.problems.append(f"type {result.shape.type:#x} has unknown flags: {unknown:#x}")


def _judge_counter(result: Inspection, num_free: int, occupancy: Occupancy, *, ours: bool) -> None:
    """Compare the free counter with the in-use bytes."""
    shape = result.shape
    assert shape is not None
    if occupancy.odd and result.found.is_segment:
        result.problems.append(f"{occupancy.odd} in-use bytes are neither 0 nor 1")
    free = shape.item_num - occupancy.used
    if occupancy.counted < shape.item_num:
        result.notes.append(f"only the first {occupancy.counted} of {shape.item_num} in-use bytes were looked at")
    elif num_free != free:
        said = f"num_free says {num_free} free slots, but {free} in-use bytes are 0"
        if shape.pregrab or (ours and result.found.is_segment):
            result.problems.append(said)
        else:
            result.notes.append(f"{said}: httpd's counter drifts without PREGRAB, and is not used then")


def _judge_locks(result: Inspection, still: bool) -> None:
    """Report locks whose owners are gone, and redo records that nobody will finish."""
    states = {lock.which: lock for lock in result.locks}
    for lock in result.locks:
        what = f"the lock of the {lock.guards}" if lock.guards.startswith("table") else f"the lock of {lock.guards}"
        if lock.state == "owner died":
            result.problems.append(
                f"{what}: its owner, {lock.holder}, died holding it; the next process to lock it will repair that"
            )
        elif lock.state == "held" and not lock.alive and still:
            result.problems.append(f"{what} is held by {lock.holder}")
        elif lock.state == "given up":
            result.problems.append(f"{what} was given up unrepaired; the next process to lock it will repair that")
        elif lock.state == "damaged":
            result.problems.append(
                f"{what} is overwritten; end every process that uses the segment and create it again"
            )
    for record in result.redo:
        if not record.possible:
            result.problems.append(
                f"redo record {record.which} puts {record.nbytes} bytes to slot {record.slot}, which the segment does not have"
            )
        elif still and states[record.which].state == "free":
            result.problems.append(f"a put to slot {record.slot} was left unfinished, and its lock is free")


def _judge_life(result: Inspection) -> None:
    """Report a segment that nobody has open, or whose creator is gone."""
    assert result.control is not None
    creator = result.control.creator_pid
    if not result.alive:
        result.problems.append(
            f"nobody has it open: its creator, process {creator}, ended without closing it; the next create replaces it"
        )
    elif all(opener.process != creator for opener in result.openers) and (
        not result.unasked or not os.path.exists(f"/proc/{creator}")
    ):
        result.problems.append(
            f"its creator, process {creator}, ended without closing it, so nobody will store or remove it"
        )
