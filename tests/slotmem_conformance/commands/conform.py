"""Hold an implementation to the clauses, one by one: any language, any process, any library.

examples:
  slotmem conform shm                               the reference
  slotmem conform exec:'./my-driver --flag'         a driver; PROTOCOL.md says how to write one
  slotmem conform exec:./my-driver --check-adapter  whether the driver itself speaks the protocol
  slotmem conform shm --select core,GRAB --skip GRAB-2
  slotmem conform httpd --claim core,httpd --html report.html --json > httpd.json
  slotmem conform --merge shm.json httpd.json --html matrix.html
  slotmem conform exec:./mine --write-expected known.toml
  slotmem conform exec:./mine --expected known.toml

exit codes: 0 what was claimed, or expected, held; 1 something else did not; 2 usage, environment or
adapter; 3 not all was tried
"""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from slotmem import SlotmemError, __version__
from slotmem_conformance import runner, selection
from slotmem_conformance.adapter_check.check import check_adapter
from slotmem_conformance.cases.case import Case, collect
from slotmem_conformance.machines.driving import hypothesis_in
from slotmem_conformance.protocol.session import AdapterError, open_session
from slotmem_conformance.reports import expected, html_report, reports
from slotmem_conformance.reports.verdicts import CaseResult, ClauseVerdict, SuiteReport, by_cause, by_profile
from slotmem_model.clauses import CLAUSES, PROFILES
from slotmem_model.commands.amounts import amount, positive
from slotmem_model.given_files import read_text
from slotmem_model.verdict import Exit
from slotmem_stress.canary import Canary
from slotmem_stress.commands.arguments import in_words

SYNONYMS = ("test", "conformance", "suite", "compliance", "certify")

_EVIDENCE_LINES = 24


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "provider", nargs="?", default="shm", help="shm, plain, exec:COMMAND, abi:LIBRARY, httpd, algorithm:NAME ..."
    )
    choice = parser.add_argument_group("what is tried")
    choice.add_argument("--list", action="store_true", help="list the cases and do nothing")
    choice.add_argument(
        "--select", action="append", default=[], metavar="WORDS", help="only these cases, clauses or profiles"
    )
    choice.add_argument("--skip", action="append", default=[], metavar="WORDS", help="leave these out")
    choice.add_argument("--reproduce", metavar="ID", help="repeat one case, and show what was said")
    choice.add_argument("--seed", type=int, default=None, help="repeat a run's choices (default: new ones)")
    choice.add_argument("--quick", action="store_true", help="fewer rounds of the random cases")
    choice.add_argument("--budget-s", type=amount, default=None, metavar="S", help="stop after this many seconds")
    choice.add_argument(
        "--timeout-s", type=positive, default=10.0, metavar="S", help="the longest wait for an answer (default: 10)"
    )
    choice.add_argument("--runtime-dir", default=None, help="where to work (default: a temporary folder)")
    choice.add_argument("--check-adapter", action="store_true", help="look for mistakes in the driver, not behind it")
    verdict = parser.add_argument_group("what counts")
    verdict.add_argument(
        "--claim", action="append", default=[], metavar="PROFILES", help="only these profiles decide the exit code"
    )
    verdict.add_argument(
        "--expected",
        type=Path,
        metavar="FILE",
        help="known failures, tried again with the seed that wrote them; one that passes is an error",
    )
    verdict.add_argument(
        "--write-expected", type=Path, metavar="FILE", help="write what failed, and with which seed, as known failures"
    )
    output = parser.add_argument_group("reports")
    output.add_argument("--json", action="store_true", help="print a JSON report")
    output.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit's XML")
    output.add_argument("--markdown", type=Path, metavar="FILE", help="write a page for a CI summary")
    output.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page")
    output.add_argument("--badge", type=Path, metavar="FILE", help="write FILE.svg and FILE.badge.json, for shields.io")
    output.add_argument("--merge", nargs="+", type=Path, metavar="REPORT", help="make pages of several JSON reports")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    # Files are damaged on purpose: the library's warnings about them would be noise here.
    logging.getLogger("slotmem").setLevel(logging.ERROR)
    try:
        if arguments.merge:
            return _merge(arguments)
        known = _known(arguments)
        cases = _cases(arguments)
        if arguments.list:
            return _list(cases, as_json=arguments.json)
        if arguments.check_adapter:
            return _check_adapter(arguments)
        return _conform(arguments, cases, known)
    except (runner.Unusable, selection.Unknown, expected.BadFile) as error:
        print(f"slotmem conform: {error}", file=sys.stderr)
    except (BrokenPipeError, SlotmemError):
        raise
    except OSError as error:
        print(f"slotmem conform: {in_words(error)}", file=sys.stderr)
    return Exit.USAGE


def _known(arguments: argparse.Namespace) -> expected.Expected:
    """Return what is expected; what the arguments leave open is as in the run that wrote it."""
    if arguments.expected is None:
        return expected.Expected()
    known = expected.load(arguments.expected, [each.id for each in collect()])
    if known.version and known.version != __version__:
        print(
            f"slotmem conform: {arguments.expected} was written by slotmem {known.version}, this is {__version__}: cases "
            "may be new, and random choices differ; write it again if a result surprises you",
            file=sys.stderr,
        )
    if arguments.seed is None:
        arguments.seed = known.seed
    arguments.quick = arguments.quick or known.quick
    if not (arguments.select or arguments.skip):
        arguments.select, arguments.skip = list(known.select), list(known.skip)
    return known


def _cases(arguments: argparse.Namespace) -> list[Case]:
    select, skip = _selection(arguments)
    return selection.chosen(collect(), [arguments.reproduce] if arguments.reproduce else select, skip)


def _conform(arguments: argparse.Namespace, cases: Sequence[Case], known: expected.Expected) -> int:
    claimed = selection.words(arguments.claim) or list(PROFILES)
    if wrong := [name for name in claimed if name not in PROFILES]:
        raise runner.Unusable(f"there is no profile {wrong[0]!r}; there are: {', '.join(PROFILES)}")
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(2**32)
    opener = partial(open_session, arguments.provider, timeout_s=arguments.timeout_s)
    progress = runner.Progress()
    with (
        tempfile.TemporaryDirectory(prefix="slotmem-conform-", dir=arguments.runtime_dir) as base,
        Canary(base) as canary,
    ):
        hello = runner.greet(opener, base, canary)
        try:
            with hypothesis_in(base):
                report = runner.run(
                    cases,
                    opener,
                    provider=arguments.provider,
                    hello=hello,
                    seed=seed,
                    quick=arguments.quick,
                    budget_s=arguments.budget_s,
                    base=base,
                    canary=canary,
                    tell=progress,
                )
        finally:
            progress.end()
    surprises = expected.surprises(report, known)
    _write(arguments, report, known)
    if arguments.json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        _print(report, surprises, claimed, verbose=bool(arguments.reproduce))
    return exit_code(report, [each for each, _ in surprises if CLAUSES[each.clause].profile in claimed])


def exit_code(report: SuiteReport, surprises: Sequence[CaseResult]) -> int:
    """Return the exit code of a run, from what was not as expected."""
    if any(each.verdict is not ClauseVerdict.ADAPTER_ERROR for each in surprises):
        return Exit.VIOLATED
    if surprises:
        return Exit.USAGE
    judged = any(each.verdict is not ClauseVerdict.SKIP for each in report.outcomes)
    return Exit.UNDECIDED if report.unfinished or not judged else Exit.HELD


def _write(arguments: argparse.Namespace, report: SuiteReport, known: expected.Expected) -> None:
    for path, text in (
        (arguments.junit, reports.junit),
        (arguments.markdown, reports.markdown),
        (arguments.html, lambda report: html_report.page([report])),
        (arguments.write_expected, lambda report: expected.written(report, known, *_selection(arguments))),
    ):
        if path is not None:
            path.write_text(text(report), encoding="utf-8")
    if arguments.badge is not None:
        _write_badge(arguments.badge, report)


def _selection(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    return selection.words(arguments.select), selection.words(arguments.skip)


def _write_badge(path: Path, report: SuiteReport) -> None:
    """Write the picture, and the JSON that shields.io asks for, under the names that go with
    `path`.
    """
    path.with_suffix(".svg").write_text(reports.badge_svg(report), encoding="utf-8")
    path.with_suffix(".badge.json").write_text(reports.badge_json(report), encoding="utf-8")


def _print(
    report: SuiteReport, surprises: Sequence[tuple[CaseResult, str]], claimed: Sequence[str], *, verbose: bool
) -> None:
    print(reports.title(report))
    for name, total in by_profile(report.outcomes).items():
        if total.judged or total.skipped:
            print(f"  {name:8} {total!s:22} {PROFILES[name]}{'' if name in claimed else ' (not claimed)'}")
    if report.unfinished:
        print(f"  unfinished: {report.unfinished}")
    told = {each.case: what for each, what in surprises}
    causes = by_cause(each for each, _ in surprises)
    for cause in causes:
        shown = cause.shown
        print(f"\n{cause.title}: {told[shown.case]}\n  {shown.clause} asks: {CLAUSES[shown.clause].sentence}")
        _print_evidence(shown)
        if cause.others:
            print(f"  likewise: {', '.join(cause.others)}")
        print(f"  again: {reports.command(report, shown)}")
    for each in report.outcomes:
        if verbose or each.verdict is ClauseVerdict.NON_STRICT:
            print(f"\n{each.case}: {each.verdict.value}{': ' if each.reason else ''}{each.reason}")
            if each.case not in told:
                _print_evidence(each)
    tried = sum(each.verdict is not ClauseVerdict.SKIP for each in report.outcomes)
    found = f"{len(surprises)} not as expected" if surprises else "all as expected"
    if len(causes) < len(surprises):
        found += f", with {len(causes)} cause{'s' if len(causes) > 1 else ''}"
    for line in reports.skips(report):
        print(f"\n{line}")
    print(f"\n{tried} cases in {report.seconds:.1f} s, {found} (seed {report.seed})")


def _print_evidence(outcome: CaseResult) -> None:
    lines = outcome.evidence.splitlines()
    begins = max(0, len(lines) - _EVIDENCE_LINES)
    while lines[begins:] and lines[begins].startswith("  ->"):  # the answer to what is left out
        begins += 1
    if begins:
        print(f"    ... {begins} lines before, which --json and --html show")
    for line in lines[begins:]:
        print(f"    {line}")


def _list(cases: Sequence[Case], *, as_json: bool) -> int:
    if as_json:
        rows = [
            {"id": each.id, "profile": each.clause.profile, "level": each.clause.level, "does": each.sentence}
            for each in cases
        ]
        print(json.dumps(rows, indent=1))
    else:
        for each in cases:
            print(f"{each.id:44} {each.clause.profile:8} {each.sentence}")
    return Exit.HELD


def _merge(arguments: argparse.Namespace) -> int:
    found = []
    for path in arguments.merge:
        try:
            found.append(SuiteReport.from_json(json.loads(read_text(path))))
        except ValueError as error:
            raise runner.Unusable(f"{path}: {error}") from None
    outputs = (arguments.html, arguments.markdown, arguments.junit, arguments.badge)
    if not any(outputs):
        raise runner.Unusable("--merge makes pages: say where with --html, --markdown, --junit or --badge FILE")
    if arguments.html is not None:
        arguments.html.write_text(html_report.page(found), encoding="utf-8")
    if arguments.markdown is not None:
        arguments.markdown.write_text("\n".join(map(reports.markdown, found)), encoding="utf-8")
    if arguments.junit is not None:
        arguments.junit.write_text(reports.junit(*found), encoding="utf-8")
    if arguments.badge is not None:
        for number, report in enumerate(found):
            suffix = f"-{number + 1}" if len(found) > 1 else ""
            _write_badge(arguments.badge.with_name(arguments.badge.stem + suffix), report)
    for report in found:
        print(f"{reports.title(report)}: {reports.summary(report)}")
    return Exit.HELD


def _check_adapter(arguments: argparse.Namespace) -> int:
    try:
        findings = check_adapter(arguments.provider, timeout_s=arguments.timeout_s)
    except (AdapterError, ValueError) as error:
        raise runner.Unusable(str(error)) from None
    if arguments.json:
        print(json.dumps([each._asdict() for each in findings], indent=1))
    else:
        for each in findings:
            print(each)
        found = (
            f"{len(findings)} mistake{'s' if len(findings) > 1 else ''}; fix them and check again: one may hide others"
        )
        print(found if findings else "the driver speaks the protocol")
    return Exit.USAGE if findings else Exit.HELD
