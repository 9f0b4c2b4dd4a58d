"""`slotmem check --explain TRACE`: can an algorithm do what was observed, and how?

Interface: `run(arguments, live)` returns the exit code: 1 it can, 0 it cannot, 3 undecided.
`explain_trace(trace, algorithm, limits)` is the same for programs; `heading` returns the answer in
words, `as_json` for machines, and `traced` the interleaving as a trace that can be replayed. The
question and the search are those of `slotmem_model.counterexample.observed`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from slotmem_model.algorithms import catalogue
from slotmem_model.checker import shortest
from slotmem_model.checker.exploration import Exploration, Limits
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.commands import check_report
from slotmem_model.commands.check_report import Live
from slotmem_model.counterexample import lanes, picture, trace, wording
from slotmem_model.counterexample.explain import explain
from slotmem_model.counterexample.observed import Question, is_explained, questions, variants
from slotmem_model.counterexample.observed_search import find
from slotmem_model.counterexample.story import Explanation
from slotmem_model.counterexample.trace import BadTrace, Trace
from slotmem_model.given_files import read_text
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED, exit_code

MEMORY_BYTES = 4 << 30
"""The memory that the search may take by default."""


@dataclass
class Answer:
    """Whether an algorithm can do what was observed."""

    verdict: str
    """violated: it can; held: it cannot; undecided: the search was cut short."""
    algorithm: str
    outcome: Exploration
    questions: int
    """The number put to the model: the window alone and with what ran around it, from each state
    that it may have begun in.
    """
    question: Question | None = None
    """The question to which the answer is yes.

    None although it can: only a counter that was wrong before explains what was counted.
    """
    told: Explanation | None = None
    """How it can; without a question, how the counter can become wrong."""
    variant: Trace | None = None
    """The trace with the operations that took part."""


def explain_trace(given: Trace, algorithm: str, limits: Limits) -> Answer:
    """Look for an interleaving in which the operations of a trace return what was observed.

    Raises:
        BadTrace
        ValueError: if there is no such algorithm, or the model cannot compile it.
    """
    made: Callable[[Any], Any] = catalogue.find(algorithm)
    answer = Answer(HELD, algorithm, Exploration("observed"), 0)
    for variant in variants(given):
        is_more = len(variant.operations) > len(given.operations)
        for question in questions(variant, algorithm):
            if is_more and is_explained(question):
                continue
            answer.questions += 1
            model = compile_model(question.configuration, made)
            steps = find(question, model, limits, answer.outcome)
            if steps is not None:
                told = explain(model, "", steps)
                told.sentence = given.sentence
                return replace(answer, verdict=VIOLATED, question=question, told=told, variant=variant)
            if answer.outcome.reason:
                answer.verdict = UNDECIDED
            if limits.spent(answer.outcome, 0):
                answer.outcome.reason = answer.outcome.reason or limits.spent(answer.outcome, 0)
                return replace(answer, verdict=UNDECIDED)
    if answer.verdict == HELD and _counts(given):
        answer.told = _wrong_counter(algorithm, made, limits)
        answer.verdict = VIOLATED if answer.told else HELD
    return answer


def _counts(given: Trace) -> bool:
    return any(done.operation[0] == "num_free_slots" for done in given.operations)


def _wrong_counter(algorithm: str, made: Callable[[Any], Any], limits: Limits) -> Explanation | None:
    """Look for a way to a counter that is wrong when nobody is inside an operation; the operations
    of a window begin with a right one.
    """
    model = compile_model(Configuration(algorithm, linearizable=False), made)
    found = shortest.find(model, "counter", limits)
    return found and explain(model, found.broken, found.steps)


def run(arguments: argparse.Namespace, live: Live) -> int:
    """Run the command and return its exit code.

    Raises:
        ValueError
        OSError
    """
    try:
        given = trace.load(read_text(arguments.explain))
        if len(arguments.algorithms) > 1:
            raise ValueError(f"--explain takes one algorithm, got {', '.join(arguments.algorithms)}")
        algorithm = arguments.algorithms[0] if arguments.algorithms else given.configuration.algorithm
        memory_bytes = MEMORY_BYTES if arguments.memory_mb is None else arguments.memory_mb * 2**20
        live.begin(f"explaining {arguments.explain}")
        try:
            answer = explain_trace(given, algorithm, Limits(arguments.budget_s, memory_bytes, live))
        finally:
            live.end()
    except BadTrace as error:
        raise ValueError(f"{arguments.explain} is not a trace that can be explained: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{arguments.explain} is not a trace: {error}") from error
    for path, written in ((arguments.svg, picture.drawn), (arguments.trace, _dumped)):
        if path is not None and answer.told is not None:
            path.write_text(written(answer.told), encoding="utf-8")
        elif path is not None:
            print(f"no interleaving was found, so {path} was not written", file=sys.stderr)
    if arguments.json:
        print(json.dumps(as_json(answer), indent=2))
    else:
        check_report.say([*heading(given, answer), *_shown(answer)])
    return exit_code(answer.verdict)


def traced(told: Explanation) -> Trace:
    """Return the interleaving as a trace that can be replayed; there the monitor runs along, and
    says what breaks.
    """
    is_torn = any(interval.fault for interval in told.intervals)
    broken = told.broken or ("nothing-torn" if is_torn else "linearizable")
    found = trace.record(told.model, broken, told.sentence, told.steps)
    return found._replace(configuration=replace(found.configuration, linearizable=True))


def _dumped(told: Explanation) -> str:
    return trace.dumped(traced(told))


def heading(given: Trace, answer: Answer) -> list[str]:
    """Return, in words, whether it can, and in which circumstances."""
    asked = [f"{answer.algorithm}: {given.sentence}", ""]
    explored = _explored(answer)
    if answer.told is not None and answer.question is None:
        return [
            *asked,
            f"{answer.algorithm} can do that if its counter was wrong before; it can become wrong like this:",
        ]
    if answer.told is None or answer.question is None or answer.variant is None:
        if answer.verdict == UNDECIDED:
            return [*asked, f"undecided: {answer.outcome.reason}; {explored}"]
        count = len(given.operations)
        alone = f"the {count} operations" if count > 1 else "the operation"
        with_others = f", nor together with one or two of the {len(given.around)} others in the trace" * bool(
            given.around
        )
        return [
            *asked,
            f"{answer.algorithm} cannot do that: no interleaving of {alone} alone{with_others} returns what was observed,",
            f"from any state that they may have begun in{', nor can its counter become wrong' * _counts(given)}. {explored}.",
        ]
    others = [
        f"{wording.operation(done.operation)} of {wording.process(done.process)}"
        for done in answer.variant.operations
        if done not in given.operations
    ]
    together = f", together with {wording.listed(others)}, which ran at the time" if others else ""
    is_set = len(answer.variant.operations) < sum(map(len, answer.question.asked))
    who = f", made by process {len(answer.question.asked)} before anything else" * is_set
    return [
        *asked,
        f"{answer.algorithm} can do that{together}.",
        f"Initially: {answer.question.setting}{who}.",
    ]


def _shown(answer: Answer) -> list[str]:
    """Return the interleaving, if there is one."""
    if answer.told is None:
        return []
    steps = f"{len(answer.told.steps)} steps, with the fewest changes between processes"
    sentence = [] if answer.question else [f"Then {answer.told.sentence}."]
    return ["", *lanes.drawn(answer.told), "", *sentence, f"{steps}; {_explored(answer)}."]


def _explored(answer: Answer) -> str:
    return (
        f"{answer.outcome.states:,} states of {answer.questions} question{'s' * (answer.questions != 1)} were explored"
    )


def as_json(answer: Answer) -> dict[str, Any]:
    """Return the answer as plain values, for a program."""
    outcome = answer.outcome
    report: dict[str, Any] = {
        "verdict": answer.verdict,
        "algorithm": answer.algorithm,
        "states": outcome.states,
        "transitions": outcome.transitions,
        "questions": answer.questions,
        "reason": outcome.reason,
    }
    if answer.told:
        report |= {"setting": answer.question.setting} if answer.question else {}
        report |= {"configuration": asdict(answer.told.model.configuration)}
        report["counterexample"] = json.loads(_dumped(answer.told))
    return report
