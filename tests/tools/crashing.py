"""Killing a process at each single access to shared memory, and judging what it left.

Interface:

- `OPERATIONS` has every operation in every case that makes a difference, each with the state it
  begins in.
- `crash_points(case)`, `crash_pairs(case)` and `crash_repairs(case, repairer)` go through all
  moments of death and give a `Campaign`: how many there were, and what was found wrong.
- `algorithm` and `image_class` stand for what is tried: the real ones, or broken variants.

A process dies before an access, and half-way through a copy of several bytes. The victim is a
forked child on memory that it shares with this process, which is the other one that must find
everything whole.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from slotmem import NoFreeSlot, SlotmemError
from slotmem.interface import Type
from slotmem.memory import control
from slotmem.memory.image import SharedImage
from slotmem.memory.layout import PAYLOAD_PREFIX_BYTES, PAYLOAD_START
from slotmem.slots import Slots
from slotmem_conformance.machines.driving import perform
from slotmem_model import spec

TIMEOUT_S = 60.0  # who waits so long for a lock waits for ever


class Watch:
    """Count what a process does, and kill it when it reaches number `fatal`."""

    def __init__(self, fatal: int = 0) -> None:
        self.count = 0
        self.fatal = fatal

    def step(self) -> None:
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class WatchedBytes:
    """A sequence each of whose accesses is a step; a store of several bytes is two."""

    def __init__(self, target: Any, watch: Watch) -> None:
        self.target = target
        self.watch = watch

    def __getitem__(self, key: Any) -> Any:
        self.watch.step()
        return self.target[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.watch.step()
        if isinstance(key, slice) and len(value) > 1:
            half = len(value) // 2
            self.target[key.start : key.start + half] = value[:half]
            self.watch.step()
        self.target[key] = value

    def find(self, *arguments: Any) -> int:
        self.watch.step()
        found: int = self.target.find(*arguments)
        return found


class WatchedImage:
    """An image of real memory whose every access is a step."""

    def __init__(self, image: Any, watch: Watch) -> None:
        self.geometry, self.mutexes, self.redo_start = image.geometry, image.mutexes, image.redo_start
        self.nobody, self.revive, self.owners, self.ended = image.nobody, image.revive, image.owners, image.ended
        self.me, self.sleep, self.wake = image.me, image.sleep, image.wake
        for sequence in ("memory", "inuse", "num_free", "redo", "words", "marks", "dirty"):
            setattr(self, sequence, WatchedBytes(getattr(image, sequence), watch))
        for sequence in ("tenants", "putters", "putting", "waiting"):
            setattr(self, sequence, WatchedBytes(getattr(image, sequence), watch))
        for call in ("trylock", "lock", "unlock", "consistent"):
            setattr(self, call, self._watched(getattr(image, call), watch))

    def _watched(self, call: Any, watch: Watch) -> Any:
        def step_and_call(mutex: Any) -> Any:
            watch.step()
            return call(mutex)

        return step_and_call


class Case(NamedTuple):
    """An operation and the state it begins in."""

    state: spec.Slots
    operation: spec.Operation

    def __str__(self) -> str:
        name, *arguments = self.operation
        used = "".join("01"[flag] for flag in self.state.inuse)
        return f"{'pregrab' if self.state.pregrab else 'plain'}-{used}-{name}({', '.join(map(repr, arguments))})"


def _states(pregrab: bool) -> tuple[spec.Slots, spec.Slots]:
    data = tuple(bytes([letter]) * 9 for letter in b"abcd")
    some = spec.Slots(9, pregrab, (True, False, True, False), data)
    return some, some._replace(inuse=(True,) * 4)


def _cases() -> Iterable[Case]:
    for pregrab in (True, False):
        some, full = _states(pregrab)
        yield Case(full, ("grab",))
        for operation in (
            *[("grab",), ("num_free_slots",), ("slots",), ("snapshot",)],
            *[("fgrab", 1), ("fgrab", 0), ("release", 2), ("release", 1)],
            *[("get", 0), ("get", 1), ("get", 3, 2), ("get", 2, 0)],
            *[("put", 0, b"PQRSTUVWX"), ("put", 2, b"PQ"), ("put", 2, b""), ("put", 1, b"PQRSTUVWX"), ("put", 3, b"P")],
            *[("compare_and_put", 0, b"aa", b"PQRST"), ("compare_and_put", 1, b"x", b"P")],
        ):
            yield Case(some, operation)


OPERATIONS = tuple(_cases())
REPAIRERS: tuple[spec.Operation, ...] = (
    *[("grab",), ("fgrab", 3), ("release", 0), ("get", 0), ("put", 0, b"abc"), ("put", 2, b"123456789")],
    *[("num_free_slots",), ("slots",), ("snapshot",)],
)


@dataclass
class Campaign:
    """What was tried and what was found."""

    deaths: int = 0
    findings: list[str] = field(default_factory=list)

    def note(self, finding: str, *where: object) -> None:
        if finding:
            self.findings.append(f"{' '.join(map(str, where))}: {finding}")


class Trial:
    """Memory in a given state, shared with forked children."""

    def __init__(self, state: spec.Slots, algorithm: type[Slots] = Slots, image_class: Any = SharedImage) -> None:
        flags = Type.PREGRAB if state.pregrab else Type(0)
        shape = control.shape_of(state.item_size, len(state.inuse), flags)
        memory = mmap.mmap(-1, shape.total)
        control.write_header(memory, shape)
        control.write_control(memory, shape)
        memory[PAYLOAD_START : shape.apr_length] = payload_of(state)
        self.state = state
        self.algorithm = algorithm
        self.image = image_class(memory, shape, TIMEOUT_S)
        self.image.initialize()

    def slots(self) -> Slots:
        return self.algorithm(self.image)

    def kill_at(self, operation: spec.Operation, fatal: int) -> bool:
        """Let a child do the operation and die at its access number `fatal`; return False if it had
        fewer.
        """
        child = os.fork()
        if child == 0:
            status = 1
            try:
                watch = Watch(fatal)
                perform(self.algorithm(WatchedImage(self.image, watch)), operation)  # type: ignore[arg-type]
                watch.step()  # dead after the last one, before its return
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        if status not in (0, signal.SIGKILL):
            raise RuntimeError(f"the child ended with status {status}")
        return status == signal.SIGKILL

    def judge(self, allowed: Iterable[spec.Slots]) -> str:
        """Say what is wrong with the memory, as another process finds it; "" if nothing is."""
        slots = self.slots()
        try:
            seen = slots.snapshot()
            if seen not in {payload_of(state) for state in allowed}:
                return f"it holds {seen!r}, neither wholly done nor not at all"
            return exercise(slots)
        except SlotmemError as error:
            return f"{type(error).__name__}: {error}"


def payload_of(state: spec.Slots) -> bytes:
    """Return the payload of a segment in this state."""
    free = struct.pack("=II", state.inuse.count(False), 0)
    assert len(free) == PAYLOAD_PREFIX_BYTES
    return free + b"".join(state.data) + bytes(state.inuse)


def step(state: spec.Slots, operation: spec.Operation) -> tuple[spec.Slots, Any]:
    """Do an operation of the specification, or the snapshot, which is not one."""
    if operation == ("snapshot",):
        return state, spec.Result(spec.SUCCESS, payload_of(state))
    return spec.step(state, operation)


def exercise(slots: Slots) -> str:
    """Grab all, put all, get all, release all: say what does not work, or ""."""
    grabbed = []
    try:
        while len(grabbed) <= slots.item_num:
            grabbed.append(slots.grab())
    except NoFreeSlot:
        pass
    if (free := slots.num_free_slots()) != 0:
        return f"all slots are grabbed, but num_free_slots is {free}"
    for item_id in range(slots.item_num):
        data = bytes([item_id]) * slots.item_size
        slots.put(item_id, data)
        if slots.get(item_id) != data:
            return f"slot {item_id} does not give back what was put"
    if list(slots.slots()) != list(range(slots.item_num)):
        return "not all slots are in use"
    for item_id in range(slots.item_num):
        slots.release(item_id)
    free = slots.num_free_slots()
    return "" if free == slots.item_num else f"all slots are released, but num_free_slots is {free}"


def deaths(case: Case, algorithm: type[Slots], image_class: Any = SharedImage) -> Iterator[tuple[int, Trial, bytes]]:
    """Kill the operation at each access in turn; yield its number, the memory, and a copy of the
    bytes that death left.

    A mutex is bytes too: with the copy put back, the memory is again as the dead one left it.
    """
    fatal = 1
    while (trial := Trial(case.state, algorithm, image_class)).kill_at(case.operation, fatal):
        yield fatal, trial, trial.image.memory[:]
        fatal += 1


def crash_points(case: Case, algorithm: type[Slots] = Slots, image_class: Any = SharedImage) -> Campaign:
    """Kill the operation at each access in turn; afterwards it has happened or not."""
    campaign = Campaign()
    after, _ = step(case.state, case.operation)
    for fatal, trial, _ in deaths(case, algorithm, image_class):
        campaign.deaths += 1
        campaign.note(trial.judge({case.state, after}), case, "killed at access", fatal)
    return campaign


def crash_pairs(case: Case, algorithm: type[Slots] = Slots) -> Campaign:
    """Kill the operation at each access in turn; whatever operation comes next finds that it has
    happened or not.
    """
    campaign = Campaign()
    after, _ = step(case.state, case.operation)
    for fatal, trial, left in deaths(case, algorithm):
        for repairer in REPAIRERS:
            trial.image.memory[:] = left
            answer = perform(trial.slots(), repairer)  # type: ignore[arg-type]
            stepped = [step(state, repairer) for state in (case.state, after)]
            allowed = {state for state, said in stepped if said == answer}
            finding = trial.judge(allowed) if allowed else f"it gave {answer}"
            campaign.note(finding, case, "killed at access", fatal, "then", repairer)
            campaign.deaths += 1
    return campaign


def crash_repairs(case: Case, repairer: spec.Operation, algorithm: type[Slots] = Slots) -> Campaign:
    """Kill the operation at each access, and then the next one, which repairs, at each of its
    accesses.
    """
    campaign = Campaign()
    after, _ = step(case.state, case.operation)
    allowed = {case.state, after} | {step(state, repairer)[0] for state in (case.state, after)}
    for first, trial, left in deaths(case, algorithm):
        second = 1
        while trial.kill_at(repairer, second):
            campaign.note(trial.judge(allowed), case, "killed at", first, "then", repairer, "killed at", second)
            campaign.deaths += 1
            second += 1
            trial.image.memory[:] = left
    return campaign
