"""What became of a case, what that says of its clause, and what the clauses say of a profile.

- *pass*, *fail*: it did what the clause asks, or not. A crash and a hang are failures.
- *non-strict*: it did not do what a clause of level *should* asks: allowed, not recommended.
- *info*: what it does where nothing is asked of it.
- *skip*: it could not be judged; the reason says why.
- *adapter error*: what came back was not an answer in the protocol; the driver is wrong, and
  nothing is known about what it wraps.

A clause has the worst verdict of its cases, and is skipped only if all of them are. A profile holds
if no clause of it failed and at least one passed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from slotmem_model.clauses import CLAUSES, PROFILES, Profile


class ClauseVerdict(Enum):
    """See the header; the worst comes first."""

    ADAPTER_ERROR = "adapter error"
    FAIL = "fail"
    NON_STRICT = "non-strict"
    INFO = "info"
    PASS = "pass"
    SKIP = "skip"

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return self not in (ClauseVerdict.ADAPTER_ERROR, ClauseVerdict.FAIL)


_WORST = list(ClauseVerdict)
_FOLDER = re.compile(r"/[^\s\"']*/slotmem-conform-\w+")  # a case's runtime directory, which is gone by now


@dataclass
class CaseResult:
    """What became of one case. `evidence` is what was said, or seen, until then."""

    case: str
    verdict: ClauseVerdict
    reason: str = ""
    evidence: str = ""
    seconds: float = 0.0
    broken: str = ""
    """The clause that did not hold, if it is not the one that the case is named after: a random
    program may hit upon anything.
    """
    kind: str = ""
    """In what way an answer was wrong, if one was: what failures with one cause have in common."""

    @property
    def clause(self) -> str:
        """The clause that the verdict is about."""
        return self.broken or self.case.partition("/")[0]

    @property
    def cause(self) -> tuple[str, ...]:
        """What results with one cause have in common: in which way an answer was wrong, or else
        what was said of which clause.
        """
        return (self.verdict.value, *((self.kind,) if self.kind else (self.clause, without_folders(self.reason))))


@dataclass
class SuiteReport:
    """What became of a run. `hello` is what the implementation says of itself."""

    provider: str
    hello: dict[str, Any]
    seed: int
    quick: bool
    outcomes: list[CaseResult] = field(default_factory=list)
    unfinished: str = ""
    """Why not everything was tried, if so."""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, summaries included."""
        outcomes = [asdict(each) | {"verdict": each.verdict.value} for each in self.outcomes]
        return {
            "format": "slotmem conformance 1",
            **{name: value for name, value in vars(self).items() if name != "outcomes"},
            "clauses": {id: verdict.value for id, verdict in by_clause(self.outcomes).items()},
            "profiles": {name: str(summary) for name, summary in by_profile(self.outcomes).items()},
            "outcomes": outcomes,
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> SuiteReport:
        """Read one back.

        Raises:
            ValueError
        """
        if given.get("format") != "slotmem conformance 1":
            raise ValueError("it is not a report of `slotmem conform --json`")
        names = ("provider", "hello", "seed", "quick", "unfinished", "seconds")
        try:
            outcomes = [CaseResult(**{**each, "verdict": ClauseVerdict(each["verdict"])}) for each in given["outcomes"]]
            return cls(**{name: given[name] for name in names}, outcomes=outcomes)
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is a damaged report: {error}") from None


@dataclass(frozen=True)
class Summary:
    """A profile, summed up from its clauses."""

    held: int
    judged: int
    skipped: int
    broken: bool

    def __str__(self) -> str:
        if self.judged == 0:
            return "not tried"
        text = "yes" if not self.broken else "no" if self.held == 0 else f"{self.held} of {self.judged}"
        return f"{text} ({self.skipped} skipped)" if self.skipped else text


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong: the case that shows it best, and the others."""

    shown: CaseResult
    others: list[str]

    @property
    def title(self) -> str:
        """The heading for it."""
        return self.shown.case + (f" and {len(self.others)} more" if self.others else "")


def by_cause(outcomes: Iterable[CaseResult]) -> list[Cause]:
    """Group the results with one cause, in the order of the first."""
    found: dict[tuple[str, ...], list[CaseResult]] = {}
    for each in outcomes:
        found.setdefault(each.cause, []).append(each)
    causes = []
    for same in found.values():
        shown = min(same, key=lambda each: (not _is_about(each), each.broken != "", len(each.evidence.splitlines())))
        causes.append(Cause(shown, [each.case for each in same if each is not shown]))
    return causes


def _is_about(result: CaseResult) -> bool:
    """Return whether the clause is one about the operation that was answered wrongly."""
    operation = result.kind.partition(":")[0]
    return result.clause.partition("-")[0] == ("COUNT" if operation == "num_free_slots" else operation.upper())


def without_folders(text: str) -> str:
    """Return a text with $DIR in place of runtime directories, each of which is used once."""
    return _FOLDER.sub("$DIR", text)


def by_reason(outcomes: Iterable[CaseResult]) -> list[tuple[str, int]]:
    """Return why cases were skipped, and how many, the most frequent reason first."""
    skipped = [each.reason for each in outcomes if each.verdict is ClauseVerdict.SKIP]
    return Counter(skipped).most_common()


def by_clause(outcomes: Iterable[CaseResult]) -> dict[str, ClauseVerdict]:
    """Return the verdict of each clause that was tried."""
    found: dict[str, ClauseVerdict] = {}
    for each in outcomes:
        found[each.clause] = min(each.verdict, found.get(each.clause, each.verdict), key=_WORST.index)
    return {id: found[id] for id in CLAUSES if id in found}


def by_profile(outcomes: Sequence[CaseResult]) -> dict[Profile, Summary]:
    """Sum up each profile; clauses of level info do not count."""
    verdicts = by_clause(outcomes)
    summaries: dict[Profile, Summary] = {}
    for profile in PROFILES:
        of_it = [verdict for id, verdict in verdicts.items() if _counts(id, profile)]
        judged = [verdict for verdict in of_it if verdict is not ClauseVerdict.SKIP]
        held = sum(verdict.holds for verdict in judged)
        summaries[profile] = Summary(held, len(judged), len(of_it) - len(judged), held < len(judged))
    return summaries


def _counts(id: str, profile: Profile) -> bool:
    return CLAUSES[id].profile == profile and CLAUSES[id].level != "info"
