"""Run a recorded trace again, step by step, on the model.

A trace is what `slotmem check --trace FILE` writes: who did which step, in order. Each step is done
on the algorithm as it is now.

The window of a stress run (`slotmem stress --trace FILE`) is a trace whose steps nobody saw. So the
model looks for steps in which its operations return what was observed, as `slotmem check --explain
FILE` does, and these are done.

examples:
  slotmem check httpd --trace race.json
  slotmem replay race.json                   the lanes again
  slotmem replay race.json --verbose         with memory after each step
  slotmem replay race.json --svg race.svg    as a picture
  slotmem replay race.json --html race.html  as a page: step back and forward, take another way
  slotmem stress algorithm:httpd --trace window.json
  slotmem replay window.json                 the steps that may have been behind it
  slotmem check --explain window.json --trace race.json      keeps these steps

Exit codes: 1 the violation was reproduced; 0 all steps were done and nothing is broken, or the
algorithm cannot do what was observed; 3 undecided: the algorithm now does something other than the
trace says, and the message tells at which step, or the search's budget was used up; 2 usage or
environment.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from slotmem_model.algorithms import catalogue
from slotmem_model.checker.exploration import Limits
from slotmem_model.checker.model import Model, Step, compile_model
from slotmem_model.checker.progress.lasso import lasso_of
from slotmem_model.checker.properties import faults, property_check
from slotmem_model.commands import check_explain as check_observed
from slotmem_model.commands import check_report
from slotmem_model.commands.amounts import amount
from slotmem_model.commands.check_explain import Answer
from slotmem_model.commands.check_report import Live
from slotmem_model.counterexample import lanes, picture, trace, wording
from slotmem_model.counterexample.endless import endless
from slotmem_model.counterexample.explain import explain
from slotmem_model.counterexample.story import Explanation
from slotmem_model.counterexample.trace import BadTrace, Diverged, Trace
from slotmem_model.given_files import read_text
from slotmem_model.programs.values import Values, settled
from slotmem_model.stage import page
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED, Exit, exit_code

SYNONYMS = ("rerun", "reproduce", "trace", "counterexample")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "trace", type=Path, metavar="TRACE", help="a file that `slotmem check` or `slotmem stress` wrote"
    )
    parser.add_argument("--algorithm", metavar="NAME", help="run it on this algorithm instead of the trace's")
    parser.add_argument("--verbose", action="store_true", help="show memory after each step")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw a picture")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page to step through")
    parser.add_argument(
        "--budget-s", type=amount, metavar="S", help="look for the steps of a window for at most S seconds"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON report")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    try:
        return _replay(arguments)
    except BadTrace as error:
        print(f"slotmem replay: {arguments.trace} is not a trace: {error}", file=sys.stderr)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None:  # what is printed has no room
            raise
        print(f"slotmem replay: {error.filename}: {error.strerror}", file=sys.stderr)
    except ValueError as error:
        print(f"slotmem replay: {error}", file=sys.stderr)
    return Exit.USAGE


def _replay(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask for, and return the exit code.

    Raises:
        BadTrace
        ValueError
        OSError
    """
    given = trace.load(read_text(arguments.trace))
    name = arguments.algorithm or given.configuration.algorithm
    heading: list[str] = []
    searched: dict[str, Any] = {}
    if not given.interleaving:
        answer = _looked_for(arguments, given, name)
        heading = [
            "Nobody saw the steps of this trace, so they were looked for.",
            *check_observed.heading(given, answer),
        ]
        if answer.told is None:
            _say(arguments, check_observed.as_json(answer), heading)
            return exit_code(answer.verdict)
        heading.append("")
        searched = {"searched": check_observed.as_json(answer)}
        given = check_observed.traced(answer.told)
    algorithm = catalogue.find(name)
    specification = catalogue.specification(given.configuration.specification)

    def followed(values: Values) -> tuple[tuple[Model, tuple[Step, ...]] | Diverged, set[str]]:
        # What values the words of a program have is not in the trace.
        model = compile_model(given.configuration, algorithm, values=values, specification=specification)
        try:
            steps = trace.follow(model, given)
            return (model, steps), faults(model, steps[-1].state) if steps else set()
        except Diverged as error:
            return error, error.outside

    answered = settled(followed)
    if isinstance(answered, Diverged):
        _say(arguments, {"verdict": UNDECIDED, "difference": str(answered)}, [_diverged(name, answered)])
        return Exit.UNDECIDED
    model, steps = answered
    told = _told(model, given, steps)
    broken = told.broken
    if arguments.svg:
        arguments.svg.write_text(picture.drawn(told), encoding="utf-8")
    if arguments.html:
        arguments.html.write_text(page.page_of(told), encoding="utf-8")
    verdict = VIOLATED if broken else HELD
    report = {"verdict": verdict, "breaks": broken, "sentence": told.sentence}
    lines = [*heading, *lanes.drawn(told, verbose=arguments.verbose), "", *_verdict(given, told)]
    _say(arguments, {**report, "steps": told_steps(told), **searched}, lines)
    return exit_code(verdict)


def _told(model: Model, given: Trace, steps: tuple[Step, ...]) -> Explanation:
    """Say what steps break: a run without end the property that its trace names, if any."""
    if given.loop is None:
        return explain(model, *first_broken(model, steps))
    lasso = lasso_of(model, given.breaks, steps, given.loop)
    return endless(model, lasso) if lasso else explain(model, "", steps)


def _looked_for(arguments: argparse.Namespace, given: Trace, name: str) -> Answer:
    """Look for the steps of a window.

    Raises:
        BadTrace
        ValueError
    """
    live = Live()
    live.begin(f"explaining {arguments.trace}")
    try:
        budget = Limits(arguments.budget_s, check_observed.MEMORY_BYTES, live)
        return check_observed.explain_trace(given, name, budget)
    finally:
        live.end()


def first_broken(model: Model, steps: tuple[Step, ...]) -> tuple[str, tuple[Step, ...]]:
    """Return the property that breaks first along some steps, and the steps up to there; if none
    does, the empty string and all steps.
    """
    judge = property_check(model)
    states = [model.initial, *(step.state for step in steps)]
    for number, state in enumerate(states):
        can_go_on = any(step.action is not None for step in model.successors(state))
        broken = judge.violated(state, can_go_on=can_go_on)
        if broken:
            return broken, steps[:number]
    return "", steps


def told_steps(told: Explanation) -> list[dict[str, Any]]:
    """Return each step for a program: who, what, where, in which operation, with its result."""
    steps = []
    for number, each in enumerate(told.happenings):
        interval = None if each.interval is None else told.intervals[each.interval]
        words = told.model.words
        steps.append(
            {
                "step": number + 1,
                "process": each.process + 1,
                "did": each.text,
                "operation": interval and interval.call,
                "answered": interval.answer if interval and interval.last == number else None,
                "source": each.source and each.source._asdict(),
                "memory": {
                    words[word].name: words[word].shown(told.states[number + 1].words[word])
                    for word in lanes.used_words(told)
                },
            }
        )
    return steps


def _verdict(given: Trace, told: Explanation) -> list[str]:
    if told.broken:
        other = f" (the trace says {given.breaks})" if told.broken != given.breaks else ""
        return [f"reproduced: {told.sentence}", f"broken: {told.broken}{other}"]
    now = trace.record(told.model, "", "", told.steps).operations
    changed = [
        f"{wording.operation(after.operation)} of {wording.process(after.process)}: "
        f"{wording.result(after.operation[0], after.result) if after.result else 'does not return'}"
        for before, after in zip(given.operations, now, strict=False)
        if before != after
    ]
    lines = [f"not broken: the same steps no longer break {given.breaks}"]
    return lines + ([f"results that the trace does not have: {'; '.join(changed)}"] if changed else [])


def _diverged(name: str, difference: Diverged) -> str:
    return (
        f"undecided: {name} no longer does what it did when the trace was made. {difference}.\n"
        f"To ask again whether it is broken: slotmem check {name}"
    )


def _say(arguments: argparse.Namespace, report: dict[str, Any], lines: list[str]) -> None:
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        check_report.say(lines)
