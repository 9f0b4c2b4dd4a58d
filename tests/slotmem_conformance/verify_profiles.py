"""The part of `slotmem verify` that asks the clauses, profile by profile.

Interface: `hello(provider, folder)` says who it is, `ask(provider, profiles, ...)` runs the cases of some profiles and gives a
`Report`, `finding(report)` tells what did not hold and how to see it. `CLAIMS` are the profiles that decide the verdict
on those that promise less than all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from slotmem_conformance import reports, runner, selection
from slotmem_conformance.cases import collect
from slotmem_conformance.conform_command import greet
from slotmem_conformance.session import open_session
from slotmem_conformance.verdicts import Report
from slotmem_model.clauses import PROFILES

CLAIMS: dict[str, tuple[str, ...]] = {"httpd": ("core", "httpd"), "httpd:plain": ("core",)}
SEQUENTIAL = ("core", "httpd", "safe")
"""The profiles that need little time."""

_SHOWN = 5


def claimed(provider: str, profile: str) -> bool:
    """Say whether a profile decides the verdict on a provider."""
    return profile in CLAIMS.get(provider, tuple(PROFILES))


def hello(provider: str, folder: str) -> dict[str, Any]:
    """Ask a provider who it is. Raises: Unusable."""
    return greet(partial(open_session, provider), folder)


def ask(provider: str, profiles: Sequence[str], folder: str, *, seed: int, budget_s: float | None = None) -> Report:
    """Run the cases of some profiles, quickly."""
    cases = selection.chosen(collect(), profiles)
    opener = partial(open_session, provider)
    return runner.run(cases, opener, provider=provider, hello={}, seed=seed, quick=True, budget_s=budget_s, base=folder)


def finding(report: Report) -> str:
    """Tell what did not hold, and what to run to see it; nothing if all did."""
    wrong = [each for each in report.outcomes if not each.verdict.holds]
    lines = []
    for each in wrong[:_SHOWN]:
        lines += [f"clause {each.clause}: {each.case}: {each.reason}", f"  see it: {reports.command(report, each)}"]
    if len(wrong) > _SHOWN:
        lines.append(f"and {len(wrong) - _SHOWN} other cases: slotmem conform '{report.provider}' --html report.html")
    return "\n".join(lines)
