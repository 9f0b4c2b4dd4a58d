"""Measure the library beside what people would use instead: operations a second, and ratios.

examples:
  slotmem bench                        a table, in about a minute and a half
  slotmem bench --quick                a rougher one, in about fifteen seconds
  slotmem bench --plot bench.svg       a bar chart too
  slotmem bench --json > bench.json    a report for machines, with every single rate

Everything runs in the shm folder, in this one run, in turns. Other work on the machine makes all of it slower.

exit codes: 0 measured, 2 usage or environment
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from slotmem_stress.bench.bar_chart import Bar, ChartRow, draw
from slotmem_stress.bench.measure import PROCESSES, WORKLOADS, BenchReport, WorkerFailed, Workload, measure
from slotmem_stress.bench.rivals import BASELINE

FULL = (90.0, 5)
QUICK = (12.0, 3)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=None,
        help=f"how long to measure, in all (default: {FULL[0]:.0f}; with --quick {QUICK[0]:.0f})",
    )
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        default=None,
        metavar="FILE",
        help="write a JSON report, to FILE or instead of the table",
    )
    parser.add_argument("--plot", default=None, metavar="FILE", help="draw a bar chart, as SVG")


def run(arguments: argparse.Namespace) -> int:
    """Do it. Gives the exit code."""
    default_s, repeats = QUICK if arguments.quick else FULL
    files = [(arguments.json, _json_text)] if arguments.json not in (None, "-") else []
    files += [(arguments.plot, to_svg)] if arguments.plot is not None else []
    try:
        for path, _ in files:
            _check_writable(path)
        report = measure(arguments.seconds or default_s, repeats)
        for path, text_of in files:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text_of(report) + "\n")
    except (OSError, WorkerFailed) as error:
        print(f"slotmem bench: {error}", file=sys.stderr)
        return 2
    print(_json_text(report) if arguments.json == "-" else to_text(report))
    return 0


def seconds(text: str) -> float:
    """Read a time in seconds."""
    number = float(text)
    if not 0 < number < 86400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 86400 seconds")
    return number


def _check_writable(path: str) -> None:
    """Find out before the measuring, not after. Raises: OSError."""
    existed = os.path.lexists(path)
    with open(path, "a", encoding="utf-8"):
        pass
    if not existed:
        os.unlink(path)


# -- what is printed ----------------------------------------------------------------------------------------------------


def to_json(report: BenchReport) -> dict[str, Any]:
    """Give the report for machines: medians, ratios, and every rate, in operations a second."""
    return {
        "machine": report.machine(),
        "seconds": report.seconds,
        "repeats": report.repeats,
        "baseline": BASELINE,
        "missing": report.missing,
        "results": [
            {
                **cell.case._asdict(),
                "rival": cell.rival,
                "ops_per_s": cell.ops_per_s,
                "ratio": cell.ratio,
                "rates": report.rates[cell.case, cell.rival],
            }
            for cell in report.measurements()
        ],
    }


def _json_text(report: BenchReport) -> str:
    return json.dumps(to_json(report), indent=2)


def to_text(report: BenchReport) -> str:
    """Give the table: thousand operations a second, and ratios."""
    rivals = report.rivals()
    rows = [["", "processes", *rivals]]
    for case in WORKLOADS:
        name = case_name(case) if case.processes == PROCESSES[0] else ""
        cells = [report.measurement(case, rival) for rival in rivals]
        rows.append(
            [name, str(case.processes), *(f"{cell.ops_per_s / 1000:,.0f} ({_times(cell.ratio)})" for cell in cells)]
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
    """Give the bar chart: a row for each operation, a column for each number of processes."""
    rows: dict[str, list[list[Bar]]] = {}
    for case in WORKLOADS:
        cells = [report.measurement(case, rival) for rival in report.rivals()]
        bars = [Bar(cell.rival, cell.ops_per_s, f"{_short(cell.ops_per_s)} · {_times(cell.ratio)}x") for cell in cells]
        rows.setdefault(case_name(case), []).append(bars)
    return draw(
        "Slots shared between processes: operations a second",
        f"x: times as fast as {BASELINE} in the same run. put and get: each process its own slot; grab: one table for all.",
        [f"{count} process{'es' if count > 1 else ''}" for count in PROCESSES],
        [ChartRow(name, panels) for name, panels in rows.items()],
        " ".join(_notes(report)),
    )


def case_name(case: Workload) -> str:
    """Give the name of a row: the operation, and the size of a slot where that matters."""
    size = f"{case.item_size // 1024} KiB" if case.item_size >= 1024 else f"{case.item_size} B"
    return case.operation if case.operation == "grab+release" else f"{case.operation} {size}"


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
