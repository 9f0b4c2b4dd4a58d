"""Kills processes inside operations on slotmem and its rivals, and lets a survivor look.

Interface: `kill(kills, budget_s)` returns a `KillReport`; its `rows()` sum up.

A *try* has a table of its own. A victim repeats one operation, and marks when it is inside. It is
stopped at a random instant; if it is not inside just then, it goes on, else it is killed where it
stands. Only then does a survivor, who has the table open, use it. If it cannot go on, another one
tries, so that nobody is accused for having been slow.

Each rival has a *host*, a process that does its tries: what a rival does to its interpreter, or to
itself, is nothing to the others. A host ends in good order when the pipe to it is closed.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess, current_process
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from slotmem.memory import names
from slotmem_stress.bench import measure
from slotmem_stress.bench.contract import Opener
from slotmem_stress.bench.findings import ITEM_NUM, ITEM_SIZE, KINDS, Death, Seen, judge
from slotmem_stress.bench.rivals import OURS, RIVALS, missing
from slotmem_stress.bench.victims import OPERATIONS, Mark, be_survivor, be_victim, name_objects
from slotmem_stress.interrupts import die_with_parent, end, stop_if_asked, stops_blocked

SILENT_S = 20.0
"""How long a survivor of whose lock nothing is known may be silent, each of two."""
STARTED_S = 60.0
STOPS = 2000  # how often a victim is stopped, at most, until it is inside
_DELAY_S = 0.002
_SLICE_S = 0.1
_TOLD_S = 2.0


class Try(NamedTuple):
    """One kill: what was wrong afterwards, with the evidence, and what it took a survivor to go on."""

    operation: str
    found: dict[str, str]
    ms: float | None


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
            for operation in _asked(name)
        ]

    def is_ours_damaged(self) -> bool:
        """Return whether slotmem itself was stuck, torn or miscounted, as it promises not to be."""
        return any({"stuck", "torn", "miscounted"} & each.found.keys() for each in self.tries.get(OURS, ()))


def _asked(rival: str) -> list[str]:
    return [operation for operation in OPERATIONS if operation not in RIVALS[rival].lacks]


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
            total = kills * len(_asked(rival))
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


@cache
def _context() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


@contextmanager
def _host(rival: str, kills: int, folder: str, ends: float) -> Iterator[Connection]:
    ours, theirs = _context().Pipe()
    process = _context().Process(target=_be_host, args=(theirs, rival, kills, folder, ends))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(STARTED_S + 2 * SILENT_S)
        end(process)


# -- the host of a rival ---------------------------------------------------------------------------


class _Stopped(Exception):
    """The pipe to the host was closed."""


class _Impossible(Exception):
    """A rival cannot be tried; says why."""


def _be_host(control: Connection, rival: str, kills: int, folder: str, ends: float) -> None:
    die_with_parent()
    mark = folder[-8:]
    name_objects(mark)
    current_process()._config["semprefix"] = f"/{mark}"  # type: ignore[attr-defined]
    choose = random.Random(1)
    with suppress(_Stopped, ConnectionError):
        for number in range(kills):
            for operation in _asked(rival):
                if time.monotonic() > ends:
                    break
                try:
                    place = os.path.join(folder, f"{mark}-{number}-{OPERATIONS.index(operation)}")
                    control.send(_try(control, rival, operation, Path(place), mark, choose))
                except _Impossible as error:
                    control.send(str(error))
                    return
        control.send(None)


def _try(control: Connection, rival: str, operation: str, place: Path, mark: str, choose: random.Random) -> Try:
    place.mkdir()
    death, seen = _die(control, rival, operation, place, mark, choose)
    gc.collect()  # locks are removed when the last who has them lets go
    objects = [path for path in Path("/dev/shm").glob(f"*{mark}*") if path.is_file()]
    segment = names.resolve(f"bench-{ITEM_SIZE}", str(place), 0).shm_object
    objects += [path for path in [Path(f"/dev/shm{segment}")] if path.exists()]
    for path in objects:
        path.unlink(missing_ok=True)
    return Try(operation, judge(death, seen, [path.name for path in objects]), None if seen.refused else seen.ms)


def _die(
    control: Connection, rival: str, operation: str, place: Path, mark: str, choose: random.Random
) -> tuple[Death, Seen]:
    """Set up a table, kill a victim inside the operation, and return what survivors see."""
    with ExitStack() as stack:
        try:
            opener = stack.enter_context(RIVALS[rival].setup(str(place), ITEM_SIZE, ITEM_NUM))
        except Exception as error:  # whatever it raises, it cannot be set up here
            raise _Impossible(f"it cannot be set up: {' '.join(str(error).split())}") from None
        path = place / "mark"
        where = Mark(path)
        with _survivor(control, mark, opener) as first, _child(be_victim, path, mark, opener, operation) as victim:
            _until(control, where.is_ready, victim)
            _kill_inside(control, victim, where, choose)
            seen = _ask(control, first)
            if seen.refused:
                with _survivor(control, mark, opener) as second:
                    seen = confirmed(seen, _ask(control, second))
        return Death(operation, where.puts()), seen


def confirmed(first: Seen, second: Seen) -> Seen:
    """Return what both saw together: the first saw the bytes before anybody else touched them, the
    second says whether one can go on.
    """
    seen = second if first.contents is None else first
    return seen._replace(refused=second.refused, ms=second.ms)


def _kill_inside(control: Connection, victim: BaseProcess, where: Mark, choose: random.Random) -> None:
    """Stop the victim at random instants until it is inside, and kill it there."""
    for _ in range(STOPS):
        time.sleep(choose.uniform(0, _DELAY_S))
        _signal(victim, signal.SIGSTOP)
        _until(control, lambda: _is_stopped(victim), victim)
        if where.is_inside():
            end_now(victim)
            return
        _signal(victim, signal.SIGCONT)
    raise _Impossible(f"in {STOPS} tries, its process was never met inside an operation")


def end_now(victim: BaseProcess) -> None:
    """Kill a process and wait until it is gone, and the kernel has done what it does at a death."""
    victim.kill()
    victim.join()


def _signal(victim: BaseProcess, number: signal.Signals) -> None:
    if victim.pid is not None and victim.is_alive():
        os.kill(victim.pid, number)


def _is_stopped(victim: BaseProcess) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    return False


def _until(control: Connection, condition: Callable[[], bool], victim: BaseProcess) -> None:
    ends = time.monotonic() + STARTED_S
    while not condition():
        if control.poll():
            raise _Stopped
        if not victim.is_alive():
            raise _Impossible(f"its process has ended by itself, with exit code {victim.exitcode}")
        if time.monotonic() > ends:
            raise _Impossible(f"its process has not begun, or not stopped, within {STARTED_S:.0f} s")
        time.sleep(0.0005)


def _ask(control: Connection, survivor: Connection) -> Seen:
    """Let a survivor look, and return what it saw."""
    with suppress(ConnectionError):  # its end of the pipe tells
        survivor.send(None)
    if control in (ready := connection.wait([control, survivor], SILENT_S)):
        raise _Stopped
    if not ready:
        return Seen(f"it has been waiting for more than {SILENT_S:.0f} s, with nobody else there")
    try:
        seen: Seen = survivor.recv()
    except (EOFError, ConnectionError):
        return Seen("it crashes")
    return seen


@contextmanager
def _survivor(control: Connection, mark: str, opener: Opener) -> Iterator[Connection]:
    """Start a survivor, and wait until it has the table open."""
    ours, theirs = _context().Pipe()
    with _child(be_survivor, theirs, mark, opener) as process:
        theirs.close()
        _until(control, ours.poll, process)
        with suppress(EOFError, ConnectionError):
            ours.recv()
        yield ours
    ours.close()


@contextmanager
def _child(be: Callable[..., None], *given: Any) -> Iterator[BaseProcess]:
    process = _context().Process(target=be, args=given)
    process.start()
    try:
        yield process
    finally:
        end(process)
