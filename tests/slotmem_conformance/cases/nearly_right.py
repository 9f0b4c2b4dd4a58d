"""Cases of what is nearly right: one in-use byte, one field or one digest is wrong.

Each kind is tried on everything that it can happen to: the bytes after every operation, all fields
of a control block, files whose digest is right, whatever may stand where a file should be.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

from slotmem_conformance.cases.case import Case, case, program
from slotmem_conformance.protocol import notation
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import first_difference, shown
from slotmem_model import spec
from slotmem_model import stored_bytes as files

_PERSIST, _PREGRAB = 1, 4
_MAGIC = b"slotmem\x1a"  # of slotmem's own control block, after httpd's part
_FIELDS = {"version": 8, "stripes": 12, "total": 56, "item_size": 64, "item_num": 72, "type": 76}
"""The fields of a control block, and where they begin; ATTACH-7 is about the boot and the pid
namespace.
"""
_CONTROL_BYTES = 80  # of its header
_NOBODY = 65534
_CHANGES = "fgrab 2; grab; put 2 abc; put 0 xyz; grab; release 0; release 2; grab; fgrab 0; put 1 ''; release 1"
_EVERY = "grab; fgrab 0; release 0; get 0; put 0 A; num_free_slots; num_slots; slot_size; doall; dptr 0"
_EVERY_OF_1 = "; ".join(f"1: {request}" for request in _EVERY.split("; "))
_MARKS = "get 1; put 2 abc; get 2; release 1; put 0 ''; grab; release 2; fgrab 3; get 2; grab"


@case("BYTES-1/every-operation")
def every_operation(rig: Rig) -> None:
    """After each of many operations the mapped bytes are those of the specification's state;
    without PREGRAB only the slots and the in-use bytes, since the stored counter may drift there.
    """
    rig.needs("shared")
    for server, (name, flags, changes) in enumerate((("w", "PREGRAB", _CHANGES), ("v", "", _MARKS))):
        rig.do(f"{server}: create {name} 3 4 {flags}")
        place = rig.object(name)
        if not place.exists():
            rig.skip(f"its object is not at {place} (NAME-6)")
        for request in changes.split("; "):
            rig.do(f"{server}: {request}")
            expected = files.mapped(rig.oracle.slots(server), _PREGRAB if flags else 0)
            got = place.read_bytes()[: len(expected)]
            begin = 0 if flags else 32
            if got[begin:] != expected[begin:]:
                rig.fail(
                    f"after {request} the mapped bytes{' of slots and marks' * bool(begin)} differ "
                    f"{first_difference(got[begin:], expected[begin:])}"
                )


def _contradicting(field: str, at: int) -> Case:
    """Make the case of a control block that does not describe the segment before it."""

    def run(rig: Rig) -> None:
        rig.needs("shared")
        rig.must("create w 64 8 PREGRAB; fgrab 1")
        place = rig.object("w")
        data = place.read_bytes() if place.exists() else b""
        begin = data.find(_MAGIC)
        if begin < 0:
            rig.skip("its control block has a format that the suite does not know")
        with place.open("r+b") as file:
            file.seek(begin + at)
            file.write(bytes([data[begin + at] ^ 1]))
        if (got := rig.ask("1: attach w")) != {"status": "APR_EMISMATCH"}:
            rig.fail(
                f"attach where the control block has another {field} answered {shown(got)}, must answer APR_EMISMATCH"
            )

    return Case(f"ATTACH-5/control-block-{field}", run, f"refuses a control block whose {field} contradicts the header")


def _signed(what: str, clause: str, change: Callable[[bytearray], object], free: int) -> Case:
    """Make the case of a file whose digest is right, so that only its meaning can be wrong."""

    def run(rig: Rig) -> None:
        rig.needs("persist")
        slots = spec.compute_written(spec.compute_marked(spec.fresh(4, 3, False), 1, True), 1, b"ABCD")
        payload = bytearray(files.payload(slots))
        change(payload)
        _lay(rig.path("w"), payload, files.descriptor(slots, _PERSIST))
        rig.must("create w 4 3 PERSIST")
        if (got := rig.value("num_free_slots", "value")) != free:
            rig.fail(f"after restoring a file with {what} it counts {got} free slots, must count {free}")
        if (got := rig.value("dptr 1", "data")) != b"ABCD".hex():
            rig.fail(f"from a file with {what} it restored {got}, must restore what was stored")

    return Case(f"{clause}/{what.replace(' ', '-')}", run, f"restores a file with {what}, and counts its free slots")


def _of_wrong_length(what: str, change: Callable[[bytearray], object]) -> Case:
    """Make the case of a file that is too long or too short, though its digest is right."""

    def run(rig: Rig) -> None:
        rig.needs("persist")
        slots = spec.compute_written(spec.compute_marked(spec.fresh(4, 3, True), 1, True), 1, b"ABCD")
        payload = bytearray(files.payload(slots))
        change(payload)
        _lay(rig.path("w"), payload, files.descriptor(slots, _PERSIST | _PREGRAB))
        rig.must("create w 4 3 PERSIST|PREGRAB")
        if rig.value("num_free_slots", "value") != 3 or rig.value("dptr 1", "data") != bytes(4).hex():
            rig.fail(f"a file that is {what} was restored")

    return Case(f"RESTORE-2/{what.replace(' ', '-')}", run, f"starts fresh where the file is {what}, its digest right")


def _lay(place: Path, payload: bytes | bytearray, descriptor: bytes) -> None:
    place.write_bytes(bytes(payload) + hashlib.md5(payload, usedforsecurity=False).digest() + descriptor)
    place.chmod(0o600)


def _stands_there(what: str, plant: Callable[[Path, Rig], object]) -> Case:
    """Make the case of something other than a plain file of this user in place of the persisted
    file.
    """

    def run(rig: Rig) -> None:
        rig.needs("persist")
        plant(rig.path("w"), rig)
        if (got := rig.ask("create w 4 2 PERSIST")) != {"status": "APR_EACCES"}:
            rig.fail(f"create with {what} in place of the file answered {shown(got)}, must answer APR_EACCES")
        rig.must("create v 4 2 PERSIST")  # only that name is refused

    return Case(f"RESTORE-4/{what.replace(' ', '-')}", run, f"create refuses {what} in place of the file")


def _others(place: Path, rig: Rig) -> None:
    if os.geteuid() != 0:
        rig.skip("only root can make another user's file")
    place.write_bytes(b"somebody's")
    os.chown(place, _NOBODY, _NOBODY)


PROGRAMS = (
    *(_contradicting(field, at) for field, at in _FIELDS.items()),
    _signed("a counter that drifted", "RESTORE-1", lambda payload: struct.pack_into("=I", payload, 0, 3), 2),
    _signed("a counter that is too large", "RESTORE-1", lambda payload: struct.pack_into("=I", payload, 0, 99), 2),
    _of_wrong_length("longer by a byte", lambda payload: payload.append(0)),
    _of_wrong_length("longer by a slot", lambda payload: payload.extend(bytes(5))),
    _of_wrong_length("shorter by a byte", lambda payload: payload.pop()),
    program("RESTORE-1/after-one-without-persist", "create w 4 2 PERSIST; put 1 ABCD; restart; create w 4 2; @1 dptr 1; restart; create w 4 2 PERSIST; @2 dptr 1; @2 num_free_slots", "persist"),
    program("NAME-3/no-folder-needed", "create $DIR/nowhere/abs 4 2 PREGRAB; fgrab 1; put 1 ABCD; get 1; num_free_slots"),
    program("ID-2/anonymous", f"create none 4 2; restart; {_EVERY}"),
    program("ID-2/attached", f"create w 4 2 PREGRAB; 1: attach w; 1: fgrab 1; 1: restart; {_EVERY_OF_1}; num_free_slots", "shared"),
    _stands_there("a dangling symlink", lambda place, rig: place.symlink_to(Path(rig.folder, "nowhere"))),
    _stands_there("a folder", lambda place, rig: place.mkdir()),
    _stands_there("a fifo", lambda place, rig: os.mkfifo(place, 0o600)),
    _stands_there("another user's file", _others),
)  # fmt: skip


@case("ID-2/after-close")
def after_close(rig: Rig) -> None:
    """After a clean stop the server refuses to create, to attach, and to restart."""
    rig.must("create w 4 2; create none 4 2; close")
    session = rig.session(1)
    session.request({"op": "close"})
    for request in ("create w 4 2", "create none 4 2", "attach w", "restart"):
        [(_, asked)] = notation.parse(request)
        if (got := session.request(asked)) != {"status": "APR_ENOSHMAVAIL"}:
            rig.fail(f"after close, {request} is answered {shown(got)}, must be answered APR_ENOSHMAVAIL")


@case("NAME-6/every-letter")
def every_letter(rig: Rig) -> None:
    """The shared object is where the hashes say, whatever character the name has."""
    rig.needs("shared")
    for letter in (
        *(chr(code) for code in range(1, 256) if chr(code) != "/"),
        "\u07ff",
        "\u0800",
        "\uffff",
        "\U0001f600",
    ):
        name = f"a{letter}"
        place = rig.object(name)
        rig.send(0, {"op": "create", "name": name, "item_size": 1, "item_num": 1, "type": []})
        if not place.exists():
            rig.fail(f"the segment {name!r} has no object {place}")


@case("FOREIGN-1/shapes")
def foreign_shapes(rig: Rig) -> None:
    """Segments that httpd made of no slots, of empty slots and of odd sizes can be attached."""
    rig.needs("shared")
    for number, (item_size, item_num) in enumerate([(0, 0), (0, 3), (3, 0), (1, 1), (7, 5), (64, 16)]):
        place = rig.object(f"w{number}")
        place.write_bytes(files.mapped(spec.fresh(item_size, item_num, True), _PREGRAB))
        place.chmod(0o600)
        got = rig.must(f"attach w{number}")
        if (got["item_size"], got["item_num"]) != (item_size, item_num):
            rig.fail(f"attach to {item_num} slots of {item_size} bytes answered {shown(got)}")


@case("ATTACH-5/control-block-cut")
def control_block_cut(rig: Rig) -> None:
    """attach refuses a segment that ends after the header of its control block; one that ends
    sooner may also be taken for httpd's.
    """
    rig.needs("shared")
    for number, kept in enumerate((8, 12, 79, 80, 81, 128, -1)):
        rig.must(f"create w{number} 64 8 PREGRAB")
        place = rig.object(f"w{number}")
        begin = place.read_bytes().find(_MAGIC) if place.exists() else -1
        if begin < 0:
            rig.skip("its control block has a format that the suite does not know")
        os.truncate(place, begin + kept if kept > 0 else place.stat().st_size - 1)
        got = rig.ask(f"{number + 1}: attach w{number}")["status"]
        if got != "APR_EMISMATCH" and not (got == "APR_SUCCESS" and 0 < kept < _CONTROL_BYTES):
            rig.fail(f"attach to a segment cut {kept} bytes into its control block answered {shown(got)}")


@case("RESTART-1/object-gone")
def object_gone(rig: Rig) -> None:
    """A segment whose object somebody has removed ends like any other, and is made anew."""
    rig.must("create w 4 2 PREGRAB; fgrab 1")
    rig.object("w").unlink(missing_ok=True)
    rig.must("restart; create w 4 2 PREGRAB")
    if (free := rig.ask("@1 num_free_slots").get("value")) != 2:
        rig.fail(f"created anew, it has {free} free slots of 2")


@case("CREATE-6/attacher-let-go")
def attacher_let_go(rig: Rig) -> None:
    """A segment that a crash left is replaced once its last attacher has ended its access, even if
    that attacher lives on.
    """
    rig.needs("shared")
    rig.process(0)
    rig.must("create w 4 2 PREGRAB; fgrab 1; 1: attach w; 1: get 1")
    rig.kill(0)
    rig.must("1: restart; 2: create w 4 2 PREGRAB")
    if (free := rig.ask("2: num_free_slots").get("value")) != 2:
        rig.fail(f"the segment made in its place has {free} free slots of 2")


@case("STORE-4/remainder")
def remainder(rig: Rig) -> None:
    """Whatever an interrupted store left beside the file, the next one is whole, and readable by
    nobody else.
    """
    rig.needs("persist")
    beside = Path(f"{rig.path('w')}.new")
    beside.write_bytes(b"more than there is to store" * 100)
    beside.chmod(0o644)
    rig.must("create w 4 2 PERSIST; put 1 ABCD; restart")
    slots = spec.compute_written(spec.compute_marked(spec.fresh(4, 2, False), 1, True), 1, b"ABCD")
    if (got := rig.path("w").read_bytes()) != (expected := files.persisted(slots, _PERSIST)):
        rig.fail(f"the file differs {first_difference(got, expected)}")
    if (mode := rig.path("w").stat().st_mode & 0o777) != 0o600:
        rig.fail(f"the file has mode {mode:04o}, must have 0600")


@case("STORE-5/not-lost")
def not_lost(rig: Rig) -> None:
    """Where the file cannot be written, restart is refused, and the segment is there until it can
    be.
    """
    rig.needs("persist")
    rig.must("create w 4 2 PERSIST; create v 4 2 PERSIST; put 1 ABCD; @1 put 0 WXYZ")
    rig.path("w").mkdir()
    if (got := rig.ask("restart"))["status"] == "APR_SUCCESS":
        rig.fail(f"restart answered {shown(got)} though a folder stands where the segment is to be stored")
    if (got := rig.ask("get 1")).get("data") != b"ABCD".hex():
        rig.fail(f"a get from what could not be stored answered {shown(got)}")
    if list(rig.path("w").parent.glob("*.new")):
        rig.fail("what was to become the file was left behind")
    rig.path("w").rmdir()
    rig.must("restart; create w 4 2 PERSIST; create v 4 2 PERSIST")
    if [rig.ask(text).get("data") for text in ("@2 get 1", "@3 get 0")] != [b"ABCD".hex(), b"WXYZ".hex()]:
        rig.fail("not everything that was stored in the end was restored")


@case("CREATE-10/umask")
def whatever_the_umask(rig: Rig) -> None:
    """Object and file have mode 0600 whether the umask takes away no permission or every one."""
    rig.needs("shared", "persist")
    for server, umask in ((1, 0), (2, 0o777)):
        before = os.umask(umask)
        try:
            rig.must(f"{server}: create w{server} 4 2 PERSIST")
            modes = [rig.object(f"w{server}").stat().st_mode & 0o777]
            rig.must(f"{server}: restart")
        finally:
            os.umask(before)
        modes.append(rig.path(f"w{server}").stat().st_mode & 0o777)
        if modes != [0o600] * 2:
            rig.fail(f"with umask {umask:04o} they have modes {', '.join(f'{mode:04o}' for mode in modes)}")
