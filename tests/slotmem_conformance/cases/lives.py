"""Random lives of servers beside the specification: create, attach, use, restart, end.

Every life has a runtime directory of its own and begins with new servers, so that what is shown at
the end can be repeated by hand. Two servers are told apart by the names they create; each attaches
the other's.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hypothesis import given, seed
from hypothesis import strategies as st

from slotmem_conformance.cases.case import Case
from slotmem_conformance.cases.random_programs import Search, settled
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.protocol.session import AdapterError
from slotmem_conformance.rig.rig import Failed, Rig

_ITEM_SIZE = 4
_OWNED = (
    (("a", ["PERSIST", "PREGRAB"]), ("$DIR/a", ["PERSIST", "PREGRAB", "CLEARINUSE"])),
    (("b", ["PERSIST", "PREGRAB"]), ("c", ["PREGRAB"])),
)
"""The names that each server creates, and with which flags; one is absolute."""
_RESTARTS = 3  # as many generations as the rig looks for at the end
_EVENTS = ("create", "create", "attach", "use", "use", "use", "use", "restart", "close")

Event = tuple[str, int, int, int]
"""What happens, to which server, and two numbers that choose the rest."""


def _lives(id: str, *, shapes: int, sentence: str) -> Case:
    """Make a case of lives in which a name has `shapes` shapes."""
    events = st.tuples(st.sampled_from(_EVENTS), st.integers(0, 1), st.integers(0, 5), st.integers(0, 5))

    def run(rig: Rig) -> None:
        rig.needs("shared", "persist", "restart")
        slow = rig.session().killable  # a new process for every server
        lives = _Lives(rig, shapes)
        test = given(st.lists(events, max_size=20))(lives.example)
        with suppress(Failed, AdapterError, ExceptionGroup):  # noted: the shortest of all
            seed(rig.choose.getrandbits(32))(
                settled(test, (3 if rig.quick else 15) if slow else (20 if rig.quick else 80))
            )()
        lives.report()

    return Case(f"{id}/random-lives", run, sentence)


class _Lives(Search):
    """A search through lives."""

    def __init__(self, rig: Rig, shapes: int) -> None:
        super().__init__(rig)
        self.shapes = shapes
        self.number = 0

    def example(self, events: list[Event]) -> None:
        """Live one life.

        Raises:
            Failed
            AdapterError
        """
        rig = self.rig
        self._begin()
        try:
            for event in events:
                self._happen(*event)
            for server in (0, 1):
                self._look(server)
        except (Failed, AdapterError) as error:
            self.note(error)
            raise
        finally:
            for server in (0, 1):
                rig.leave(server)

    def _begin(self) -> None:
        self.number += 1
        folder = Path(self.rig.folder) / f"life{self.number}"
        folder.mkdir()
        self.rig.begin_anew()
        self.rig.folders = dict.fromkeys((0, 1), str(folder))
        self.opened = [0, 0]
        self.restarts = [0, 0]
        self.ended = [0, 0]

    def _happen(self, what: str, server: int, one: int, other: int) -> None:
        """Let one thing happen, if it can."""
        request = self._request(what, server, one, other)
        if request is None:
            return
        got = self.rig.check(server, request)
        if what in ("create", "attach"):
            self.opened[server] += got["status"] == "APR_SUCCESS"
        elif what == "restart":
            self.ended[server] = self.opened[server]
        elif what == "close":  # the next request begins a new life, in the generation the server began with
            self.opened[server] = self.ended[server] = self.restarts[server] = 0

    def _look(self, server: int) -> None:
        """End a server's life, and see in a new one what was stored."""
        self.rig.check(server, {"op": "close"})
        for segment, _ in enumerate(_OWNED[server]):
            create = self._request("create", server, segment, 0)
            assert create is not None
            self.rig.check(server, create)
            for op in ({"op": "num_free_slots"}, {"op": "get", "id": 0}, {"op": "get", "id": 1}):
                self.rig.check(server, {**op, "segment": segment})

    def _request(self, what: str, server: int, one: int, other: int) -> Request | None:
        folder = self.rig.folders[server]
        if what == "create":
            name, flags = _OWNED[server][one % 2]
            shape = {"item_size": _ITEM_SIZE, "item_num": 2 + other % self.shapes}
            return {"op": what, "name": name.replace("$DIR", folder), **shape, "type": flags}
        if what == "attach":
            name, _ = _OWNED[1 - server][one % 2]
            return {"op": what, "name": name.replace("$DIR", folder)}
        if what == "restart":
            self.restarts[server] += 1
            return {"op": what} if self.restarts[server] <= _RESTARTS else None
        if what == "close":
            return {"op": what}
        if self.opened[server] == self.ended[server]:
            return self._request("create", server, one, other)
        segment = max(self.ended[server], self.opened[server] - 1 - one // 4)  # the last one, or the one before
        return _use(one, other, segment)


def _use(one: int, other: int, segment: int) -> Request:
    """Choose an operation on a segment."""
    choice: tuple[Request, ...] = (
        {"op": "put", "id": other % 3, "data": f"{65 + other:02x}" * (other % (_ITEM_SIZE + 1))},
        {"op": "grab"},
        {"op": "fgrab", "id": other % 3},
        {"op": "get", "id": other % 3},
        {"op": "num_free_slots"},
        {"op": "release", "id": other % 3},
    )
    return {**choice[one], "segment": segment}


LIVES = _lives("RESTART-3", shapes=1, sentence="random lives of two servers are those of the specification")
SHAPES = _lives(
    "RESTORE-2",
    shapes=2,
    sentence="random lives in which a name is created in other shapes are those of the specification",
)
