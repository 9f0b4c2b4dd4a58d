"""Cases at full speed: loops in C, so that processes are nearly always inside a call.

What lies inside one operation is hardly ever hit through the protocol, where reading and writing
JSON takes most of the time. These cases are skipped for drivers, which can be asked in no other
way, and where there is no C compiler.
"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import slotmem
from slotmem_conformance.cases.case import case
from slotmem_conformance.protocol import notation
from slotmem_conformance.rig import batches, loops, racing
from slotmem_conformance.rig.apart import NotStarted
from slotmem_conformance.rig.oracle import Response, agree, operation_of, response_of
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import shown
from slotmem_conformance.rig.working import nursery
from slotmem_model import spec

_EACH = (
    *(("release 1", text) for text in ("fgrab 1", "grab")),
    *(("fgrab 1", text) for text in ("release 1", "num_free_slots", "put 1 ABCD", "get 1 4")),
)
"""What is tried; first, what is done before it so that it changes something each time."""
_TRIES = 40  # until it had to wait, as every other try does on a quiet machine
_HUGE = 1 << 20  # a put of this many bytes takes nearly all of the time
_LARGE = 65536  # bytes: copying them takes a while


@case("ATOMIC-2/full-speed")
def given_twice(rig: Rig) -> None:
    """Four processes, or threads where others cannot see the memory, grab and release; whoever has
    a slot says so in it, and nobody else gets it meanwhile.
    """
    make, threads = _maker(rig), _are_threads(rig)
    for seconds in _races(rig):
        seen = _raced(rig, partial(racing.double_grabs, make, seconds=seconds, threads=threads))
        _judge_grabs(rig, seen, "thread" if threads else "process")


def _judge_grabs(rig: Rig, seen: racing.DoubleGrabs, worker: str) -> None:
    if seen.doubled:
        if met := seen.first:
            rig.evidence = (
                f"{worker} {met.holder} was given slot {met.item_id}, and had it from 0 ns on\n"
                f"{worker} {met.grabber} was given slot {met.item_id} too, by a grab from {met.grab_start - met.held_since} "
                f"to {met.grab_end - met.held_since} ns; nobody had released it"
            )
        rig.fail(f"{seen.doubled} of {seen.grabs} grabs ({seen.share:.1%}) gave a slot that somebody still held")
    if seen.num_free_at_end != seen.num_slots:
        rig.fail(f"every slot is released, and num_free_slots is {seen.num_free_at_end} of {seen.num_slots}")
    if not seen.grabs:
        rig.skip("nobody could grab anything in time, so that nothing was tried")


@case("ATOMIC-3/full-speed")
def torn(rig: Rig) -> None:
    """Two processes, or threads where others cannot see the memory, fill a slot with one byte, then
    another; two others never see two of them in one get.
    """
    make, threads = _maker(rig), _are_threads(rig)
    for size, seconds in product((1024, _LARGE), _races(rig)):
        seen = _raced(rig, partial(racing.torn_gets, make, size, seconds=seconds, threads=threads))
        if seen.torn:
            rig.evidence = f"one get of {size} bytes: " + batches.told(seen.example)
            rig.fail(f"{seen.torn} of {seen.gets} gets of {size} bytes ({seen.share:.1%}) mixed two puts")
        if not seen.gets:
            rig.skip("nobody could get anything in time, so that nothing was tried")


@case("WAIT-1/stopped-holder")
def stopped_holder(rig: Rig) -> None:
    """While a process is stopped in a put, another's put with a bound on waiting succeeds or ends
    with APR_TIMEUP, and later it succeeds.
    """
    rig.needs("shared", "timeout")
    make = _maker(rig)
    rig.process(0)
    rig.must(f"create w {_LARGE} 1 PREGRAB; fgrab 0")
    rig.send(1, {"op": "attach", "name": "w", "timeout_ms": 100})
    waited = 0
    with nursery(make, "w") as at_work:
        for _ in range(40):
            if waited == (2 if rig.quick else 8):
                return
            with at_work([partial(loops.puts, 1, 0, 0)]) as [pid]:
                rig.pause(0.002 + rig.choose.random() * 0.01)
                os.kill(pid, signal.SIGSTOP)
                got = rig.ask("1: put 0 ABCD")
                if got["status"] not in ("APR_SUCCESS", "APR_TIMEUP"):
                    rig.fail(f"while another process is stopped in a put, a put is answered {shown(got)}")
                waited += got["status"] == "APR_TIMEUP"
                os.kill(pid, signal.SIGCONT)
                rig.pause(0.01)
            rig.must("1: put 0 ABCD")
    if not waited:
        rig.skip("no process was stopped while another needed what it held, so that nothing was tried")


@case("WAIT-1/each-operation")
def each_operation_waits(rig: Rig) -> None:
    """While a process is stopped in a put, each operation with a bound on waiting succeeds, or ends
    with APR_TIMEUP and has done nothing. Without PREGRAB all of them may want what it holds.
    """
    make = _maker(rig)
    rig.needs("timeout")
    rig.process(0)
    rig.must(f"create w {_HUGE} 3; fgrab 0")
    rig.send(1, {"op": "attach", "name": "w", "timeout_ms": 50})
    slots = spec.compute_marked(spec.fresh(_HUGE, 3, False), 0, True)
    with nursery(make, "w") as at_work:
        for before, text in _EACH:
            [(_, preparation), (_, request)] = notation.parse(f"{before}; {text}")
            for _ in range(_TRIES):
                rig.send(0, preparation)
                slots, _ = spec.step(slots, operation_of(preparation))
                with at_work([partial(loops.puts, 1, 0, 0)]) as [pid]:
                    rig.pause(0.005 + rig.choose.random() * 0.03)
                    os.kill(pid, signal.SIGSTOP)
                    got = rig.send(1, request)
                    os.kill(pid, signal.SIGCONT)
                waited = got["status"] == "APR_TIMEUP"
                if not waited:
                    slots = _answered(rig, slots, text, request, got)
                if (free := rig.value("num_free_slots", "value")) != slots.inuse.count(False):
                    rig.fail(
                        f"{text} was answered {shown(got)}, and {free} slots are free, not {slots.inuse.count(False)}"
                    )
                if waited:
                    slots = _answered(rig, slots, text, request, rig.send(1, request))
                    break
            else:
                rig.skip(f"in {_TRIES} tries {text} never had to wait, so that nothing was tried")


def _answered(rig: Rig, slots: spec.Slots, text: str, request: notation.Request, got: Response) -> spec.Slots:
    """Compare an answer with the specification's, and return the state after it."""
    slots, result = spec.step(slots, operation_of(request))
    if not agree(got, expected := response_of(request["op"], result)):
        rig.fail(f"while another process puts, {text} is answered {shown(got)}, must be answered {shown(expected)}")
    return slots


@case("STORE-6/full-speed")
def stored_meanwhile(rig: Rig) -> None:
    """What is stored while a process fills two slots in turn is what they held at one instant, and
    its MD5 is right.
    """
    rig.needs("shared", "persist")
    make = _maker(rig)
    rig.process(0)
    for _ in range(3 if rig.quick else 10):
        rig.must(f"create w {_LARGE} 2 PERSIST|PREGRAB; fgrab 0; fgrab 1")
        with nursery(make, "w") as at_work, at_work([partial(loops.puts, 1, 0, 1)]):
            rig.pause(0.005 + rig.choose.random() * 0.02)
            rig.must("close")
        data = rig.path("w").read_bytes()
        payload = data[:-32]
        if hashlib.md5(payload, usedforsecurity=False).digest() != data[len(payload) : len(payload) + 16]:
            rig.fail("the MD5 of what was stored while another process wrote does not match its bytes")
        first, second = payload[8 : 8 + _LARGE], payload[8 + _LARGE : 8 + 2 * _LARGE]
        if first != first[:1] * _LARGE or second != second[:1] * _LARGE:
            rig.fail("a part of a put was stored")
        if (first[0] - second[0]) % 16 > 1:
            rig.fail(f"slot 0 was stored with {first[0]:02x} and slot 1 with {second[0]:02x}: no instant had both")
        rig.path("w").unlink()
        rig.process(0)


def _are_threads(rig: Rig) -> bool:
    return "shared" not in rig.session().hello["capabilities"]


def _maker(rig: Rig) -> Callable[[], slotmem.Provider]:
    make = rig.make_provider()
    try:
        loops.compiled()
    except slotmem.Unsupported as missing:
        rig.skip(str(missing))
    return make


def _races(rig: Rig) -> Sequence[float]:
    """Return the lengths of races, in seconds: on a busy machine the first may be no race."""
    return (0.2, 0.4) if rig.quick else (0.2, 0.5, 1.0)


def _raced(rig: Rig, race: Callable[[], Any]) -> Any:
    try:
        return race()
    except NotStarted as trouble:
        rig.skip(str(trouble))
    except racing.Died as death:
        rig.fail(f"a process that used the segment died or hung: {death}")
