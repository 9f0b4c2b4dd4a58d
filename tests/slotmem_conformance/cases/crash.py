"""Cases of death: SIGKILL of processes at random moments, in each operation.

What Python can open by itself dies in loops that call nothing else, hundreds of times and nearly
always inside a call. Somebody else's driver is killed in batches, a few times, and mostly while it
reads or writes a line: there a pass says less.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from slotmem.status import Unsupported
from slotmem_conformance.cases.case import Case, case
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig import batches, loops
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.working import nursery

_SLOTS = 6
_VICTIMS = {"KILL-2": 1, "KILL-3": 2, "KILL-4": 2}  # at most at once; see _crews
_BYTES = {"KILL-2": 1 << 17, "KILL-3": 1024, "KILL-4": 64}  # a put of many bytes is one that takes long
_DRIVER_BYTES = 16384  # at most, where each byte is two letters of a line
_LINE = 800_000  # letters of a batch's requests, and of its answers; a line may have a million
_LINES = 20  # batches that a driver of somebody else's has before it when it is killed
_SIGN: Request = {"op": "fgrab", "id": 5}  # the first operation of a batch, which tells the survivor that it has begun
_SIGN_S = 5.0
_KINDS = ("grab-and-release", "fgrab-and-release", "put", "get", "num_free_slots", "anything")


def _operations(during: str, nbytes: int) -> list[Request]:
    """Return what the victims do; slots 0 and 1 are in use, 5 is the sign's."""
    take: list[Request] = [{"op": "grab"}, {"op": "release", "id": 2}, {"op": "release", "id": 3}]
    mark: list[Request] = [{"op": "fgrab", "id": 2}, {"op": "release", "id": 2}]
    puts: list[Request] = [
        {"op": "put", "id": item_id, "data": f"{value:02x}" * nbytes}
        for item_id, value in ((0, 0x11), (0, 0x22), (1, 0x33), (1, 0x44))
    ]
    get: Request = {"op": "get", "id": 0}
    count: Request = {"op": "num_free_slots"}
    kinds = {
        "grab-and-release": take,
        "fgrab-and-release": mark,
        "put": puts[:2],
        "get": [get],
        "num_free_slots": [count],
        "anything": [take[0], *puts, *take[1:], get, *mark, count],
    }
    return kinds[during]


def _kills(clause: str, during: str) -> Case:
    """Make the case of killing processes again and again in one kind of operation, while another
    has the segment too.
    """

    def run(rig: Rig) -> None:
        rig.needs("shared")
        rig.process(0)
        make_provider = _maker(rig)
        nbytes = _BYTES[clause] if make_provider else min(_BYTES[clause], _DRIVER_BYTES)
        rig.must(f"create w {nbytes} {_SLOTS} PREGRAB; fgrab 0; fgrab 1")
        for item_id in (0, 1):
            rig.send(0, {"op": "put", "segment": 0, "id": item_id, "data": "11" * nbytes})
        requests, count = _operations(during, nbytes), _VICTIMS[clause]
        if make_provider:
            with nursery(make_provider, "w") as at_work:
                deaths = 0
                for crew in _crews(clause, quick=rig.quick):
                    with at_work([partial(loops.requests, requests)] * crew):
                        rig.pause(0.001 + rig.choose.random() * 0.004)
                    deaths += crew
                    _LOOKS[clause](rig, nbytes, _after(deaths, crew))
        else:
            _kill_drivers(rig, requests, nbytes, count, lambda deaths: _LOOKS[clause](rig, nbytes, _after(deaths)))
            if clause == "KILL-2":
                rig.inform("nothing was torn, but a driver is so seldom inside a put that its deaths there say little")

    return Case(f"{clause}/{during}", run, f"after SIGKILL in {during}: {_SENTENCES[clause]}")


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

    One alone first, so that what goes wrong without locks is not taken for a death's doing. Of two
    that want one lock somebody nearly always has it.
    """
    rounds = {"KILL-2": (12, 40), "KILL-3": (12, 60), "KILL-4": (80, 300)}[clause][not quick]
    return [1] * (rounds // 2) + [_VICTIMS[clause]] * (rounds - rounds // 2)


def _after(deaths: int, crew: int = 1) -> str:
    """Say when; of two that worked at once the race may be to blame as well."""
    return f"after {deaths} death{'s' * (deaths > 1)}" + ", two processes at a time" * (crew > 1)


def _kill_drivers(rig: Rig, requests: list[Request], nbytes: int, count: int, look: Callable[[int], None]) -> None:
    """Kill drivers that do batches of the requests.

    Most of their time they read and write lines: much luck is needed.
    """
    rig.needs("batch")
    often = max(1, _LINE // sum(_letters(request, nbytes) for request in requests))
    tried = False
    for number in range(4 if rig.quick else 12):
        crew = range(1 + count * number, 1 + count * (number + 1))
        rig.process(*crew)
        for victim in crew:
            rig.must(f"{victim}: attach w")
        batch = {"op": "batch", "segment": 0, "requests": [_SIGN, *requests * often]}
        waits = [rig.begin(victim, batch, times=_LINES) for victim in crew]
        _await_sign(rig)
        rig.pause(rig.choose.random() * 0.02)
        for victim in crew:
            rig.kill(victim)
        answered = [wait() for wait in waits]
        tried |= not all(answered)
        look(count * (number + 1))
        rig.ask("fgrab 5; release 5")
    if not tried:
        rig.skip("every batch was done before its process was killed, so that nothing was tried")


def _letters(request: Request, nbytes: int) -> int:
    """Estimate the letters of a request, or of its answer."""
    return 100 + len(request.get("data", "")) + (2 * nbytes if request["op"] == "get" else 0)


def _await_sign(rig: Rig) -> None:
    """Wait until the batch of a victim has begun."""
    ends = time.monotonic() + _SIGN_S
    while rig.ask("get 5 1")["status"] == "APR_NOTFOUND" and time.monotonic() < ends:
        pass


def _whole(rig: Rig, nbytes: int, when: str) -> None:
    """See that no slot has parts of two puts (KILL-2)."""
    for item_id in (0, 1):
        got = rig.ask(f"get {item_id}")
        letters = got.get("data", "")
        if len(letters) != 2 * nbytes:
            rig.fail(f"{when}, get of slot {item_id} answered {got['status']}, {len(letters) // 2} bytes of {nbytes}")
        if letters != letters[:2] * nbytes:
            seen = batches.runs(bytes.fromhex(letters))
            rig.evidence = f"slot {item_id} {when}, when nobody is at work: {seen}"
            rig.fail(f"{when}, slot {item_id} is torn: {seen}")


def _usable(rig: Rig, nbytes: int, when: str) -> None:
    """See that the survivor can do every operation (KILL-3)."""
    del when
    for item_id in range(_SLOTS):
        rig.must(f"fgrab {item_id}; get {item_id}")
        rig.send(0, {"op": "put", "segment": 0, "id": item_id, "data": "11" * nbytes})
    rig.must("num_free_slots; release 5; grab; release 2; release 3; release 4; release 5")


def _counted(rig: Rig, nbytes: int, when: str) -> None:
    """See that num_free_slots is the number of free slots (KILL-4)."""
    del nbytes
    free, used = rig.ask("num_free_slots").get("value"), len(rig.value("doall", "slots"))
    if free != _SLOTS - used:
        rig.fail(f"{when}, num_free_slots is {free}, but {used} of {_SLOTS} slots are in use")


_LOOKS = {"KILL-2": _whole, "KILL-3": _usable, "KILL-4": _counted}
_SENTENCES = {"KILL-2": "no slot is torn", "KILL-3": "the others can do everything", "KILL-4": "the counter is right"}

PROGRAMS = (
    *(_kills(clause, during) for clause, during in [
        ("KILL-2", "put"), ("KILL-2", "anything"),
        *(("KILL-3", during) for during in _KINDS),
        ("KILL-4", "grab-and-release"), ("KILL-4", "fgrab-and-release"), ("KILL-4", "anything"),
    ]),
)  # fmt: skip


@case("KILL-1/stores-nothing")
def stores_nothing(rig: Rig) -> None:
    """A server that is killed leaves no file; its segment is still there for another to attach."""
    rig.needs("shared")
    rig.process(0)
    rig.must("create w 4 2 PERSIST|PREGRAB; fgrab 1; put 1 ABCD")
    rig.kill(0)
    if rig.path("w").exists():
        rig.fail("a killed server stored its segment")
    rig.must("1: attach w")
    if (got := rig.ask("1: get 1")).get("data") != b"ABCD".hex():
        rig.fail(f"what a killed server left reads {got}")


@case("KILL-1/old-file-stays")
def old_file_stays(rig: Rig) -> None:
    """What was stored before is what the next server restores."""
    rig.needs("shared", "persist")
    rig.must("create w 4 2 PERSIST; put 0 AAAA; close")
    rig.process(1)
    rig.must("1: create w 4 2 PERSIST; 1: put 0 BBBB")
    rig.kill(1)
    rig.must("2: create w 4 2 PERSIST")
    if (got := rig.ask("2: get 0")).get("data") != b"AAAA".hex():
        rig.fail(f"after the server was killed, the next one restored {got}")


@case("CREATE-6/crash-remainder")
def crash_remainder(rig: Rig) -> None:
    """A segment that a killed server left is replaced by the next create, fresh and in the new
    shape.
    """
    rig.needs("shared")
    for server, shape in enumerate(("4 2 PREGRAB", "4 2 PREGRAB", "8 5 PREGRAB")):
        rig.process(server)
        rig.do(
            f"{server}: create w {shape}; {server}: num_slots; {server}: num_free_slots; {server}: fgrab 1; {server}: put 1 ABCD"
        )
        rig.kill(server)
    rig.do("9: create w 4 3 PREGRAB; 9: num_free_slots; 9: num_slots; 9: get 1")


@case("CREATE-6/not-while-an-attacher-lives")
def attacher_lives(rig: Rig) -> None:
    """A segment whose creator was killed, but which another still uses, is no remainder: create is
    refused.
    """
    rig.needs("shared")
    rig.process(0)
    rig.do("create w 4 2 PREGRAB; 1: attach w; 1: fgrab 1; 1: put 1 ABCD")
    rig.kill(0)
    rig.do("2: create w 4 2 PREGRAB; 1: get 1; 1: num_free_slots")


@case("SIGNAL-1/exception-in-a-handler")
def exception_in_a_handler(rig: Rig) -> None:
    """An exception from a signal handler in the middle of operations leaves no lock held, nothing
    torn, the counter right.
    """
    session = rig.session()
    if session.killable or threading.current_thread() is not threading.main_thread():
        rig.skip("only an implementation in this process's main thread can be interrupted by an exception")
    nbytes = _BYTES["KILL-3"]
    requests = _operations("anything", nbytes)
    rig.must(f"create w {nbytes} {_SLOTS} PREGRAB; fgrab 0; fgrab 1")

    class Interruption(BaseException):
        """What the handler raises."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise Interruption

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(100 if rig.quick else 400):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + rig.choose.random() * 0.001)
                while True:
                    for request in requests:
                        session.request({**request, "segment": 0})
            except Interruption:
                _counted(rig, nbytes, "after an exception")
        _whole(rig, nbytes, "after exceptions")
        _usable(rig, nbytes, "after exceptions")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
