"""What `slotmem verify` prints: a page for people, JSON for machines, tables in Markdown.

Interface: `show(...)` prints the page, `to_json(...)` gives the report, `markdown(rows)` the tables
of the clauses.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from slotmem.terminal import printable, unescaped
from slotmem_conformance.reports import reports
from slotmem_conformance.reports.verdicts import ClauseVerdict, SuiteReport, by_clause, by_profile, without_folders
from slotmem_conformance.verify.profiles import Failure, failures
from slotmem_conformance.verify.row import Row, left_out
from slotmem_model.clauses import CLAUSES, PROFILES
from slotmem_model.verdict import VIOLATED

_REASON_CHARACTERS = 240
_HISTORY_LINES = 6
_CLAUSE = re.compile(r"\b[A-Z]+-\d+\b")


def to_json(provider: str, seed: int, rows: Sequence[Row], verdict: str) -> dict[str, Any]:
    """Return the report for machines."""
    shown = [
        {**asdict(row), "clauses": row.clauses and row.clauses.to_json()}  # one format for one thing
        for row in rows
    ]
    return {"provider": provider, "seed": seed, "verdict": verdict, "held": verdict == "held", "rows": shown}


def show(provider: str, seed: int, rows: Sequence[Row], verdict: str) -> None:
    """Print the page: what was done, what did not hold, and what to run to see it."""
    console = Console(file=unescaped(sys.stdout))  # it colours the table
    table = Table(title=printable(f"slotmem verify {provider}"), title_justify="left")
    table.add_column("part")
    table.add_column("what was done")
    table.add_column("seconds", justify="right")
    table.add_column("verdict")
    for row in rows:
        table.add_row(row.part, printable(row.work), f"{row.seconds:.1f}", printable(_told(row)))
    console.print(table)
    for row in rows:
        for line in _findings(row):
            print(line)
    if cut := left_out(rows):
        print(f"\nnot everything was tried of {', '.join(cut)}; --budget-s gives more time")
    proviso = "" if verdict == VIOLATED else "; a run that finds nothing proves nothing about what it did not try"
    print(f"\nverdict: {verdict} (seed {seed}{proviso})")


def markdown(rows: Sequence[Row]) -> str:
    """Return two tables: the profiles, and every clause that did not hold with what was seen."""
    asked = [row.clauses for row in rows if row.clauses is not None]
    outcomes = [outcome for report in asked for outcome in report.outcomes]
    lines = ["| profile | asks | verdict | clauses that hold |", "|---|---|---|---|"]
    for name, total in by_profile(outcomes).items():
        if total.judged or total.skipped:
            of_it = {id: verdict for id, verdict in by_clause(outcomes).items() if CLAUSES[id].profile == name}
            holds = reports.ranges(id for id, verdict in of_it.items() if verdict is ClauseVerdict.PASS)
            nearly = "".join(
                f", {id} (non-strict)" for id, verdict in of_it.items() if verdict is ClauseVerdict.NON_STRICT
            )
            lines.append(f"| {name} | {PROFILES[name]} | {total} | {holds}{nearly} |")
    lines += [f"\nUnfinished: {report.unfinished}." for report in asked if report.unfinished]
    lines += ["", "| clause that does not hold | what was seen |", "|---|---|"]
    for each in failures(outcomes):
        lines.append(f"| {each.clause}: {CLAUSES[each.clause].sentence} | {reports.cell(_reason(each))} |")
    return "\n".join(lines)


def _told(row: Row) -> str:
    if row.held:
        return "unfinished" if not row.tried else "held" if row.judged else "not tried"
    return "VIOLATED" if row.claimed else "not held, not claimed"


def _findings(row: Row) -> list[str]:
    """Say what a part found wrong; nothing if all held."""
    if row.held:
        return []
    if row.clauses is not None:
        return _broken_clauses(row.part, row.clauses)
    named = dict.fromkeys(id for id in _CLAUSE.findall(row.finding) if id in CLAUSES)
    return [f"\n{row.part}:\n{row.finding}", *(f"{id} says: {CLAUSES[id].sentence}" for id in named)]


def _broken_clauses(part: str, report: SuiteReport) -> list[str]:
    found = failures(report.outcomes)
    lines = [f"\n{part}: clauses that do not hold"]
    for each in found:
        lines += [f"  {each.clause} says: {CLAUSES[each.clause].sentence}", f"    {_reason(each)}"]
        if CLAUSES[each.clause].profile == "atomic":  # there the window of the history is the evidence
            lines += [f"      {line}" for line in each.shown.evidence.splitlines()[:_HISTORY_LINES]]
    return [*lines, f"  see one: {reports.command(report, found[0].shown)}"]


def _reason(failure: Failure) -> str:
    """Return what was seen in a line, and the case that saw it."""
    reason = without_folders(" ".join(failure.shown.reason.split()))
    if len(reason) > _REASON_CHARACTERS:
        reason = reason[: _REASON_CHARACTERS - 3] + "..."
    name = failure.shown.case.partition("/")[2]
    return f"{name}{f' and {failure.others} more' if failure.others else ''}: {reason}"
