"""Known failures: a TOML file that says which cases are known not to hold, and why.

    [[known]]
    id = "PUT-5/last-slot"
    verdict = "fail"
    reason = "httpd does not check lengths"
    link = "https://bz.apache.org/..."

Interface: `load(path)`, `written(report)`, and `surprises(report, known)`: what is not as the file
says. An id that there is not, or a case that is known to fail and passes, is a surprise like a
failure that nobody knows.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from slotmem_conformance.reports.verdicts import CaseResult, ClauseVerdict, SuiteReport


class Known(NamedTuple):
    """One known failure."""

    id: str
    verdict: str = ClauseVerdict.FAIL.value
    reason: str = ""
    link: str = ""


class BadFile(ValueError):
    """The file is not one of known failures; the message says where."""


def load(path: Path, ids: Iterable[str]) -> dict[str, Known]:
    """Read the file.

    Raises:
        BadFile: for what is no known failure, or of a case that there is not.
        OSError
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("known", [])
        if not isinstance(entries, list):
            raise TypeError("'known' is no list of tables")
        known = [Known(**entry) for entry in entries]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise BadFile(f"{path}: {error}") from None
    there = set(ids)
    for each in known:
        if each.id not in there:
            raise BadFile(f"{path}: there is no case {each.id!r}; `--list` shows them")
        if each.verdict not in (ClauseVerdict.FAIL.value, ClauseVerdict.ADAPTER_ERROR.value):
            raise BadFile(f"{path}: {each.id} has the verdict {each.verdict!r}; expected 'fail' or 'adapter error'")
    return {each.id: each for each in known}


def written(report: SuiteReport, known: Mapping[str, Known]) -> str:
    """Return the text of a file of everything that failed; reasons and links that were known are
    kept.
    """
    parts = [f"# What is known not to hold of {report.provider}; `slotmem conform --write-expected` wrote it.\n"]
    for each in report.outcomes:
        if not each.verdict.holds:
            old = known.get(each.case)
            reason = old.reason if old and old.reason else each.reason.splitlines()[0]
            fields = {"id": each.case, "verdict": each.verdict.value, "reason": reason, "link": old.link if old else ""}
            parts.append("\n[[known]]\n" + "".join(f"{name} = {_quoted(value)}\n" for name, value in fields.items()))
    return "".join(parts)


def surprises(report: SuiteReport, known: Mapping[str, Known]) -> list[tuple[CaseResult, str]]:
    """Return each outcome that is not as expected, and what is surprising about it.

    A skipped case surprises nobody.
    """
    found = []
    for each in report.outcomes:
        old = known.get(each.case)
        if old is None and not each.verdict.holds:
            found.append((each, f"{each.verdict.value}: {each.reason}"))
        elif old is not None and each.verdict is not ClauseVerdict.SKIP and each.verdict.value != old.verdict:
            found.append((each, f"{each.verdict.value}, but {old.verdict!r} is expected; take it out of the file"))
    return found


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=True).replace("\x7f", "\\u007f")
