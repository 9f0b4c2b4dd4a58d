"""Change one small thing of the reference after the other, and see whether the suite notices.

examples:
  slotmem mutate                                         every mutant of the reference: hours
  slotmem mutate --shard 1/8 --lines ran.json --json     an eighth of them; what ran is kept
  slotmem mutate --merge 1.json 2.json --markdown        the tables of several reports
  slotmem mutate 'slotmem/slots.py: Slots.grab:*'        only those whose ids match this
  slotmem mutate --select core                           only cases of this profile are asked
  slotmem mutate --by check 'slotmem/slots.py:*'         what the model checker notices
  slotmem mutate --by stress 'slotmem/slots.py:*'        what real processes notice

Only a copy of the packages is changed and run, never the installed files. What survives is listed
in a file with the reason: equivalent, or out of reach.

exit codes: 0 every survivor has a reason, 1 one has none, 2 usage or environment, 3 one was asked
nothing; 130 Ctrl-C
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from slotmem_conformance import runner, selection
from slotmem_conformance.cases.case import collect
from slotmem_conformance.mutation import scores
from slotmem_conformance.mutation.mutants import TARGETS, Mutant, mutants
from slotmem_conformance.mutation.trial import KILLED, NOT_ASKED, SURVIVED, Trial, recorded, try_mutant
from slotmem_conformance.mutation.workshop import Workshop, source
from slotmem_model.given_files import read_text
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED, Exit, exit_code

SYNONYMS = ("mutants", "mutation")

FORMAT = "slotmem mutation 1"


_ALGORITHM = ("slotmem/slots.py:", "slotmem/updates.py:", "slotmem/tenancy.py:", "slotmem/recovery.py:")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("ids", nargs="*", default=["*"], metavar="ID", help="which mutants; * matches anything")
    parser.add_argument("--by", choices=scores.BY, default="conform", help="who is asked (default: conform)")
    parser.add_argument(
        "--select", action="append", default=[], metavar="WORDS", help="only these cases, clauses or profiles"
    )
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="only the I-th of N parts, from 1")
    parser.add_argument(
        "--lines", type=Path, metavar="FILE", help="keep there which lines each case runs, for next time"
    )
    parser.add_argument(
        "--survivors", type=Path, default=scores.REASONS, metavar="FILE", help="the reasons (default: ours)"
    )
    parser.add_argument("--merge", nargs="+", type=Path, metavar="REPORT", help="try nothing; sum up JSON reports")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print a JSON report")
    output.add_argument("--markdown", action="store_true", help="print the tables as a page")


def _shard(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part such as 1/8, the first of eight")
    return int(number), int(of)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    try:
        reasons = scores.load(arguments.survivors)
        trials: list[Trial] = []
        try:
            for trial in _read(arguments.merge) if arguments.merge else _trials(arguments):
                trials.append(trial)  # noqa: PERF402 -- what there is by Ctrl-C counts
        except KeyboardInterrupt:
            _tell(arguments, trials, reasons, UNDECIDED)
            raise
        return _tell(arguments, trials, reasons)
    except (runner.Unusable, selection.Unknown, scores.BadFile) as error:
        print(f"slotmem mutate: {error}", file=sys.stderr)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None:  # the output could not be written
            raise
        print(f"slotmem mutate: {error.filename}: {error.strerror}", file=sys.stderr)
    return Exit.USAGE


def _trials(arguments: argparse.Namespace) -> Iterator[Trial]:
    """Try one mutant after the other."""
    words = selection.words(arguments.select)
    names = [case.id for case in selection.chosen(collect(), words)] if words else []
    progress = runner.Progress()
    with Workshop() as workshop:
        number, of = arguments.shard
        found = _chosen(arguments.ids, arguments.by)[number - 1 :: of]
        recording = recorded(workshop, arguments.by, names, arguments.lines, progress)
        survived = 0
        try:
            for at, mutant in enumerate(found):
                progress(f"{at + 1}/{len(found)}, {survived} survived: {mutant.id}")
                trial = try_mutant(workshop, mutant, recording)
                survived += trial.outcome == SURVIVED
                yield trial
        finally:
            progress.end()


def _chosen(ids: Sequence[str], by: str) -> list[Mutant]:
    """Return the mutants whose ids match one of these; the checker and stress runs are asked about
    the algorithm alone.

    Raises:
        Unusable: if there is none.
    """
    found = [each for each in _all() if by == "conform" or each.id.startswith(_ALGORITHM)]
    chosen = [each for each in found if any(each.id == id or fnmatchcase(each.id, id) for id in ids)]
    if not chosen:
        raise runner.Unusable(f"no mutant's id matches {ids[0]!r}; an id begins with its file, such as {found[0].id!r}")
    return chosen


def _all() -> list[Mutant]:
    return [each for target in TARGETS for each in mutants(target, source(target))]


def _read(paths: Sequence[Path]) -> Iterator[Trial]:
    """Yield the trials of reports; of several of one mutant, one that noticed it."""
    found: dict[tuple[str, str], Trial] = {}
    for path in paths:
        try:
            for each in json.loads(read_text(path))["trials"]:
                trial = Trial(**each)
                key = trial.mutant, trial.by
                if trial.outcome == KILLED or key not in found or found[key].outcome == NOT_ASKED:
                    found[key] = trial
        except (ValueError, KeyError, TypeError) as error:
            raise runner.Unusable(f"{path} is not a report of slotmem mutate: {error}") from None
    yield from found.values()


def _tell(
    arguments: argparse.Namespace, trials: Sequence[Trial], reasons: Sequence[scores.Reason], verdict: str = ""
) -> int:
    """Print what became of the mutants; return the exit code."""
    trials = scores.sorted_out(trials, reasons)
    unexplained = [trial for trial in trials if trial.outcome == SURVIVED]
    untried = [trial for trial in trials if trial.outcome == NOT_ASKED]
    verdict = VIOLATED if unexplained else verdict or (UNDECIDED if untried else HELD)
    if arguments.json:
        report = {"format": FORMAT, "verdict": verdict, "trials": [trial._asdict() for trial in trials]}
        print(json.dumps(report, indent=1))
        return exit_code(verdict)
    numbers = Counter(each.id.partition(":")[0] for each in _all())
    print("\n".join((scores.page if arguments.markdown else scores.tables)(trials, numbers)).strip("\n"))
    if not arguments.markdown:
        for trial in unexplained:
            print(f"\nsurvived {trial.by}, and no reason is given: {trial.mutant}\n  {trial.finding}")
        for trial in untried:
            print(f"\nnot asked, since no question runs its lines: {trial.mutant}")
        for sentence in scores.needless(trials, reasons, {each.id for each in _all()}):
            print(f"\n{sentence}")
        print(f"\nverdict: {verdict}")
    return exit_code(verdict)
