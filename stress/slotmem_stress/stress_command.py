"""Let real processes hammer one segment, kill some of them, and judge what they recorded.

examples:
  slotmem stress                                          the reference, 4 processes, five seconds
  slotmem stress shm --processes 8 --seconds 30 --kills 10 --restarts 1
  slotmem stress plain --processes 1 --threads 4          threads of one process
  slotmem stress algorithm:httpd                          Apache's own algorithm, on real memory: caught in a second or two
  slotmem stress algorithm:httpd --html out.html          the violation on a time line, in a browser
  slotmem stress algorithm:httpd --trace window.json      its window for the model: slotmem check --explain window.json
  slotmem stress shm --hours 8 --kills 5                  a soak: constant memory and disk; Ctrl-C ends it with a report
  slotmem stress shm --hours 8 --kills 5 --resume         goes on with it
  slotmem stress --last                                   what failed last time, with its seed, first

A violation is the smallest part of the history that no order of its operations explains, and a sentence that says why.

exit codes: 0 held, 1 violated, 2 usage or environment, 3 undecided (the judge's budget was used up)
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import slotmem
from slotmem import SlotmemError
from slotmem.arguments import checked_runtime_dir
from slotmem_stress import html_report, remembered
from slotmem_stress.client import MIXABLE
from slotmem_stress.faults import Plan
from slotmem_stress.runner import Progress
from slotmem_stress.runner import run as run_stress
from slotmem_stress.stress_report import EXIT_CODES, VIOLATED, Report, Settings, to_text
from slotmem_stress.window_trace import to_trace
from slotmem_stress.worker import MAX_SEATS

_BETWEEN_LINES_S = 1.0
_USAGE = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    given = Settings()
    parser.add_argument(
        "provider", nargs="?", default=given.provider, help="shm, plain, algorithm:NAME, ... (default: shm)"
    )
    parser.add_argument("--processes", type=_number(1), default=given.processes, metavar="N")
    parser.add_argument("--threads", type=_number(1), default=given.threads, metavar="N", help="in each process")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=_amount, default=given.seconds, metavar="S", help="how long (default: 5)")
    length.add_argument("--operations", type=_number(1), default=None, metavar="N", help="how many, about")
    length.add_argument(
        "--hours", type=_amount, default=None, metavar="H", help="a soak, which can be interrupted and resumed"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the soak that was interrupted")
    parser.add_argument("--slots", type=_number(1), default=given.slots, metavar="N")
    parser.add_argument("--slot-bytes", type=_number(8), default=given.slot_bytes, metavar="N", help="a multiple of 8")
    parser.add_argument(
        "--mix", type=_mix, default=given.mix, help=f"weights, e.g. grab:1,put:3 ({', '.join(MIXABLE)})"
    )
    parser.add_argument("--seed", type=int, default=None, help="repeat a run's choices (default: new ones)")
    parser.add_argument("--last", action="store_true", help="first do again what failed last time")
    parser.add_argument("--start", choices=["spawn", "fork"], default=given.start, help="how processes start")
    faults = parser.add_argument_group("faults", "so many a second, on average")
    faults.add_argument(
        "--kills", type=_amount, default=0.0, metavar="R", help="SIGKILL a worker; a new one takes its place"
    )
    faults.add_argument(
        "--pauses", type=_amount, default=0.0, metavar="R", help="SIGSTOP a worker, SIGCONT a moment later"
    )
    faults.add_argument("--restarts", type=_amount, default=0.0, metavar="R", help="the owner stores, and restores")
    faults.add_argument("--attach-storm", action="store_true", help="others attach and let go all the time")
    faults.add_argument("--pressure-mb", type=_number(1), default=0, metavar="MB", help="take and give back memory")
    judging = parser.add_argument_group("judging")
    judging.add_argument(
        "--budget-s", type=_amount, default=given.budget_s, metavar="S", help="for one segment of the run"
    )
    judging.add_argument("--memory-mb", type=_amount, default=given.memory_mb, metavar="MB", help="the same")
    parser.add_argument("--runtime-dir", default=None, help="where to work (default: a temporary folder)")
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        default=None,
        metavar="FILE",
        help="a report for machines, to FILE or instead of the page",
    )
    parser.add_argument("--html", default=None, metavar="FILE", help="write a page with a time line, for a browser")
    parser.add_argument(
        "--trace",
        default=None,
        metavar="FILE",
        help="write the violation's window as a trace, for `slotmem check --explain`",
    )
    parser.add_argument(
        "--keep", default=None, metavar="FOLDER", help="keep every history there; the folder must be new or empty"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it. Gives the exit code."""
    try:
        _check(arguments)
        with _ending_cleanly():
            return _run(arguments)
    except OSError as error:
        if isinstance(error, SlotmemError):
            raise
        print(f"slotmem stress: {error}", file=sys.stderr)
        return _USAGE


def _run(arguments: argparse.Namespace) -> int:
    asked = to_settings(arguments)
    if arguments.last and (again := remembered.last_failure()) is not None:
        print(f"what failed last: {again.provider}, seed {again.seed}", file=sys.stderr)
        code = _one(arguments, again)
        if code != 0 or not _is_more_asked(arguments):
            return code
    elif arguments.last:
        print("nothing has failed yet that could be done again", file=sys.stderr)
    if arguments.hours is not None:
        return _soak(arguments, replace(asked, seconds=arguments.hours * 3600))
    return _one(arguments, asked)


def _one(arguments: argparse.Namespace, settings: Settings) -> int:
    report = _do(arguments, settings)
    return _finish(arguments, report)


def _soak(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do a long run, or what is left of it."""
    so_far = remembered.soak(settings.provider) if arguments.resume else None
    if arguments.resume and so_far is None:
        print(f"slotmem stress: there is no soak of {settings.provider} to go on with", file=sys.stderr)
        return _USAGE
    if so_far is None:
        so_far = Report(settings)
    left = replace(so_far.settings, seconds=max(0.0, settings.seconds - so_far.seconds))
    report = _do(arguments, left, so_far)
    remembered.keep_soak(report)
    return _finish(arguments, report)


def _do(arguments: argparse.Namespace, settings: Settings, so_far: Report | None = None) -> Report:
    """Do a run in folders of its own; add what was done before."""
    show = _Show()

    def save(done: Report) -> None:
        if so_far is not None:
            remembered.keep_soak(so_far + done)

    with tempfile.TemporaryDirectory(prefix="slotmem-stress-", dir=arguments.runtime_dir) as work:
        runtime_dir = os.path.join(work, "run")
        os.mkdir(runtime_dir, 0o700)
        folder = arguments.keep or os.path.join(work, "histories")
        os.makedirs(folder, exist_ok=True)
        report = run_stress(
            settings,
            folder,
            runtime_dir,
            tell=show,
            save=save,
            first_client=so_far.next_client if so_far is not None else 1,
            keep=arguments.keep is not None,
        )
        show.end()
        if report.history and not arguments.keep:
            report.history = remembered.keep_history(report.history)
    if so_far is not None:
        report = so_far + report
    if report.verdict == VIOLATED:
        remembered.keep_failure(report.settings)
    return report


def _finish(arguments: argparse.Namespace, report: Report) -> int:
    if arguments.json not in (None, "-"):
        with open(arguments.json, "w", encoding="utf-8") as file:
            file.write(json.dumps(report.to_json(), indent=2) + "\n")
    if arguments.trace is not None and report.window:
        with open(arguments.trace, "w", encoding="utf-8") as file:
            file.write(
                json.dumps(
                    to_trace(report.settings, report.window, report.before, report.excerpt, report.findings[0]),
                    indent=1,
                )
                + "\n"
            )
    if arguments.html is not None:
        html_report.write(arguments.html, html_report.of_run(report))
    print(json.dumps(report.to_json(), indent=2) if arguments.json == "-" else to_text(report))
    if report.interrupted and report.verdict != VIOLATED and arguments.hours is None:
        raise KeyboardInterrupt
    return EXIT_CODES[report.verdict]


class _Show:
    """The line of progress on standard error: rewritten on a terminal, now and then elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._next = time.monotonic() + (0.2 if self._live else 2.0)
        self._before = (0.0, 0)

    def __call__(self, at: Progress) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.2 if self._live else _BETWEEN_LINES_S * 5)
        rate = at.operations / at.seconds if at.seconds else 0.0
        line = (
            f"{at.seconds:6.1f} s  {rate:,.0f} operations/s  {at.kills} kills  {at.pending} pending  "
            f"judged {at.judged:,} of {at.operations:,}"
        )
        print(f"\r{line}\033[K" if self._live else line, end="" if self._live else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the line away."""
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def to_settings(arguments: argparse.Namespace) -> Settings:
    """Give what the arguments ask for."""
    plan = Plan(arguments.kills, arguments.pauses, arguments.restarts, arguments.attach_storm, arguments.pressure_mb)
    return Settings(
        provider=arguments.provider,
        processes=arguments.processes,
        threads=arguments.threads,
        seconds=arguments.seconds if arguments.operations is None else float("inf"),
        operations=arguments.operations,
        slots=arguments.slots,
        slot_bytes=arguments.slot_bytes,
        mix=arguments.mix,
        seed=arguments.seed if arguments.seed is not None else secrets.randbelow(2**32),
        start=arguments.start,
        plan=plan,
        budget_s=arguments.budget_s,
        memory_mb=arguments.memory_mb,
    )


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be done, before anything is begun. Raises: InvalidArgument; OSError."""
    if arguments.slot_bytes % 8:
        raise slotmem.InvalidArgument(
            f"--slot-bytes must be a multiple of 8, got {arguments.slot_bytes}: values have 8 bytes"
        )
    if arguments.processes * arguments.threads > MAX_SEATS:
        raise slotmem.InvalidArgument(
            f"there may be {MAX_SEATS} clients, got {arguments.processes * arguments.threads}"
        )
    if arguments.resume and arguments.hours is None:
        raise slotmem.InvalidArgument("--resume goes on with a soak; say --hours too")
    if arguments.provider == "plain" and (
        arguments.kills or arguments.pauses or arguments.restarts or arguments.attach_storm
    ):
        raise slotmem.InvalidArgument(
            "plain memory has threads only: they cannot be killed, paused, restarted or joined"
        )
    if arguments.provider.startswith("algorithm:") and arguments.restarts:
        raise slotmem.InvalidArgument(
            "an algorithm alone stores nothing, so that there are no restarts; leave them out"
        )
    if arguments.runtime_dir is not None:
        arguments.runtime_dir = checked_runtime_dir(arguments.runtime_dir)
    if arguments.keep is not None and os.path.isdir(arguments.keep) and os.listdir(arguments.keep):
        raise slotmem.InvalidArgument(f"the folder {arguments.keep} is not empty; name a new one")
    for path in (arguments.json, arguments.trace, arguments.html):
        if path not in (None, "-") and not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            raise slotmem.InvalidArgument(f"{path} cannot be written: there is no such folder")


def _is_more_asked(arguments: argparse.Namespace) -> bool:
    """Say whether more was asked for than --last alone."""
    return arguments.hours is not None or arguments.operations is not None or arguments.provider != "shm"


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, so that nothing is left."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _mix(text: str) -> tuple[tuple[str, int], ...]:
    mix: dict[str, int] = {}
    for part in text.split(","):
        name, _, weight = part.partition(":")
        if name not in MIXABLE or not weight.isdigit():
            raise argparse.ArgumentTypeError(f"{part!r} is not NAME:WEIGHT with a name of {', '.join(MIXABLE)}")
        mix[name] = int(weight)
    if not sum(mix.values()) or max(mix.values()) > 1000:
        raise argparse.ArgumentTypeError(f"weights are from 0 to 1000, and not all 0; got {text!r}")
    return tuple(mix.items())


def _number(least: int) -> Any:
    def number(text: str) -> int:
        if not text.isdigit() or not least <= int(text) < 2**31:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} on")
        return int(text)

    return number


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to a million")
    return amount
