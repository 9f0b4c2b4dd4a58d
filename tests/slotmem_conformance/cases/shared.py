"""Cases of two or more servers on one runtime directory, one request after the other."""

from __future__ import annotations

import os
import stat

from slotmem_conformance.cases.case import case, program
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import first_difference, shown
from slotmem_model import stored_bytes as files

SHARED = "shared"

PROGRAMS = (
    program("ATTACH-1/by-another", "create w 5 3 PREGRAB; 1: attach w; 1: num_slots; 1: slot_size; 1: num_free_slots", SHARED),
    program("ATTACH-1/what-was-put", "create w 4 3 PREGRAB; fgrab 1; put 1 ABCD; 1: attach w; 1: get 1; 1: get 0; 1: doall", SHARED),
    program("ATTACH-1/both-ways", "create w 4 2 PREGRAB; 1: attach w; 1: fgrab 0; 1: put 0 ABCD; get 0; release 0; 1: get 0; 1: num_free_slots", SHARED),
    program("ATTACH-1/without-pregrab", "create w 4 2; 1: attach w; 1: get 1; 1: release 1; 1: release 1", SHARED),
    program("ATTACH-2/created-here-though-shared", "create w 4 2 PREGRAB; 1: attach w; attach w; @1 fgrab 1; 1: num_free_slots", SHARED),
    program("ATTACH-3/of-another-that-has-none", "create w 4 2; 1: attach v", SHARED),
    program("GRAB-1/two-take-turns", "create w 4 2 PREGRAB; 1: attach w; fgrab 0; 1: grab; num_free_slots", SHARED),
    program("STORE-2/attacher-stores-nothing", "create w 4 2; put 0 ABCD; 1: attach w; 1: put 1 EFGH; 1: restart; num_free_slots; get 1; restart; create w 4 2 PERSIST; @1 dptr 0", SHARED),
    program("RESTART-1/attacher-ends-nothing", "create w 4 2 PREGRAB; 1: attach w; 1: fgrab 1; 1: close; num_free_slots; 2: attach w; 2: num_free_slots", SHARED),
    program("RESTART-3/next-generation-is-another-name", "restart; create w 4 2; 1: attach w", SHARED),
    program("CREATE-5/live-segment", "create w 4 2 PREGRAB; fgrab 0; put 0 ABCD; 1: create w 4 2 PREGRAB; get 0; num_free_slots; 1: attach w; 1: get 0", SHARED),
    program("CREATE-5/other-shape", "create w 4 2 PREGRAB; fgrab 0; 1: create w 9 9; num_slots; num_free_slots", SHARED),
    program("CREATE-5/attacher-keeps-it-alive", "create w 4 2 PREGRAB; 1: attach w; 1: create w 4 2; 1: num_free_slots", SHARED),
)  # fmt: skip


@case("RESTART-2/restart")
def after_restart(rig: Rig) -> None:
    """After a restart the names of the server's segments lead nowhere, whatever the status says."""
    rig.must("create w 4 2; create $DIR/abs 4 2; restart")
    _leads_nowhere(rig, "attach w", "attach $DIR/abs")


@case("RESTART-2/others-find-nothing")
def others_find_nothing(rig: Rig) -> None:
    """After a restart or clean stop another server finds nothing at the names."""
    rig.needs(SHARED)
    rig.must("create w 4 2; create $DIR/abs 4 2; restart")
    _leads_nowhere(rig, "1: attach w", "1: attach $DIR/abs")
    rig.must("1: create v 4 2; 1: create $DIR/abs 4 2; 1: close")
    _leads_nowhere(rig, "2: attach v", "2: attach $DIR/abs")


@case("NAME-2/runtime-directories-are-apart")
def runtime_directories(rig: Rig) -> None:
    """A relative name in one runtime directory leads to nothing in another."""
    rig.needs(SHARED)
    rig.folders[1] = os.path.join(rig.folder, "other")
    os.mkdir(rig.folders[1], 0o700)
    rig.must("create w 4 2 PREGRAB")
    rig.must("1: attach w", "APR_ENOENT")
    rig.must("1: create w 8 2 PREGRAB")
    if rig.ask("1: slot_size").get("value") != 8 or rig.ask("slot_size").get("value") != 4:
        rig.fail("the same name in two runtime directories is not two segments")


@case("NAME-3/every-generation")
def absolute_in_every_generation(rig: Rig) -> None:
    """An absolute name leads to the same segment from every generation."""
    rig.needs(SHARED)
    rig.generations = {0: 0, 1: 7, 2: 255}
    rig.must("create $DIR/abs 4 2 PREGRAB; fgrab 1; put 1 ABCD; 1: attach $DIR/abs; 2: attach $DIR/abs")
    for server in (1, 2):
        if (got := rig.ask(f"{server}: get 1")).get("data") != b"ABCD".hex():
            rig.fail(f"generation {rig.generations[server]} got {shown(got)} through an absolute name")


@case("NAME-3/as-it-is")
def absolute_as_it_is(rig: Rig) -> None:
    """An absolute name does not depend on the runtime directory."""
    rig.needs(SHARED)
    rig.folders[1] = os.path.join(rig.folder, "other")
    os.mkdir(rig.folders[1], 0o700)
    rig.must("create $DIR/abs 4 2 PREGRAB; fgrab 0; put 0 ABCD; 1: attach $DIR/abs")
    if (got := rig.ask("1: get 0")).get("data") != b"ABCD".hex():
        rig.fail(f"another runtime directory got {shown(got)} through an absolute name")


@case("NAME-4/generations-are-apart")
def generations_are_apart(rig: Rig) -> None:
    """A relative name in one generation leads to nothing in another."""
    rig.generations = {0: 10, 1: 16}
    rig.needs(SHARED)
    rig.must("create w 4 2 PREGRAB")
    rig.must("1: attach w", "APR_ENOENT")


@case("NAME-6/object")
def object_name(rig: Rig) -> None:
    """The shared object is where APR's two hashes of the segment name say, in every generation and
    for any characters.
    """
    rig.needs(SHARED)
    for server, (name, generation) in enumerate(
        [("w", 0), ("a longer name", 1), ("w", 26), ("\u00e4\u00df\u4e2d", 255), ("a/b", 3), (f"{rig.folder}/abs", 4)]
    ):
        if "/" in name and not name.startswith("/"):
            os.makedirs(f"{rig.folder}/slotmem-shm-a", exist_ok=True)
        place = rig.object(name, generation)
        rig.generations[server] = generation
        if (got := rig.send(server, {"op": "create", "name": name, "item_size": 4, "item_num": 2, "type": []})) != {
            "status": "APR_SUCCESS",
            "segment": got.get("segment"),
        }:
            rig.fail(f"create of {name!r} answered {shown(got)}")
        if not place.exists():
            rig.fail(f"the segment {name!r} of generation {generation} has no object {place}")


@case("CREATE-10/object-mode")
def object_mode(rig: Rig) -> None:
    """The shared object has mode 0600, whatever the umask."""
    rig.needs(SHARED)
    rig.must("create w 4 2")
    place = rig.object("w")
    if not place.exists():
        rig.skip(f"its object is not at {place} (NAME-6)")
    if (mode := stat.S_IMODE(place.stat().st_mode)) != 0o600:
        rig.fail(f"the object {place} has mode {mode:04o}, should have 0600")


@case("BYTES-1/mapped")
def mapped_bytes(rig: Rig) -> None:
    """The bytes of the shared object are those of the specification's state, after each of several
    changes.
    """
    rig.needs(SHARED)
    for server, flags in enumerate(("PREGRAB", "PREGRAB|NOTMPSAFE", "PREGRAB|CLEARINUSE|PERSIST")):
        name = f"w{server}"
        for request in (f"create {name} 5 3 {flags}", "fgrab 1", "put 1 abcde", "fgrab 0", "put 1 XY", "release 0"):
            rig.do(f"{server}: {request}")
            _compare(
                rig,
                server,
                name,
                sum({"PERSIST": 1, "NOTMPSAFE": 2, "PREGRAB": 4, "CLEARINUSE": 8}[each] for each in flags.split("|")),
            )


@case("BYTES-1/shapes")
def mapped_shapes(rig: Rig) -> None:
    """Segments of no slots, of empty slots and of odd sizes begin with exactly the bytes that their
    shape asks for.
    """
    rig.needs(SHARED)
    for server, (item_size, item_num) in enumerate([(0, 0), (0, 3), (3, 0), (1, 1), (7, 5), (64, 16)]):
        rig.do(f"{server}: create w{server} {item_size} {item_num} PREGRAB")
        _compare(rig, server, f"w{server}", 4)


@case("BYTES-3/tail")
def tail(rig: Rig) -> None:
    """A segment with bytes beyond APR's length is attached and used, and they stay as they are."""
    rig.needs(SHARED, "unsafe")
    slots = b"ABCD" + bytes(8)
    body = (4).to_bytes(8, "little") + (3).to_bytes(4, "little") + (4).to_bytes(4, "little")
    payload = (2).to_bytes(4, "little") + bytes(4) + slots + b"\1\0\0"
    mapped = (8 + len(body) + len(payload)).to_bytes(8, "little") + body + payload
    end = b"behind" * 700
    place = rig.object("w")
    place.write_bytes(mapped + end)
    place.chmod(0o600)
    got = rig.send(0, {"op": "attach", "name": "w", "unsafe": True})
    if (got.get("item_size"), got.get("item_num")) != (4, 3):
        rig.fail(f"attach answered {shown(got)}")
    rig.must("get 0; fgrab 2; put 2 WXYZ")
    data = place.read_bytes()
    if data[len(mapped) :] != end:
        rig.fail("the bytes beyond APR's length were changed")
    if data[40:44] != b"WXYZ":
        rig.fail(f"a put to slot 2 is not where it must be: {data[32:47].hex()}")


@case("COUNT-3/drift")
def drift(rig: Rig) -> None:
    """What the stored counter and num_free_slots say without PREGRAB."""
    rig.must("create w 4 3; put 0 A; get 1; fgrab 2; release 2")
    said = rig.value("num_free_slots", "value")
    place = rig.object("w")
    if not place.exists():
        rig.inform(f"num_free_slots gives {said} of 3 where 1 is free; the stored counter cannot be seen")
    stored = int.from_bytes(place.read_bytes()[24:28], "little")
    rig.inform(f"num_free_slots gives {said} where 1 slot is free, the stored counter {stored}")


def _leads_nowhere(rig: Rig, *attaches: str) -> None:
    for attach in attaches:
        if (got := rig.ask(attach))["status"] == "APR_SUCCESS":
            rig.fail(f"{attach} answered {shown(got)} though the segment's server has ended it")


def _compare(rig: Rig, server: int, name: str, flags: int) -> None:
    place = rig.object(name)
    if not place.exists():
        rig.fail(f"there is no object {place} (NAME-6), so httpd would not find the bytes")
    expected = files.mapped(rig.oracle.slots(server), flags)
    got = place.read_bytes()[: len(expected)]
    if got != expected:
        rig.fail(f"the mapped bytes differ {first_difference(got, expected)}")
