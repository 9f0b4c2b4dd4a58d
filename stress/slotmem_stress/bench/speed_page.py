"""What `slotmem bench` says of the speeds it measured: JSON, a table, a bar chart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from slotmem_stress.bench.bar_chart import Bar, ChartRow, draw
from slotmem_stress.bench.measure import BenchReport
from slotmem_stress.bench.rivals import OURS
from slotmem_stress.bench.workers import IN_ONE, PROCESSES, WORKLOADS, Workload


def to_json(report: BenchReport) -> dict[str, Any]:
    """Return the JSON report: medians, ratios and every pair, in operations a second."""
    return {
        "machine": report.machine(),
        "seconds": report.seconds,
        "repeats": report.repeats,
        "missing": report.missing,
        "results": [
            {
                **measured.workload._asdict(),
                "rival": measured.rival,
                "ops_per_s": measured.ops_per_s,
                "ours_per_s": measured.ours_per_s,
                "ratio": measured.ratio,
                "spread": measured.spread,
                "pairs": [pair._asdict() for pair in report.pairs[measured.workload, measured.rival]],
            }
            for measured in report.measurements()
        ],
        "beside_get_and_put": [
            {
                "operation": each.operation,
                "processes": each.processes,
                "ratio": report.beside_get_and_put(each),
                "aim": 1.0,
            }
            for each in _in_one()
        ],
    }


def to_text(report: BenchReport) -> str:
    """Return the table: thousand operations a second, and ratios."""
    rows = [["", "processes", OURS, *report.rivals()]]
    rows += [
        [
            workload_name(workload) if workload.processes == PROCESSES[0] else "",
            str(workload.processes),
            f"{report.ours_per_s(workload) / 1000:,.0f}",
            *(_cell(report, workload, rival) for rival in report.rivals()),
        ]
        for workload in WORKLOADS
    ]
    beside = [
        f"{operation:<15}  {', '.join(f'{report.beside_get_and_put(each):.2f}' for each in _in_one(operation))}"
        for operation in IN_ONE
    ]
    return "\n".join(
        [
            f"thousand operations a second (and how many times as fast {OURS} was right beside it)",
            "",
            *columns(rows),
            "",
            f"how many times as fast as a get and a put: {OURS} in {_listed(PROCESSES)} processes; the aim is 1.00",
            *beside,
            "",
            *_notes(report),
        ]
    )


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, its first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def about(machine: dict[str, Any]) -> str:
    """Return in a line what something was measured on."""
    return (
        f"slotmem {machine['slotmem']}, Python {machine['python']}, {machine['system']}, {machine['cpus']} CPUs, "
        f"load average {machine['load_before']:.1f} before and {machine['load_after']:.1f} after"
    )


def _in_one(operation: str | None = None) -> list[Workload]:
    return [each for each in WORKLOADS if each.operation in ([operation] if operation else IN_ONE)]


def _listed(numbers: Sequence[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _cell(report: BenchReport, workload: Workload, rival: str) -> str:
    measured = report.measurement(workload, rival)
    spread = f"{measured.spread:.{_decimals(measured.ratio)}f}"
    return f"{measured.ops_per_s / 1000:,.0f} ({_times(measured.ratio)} ±{spread})"


def to_svg(report: BenchReport) -> str:
    """Return the bar chart: a row for each operation, a column for each number of processes."""
    rows: dict[str, list[list[Bar]]] = {}
    for workload in WORKLOADS:
        ours = report.ours_per_s(workload)
        bars = [Bar(OURS, ours, _short(ours))]
        for rival in report.rivals():
            measured = report.measurement(workload, rival)
            bars.append(
                Bar(rival, measured.ops_per_s, f"{_short(measured.ops_per_s)} · {OURS} {_times(measured.ratio)}x")
            )
        rows.setdefault(workload_name(workload), []).append(bars)
    return draw(
        "Slots shared between processes: operations a second",
        f"x: how many times as fast {OURS} was right beside it. All but grab: a slot for each process.",
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
    return f"{ratio:.{_decimals(ratio)}f}"


def _decimals(ratio: float) -> int:
    return 2 if ratio < 10 else 0


def _notes(report: BenchReport) -> Iterator[str]:
    yield (
        f"{about(report.machine())}; medians of {report.repeats} pairs, and of how far the pairs' ratios are from theirs."
    )
    for name, reason in report.missing.items():
        yield f"{name}: {reason}."
