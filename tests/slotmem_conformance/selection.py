"""Which cases to run: by clause, profile or case, as users name them.

Interface: `chosen(cases, select, skip)`; a word is a case (`GRAB-2/lowest-first`), a clause
(`GRAB-2`), a group of clauses (`GRAB`) or a profile (`core`). `*` matches anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from slotmem_conformance.cases.case import Case


class Unknown(ValueError):
    """A word that selects nothing."""


def chosen(cases: Iterable[Case], select: Sequence[str] = (), skip: Sequence[str] = ()) -> list[Case]:
    """Return the cases that a selection names, all if it is empty, without those skipped.

    Raises:
        Unknown
    """
    found = list(cases)
    for word in (*select, *skip):
        if not any(_is_named(case, word) for case in found):
            raise Unknown(f"{word!r} names no case, clause or profile; --list shows them")
    return [
        case
        for case in found
        if (not select or any(_is_named(case, word) for word in select))
        and not any(_is_named(case, word) for word in skip)
    ]


def words(given: Sequence[str]) -> list[str]:
    """Split what was given, also by commas."""
    return [word for each in given for word in each.split(",") if word]


def _is_named(case: Case, word: str) -> bool:
    clause = case.clause
    names = (case.id, clause.id, clause.id.rpartition("-")[0], clause.profile)
    return any(fnmatchcase(name, word) for name in names)
