"""Programs of your own: declare shared words and operations, and ask about every interleaving.

    from slotmem_model.program import Words, assert_linearizable, operation

    class Counter:
        n = Words(1, initial=0)

        @operation
        def increment(self):
            value = self.n[0]
            self.n[0] = value + 1
            return value

    def test_counter():
        assert_linearizable(Counter)

- `slotmem_model.programs.declared` says what a class may declare.
- `slotmem check counter.py` asks from the command line; here `check(Counter, ...)` returns a
  `Report`, or raises `Violated` with the shortest way to a violation, step by step.
- `assert_linearizable(Counter)` is the short form for tests.
- `schedules(Counter)` is a Hypothesis strategy, for programs with too many interleavings: each
  example is one of them, run on the very class, and shrinks to the fewest changes of process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from slotmem_model.automata.kind import BadProgram
from slotmem_model.checker import shortest
from slotmem_model.checker.exploration import Limits
from slotmem_model.checker.explored import explored
from slotmem_model.checker.model import Configuration, Model, State, Step, compile_model
from slotmem_model.checker.properties import ALWAYS, OUTSIDE, faults, property_check, put_to
from slotmem_model.counterexample import lanes
from slotmem_model.counterexample.explain import explain
from slotmem_model.programs.clients import defaults
from slotmem_model.programs.declared import (
    PROCESSES,
    Lock,
    NotRecoverable,
    Private,
    RobustLock,
    Words,
    blocked,
    choose,
    fence,
    final,
    invariant,
    is_program,
    operation,
    sometimes,
)
from slotmem_model.programs.values import Values
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "PROCESSES",
    "BadProgram",
    "Lock",
    "NotRecoverable",
    "Private",
    "Report",
    "RobustLock",
    "Run",
    "Violated",
    "Words",
    "assert_linearizable",
    "blocked",
    "check",
    "choose",
    "fence",
    "final",
    "invariant",
    "operation",
    "schedules",
    "sometimes",
]


class Violated(AssertionError):
    """A property does not hold; the message shows the shortest way there. `report` has it all."""

    def __init__(self, report: Report, told: str) -> None:
        super().__init__(told)
        self.report = report


class Undecided(Exception):
    """The exploration was cut short, or something that must happen never did."""


@dataclass(frozen=True)
class Asked:
    """One question, and what was found."""

    configuration: Configuration
    verdict: str
    """held, violated or undecided."""
    states: int
    transitions: int
    seconds: float
    broken: tuple[str, ...] = ()
    """The properties that do not hold."""
    never: tuple[str, ...] = ()
    """What must sometimes happen, and never did."""
    reason: str = ""
    """Why not everything was explored."""
    bounds: tuple[str, ...] = ()
    """What was cut short, such as a store buffer that has as many stores as one may have."""
    told: str = ""
    """The shortest way to a violation, in lanes."""


@dataclass(frozen=True)
class Report:
    """What `check` found, a question at a time."""

    asked: tuple[Asked, ...]

    @property
    def verdict(self) -> str:
        """held, violated or undecided."""
        found = {each.verdict for each in self.asked}
        return VIOLATED if VIOLATED in found else UNDECIDED if UNDECIDED in found or not found else HELD

    @property
    def states(self) -> int:
        """The states of all questions together."""
        return sum(each.states for each in self.asked)


def check(
    program: type,
    *clients: str,
    processes: int | None = None,
    rounds: int = 1,
    crashes: int = 0,
    crash_model: str = "durable",
    memory: str = "sc",
    specification: type | None = None,
    linearizable: bool = True,
    budget_s: float | None = None,
) -> Report:
    """Explore every interleaving of a program. clients: one for all processes, or one for each;
    without any, those that the class names, or each operation beside each other one. crashes: how
    many processes may die; crash_model: `durable` or `strict`. budget_s: seconds for each question.

    Raises:
        Violated: says how.
        Undecided: if the budget was used up first, or what must sometimes happen never did.
        BadProgram, ValueError: if the class or the question means nothing.
    """
    found = []
    for configuration in _questions(
        program,
        clients,
        processes or 2,
        rounds=rounds,
        crashes=crashes,
        crash_model=crash_model,
        memory=memory,
        linearizable=linearizable,
    ):
        found.append(_asked(program, configuration, specification, budget_s))
        if found[-1].verdict == VIOLATED:
            raise Violated(Report(tuple(found)), found[-1].told)
    report = Report(tuple(found))
    left = set.intersection(*(set(each.never) for each in found)) if found else set()
    if report.verdict != HELD or any(name.startswith("sometimes") for name in left):
        reasons = [each.reason for each in found if each.reason] or [f"never happened: {', '.join(sorted(left))}"]
        raise Undecided(f"{program.__name__}: {'; '.join(reasons)}")
    return report


def assert_linearizable(program: type, *clients: str, specification: type | None = None, **question: Any) -> None:
    """Assert that whatever the operations return can be explained by some order of them, each done
    at once: as `specification` does them, or as the class itself does them alone.

    Raises:
        Violated, Undecided, BadProgram, ValueError: see `check`.
    """
    check(program, *clients, specification=specification, **question)


def _questions(program: type, clients: tuple[str, ...], processes: int, **question: Any) -> list[Configuration]:
    if not is_program(program):
        raise BadProgram(f"{program!r} is no program: a class with shared words, and methods marked with @operation")
    return [
        Configuration(
            f"{program.__module__}:{program.__qualname__}",
            processes=max(processes, len(each)),
            slots=0,
            clients=each,
            **question,
        )
        for each in ([clients] if clients else defaults(program, processes))
    ]


def _asked(program: type, configuration: Configuration, specification: type | None, budget_s: float | None) -> Asked:
    limits = Limits(budget_s)
    model, outcome = explored(configuration, program, specification=specification, limits=limits)
    told = ""
    if outcome.violations:
        wanted = "" if outcome.verdict == VIOLATED else OUTSIDE
        found = shortest.find(model, wanted, Limits(budget_s))
        if found:
            explanation = explain(model, found.broken, found.steps)
            lines = [
                f"{configuration} breaks {found.broken}: {ALWAYS.get(found.broken, '')}",
                f"{explanation.sentence}.",
            ]
            told = "\n".join([*lines, "", *lanes.drawn(explanation)])
    put = put_to(model)
    return Asked(
        configuration,
        outcome.verdict,
        outcome.states,
        outcome.transitions,
        outcome.seconds,
        tuple(name for name in put.properties if name in outcome.violations),
        tuple(name for name in put.sometimes if outcome.complete and not outcome.seen.happened(name)),
        outcome.reason,
        put.bounds,
        told,
    )


@dataclass(frozen=True)
class Run:
    """One interleaving of a program."""

    model: Model
    steps: tuple[Step, ...]
    broken: str
    """The property that its last state breaks, if any."""

    def __repr__(self) -> str:
        """Return which process does how many steps, one stretch after the other."""
        parts = [(who, len(list(steps))) for who, steps in groupby(step.process for step in self.steps)]
        shown = ", ".join(f"process {who + 1} {number} step{'s' * (number != 1)}" for who, number in parts)
        return f"<{self.model.configuration.algorithm.rpartition(':')[2]}: {shown}>"

    def check(self) -> None:
        """Raise if it breaks a property.

        Raises:
            Violated
        """
        if self.broken and self.broken != OUTSIDE:
            told = explain(self.model, self.broken, self.steps)
            raise Violated(Report(()), "\n".join([f"{told.sentence}.", "", *lanes.drawn(told)]))


def schedules(
    program: type,
    *clients: str,
    processes: int = 2,
    rounds: int = 1,
    crashes: int = 0,
    memory: str = "sc",
    specification: type | None = None,
) -> SearchStrategy[Run]:
    """Return a strategy for interleavings, as `Run`s: `@given(run=schedules(Queue))`, and in the
    test `run.check()`. Where no process is chosen, the last one goes on; so an example shrinks to
    the fewest changes. Needs Hypothesis.

    Raises:
        BadProgram, ValueError: if the class or the question means nothing.
    """
    from hypothesis import strategies as st  # the library proper does without it

    asked = _questions(program, clients, processes, rounds=rounds, crashes=crashes, memory=memory)
    runners = [_Runner(program, each, specification) for each in asked]
    changes = st.lists(st.tuples(st.integers(0, 63), st.integers(0, 7)), max_size=12)

    @st.composite
    def runs(draw: Any) -> Run:
        which = draw(st.integers(0, len(runners) - 1))
        run: Run = runners[which].run(draw(changes))
        return run

    return runs()


class _Runner:
    """Runs one configuration; words get the values that runs turn out to need."""

    def __init__(self, program: type, configuration: Configuration, specification: type | None) -> None:
        self.values = Values()
        self._compiled = partial(compile_model, configuration, program, values=self.values, specification=specification)
        self.model = self._compiled()

    def run(self, changes: list[tuple[int, int]]) -> Run:
        """See `_run`."""
        while True:
            run = _run(self.model, changes)
            if run.broken != OUTSIDE or not self.values.learn(faults(self.model, run.steps[-1].state)):
                return run
            self.model = self._compiled()


def _run(model: Model, changes: list[tuple[int, int]]) -> Run:
    """Run a model. changes: after how many steps of the last process which of the other steps that
    are possible is taken. A process that goes round gives way to another.
    """
    judge = property_check(model)
    state: State = model.initial
    seen = {state}
    steps: list[Step] = []
    waiting, last = list(changes), 0
    left = waiting[0][0] if waiting else None
    while True:
        possible = list(model.successors(state))
        broken = judge.violated(state, can_go_on=any(step.action is not None for step in possible))
        alive = [step for step in possible if step.action is not None]
        new = [step for step in alive if step.state not in seen]
        if broken or not new:  # all that could go on goes round
            return Run(model, tuple(steps), broken)
        own = [step for step in alive if step.process == last]
        others = [step for step in possible if step not in own]
        if left == 0 and others:
            chosen = others[waiting.pop(0)[1] % len(others)]
            left = waiting[0][0] if waiting else None
        else:
            chosen = next((step for step in own if step in new), new[0])
            left = None if left is None else max(0, left - 1)
        steps.append(chosen)
        state, last = chosen.state, chosen.process
        seen.add(state)
