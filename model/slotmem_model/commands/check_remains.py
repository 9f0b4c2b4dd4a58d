"""What the held questions of `slotmem check` have left out: what never happened, what never ran.

Interface:

- `judge_lines(row, model, algorithm)` notes on a row which statements its steps never ran.
- `remains(rows)` returns sentences about several rows of one algorithm together; none if nothing
  was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from slotmem_model.automata.source_lines import SourceStatement, statements_of
from slotmem_model.checker.coverage import lines_known, lines_run
from slotmem_model.checker.model import Model
from slotmem_model.checker.properties import SOMETIMES
from slotmem_model.commands.check_report import Row
from slotmem_model.verdict import HELD

_MORE = {
    "two-inside": "--processes 2 or more",
    "full": "more --processes than --slots",
    "waited": "more --processes, or --stripes 1",
    "crash": "--crashes 1",
    "sometimes": "--client, more --processes or --rounds",
}
"""The options that ask for what never happened."""


def judge_lines(row: Row, model: Model, algorithm: Callable[[Any], Any]) -> None:
    """Note which statements there are, and which of them the explored steps ran."""
    row.takes_locks = any(
        action.access.kind in ("lock", "trylock")
        for automaton in model.processes
        for local in automaton.locals
        for action in local.actions
    )
    ran = lines_run(model, row.outcome.taken)
    row.statements = statements_of(algorithm, lines_known(model))
    row.never_ran = [
        each for each in row.statements if not any((each.file, line) in ran for line in range(each.line, each.last + 1))
    ]


def remains(rows: Sequence[Row]) -> list[str]:
    """Return what the held rows together left out, a sentence each, with what to try."""
    rows = [row for row in rows if row.outcome.verdict == HELD]
    if not rows:
        return []
    found = []
    for name in sorted(set.intersection(*(set(row.never) for row in rows))):
        kind = name.partition(" ")[0]
        # A process that begins with a lock is not inside before it has it: having waited will do.
        is_met = name == "two-inside" and any("waited" not in row.never for row in rows)
        if not is_met and (name != "waited" or any(row.takes_locks for row in rows)):
            found.append(f"never happened: {name} ({SOMETIMES[kind]}); try {_MORE[kind]}")
    found += [f"cut short: {bound}" for bound in dict.fromkeys(bound for row in rows for bound in row.put.bounds)]
    missing = [each for each in never_ran(rows) if not each.excused]
    if missing:
        found.append(f"never run: {shown(missing)}; try --client and the other options of the question")
    return found


def never_ran(rows: Sequence[Row]) -> list[SourceStatement]:
    """Return the statements that none of these rows ran."""
    known = {each: None for row in rows for each in row.statements}
    ran = {each for row in rows for each in set(row.statements) - set(row.never_ran)}
    return sorted(each for each in known if each not in ran)


def shown(statements: Iterable[SourceStatement]) -> str:
    """Return where statements are: `mine.py repair, lines 312-330`."""
    parts = []
    for (file, function), group in groupby(statements, key=lambda each: (each.file, each.function)):
        spans: list[list[int]] = []
        for each in group:
            if spans and each.line <= spans[-1][1] + 1:
                spans[-1][1] = max(each.last, spans[-1][1])
            else:
                spans.append([each.line, each.last])
        lines = ", ".join(f"{first}-{last}" if first != last else str(first) for first, last in spans)
        parts.append(f"{Path(file).name} {function}, line{'s' * (lines.isdigit() is False)} {lines}")
    return "; ".join(parts)
