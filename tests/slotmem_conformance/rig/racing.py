"""How often a provider gives a slot twice, and how often a get is torn: numbers and evidence.

Interface:

- `double_grabs(make_provider)` lets processes grab and release slots and counts the grabs that
  returned a slot which somebody still held.
- `torn_gets(make_provider, item_size)` lets writers and readers loose on one slot and counts the
  gets that mixed two puts.
- make_provider opens the provider in each process, all on one runtime directory; it must be
  picklable. With threads=True one process opens it, and its threads race; else its segments must be
  shared.
- `Died` is raised if a process crashed, which is a verdict of its own; `slotmem.Unsupported`
  without a C compiler.

The loops are in C (`loops`), so that little time passes outside the calls. What is counted has
happened; a count of 0 proves nothing about what was not tried. Once a slot has been given twice it
is released twice, the second time under its next holder: one lost race makes many double grabs.
Whether a whole history is linearizable is judged elsewhere.

Clauses: ATOMIC-2 (double grabs), ATOMIC-3 (torn gets).
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from multiprocessing.synchronize import Barrier
from typing import Any, NamedTuple

from slotmem import Type
from slotmem_conformance.rig import loops
from slotmem_conformance.rig.apart import call_apart
from slotmem_conformance.rig.loops import Work

NAME = "race"
_PATIENCE_S = 15.0  # for starting Python and meeting at the gate


class Died(RuntimeError):
    """A process of a race crashed or hung."""


class Meeting(NamedTuple):
    """Two holders of one slot: `holder` had it since held_since, when a grab of `grabber` returned
    it. Times in ns.
    """

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
    """What became of the gets.

    Every put fills the slot with one byte; `example` is one torn get as (length, byte) runs.
    """

    item_size: int
    gets: int
    torn: int
    example: tuple[tuple[int, int], ...]

    @property
    def share(self) -> float:
        """The share of gets that mixed two puts."""
        return self.torn / self.gets if self.gets else 0.0


def double_grabs(
    make_provider: Callable[[], Any],
    *,
    processes: int = 4,
    slots: int = 8,
    item_size: int = 64,
    seconds: float = 1.0,
    threads: bool = False,
) -> DoubleGrabs:
    """Let processes, or threads of one, grab and release for a while, each keeping its share of the
    slots.

    `item_size` is a multiple of 8, and at least `loops.BADGE_BYTES`.

    Raises:
        Died
        Unsupported
    """
    if item_size % 8 or item_size < loops.BADGE_BYTES or not 0 < processes <= slots:
        raise ValueError(
            f"got {processes} processes on {slots} slots of {item_size} bytes; expected a slot for each process, "
            f"of a multiple of 8 bytes and at least {loops.BADGE_BYTES}"
        )
    loops.compiled()  # once, before several want it
    work = [partial(loops.grabs, process, slots // processes) for process in range(processes)]
    num_free, answers = _race(make_provider, item_size, slots, seconds, work, threads)
    known = [Meeting(*met) for _, _, met in answers if met[2]]
    first = min(known, key=lambda met: met.grab_end, default=None)
    return DoubleGrabs(
        sum(answer[0] for answer in answers), sum(answer[1] for answer in answers), slots, num_free, first
    )


def torn_gets(
    make_provider: Callable[[], Any],
    item_size: int,
    *,
    writers: int = 2,
    readers: int = 2,
    seconds: float = 0.5,
    threads: bool = False,
) -> TornGets:
    """Let writers and readers, processes or threads of one, loose on one slot for a while.

    Raises:
        Died
        Unsupported
    """
    if item_size < 1 or not 0 < writers < 16:
        raise ValueError(
            f"got {writers} writers to a slot of {item_size} bytes; expected 1 to 15 writers, 1 byte or more"
        )
    loops.compiled()
    work: list[Work] = [*(partial(loops.puts, writer, 0, 0) for writer in range(writers)), *[loops.gets] * readers]
    _, answers = _race(make_provider, item_size, 1, seconds, work, threads, grabbed=1)
    reads = answers[writers:]
    torn = [example for _, torn, example in reads if torn]
    runs = tuple((len(list(run)), byte) for byte, run in groupby(torn[0])) if torn else ()
    return TornGets(item_size, sum(answer[0] for answer in reads), sum(answer[1] for answer in reads), runs)


def _race(
    make_provider: Callable[[], Any],
    item_size: int,
    slots: int,
    seconds: float,
    work: Sequence[Work],
    threads: bool,
    grabbed: int = 0,
) -> tuple[int, list[Any]]:
    """Let processes, or threads of one, loose on one segment.

    Return the number of free slots at the end and what each answered.
    """
    if threads:
        whole = partial(_in_threads, make_provider, item_size, slots, grabbed, int(seconds * 1e9), work)
        [found] = call_apart([whole], timeout_s=2 * (seconds + _PATIENCE_S))
        if found.death:
            raise Died(found.death)
        answer: tuple[int, list[Any]] = found.answer
        return answer
    gate = multiprocessing.get_context("spawn").Barrier(len(work) + 1, timeout=seconds + _PATIENCE_S)
    crew = [partial(_own, make_provider, item_size, slots, grabbed, gate)]
    crew += [partial(_take_part, make_provider, gate, int(seconds * 1e9), each) for each in work]
    ended = call_apart(crew, timeout_s=2 * (seconds + _PATIENCE_S))
    deaths = [each.death for each in ended if each.death]
    if deaths:  # the others only waited in vain for the one that died
        raise Died(min(deaths, key=lambda death: not death.startswith("SIG")))
    num_free, *answers = (each.answer for each in ended)
    return num_free, answers


def _in_threads(
    make_provider: Callable[[], Any], item_size: int, slots: int, grabbed: int, nanoseconds: int, work: Sequence[Work]
) -> tuple[int, list[Any]]:
    with make_provider() as provider, ThreadPoolExecutor(len(work)) as crew:
        instance = _created(provider, item_size, slots, grabbed)
        gate = threading.Barrier(len(work))

        def take_part(each: Work) -> Any:
            gate.wait()
            return each(instance, nanoseconds)

        answers = list(crew.map(take_part, work))
        return instance.num_free_slots(), answers


def _created(provider: Any, item_size: int, slots: int, grabbed: int) -> Any:
    instance = provider.create(NAME, item_size, slots, Type.PREGRAB)
    for item_id in range(grabbed):
        instance.fgrab(item_id)
    return instance


def _own(make_provider: Callable[[], Any], item_size: int, slots: int, grabbed: int, gate: Barrier) -> int:
    with make_provider() as provider:
        instance = _created(provider, item_size, slots, grabbed)
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
