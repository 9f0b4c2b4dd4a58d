"""Hold a provider to the specification, to every interleaving, and to a short run of real workers: one verdict.

examples:
  slotmem verify                      the reference implementation, in less than a minute
  slotmem verify plain --quick        the provider for threads, in about five seconds
  slotmem verify httpd                Apache's own module; it claims the profiles core and httpd
  slotmem verify exec:./my-driver     any implementation: the clauses, profile by profile
  slotmem verify --json               the same as a report for machines

exit codes: 0 everything that is claimed held, 1 something did not, 2 usage or environment, 3 not all was tried
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

import slotmem
from slotmem_conformance import reports, server_machine, slots_machine, verify_profiles
from slotmem_conformance.conform_command import Unusable
from slotmem_conformance.driving import Difference
from slotmem_conformance.verdicts import Report as Conformance
from slotmem_model import check_report, clauses, shortest, sweep
from slotmem_model.algorithms import catalogue
from slotmem_model.clauses import PROFILES
from slotmem_model.explain import explain
from slotmem_model.model import Model, compile_model
from slotmem_model.standard import STANDARD, Standard
from slotmem_model.verdict import Outcome
from slotmem_stress.faults import Plan
from slotmem_stress.runner import run as stress
from slotmem_stress.stress_report import HELD, Report, Settings

SHARED = {"shm": True, "plain": False}


@dataclass
class Row:
    """One line of the table."""

    part: str
    work: str
    seconds: float
    held: bool
    finding: str
    claimed: bool = True
    """Whether it decides the verdict."""
    tried: bool = True


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "provider", nargs="?", default="shm", help="shm, plain, exec:COMMAND, abi:LIBRARY, httpd ... (default: shm)"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run's choices (default: new ones)")
    parser.add_argument("--runtime-dir", default=None, help="where to work (default: a temporary folder)")
    parser.add_argument(
        "--budget-s",
        type=float,
        default=110.0,
        metavar="S",
        help="stop asking clauses after so many seconds (default: 110)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON report")


def run(arguments: argparse.Namespace) -> int:
    """Do it. Gives the exit code."""
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(2**32)
    # Files are spoiled on purpose: the library's warnings about them would be noise here.
    logging.getLogger("slotmem").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="slotmem-verify-", dir=arguments.runtime_dir) as folder:
        try:
            rows = list(_all_rows(arguments, folder, seed))
        except Unusable as error:
            print(f"slotmem verify: {error}", file=sys.stderr)
            return 2
    held = all(row.held for row in rows if row.claimed)
    if arguments.json:
        rows_json = [asdict(row) for row in rows]
        print(json.dumps({"provider": arguments.provider, "seed": seed, "held": held, "rows": rows_json}, indent=2))
    else:
        _print(arguments.provider, seed, rows, held)
    if not held:
        return 1
    return 0 if all(row.tried for row in rows if row.claimed) else 3


def _all_rows(arguments: argparse.Namespace, folder: str, seed: int) -> Iterator[Row]:
    provider, quick = arguments.provider, arguments.quick
    ends = time.monotonic() + arguments.budget_s
    if provider in SHARED:
        yield from _rows(provider, folder, 10 if quick else 1, seed)
        every = verify_profiles.SEQUENTIAL if quick else tuple(PROFILES)
        yield _asked("clauses", provider, every, folder, seed, ends)
    else:
        verify_profiles.hello(provider, folder)
        for profile in verify_profiles.SEQUENTIAL if quick else PROFILES:
            yield _asked(profile, provider, (profile,), folder, seed, ends)


def _asked(part: str, provider: str, profiles: Sequence[str], folder: str, seed: int, ends: float) -> Row:
    """Ask the clauses of some profiles."""
    report: Conformance | None = None

    def work() -> None:
        nonlocal report
        report = verify_profiles.ask(provider, profiles, folder, seed=seed, budget_s=max(0.0, ends - time.monotonic()))
        if found := verify_profiles.finding(report):
            raise Difference(found)

    row = _timed(part, f"the clauses of {', '.join(profiles)}", work)
    assert report is not None
    row.work += f": {len(report.outcomes)} cases; {reports.summary(report, profiles)}"
    row.claimed = any(verify_profiles.claimed(provider, profile) for profile in profiles)
    row.tried = not report.unfinished
    return row


def _rows(provider: str, folder: str, less: int, seed: int) -> Iterator[Row]:
    """Do each part in turn."""

    def make(runtime_dir: str = folder, generation: int = 0) -> Any:
        return slotmem.provider(provider, runtime_dir=runtime_dir, generation=generation)

    shared = SHARED[provider]
    programs, lives = 1500 // less, (1000 if shared else 500) // less

    yield _timed(
        "slots",
        f"{programs} programs of up to 30 operations beside the specification",
        lambda: slots_machine.run(make, examples=programs, seed=seed),
    )
    yield _timed(
        "servers",
        f"{lives} lives of up to 30 events: names, files, restarts" + (", deaths" if shared else ""),
        lambda: server_machine.run(make, shared=shared, examples=lives, seed=seed),
    )
    if shared:
        yield _explored(STANDARD[: len(STANDARD) // less + 1])
    yield _stressed(provider, folder, 4.0 / less, seed)


def _stressed(provider: str, folder: str, seconds: float, seed: int) -> Row:
    """Let clients hammer one segment, kill some where that is possible, and judge what they recorded."""
    shared = SHARED[provider]
    settings = Settings(
        provider,
        processes=4 if shared else 1,
        threads=1 if shared else 4,
        seconds=seconds,
        slots=6,
        slot_bytes=256,
        seed=seed,
        plan=Plan(kills=3.0, pauses=3.0) if shared else Plan(),
    )
    report = Report(settings)

    def work() -> None:
        nonlocal report
        runtime_dir, histories = (os.path.join(folder, name) for name in ("stress", "histories"))
        os.mkdir(runtime_dir)
        os.mkdir(histories)
        report = stress(settings, histories, runtime_dir)
        if report.interrupted:
            raise KeyboardInterrupt
        if report.verdict != HELD:
            raise Difference(
                "\n".join([*report.findings, *report.undecided, *(f"left: {leak}" for leak in report.leaks)])
            )

    row = _timed("processes" if shared else "threads", "4 clients on 6 slots", work)
    row.work += f": {report.operations:,} operations" + (f", {report.kills} kills" if shared else "") + ", linearizable"
    return row


def _explored(questions: Sequence[Standard]) -> Row:
    """Explore every interleaving and crash of the reference, and of httpd's algorithm, which must fail."""
    states = 0

    def explore() -> None:
        nonlocal states
        for configuration, expected in questions:
            model = compile_model(configuration, catalogue.find(configuration.algorithm))
            outcome = sweep.explore(model)
            states += outcome.states
            if outcome.verdict != expected:
                raise Difference(_unexpected(model, outcome, expected))

    row = _timed("interleavings", f"{len(questions)} models, every step and every crash", explore)
    row.work += f": {states:,} states"
    return row


def _unexpected(model: Model, outcome: Outcome, expected: str) -> str:
    """Say what an exploration found instead of what was expected."""
    what = f"{model.configuration} is {outcome.verdict}, must be {expected}{outcome.reason and ': ' + outcome.reason}"
    found = shortest.find(model) if outcome.violations else None
    if found is None:
        return what
    return "\n".join([what, *check_report.counterexample(explain(model, found.broken, found.steps))])


def _timed(part: str, work: str, do: Callable[[], None]) -> Row:
    """Do one part, telling on standard error that it began."""
    print(f"{part}: {work} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    try:
        do()
        finding = ""
    except Difference as difference:
        finding = str(difference)
    return Row(part, work, round(time.monotonic() - began, 2), not finding, finding)


def _told(row: Row) -> str:
    if not row.claimed:
        return "held" if row.held else "not held, not claimed"
    return ("held" if row.tried else "unfinished") if row.held else "VIOLATED"


def _print(provider: str, seed: int, rows: list[Row], held: bool) -> None:
    console = Console()
    table = Table(title=f"slotmem verify {provider}", title_justify="left")
    table.add_column("part")
    table.add_column("what was done")
    table.add_column("seconds", justify="right")
    table.add_column("verdict")
    for row in rows:
        table.add_row(row.part, row.work, f"{row.seconds:.1f}", _told(row))
    console.print(table)
    for row in rows:
        if not row.held:
            console.print(f"\n{row.part}:\n{row.finding}", markup=False, highlight=False)
            for clause in clauses.CLAUSES.values():
                if clause.id + ":" in row.finding.replace(",", ":"):
                    console.print(f"{clause.id} says: {clause.sentence}", markup=False, highlight=False)
    verdict = "held" if held else "violated"
    console.print(
        f"\nverdict: {verdict} (seed {seed}; a run that finds nothing proves nothing about what it did not try)"
    )
