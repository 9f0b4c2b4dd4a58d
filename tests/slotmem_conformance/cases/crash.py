"""Cases of servers that are killed, and of operations that an exception interrupts."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from slotmem_conformance.cases.case import case
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig.apart import call_apart
from slotmem_conformance.rig.loops import calls_of
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.survivor import Survivor, operations
from slotmem_conformance.rig.telling import shown

_BYTES = 1024
_PATIENCE_S = 60.0


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
        rig.fail(f"a get from what a killed server left was answered {shown(got)}")


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
        rig.fail(f"after the server was killed, the next one restored {shown(got)}")


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
    """A segment whose creator was killed, but which another still uses, is not a leftover: create
    is refused.
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
    requests, times = operations("anything", _BYTES), 100 if rig.quick else 400
    if not session.killable:
        if threading.current_thread() is not threading.main_thread():
            rig.skip("only the main thread can be interrupted by an exception")
        survivor = Survivor(rig, _BYTES)
        asked = [{**request, "segment": 0} for request in requests]
        _interrupted(lambda: [session.request(request) for request in asked], times, rig.choose.random())
    else:
        if session.provider.partition(":")[0] in ("", "abi", "httpd"):
            rig.skip("only an implementation in Python can be interrupted by an exception")
        rig.needs("shared")
        survivor = Survivor(rig, _BYTES)
        work = partial(_interrupted_attacher, rig.make_provider(), requests, times, rig.choose.random())
        [ended] = call_apart([work], timeout_s=_PATIENCE_S)
        if ended.death:
            rig.fail(f"a process whose operations were interrupted by exceptions ended with {ended.death}")
    survivor.when = "after exceptions"
    survivor.count()
    survivor.see_whole()
    survivor.do_all()


def _interrupted_attacher(
    make_provider: Callable[[], Any], requests: Sequence[Request], times: int, seed: float
) -> None:
    calls = calls_of(requests, make_provider().attach("w"))
    _interrupted(lambda: [call() for call in calls], times, seed)


def _interrupted(work: Callable[[], object], times: int, seed: float) -> None:
    """Do something over and over until a signal handler raises an exception, and all that `times`
    times.
    """
    dice = random.Random(seed)

    class Interruption(BaseException):
        """What the handler raises."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise Interruption

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(times):
            with suppress(Interruption):
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + dice.random() * 0.001)
                while True:
                    work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
