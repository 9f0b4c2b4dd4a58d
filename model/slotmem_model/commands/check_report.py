"""What `slotmem check` shows: the table, the counterexamples, JSON, and its progress.

Interface:

- `Row` is one configuration with what was found; `table(rows)` and `markdown(rows)` return lines of
  text.
- `counterexample(explanation)` returns the sentence and the lanes.
- `as_json(rows, verdict)` returns everything.
- `litmus_tests()` shows what the memory models allow.
- `Live` shows progress on standard error.
"""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise, zip_longest
from typing import Any, TextIO

from slotmem_model.automata.source_lines import SourceStatement
from slotmem_model.checker import litmus
from slotmem_model.checker.exploration import Exploration, Progress
from slotmem_model.checker.litmus import LITMUS
from slotmem_model.checker.model import MEMORIES, Configuration
from slotmem_model.checker.properties import ALWAYS, OUTSIDE, Put
from slotmem_model.counterexample import lanes, trace, wording
from slotmem_model.counterexample.story import Explanation
from slotmem_model.counterexample.trace import Trace
from slotmem_model.verdict import HELD, VIOLATED

MARKDOWN_BEGIN, MARKDOWN_END = "<!-- slotmem check: begin -->", "<!-- slotmem check: end -->"
_COLUMNS = ("configuration", "states", "transitions", "seconds", "properties", "did not happen", "verdict")
_NUMBERS = {"states", "transitions", "seconds"}
_WIDEST = {
    "configuration": 38,
    "properties": 21,
    "holds": 19,
    "does not hold": 19,
    "did not happen": 14,
    "verdict": 12,
    "processes": 34,
    "sc reaches": 30,
}
"""Cells of the plain table that are longer are folded."""


@dataclass
class Row:
    """A configuration, and what its exploration found."""

    configuration: Configuration
    outcome: Exploration
    expected: str = ""
    """The verdict that it must have; empty: none in particular."""
    told: Explanation | None = None
    """A counterexample, if one was looked for and found."""
    put: Put = field(default_factory=Put)
    """What was put to it, once it is compiled."""
    takes_locks: bool = True
    statements: list[SourceStatement] = field(default_factory=list)
    """The statements of the algorithm that ought to run, if the properties held."""
    never_ran: list[SourceStatement] = field(default_factory=list)
    """Those of them that no explored step ran."""

    @property
    def is_expected(self) -> bool:
        """Whether the verdict is what it must be."""
        return self.outcome.verdict == (self.expected or HELD)

    @property
    def properties(self) -> str:
        """The number of properties that hold, or the names of the broken ones."""
        if broken := [name for name in ALWAYS if name in self.outcome.violations]:
            return f"broken: {', '.join(broken)}"
        number = len(self.put.properties)
        if self.outcome.verdict == HELD:
            return f"{number} hold"
        return f"{number} hold so far" if self.outcome.states else "nothing explored"

    @property
    def never(self) -> tuple[str, ...]:
        """What never happened, so that the properties were not put to that test; empty while that
        is unknown.
        """
        if not self.outcome.complete:
            return ()
        return tuple(name for name in self.put.sometimes if not self.outcome.seen.happened(name))

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        outcome = self.outcome
        verdict = outcome.verdict
        if self.expected:
            verdict += ", as expected" if self.expected == verdict == VIOLATED else ""
        numbers = (f"{outcome.states:,}", f"{outcome.transitions:,}", f"{outcome.seconds:.1f}")
        return str(self.configuration), *numbers, self.properties, ", ".join((*self.never, *self._lines())), verdict

    def _lines(self) -> Iterator[str]:
        """Yield how many lines never ran, if any."""
        if number := sum(not each.excused for each in self.never_ran):
            yield f"{number} line{'s' * (number != 1)}"


def table(rows: Sequence[Row]) -> list[str]:
    """Return the table as plain text; long cells are folded."""
    return plain_table(_COLUMNS, [row.cells() for row in rows])


def markdown(rows: Sequence[Row]) -> list[str]:
    """Return the table as Markdown, between the markers that a README has around it."""
    cells = [tuple(cell.replace("|", "\\|") for cell in row.cells()) for row in rows]
    rule = tuple("---:" if name in _NUMBERS else "---" for name in _COLUMNS)
    lines = [f"| {' | '.join(line)} |" for line in (_COLUMNS, rule, *cells)]
    return [MARKDOWN_BEGIN, "", *lines, "", MARKDOWN_END]


def litmus_tests() -> tuple[list[dict[str, Any]], list[str]]:
    """Run the litmus tests.

    Returns one object for each, and a table: what each memory model allows, and what was reached.
    """
    given: list[dict[str, Any]] = []
    cells: list[tuple[str, ...]] = []
    for test in LITMUS.values():
        reached = {memory: litmus.outcomes(test, memory) for memory in MEMORIES}
        held = all(reached[memory] == test.allowed(memory) for memory in MEMORIES)
        shown = {memory: ["".join(map(str, outcome)) for outcome in sorted(reached[memory])] for memory in MEMORIES}
        added = [
            " ".join(each for each in shown[memory] if each not in shown[before]) or "nothing"
            for before, memory in pairwise(MEMORIES)
        ]
        verdict = HELD if held else VIOLATED
        given.append({"test": test.name, "registers": test.shown, **shown, "verdict": verdict})
        values = (" ".join(test.shown), " ".join(shown["sc"]), *added, verdict)
        cells.append((test.name, " | ".join(test.processes), *values))
    return given, plain_table(
        ("litmus", "processes", "values of", "sc reaches", "tso adds", "pso adds", "verdict"), cells
    )


def plain_table(columns: tuple[str, ...], cells: Sequence[tuple[str, ...]]) -> list[str]:
    """Return a table as plain text; long cells are folded."""
    folded = [
        [textwrap.wrap(cell, _WIDEST.get(name, 99)) or [""] for name, cell in zip(columns, row, strict=True)]
        for row in cells
    ]
    widths = [max([len(name), *(len(line) for row in folded for line in row[at])]) for at, name in enumerate(columns)]
    lines = [columns, tuple("─" * width for width in widths)]
    for row in folded:
        lines += list(zip_longest(*row, fillvalue=""))
    return [
        "  ".join(
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]


def counterexample(told: Explanation, *, verbose: bool = False) -> list[str]:
    """Return the sentence, and one lane per process."""
    if told.broken == OUTSIDE:
        what = "cannot be judged: a word got a value that the model does not have"
    else:
        what = f"breaks {told.broken}: {wording.property_(told.broken)}"
    number = len(told.happenings) if told.loop is None else told.loop
    return [
        f"{told.model.configuration} {what}",
        f"after {number} step{'s' * (number != 1)}, the fewest possible: {told.sentence}.",
        "",
        *lanes.drawn(told, verbose=verbose),
    ]


def traced(told: Explanation) -> Trace:
    """Return the trace of a counterexample."""
    return trace.record(told.model, told.broken, told.sentence, told.steps, told.loop)


def as_json(
    rows: Sequence[Row], verdict: str, left: dict[str, list[str]] | None = None, not_asked: Sequence[str] = ()
) -> str:
    """Return everything as JSON."""
    given = {"verdict": verdict, "rows": [_row_json(row) for row in rows]}
    return json.dumps(given | {"left_out": left or {}, "not_asked": list(not_asked)}, indent=2)


def _row_json(row: Row) -> dict[str, Any]:
    outcome = asdict(replace(row.outcome, taken=set(), outside=set()))
    del outcome["seen"], outcome["taken"], outcome["outside"]
    given = {"configuration": asdict(row.configuration), **outcome, "verdict": row.outcome.verdict}
    given |= {"expected": row.expected or None, "never": list(row.never), "seconds": round(row.outcome.seconds, 3)}
    given["never_ran"] = [f"{each.file.rpartition('/')[2]}:{each.line} {each.function}" for each in row.never_ran]
    if row.told is not None:
        given["counterexample"] = json.loads(trace.dumped(traced(row.told)))
    return given


def say(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines, in characters that the terminal can show."""
    stream = stream or sys.stdout
    if stream is None:  # it was closed
        return
    text = "".join(f"{line}\n" for line in lines)
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        text = text.translate(lanes.ASCII)
    stream.write(text)


class Live:
    """Progress on standard error: one line that changes on a terminal, else a line every few
    seconds.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.every_s = 0.2 if self.stream.isatty() else 5.0
        self.told = self.began = time.monotonic()
        self.title = ""
        self.last = Progress(0, 0, 0, 0.0)

    def begin(self, title: str) -> None:
        """Note that something new begins, and show it."""
        self.title, self.began = title, time.monotonic()
        self.last = Progress(0, 0, 0, 0.0)
        self.show("compiling")

    def __call__(self, progress: Progress) -> None:
        """Note how far it is, and show it."""
        elapsed = time.monotonic() - self.began
        self.last = progress._replace(seconds=elapsed)
        rate = progress.states / max(elapsed, 1e-3)
        self.show(f"{progress.states:,} states, {rate:,.0f} a second, depth {progress.depth}")

    def show(self, text: str) -> None:
        """Show a line, if it is time for one."""
        now = time.monotonic()
        if now - self.told < self.every_s:
            return
        self.told = now
        if self.stream.isatty():
            self.stream.write(f"\r\x1b[2K{self.title}: {text}"[:160])
        else:
            self.stream.write(f"{self.title}: {text}\n")
        self.stream.flush()

    def end(self) -> None:
        """Clear the line on a terminal."""
        if self.stream.isatty():
            self.stream.write("\r\x1b[2K")
            self.stream.flush()
