"""Measures slotmem and its rivals side by side, in several processes.

Interface:

- `WORKLOADS`: an operation on slots of one size, in 1, 2 or 4 processes.
- `measure(seconds, repeats)` runs every workload on every rival and returns a `BenchReport`.
- `BenchReport.measurements()` has the medians.

Four workers are started once, and each opens every table. A *round* measures one workload on one
rival: some of the workers repeat the operation, from one common instant and for the same time, and
their rates are added up. Rounds go through all rivals before the next workload, and through all
workloads before the next repeat, so that other work on the machine hits all alike. A measurement is
the median over the repeats; a ratio is the median of the ratios within each repeat.

Worker n puts and gets slot n, so workers share nothing but locks; grab+release takes the lowest
slot.

Ctrl-C, SIGTERM and SIGHUP are polled for while waiting for the workers and blocked otherwise, so
nothing is interrupted half set up or half removed.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from statistics import median
from typing import Any, NamedTuple

import slotmem
from slotmem_stress.bench.contract import Opener, SlotTable
from slotmem_stress.bench.rivals import BASELINE, SETUPS, missing
from slotmem_stress.interrupts import end, heeded

ITEM_NUM = 1000
SIZES = (64, 4096)
PROCESSES = (1, 2, 4)
SHM_FOLDER = "/dev/shm"
_LOOK_S = 0.001  # how long operations are repeated between two readings of the clock
_LEAD_S = 0.002  # how long before its beginning the workers are told of a round
_SLICE_S = 0.1  # how long it may take to notice Ctrl-C
_ANSWER_S = 60.0


class Workload(NamedTuple):
    """An operation on slots of one size, in some processes."""

    operation: str
    item_size: int
    processes: int


WORKLOADS = [
    Workload(operation, item_size, processes)
    for operation, sizes in (("grab+release", SIZES[:1]), ("put", SIZES), ("get", SIZES))
    for item_size in sizes
    for processes in PROCESSES
]


class Measurement(NamedTuple):
    """One workload on one rival: operations a second, and their ratio to the baseline's."""

    workload: Workload
    rival: str
    ops_per_s: float
    ratio: float


class WorkerFailed(RuntimeError):
    """A worker process ended or hangs, so there is no result."""


@dataclass
class BenchReport:
    """What a run measured: `rates[workload, rival]` has the operations a second of each repeat.

    `load` is the machine's load average before the run: how many others wanted a processor.
    """

    seconds: float
    repeats: int
    missing: dict[str, str]
    load: float
    rates: dict[tuple[Workload, str], list[float]] = field(default_factory=dict)

    def rivals(self) -> list[str]:
        """Return the names of those that ran."""
        return [name for name in SETUPS if name not in self.missing]

    def measurement(self, workload: Workload, rival: str) -> Measurement:
        """Return the medians of one workload on one rival."""
        rates, baseline = self.rates[workload, rival], self.rates[workload, BASELINE]
        ratio = median(mine / theirs for mine, theirs in zip(rates, baseline, strict=True))
        return Measurement(workload, rival, median(rates), ratio)

    def measurements(self) -> list[Measurement]:
        """Return the medians of all workloads on all rivals."""
        return [self.measurement(workload, rival) for workload in WORKLOADS for rival in self.rivals()]

    def machine(self) -> dict[str, Any]:
        """Return what this was measured on."""
        return {
            "slotmem": slotmem.__version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cpus": os.cpu_count(),
            "load_before": self.load,
        }


def measure(seconds: float, repeats: int) -> BenchReport:
    """Measure everything in about `seconds`, with progress on standard error.

    Raises:
        WorkerFailed: if a worker process ends or hangs.
        OSError: if a table cannot be set up.
    """
    report = BenchReport(seconds, repeats, missing(), os.getloadavg()[0])
    with _stops_blocked(), ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="slotmem-bench-", dir=SHM_FOLDER))
        openers = {
            (rival, size): stack.enter_context(SETUPS[rival](folder, size, ITEM_NUM))
            for rival in report.rivals()
            for size in SIZES
        }
        for opener in openers.values():
            with closing(opener()) as table:
                for _ in range(max(PROCESSES)):
                    table.grab()
        crew = [stack.enter_context(_worker(openers, number)) for number in range(max(PROCESSES))]
        for worker in crew:
            _answer(worker, 0.0)
        window_s = seconds / (repeats * len(WORKLOADS) * len(report.rivals()))
        began = time.monotonic()
        for repeat in range(repeats):
            left_s = (time.monotonic() - began) / repeat * (repeats - repeat) if repeat else seconds
            print(f"bench: repeat {repeat + 1} of {repeats}, {left_s:.0f} s to go ...", file=sys.stderr, flush=True)
            for workload in WORKLOADS:
                for rival in report.rivals():
                    report.rates.setdefault((workload, rival), []).append(_round(crew, workload, rival, window_s))
    return report


def _round(crew: list[Connection], workload: Workload, rival: str, window_s: float) -> float:
    """Measure one workload on one rival; return the sum of the workers' rates."""
    begins = time.monotonic() + _LEAD_S
    for worker in crew[: workload.processes]:
        with suppress(BrokenPipeError):  # its missing answer tells
            worker.send((workload, rival, begins, window_s))
    return sum(_answer(worker, window_s) for worker in crew[: workload.processes])


def _answer(worker: Connection, window_s: float) -> float:
    deadline_s = time.monotonic() + window_s + _ANSWER_S
    while True:
        if stopped := signal.sigtimedwait(heeded(), 0):
            raise KeyboardInterrupt if stopped.si_signo == signal.SIGINT else SystemExit(128 + stopped.si_signo)
        if worker.poll(_SLICE_S):
            break
        if time.monotonic() > deadline_s:
            raise WorkerFailed(
                f"a worker has been silent for {_ANSWER_S:.0f} s; is it stopped, or the machine overloaded?"
            )
    try:
        rate: float = worker.recv()
    except (EOFError, ConnectionResetError):
        raise WorkerFailed("a worker process has ended; its error is printed above") from None
    return rate


@contextmanager
def _stops_blocked() -> Iterator[None]:
    """Block them, in child processes started meanwhile too."""
    resource_tracker.ensure_running()  # its start would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, heeded())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# -- the workers -----------------------------------------------------------------------------------


@contextmanager
def _worker(openers: dict[tuple[str, int], Opener], number: int) -> Iterator[Connection]:
    """Start a worker and yield the pipe to it; kill it at the end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, openers, number), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        end(process)  # before the pipe closes: it may be in the middle of a round
        ours.close()


def _work(pipe: Connection, openers: dict[tuple[str, int], Opener], number: int) -> None:
    """Be a worker: measure what the pipe asks for, until it closes."""
    with ExitStack() as stack:
        tables = {key: stack.enter_context(closing(opener())) for key, opener in openers.items()}
        with suppress(EOFError, ConnectionError):  # reset, if the parent died with an answer unread
            pipe.send(0.0)  # ready
            while True:
                workload, rival, begins, window_s = pipe.recv()
                loop = _LOOPS[workload.operation](tables[rival, workload.item_size], number, workload.item_size)
                pipe.send(_rate(loop, begins, window_s))


def _rate(loop: Callable[[int], None], begins: float, window_s: float) -> float:
    """Repeat an operation from an instant on; return operations a second."""
    time.sleep(max(0.0, begins - time.monotonic()))
    times, done = 1, 0
    began = now = time.monotonic()
    while now < began + window_s:
        loop(times)
        done += times
        before, now = now, time.monotonic()
        if now - before < _LOOK_S:
            times *= 2
    return done / (now - began)


def _grab_release(table: SlotTable, number: int, item_size: int) -> Callable[[int], None]:
    del number, item_size
    grab, release = table.grab, table.release

    def loop(times: int) -> None:
        for _ in range(times):
            release(grab())

    return loop


def _put(table: SlotTable, number: int, item_size: int) -> Callable[[int], None]:
    put, data = table.put, bytes([number]) * item_size

    def loop(times: int) -> None:
        for _ in range(times):
            put(number, data)

    return loop


def _get(table: SlotTable, number: int, item_size: int) -> Callable[[int], None]:
    del item_size
    get = table.get

    def loop(times: int) -> None:
        for _ in range(times):
            get(number)

    return loop


_LOOPS = {"grab+release": _grab_release, "put": _put, "get": _get}
