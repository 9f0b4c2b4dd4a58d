"""Measure the library beside what people would use instead: how fast, and what a kill does to it.

examples:
  slotmem bench                        a table, in about a minute and a half
  slotmem bench --quick                a rougher one, in about 15 seconds
  slotmem bench --plot bench.svg       also a bar chart
  slotmem bench --json > bench.json    a JSON report, with every single rate
  slotmem bench --kill                 kill processes inside operations, and let a survivor look
  slotmem bench --kill --quick         the same with fewer kills

Everything is measured in this one run, in turns, in the shared-memory folder. Other work on the
machine slows all of it down.

exit codes: 0 measured, 2 usage or environment; with --kill: 1 slotmem itself was stuck, torn or
miscounted, 3 there was no time to kill a user of it inside every operation
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from slotmem import InvalidArgument
from slotmem_model.commands.amounts import amount
from slotmem_model.verdict import Exit
from slotmem_stress.bench import kill_page, speed_page
from slotmem_stress.bench.kill import kill
from slotmem_stress.bench.measure import WorkerFailed, measure
from slotmem_stress.commands.arguments import add_json, check_writable, in_words

SYNONYMS = ("benchmark", "perf", "performance", "measure", "speed", "time")

FULL = (90.0, 5)
QUICK = (12.0, 3)
KILLS, QUICK_KILLS = 20, 2
BUDGET_S = 600.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=None,
        help=f"how long to measure in all (default: {FULL[0]:.0f}; with --quick {QUICK[0]:.0f})",
    )
    parser.add_argument("--kill", action="store_true", help="measure not speed, but what `kill -9` does")
    parser.add_argument(
        "--kills",
        type=whole,
        default=None,
        metavar="N",
        help=f"with --kill: how many inside each operation of each rival (default: {KILLS}; with --quick {QUICK_KILLS})",
    )
    parser.add_argument(
        "--budget-s",
        type=seconds,
        default=None,
        metavar="S",
        help=f"with --kill: begin no more after so many seconds (default: {BUDGET_S:.0f})",
    )
    add_json(parser, "table")
    parser.add_argument("--plot", default=None, metavar="FILE", help="also draw a bar chart, as SVG")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the report; return the exit code."""
    files = [(arguments.json, True)] if arguments.json not in (None, "-") else []
    files += [(arguments.plot, False)] if arguments.plot is not None else []
    for path, _ in files:
        check_writable(path)
    try:
        report, page = _killed(arguments) if arguments.kill else _measured(arguments)
        for path, is_json in files:
            with open(path, "w", encoding="utf-8") as file:
                file.write((_json_text(page.to_json(report)) if is_json else page.to_svg(report)) + "\n")
    except (OSError, WorkerFailed) as error:
        print(f"slotmem bench: {in_words(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        return Exit.USAGE
    print(_json_text(page.to_json(report)) if arguments.json == "-" else page.to_text(report))
    code: int = report.exit_code()
    return code


def _measured(arguments: argparse.Namespace) -> tuple[Any, Any]:
    for name in ("kills", "budget_s"):
        if getattr(arguments, name) is not None:
            raise InvalidArgument(f"--{name.replace('_', '-')} is for --kill only: drop it, or add --kill")
    default_s, repeats = QUICK if arguments.quick else FULL
    return measure(arguments.seconds or default_s, repeats), speed_page


def _killed(arguments: argparse.Namespace) -> tuple[Any, Any]:
    if arguments.seconds is not None:
        raise InvalidArgument("--seconds is for measuring speed; with --kill, give --budget-s")
    kills = arguments.kills or (QUICK_KILLS if arguments.quick else KILLS)
    return kill(kills, BUDGET_S if arguments.budget_s is None else arguments.budget_s), kill_page


def whole(text: str) -> int:
    """Return the number that the text of an argument stands for, from 1 to 100000.

    Raises:
        argparse.ArgumentTypeError: if it is no such number.
    """
    if not text.isdecimal() or not 0 < int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 to 100000")
    return int(text)


def seconds(text: str) -> float:
    """Return the seconds that the text of an argument stands for, more than 0 and less than a day.

    Raises:
        argparse.ArgumentTypeError: if it is no such number.
    """
    number = amount(text)
    if not 0 < number < 86400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 86400 seconds")
    return number


def _json_text(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=2)
