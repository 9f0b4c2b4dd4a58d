"""How often a provider gives a slot twice, and how often a get is torn: numbers and evidence.

Interface:

- `double_grabs(make_provider)` lets processes grab and release slots and counts the grabs that returned a slot which
  somebody still held.
- `torn_gets(make_provider, item_size)` lets writers and readers at one slot and counts the gets that mixed two puts.
- `loop_of_calls(instance, requests, ns)` gives what does requests on a library's segment over and over.
- make_provider opens the provider in each process, all on one runtime directory; it can be pickled. The provider's segments
  must be shared.
- `Died` is raised if a process crashed, which is a verdict of its own; `slotmem.Unsupported` without a C compiler.

The loops are in C (`racing.c`), so that little time passes outside the calls: an `abi` library is called directly, any
other provider back in Python. What is counted has happened; a count of 0 proves nothing about what was not tried. Once
a slot has been given twice it is released twice, the second time under its next holder: one lost race makes many double
grabs. Whether a whole history is linearizable is judged elsewhere.

Clauses: ATOMIC-2 (double grabs), ATOMIC-3 (torn gets).
"""

from __future__ import annotations

import ctypes
import multiprocessing
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, NamedTuple

from slotmem import SlotmemError, Type
from slotmem_conformance.abi import AbiInstance
from slotmem_conformance.apart import call_apart
from slotmem_conformance.compiling import shared_library

NAME = "race"
BADGE_BYTES = 24
_LOOPS = Path(__file__).with_name("racing.c")
_PATIENCE_S = 15.0  # for starting Python and meeting at the gate

_grab_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint))
_release_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)
_copy_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_size_t)

Work = Callable[[Any, int], Any]
"""What a process does with the instance for so many nanoseconds."""


class Died(RuntimeError):
    """A process of a race crashed or hung."""


class Meeting(NamedTuple):
    """Two holders of one slot: `holder` had it since held_since, when a grab of `grabber` returned it. Times in ns."""

    item_id: int
    holder: int
    held_since: int
    grabber: int
    grab_start: int
    grab_end: int


class DoubleGrabs(NamedTuple):
    """What became of the grabs; `first` is the first double one that is known in full."""

    grabs: int
    doubled: int
    num_slots: int
    num_free_at_end: int
    """After everybody has released everything it must be num_slots."""
    first: Meeting | None

    @property
    def share(self) -> float:
        """The share of grabs that returned a slot which somebody still held."""
        return self.doubled / self.grabs if self.grabs else 0.0


class TornGets(NamedTuple):
    """What became of the gets. Every put fills the slot with one byte; `example` is one torn get as (length, byte) runs."""

    item_size: int
    gets: int
    torn: int
    example: tuple[tuple[int, int], ...]

    @property
    def share(self) -> float:
        """The share of gets that mixed two puts."""
        return self.torn / self.gets if self.gets else 0.0


def double_grabs(
    make_provider: Callable[[], Any], *, processes: int = 4, slots: int = 8, item_size: int = 64, seconds: float = 1.0
) -> DoubleGrabs:
    """Let processes grab and release for a while, each keeping its share of the slots. Raises: Died, Unsupported.

    item_size: a multiple of 8, and at least BADGE_BYTES.
    """
    if item_size % 8 or item_size < BADGE_BYTES or not 0 < processes <= slots:
        raise ValueError(f"{processes} processes on {slots} slots of {item_size} bytes cannot wear badges")
    shared_library(_LOOPS)  # once, before several want it
    work = [partial(_grab_and_release, process, slots // processes) for process in range(processes)]
    num_free, answers = _race(make_provider, item_size, slots, seconds, work)
    known = [Meeting(*met) for _, _, met in answers if met[2]]
    first = min(known, key=lambda met: met.grab_end, default=None)
    return DoubleGrabs(
        sum(answer[0] for answer in answers), sum(answer[1] for answer in answers), slots, num_free, first
    )


def torn_gets(
    make_provider: Callable[[], Any], item_size: int, *, writers: int = 2, readers: int = 2, seconds: float = 0.5
) -> TornGets:
    """Let writers and readers at one slot for a while. Raises: Died, Unsupported."""
    if item_size < 1 or not 0 < writers < 16:
        raise ValueError(f"{writers} writers to a slot of {item_size} bytes cannot be told apart")
    shared_library(_LOOPS)
    work: list[Work] = [*(partial(_write, writer) for writer in range(writers)), *[_read] * readers]
    _, answers = _race(make_provider, item_size, 1, seconds, work)
    reads = answers[writers:]
    torn = [example for _, torn, example in reads if torn]
    runs = tuple((len(list(run)), byte) for byte, run in groupby(torn[0])) if torn else ()
    return TornGets(item_size, sum(answer[0] for answer in reads), sum(answer[1] for answer in reads), runs)


def _race(
    make_provider: Callable[[], Any], item_size: int, slots: int, seconds: float, work: Sequence[Work]
) -> tuple[int, list[Any]]:
    """Let processes loose on one segment. Give the number of free slots at the end and what each answered."""
    gate = multiprocessing.get_context("spawn").Barrier(len(work) + 1, timeout=seconds + _PATIENCE_S)
    crew = [partial(_own, make_provider, item_size, slots, gate)]
    crew += [partial(_take_part, make_provider, gate, int(seconds * 1e9), each) for each in work]
    ended = call_apart(crew, timeout_s=2 * (seconds + _PATIENCE_S))
    deaths = [each.death for each in ended if each.death]
    if deaths:  # the others only waited in vain for the one that died
        raise Died(min(deaths, key=lambda death: not death.startswith("SIG")))
    num_free, *answers = (each.answer for each in ended)
    return num_free, answers


def _own(make_provider: Callable[[], Any], item_size: int, slots: int, gate: Barrier) -> int:
    with make_provider() as provider:
        instance = provider.create(NAME, item_size, slots, Type.PREGRAB)
        gate.wait()  # made
        gate.wait()  # all attached
        gate.wait()  # all done
        num_free: int = instance.num_free_slots()
        return num_free


def _take_part(make_provider: Callable[[], Any], gate: Barrier, nanoseconds: int, work: Work) -> Any:
    with make_provider() as provider:
        gate.wait()
        instance = provider.attach(NAME)
        gate.wait()
        answer = work(instance, nanoseconds)
        gate.wait()
        return answer


def _grab_and_release(process: int, keep: int, instance: Any, nanoseconds: int) -> tuple[int, int, tuple[int, ...]]:
    views = [(ctypes.c_char * BADGE_BYTES).from_buffer(instance.dptr(at)) for at in range(instance.num_slots())]
    badges = (ctypes.c_void_p * len(views))(*(ctypes.addressof(view) for view in views))
    counts, met = (ctypes.c_longlong * 2)(), (ctypes.c_longlong * len(Meeting._fields))()
    segment, grab, release, _, _ = _calls(instance)
    ctypes.CDLL(str(shared_library(_LOOPS))).race_grabs(
        segment,
        grab,
        release,
        badges,
        ctypes.c_longlong(process),
        ctypes.c_size_t(keep),
        (ctypes.c_uint * keep)(),
        ctypes.c_longlong(nanoseconds),
        counts,
        met,
    )
    return counts[0], counts[1], tuple(met)


def _write(writer: int, instance: Any, nanoseconds: int) -> None:
    instance.fgrab(0)
    size = instance.slot_size()
    segment, _, _, _, put = _calls(instance)
    buffer = ctypes.create_string_buffer(size)
    ctypes.CDLL(str(shared_library(_LOOPS))).race_puts(
        segment, put, writer, buffer, ctypes.c_size_t(size), ctypes.c_longlong(nanoseconds)
    )


def _read(instance: Any, nanoseconds: int) -> tuple[int, int, bytes]:
    instance.fgrab(0)
    size = instance.slot_size()
    segment, _, _, get, _ = _calls(instance)
    buffer, example, counts = (ctypes.c_char * size)(), (ctypes.c_char * size)(), (ctypes.c_longlong * 2)()
    ctypes.CDLL(str(shared_library(_LOOPS))).race_gets(
        segment, get, buffer, ctypes.c_size_t(size), ctypes.c_longlong(nanoseconds), counts, example
    )
    return counts[0], counts[1], example.raw


class _Call(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_int),
        ("item_id", ctypes.c_uint),
        ("bytes", ctypes.c_char_p),
        ("len", ctypes.c_size_t),
    )


_LOOPED = ("grab", "fgrab", "release", "get", "put", "num_free_slots")  # in the order of racing.c


def loop_of_calls(instance: AbiInstance, requests: Sequence[dict[str, Any]], nanoseconds: int) -> Callable[[], None]:
    """Give a function that does slot operations (requests of a batch) for so long, whatever they answer. Raises: Unsupported."""
    loops = ctypes.CDLL(str(shared_library(_LOOPS)))
    size = instance.slot_size()
    calls = (_Call * len(requests))()
    for call, request in zip(calls, requests, strict=True):
        data = bytes.fromhex(request["data"]) if "data" in request else None
        call.op, call.item_id = _LOOPED.index(request["op"]), request.get("id", 0)
        call.bytes, call.len = data, size if data is None else len(data)
    functions = (ctypes.c_void_p * len(_LOOPED))(
        *(ctypes.cast(getattr(instance.library, op), ctypes.c_void_p).value for op in _LOOPED)
    )
    room = ctypes.create_string_buffer(size)

    def work() -> None:
        loops.race_calls(
            ctypes.c_void_p(instance.segment),
            functions,
            calls,
            ctypes.c_size_t(len(calls)),
            room,
            ctypes.c_longlong(nanoseconds),
        )

    return work


def _calls(instance: Any) -> tuple[Any, ...]:
    """Give a segment and its grab, release, get and put as C functions: a library's own, or ones that call Python."""
    if isinstance(instance, AbiInstance):
        library = instance.library
        return ctypes.c_void_p(instance.segment), library.grab, library.release, library.get, library.put

    def grab(_: Any, item_id: Any) -> None:
        item_id[0] = instance.grab()

    def release(_: Any, item_id: int) -> None:
        instance.release(item_id)

    def get(_: Any, item_id: int, place: int, nbytes: int) -> None:
        ctypes.memmove(place, instance.get(item_id, nbytes), nbytes)

    def put(_: Any, item_id: int, place: int, nbytes: int) -> None:
        instance.put(item_id, ctypes.string_at(place, nbytes))

    return (
        None,
        _grab_type(_with_status(grab)),
        _release_type(_with_status(release)),
        _copy_type(_with_status(get)),
        _copy_type(_with_status(put)),
    )


def _with_status(call: Callable[..., None]) -> Callable[..., int]:
    def answer(*arguments: Any) -> int:
        try:
            call(*arguments)
        except SlotmemError as error:
            return int(error.status)
        return 0

    return answer
