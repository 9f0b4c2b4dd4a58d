"""What `slotmem bench --kill` says: JSON, a table with examples, a bar chart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slotmem_stress.bench.bar_chart import Bar, ChartRow, draw
from slotmem_stress.bench.findings import KINDS
from slotmem_stress.bench.kill import KillReport, Row
from slotmem_stress.bench.speed_page import about, columns
from slotmem_stress.bench.victims import OPERATIONS


def to_json(report: KillReport) -> dict[str, Any]:
    """Return the JSON report."""
    return {
        "machine": report.machine(),
        "kills": report.kills,
        "budget_s": report.budget_s,
        "not_asked": report.missing,
        "results": [
            {
                "rival": row.rival,
                "operation": row.operation,
                "kills": row.kills,
                **row.counts,
                "recovery_ms": row.recovery_ms,
                "examples": row.examples,
            }
            for row in report.rows()
        ],
    }


def to_text(report: KillReport) -> str:
    """Return the table, and an example of each kind of damage to each rival."""
    rows = report.rows()
    lines = [["", "inside", "kills", *KINDS, "recovery (ms)"]]
    lines += [[row.rival if row.operation == OPERATIONS[0] else "", row.operation, *_cells(row)] for row in rows]
    return "\n".join(
        [
            "processes killed inside an operation, after how many of the kills a survivor was stuck, or found what;",
            "and how long it took one that was not stuck to get, put, grab and release (the median)",
            "",
            *columns(lines),
            "",
            *_examples(rows),
            *_notes(report),
        ]
    )


def to_svg(report: KillReport) -> str:
    """Return the bar chart: a row for each kind of damage, a column for each operation."""
    found = {(row.rival, row.operation): row for row in report.rows()}

    def bar(rival: str, operation: str, kind: str) -> Bar:
        row = found.get((rival, operation))
        if row is None or not row.kills:
            return Bar(rival, 0.0, "not asked")
        return Bar(rival, row.counts[kind] / row.kills, f"{row.counts[kind]} of {row.kills}")

    return draw(
        "Killed inside an operation: what a survivor found",
        "the share of kills after which a survivor was stuck, or found something torn, leaked or miscounted",
        OPERATIONS,
        [ChartRow(kind, [[bar(rival, each, kind) for rival in report.tries] for each in OPERATIONS]) for kind in KINDS],
        " ".join(_notes(report)),
    )


def _cells(row: Row) -> Iterator[str]:
    yield str(row.kills)
    for kind in KINDS:
        yield f"{row.counts[kind]}" if row.kills else "-"
    yield (
        "never"
        if row.kills and row.recovery_ms is None
        else "-"
        if row.recovery_ms is None
        else f"{row.recovery_ms:.2f}"
    )


def _examples(rows: list[Row]) -> Iterator[str]:
    """Yield an example of each kind for each rival; who has the same is named together."""
    for kind in KINDS:
        first: dict[str, str] = {}
        for row in rows:
            if kind in row.examples:
                first.setdefault(row.rival, row.examples[kind])
        for text in dict.fromkeys(first.values()):
            yield f"{kind}: {text}"
            yield f"    {', '.join(rival for rival, said in first.items() if said == text)}"
        if first:
            yield ""


def _notes(report: KillReport) -> Iterator[str]:
    yield f"{about(report.machine())}; at most {report.kills} kills inside each operation."
    for name, reason in report.missing.items():
        yield f"{name}, not asked: {reason}."
