"""`slotmem check --progress`: which operations end, and the runs in which they do not.

Interface: `run(arguments, asked, live)` explores, prints, writes files and returns the exit code.
`asked_of(arguments, questions)` are the configurations: each process repeats its client for ever,
unless --rounds says how often.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from slotmem_model.algorithms import catalogue
from slotmem_model.automata.kind import TooLarge
from slotmem_model.automata.source_lines import files_of
from slotmem_model.checker.exploration import Exploration, Limits
from slotmem_model.checker.explored import explored
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.progress.judge import judge, most_steps
from slotmem_model.checker.progress.lasso import PROGRESS, WAIT_FREE, Lasso
from slotmem_model.checker.progress.promela import progress_promela
from slotmem_model.checker.progress.reached import Reached, reach
from slotmem_model.checker.properties import OUTSIDE
from slotmem_model.commands import check_files, check_report
from slotmem_model.commands.check_questions import Questions
from slotmem_model.commands.check_report import Live
from slotmem_model.counterexample import trace, wording
from slotmem_model.counterexample.endless import endless
from slotmem_model.counterexample.story import Explanation
from slotmem_model.overdue import Overdue, bounded
from slotmem_model.programs.values import MOST_VALUES, Values, settled
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED, Exit, exit_code

MEMORY_BYTES = 4 << 30
"""The memory that a graph may take by default."""
_FOR_EVER = 32
"""The values of one word, before it is taken to grow for ever because processes go on for ever."""
_COLUMNS = ("configuration", "states", "transitions", "seconds", "holds", "does not hold", "verdict")
_UNFIT = {"engine": "naive", "symmetry": True, "por": True, "property": None, "markdown": True}


class _Spent(BaseException):
    """The limits were reached while an operation ran. Its `except Exception` must not catch it."""


@dataclass
class Row:
    """One configuration, and what was found."""

    configuration: Configuration
    asked: str
    """The property that must hold."""
    reached: Reached | None = None
    """None if it was not even compiled."""
    lassos: dict[str, Lasso | None] = field(default_factory=dict)
    """For each property, how it is broken."""
    reason: str = "it was interrupted"
    """Why what was not found broken may not hold; empty if it does."""

    @property
    def verdict(self) -> str:
        """The verdict on the property asked."""
        if self.lassos.get(self.asked):
            return VIOLATED
        return UNDECIDED if self.reason else HELD

    @property
    def broken(self) -> dict[str, Lasso]:
        """The properties that do not hold."""
        return {name: lasso for name, lasso in self.lassos.items() if lasso}

    @property
    def holds(self) -> tuple[str, ...]:
        """The properties that hold."""
        return () if self.reason else tuple(name for name in PROGRESS if not self.lassos[name])

    def told(self, name: str) -> Explanation:
        """Return the run that breaks a property."""
        assert self.reached is not None
        return endless(self.reached.model, self.broken[name])

    def most_steps(self) -> int | None:
        """Return how many steps an operation takes at most, if it is wait-free."""
        return most_steps(self.reached) if self.reached and WAIT_FREE in self.holds else None

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        states, transitions, seconds = (
            (len(self.reached.states), len(self.reached.target), self.reached.seconds) if self.reached else (0, 0, 0.0)
        )
        numbers = (f"{states:,}", f"{transitions:,}", f"{seconds:.1f}")
        return str(self.configuration), *numbers, ", ".join(self.holds), ", ".join(self.broken), self.verdict


def property_name(text: str) -> str:
    """Return the name of a property of progress, for argparse.

    Raises:
        argparse.ArgumentTypeError
    """
    if text not in PROGRESS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of {', '.join(PROGRESS)}; if it is an algorithm, name it before --progress"
        )
    return text


def run(arguments: argparse.Namespace, questions: Questions, live: Live) -> int:
    """Do what the arguments ask for, and return the exit code.

    Raises:
        ValueError
        OSError
    """
    for name, unfit in _UNFIT.items():
        given = getattr(arguments, name)
        if given == unfit if unfit is not None else given is not None:
            raise ValueError(f"--progress has no use for --{name}; leave one of them out")
    asked = list(asked_of(arguments, questions))
    if arguments.promela:
        return _promela(arguments, asked)
    rows: list[Row] = []
    is_finished = True
    limits = Limits(
        arguments.budget_s, MEMORY_BYTES if arguments.memory_mb is None else arguments.memory_mb << 20, live
    )
    for configuration in asked:
        live.begin(str(configuration))
        rows.append(Row(configuration, arguments.progress))
        try:
            _ask(rows[-1], limits)
        except KeyboardInterrupt:
            is_finished = False
            break
        finally:
            live.end()
    overall = verdict(rows)
    if arguments.json:
        print(json.dumps(as_json(rows, overall), indent=2))
    else:
        check_report.say([*told(rows), f"verdict: {overall}"])
    found = next((row.told(row.asked) for row in rows if row.asked in row.broken), None)
    check_files.write(arguments, found, [row.configuration for row in rows if row.verdict == HELD])
    return exit_code(overall) if is_finished else Exit.INTERRUPTED


def asked_of(arguments: argparse.Namespace, questions: Questions) -> Iterable[Configuration]:
    """Yield what is asked: of slots, without a question, one small configuration, instead of all
    the standard ones.
    """
    rounds = arguments.rounds or 0
    if arguments.memory == "pso":
        raise ValueError(
            "--progress with --memory pso: that each store drains some day is not asked for each word; take sc or tso"
        )
    seen: set[str] = set()
    for standard in questions.asked:
        given = standard.configuration
        if standard.expected == VIOLATED or (given.slots and given.algorithm in seen & questions.standard):
            continue
        seen.add(given.algorithm)
        if given.slots and given.algorithm in questions.standard:
            given = Configuration(given.algorithm, slots=1, slot_bytes=1)
        yield replace(given, rounds=rounds, linearizable=False)


def _ask(row: Row, limits: Limits) -> None:
    """Explore one configuration, and note what holds."""
    algorithm = catalogue.find(row.configuration.algorithm)
    row.lassos = dict.fromkeys(PROGRESS)
    looked = Exploration("progress")

    def tick() -> None:
        if reason := limits.spent(looked, 0):
            raise _Spent(reason)

    def looked_at(values: Values) -> tuple[Reached, set[str]]:
        with bounded(limits.left(), files_of(algorithm)):
            model = compile_model(row.configuration, algorithm, values=values, tick=tick)
        reached = reach(model, limits)
        return reached, reached.outside

    try:
        reached = row.reached = settled(looked_at, MOST_VALUES if row.configuration.rounds else _FOR_EVER)
    except _Spent as spent:
        row.reason = str(spent)
        return
    except Overdue as overdue:
        row.reason = f"the budget of {limits.seconds:g} s is used up: {overdue}"
        return
    except TooLarge as error:
        if row.configuration.rounds:
            raise
        row.reason = f"{error}; each process goes on for ever: --rounds N ends it"
        return
    row.lassos = judge(reached)
    row.reason = _reason(reached)


def _reason(reached: Reached) -> str:
    """Return why what is not broken may not hold, if it may not."""
    if OUTSIDE in reached.faults:
        return f"{reached.reason}: if it grows for ever, let it go round, or give --rounds N"
    broken = ", ".join(reached.faults)
    fault = f"{broken} is broken, and that process does nothing more: ask without --progress" if broken else ""
    return reached.reason or fault


def verdict(rows: list[Row]) -> str:
    """Return the verdict on all rows."""
    verdicts = {row.verdict for row in rows}
    return next((each for each in (VIOLATED, UNDECIDED) if each in verdicts), HELD)


def told(rows: list[Row]) -> list[str]:
    """Return the table, what breaks, and the run that breaks what was asked."""
    lines = check_report.plain_table(_COLUMNS, [row.cells() for row in rows])
    for row in rows:
        lines.append("")
        if row.reason:
            lines.append(f"{row.configuration}: what is not broken so far may not hold: {row.reason}")
        if (most := row.most_steps()) is not None:
            lines.append(f"wait-free: {most} steps of its own end each operation")
        others: dict[str, list[str]] = {}
        for name in row.broken:
            if name != row.asked:
                others.setdefault(row.told(name).sentence, []).append(name)
        lines += [f"not {wording.listed(names, 'or')}: {sentence}" for sentence, names in others.items()]
        if row.asked in row.broken:
            lines += check_report.counterexample(row.told(row.asked))
    return [*lines, ""]


def as_json(rows: list[Row], overall: str) -> dict[str, Any]:
    """Return the report as JSON has it."""
    return {"verdict": overall, "progress": [_row_json(row) for row in rows]}


def _row_json(row: Row) -> dict[str, Any]:
    reached = row.reached
    given: dict[str, Any] = {
        "configuration": asdict(row.configuration),
        "asked": row.asked,
        "verdict": row.verdict,
        "states": len(reached.states) if reached else 0,
        "transitions": len(reached.target) if reached else 0,
        "seconds": round(reached.seconds, 3) if reached else 0.0,
        "reason": row.reason,
        "holds": list(row.holds),
        "most_steps": row.most_steps(),
        "broken": {
            name: {
                "sentence": row.told(name).sentence,
                "starves": [process + 1 for process in lasso.starves],
                "stopped": [process + 1 for process in lasso.stopped],
                "way": lasso.loop,
                "loop": len(lasso.steps) - lasso.loop,
            }
            for name, lasso in row.broken.items()
        },
    }
    if row.asked in row.broken:
        given["counterexample"] = json.loads(trace.dumped(check_report.traced(row.told(row.asked))))
    return given


def _promela(arguments: argparse.Namespace, asked: list[Configuration]) -> int:
    """Write a model for Spin.

    Raises:
        ValueError
        OSError
    """
    if len(asked) != 1:
        raise ValueError(f"--promela takes one configuration, got {len(asked)}; name one algorithm, and its clients")
    model, _ = explored(asked[0], catalogue.find(asked[0].algorithm))
    arguments.promela.write_text(progress_promela(model, arguments.progress), encoding="utf-8")
    return Exit.HELD
