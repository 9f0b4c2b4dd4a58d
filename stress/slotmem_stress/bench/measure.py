"""Measure tables beside each other, in several processes.

Interface:

- `WORKLOADS` are what is measured: an operation on slots of a size, in 1, 2 and 4 processes
- `measure(...)` runs every case on every rival and gives a `BenchReport`
- `BenchReport.measurements()` has the medians

How it measures. Four workers are started once; each opens every table. A *round* measures one case on one rival: so many
workers repeat the operation from one common instant on, for so many seconds, and their rates are added up. Rounds go
through all rivals before the next case, and through all cases before the next repeat (A B C, A B C), so that what else the
machine does hits all alike. A cell is the median over the repeats. A ratio is the median of the quotients within a repeat.

Worker n puts and gets slot n, so that only the locks can be shared; grab+release take whatever slot is lowest.

Ctrl-C and SIGTERM are looked for while waiting for the workers, and blocked otherwise: nothing is interrupted half set up
or half removed.
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

ITEM_NUM = 1000
SIZES = (64, 4096)
PROCESSES = (1, 2, 4)
SHM_FOLDER = "/dev/shm"
_STOPS = {signal.SIGINT, signal.SIGTERM}
_LOOK_S = 0.001  # how long operations are repeated between two looks at the clock
_LEAD_S = 0.002  # how long the workers have to hear of a round before it begins
_SLICE_S = 0.1  # how long Ctrl-C may wait to be seen
_ANSWER_S = 60.0


class Workload(NamedTuple):
    """What is measured."""

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
    """One case on one rival: operations a second, and how many times the baseline's that is."""

    case: Workload
    rival: str
    ops_per_s: float
    ratio: float


class WorkerFailed(RuntimeError):
    """A worker process ended or hangs, so that nothing can be said."""


@dataclass
class BenchReport:
    """What a run measured: rates[case, rival] has operations a second, one for each repeat.

    `load` is the machine's load average before the run: how many others wanted a processor.
    """

    seconds: float
    repeats: int
    missing: dict[str, str]
    load: float
    rates: dict[tuple[Workload, str], list[float]] = field(default_factory=dict)

    def rivals(self) -> list[str]:
        """Name those that ran."""
        return [name for name in SETUPS if name not in self.missing]

    def measurement(self, case: Workload, rival: str) -> Measurement:
        """Give the medians."""
        rates, baseline = self.rates[case, rival], self.rates[case, BASELINE]
        ratio = median(mine / theirs for mine, theirs in zip(rates, baseline, strict=True))
        return Measurement(case, rival, median(rates), ratio)

    def measurements(self) -> list[Measurement]:
        """Give the medians of everything."""
        return [self.measurement(case, rival) for case in WORKLOADS for rival in self.rivals()]

    def machine(self) -> dict[str, Any]:
        """Say where this was measured."""
        return {
            "slotmem": slotmem.__version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "cpus": os.cpu_count(),
            "load_before": self.load,
        }


def measure(seconds: float, repeats: int) -> BenchReport:
    """Measure everything, in about so many seconds; tell the progress on standard error."""
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
            for case in WORKLOADS:
                for rival in report.rivals():
                    report.rates.setdefault((case, rival), []).append(_round(crew, case, rival, window_s))
    return report


def _round(crew: list[Connection], case: Workload, rival: str, window_s: float) -> float:
    """Give the sum of the workers' rates."""
    begins = time.monotonic() + _LEAD_S
    for worker in crew[: case.processes]:
        with suppress(BrokenPipeError):  # asking for its answer will tell
            worker.send((case, rival, begins, window_s))
    return sum(_answer(worker, window_s) for worker in crew[: case.processes])


def _answer(worker: Connection, window_s: float) -> float:
    deadline_s = time.monotonic() + window_s + _ANSWER_S
    while True:
        if stopped := signal.sigtimedwait(_STOPS, 0):
            raise KeyboardInterrupt if stopped.si_signo == signal.SIGINT else SystemExit(128 + stopped.si_signo)
        if worker.poll(_SLICE_S):
            break
        if time.monotonic() > deadline_s:
            raise WorkerFailed(f"a worker has not answered for {_ANSWER_S:.0f} s")
    try:
        rate: float = worker.recv()
    except (EOFError, ConnectionResetError):
        raise WorkerFailed("a worker has ended; what it said stands above") from None
    return rate


@contextmanager
def _stops_blocked() -> Iterator[None]:
    """Hold the signals back, also from processes started meanwhile."""
    resource_tracker.ensure_running()  # starting it would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# -- the workers --------------------------------------------------------------------------------------------------------


@contextmanager
def _worker(openers: dict[tuple[str, int], Opener], number: int) -> Iterator[Connection]:
    """Start a worker; give the pipe to it. It ends when the pipe does."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, openers, number), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.kill()  # it may be in the middle of a round, and has nothing to store
        process.join()
        process.close()


def _work(pipe: Connection, openers: dict[tuple[str, int], Opener], number: int) -> None:
    """Measure what one is told to, until the pipe ends."""
    with ExitStack() as stack:
        tables = {key: stack.enter_context(closing(opener())) for key, opener in openers.items()}
        with suppress(EOFError, BrokenPipeError):
            pipe.send(0.0)  # ready
            while True:
                case, rival, begins, window_s = pipe.recv()
                loop = _LOOPS[case.operation](tables[rival, case.item_size], number, case.item_size)
                pipe.send(_rate(loop, begins, window_s))


def _rate(loop: Callable[[int], None], begins: float, window_s: float) -> float:
    """Repeat an operation from an instant on. Give operations a second."""
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
