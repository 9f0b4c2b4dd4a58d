"""Cases of persisted files: names, bytes, what is restored, what is refused or kept."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from slotmem_conformance.cases.case import Case, case
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import first_difference, shown
from slotmem_model import spec
from slotmem_model import stored_bytes as files

PERSIST, NOTMPSAFE, PREGRAB, CLEARINUSE = 1, 2, 4, 8
_STORED = "create w 4 3 PERSIST|PREGRAB; fgrab 0; fgrab 2; put 0 ABCD; put 2 QRST"
# From httpd's own module: size 4, 3 slots, PERSIST|PREGRAB, slots 0 and 2 grabbed.
_EXAMPLE = bytes.fromhex(
    "0100000000000000414243440000000051525354010001fd6754bc39bfe89faae1cb396a90437a04000000000000000300000005000000"
)


@case("NAME-4/file")
def relative_file(rig: Rig) -> None:
    """The file of a relative name is slotmem-shm-NAME.shm.persist in the runtime directory, in
    every generation.
    """
    rig.needs("persist")
    rig.generations[0] = 11
    rig.must("create w 4 2 PERSIST; restart; create w 4 2 PERSIST; @1 put 0 A; restart")
    place = rig.path("w")
    if not place.is_file():
        rig.fail(f"there is no {place.name}; the runtime directory has {_names(rig)}")


@case("NAME-5/file")
def absolute_file(rig: Rig) -> None:
    """The file of an absolute name is the name with .persist appended."""
    rig.needs("persist")
    rig.must("create $DIR/abs 4 2 PERSIST; restart")
    if not rig.path(f"{rig.folder}/abs").is_file():
        rig.fail(f"there is no abs.persist; the folder has {_names(rig)}")


@case("CREATE-10/file-mode")
def file_mode(rig: Rig) -> None:
    """The persisted file has mode 0600, whatever the umask."""
    rig.needs("persist")
    rig.must("create w 4 2 PERSIST; restart")
    if (mode := stat.S_IMODE(_stored(rig).stat().st_mode)) != 0o600:
        rig.fail(f"the persisted file has mode {mode:04o}, should have 0600")


@case("BYTES-2/example")
def example(rig: Rig) -> None:
    """The file of a known state is, byte for byte, the one that httpd's module stored."""
    rig.needs("persist")
    rig.must(f"{_STORED}; restart")
    _same(rig, _stored(rig).read_bytes(), _EXAMPLE)


@case("BYTES-2/shapes")
def shapes(rig: Rig) -> None:
    """The files of other shapes and flags are those that the specification computes."""
    rig.needs("persist")
    for server, (item_size, item_num, flags) in enumerate(
        [
            (4, 2, PERSIST | PREGRAB),
            (7, 5, PERSIST | PREGRAB | NOTMPSAFE),
            (0, 3, PERSIST | PREGRAB),
            (3, 0, PERSIST),
            (600, 3, PERSIST | PREGRAB),
        ]
    ):
        names = "|".join(name for name, bit in [("PERSIST", 1), ("NOTMPSAFE", 2), ("PREGRAB", 4)] if flags & bit)
        rig.do(f"{server}: create w{server} {item_size} {item_num} {names}")
        if item_num:
            rig.do(f"{server}: fgrab 1; {server}: put 1 '{'xyz'[:item_size]}'")
        slots = rig.oracle.slots(server)
        rig.do(f"{server}: restart")
        place = rig.path(f"w{server}")
        if not place.is_file():
            rig.fail(f"there is no {place.name}")
        _same(rig, place.read_bytes(), files.persisted(slots, flags))


@case("STORE-1/file-appears")
def file_appears(rig: Rig) -> None:
    """With PERSIST a restart leaves a file that restores the slots in another server."""
    rig.needs("persist")
    rig.must(f"{_STORED}; restart")
    rig.do("1: create v 4 1")  # another server; it shares nothing but the runtime directory
    rig.must("1: create w 4 3 PERSIST|PREGRAB")
    if (got := rig.ask("1: @1 get 2")).get("data") != b"QRST".hex():
        rig.fail(f"another server got {shown(got)} of what was stored")


@case("STORE-2/no-file")
def no_file(rig: Rig) -> None:
    """Without PERSIST, for anonymous memory, and from an attacher, no file is left."""
    rig.must("create w 4 2 PREGRAB; create none 4 2 PERSIST; create '' 4 2 PERSIST; restart; close")
    if _names(rig):
        rig.fail(f"the runtime directory has {_names(rig)} where nothing was to be stored")


@case("STORE-3/bytes")
def cleared(rig: Rig) -> None:
    """With CLEARINUSE the file has every slot free and counted as free, and the contents."""
    rig.needs("persist")
    rig.must("create w 4 3 PERSIST|PREGRAB|CLEARINUSE; fgrab 0; fgrab 2; put 2 QRST; restart")
    slots = spec.compute_written(spec.fresh(4, 3, True), 2, b"QRST")
    _same(rig, _stored(rig).read_bytes(), files.persisted(slots, PERSIST | PREGRAB | CLEARINUSE))


@case("RESTORE-1/of-httpd")
def of_httpd(rig: Rig) -> None:
    """A file that httpd's module stored is restored."""
    rig.needs("persist")
    _place(rig, _EXAMPLE)
    rig.must("create w 4 3 PERSIST|PREGRAB")
    seen = [rig.ask(f"dptr {item_id}").get("data") for item_id in range(3)]
    free = rig.ask("num_free_slots").get("value")
    if seen != [b"ABCD".hex(), bytes(4).hex(), b"QRST".hex()] or free != 1:
        rig.fail(f"from httpd's file it restored {seen} with {free} free slots")


def _damaged(how: str, change: Callable[[bytearray], object]) -> Case:
    """Make the case of one kind of damage: the segment starts fresh, and create succeeds."""

    def run(rig: Rig) -> None:
        rig.needs("persist")
        data = bytearray(_EXAMPLE)
        change(data)
        _place(rig, bytes(data))
        rig.must("create w 4 3 PERSIST|PREGRAB")
        _is_fresh(rig, f"a file that is damaged ({how})")

    return Case(f"RESTORE-2/{how}", run, f"starts fresh where the file is damaged: {how}")


def _flip(at: int) -> Callable[[bytearray], object]:
    return lambda data: data.__setitem__(at, data[at] ^ 0x41)


def _cut(length: int) -> Callable[[bytearray], object]:
    return lambda data: data.__delitem__(slice(length, None))


# The regions: num_free 0, padding 4, slots 8, in-use bytes 20, MD5 23, item_size 39, item_num 47,
# type 51; 55 bytes.
PROGRAMS = (
    *(_damaged(f"byte-of-{region}", _flip(at)) for region, at in [("num_free", 0), ("padding", 5), ("slots", 9), ("in-use", 20), ("md5", 23), ("md5-end", 38), ("item_size", 39), ("item_num", 47), ("type", 51)]),
    _damaged("empty", lambda data: data.clear()),
    *(_damaged(f"cut-to-{length}", _cut(length)) for length in (1, 8, 22, 23, 39, 47, 54)),
    _damaged("grown-by-1", lambda data: data.append(0)),
    _damaged("grown-by-a-page", lambda data: data.extend(bytes(4096))),
    _damaged("stored-twice", lambda data: data.extend(bytes(data))),
)  # fmt: skip


@case("RESTORE-2/other-shape")
def other_shape(rig: Rig) -> None:
    """A file of another item_size or item_num is not restored."""
    rig.needs("persist")
    for server, shape in enumerate([("4", "2"), ("4", "4"), ("2", "3"), ("3", "4"), ("8", "3")]):
        _place(rig, _EXAMPLE)
        rig.must(f"{server}: create w {shape[0]} {shape[1]} PERSIST|PREGRAB")
        free = rig.ask(f"{server}: num_free_slots").get("value")
        if free != int(shape[1]) or any(
            bytes.fromhex(data) != bytes(int(shape[0])) for data in _contents(rig, server, int(shape[1]))
        ):
            rig.fail(f"a file of 3 slots of 4 bytes was restored into {shape[1]} slots of {shape[0]} bytes")
        rig.ask(f"{server}: close")


@case("RESTORE-2/other-flags")
def other_flags(rig: Rig) -> None:
    """A file that was stored with other flags is not restored."""
    rig.needs("persist")
    for server, flags in enumerate(["PERSIST", "PERSIST|PREGRAB|CLEARINUSE", "PERSIST|PREGRAB|NOTMPSAFE"]):
        _place(rig, _EXAMPLE)
        rig.must(f"{server}: create w 4 3 {flags}")
        if any(bytes.fromhex(data) != bytes(4) for data in _contents(rig, server, 3)):
            rig.fail(f"a file stored with PERSIST|PREGRAB was restored with {flags}")
        rig.ask(f"{server}: close")


@case("RESTORE-3/kept")
def kept(rig: Rig) -> None:
    """A file that does not match is still there after the next store, byte for byte, under another
    name.
    """
    rig.needs("persist")
    bad = bytearray(_EXAMPLE)
    bad[9] ^= 1
    _place(rig, bytes(bad))
    rig.must("create w 4 3 PERSIST|PREGRAB; restart")
    _is_kept(rig, bytes(bad))


@case("RESTORE-3/each-is-kept")
def each_is_kept(rig: Rig) -> None:
    """A second bad file does not replace the first that was kept."""
    rig.needs("persist")
    first, second = _EXAMPLE[:-1], _EXAMPLE[:-2]
    _place(rig, first)
    rig.must("create w 4 3 PERSIST|PREGRAB; close")
    _place(rig, second)
    rig.must("1: create w 4 3 PERSIST|PREGRAB; 1: close")
    _is_kept(rig, first)
    _is_kept(rig, second)


@case("RESTORE-3/good-one-of-other-flags")
def good_one_is_kept(rig: Rig) -> None:
    """A file that is sound but does not match the request is not lost either."""
    rig.needs("persist")
    _place(rig, _EXAMPLE)
    rig.must("create w 4 4 PERSIST|PREGRAB; restart")
    _is_kept(rig, _EXAMPLE)


def _place(rig: Rig, data: bytes) -> None:
    place = rig.path("w")
    place.write_bytes(data)
    place.chmod(0o600)


def _stored(rig: Rig, name: str = "w") -> Path:
    place = rig.path(name)
    if not place.is_file():
        rig.fail(f"nothing was stored in {place.name}; the runtime directory has {_names(rig)}")
    return place


def _contents(rig: Rig, server: int, item_num: int) -> list[str]:
    """Read all slots; those that were free are in use afterwards."""
    return [rig.value(f"{server}: fgrab {item_id}; {server}: get {item_id}", "data") for item_id in range(item_num)]


def _is_fresh(rig: Rig, after: str) -> None:
    free, seen = rig.ask("num_free_slots").get("value"), _contents(rig, 0, 3)
    if any(bytes.fromhex(data) != bytes(4) for data in seen) or free != 3:
        rig.fail(f"after {after} the segment begins with {seen} and {free} free slots, must begin fresh")


def _is_kept(rig: Rig, data: bytes) -> None:
    kept = [path for path in rig.path("w").parent.iterdir() if path.is_file() and path.read_bytes() == data]
    if not kept or kept == [rig.path("w")]:
        rig.fail(f"the bad file of {len(data)} bytes is lost; the runtime directory has {_names(rig)}")


def _same(rig: Rig, got: bytes, expected: bytes) -> None:
    if got != expected:
        rig.fail(f"the file differs {first_difference(got, expected)}")


def _names(rig: Rig) -> list[str]:
    return sorted(path.name for path in rig.path("w").parent.iterdir())
