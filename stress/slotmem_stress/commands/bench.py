"""Measure the library's speed beside what people would use instead.

examples:
  slotmem bench                        a table, in about a minute and a half
  slotmem bench --quick                a rougher one, in about 15 seconds
  slotmem bench --plot bench.svg       also a bar chart
  slotmem bench --json > bench.json    a JSON report, with every single rate

Everything is measured in this one run, in turns, in the shared-memory folder. Other work on the
machine slows all of it down.

exit codes: 0 measured, 2 usage or environment
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from slotmem_model.commands.amounts import amount
from slotmem_model.verdict import Exit
from slotmem_stress.bench.bar_chart import Bar, ChartRow, draw
from slotmem_stress.bench.measure import PROCESSES, WORKLOADS, BenchReport, WorkerFailed, Workload, measure
from slotmem_stress.bench.rivals import BASELINE
from slotmem_stress.commands.arguments import add_json, check_writable, in_words

SYNONYMS = ("benchmark", "perf", "performance", "measure", "speed", "time")

FULL = (90.0, 5)
QUICK = (12.0, 3)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=None,
        help=f"how long to measure in all (default: {FULL[0]:.0f}; with --quick {QUICK[0]:.0f})",
    )
    add_json(parser, "table")
    parser.add_argument("--plot", default=None, metavar="FILE", help="also draw a bar chart, as SVG")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the report; return the exit code."""
    default_s, repeats = QUICK if arguments.quick else FULL
    files = [(arguments.json, _json_text)] if arguments.json not in (None, "-") else []
    files += [(arguments.plot, to_svg)] if arguments.plot is not None else []
    for path, _ in files:
        check_writable(path)
    try:
        report = measure(arguments.seconds or default_s, repeats)
        for path, text_of in files:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text_of(report) + "\n")
    except (OSError, WorkerFailed) as error:
        print(f"slotmem bench: {in_words(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        return Exit.USAGE
    print(_json_text(report) if arguments.json == "-" else to_text(report))
    return Exit.HELD


def seconds(text: str) -> float:
    """Return the seconds that the text of an argument stands for, more than 0 and less than a day.

    Raises:
        argparse.ArgumentTypeError: if it is no such number.
    """
    number = amount(text)
    if not 0 < number < 86400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 86400 seconds")
    return number


# -- what is printed -------------------------------------------------------------------------------


def to_json(report: BenchReport) -> dict[str, Any]:
    """Return the JSON report: medians, ratios and every rate, in operations a second."""
    return {
        "machine": report.machine(),
        "seconds": report.seconds,
        "repeats": report.repeats,
        "baseline": BASELINE,
        "missing": report.missing,
        "results": [
            {
                **measured.workload._asdict(),
                "rival": measured.rival,
                "ops_per_s": measured.ops_per_s,
                "ratio": measured.ratio,
                "rates": report.rates[measured.workload, measured.rival],
            }
            for measured in report.measurements()
        ],
    }


def _json_text(report: BenchReport) -> str:
    return json.dumps(to_json(report), indent=2)


def to_text(report: BenchReport) -> str:
    """Return the table: thousand operations a second, and ratios."""
    rivals = report.rivals()
    rows = [["", "processes", *rivals]]
    for workload in WORKLOADS:
        name = workload_name(workload) if workload.processes == PROCESSES[0] else ""
        row = [report.measurement(workload, rival) for rival in rivals]
        rows.append(
            [
                name,
                str(workload.processes),
                *(f"{measured.ops_per_s / 1000:,.0f} ({_times(measured.ratio)})" for measured in row),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return "\n".join(
        [f"thousand operations a second (and how many times {BASELINE}'s)", "", *lines, "", *_notes(report)]
    )


def to_svg(report: BenchReport) -> str:
    """Return the bar chart: a row for each operation, a column for each number of processes."""
    rows: dict[str, list[list[Bar]]] = {}
    for workload in WORKLOADS:
        row = [report.measurement(workload, rival) for rival in report.rivals()]
        bars = [
            Bar(measured.rival, measured.ops_per_s, f"{_short(measured.ops_per_s)} · {_times(measured.ratio)}x")
            for measured in row
        ]
        rows.setdefault(workload_name(workload), []).append(bars)
    return draw(
        "Slots shared between processes: operations a second",
        f"x: times as fast as {BASELINE} in the same run. put and get: a slot for each process; grab: one table for all.",
        [f"{count} process{'es' if count > 1 else ''}" for count in PROCESSES],
        [ChartRow(name, panels) for name, panels in rows.items()],
        " ".join(_notes(report)),
    )


def workload_name(workload: Workload) -> str:
    """Return the name of a row: the operation and, where it matters, the size of a slot."""
    size = f"{workload.item_size // 1024} KiB" if workload.item_size >= 1024 else f"{workload.item_size} B"
    return workload.operation if workload.operation == "grab+release" else f"{workload.operation} {size}"


def _short(ops_per_s: float) -> str:
    return f"{ops_per_s / 1e6:.2f} M" if ops_per_s >= 1e6 else f"{ops_per_s / 1e3:.0f} k"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def _notes(report: BenchReport) -> Iterator[str]:
    machine = report.machine()
    yield (
        f"slotmem {machine['slotmem']}, Python {machine['python']}, {machine['system']}, {machine['cpus']} CPUs, "
        f"load average {report.load:.1f} before; medians of {report.repeats} interleaved repeats."
    )
    for name, reason in report.missing.items():
        yield f"{name}: {reason}."
