"""The machine of one segment: small shapes, every operation with good arguments and bad ones.

Interface: `Shape` says which segment; `make(shape, profiles, capabilities)` gives a `Plan`: its
machine, and the requests that are the machine's inputs.

The machine of some profiles has what they ask for and nothing else: an input is defined in a state
if the clause that says what must be answered there is one of theirs. Bytes are few, so that states
are few too: a slot begins as zeros, and is changed by puts of no byte, of one, of all, and of
zeros.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from slotmem_conformance.machines.driving import clause_of
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig.oracle import allowed, operation_of
from slotmem_conformance.tours.machine import Machine, tabulate
from slotmem_model import spec
from slotmem_model.clauses import CLAUSES
from slotmem_model.spec import Slots

FAR = (-1, 2**32 - 1)
OPTIONAL = ("dptr", "doall")


class Shape(NamedTuple):
    """A segment, and how many states more than the specification an implementation may have."""

    slots: int
    item_size: int
    flags: tuple[str, ...]
    extra: int = 0

    @property
    def create(self) -> Request:
        """The request that makes it, without a name."""
        return {
            "op": "create",
            "name": None,
            "item_size": self.item_size,
            "item_num": self.slots,
            "type": list(self.flags),
        }


class Plan(NamedTuple):
    """A machine, and the requests that its inputs stand for."""

    machine: Machine
    requests: tuple[Request, ...]


def make(shape: Shape, profiles: tuple[str, ...], capabilities: tuple[str, ...] = OPTIONAL) -> Plan:
    """Return the machine of what these profiles ask of a segment, for an implementation that has
    these capabilities.
    """
    requests = [each for each in _requests(shape) if each["op"] not in OPTIONAL or each["op"] in capabilities]
    step = partial(_step, profiles)
    first = spec.fresh(shape.item_size, shape.slots, "PREGRAB" in shape.flags)
    machine = tabulate(first, requests, step)
    return Plan(machine, tuple(requests))


def clause_that_asks(slots: Slots, request: Request) -> str:
    """Return the id of the clause that says what must be answered."""
    if request["op"] == "dptr" and spec.is_slot(slots, request["id"]):
        return "DPTR-1"
    operation = ("fgrab", request["id"]) if request["op"] == "dptr" else operation_of(request)
    return clause_of(slots, operation, spec.step(slots, operation)[1])


def _step(profiles: tuple[str, ...], slots: Slots, request: Request) -> tuple[Slots, str] | None:
    if CLAUSES[clause_that_asks(slots, request)].profile not in profiles:
        return None
    [(after, response)] = allowed(slots, request)
    return after, json.dumps(response)


def _requests(shape: Shape) -> Iterator[Request]:
    size = shape.item_size
    yield from ({"op": op} for op in ("grab", "num_free_slots", "num_slots", "slot_size", "doall"))
    yield {"op": "doall", "answers": ["APR_EGENERAL"]}
    yield {"op": "doall", "answers": ["APR_SUCCESS", "APR_EGENERAL"]}
    for item_id in (*range(shape.slots + 1), *FAR):
        yield from ({"op": op, "id": item_id} for op in ("fgrab", "release", "get", "dptr"))
    data = {b"", b"A"[:size], bytes(size), b"AB"[:size]}
    for item_id in range(shape.slots):
        yield from ({"op": "put", "id": item_id, "data": each.hex()} for each in sorted(data))
        yield from ({"op": "get", "id": item_id, "len": each} for each in sorted({0, max(0, size - 1)}))
        yield from ({"op": "get", "id": item_id, "len": each} for each in (size + 1, -1))
        yield {"op": "put", "id": item_id, "data": "41" * (size + 1)}
        yield {"op": "dptr", "id": item_id, "data": b"AB"[:size].hex()}
    yield from ({"op": "put", "id": item_id, "data": ""} for item_id in (shape.slots, *FAR))
