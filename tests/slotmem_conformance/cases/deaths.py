"""Cases of death: SIGKILL of processes at random moments, in each operation.

What Python can open by itself dies in loops that call nothing else, hundreds of times and nearly
always inside a call. Somebody else's driver is killed in batches, a few times, and mostly while it
reads or writes a line: there a pass says less.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from slotmem.status import Unsupported
from slotmem_conformance.cases.case import Case, case
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig import loops
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.survivor import ALL_FIRSTS, FIRSTS, SIGN, Survivor, operations
from slotmem_conformance.rig.working import nursery

_VICTIMS = 2  # at most at once; see _crews
_BYTES = {"KILL-2": 1 << 16, "KILL-3": 1024, "KILL-4": 64}  # a put of many bytes takes long
_DRIVER_BYTES = 16384  # at most, where each byte is two characters of a line
_LINE = 800_000  # characters of a batch's requests, and of its answers; a line may have a million
_LINES = 20  # batches that somebody else's driver has in its queue when it is killed
_SIGN: Request = {"op": "fgrab", "id": SIGN}
_GAP_S = 0.0003  # at most, between two deaths: the second may come while its process repairs what the first left
_KINDS = ("grab-and-release", "fgrab-and-release", "put", "get", "num_free_slots", "anything")
_MARKS_NOTHING = ("put", "get", "num_free_slots")


def _kills(clause: str, during: str, flags: str = "PREGRAB") -> Case:
    """Make the case that kills processes again and again in one kind of operation, while another
    has the segment too.

    After each death the survivor does another operation first.
    """
    firsts = FIRSTS[clause] if flags else ALL_FIRSTS

    def run(rig: Rig) -> None:
        rig.needs("shared")
        rig.process(0)
        make_provider = _maker(rig)
        nbytes = _BYTES[clause] if make_provider else min(_BYTES[clause], _DRIVER_BYTES)
        requests, survivor = operations(during, nbytes), Survivor(rig, nbytes, flags)
        count = partial(survivor.count, marks_changed=not flags or during not in _MARKS_NOTHING)
        looks: dict[str, Callable[[], None]] = {
            "KILL-2": survivor.see_whole,
            "KILL-3": survivor.do_all,
            "KILL-4": count,
        }

        def after(deaths: int, first: str, crew: int = 1) -> None:
            survivor.when = _after(deaths, first, crew)
            survivor.begin(first)
            looks[clause]()

        if make_provider:
            with nursery(make_provider, "w") as at_work:
                deaths = 0
                for number, crew in enumerate(_crews(clause, quick=rig.quick)):
                    gap_s = rig.choose.choice((0.0, rig.choose.random() * _GAP_S))
                    with at_work([partial(loops.requests, requests)] * crew, gap_s=gap_s):
                        rig.pause(0.001 + rig.choose.random() * 0.004)
                    deaths += crew
                    after(deaths, firsts[number % len(firsts)], crew)
        else:
            _kill_drivers(rig, requests, nbytes, firsts, after)
            if clause == "KILL-2":
                rig.inform("nothing was torn, but a driver is so seldom inside a put that its deaths there say little")

    without = "" if flags else "-without-pregrab"
    return Case(f"{clause}/{during}{without}", run, f"after SIGKILL in {during}{without}: {_SENTENCES[clause]}")


def _maker(rig: Rig) -> Callable[[], Any] | None:
    """Return what opens the implementation in any process; None for a driver, and where there is no
    C compiler.
    """
    with suppress(Unsupported):
        loops.compiled()
        return rig.make_provider() if getattr(rig.session(), "provider", "") else None
    return None


def _crews(clause: str, *, quick: bool) -> list[int]:
    """Return how many victims there are each time.

    First one alone, so that what goes wrong without locks is not blamed on a death. Of two that
    want one lock, one nearly always holds it.
    """
    rounds = {"KILL-2": (16, 48), "KILL-3": (16, 64), "KILL-4": (48, 240)}[clause][not quick]
    return [1] * (rounds // 2) + [_VICTIMS] * (rounds - rounds // 2)


def _after(deaths: int, first: str, crew: int) -> str:
    """Say when; where two worked at once, the race may be to blame as well."""
    many = f"after {deaths} death{'s' * (deaths > 1)}" + ", two processes at a time" * (crew > 1)
    return f"{many}, with {first} as the survivor's first operation"


def _kill_drivers(
    rig: Rig, requests: list[Request], nbytes: int, firsts: Sequence[str], after: Callable[[int, str], None]
) -> None:
    """Kill drivers that do batches of the requests.

    They spend most of their time reading and writing lines, so that few deaths fall inside an
    operation.
    """
    rig.needs("batch")
    often = max(1, _LINE // sum(_letters(request, nbytes) for request in requests))
    tried = False
    for number in range(4 if rig.quick else 12):
        crew = range(1 + _VICTIMS * number, 1 + _VICTIMS * (number + 1))
        rig.process(*crew)
        for victim in crew:
            rig.must(f"{victim}: attach w")
        batch = {"op": "batch", "segment": 0, "requests": [_SIGN, *requests * often]}
        waits = [rig.begin(victim, batch, times=_LINES) for victim in crew]
        rig.await_change(f"release {SIGN}", "APR_NOTFOUND")
        rig.pause(rig.choose.random() * 0.02)
        for victim in crew:
            rig.kill(victim)
        answered = [wait() for wait in waits]
        tried |= not all(answered)
        after(_VICTIMS * (number + 1), firsts[number % len(firsts)])
    if not tried:
        rig.skip("every batch was done before its process was killed, so that nothing was tried")


def _letters(request: Request, nbytes: int) -> int:
    """Estimate the characters of a request and its answer."""
    return 100 + len(request.get("data", "")) + (2 * nbytes if request["op"] == "get" else 0)


@case("KILL-2/put-that-marks")
def put_that_marks(rig: Rig) -> None:
    """After SIGKILL in puts to free slots without PREGRAB each put has written and marked its slot,
    or done neither.
    """
    rig.needs("shared")
    rig.process(0)
    make_provider = _maker(rig)
    if make_provider is None:
        rig.skip("a driver is hardly ever inside a put when it is killed")
    nbytes, slots = 1 << 16, range(8)
    rig.must(f"create w {nbytes} {len(slots)}")
    puts: list[Request] = [{"op": "put", "id": item_id, "data": "11" * nbytes} for item_id in slots]
    with nursery(make_provider, "w") as at_work:
        for deaths in range(1, 13 if rig.quick else 41):
            with at_work([partial(loops.requests, puts)]):
                rig.pause(0.001 + rig.choose.random() * 0.004)
            for item_id in slots:
                marked = rig.ask(f"release {item_id}")["status"] == "APR_SUCCESS"
                if (written := rig.value(f"dptr {item_id}", "data")[:2] != "00") != marked:
                    which = f"{'' if written else 'not '}written and {'' if marked else 'not '}in use"
                    rig.fail(f"after {deaths} deaths, slot {item_id} is {which}")
                if written:
                    rig.send(0, {"op": "put", "segment": 0, "id": item_id, "data": "00"})  # the first byte tells
                    rig.must(f"release {item_id}")


_SENTENCES = {"KILL-2": "no slot is torn", "KILL-3": "the others can do everything", "KILL-4": "the counter is right"}
PROGRAMS = (
    *(_kills(clause, during) for clause, during in [
        ("KILL-2", "put"), ("KILL-2", "anything"),
        *(("KILL-3", during) for during in _KINDS),
        *(("KILL-4", during) for during in _KINDS if during != "get"),
    ]),
    *(_kills(clause, during, "") for clause, during in [
        ("KILL-2", "put"), ("KILL-2", "put-that-marks"), ("KILL-3", "anything"), ("KILL-3", "put-that-marks"),
        ("KILL-4", "anything"), ("KILL-4", "put-that-marks"),
    ]),
)  # fmt: skip
