"""The specification as an implementation: what all others are compared with.

`Oracle` is a world of `slotmem_model.server_spec`; `Oracle.answer(server, request)` gives the right
response of a server, which begins with its first request. Where several are right, since GRAB-2 is
not required, or a segment has ended, it gives the one that came back, if that is among them, and
goes on from there.
Segments are numbered in the order in which their server opened them, one number each time, even if
it is the same segment again.

It knows sequences of requests: no bytes in memory or files, no death in the middle of an operation,
no size that overflows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slotmem_conformance.protocol.notation import FLAGS, Request
from slotmem_model import server_spec, spec
from slotmem_model.server_spec import ENOSHMAVAIL, Opened, World
from slotmem_model.spec import EINVAL, SUCCESS, Operation, Result, Slots

Response = dict[str, Any]


class Oracle:
    """A world of servers; see the header. `lowest_first`: GRAB-2 is required."""

    def __init__(self, *, lowest_first: bool = True) -> None:
        self.lowest_first = lowest_first
        self.world: World = server_spec.EMPTY
        self._opened: dict[int, list[int | None]] = {}
        """For each server the keys of the segments it opened; None since its restart."""

    def answer(self, server: int, request: Request, generation: int = 0, got: Response | None = None) -> Response:
        """Return the response that the specification wants of a server, which answered `got`."""
        if server not in self.world.servers:
            self.world, _ = server_spec.start(self.world, server, generation)
            self._opened[server] = []
        match request["op"]:
            case "create":
                flags = sum(FLAGS[name] for name in request["type"])
                shape = request["item_size"], request["item_num"]
                return self._open(server, server_spec.create(self.world, server, request["name"], *shape, flags))
            case "attach":
                return self._open(server, server_spec.attach(self.world, server, request["name"]), attached=True)
            case "restart":
                self.world, result = server_spec.restart(self.world, server)
                self._opened[server] = [None] * len(self._opened[server])
                return {"status": result.status, "generation": self.world.servers[server].generation}
            case "close":
                self.world, result = server_spec.close(self.world, server)
                return {"status": result.status}
        return self._operate(server, request, got)

    def copy(self) -> Oracle:
        """Return a copy that goes on by itself."""
        copied = Oracle(lowest_first=self.lowest_first)
        copied.world = self.world
        copied._opened = {server: [*keys] for server, keys in self._opened.items()}
        return copied

    def opened(self, server: int) -> Sequence[int | None]:
        """Return the keys of the segments that a server opened, in order; None: it has ended."""
        return self._opened.get(server, ())

    def kill(self, server: int) -> None:
        """End a server by SIGKILL."""
        if server in self.world.servers:
            self.world, _ = server_spec.kill(self.world, server)

    def damage(self, name: str) -> None:
        """Let the persisted file of a name be damaged."""
        self.world, _ = server_spec.damage(self.world, name)

    def slots(self, server: int, segment: int = 0) -> Slots:
        """Return the state of an open segment."""
        key = self._opened[server][segment]
        assert key is not None, "a segment that is open"
        return self.world.segments[key].slots

    def _open(self, server: int, stepped: server_spec.Stepped, attached: bool = False) -> Response:
        self.world, result = stepped
        if result.status != SUCCESS:
            return {"status": result.status}
        opened: Opened = result.value
        self._opened[server].append(opened.key)
        slots = self.world.segments[opened.key].slots
        shape = {"item_size": slots.item_size, "item_num": len(slots.inuse)} if attached else {}
        return {"status": SUCCESS, "segment": len(self._opened[server]) - 1, **shape}

    def _operate(self, server: int, request: Request, got: Response | None) -> Response:
        key = self._opened[server][request["segment"]]
        if key is None:
            return {"status": ENOSHMAVAIL}  # ID-2
        segment = self.world.segments[key]
        if segment.ended and got == {"status": ENOSHMAVAIL}:  # ATTACH-9
            return got
        right = allowed(segment.slots, request, lowest_first=self.lowest_first)
        slots, response = next((each for each in right if each[1] == got), right[0])
        self.world = self.world._replace(segments={**self.world.segments, key: segment._replace(slots=slots)})
        return response


def allowed(slots: Slots, request: Request, *, lowest_first: bool = True) -> list[tuple[Slots, Response]]:
    """Return the right responses to a request for a slot, each with the state that follows."""
    if request["op"] == "dptr":
        return [_point(slots, request)]
    stepped = spec.steps(slots, operation_of(request), lowest_first=lowest_first)
    return [(after, response_of(request["op"], result)) for after, result in stepped]


def operation_of(request: Request) -> Operation:
    """Return the operation of the specification that a request asks for."""
    match request["op"]:
        case "put":
            return "put", request["id"], bytes.fromhex(request["data"])
        case "compare_and_put":
            return request["op"], request["id"], bytes.fromhex(request["expected"]), bytes.fromhex(request["data"])
        case "get":
            return "get", request["id"], request.get("len")
        case "doall":
            return "doall", tuple(0 if name == SUCCESS else name for name in request.get("answers", ()))
    return (request["op"], request["id"]) if "id" in request else (request["op"],)


def response_of(op: str, result: Result) -> Response:
    """Put a result of the specification into the words of the protocol."""
    if op == "doall":
        status, seen = result.value
        return {"status": status or SUCCESS, "slots": [data.hex() for data in seen]}
    if result.value is None:
        return {"status": result.status}
    if op == "get":
        return {"status": result.status, "data": result.value.hex()}
    return {"status": result.status, "id" if op == "grab" else "value": result.value}


def result_of(op: str, response: Response) -> Result:
    """Read a response as a result of the specification; the inverse of `response_of`."""
    if op == "get" and "data" in response:
        return Result(response["status"], bytes.fromhex(response["data"]))
    return Result(response["status"], response.get("id" if op == "grab" else "value"))


def _point(slots: Slots, request: Request) -> tuple[Slots, Response]:
    """Read or write through a slot's own memory (DPTR-1), which marks nothing."""
    if not spec.is_slot(slots, request["id"]):
        return slots, {"status": EINVAL}
    data = bytes.fromhex(request.get("data", ""))
    if len(data) > slots.item_size:
        return slots, {"status": EINVAL}
    slots = spec.compute_written(slots, request["id"], data)
    return slots, {"status": SUCCESS, "data": slots.data[request["id"]].hex()}


def agree(got: Response, expected: Response) -> bool:
    """Return whether an answer is the expected one; a driver numbers its segments as it likes."""
    return {**got, "segment": 0} == {**expected, "segment": 0}
