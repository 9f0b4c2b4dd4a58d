"""The part of `slotmem verify` that asks the clauses, profile by profile.

Interface: `hello(provider, folder)` says who it is; `ask(provider, profiles, ...)` runs the cases
of some profiles and gives a `Row`; `failures(outcomes)` lists what did not hold, a clause each.
`CLAIMS` are the profiles that decide the verdict on those that promise less than all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from slotmem_conformance import runner, selection
from slotmem_conformance.cases.case import collect
from slotmem_conformance.machines.driving import Difference
from slotmem_conformance.protocol.session import open_session
from slotmem_conformance.reports import reports
from slotmem_conformance.reports.verdicts import CaseResult, SuiteReport, by_profile
from slotmem_conformance.verify.row import Row, timed
from slotmem_model.clauses import CLAUSES, PROFILES
from slotmem_stress.canary import Canary

CLAIMS: dict[str, tuple[str, ...]] = {"httpd": ("core", "httpd"), "httpd:plain": ("core",)}
WEIGHTS = {"core": 2.0, "httpd": 1.0, "safe": 1.0, "atomic": 4.0, "robust": 4.0, "durable": 3.0, "python": 1.0}
"""How the time that is left is divided among them."""

_TIMEOUT_S = 5.0  # half as long as slotmem conform waits for an answer, since a hang would cost every case that much


class Failure(NamedTuple):
    """A clause that did not hold: a case that shows it, and how many others do."""

    clause: str
    shown: CaseResult
    others: int


def hello(provider: str, folder: str, canary: Canary) -> dict[str, Any]:
    """Ask a provider who it is.

    Raises:
        Unusable
        Disturbed
    """
    return runner.greet(partial(open_session, provider), folder, canary)


def ask(
    part: str, provider: str, profiles: Sequence[str], folder: str, canary: Canary, *, seed: int, budget_s: float
) -> Row:
    """Run the cases of some profiles, quickly, and report them under a name."""
    cases = selection.chosen(collect(), profiles)
    opener = partial(open_session, provider, timeout_s=_TIMEOUT_S)
    report = SuiteReport(provider, {}, seed, True)

    def work() -> None:
        nonlocal report
        tell = runner.Progress()
        try:
            report = runner.run(
                cases,
                opener,
                provider=provider,
                hello={},
                seed=seed,
                quick=True,
                budget_s=budget_s,
                base=folder,
                canary=canary,
                tell=tell,
            )
        finally:
            tell.end()
        counted = {*profiles, *CLAIMS.get(provider, PROFILES)}  # a random program may hit upon clauses of others too
        if found := [each for each in failures(report.outcomes) if CLAUSES[each.clause].profile in counted]:
            raise Difference(", ".join(each.clause for each in found))

    row = timed(part, f"the clauses of {', '.join(profiles)}", work)
    row.work += f": {len(report.outcomes)} cases; {reports.summary(report, profiles)}"
    row.claimed = any(profile in CLAIMS.get(provider, tuple(PROFILES)) for profile in profiles)
    row.tried = not report.unfinished
    row.judged = any(total.judged for total in by_profile(report.outcomes).values())
    row.clauses = report
    return row


def failures(outcomes: Iterable[CaseResult]) -> list[Failure]:
    """List the clauses that did not hold, in the table's order."""
    wrong = [each for each in outcomes if not each.verdict.holds]
    found = []
    order = list(CLAUSES)
    wrong.sort(key=lambda each: (order.index(each.clause), each.broken != ""))
    for clause, of_it in groupby(wrong, key=lambda each: each.clause):
        shown, *others = of_it
        found.append(Failure(clause, shown, len(others)))
    return found
