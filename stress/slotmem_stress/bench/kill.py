"""Kills processes inside operations on slotmem and its rivals, and lets a survivor look.

Interface: `kill(kills, budget_s)` returns a `KillReport`; its `rows()` sum up.

Each rival has a *host*, a process that does its tries (see `host`): what a rival does to its
interpreter, or to itself, is nothing to the others.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from statistics import median
from typing import Any, NamedTuple

from slotmem_model.verdict import Exit
from slotmem_stress.bench import measure
from slotmem_stress.bench.findings import KINDS
from slotmem_stress.bench.host import Try, asked, be_host, context
from slotmem_stress.bench.rivals import OURS, RIVALS, missing
from slotmem_stress.bench.victims import OPERATIONS
from slotmem_stress.interrupts import end, stop_if_asked, stops_blocked

_ENDS_S = 100.0  # how long a host may take to end in good order
_TOLD_S = 2.0
_SLICE_S = 0.1
_TOLD_S = 2.0


class Row(NamedTuple):
    """All kills inside one operation of a rival: how many, how often each kind of damage was found
    with an example, and the median of what it took to go on.
    """

    rival: str
    operation: str
    kills: int
    counts: dict[str, int]
    examples: dict[str, str]
    recovery_ms: float | None


@dataclass
class KillReport:
    """What a run found: `tries` of each rival; `missing` says who was not asked, and why."""

    kills: int
    budget_s: float
    load: tuple[float, float]
    missing: dict[str, str]
    tries: dict[str, list[Try]] = field(default_factory=dict)

    def machine(self) -> dict[str, Any]:
        """Return what it was found on."""
        return measure.machine(self.load)

    def rows(self) -> list[Row]:
        """Return a row for each operation that was asked of a rival, ours first."""
        return [
            _row(name, operation, [each for each in self.tries[name] if each.operation == operation])
            for name in RIVALS
            if name in self.tries
            for operation in asked(RIVALS[name])
        ]

    def exit_code(self) -> int:
        """Return whether slotmem itself held: it promises not to be stuck, torn or miscounted."""
        tries = self.tries.get(OURS, ())
        if any({"stuck", "torn", "miscounted"} & each.found.keys() for each in tries):
            return Exit.VIOLATED
        return Exit.HELD if {each.operation for each in tries} == {*OPERATIONS} else Exit.UNDECIDED


def _row(rival: str, operation: str, tries: list[Try]) -> Row:
    counts = {kind: sum(kind in each.found for each in tries) for kind in KINDS}
    examples = {kind: next(each.found[kind] for each in tries if kind in each.found) for kind in KINDS if counts[kind]}
    times = [each.ms for each in tries if each.ms is not None]
    return Row(rival, operation, len(tries), counts, examples, median(times) if times else None)


def kill(kills: int, budget_s: float) -> KillReport:
    """Kill so often inside each operation of each rival, with progress on standard error.

    When the budget is used up, no more tries are begun; each rival gets its share of it.

    Raises:
        OSError: if the folder cannot be made.
    """
    report = KillReport(kills, budget_s, (os.getloadavg()[0], 0.0), missing())
    ends = time.monotonic() + budget_s
    with stops_blocked(), tempfile.TemporaryDirectory(prefix="slotmem-bench-", dir=measure.SHM_FOLDER) as folder:
        rivals = [name for name in RIVALS if name not in report.missing]
        for number, rival in enumerate(rivals):
            share_s = max(0.0, ends - time.monotonic()) / (len(rivals) - number)
            total = kills * len(asked(RIVALS[rival]))
            print(f"bench: {rival} ({number + 1} of {len(rivals)}), {total} kills ...", file=sys.stderr, flush=True)
            with _host(rival, kills, folder, time.monotonic() + share_s) as pipe:
                _collect(report, rival, total, pipe)
    report.load = (report.load[0], os.getloadavg()[0])
    return report


def _collect(report: KillReport, rival: str, total: int, pipe: Connection) -> None:
    tries: list[Try] = []
    told = time.monotonic()
    with suppress(EOFError, ConnectionError):
        while True:
            stop_if_asked()
            if time.monotonic() > told + _TOLD_S:
                told = time.monotonic()
                print(f"bench: {rival}: {len(tries)} of {total} kills ...", file=sys.stderr, flush=True)
            if not pipe.poll(_SLICE_S):
                continue
            answer = pipe.recv()
            if answer is None:
                report.tries[rival] = tries
            elif isinstance(answer, str):
                report.missing[rival] = answer
            else:
                tries.append(answer)
    if rival not in report.tries and rival not in report.missing:
        report.missing[rival] = f"the process that was to kill others has died itself, after {len(tries)} kills"


@contextmanager
def _host(rival: str, kills: int, folder: str, ends: float) -> Iterator[Connection]:
    ours, theirs = context().Pipe()
    place = os.path.join(folder, str(list(RIVALS).index(rival)))
    os.mkdir(place)
    process = context().Process(target=be_host, args=(theirs, RIVALS[rival], kills, place, folder[-8:], ends))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(_ENDS_S)
        end(process)
