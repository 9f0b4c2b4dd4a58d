"""Let real processes hammer one segment, kill some of them, and judge what they recorded.

examples:
  slotmem stress                                          the reference, 4 processes, 5 seconds
  slotmem stress shm --processes 8 --seconds 30 --kills 10 --restarts 1
  slotmem stress plain --processes 1 --threads 4          threads of one process
  slotmem stress algorithm:httpd                          Apache's algorithm, caught within seconds
  slotmem stress algorithm:httpd --html out.html          the violation on a time line
  slotmem stress algorithm:httpd --trace window.json      for `slotmem check --explain window.json`

Each of the three faults of httpd's algorithm by itself: a slot grabbed twice, a torn get, a counter
that drifts:

  slotmem stress algorithm:httpd --mix grab:1,release:3 --slots 64
  slotmem stress algorithm:httpd --mix fgrab:1,put:3,get:3 --slot-bytes 4096
  slotmem stress algorithm:httpd --mix fgrab:1,release:1,num_free_slots:1

Long runs, and what failed:

  slotmem stress shm --hours 8 --kills 5                  a soak; Ctrl-C ends it with a report
  slotmem stress shm --hours 8 --kills 5 --resume         continues it
  slotmem stress --last                                   first repeats what failed last time

A violation is shown as the smallest part of the history that no order of its operations explains,
with a sentence that says why.

exit codes: 0 held, 1 violated, 2 usage or environment, 3 undecided (the judge's budget was used up)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import replace

from slotmem import SlotmemError
from slotmem_model.counterexample import trace
from slotmem_model.verdict import VIOLATED, Exit, exit_code
from slotmem_stress.commands.arguments import in_words
from slotmem_stress.commands.stress_arguments import check, configure, to_settings
from slotmem_stress.page import html_report
from slotmem_stress.run import remembered
from slotmem_stress.run.report import RunReport, to_text
from slotmem_stress.run.rounds import RunProgress
from slotmem_stress.run.runner import run as run_stress
from slotmem_stress.run.settings import Settings
from slotmem_stress.run.window_trace import to_trace

SYNONYMS = ("fuzz", "hammer", "load", "run", "soak", "torture", "chaos")

__all__ = ["configure", "run"]

_BETWEEN_LINES_S = 5.0


def run(arguments: argparse.Namespace) -> int:
    """Carry out the run and print its report; return the exit code."""
    try:
        check(arguments)
        return _run(arguments)
    except SlotmemError:
        raise
    except OSError as error:
        print(f"slotmem stress: {in_words(error)}", file=sys.stderr)
        return Exit.USAGE


def _run(arguments: argparse.Namespace) -> int:
    asked = to_settings(arguments)
    if arguments.last and (again := remembered.last_failure()) is not None:
        print(f"repeating what failed last: {again.provider}, seed {again.seed}", file=sys.stderr)
        code = _finish(arguments, _do(arguments, again))
        if code != Exit.HELD or not _is_more_asked(arguments):
            return code
    elif arguments.last:
        print("no failure is remembered, so there is nothing to repeat", file=sys.stderr)
    if arguments.hours is not None:
        return _soak(arguments, replace(asked, seconds=arguments.hours * 3600))
    return _finish(arguments, _do(arguments, asked))


def _soak(arguments: argparse.Namespace, settings: Settings) -> int:
    """Carry out a long run, or the rest of one."""
    so_far = remembered.soak(settings.provider) if arguments.resume else None
    if arguments.resume and so_far is None:
        print(f"slotmem stress: there is no soak of {settings.provider} to resume", file=sys.stderr)
        return Exit.USAGE
    if so_far is None:
        so_far = RunReport(settings)
    left = replace(so_far.settings, seconds=max(0.0, settings.seconds - so_far.seconds))
    report = _do(arguments, left, so_far)
    remembered.keep_soak(report)
    return _finish(arguments, report)


def _do(arguments: argparse.Namespace, settings: Settings, so_far: RunReport | None = None) -> RunReport:
    """Carry out a run in folders of its own; return its report, added to that of `so_far`."""
    show = _Show()

    def save(done: RunReport) -> None:
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


def _finish(arguments: argparse.Namespace, report: RunReport) -> int:
    if arguments.json not in (None, "-"):
        with open(arguments.json, "w", encoding="utf-8") as file:
            file.write(json.dumps(report.to_json(), indent=2) + "\n")
    if arguments.trace is not None and report.window:
        window = to_trace(report.settings, report.window, report.before, report.excerpt, report.sentence)
        with open(arguments.trace, "w", encoding="utf-8") as file:
            file.write(trace.dumped(trace.load(json.dumps(window))))
    elif arguments.trace is not None:
        print(f"there is no violation with a window, so {arguments.trace} was not written", file=sys.stderr)
    if arguments.html is not None:
        html_report.write(arguments.html, html_report.of_run(report))
    print(json.dumps(report.to_json(), indent=2) if arguments.json == "-" else to_text(report))
    if report.interrupted and report.verdict != VIOLATED and arguments.hours is None:
        raise KeyboardInterrupt
    return exit_code(report.verdict)


class _Show:
    """The progress line on standard error: rewritten in place on a terminal, repeated elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._next = time.monotonic() + (0.2 if self._live else 2.0)

    def __call__(self, at: RunProgress) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.2 if self._live else _BETWEEN_LINES_S)
        rate = at.operations / at.seconds if at.seconds else 0.0
        line = (
            f"{at.seconds:6.1f} s  {rate:,.0f} operations/s  {at.kills} kills  {at.pending} pending  "
            f"judged {at.judged:,} of {at.operations:,}"
        )
        print(f"\r{line}\033[K" if self._live else line, end="" if self._live else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Erase the line."""
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _is_more_asked(arguments: argparse.Namespace) -> bool:
    """Return whether more was asked for than --last alone."""
    return arguments.hours is not None or arguments.operations is not None or arguments.provider != "shm"
