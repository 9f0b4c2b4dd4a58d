"""Known failures: a TOML file that says which cases are known not to hold, and why.

    version = "0.1.0"
    seed = 1234
    quick = false
    select = ["core", "ATOMIC"]
    skip = []

    [[known]]
    id = "PUT-5/last-slot"
    verdict = "fail"
    reason = "httpd does not check lengths"
    link = "https://bz.apache.org/..."

    [[known]]
    id = "ATOMIC-1"
    verdict = "fail"
    reason = "3 of 3 cases, such as ATOMIC-1/mixed: ..."
    flaky = true

The head says which run wrote it: with the same seed the same cases make the same choices, so that
the same implementation gives the same answers. Where that is not enough, because luck decides (who
comes first when several work at once, where a kill strikes, what a random program hits upon), the
entry is for the clause and *flaky*: its cases of that kind may fail or pass.

Interface: `load(path)`, `written(report, known)`, `surprises(report, known)`: what is not as the
file says. A case that is known to fail and passes is a surprise, like a failure that the file does
not have.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from slotmem import __version__
from slotmem_conformance.reports.verdicts import CaseResult, ClauseVerdict, SuiteReport
from slotmem_model.clauses import CLAUSES
from slotmem_model.given_files import read_text

LUCKY_PROFILES = ("atomic", "robust", "durable")
"""The profiles in which luck decides whether a mistake shows."""
_HEAD = {"version": str, "seed": int, "quick": bool, "select": list, "skip": list}


class Known(NamedTuple):
    """One known failure: of a case, or of a clause if it is flaky."""

    id: str
    verdict: str = ClauseVerdict.FAIL.value
    reason: str = ""
    link: str = ""
    flaky: bool = False


class Expected(NamedTuple):
    """A file of known failures, and the run that wrote it; without one, only the failures."""

    known: Mapping[str, Known] = {}
    version: str = ""
    seed: int | None = None
    quick: bool = False
    select: Sequence[str] = ()
    skip: Sequence[str] = ()


class BadFile(ValueError):
    """The file does not hold known failures; the message says where."""


def load(path: Path, ids: Iterable[str]) -> Expected:
    """Read the file.

    Raises:
        BadFile: if an entry is not a known failure, or its case does not exist.
        OSError
    """
    try:
        given = tomllib.loads(read_text(path))
        entries = given.pop("known", [])
        if not isinstance(entries, list):
            raise TypeError("'known' is not a list of tables")
        known = [Known(**entry) for entry in entries]
        head = Expected({each.id: each for each in known}, **given)
        if not all(isinstance(word, str) for word in (*head.select, *head.skip)):
            raise TypeError("'select' and 'skip' must be lists of strings")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, RecursionError) as error:
        raise BadFile(f"{path}: {error}") from None
    for name, kind in _HEAD.items():
        if name in given and type(given[name]) is not kind:
            raise BadFile(f"{path}: {name} is {given[name]!r}; expected a value of type {kind.__name__}")
    there = set(ids)
    for each in known:
        if each.id not in (CLAUSES if each.flaky else there):
            what = f"clause {each.id!r} (a flaky failure is of a clause)" if each.flaky else f"case {each.id!r}"
            raise BadFile(f"{path}: there is no {what}; `--list` shows them")
        if each.verdict not in (ClauseVerdict.FAIL.value, ClauseVerdict.ADAPTER_ERROR.value):
            raise BadFile(f"{path}: {each.id} has the verdict {each.verdict!r}; expected 'fail' or 'adapter error'")
    return head


def written(report: SuiteReport, expected: Expected, select: Sequence[str] = (), skip: Sequence[str] = ()) -> str:
    """Return the text of a file of everything that failed in this run of a selection.

    Reasons and links that were known are kept, and so are flaky failures that did not happen this
    time.
    """
    head: dict[str, Any] = {"version": __version__, "seed": report.seed, "quick": report.quick}
    lines = [f"# What is known not to hold of {report.provider}; `slotmem conform --write-expected` wrote it."]
    lines += _table(head | {"select": list(select), "skip": list(skip)})
    found = {id: each for id, each in expected.known.items() if each.flaky}
    failed = [each for each in report.outcomes if not each.verdict.holds]
    for outcome in failed:
        flaky = is_lucky(outcome)
        id = outcome.clause if flaky else outcome.case
        reason = f"such as {outcome.case}: {_first(outcome)}" if flaky else _first(outcome)
        old = expected.known.get(id) or found.get(id) or Known(id)
        found[id] = Known(id, outcome.verdict.value, old.reason or reason, old.link, flaky)
    for each in found.values():
        fields = each._asdict()
        lines += ["", "[[known]]", *_table({name: value for name, value in fields.items() if value not in ("", False)})]
    return "\n".join(lines) + "\n"


def surprises(report: SuiteReport, expected: Expected) -> list[tuple[CaseResult, str]]:
    """Return each outcome that is not as expected, and what is surprising about it.

    A skipped case surprises nobody, nor does a flaky one.
    """
    found = []
    for each in report.outcomes:
        if is_lucky(each) and each.clause in expected.known:
            continue
        old = expected.known.get(each.case)
        if old is None and not each.verdict.holds:
            found.append((each, f"{each.verdict.value}: {each.reason}"))
        elif old is not None and each.verdict is not ClauseVerdict.SKIP and each.verdict.value != old.verdict:
            found.append((each, f"{each.verdict.value}, but {old.verdict!r} is expected; take it out of the file"))
    return found


def is_lucky(outcome: CaseResult) -> bool:
    """Return whether luck decides if the case meets a mistake."""
    return CLAUSES[outcome.clause].profile in LUCKY_PROFILES or "/random-" in outcome.case


def _first(outcome: CaseResult) -> str:
    return outcome.reason.splitlines()[0]


def _table(fields: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {_toml(value)}" for name, value in fields.items()]


def _toml(value: Any) -> str:
    """Return a value as TOML writes it, nearly as JSON does, without what UTF-8 cannot hold."""
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return text.encode("utf-8", "replace").decode()
