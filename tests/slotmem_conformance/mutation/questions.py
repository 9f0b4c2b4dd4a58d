"""What a mutant can be asked: the cases of the suite, the checker's configurations, stress runs.

Interface: `questions(by, folder)` has them by name. Each answers what is wrong, or "" if it noticed
nothing.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection

from slotmem.slots import Slots
from slotmem_conformance import runner
from slotmem_conformance.cases.case import Case, collect
from slotmem_conformance.machines.driving import hypothesis_in
from slotmem_conformance.mutation import lines
from slotmem_conformance.protocol.session import open_session
from slotmem_conformance.reports.verdicts import ClauseVerdict
from slotmem_model.checker.exploration import Limits
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.standard import standard_of
from slotmem_model.checker.sweep import engine
from slotmem_model.verdict import VIOLATED
from slotmem_stress.run.runner import run as stress
from slotmem_stress.run.settings import Plan, Settings

IMPORT = "import"
"""The question before all others: whether the packages can be loaded."""
SEED = 1
_NOTICED = (ClauseVerdict.FAIL, ClauseVerdict.ADAPTER_ERROR, ClauseVerdict.NON_STRICT)
_EXPLORE_S = 60.0
_STRESS = Settings("shm", processes=4, seconds=2.0, slots=6, slot_bytes=256, seed=SEED, budget_s=60.0)
_FAULTS = Plan(kills=10.0, pauses=5.0, restarts=1.0)


def answer(pipe: Connection, began: float, folder: str, by: str, names: Sequence[str], note_lines: bool) -> None:
    """Answer the questions of these names, or all: send the fields of an `Answer` to each, and
    between them the name of the next. The first is `IMPORT`, which has taken since `began`.
    """
    pipe.send((IMPORT, "", time.monotonic() - began, lines.noted()))
    with hypothesis_in(folder):
        asked = questions(by, folder)
        for name in names or asked:
            pipe.send(name)
            if note_lines:
                lines.start(folder)
            began = time.monotonic()
            try:
                wrong = asked[name]()
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            pipe.send((name, wrong, time.monotonic() - began, lines.noted()))
    pipe.send("")


def questions(by: str, folder: str) -> dict[str, Callable[[], str]]:
    """Return what `conform`, `check` or `stress` asks, to be done in a folder."""
    if by == "conform":
        return {case.id: partial(_tried, case, folder) for case in collect()}
    if by == "check":
        asked = [each.configuration for each in standard_of("reference", Slots).questions]
        return {str(each): partial(_explored, each) for each in asked}
    return {
        "at full speed": partial(_stressed, _STRESS, folder),
        "under faults": partial(_stressed, replace(_STRESS, plan=_FAULTS), folder),
    }


def _tried(case: Case, folder: str) -> str:
    outcome = runner.run_case(case, partial(open_session, "shm"), seed=SEED, quick=True, base=folder)
    return f"{outcome.verdict.value}: {outcome.reason}" if outcome.verdict in _NOTICED else ""


def _explored(configuration: Configuration) -> str:
    outcome = engine.explore(compile_model(configuration, Slots), Limits(_EXPLORE_S))
    return f"violated: {', '.join(outcome.violations)}" if outcome.verdict == VIOLATED else ""


def _stressed(settings: Settings, folder: str) -> str:
    with tempfile.TemporaryDirectory(dir=folder) as work:
        runtime_dir, histories = os.path.join(work, "run"), os.path.join(work, "histories")
        os.mkdir(runtime_dir, 0o700)
        os.mkdir(histories)
        report = stress(settings, histories, runtime_dir)
    return f"violated: {'; '.join([*report.findings, *map(str, report.leaks)])}" if report.verdict == VIOLATED else ""
