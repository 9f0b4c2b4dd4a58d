"""Running cases: each in a rig of its own, whatever the last one left of the implementation.

Interface: `greet(opener, base)` asks an implementation who it is; `run_case(case, opener)` returns
a `CaseResult`; `run(...)` a `SuiteReport` of many, with progress on standard error.

A case that fails, crashes the implementation, or makes it hang is an outcome like any other, and
the next case opens the implementation anew. Only an implementation that does not even say hello
ends a run: that is the user's mistake to mend.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from slotmem import SlotmemError
from slotmem_conformance.cases.case import Case
from slotmem_conformance.protocol.session import AdapterError
from slotmem_conformance.reports.verdicts import CaseResult, ClauseVerdict, SuiteReport
from slotmem_conformance.rig.rig import Failed, Informed, Opener, Rig, Skipped


class Unusable(Exception):
    """What was asked for cannot be done; the message says why."""


def greet(opener: Opener, base: str) -> dict[str, Any]:
    """Ask an implementation who it is.

    Raises:
        Unusable: it does not answer, and why.
    """
    with tempfile.TemporaryDirectory(prefix="slotmem-hello-", dir=base) as folder:
        try:
            session = opener(runtime_dir=folder)
            hello = dict(session.hello)
            session.close()
        except (AdapterError, SlotmemError, ValueError) as error:
            raise Unusable(" ".join((getattr(error, "refused", "") or str(error)).split())) from None
    return hello


def run_case(case: Case, opener: Opener, *, seed: int = 0, quick: bool = False, base: str | None = None) -> CaseResult:
    """Do a case, and tell what became of it.

    Its random choices depend on the seed and its id alone.
    """
    began = time.monotonic()
    rig = Rig(opener, seed=seed ^ zlib.crc32(case.id.encode()), quick=quick, base=base)
    try:
        verdict, reason = _judged(case, rig)
        evidence = "" if verdict in (ClauseVerdict.PASS, ClauseVerdict.SKIP) else rig.evidence or rig.told()
    finally:
        rig.close()
    return CaseResult(case.id, verdict, reason, evidence, round(time.monotonic() - began, 4))


def _judged(case: Case, rig: Rig) -> tuple[ClauseVerdict, str]:
    wrong = ClauseVerdict.FAIL if case.clause.level == "must" else ClauseVerdict.NON_STRICT
    if case.clause.level == "info":
        wrong = ClauseVerdict.INFO
    try:
        case.run(rig)
    except Failed as failed:
        return wrong, str(failed)
    except Skipped as skipped:
        return ClauseVerdict.SKIP, str(skipped)
    except Informed as informed:
        return ClauseVerdict.INFO, str(informed)
    except AdapterError as error:
        is_its_own = error.silent or error.ended or bool(error.raised)
        return (ClauseVerdict.FAIL if is_its_own else ClauseVerdict.ADAPTER_ERROR), str(error)
    return ClauseVerdict.PASS, ""


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
    tell: Callable[[str], None] | None = None,
) -> SuiteReport:
    """Run the cases in turn; those for which there was no time are skipped, and it says so."""
    began = time.monotonic()
    report = SuiteReport(provider, dict(hello), seed, quick)
    for number, case in enumerate(cases):
        if budget_s is not None and time.monotonic() - began > budget_s:
            report.unfinished = f"the budget of {budget_s:g} s was used up after {number} of {len(cases)} cases"
            report.outcomes += [CaseResult(left.id, ClauseVerdict.SKIP, "no time was left") for left in cases[number:]]
            break
        if tell is not None:
            tell(f"{number + 1}/{len(cases)} {case.id}")
        report.outcomes.append(run_case(case, opener, seed=seed, quick=quick, base=base))
    report.seconds = round(time.monotonic() - began, 2)
    return report


class Progress:
    """A line on standard error that says what is being done, from the second second on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._said = 0.0
        self._terminal = sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        """Say it, but not more often than is useful."""
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
        """Take the line away."""
        if self._terminal and self._said:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
