"""Cases of bad input: overflowing sizes, climbing names, forged segments, planted objects."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

from slotmem_conformance.cases.case import Case, case
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import first_difference, shown
from slotmem_model import spec
from slotmem_model import stored_bytes as files

_MAGIC = b"slotmem\x1a"  # of slotmem's own control block, after httpd's part
_NOBODY = 65534


def _refused_size(what: str, item_size: int, item_num: int, status: str) -> Case:
    def run(rig: Rig) -> None:
        got = rig.send(0, {"op": "create", "name": "w", "item_size": item_size, "item_num": item_num, "type": []})
        if got != {"status": status}:
            rig.fail(f"create of {item_num} slots of {item_size} bytes answered {shown(got)}, must answer {status}")
        rig.do("attach w; create w 4 2 PREGRAB; num_slots; num_free_slots")

    return Case(
        f"CREATE-9/{what}", run, f"{item_num} slots of {item_size} bytes are refused with {status}, and nothing is left"
    )


def _refused_name(what: str, name: str) -> Case:
    def run(rig: Rig) -> None:
        shape = {"item_size": 4, "item_num": 2, "type": []}
        for request in ({"op": "create", "name": name, **shape}, {"op": "attach", "name": name}):
            if (got := rig.send(0, request)) != {"status": "APR_EINVAL"}:
                rig.fail(f"{request['op']} of the name {name!r} answered {shown(got)}, must answer APR_EINVAL")

    return Case(f"NAME-7/{what}", run, f"the name {name!r} is refused with APR_EINVAL")


def _forged(what: str, change: Callable[[bytearray], object]) -> Case:
    """Make the case of a segment whose bytes somebody changed while its creator has it open."""

    def run(rig: Rig) -> None:
        rig.needs("shared")
        rig.must("create w 64 8 PREGRAB; fgrab 1")
        place = _object(rig)
        data = bytearray(place.read_bytes())
        change(data)
        _overwrite(place, data)
        got = rig.ask("1: attach w")
        if got != {"status": "APR_EMISMATCH"}:
            rig.fail(f"attach to a segment that is forged ({what}) answered {shown(got)}, must answer APR_EMISMATCH")

    return Case(f"ATTACH-5/{what}", run, f"refuses a segment that contradicts itself: {what}")


def _word(layout: str, at: int, value: int) -> Callable[[bytearray], object]:
    return lambda data: struct.pack_into(layout, data, at, value)


def _planted(what: str, plant: Callable[[Path, Rig], None]) -> Case:
    """Make the case of something other than a plain file of this user in place of the object."""

    def run(rig: Rig) -> None:
        rig.needs("shared")
        place = rig.object("w")
        plant(place, rig)
        try:
            if (got := rig.ask("attach w")) != {"status": "APR_EACCES"}:
                rig.fail(f"attach with {what} in place of the object answered {shown(got)}, must answer APR_EACCES")
        finally:
            if place.is_dir() and not place.is_symlink():
                place.rmdir()

    return Case(f"ATTACH-6/{what.replace(' ', '-')}", run, f"attach refuses {what}")


def _symlink(place: Path, rig: Rig) -> None:
    target = Path(rig.folder, "target")
    target.write_bytes(_foreign())
    target.chmod(0o600)
    place.symlink_to(target)


def _others(place: Path, rig: Rig) -> None:
    if os.geteuid() != 0:
        rig.skip("only root can make another user's object")
    _lay(place)
    os.chown(place, _NOBODY, _NOBODY)


PROGRAMS = (
    _refused_size("product-overflows", 2**40, 2**31, "APR_EINVAL"),
    _refused_size("product-wraps-to-zero", 2**62, 4, "APR_EINVAL"),
    _refused_size("sum-overflows", 2**63 - 8, 1, "APR_EINVAL"),
    _refused_size("more-than-the-machine-has", 2**42, 16, "APR_ENOSPC"),
    _refused_name("climbs", "../w"),
    _refused_name("climbs-inside", "a/../../w"),
    _refused_name("nul", "a\0b"),
    _forged("item_num-too-large", _word("=I", 16, 9)),
    _forged("item_num-huge", _word("=I", 16, 2**32 - 1)),
    _forged("item_size-too-large", _word("=Q", 8, 65)),
    _forged("item_size-huge", _word("=Q", 8, 2**62)),
    _forged("product-overflows", lambda data: struct.pack_into("=QI", data, 8, 2**61, 8)),
    _forged("length-too-large", _word("=Q", 0, 2**40)),
    _forged("length-too-small", _word("=Q", 0, 100)),
    _forged("length-zero", _word("=Q", 0, 0)),
    _planted("a symlink", _symlink),
    _planted("a dangling symlink", lambda place, rig: place.symlink_to(Path(rig.folder, "nowhere"))),
    _planted("a folder", lambda place, rig: place.mkdir()),
    _planted("a fifo", lambda place, rig: os.mkfifo(place, 0o600)),
    _planted("another user's object", _others),
)


@case("NAME-7/nothing-outside-is-touched")
def nothing_outside(rig: Rig) -> None:
    """A name that climbs makes no file outside the runtime directory."""
    rig.folders[0] = os.path.join(rig.folder, "inner")
    os.mkdir(rig.folders[0], 0o700)
    os.mkdir(os.path.join(rig.folders[0], "slotmem-shm-a"))
    rig.send(0, {"op": "create", "name": "a/../../w", "item_size": 4, "item_num": 2, "type": ["PERSIST"]})
    rig.ask("close")
    if sorted(os.listdir(rig.folder)) != ["inner"]:
        rig.fail(f"outside the runtime directory there is now {sorted(os.listdir(rig.folder))}")


@case("ATTACH-5/truncated")
def truncated(rig: Rig) -> None:
    """attach refuses a segment that has fewer bytes than it says: none, a part of the header, all
    but the last.
    """
    rig.needs("shared")
    whole = _foreign()
    for number, length in enumerate((0, 8, 24, 31, len(whole) - 1)):
        place = rig.object(f"w{number}")
        place.write_bytes(whole[:length])
        place.chmod(0o600)
        if (got := rig.ask(f"attach w{number}")) != {"status": "APR_EMISMATCH"}:
            rig.fail(
                f"attach to the first {length} of {len(whole)} bytes answered {shown(got)}, must answer APR_EMISMATCH"
            )


@case("ATTACH-7/other-boot")
def other_boot(rig: Rig) -> None:
    """attach refuses a segment made in another boot or another pid namespace."""
    rig.needs("shared")
    for server, field in ((0, "boot"), (1, "namespace")):
        rig.must(f"{server}: create w{server} 4 2 PREGRAB")
        place = _object(rig, f"w{server}")
        data = bytearray(place.read_bytes())
        at = data.find(_MAGIC)
        if at < 0:
            rig.skip("its locks have a format that the suite does not know")
        data[at + (16 if field == "boot" else 32)] ^= 0xFF
        _overwrite(place, data)
        if (got := rig.ask(f"{server + 2}: attach w{server}")) != {"status": "APR_EMISMATCH"}:
            rig.fail(f"attach to a segment of another {field} answered {shown(got)}, must answer APR_EMISMATCH")


@case("FOREIGN-1/read")
def foreign_read(rig: Rig) -> None:
    """A segment that httpd made can be read: shape, slots, counters, walks."""
    rig.needs("shared")
    _lay(rig.object("w"))
    got = rig.must("attach w")
    seen = [rig.ask(each) for each in ("get 1", "get 0", "num_free_slots", "num_slots", "slot_size", "doall")]
    wanted = [
        {"status": "APR_SUCCESS", "data": b"ABCD".hex()},
        {"status": "APR_NOTFOUND"},
        *({"status": "APR_SUCCESS", "value": value} for value in (2, 3, 4)),
        {"status": "APR_SUCCESS", "slots": [b"ABCD".hex()]},
    ]
    if (got["item_size"], got["item_num"]) != (4, 3) or seen != wanted:
        rig.fail(f"from httpd's segment it read {[got, *seen]}")


@case("FOREIGN-1/get-does-not-mark")
def foreign_get(rig: Rig) -> None:
    """A get of a slot of httpd's segment without PREGRAB does not mark it."""
    rig.needs("shared")
    place = rig.object("w")
    _lay(place, pregrab=False)
    before = place.read_bytes()
    rig.must("attach w; get 0; get 2")
    if place.read_bytes() != before:
        rig.fail("a get changed the bytes of a segment that has no locks")


@case("FOREIGN-2/write")
def foreign_write(rig: Rig) -> None:
    """Every operation that writes fails with APR_EACCES on httpd's segment, and changes nothing."""
    rig.needs("shared")
    place = rig.object("w")
    _lay(place)
    before = place.read_bytes()
    rig.must("attach w")
    for operation in ("grab", "fgrab 2", "release 1", "put 1 WXYZ"):
        if (got := rig.ask(operation)) != {"status": "APR_EACCES"}:
            rig.fail(f"{operation} on a segment without locks answered {shown(got)}, must answer APR_EACCES")
    if place.read_bytes() != before:
        rig.fail("the segment was changed though every write was refused")


@case("FOREIGN-2/insisted")
def foreign_insisted(rig: Rig) -> None:
    """Whoever insists at attach may write to httpd's segment; the bytes change as httpd's do."""
    rig.needs("shared", "unsafe")
    place = rig.object("w")
    _lay(place)
    rig.send(0, {"op": "attach", "name": "w", "unsafe": True})
    rig.must("grab; put 0 WXYZ; release 1")
    slots = spec.compute_written(spec.compute_marked(spec.fresh(4, 3, True), 0, True), 0, b"WXYZ")
    expected = files.mapped(spec.compute_written(slots, 1, b"ABCD"), 4)
    if (got := place.read_bytes()) != expected:
        rig.fail(f"the mapped bytes differ {first_difference(got, expected)}")


@case("RESTORE-4/symlink")
def symlinked_file(rig: Rig) -> None:
    """create refuses a symlink in place of the persisted file, and what it points to stays as it
    was.
    """
    rig.needs("persist")
    target = Path(rig.folder, "target")
    target.write_bytes(b"somebody's")
    rig.path("w").symlink_to(target)
    got = rig.ask("create w 4 2 PERSIST")
    rig.ask("close")
    if got != {"status": "APR_EACCES"}:
        rig.fail(f"create with a symlink in place of the file answered {shown(got)}, must answer APR_EACCES")
    if target.read_bytes() != b"somebody's":
        rig.fail("the file that the symlink points to was overwritten")


def _foreign(*, pregrab: bool = True) -> bytes:
    """Return the bytes of a segment as httpd makes it: slot 1 of 3 is in use and holds ABCD."""
    slots = spec.compute_written(spec.compute_marked(spec.fresh(4, 3, pregrab), 1, True), 1, b"ABCD")
    return files.mapped(slots, 4 if pregrab else 0)


def _lay(place: Path, *, pregrab: bool = True) -> None:
    place.write_bytes(_foreign(pregrab=pregrab))
    place.chmod(0o600)


def _object(rig: Rig, name: str = "w") -> Path:
    place = rig.object(name)
    if not place.exists():
        rig.skip(f"its object is not at {place} (NAME-6), so it cannot be forged")
    return place


def _overwrite(place: Path, data: bytearray) -> None:
    with place.open("r+b") as file:
        file.write(data)
