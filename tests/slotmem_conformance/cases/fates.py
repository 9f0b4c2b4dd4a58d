"""Cases of what becomes of segments: who wrote last, how the server ended, who looks next.

One case is an end and a look. In it there is a segment for every writer, kind of name and set of
flags, and each is looked at completely: every byte, every mark, every counter. Three slots tell
which marks there were: one is in use, one was released with its contents, one was never touched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

from slotmem_conformance.cases.case import Case
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig.oracle import Response
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import wrong_answer

_SIZE, _SLOTS = 4, 3
_OWNER, _ATTACHER, _NEWCOMER = range(3)
_WRITERS = ("nobody", "owner", "pointer", "attacher", "file")
_FLAGS = tuple(
    (*stored, *marks) for stored, marks in product(((), ("PERSIST",), ("PERSIST", "CLEARINUSE")), ((), ("PREGRAB",)))
)
_OPERATIONS: tuple[Request, ...] = (
    {"op": "grab"},
    {"op": "num_free_slots"},
    {"op": "num_slots"},
    {"op": "slot_size"},
    {"op": "doall"},
    *({"op": op, "id": 0} for op in ("fgrab", "release", "get", "dptr")),
    {"op": "put", "id": 0, "data": "41"},
)


class Segment(NamedTuple):
    """One of those that a case makes."""

    writer: str
    name: str
    flags: tuple[str, ...]

    @property
    def create(self) -> Request:
        """The request that makes it."""
        return {"op": "create", "name": self.name, "item_size": _SIZE, "item_num": _SLOTS, "type": list(self.flags)}


class _Life:
    """A world in which every segment was written, and attached by another server."""

    def __init__(self, rig: Rig) -> None:
        rig.work_in_memory(_OWNER, _ATTACHER, _NEWCOMER)
        self.rig = rig
        self._opened = Counter[int]()
        self._at: dict[tuple[int, Segment], int] = {}
        folder = rig.folders.get(_OWNER, rig.folder)
        self.segments = [
            Segment(writer, f"{where}{writer}-{'-'.join(flags)}", flags)
            for writer, where, flags in product(_WRITERS, ("", f"{folder}/"), _FLAGS)
        ]
        rig.generations = {_ATTACHER: 1}

    def begin(self) -> None:
        """Write all; what a file is to hold is written and stored first."""
        stored = [segment for segment in self.segments if segment.writer == "file"]
        for segment in stored:
            self.open(_OWNER, segment)
            self._write(_OWNER, segment, "put")
        self.rig.check(_OWNER, {"op": "restart"})
        for segment in self.segments:
            self.open(_OWNER, segment)
            self.open(_ATTACHER, segment, attach=True)
            if segment.writer in ("owner", "pointer", "attacher"):
                by = _ATTACHER if segment.writer == "attacher" else _OWNER
                self._write(by, segment, "dptr" if segment.writer == "pointer" else "put")

    def end(self, how: str, server: int = _OWNER) -> None:
        """End a server."""
        if how == "kill":
            self.rig.kill(server)
        else:
            self.rig.check(server, {"op": how})
        if how != "restart":
            self._opened[server] = 0

    def open(self, server: int, segment: Segment, *, attach: bool = False) -> Response:
        """Create or attach; the answer must be the specification's."""
        request = {"op": "attach", "name": segment.name} if attach else segment.create
        got = self.rig.check(server, request)
        if got["status"] == "APR_SUCCESS":
            self._at[server, segment] = self._opened[server]
            self._opened[server] += 1
        return got

    def do(self, server: int, segment: Segment, request: Request) -> None:
        """Do an operation on the segment as a server opened it last."""
        self.rig.check(server, {**request, "segment": self._at[server, segment]})

    def refused(self, server: int, segment: Segment, request: Request) -> None:
        """Do an operation on a segment that has ended."""
        asked = {**request, "segment": self._at[server, segment]}
        got = self.rig.send(server, asked)
        if got != {"status": "APR_ENOSHMAVAIL"}:
            self.rig.fail(wrong_answer(asked, got, {"status": "APR_ENOSHMAVAIL"}))

    def look(self, server: int, segment: Segment) -> None:
        """Compare every byte, mark and counter; at the end all slots are in use."""
        inuse = self.rig.oracle.slots(server, self._at[server, segment]).inuse
        marks: list[Request] = [{"op": "release", "id": item_id} for item_id, used in enumerate(inuse) if used]
        requests: tuple[Request, ...] = (
            *({"op": op} for op in ("num_slots", "slot_size", "num_free_slots")),
            *({"op": "dptr", "id": item_id} for item_id in range(_SLOTS)),
            *marks,
            {"op": "num_free_slots"},
            *({"op": "fgrab", "id": item_id} for item_id in range(_SLOTS)),
            {"op": "num_free_slots"},
            *({"op": "get", "id": item_id} for item_id in range(_SLOTS)),
        )
        for request in requests:
            self.do(server, segment, request)

    def _write(self, server: int, segment: Segment, how: str) -> None:
        for item_id, letters in ((0, b"ABCD"), (1, b"EF")):
            self.do(server, segment, {"op": "fgrab", "id": item_id})
            self.do(server, segment, {"op": how, "id": item_id, "data": letters.hex()})
        self.do(server, segment, {"op": "release", "id": 1})


def _anew(life: _Life, how: str) -> None:
    """Whoever creates them again finds what was stored, or nothing; and the same a second time."""
    life.end("close", _ATTACHER)
    for _ in range(2):
        for segment in life.segments:
            life.open(_OWNER, segment)
            life.look(_OWNER, segment)
        life.end("restart")


def _old(life: _Life, how: str) -> None:
    """Whoever was attached still has the memory as it was."""
    for segment in life.segments:
        if how == "kill" or "CLEARINUSE" not in segment.flags:
            life.look(_ATTACHER, segment)


def _told(life: _Life, how: str) -> None:
    """Whoever was attached is told, whatever it tries."""
    for segment, request in product(life.segments, _OPERATIONS):
        if request["op"] not in ("num_slots", "slot_size"):
            life.refused(_ATTACHER, segment, request)


def _attached_anew(life: _Life, how: str) -> None:
    """Whoever attaches now finds what a killed server left, otherwise nothing."""
    life.rig.generations[_NEWCOMER] = 1
    for segment in life.segments:
        if how == "kill":
            life.open(_NEWCOMER, segment, attach=True)
            life.look(_NEWCOMER, segment)
        elif life.rig.send(_NEWCOMER, {"op": "attach", "name": segment.name})["status"] == "APR_SUCCESS":
            life.rig.fail(f"the name {segment.name!r} leads somewhere though its server has ended")


def _other_generation(life: _Life, how: str) -> None:
    """A server of another generation finds what was stored, or nothing."""
    life.end("close", _ATTACHER)
    life.rig.generations[_NEWCOMER] = 9
    for segment in life.segments:
        life.open(_NEWCOMER, segment)
        life.look(_NEWCOMER, segment)


def _ended(life: _Life, how: str) -> None:
    """Every operation on an instance that has ended is refused, whether it is the owner's or the
    attacher's.
    """
    life.end("restart", _ATTACHER)
    for segment, server, request in product(life.segments, (_OWNER, _ATTACHER), _OPERATIONS):
        life.do(server, segment, request)


def _case(clause: str, how: str, look: Callable[[_Life, str], None]) -> Case:
    def run(rig: Rig) -> None:
        rig.needs("shared", "persist", "restart", "dptr")
        rig.leave(_OWNER)
        life = _Life(rig)
        if how == "kill":
            rig.process(_OWNER)
        life.begin()
        life.end(how)
        look(life, how)

    sentence = " ".join((look.__doc__ or "").split())
    what = look.__name__.strip("_").replace("_", "-")
    return Case(f"{clause}/{how}-{what}", run, f"after a {how}, whoever wrote last, by any name: {sentence}")


def _cases() -> Iterator[Case]:
    for how in ("restart", "close", "kill"):
        yield _case("CREATE-6" if how == "kill" else "RESTORE-1", how, _anew)
        yield _case("ATTACH-8", how, _old)
        if how != "kill":
            yield _case("ATTACH-9", how, _told)
        yield _case("KILL-1" if how == "kill" else "RESTART-2", how, _attached_anew)
        yield _case("NAME-4", how, _other_generation)
    yield _case("ID-2", "restart", _ended)


PROGRAMS = tuple(_cases())
