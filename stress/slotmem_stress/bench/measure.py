"""Measures slotmem and its rivals side by side, in several processes.

Interface:

- `measure(seconds, repeats)` runs every workload on every rival and returns a `BenchReport`.
- `BenchReport.measurements()` has the medians.

Four workers are started once, and each opens every table. A *round* measures one workload on one
table: some of the workers repeat the operation, from one common instant and for the same time, and
their rates are added up. Two rounds are a *pair*: slotmem and a rival, one right after the other,
by turns in this order and in the other one. Pairs go through all rivals before the next workload,
and through all workloads before the next repeat. So other work on the machine hits both of a pair
alike, and their ratio is worth more than their rates: what is told is the median of the pairs'
ratios, and how far the others are from it.

Worker n puts and gets slot n, so workers share nothing but locks; grab+release takes the lowest
slot. get+put is what update and compare_and_put are beside: the same bytes copied there and back,
by two calls.

Ctrl-C, SIGTERM and SIGHUP are polled for while waiting for the workers and blocked otherwise, so
nothing is interrupted half set up or half removed.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from statistics import median
from typing import Any, NamedTuple

import slotmem
from slotmem_model.verdict import Exit
from slotmem_stress.bench.rivals import OURS, RIVALS, TIMED, missing
from slotmem_stress.bench.workers import GET_PUT, PROCESSES, SIZES, WORKLOADS, Workload, worker
from slotmem_stress.interrupts import stop_if_asked, stops_blocked

ITEM_NUM = 1000
SHM_FOLDER = "/dev/shm"
_LEAD_S = 0.002  # how long before its beginning the workers are told of a round
_SLICE_S = 0.1  # how long it may take to notice Ctrl-C
_ANSWER_S = 60.0


class Pair(NamedTuple):
    """Operations a second of a rival, and of slotmem right beside it."""

    rival: float
    ours: float


class Measurement(NamedTuple):
    """One workload on one rival: medians of operations a second, and of the pairs' ratios.

    `ratio` says how many times as fast slotmem is; half the pairs are no farther from it than
    `spread`.
    """

    workload: Workload
    rival: str
    ops_per_s: float
    ours_per_s: float
    ratio: float
    spread: float


class WorkerFailed(RuntimeError):
    """A worker process ended or hangs, so there is no result."""


def machine(load: tuple[float, float]) -> dict[str, Any]:
    """Return what a measurement is made on, with its load average before and after."""
    return {
        "slotmem": slotmem.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "load_before": load[0],
        "load_after": load[1],
    }


@dataclass
class BenchReport:
    """What a run measured: `pairs[workload, rival]` has a pair of each repeat.

    `load` is the machine's load average before the run and after it: how many wanted a processor.
    """

    seconds: float
    repeats: int
    missing: dict[str, str]
    load: tuple[float, float]
    pairs: dict[tuple[Workload, str], list[Pair]] = field(default_factory=dict)

    def rivals(self) -> list[str]:
        """Return the names of those that ran beside ours."""
        return [name for name in TIMED if name != OURS and name not in self.missing]

    def measurement(self, workload: Workload, rival: str) -> Measurement:
        """Return the medians of one workload on one rival."""
        pairs = self.pairs[workload, rival]
        ratios = [pair.ours / pair.rival for pair in pairs]
        ratio = median(ratios)
        spread = median(abs(each - ratio) for each in ratios)
        rates = (median(pair.rival for pair in pairs), median(pair.ours for pair in pairs))
        return Measurement(workload, rival, *rates, ratio, spread)

    def ours_per_s(self, workload: Workload) -> float:
        """Return the median of slotmem's operations a second, beside whatever rival."""
        return median(pair.ours for rival in self.rivals() for pair in self.pairs[workload, rival])

    def measurements(self) -> list[Measurement]:
        """Return the medians of all workloads on all rivals."""
        return [self.measurement(workload, rival) for workload in WORKLOADS for rival in self.rivals()]

    def beside_get_and_put(self, workload: Workload) -> float:
        """Return how many times as fast slotmem does a workload as a get and a put by themselves,
        which it is to replace: the median of the ratios within each repeat.
        """
        apart = workload._replace(operation=GET_PUT)
        return median(
            one.ours / two.ours
            for rival in self.rivals()
            for one, two in zip(self.pairs[workload, rival], self.pairs[apart, rival], strict=True)
        )

    def exit_code(self) -> int:
        """Return that it was measured; speed is no verdict."""
        return Exit.HELD

    def machine(self) -> dict[str, Any]:
        """Return what this was measured on."""
        return machine(self.load)


def measure(seconds: float, repeats: int) -> BenchReport:
    """Measure everything in about `seconds`, with progress on standard error.

    Raises:
        WorkerFailed: if a worker process ends or hangs.
        OSError: if a table cannot be set up.
    """
    absent = {name: why for name, why in missing().items() if name in TIMED}
    report = BenchReport(seconds, repeats, absent, (os.getloadavg()[0], 0.0))
    with stops_blocked(), ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="slotmem-bench-", dir=SHM_FOLDER))
        openers = {
            (rival, size): stack.enter_context(RIVALS[rival].setup(folder, size, ITEM_NUM))
            for rival in (OURS, *report.rivals())
            for size in SIZES
        }
        for opener in openers.values():
            with closing(opener()) as table:
                for _ in range(max(PROCESSES)):
                    table.grab()
        crew = [stack.enter_context(worker(openers, number)) for number in range(max(PROCESSES))]
        for pipe in crew:
            _answer(pipe, 0.0)
        window_s = seconds / (2 * repeats * len(WORKLOADS) * len(report.rivals()))
        began = time.monotonic()
        for repeat in range(repeats):
            left_s = (time.monotonic() - began) / repeat * (repeats - repeat) if repeat else seconds
            print(f"bench: repeat {repeat + 1} of {repeats}, {left_s:.0f} s to go ...", file=sys.stderr, flush=True)
            for workload in WORKLOADS:
                for rival in report.rivals():
                    order = (OURS, rival) if repeat % 2 else (rival, OURS)
                    rates = {name: _round(crew, workload, name, window_s) for name in order}
                    report.pairs.setdefault((workload, rival), []).append(Pair(rates[rival], rates[OURS]))
    report.load = (report.load[0], os.getloadavg()[0])
    return report


def _round(crew: list[Connection], workload: Workload, rival: str, window_s: float) -> float:
    """Measure one workload on one rival; return the sum of the workers' rates."""
    begins = time.monotonic() + _LEAD_S
    for pipe in crew[: workload.processes]:
        with suppress(BrokenPipeError):  # its missing answer tells
            pipe.send((workload, rival, begins, window_s))
    return sum(_answer(pipe, window_s) for pipe in crew[: workload.processes])


def _answer(pipe: Connection, window_s: float) -> float:
    deadline_s = time.monotonic() + window_s + _ANSWER_S
    while True:
        stop_if_asked()
        if pipe.poll(_SLICE_S):
            break
        if time.monotonic() > deadline_s:
            raise WorkerFailed(
                f"a worker has been silent for {_ANSWER_S:.0f} s; is it stopped, or the machine overloaded?"
            )
    try:
        rate: float = pipe.recv()
    except (EOFError, ConnectionResetError):
        raise WorkerFailed("a worker process has ended; its error is printed above") from None
    return rate
