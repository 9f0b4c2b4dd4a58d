"""Cases of death: SIGKILL of drivers at random moments and in each operation."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import NoReturn

from slotmem_conformance.cases import Case, case
from slotmem_conformance.notation import Request
from slotmem_conformance.rig import Rig

_SLOTS = 6
_LENGTH, _LONGEST = 1200, 20000  # operations of a batch; one that is done too soon is made longer
_BYTES = 1024
_VICTIMS = 2  # at once: while two want a lock, one of them nearly always has it
_SIGN: Request = {"op": "fgrab", "id": 5}  # the first operation of a batch, which tells the survivor that it has begun
_SIGN_S = 5.0
_OPERATIONS: dict[str, list[Request]] = {
    "grab-and-release": [{"op": "grab"}, {"op": "release", "id": 2}, {"op": "release", "id": 3}],
    "fgrab-and-release": [{"op": "fgrab", "id": 2}, {"op": "release", "id": 2}],
    "put": [{"op": "put", "id": 0, "data": f"{value:02x}" * _BYTES} for value in (0x11, 0x22, 0x33)],
    "get": [{"op": "get", "id": 0}],
    "num_free_slots": [{"op": "num_free_slots"}],
    "anything": [
        {"op": "grab"},
        *({"op": "put", "id": item_id, "data": f"{16 * item_id + 7:02x}" * _BYTES} for item_id in range(4)),
        {"op": "release", "id": 3},
        {"op": "get", "id": 1},
        {"op": "fgrab", "id": 3},
        {"op": "num_free_slots"},
        {"op": "release", "id": 2},
    ],
}


def _kills(clause: str, during: str) -> Case:
    """Make the case of killing processes again and again in one kind of operation, while another has the segment too."""

    def run(rig: Rig) -> None:
        rig.needs("shared", "batch")
        rig.process(0)
        rig.must(f"create w {_BYTES} {_SLOTS} PREGRAB; fgrab 0; fgrab 1")
        for item_id in (0, 1):
            rig.send(0, {"op": "put", "segment": 0, "id": item_id, "data": "11" * _BYTES})
        tried, length = False, _LENGTH
        for number in range(3 if rig.quick else 8):
            victims = range(1 + _VICTIMS * number, 1 + _VICTIMS * (number + 1))
            rig.process(*victims)
            requests = [_SIGN, *_OPERATIONS[during] * (length // len(_OPERATIONS[during]))]
            for victim in victims:
                rig.must(f"{victim}: attach w")
            batch = {"op": "batch", "segment": 0, "requests": requests}
            waits = [rig.begin(victim, batch) for victim in victims]
            _await_sign(rig)
            rig.pause(rig.choose.random() * 0.004)
            for victim in victims:
                rig.kill(victim)
            answered = [wait() for wait in waits]
            if all(answered):
                length = min(4 * length, _LONGEST)
            else:
                tried = True
            _LOOKS[clause](rig)
            rig.ask("fgrab 5; release 5")
        if not tried:
            rig.skip("every batch was done before its process was killed, so that nothing was tried")

    return Case(f"{clause}/{during}", run, f"after SIGKILL in {during}: {_SENTENCES[clause]}")


def _await_sign(rig: Rig) -> None:
    """Wait until the batch of a victim has begun."""
    ends = time.monotonic() + _SIGN_S
    while rig.ask("get 5 1")["status"] == "APR_NOTFOUND" and time.monotonic() < ends:
        pass


def _whole(rig: Rig) -> None:
    """See that no slot has parts of two puts (KILL-2)."""
    for item_id in range(_SLOTS):
        got = rig.ask(f"fgrab {item_id}; get {item_id}")
        data = bytes.fromhex(got.get("data", ""))
        if data != data[:1] * _BYTES:
            at = next((at for at in range(len(data)) if data[at] != data[0]), 0)
            rig.fail(
                f"slot {item_id} is torn: {data[:1].hex()} up to byte {at}, then {data[at : at + 1].hex()} ({got['status']})"
            )
        if item_id > 1:
            rig.ask(f"release {item_id}")


def _usable(rig: Rig) -> None:
    """See that the survivor can do every operation (KILL-3)."""
    for item_id in range(_SLOTS):
        rig.must(f"fgrab {item_id}; get {item_id}")
        rig.send(0, {"op": "put", "segment": 0, "id": item_id, "data": "11" * _BYTES})
    rig.must("num_free_slots; release 5; grab; release 2; release 3; release 4; release 5")


def _counted(rig: Rig) -> None:
    """See that num_free_slots is the number of free slots (KILL-4)."""
    free, used = rig.ask("num_free_slots").get("value"), len(rig.value("doall", "slots"))
    if free != _SLOTS - used:
        rig.fail(f"num_free_slots is {free}, but {used} of {_SLOTS} slots are in use")


_LOOKS = {"KILL-2": _whole, "KILL-3": _usable, "KILL-4": _counted}
_SENTENCES = {"KILL-2": "no slot is torn", "KILL-3": "the others can do everything", "KILL-4": "the counter is right"}

PROGRAMS = (
    *(_kills(clause, during) for clause, during in [
        ("KILL-2", "put"), ("KILL-2", "anything"),
        *(("KILL-3", during) for during in _OPERATIONS),
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
    """A segment that a killed server left is replaced by the next create, fresh and in the new shape."""
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
    """A segment whose creator was killed, but which another still uses, is no remainder: create is refused."""
    rig.needs("shared")
    rig.process(0)
    rig.do("create w 4 2 PREGRAB; 1: attach w; 1: fgrab 1; 1: put 1 ABCD")
    rig.kill(0)
    rig.do("2: create w 4 2 PREGRAB; 1: get 1; 1: num_free_slots")


@case("SIGNAL-1/exception-in-a-handler")
def exception_in_a_handler(rig: Rig) -> None:
    """An exception from a signal handler in the middle of operations leaves no lock held, nothing torn, the counter right."""
    session = rig.session()
    if session.killable or threading.current_thread() is not threading.main_thread():
        rig.skip("only an implementation in this process's main thread can be interrupted by an exception")
    rig.must(f"create w {_BYTES} {_SLOTS} PREGRAB; fgrab 0; fgrab 1")

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
                    for request in _OPERATIONS["anything"]:
                        session.request({**request, "segment": 0})
            except Interruption:
                _counted(rig)
        _whole(rig)
        _usable(rig)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
