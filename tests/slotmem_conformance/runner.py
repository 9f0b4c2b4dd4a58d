"""Running cases: each in a rig of its own, whatever the last one left of the implementation.

Interface: `greet(opener, base)` asks an implementation who it is; `run_case(case, opener)` returns
a `CaseResult`; `run(...)` a `SuiteReport` of many, with progress on standard error. With a canary
nobody is accused of what the machine did: they raise `Disturbed` instead.

A case that fails, crashes the implementation, or makes it hang is an outcome like any other, and
the next case opens the implementation anew. Only an implementation that does not even say hello
ends a run: that is the user's mistake to fix.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from slotmem import SlotmemError
from slotmem.environment import Disturbed
from slotmem_conformance.cases.case import Case
from slotmem_conformance.protocol import places
from slotmem_conformance.protocol.session import AdapterError, Session
from slotmem_conformance.reports.verdicts import CaseResult, ClauseVerdict, SuiteReport
from slotmem_conformance.rig.rig import Failed, Informed, Opener, Rig, Skipped
from slotmem_model.clauses import CLAUSES
from slotmem_stress.canary import Canary

_FIRST = {"op": "create", "name": "first", "item_size": 2**16, "item_num": 16, "type": []}

SEQUENTIAL = ("core", "httpd", "safe")
"""The profiles whose cases have one caller at a time: what they find is found again."""

_TRIES = 2  # of a failing case once more
_WRONG = {"must": ClauseVerdict.FAIL, "should": ClauseVerdict.NON_STRICT, "info": ClauseVerdict.INFO}
_FROM_OUTSIDE = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGXCPU")
"""How a driver ends that we did not end, and that did not crash."""


class Unusable(Exception):
    """What was asked for cannot be done; the message says why."""


def greet(opener: Opener, base: str, canary: Canary | None = None) -> dict[str, Any]:
    """Ask an implementation who it is; with a canary, check that there is a place for segments.

    Raises:
        Unusable: if it does not answer; the message says why.
        Disturbed: if there is no place for segments.
    """
    with tempfile.TemporaryDirectory(prefix="slotmem-hello-", dir=base) as folder:
        try:
            session = opener(runtime_dir=folder)
            hello = dict(session.hello)
            if canary is not None and not _makes_a_segment(session):
                if canary.refused:
                    raise Disturbed(canary.refused)
                canary.check()
            session.close()
        except Disturbed:
            raise
        except (AdapterError, SlotmemError, ValueError) as error:
            raise Unusable(" ".join((getattr(error, "refused", "") or str(error)).split())) from None
        finally:
            places.remove_objects([("first", folder, 0)])
    return hello


def _makes_a_segment(session: Session) -> bool:
    """Return whether an implementation can make a segment as large as most that it will be asked
    for.
    """
    with suppress(AdapterError):
        return bool(session.request(_FIRST)["status"] == "APR_SUCCESS")
    return False


def run_case(
    case: Case,
    opener: Opener,
    *,
    seed: int = 0,
    quick: bool = False,
    base: str | None = None,
    canary: Canary | None = None,
) -> CaseResult:
    """Run a case, and return what became of it.

    Its random choices depend on the seed and its id alone.

    Raises:
        Disturbed: if it failed, and the machine explains why.
    """
    began = time.monotonic()
    strict = case.clause.id == "GRAB-2"  # any free slot is right everywhere else
    rig = Rig(opener, seed=seed ^ zlib.crc32(case.id.encode()), quick=quick, base=base, lowest_first=strict)
    try:
        verdict, reason, broken, kind = _judged(case, rig)
        if canary is not None and not verdict.holds:
            canary.check()
        evidence = "" if verdict in (ClauseVerdict.PASS, ClauseVerdict.SKIP) else rig.evidence or rig.told()
    finally:
        rig.close()
    return CaseResult(case.id, verdict, reason, evidence, round(time.monotonic() - began, 4), broken, kind)


def _judged(case: Case, rig: Rig) -> tuple[ClauseVerdict, str, str, str]:
    """Return the verdict, the reason, the clause that did not hold if it is not the case's, and in
    what way an answer was wrong.
    """
    try:
        case.run(rig)
    except Failed as failed:
        clause = CLAUSES.get(failed.clause, case.clause)
        return _WRONG[clause.level], str(failed), clause.id if clause is not case.clause else "", failed.kind
    except Skipped as skipped:
        return ClauseVerdict.SKIP, str(skipped), "", ""
    except Informed as informed:
        return ClauseVerdict.INFO, str(informed), "", ""
    except AdapterError as error:
        if error.ended and error.got.endswith(_FROM_OUTSIDE):
            raise Disturbed(f"the driver was ended from outside; was there too little memory? {error}") from None
        is_its_own = error.silent or error.ended or bool(error.raised)
        return (ClauseVerdict.FAIL if is_its_own else ClauseVerdict.ADAPTER_ERROR), str(error), "", error.kind
    return ClauseVerdict.PASS, "", "", ""


def run(
    cases: Sequence[Case],
    opener: Opener,
    *,
    provider: str,
    hello: dict[str, object],
    seed: int,
    quick: bool = False,
    budget_s: float | None = None,
    base: str | None = None,
    canary: Canary | None = None,
    tell: Callable[[str], None] | None = None,
) -> SuiteReport:
    """Run the cases in turn; those for which there was no time are skipped, and the report says so.

    With a canary, a failure of a sequential case is believed when it recurs: whatever removes or
    fills something once may have met nothing but the one segment.

    Raises:
        Disturbed: if one failed, and the machine explains why.
    """
    began = time.monotonic()
    report = SuiteReport(provider, dict(hello), seed, quick)
    ask = partial(run_case, opener=opener, seed=seed, quick=quick, base=base, canary=canary)
    confirmed: set[tuple[str, ...]] = set()
    for number, case in enumerate(cases):
        if budget_s is not None and time.monotonic() - began > budget_s:
            report.unfinished = f"the budget of {budget_s:g} s was used up after {number} of {len(cases)} cases"
            report.outcomes += [CaseResult(left.id, ClauseVerdict.SKIP, "no time was left") for left in cases[number:]]
            break
        if tell is not None:
            tell(f"{number + 1}/{len(cases)} {case.id}")
        outcome = ask(case)
        if canary is not None and not outcome.verdict.holds and outcome.cause not in confirmed:
            if case.clause.profile in SEQUENTIAL and all(ask(case).verdict.holds for _ in range(_TRIES)):
                raise Disturbed(
                    f"{case.id} failed once, and held {_TRIES} times when it was repeated: {outcome.reason}; "
                    "did something else on this machine interfere? Run it again to see whether the failure recurs"
                )
            confirmed.add(outcome.cause)
        report.outcomes.append(outcome)
    report.seconds = round(time.monotonic() - began, 2)
    return report


class Progress:
    """A line on standard error that says what is being done, from the second second on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._said = 0.0
        self._terminal = sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        """Show the text, but not more often than is useful."""
        now = time.monotonic()
        if now - self._began > 1 and now - self._said > (0.1 if self._terminal else 2.0):
            self._said = now
            print(
                f"\r\033[K{text}" if self._terminal else text,
                end="" if self._terminal else "\n",
                file=sys.stderr,
                flush=True,
            )

    def end(self) -> None:
        """Remove the line."""
        if self._terminal and self._said:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
