"""Explore every interleaving, and every crash, of an algorithm.

Without arguments the reference is checked on the standard configurations, and Apache httpd's
algorithm beside it, which is expected to fail: it takes no lock. Any other algorithm is asked the
same questions, as far as they apply to it; with an option of the question, only that one.

examples:
  slotmem check                              all of that, with a table
  slotmem check mine.py:Class                a class of your own, the same questions
  slotmem check counter.py                   a program of your own: not slots, but shared words
  slotmem check example:peterson-on-tso      a program to learn from
  slotmem check lock.py --spec mutex.py:Mutex --client 'enter; leave'
  slotmem check httpd                        the shortest way to two processes with one slot
  slotmem check httpd --svg race.svg         the same as a picture; --trace for `slotmem replay`
  slotmem check httpd --html race.html       as a page: step back and forward, take another way
  slotmem check --processes 3 --crashes 2    the reference, another question
  slotmem check cas --client 'grab -> a; release(a)' --client 'num_free_slots'
  slotmem check spin-lock --progress         does every operation end, does some operation?
  slotmem check spin-lock --progress starvation-free --svg starves.svg
  slotmem check --list                       algorithms and properties
  slotmem check --litmus                     what the memory models allow
  slotmem check --explain window.json        can its algorithm do what a stress run saw?

An algorithm is a name, museum:PIECE, example:NAME, or a class of your own: module:Class,
file.py:Class, or file.py with one in it. A client is what a process does: operations with
registers, `me` is the process's number; one --client for all processes, or one for each.

Exit codes: 0 every property held (without arguments: and httpd failed), 1 one was violated, 2 usage
or environment, 3 undecided: the budget was used up first, or the standard configurations held but
left out lines of the algorithm, or something that can happen; 130 Ctrl-C. With --explain: 1 the
algorithm can do that, 0 it cannot. With --progress: 1 the property that it names is broken; the
other properties of progress are reported, and change nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from slotmem_model.algorithms import catalogue
from slotmem_model.algorithms.base import first_paragraph
from slotmem_model.automata import client
from slotmem_model.automata.source_lines import files_of
from slotmem_model.checker import naive, shortest
from slotmem_model.checker.exploration import Exploration, Limits
from slotmem_model.checker.explored import explored
from slotmem_model.checker.model import CRASH_MODELS, MEMORIES, Configuration, Model, compile_model
from slotmem_model.checker.progress.lasso import DEADLOCK_FREE, PROGRESS
from slotmem_model.checker.promela import to_promela
from slotmem_model.checker.properties import ALWAYS, SOMETIMES, put_to
from slotmem_model.checker.standard import Standard
from slotmem_model.checker.sweep import engine as sweep
from slotmem_model.commands import check_explain as check_observed
from slotmem_model.commands import check_files, check_progress, check_report
from slotmem_model.commands.amounts import amount, count
from slotmem_model.commands.check_questions import Questions, questions
from slotmem_model.commands.check_remains import judge_lines, remains
from slotmem_model.commands.check_report import Live, Row
from slotmem_model.counterexample.explain import explain
from slotmem_model.overdue import Overdue, bounded
from slotmem_model.programs.values import Values, settled
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED, Exit, exit_code

SYNONYMS = ("explore", "prove", "model", "modelcheck", "simulate")

_SEARCH_BYTES = 4 << 30
"""The memory that the search for a counterexample may take by default."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    default = Configuration()
    parser.add_argument("algorithms", nargs="*", metavar="ALGORITHM", help="what to check (see --list)")
    question = parser.add_argument_group("the question")
    for name, what in (
        ("processes", "how many processes"),
        ("slots", "how many slots"),
        ("rounds", "how often each repeats its client; 0: for ever"),
        ("crashes", "how many processes may die, before any step"),
        ("slot-bytes", "bytes in a slot, one step each"),
    ):
        usual = getattr(default, name.replace("-", "_"))
        question.add_argument(f"--{name}", type=int, metavar="N", help=f"{what} (default: {usual})")
    question.add_argument(
        "--client", action="append", dest="clients", metavar="TEXT", help=f"default: {client.DEFAULT}"
    )
    question.add_argument(
        "--crash-model",
        choices=CRASH_MODELS,
        help="what a process was doing as it died: done at any time or never (durable, the default), or by then or never "
        "(strict)",
    )
    question.add_argument("--memory", choices=MEMORIES, help="sequentially consistent (default), or with store buffers")
    question.add_argument(
        "--stripes", type=int, metavar="N", help="mutexes for slot bytes (default: one for each slot)"
    )
    question.add_argument("--no-pregrab", action="store_false", default=None, dest="pregrab", help="without PREGRAB")
    question.add_argument(
        "--explain",
        type=Path,
        metavar="TRACE",
        help="look for an interleaving in which the operations of a trace return what was observed, by its algorithm or by ALGORITHM",
    )
    question.add_argument(
        "--progress",
        nargs="?",
        const=DEADLOCK_FREE,
        type=check_progress.property_name,
        metavar="PROPERTY",
        help="which operations end, if processes go on for ever: wait-free, lock-free, obstruction-free, "
        "starvation-free or deadlock-free must hold (default: deadlock-free: no deadlock, no livelock)",
    )
    question.add_argument("--timeouts", action="store_true", default=None, help="a wait for a lock may time out")
    question.add_argument(
        "--exceptions",
        action="store_true",
        default=None,
        help="an exception may end an operation at any access, and another one its way out",
    )
    question.add_argument(
        "--spec",
        dest="specification",
        metavar="CLASS",
        help="what a program must do: file.py:Class or module:Class, plain Python with methods of the same names "
        "(default: the program itself, one operation at a time)",
    )
    question.add_argument(
        "--no-linearizable", action="store_false", default=None, dest="linearizable", help="do not run the monitor"
    )
    search = parser.add_argument_group("the search")
    search.add_argument("--engine", choices=("sweep", "naive"), default="sweep", help="naive is the slow oracle")
    search.add_argument("--symmetry", action="store_true", help="take processes that do the same for interchangeable")
    search.add_argument("--por", action="store_true", help="partial order reduction")
    search.add_argument("--budget-s", type=amount, metavar="S", help="explore for at most S seconds")
    search.add_argument("--memory-mb", type=count(0), metavar="MB", help="use at most MB megabytes of memory")
    search.add_argument(
        "--property", choices=sorted(ALWAYS), help="the one whose counterexample to show (default: the nearest)"
    )
    output = parser.add_argument_group("output")
    output.add_argument("--trace", type=Path, metavar="FILE", help="write the first counterexample as JSON")
    output.add_argument("--svg", type=Path, metavar="FILE", help="write the first counterexample as a picture")
    output.add_argument(
        "--html", type=Path, metavar="FILE", help="write it as a page to step through, or all of a small model"
    )
    output.add_argument("--promela", type=Path, metavar="FILE", help="write the model for Spin, and do not explore it")
    output.add_argument("--json", action="store_true", help="print a JSON report")
    output.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    output.add_argument("--litmus", action="store_true", help="show what the memory models allow, by litmus tests")
    output.add_argument("--list", action="store_true", help="list algorithms and properties")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    if arguments.list:
        _list()
        return 0
    if arguments.litmus:
        return _litmus(arguments.json)
    try:
        if arguments.explain and arguments.progress:
            raise ValueError("--explain looks for a run, and --progress for one without end; leave one of them out")
        if arguments.explain:
            return check_observed.run(arguments, Live())
        asked = questions(arguments)
        if arguments.progress:
            return check_progress.run(arguments, asked, Live())
        if arguments.promela:
            return _promela(arguments.promela, asked.asked)
        checking = _Checking(arguments, Live())
        is_finished = checking.all(asked)
        overall = verdict(checking.rows)
        left = _left(checking.rows) if overall == HELD else {}
        _print(arguments, checking, asked, left)
        held = [row.configuration for row in checking.rows if row.outcome.verdict == HELD]
        check_files.write(arguments, next((row.told for row in checking.rows if row.told), None), held)
        if not is_finished:
            return Exit.INTERRUPTED
        return exit_code(UNDECIDED if left.keys() & asked.standard else overall)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None:  # what is printed has no room
            raise
        print(f"slotmem check: {error.filename}: {error.strerror}", file=sys.stderr)
    except ValueError as error:
        print(f"slotmem check: {error}", file=sys.stderr)
    return Exit.USAGE


@dataclass
class _Watched(Limits):
    """Limits that remember whose exploration they bound, so that Ctrl-C loses nothing."""

    outcome: Exploration | None = None

    def spent(self, outcome: Exploration, memory_bytes: int) -> str:
        """Report the progress; return the reason to stop, or the empty string."""
        self.outcome = outcome
        return super().spent(outcome, memory_bytes)


class _Spent(BaseException):
    """The limits were reached while an operation ran. Its `except Exception` must not catch it."""


@dataclass
class _Checking:
    """One run over several configurations."""

    arguments: argparse.Namespace
    live: Live
    rows: list[Row] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """What was no longer asked because a violation was found, one sentence each."""

    def all(self, asked: Questions) -> bool:
        """Explore one after another; after a violation, no more of the same algorithm's standard
        configurations.

        Return False if Ctrl-C ended it: then the row of what was under way is undecided.
        """
        limits = _Watched(self.arguments.budget_s, self.memory_bytes(), self.live)
        broken: dict[str, int] = {}
        for standard in asked.asked:
            if standard.configuration.algorithm in broken:
                broken[standard.configuration.algorithm] += 1
                continue
            before = len(self.rows)
            self.live.begin(str(standard.configuration))
            try:
                self.one(standard, limits)
            except KeyboardInterrupt:
                if len(self.rows) == before:
                    outcome = limits.outcome or Exploration(self.arguments.engine)
                    outcome.complete, outcome.reason, outcome.seconds = (
                        False,
                        "it was interrupted",
                        self.live.last.seconds,
                    )
                    self.rows.append(Row(standard.configuration, outcome, standard.expected))
                return False
            finally:
                self.live.end()
            name = standard.configuration.algorithm
            if name in asked.standard and not standard.expected and self.rows[-1].outcome.verdict == VIOLATED:
                broken[name] = 0
        self.skipped = [
            f"{name} is violated, so {number} more standard configurations were not asked"
            for name, number in broken.items()
            if number
        ]
        return True

    def memory_bytes(self) -> int | None:
        """Return the memory limit in bytes, None without one."""
        megabytes: int | None = self.arguments.memory_mb
        return None if megabytes is None else megabytes * 2**20

    def one(self, standard: Standard, limits: _Watched) -> None:
        """Explore one configuration, and look for a counterexample if something is violated."""
        limits.outcome = None
        configuration, expected = standard
        algorithm = catalogue.find(configuration.algorithm)
        outcome = Exploration(self.arguments.engine, complete=False)

        def tick() -> None:
            outcome.reason = limits.spent(outcome, 0)
            if outcome.reason:
                raise _Spent

        its_own = files_of(algorithm)
        files = frozenset[str]() if self.arguments.por else its_own

        def asked(values: Values) -> tuple[tuple[Model, Exploration], set[str]]:
            with bounded(limits.left(), its_own):
                model = compile_model(
                    configuration,
                    algorithm,
                    files=files,
                    tick=tick,
                    values=values,
                    specification=catalogue.specification(configuration.specification),
                )
            found = self.explore(model, limits)
            return (model, found), found.outside

        try:
            model, found = settled(asked)
        except _Spent:
            self.rows.append(Row(configuration, outcome, expected))
            return
        except Overdue as overdue:
            outcome.reason = f"the budget of {limits.seconds:g} s is used up: {overdue}"
            self.rows.append(Row(configuration, outcome, expected))
            return
        row = Row(configuration, found, expected, put=put_to(model))
        self.rows.append(row)
        if files and row.outcome.verdict == HELD:
            judge_lines(row, model, algorithm)
        if row.outcome.violations:
            self.explain(row, model)

    def explore(self, model: Model, limits: Limits) -> Exploration:
        if self.arguments.engine == "naive":
            return naive.explore(model, limits)
        return sweep.explore(model, limits, symmetry=self.arguments.symmetry, por=self.arguments.por)

    def explain(self, row: Row, model: Model) -> None:
        """Look for the nearest counterexample, on a budget of its own: the exploration's may be
        used up.
        """
        limits = Limits(self.arguments.budget_s, self.memory_bytes() or _SEARCH_BYTES, self.live)
        wanted = self.arguments.property if self.arguments.property in row.outcome.violations else ""
        if row.outcome.verdict != VIOLATED:
            wanted = next(iter(row.outcome.violations))
        found = shortest.find(model, wanted, limits)
        row.told = found and explain(model, found.broken, found.steps)


def verdict(rows: list[Row]) -> str:
    """Return the verdict on all rows: where a violation is expected, finding it counts as held."""
    verdicts = {HELD if row.is_expected else row.outcome.verdict for row in rows}
    missed = any(row.expected == VIOLATED and row.outcome.verdict == HELD for row in rows)
    if VIOLATED in verdicts or missed:
        return VIOLATED
    return UNDECIDED if UNDECIDED in verdicts or not rows else HELD


def _left(rows: list[Row]) -> dict[str, list[str]]:
    """Return what the rows of each algorithm, all of which held, together left out."""
    found = {}
    for name in dict.fromkeys(row.configuration.algorithm for row in rows if row.expected != VIOLATED):
        if left := remains([row for row in rows if row.configuration.algorithm == name]):
            found[name] = left
    return found


def _print(arguments: argparse.Namespace, checking: _Checking, asked: Questions, left: dict[str, list[str]]) -> None:
    rows = checking.rows
    overall = verdict(rows)
    if arguments.json:
        print(check_report.as_json(rows, overall, left, asked.left_out))
        return
    if arguments.markdown:
        check_report.say(check_report.markdown(rows))
        return
    lines = check_report.table(rows)
    for row in rows:
        if row.outcome.reason:
            lines += ["", f"{row.configuration} was not explored to the end: {row.outcome.reason}"]
        if row.told:
            lines += ["", *check_report.counterexample(row.told)]
        elif row.outcome.violations:
            lines += ["", f"{row.configuration}: no counterexample was found within the limits"]
    lines += ["", *_summary(rows), *(f"not asked: {each}" for each in (*asked.left_out, *checking.skipped))]
    lines += [f"{name} {each}" if len(left) > 1 else each for name, sentences in left.items() for each in sentences]
    lines += [f"verdict: {overall}" + (", but not everything that can happen did: see above" if left else "")]
    check_report.say(lines)


def _summary(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        if row.expected == VIOLATED and row.outcome.verdict == VIOLATED:
            yield f"{row.configuration.algorithm} is violated, as expected: it is here to show that the checker finds it"
        elif row.expected == VIOLATED:
            yield f"{row.configuration.algorithm} was expected to be violated, and is {row.outcome.verdict}"


def _promela(path: Path, asked: list[Standard]) -> int:
    """Write a model for Spin.

    Raises:
        ValueError
        OSError
    """
    if len(asked) != 1:
        raise ValueError(f"--promela takes one configuration, got {len(asked)}; name one algorithm")
    configuration = replace(asked[0].configuration, linearizable=False)
    model, _ = explored(configuration, catalogue.find(configuration.algorithm))
    path.write_text(to_promela(model), encoding="utf-8")
    return 0


def _litmus(as_json: bool) -> int:
    """Run the litmus tests, and return the exit code."""
    given, lines = check_report.litmus_tests()
    if as_json:
        print(json.dumps(given, indent=2))
    else:
        check_report.say(lines)
    return exit_code(VIOLATED if any(test["verdict"] == VIOLATED for test in given) else HELD)


def _sentences(prefix: str) -> dict[str, str]:
    return {f"{prefix}:{name}": piece.sentence for name, piece in catalogue.collection(prefix).items()}


def _list() -> None:
    for title, listed in (
        ("algorithms", {name: first_paragraph(catalogue.find(name)) for name in catalogue.names()}),
        ("pieces of the museum", _sentences("museum")),
        ("examples of programs", _sentences("example")),
        ("properties that must always hold", ALWAYS),
        ("properties of progress, with --progress", PROGRESS),
        ("what must sometimes happen, or those hold for nothing", SOMETIMES),
    ):
        width = max(map(len, listed))
        check_report.say([f"{title}:", *(f"  {name:<{width}}  {what}" for name, what in listed.items()), ""])
