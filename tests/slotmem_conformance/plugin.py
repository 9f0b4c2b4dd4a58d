"""The suite under pytest: `pytest --pyargs slotmem_conformance --slotmem-provider P`.

Each case is a test whose name is its id, so that `-k GRAB-2` selects; `-n 2` works, too. The entry
point `pytest11` loads this module in every run of pytest on a machine that has slotmem: it imports
nothing of the suite until that is asked for, and collects nothing unless `--slotmem-provider` is
given. From a checkout add `-p slotmem_conformance.plugin`.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from slotmem_conformance.cases.case import Case
    from slotmem_conformance.reports.verdicts import CaseResult

_COLLECTED = Path(__file__).parent / "cases" / "case.py"  # the module that stands for all cases in pytest's tree


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("slotmem")
    group.addoption(
        "--slotmem-provider", default=None, help="what is held to the clauses of slotmem, as for slotmem conform"
    )
    group.addoption(
        "--slotmem-select", action="append", default=[], metavar="WORDS", help="only these cases, clauses, profiles"
    )
    group.addoption("--slotmem-skip", action="append", default=[], metavar="WORDS", help="leave these out")
    group.addoption("--slotmem-seed", type=int, default=0, help="the seed of random choices (default: 0)")
    group.addoption("--slotmem-quick", action="store_true", help="fewer rounds of the random cases")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the cases, if this run is one of the suite."""
    if parent.config.getoption("--slotmem-provider") is not None and file_path == _COLLECTED:
        cases: pytest.Collector = Cases.from_parent(parent, path=file_path)
        return cases
    return None


class CaseFailed(Exception):
    """A clause does not hold."""

    def __init__(self, outcome: CaseResult) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class Cases(pytest.File):
    """All cases that were selected."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield an item for each."""
        from slotmem_conformance import selection
        from slotmem_conformance.cases.case import collect

        option = self.config.getoption
        words = (selection.words(option(name)) for name in ("--slotmem-select", "--slotmem-skip"))
        for case in selection.chosen(collect(), *words):
            yield CaseItem.from_parent(self, name=case.id, case=case)


class CaseItem(pytest.Item):
    """One case."""

    def __init__(self, *, case: Case, **rest: Any) -> None:
        super().__init__(**rest)
        self.case = case

    def runtest(self) -> None:
        """Run it.

        Raises:
            CaseFailed: if its clause does not hold.
            Disturbed: if something else on the machine interfered.
        """
        from slotmem_conformance import runner
        from slotmem_conformance.protocol.session import open_session
        from slotmem_conformance.reports.verdicts import ClauseVerdict
        from slotmem_stress.canary import Canary

        option = self.config.getoption
        logging.getLogger("slotmem").setLevel(logging.ERROR)  # files are damaged on purpose
        opener = partial(open_session, option("--slotmem-provider"))
        how = {"seed": option("--slotmem-seed"), "quick": option("--slotmem-quick")}
        with tempfile.TemporaryDirectory(prefix="slotmem-pytest-") as base, Canary(base) as canary:
            outcome = runner.run_case(self.case, opener, base=base, canary=canary, **how)
        self.user_properties.append(("verdict", outcome.verdict.value))
        if outcome.verdict is ClauseVerdict.SKIP:
            pytest.skip(outcome.reason)
        if not outcome.verdict.holds:
            raise CaseFailed(outcome)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the clause and the evidence instead of a traceback of ours."""
        from slotmem.environment import Disturbed

        if isinstance(excinfo.value, Disturbed):
            return f"{self.case.id} was not judged: {excinfo.value}"
        if not isinstance(excinfo.value, CaseFailed):
            return super().repr_failure(excinfo, style)
        from slotmem.terminal import printable
        from slotmem_model.clauses import CLAUSES

        outcome = excinfo.value.outcome
        clause = CLAUSES[outcome.clause]
        lines = f"{outcome.verdict.value}: {outcome.reason}\n{clause.id} asks: {clause.sentence}\n{outcome.evidence}"
        return "\n".join(map(printable, lines.split("\n")))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where it is."""
        return self.path, None, self.case.id
