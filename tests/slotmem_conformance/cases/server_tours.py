"""Cases that are tours of a name: created, used, attached, restarted, stored and restored, in every
order that matters.

Each tour has a name of its own, so that two servers do for all; COMPLETENESS.md says what that
guarantees.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache

from slotmem_conformance.cases.case import Case
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig.oracle import Response
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import kind_of, wrong_answer
from slotmem_conformance.tours.machine import Word
from slotmem_conformance.tours.servers import Input, Life, Plan, make, without_numbers
from slotmem_conformance.tours.tours import derive

PROFILES = {"STATE-2": ("core", "httpd"), "STATE-3": ("core", "safe")}
LIVES = (
    Life(("PERSIST",), False),
    Life(("PERSIST", "PREGRAB"), False),
    Life(("PERSIST", "CLEARINUSE"), False),
    Life(("PERSIST", "PREGRAB", "CLEARINUSE"), False),
    Life((), True),
    Life(("PREGRAB",), True),
)
ALL = (*((clause, life) for clause in PROFILES for life in LIVES), ("STATE-2", Life(("PERSIST", "PREGRAB"), True)))


@cache
def plan(life: Life, profiles: tuple[str, ...]) -> tuple[Plan, list[Word]]:
    """Return the machine of a life, and its tours."""
    made = make(life, profiles)
    return made, derive(made.machine)


def _case(clause: str, life: Life) -> Case:
    def run(rig: Rig) -> None:
        rig.work_in_memory(0, 1)
        rig.needs("restart", "dptr", *(["persist"] if "PERSIST" in life.flags else []))
        if life.attached:
            rig.needs("shared")
        if rig.quick and life not in LIVES[:2]:
            rig.skip("a quick run leaves the larger machines out")
        made, tours = plan(life, PROFILES[clause])
        answers = [json.loads(str(each)) for each in made.machine.said]
        for number, tour in enumerate(tours):
            said = [answers[each] for each in made.machine.run(0, tour)[1]]
            steps = zip([made.inputs[each] for each in tour], said, strict=True)
            _go(rig, f"{rig.folders.get(0, rig.folder)}/w{number}", [*((each, None) for each in made.prelude), *steps])

    flags = "-".join(each.lower() for each in life.flags) or "no-flags"
    return Case(
        f"{clause}/{'attached' if life.attached else 'restarted'}-{flags}",
        run,
        f"whatever leads to it, a segment with {' | '.join(life.flags) or 'no flag'} that is "
        f"{'attached and ' if life.attached else ''}restarted does what profile {PROFILES[clause][-1]} says",
    )


def _go(rig: Rig, name: str, steps: list[tuple[Input, Response | None]]) -> None:
    """Make one tour; a step without an answer must merely succeed."""
    rig.begin_anew()
    rig.forget_segments()
    opened, restarts = Counter[int](), Counter[int]()
    maker = 0
    has: dict[int, tuple[int, int]] = {}  # by server: who made what it opened last, and in which lifetime
    for (server, request), right in steps:
        got = without_numbers(rig.send(server, _addressed(request, name, opened[server] - 1)))
        if request["op"] in ("create", "attach") and got["status"] == "APR_SUCCESS":
            opened[server] += 1
            maker = server if request["op"] == "create" else maker
            has[server] = maker, restarts[maker]
        restarts[server] += request["op"] == "restart"
        by, lifetime = has.get(server, (server, 0))
        if by != server and restarts[by] > lifetime and got == {"status": "APR_ENOSHMAVAIL"}:
            continue  # its maker has ended it, and it is told so (ATTACH-9)
        if got != right and (right is not None or got["status"] != "APR_SUCCESS"):
            wanted = {"status": "APR_SUCCESS"} if right is None else right
            rig.fail(wrong_answer(request, got, wanted), kind=kind_of(request, got, wanted))


def _addressed(request: Request, name: str, newest: int) -> Request:
    if "name" in request:
        return {**request, "name": name}
    return request if request["op"] == "restart" else {**request, "segment": newest}


PROGRAMS = tuple(_case(clause, life) for clause, life in ALL)
