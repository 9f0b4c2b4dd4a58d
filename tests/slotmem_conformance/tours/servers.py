"""The machine of a name: created, attached, restarted, stored and restored; one slot of one byte.

Interface: `Life` says with which flags, and whether another server attaches; `make(life, profiles)`
gives the machine, and its inputs: who sends which request.

An operation goes through the newest instance that its server opened under the name, which may have
ended. So that there is one, every tour begins with `Plan.prelude`. What differs from one run to the
next, the numbers of segments and generations, is not part of an answer.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, NamedTuple

from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig.oracle import Oracle, Response
from slotmem_conformance.tours.machine import Machine, tabulate
from slotmem_conformance.tours.slots import clause_that_asks
from slotmem_model.clauses import CLAUSES

NAME = "/w"
_OPERATIONS: tuple[Request, ...] = (
    {"op": "fgrab", "id": 0},
    {"op": "release", "id": 0},
    {"op": "get", "id": 0},
    {"op": "put", "id": 0, "data": "41"},
    {"op": "put", "id": 0, "data": "00"},
    {"op": "dptr", "id": 0},
    {"op": "dptr", "id": 0, "data": "41"},
    {"op": "num_free_slots"},
)


class Life(NamedTuple):
    """The flags of the segment, and whether there is a second server that attaches."""

    flags: tuple[str, ...]
    attached: bool


class Input(NamedTuple):
    """A request, and the server that sends it."""

    server: int
    request: Request


class Plan(NamedTuple):
    """A machine, and what its inputs stand for."""

    machine: Machine
    inputs: tuple[Input, ...]
    prelude: tuple[Input, ...]
    """What is done first: each server opens the name; the owner ends the segment, and goes on."""


def make(life: Life, profiles: tuple[str, ...]) -> Plan:
    """Return the machine of what these profiles ask."""
    shape = {"item_size": 1, "item_num": 1, "type": list(life.flags)}
    servers = (0, 1) if life.attached else (0,)
    opening = [Input(0, {"op": "create", "name": NAME, **shape}), Input(servers[-1], {"op": "attach", "name": NAME})]
    # That an attacher no longer has an instance shows only where it must then be refused (ID-2).
    ending = [Input(server, {"op": "restart"}) for server in servers if server == 0 or "safe" in profiles]
    inputs = (*opening, *ending, *(Input(server, each) for server in servers for each in _OPERATIONS))
    oracle = Oracle()
    for each in (*opening, *ending):
        oracle.answer(*each)
    return Plan(tabulate(_World(oracle), inputs, partial(_step, profiles)), inputs, (*opening, *ending))


def without_numbers(response: Response) -> Response:
    """Return a response without what differs from one run to the next."""
    return {name: value for name, value in response.items() if name not in ("segment", "generation")}


class _World:
    """An oracle, as a state: what can be seen of the name from now on."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        world = oracle.world
        named = set(world.names.values())
        # Nobody sees what was stored while the name leads to a segment, whose end overwrites it.
        stored = [file.slots for file in world.files.values()]
        self._key = (
            tuple([world.segments[key].slots for key in named] or stored),
            bool(named),
            *(self._newest(server, named) for server in (0, 1)),
        )

    def _newest(self, server: int, named: set[int]) -> Any:
        opened = self.oracle.opened(server)
        if not opened or opened[-1] is None:
            return None
        return opened[-1] in named, self.oracle.world.segments[opened[-1]].slots

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _World) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _step(profiles: tuple[str, ...], before: _World, given: Input) -> tuple[_World, str] | None:
    oracle = before.oracle.copy()
    server, request = given
    if request["op"] not in ("create", "attach", "restart"):
        request = {**request, "segment": len(oracle.opened(server)) - 1}
    response = oracle.answer(server, request)
    if CLAUSES[_clause(before.oracle, server, request, response)].profile not in profiles:
        return None
    return _World(oracle), json.dumps(without_numbers(response))


def _clause(before: Oracle, server: int, request: Request, response: Response) -> str:
    """Return the id of the clause that says what must be answered."""
    opened = before.opened(server)
    has_it = bool(opened) and opened[-1] is not None
    match request["op"]:
        case "create":
            return "CREATE-3" if has_it else "CREATE-1"
        case "attach":
            return "ATTACH-3" if "segment" not in response else "ATTACH-2" if server == 0 and has_it else "ATTACH-1"
        case "restart":
            return "RESTART-1"
    return clause_that_asks(before.slots(server, request["segment"]), request) if has_it else "ID-2"
