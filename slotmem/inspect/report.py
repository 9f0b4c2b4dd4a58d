"""An `Inspection` as text for people and as JSON for machines."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any

from slotmem.inspect.judgement import Inspection
from slotmem.inspect.opened import Bytes
from slotmem.interface import Type
from slotmem.memory.layout import Geometry, slot_start

_WIDTH = 100
_ROW = 64  # cells of the map
_LINE = 16  # bytes of a dump
_SIGNS = bytes(byte if 32 <= byte < 127 else ord(".") for byte in range(256))
_DUMPED = 2**20  # bytes of a slot at most
_LISTED = 12  # processes, locks and redo records at most


def text(result: Inspection) -> Iterator[str]:
    """Yield the lines of the report, none wider than 100 characters unless a name is."""
    yield _title(result)
    yield from (f"  {key:<10} {value}" for key, value in _facts(result) if value)
    shape, occupancy = result.shape, result.occupancy
    if shape is not None and occupancy is not None:
        if occupancy.cells:
            width = occupancy.slots_per_cell
            each = "" if width == 1 else f"; each character is {width} slots, 1 to 9 tenths of them in use"
            yield ""
            yield f"occupancy (# in use, . free{each})"
            yield from (
                f"  {at * width:>10}  {occupancy.cells[at : at + _ROW]}" for at in range(0, len(occupancy.cells), _ROW)
            )
        if result.slots:
            shown = len(result.slots[0][1])
            part = f"; the first {shown} of {shape.item_size} bytes" if shown < shape.item_size else ""
            yield ""
            yield f"slots in use{part}"
            for item_id, data in result.slots:
                yield f"  {item_id:>10}  {data.hex(' ', 4):<{shown * 2 + max(0, shown - 1) // 4}}  {_readable(data)}"
            if (more := occupancy.used - len(result.slots)) > 0:
                yield f"  and {more} more; --slot N shows the whole of one"
    yield from _lock_lines(result)
    yield ""
    yield from _verdict(result)


def slot_text(result: Inspection, shape: Geometry, data: Bytes, item_id: int) -> Iterator[str]:
    """Yield the lines of a slot's dump, up to _DUMPED bytes; repeated lines are left out, as in
    hexdump.
    """
    used = data.read(shape.inuse_start + item_id, 1) not in (b"\0", b"")
    yield f"slot {item_id} of {result.found.name}: {shape.item_size} bytes, {'in use' if used else 'free'}"
    before, skipped = b"", 0
    content = data.read(slot_start(shape.item_size, item_id), min(shape.item_size, _DUMPED))
    for at in range(0, len(content), _LINE):
        line = content[at : at + _LINE]
        if line == before and at + _LINE < len(content):
            skipped += 1
            continue
        if skipped:
            yield f"         *  {skipped} equal line{'s' if skipped > 1 else ''} left out"
        yield f"  {at:08x}  {line.hex(' '):<{_LINE * 3 - 1}}  {_readable(line)}"
        before, skipped = line, 0
    if len(content) < shape.item_size:
        yield f"and {shape.item_size - len(content)} bytes more"
    if result.problems:
        yield ""
        yield from _verdict(result)


def document(result: Inspection) -> dict[str, Any]:
    """Return the report as plain values."""
    shape, header, control, names = result.shape, result.header, result.control, result.found.names
    occupancy = result.occupancy
    return {
        "kind": "segment" if result.found.is_segment else "file",
        "name": result.found.name,
        "path": result.found.path,
        "segment": names.segment if names else None,
        "persisted": names.persisted if names else None,
        "generation": result.found.generation,
        "made_by": _maker(result),
        "alive": result.alive,
        "size": result.info.st_size,
        "mode": f"{stat.S_IMODE(result.info.st_mode):04o}",
        "user": result.info.st_uid,
        "header": None if header is None else {**header.__dict__, "flags": flags(header.type)},
        "control": None
        if control is None
        else {
            "version": control.version,
            "boot_id": control.boot_id.hex(),
            "pid_namespace": control.pid_namespace,
            "creator": control.creator_pid,
            "created_ns": control.created_ns,
            "stripes": control.stripes,
            "total": control.total,
        },
        "occupancy": None
        if shape is None or occupancy is None
        else {
            "counted": occupancy.counted,
            "in_use": occupancy.used,
            "free": occupancy.counted - occupancy.used,
            "slots_per_cell": occupancy.slots_per_cell,
            "map": occupancy.cells,
        },
        "slots": [{"slot": item_id, "hex": data.hex(), "text": _readable(data)} for item_id, data in result.slots],
        "locks": [lock.__dict__ for lock in result.locks],
        "redo": [record.__dict__ for record in result.redo],
        "open_in": [opener.__dict__ for opener in result.openers],
        "not_asked": result.unasked,
        "notes": result.notes,
        "problems": result.problems,
        "sound": not result.problems,
    }


def slot_document(shape: Geometry, data: Bytes, item_id: int) -> dict[str, Any]:
    """Return a slot as plain values, up to _DUMPED bytes of it."""
    content = data.read(slot_start(shape.item_size, item_id), min(shape.item_size, _DUMPED))
    used = data.read(shape.inuse_start + item_id, 1) not in (b"\0", b"")
    return {"slot": item_id, "in_use": used, "hex": content.hex(), "text": _readable(content)}


def flags(type_: int) -> str:
    """Return the flags by their names, as Apache spells them."""
    known = [flag.name or "" for flag in Type if flag & type_]
    unknown = type_ & ~sum(Type)
    return "|".join([*known, *([f"{unknown:#x}"] if unknown else [])]) or "no flags"


def _verdict(result: Inspection) -> Iterator[str]:
    for note in result.notes:
        yield from wrap(f"note: {note}", _WIDTH, subsequent_indent="      ", break_long_words=False)
    if not result.problems:
        yield "nothing is wrong with it"
    else:
        yield "what is wrong:"
        for problem in result.problems:
            yield from wrap(problem, _WIDTH, initial_indent="  - ", subsequent_indent="    ", break_long_words=False)


def _title(result: Inspection) -> str:
    if not result.found.is_segment:
        return f"persisted file {result.found.path}"
    life = {True: "live ", False: "dead ", None: ""}[result.alive]
    maker = _maker(result)
    return f"{life}segment {result.found.name}" + (f", made by {maker}" if maker else "")


def _maker(result: Inspection) -> str | None:
    if not result.found.is_segment or result.shape is None:
        return None
    return "slotmem" if result.control is not None else "httpd"


def _facts(result: Inspection) -> Iterator[tuple[str, str]]:
    found, info, header, control = result.found, result.info, result.header, result.control
    mode = f"{info.st_size} bytes, mode {stat.S_IMODE(info.st_mode):04o}, user {info.st_uid}"
    if found.is_segment:
        yield "object", f"{found.path}: {mode}"
        if found.names is not None:
            generation = "" if found.generation is None else f" (generation {found.generation})"
            yield "segment", found.names.segment + generation
            if header is not None and header.type & Type.PERSIST:
                yield "stored in", found.names.persisted
    else:
        yield "file", f"{mode}, changed {_when(info.st_mtime_ns)}"
    if header is not None:
        yield "shape", f"{header.item_num} slots of {header.item_size} bytes, {flags(header.type)}"
        if header.apr_length is not None:
            yield "length", f"{header.apr_length} bytes, says APR's length word"
    if result.shape is not None and result.occupancy is not None:
        counted, used = result.occupancy.counted, result.occupancy.used
        of_them = f" of the first {counted}" if counted < result.shape.item_num else ""
        assert header is not None
        yield "slots", f"{used} in use, {counted - used} free{of_them}; num_free says {header.num_free}"
    if control is not None:
        yield "made", f"{_when(control.created_ns)} by process {control.creator_pid}"
        yield (
            "control",
            f"version {control.version}, boot {control.boot_id.hex()[:8]}, pid namespace {control.pid_namespace}",
        )
    if found.is_segment:
        who = [f"process {opener.process} ({opener.command})" for opener in result.openers]
        more = f", and {len(who) - _LISTED} more" if len(who) > _LISTED else ""
        unasked = f"; could not ask {result.unasked} more" if result.unasked else ""
        yield "open in", (", ".join(who[:_LISTED]) or "no process") + more + unasked


def _lock_lines(result: Inspection) -> Iterator[str]:
    if not result.locks:
        return
    taken = [lock for lock in result.locks if lock.state != "free"]
    yield ""
    yield f"locks: {len(result.locks)} in all, {len(result.locks) - len(taken)} free"
    for lock in taken[:_LISTED]:
        by = f" by {lock.holder}" if lock.state == "held" else f": {lock.holder}" if lock.holder else ""
        yield f"  {lock.guards:<18}  {lock.state}{by}{', others wait' if lock.waited_for else ''}"
    if len(taken) > _LISTED:
        yield f"  and {len(taken) - _LISTED} more that are not free"
    for record in result.redo[:_LISTED]:
        yield f"  redo record {record.which}: a put of {record.nbytes} bytes to slot {record.slot} is not finished"
    if len(result.redo) > _LISTED:
        yield f"  and {len(result.redo) - _LISTED} more redo records"


def _when(since_epoch_ns: int) -> str:
    try:
        return datetime.fromtimestamp(since_epoch_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # a forged number
        return f"{since_epoch_ns} ns after the epoch"


def _readable(data: bytes) -> str:
    return data.translate(_SIGNS).decode("ascii")
