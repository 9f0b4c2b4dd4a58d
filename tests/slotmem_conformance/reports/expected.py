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
entry is for the clause and *flaky*: its cases of that kind may fail or pass. Where a profile of
that kind has failed, its clauses that held get such an entry too: they may have held by luck.

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
from slotmem_model.json_words import KINDS, shortened

LUCKY_PROFILES = ("atomic", "robust", "durable")
"""The profiles in which luck decides whether a mistake shows."""
_HEAD = {"version": str, "seed": int, "quick": bool, "select": list, "skip": list}
_ENTRY = {"id": str, "verdict": str, "reason": str, "link": str, "flaky": bool}
_KINDS = KINDS | {bool: "true or false"}
_BY_LUCK = "it held when this was written, but not all of its profile did: luck decides"


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
    except RecursionError:
        raise BadFile(f"{path}: it is nested too deeply to be a file of known failures") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: {error}") from None
    entries = given.pop("known", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise BadFile(f"{path}: expected each known failure as a table that begins with [[known]]")
    _check(f"{path}", given, _HEAD)
    for number, entry in enumerate(entries, 1):
        where = f"{path}: the {_ordinal(number)} [[known]]"
        _check(where, entry, _ENTRY)
        if "id" not in entry:
            raise BadFile(f"{where} has no id, which must be that of a case, or of a clause with flaky = true")
    known = [Known(**entry) for entry in entries]
    head = Expected({each.id: each for each in known}, **given)
    for word in (*head.select, *head.skip):
        if not isinstance(word, str):
            raise BadFile(f"{path}: select and skip must be lists of strings, and have {shortened(word)}")
    there = set(ids)
    for each in known:
        if each.id not in (CLAUSES if each.flaky else there):
            what = f"clause {each.id!r} (a flaky failure is of a clause)" if each.flaky else f"case {each.id!r}"
            raise BadFile(f"{path}: there is no {what}; `--list` shows them")
        if each.verdict not in (ClauseVerdict.FAIL.value, ClauseVerdict.ADAPTER_ERROR.value):
            raise BadFile(f"{path}: {each.id} has the verdict {each.verdict!r}; expected 'fail' or 'adapter error'")
    return head


def _check(where: str, given: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Raises: BadFile: a key is not known, or its value has the wrong type."""
    for name, value in given.items():
        if name not in kinds:
            raise BadFile(f"{where}: there is no key {name!r}; there are: {', '.join(kinds)}")
        if type(value) is not kinds[name]:
            raise BadFile(f"{where}: {name} must be {_KINDS[kinds[name]]}, not {shortened(value)}")


def _ordinal(number: int) -> str:
    return f"{number}{'th' if number // 10 % 10 == 1 else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def written(report: SuiteReport, expected: Expected, select: Sequence[str] = (), skip: Sequence[str] = ()) -> str:
    """Return the text of a file of everything that failed in this run of a selection.

    Reasons and links that were known are kept, and so are flaky failures that did not happen this
    time. Clauses that may have held by luck are added.
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
    doubtful = {CLAUSES[each.clause].profile for each in failed} & set(LUCKY_PROFILES)
    for outcome in report.outcomes:
        clause = CLAUSES[outcome.clause]
        if outcome.verdict is ClauseVerdict.PASS and clause.profile in doubtful and clause.level == "must":
            found.setdefault(clause.id, Known(clause.id, reason=_BY_LUCK, flaky=True))
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
