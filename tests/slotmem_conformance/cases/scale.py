"""Cases at the boundaries: what is cut, wraps around, stops early or loses its tail shows here.

Two tables, the dimensions of a segment and the sizes at which implementations go wrong, give a case
for each pair; `pairs` gives names that must not be taken for one another. The smaller ones are
sequences of requests, and so are part of the vectors; the larger ones would make those megabytes
long.

Slots of 2 GiB and more are tried where there is memory for them; that many slots are not, since
counting them takes too long.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import product

from slotmem_conformance.cases.case import Case, case, program
from slotmem_conformance.protocol.session import AdapterError
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import shown

AROUND = (8, 32, 64, 256, 4096, 65536)
"""A byte, a word, a longword, a number in a byte, a page, a number in two bytes."""
BOUNDARIES = (1, *(number for around in AROUND for number in (around - 1, around, around + 1)))
SMALL = tuple(number for number in BOUNDARIES if number <= 257)
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _pattern(length: int, shift: int = 0) -> str:
    """Return text in which a byte differs from those one, two, four, ... 64 Ki places away."""
    return "".join(_LETTERS[(at + at // 256 + at // 65536 + shift) % 26] for at in range(length))


def _slot_size(size: int) -> str:
    """Two neighbours, whole: no byte is lost, and none ends up next door."""
    one, two = _pattern(size), _pattern(size, 1)
    return f"create w {size} 2 PREGRAB; slot_size; fgrab 0; fgrab 1; put 0 {one}; put 1 {two}; get 0; get 1"


def _length(length: int) -> str:
    """A put and a get of fewer bytes than the slot has: the rest stays, and is not given."""
    return (
        f"create w {length + 2} 1 PREGRAB; fgrab 0; put 0 {_pattern(length + 2)}; put 0 {'z' * length}; "
        f"get 0 {length}; get 0 {length + 1}; get 0"
    )


def _aliases(slots: int) -> list[int]:
    """Return the first slot, the last, and those a power of two from the first."""
    return sorted({0, slots - 1, *(2**power for power in range(slots.bit_length()) if 2**power < slots)})


def _slots(slots: int) -> str:
    """Slots a power of two apart hold different bytes; the counts are right; the last slot is
    there.
    """
    ids = _aliases(slots)
    grabs = "; ".join(f"fgrab {each}" for each in ids)
    puts = "; ".join(f"put {each} {_LETTERS[number]}" for number, each in enumerate(ids))
    gets = "; ".join(f"get {each}" for each in ids)
    return f"create w 1 {slots} PREGRAB; num_slots; num_free_slots; {grabs}; {puts}; {gets}; num_free_slots; release {ids[-1]}; num_free_slots"


def _last_free(slots: int) -> str:
    """All but the last slot are in use: grab gives the last one, and then none."""
    return f"create w 1 {slots} PREGRAB; {_fill(slots - 1)}num_free_slots; grab; num_free_slots; put {slots - 1} z; get {slots - 1}"


def _fill(slots: int) -> str:
    return "".join(f"fgrab {item_id}; " for item_id in range(slots))


def _walk(slots: int) -> str:
    """doall reaches every slot, the last one included."""
    last = slots - 1
    return f"create w 1 {slots}; put {last} z; doall"


def _segments(number: int) -> str:
    """This many segments at once: each keeps its own bytes, and can be attached."""
    makes = "; ".join(f"create segment{each} 4 1; @{each} put 0 {each:04d}" for each in range(number))
    looks = "; ".join(f"@{each} get 0" for each in range(number))
    return f"{makes}; {looks}; attach segment{number - 1}; @{number} get 0"


def _generations(number: int) -> str:
    """This many restarts: the generation counts up."""
    return "; ".join(["restart"] * number)


def pairs() -> Iterator[tuple[str, str, str]]:
    """Yield names that must not be taken for one another, and what sets them apart."""
    yield "case", "worker", "Worker"
    for separator, other in (("_", "."), ("_", "-"), (".", "-"), ("_", "")):
        yield (
            f"separator-{ord(separator):x}-{ord(other):x}" if other else "no-separator",
            f"a{separator}b",
            f"a{other}b",
        )
    yield "suffix", "worker", "worker1"
    yield "dot-at-the-end", "worker", "worker."
    yield "none-as-a-prefix", "none", "nonesuch"
    yield "none-as-a-suffix", "none", "anone"
    for length in (31, 63, 64, 127, 200):
        yield f"after-{length}", "n" * length + "a", "n" * length + "b"
        yield f"longer-than-{length}", "n" * length, "n" * (length + 1)
    yield "accents", "\u00e9", "e\u0301"


_FOLDERS = (("a/b", "a_b"), ("a/b", "a.b"), ("a/b", "ab"), ("a/b", "a/c"), ("a/b", "b"), ("a/", "a"), ("./a", "a"))
"""Names that lie in a folder, each with one that does not, or lies in another way."""


def _apart(one: str, other: str) -> str:
    """Two segments, whatever their names have in common."""
    return f"create '{one}' 4 1; create '{other}' 4 1; @0 put 0 AAAA; @1 put 0 BBBB; @0 get 0; @1 get 0"


def _in_folders(one: str, other: str) -> Case:
    """Make the case of two names of which one lies in a folder."""

    def run(rig: Rig) -> None:
        for name in (one, other):
            os.makedirs(rig.path(name).parent, exist_ok=True)
        rig.do(_apart(one, other))

    signs = "-".join(f"{ord(sign):x}" for sign in one + other)
    return Case(f"NAME-8/folder-{signs}", run, f"{one!r} and {other!r} are two segments")


@case("NAME-8/bytes")
def names_of_bytes(rig: Rig) -> None:
    """Names that differ in a byte that is not UTF-8 are two segments."""
    names = [os.fsdecode(b"n" + last) for last in (b"\xff", b"\xfe", b"\xc3")]
    for number, name in enumerate(names):
        try:
            got = rig.send(0, {"op": "create", "name": name, "item_size": 4, "item_num": 1, "type": []})
        except AdapterError:
            rig.skip("it cannot be given a name that is not UTF-8")
        if got["status"] != "APR_SUCCESS":
            rig.skip(f"it refuses a name that is not UTF-8: {got['status']}")
        rig.must(f"@{number} put 0 {number:04}")
    for number in range(len(names)):
        if (got := rig.ask(f"@{number} get 0 4")).get("data") != f"{number:04}".encode().hex():
            rig.fail(f"the segment {names[number]!r} holds {got}, must hold {number:04}")


@case("NAME-4/spelled-out")
def spelled_out(rig: Rig) -> None:
    """The full name of a relative name's segment leads to it, as an absolute name."""
    rig.generations = {0: 26}
    rig.needs("shared")
    rig.must("create w 4 1 PREGRAB; fgrab 0; put 0 ABCD; 1: attach $DIR/slotmem-shm-w_1a.shm")
    if (got := rig.ask("1: get 0")).get("data") != b"ABCD".hex():
        rig.fail(f"a get through the full name of a relative name's segment answered {shown(got)}")


def _huge(size: int) -> Case:
    """Make the case of two slots that nobody can send whole."""

    def run(rig: Rig) -> None:
        if rig.quick:
            rig.skip(f"a quick run leaves out slots of {size:,} bytes")
        free, needed = _available_bytes(), 8 * size  # others need memory too, and it may be filled with zeros
        if free < needed:
            rig.skip(f"two slots of {size:,} bytes are tried where {needed:,} bytes are free; here {free:,} are")
        try:
            got = rig.ask(f"create - {size} 2 PREGRAB")
        except AdapterError as error:
            if not error.silent:
                raise
            rig.skip(f"making two slots of {size:,} bytes takes longer than a request may")
        if got["status"] in ("APR_ENOSPC", "APR_ENOMEM"):
            rig.skip(f"two slots of {size:,} bytes are refused here: {got['status']}")
        rig.must("fgrab 0; fgrab 1; put 0 ABCD; put 1 WXYZ")
        if (got := rig.ask("slot_size")).get("value") != size:
            rig.fail(f"slot_size answered {shown(got)}, must give {size}")
        for item_id, letters in enumerate((b"ABCD", b"WXYZ")):
            if (got := rig.ask(f"get {item_id} 4")).get("data") != letters.hex():
                rig.fail(f"slot {item_id} of {size:,} bytes begins with {got}, must begin with {letters.hex()}")

    return Case(f"PUT-1/two-slots-of-{size}-bytes", run, f"two slots of {size:,} bytes are apart")


def _available_bytes() -> int:
    with open("/proc/meminfo", encoding="ascii") as lines:
        found = dict(line.split(":") for line in lines)
    return int(found["MemAvailable"].split()[0]) * 1024


def _alone(other: str, one: str) -> str:
    """A name does not exist because another does."""
    return f"create '{one}' 4 1; attach '{other}'"


PROGRAMS: tuple[Case, ...] = (
    *(program(f"PUT-1/slots-of-{size}-bytes", _slot_size(size)) for size in SMALL),
    *(program(f"PUT-3/{length}-bytes-of-a-slot", _length(length)) for length in SMALL),
    *(program(f"COUNT-2/{slots}-slots", _slots(slots)) for slots in BOUNDARIES),
    *(program(f"GRAB-1/last-of-{slots}", _last_free(slots)) for slots in SMALL),
    *(program(f"DOALL-1/{slots}-slots", _walk(slots), "doall") for slots in SMALL),
    *(program(f"CREATE-1/{number}-segments", _segments(number)) for number in (65, 257)),
    *(program(f"RESTART-3/{number}-generations", _generations(number), "restart") for number in (9, 257)),
    *(
        program(f"ATTACH-1/{what}", f"create {name} 4 1; put 0 ABCD; attach {name}; @1 get 0")
        for what, name in (
            ("none-as-a-prefix", "nonesuch"),
            ("capital-none-as-a-prefix", "NONE1"),
            ("none-as-a-suffix", "anone"),
            ("none-and-a-sign", "none-"),
            ("none-twice", "none.none"),
        )
    ),
    *(program(f"NAME-8/{what}", _apart(one, other)) for what, one, other in pairs()),
    *(
        program(f"ATTACH-3/{what}-{way}", _alone(*names))
        for what, one, other in pairs()
        for way, names in (("one-way", (one, other)), ("the-other-way", (other, one)))
        if "none" not in names
    ),
)
"""What the vectors ship."""


def _large(id: str, text: str, *needs: str) -> Case:
    """Make a case of a program that is too long for the vectors."""
    made = program(id, text, *needs)
    return Case(id, made.run, f"a large one of {id.partition('/')[0]}'s cases at a boundary", needs=needs)


LARGE: tuple[Case, ...] = (
    *(_in_folders(*names) for names in _FOLDERS),
    *(_huge(around + 1) for around in (2**31, 2**32)),
    *(
        _large(f"{clause}/{shape.format(number)}", text(number), *needs)
        for number, (clause, shape, text, needs) in product(
            [number for number in BOUNDARIES if number > 257],
            (
                ("PUT-1", "slots-of-{}-bytes", _slot_size, ()),
                ("PUT-3", "{}-bytes-of-a-slot", _length, ()),
            ),
        )
    ),
    *(_large(f"DOALL-1/{slots}-slots", _walk(slots), "doall") for slots in (4095, 4096, 4097)),
    *(_large(f"GRAB-1/last-of-{slots}", _last_free(slots)) for slots in (4095, 4096, 4097)),
)
