"""Cases that are tours: every state of a small segment, every operation in it, and what it leads
to.

A case is a shape of segment with a profile's machine. Its tours (`slotmem_conformance.tours`) are
run one after the other, each on a segment of its own. COMPLETENESS.md says what that guarantees.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

from slotmem_conformance.cases.case import Case
from slotmem_conformance.protocol.notation import FLAGS, Request
from slotmem_conformance.protocol.session import AdapterError
from slotmem_conformance.rig.oracle import Response
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import kind_of, wrong_answer
from slotmem_conformance.tours.slots import OPTIONAL, Plan, Shape, make
from slotmem_conformance.tours.tours import derive

PROFILES = {"STATE-1": ("core",), "STATE-2": ("core", "httpd"), "STATE-3": ("core", "safe")}
_SMALL = ((1, 0), (1, 1), (1, 2), (2, 0), (2, 1))
_MARKS = ((), ("PREGRAB",))
_FLAGS = [tuple(name for name, bit in FLAGS.items() if bit & number) for number in range(16)]
_SEGMENTS = 500  # open at once; then a new server begins
SMALL = tuple(Shape(*size, flags) for size, flags in product(_SMALL, _MARKS))
"""What a quick run tries too."""


_LARGER: dict[str, tuple[Shape, ...]] = {
    "STATE-1": (  # without PREGRAB this profile asks the same, which small shapes show
        *(Shape(1, 1, flags) for flags in _FLAGS if flags not in _MARKS),
        *(Shape(*size, ("PREGRAB",)) for size in ((2, 2), (3, 0), (3, 1))),
        *(Shape(1, 0, flags, 1) for flags in _MARKS),
    ),
    "STATE-2": (
        *(Shape(1, 1, flags) for flags in _FLAGS if flags not in _MARKS),
        *(Shape(*size, flags) for size, flags in product(((2, 2), (3, 0), (3, 1)), _MARKS)),
        *(Shape(1, 0, flags, 1) for flags in _MARKS),
        Shape(1, 1, ("PREGRAB",), 1),
    ),
    "STATE-3": tuple(Shape(*size, flags) for size, flags in product(((2, 2), (3, 0)), _MARKS)),
}
SHAPES = {clause: (*SMALL, *larger) for clause, larger in _LARGER.items()}


@cache
def plan(shape: Shape, profiles: tuple[str, ...], capabilities: tuple[str, ...]) -> tuple[Plan, list[tuple[int, ...]]]:
    """Return the machine of a shape, and its tours."""
    made = make(shape, profiles, capabilities)
    return made, derive(made.machine, shape.extra)


def _case(clause: str, shape: Shape) -> Case:
    def run(rig: Rig) -> None:
        if rig.quick and shape not in SMALL:
            rig.skip("a quick run leaves the larger machines out")
        capabilities = tuple(each for each in OPTIONAL if each in rig.session().hello["capabilities"])
        made, tours = plan(shape, PROFILES[clause], capabilities)
        answers = [json.loads(str(each)) for each in made.machine.said]
        for number, tour in enumerate(tours):
            if number % _SEGMENTS == 0:
                rig.leave(0)
            requests = [made.requests[each] for each in tour]
            expected = [answers[each] for each in made.machine.run(0, tour)[1]]
            _go(rig, shape.create, requests, expected, at_once="batch" in rig.session().hello["capabilities"])

    flags = "-".join(["", *shape.flags]).lower()
    more = f"-and-{shape.extra}-more" if shape.extra else ""
    return Case(
        f"{clause}/{_words(shape)}{flags}{more}",
        run,
        f"whatever leads to it, a segment of {_words(shape).replace('-', ' ')} does what profile "
        f"{PROFILES[clause][-1]} says, with {' | '.join(shape.flags) or 'no flag'}",
    )


def _words(shape: Shape) -> str:
    slots, size = shape.slots, shape.item_size
    return f"{slots}-slot{'s' * (slots != 1)}-of-{size}-byte{'s' * (size != 1)}"


def _go(rig: Rig, create: Request, requests: Sequence[Request], expected: Sequence[Response], *, at_once: bool) -> None:
    """Make one tour, in a batch if that is possible. One that goes wrong is repeated request by
    request, so that what is shown can be read.
    """
    rig.begin_anew()
    rig.forget_segments()
    rig.send(0, create)
    if at_once:
        broken: AdapterError | None = None
        try:
            batch = rig.send(0, {"op": "batch", "segment": 0, "requests": requests})
            if [_unstamped(each) for each in batch.get("responses", ())] == expected:
                return
        except AdapterError as error:
            if error.silent:  # once more would take as long again
                raise
            rig.leave(0)
            broken = error
        _go(rig, create, requests, expected, at_once=False)
        if broken is not None:
            raise broken
        rig.fail("a batch was not answered like its requests one by one, which were answered correctly")
    for request, right in zip(requests, expected, strict=True):
        got = rig.send(0, {**request, "segment": 0})
        if got != right:
            rig.fail(wrong_answer(request, got, right), kind=kind_of(request, got, right))


def _unstamped(response: dict[str, Any]) -> Response:
    return {name: value for name, value in response.items() if name not in ("start", "end")}


PROGRAMS = tuple(_case(clause, shape) for clause in PROFILES for shape in SHAPES[clause])
