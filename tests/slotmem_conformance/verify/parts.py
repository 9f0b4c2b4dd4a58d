"""The parts of `slotmem verify` that only our own providers have: programs, lives, models, clients.

Interface: `parts(provider, folder, less, seed, shares)` does them in turn and yields a `Row` for
each. `less` divides the work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import slotmem
from slotmem_conformance.machines import server as server_machine
from slotmem_conformance.machines import slots as slots_machine
from slotmem_conformance.machines.driving import Difference, OutOfTime
from slotmem_conformance.runner import Progress
from slotmem_conformance.verify.row import Row, Shares, timed
from slotmem_model.algorithms import catalogue
from slotmem_model.checker import shortest
from slotmem_model.checker.exploration import Exploration, Limits
from slotmem_model.checker.model import Model, compile_model
from slotmem_model.checker.standard import STANDARD, Standard
from slotmem_model.checker.sweep import engine as sweep
from slotmem_model.commands import check_report
from slotmem_model.counterexample.explain import explain
from slotmem_model.verdict import UNDECIDED, VIOLATED
from slotmem_stress.run.report import RunReport
from slotmem_stress.run.runner import run as stress
from slotmem_stress.run.settings import Plan, Settings

SHARED = {"shm": True, "plain": False}
"""Our own providers, and whether processes can share their segments."""


WEIGHTS = {"interleavings": 3.0, "slots": 3.0, "servers": 3.0, "clients": 2.0}
"""How the time that is left is divided among the parts here."""


def parts(provider: str, folder: str, less: int, seed: int, shares: Shares) -> Iterator[Row]:
    """Do each part in turn, in its share of the time."""

    def make(runtime_dir: str = folder, generation: int = 0) -> Any:
        return slotmem.provider(provider, runtime_dir=runtime_dir, generation=generation)

    shared = SHARED[provider]
    programs, lives = 1500 // less, (1000 if shared else 500) // less

    if shared:
        # The last is Apache's algorithm, which must be caught.
        questions = STANDARD if less == 1 else (*STANDARD[:2], STANDARD[-1])
        yield _explored(questions, _Clock(shares.take("interleavings"), len(questions), "models"))
    clock = _Clock(shares.take("slots"), programs, "programs")
    yield timed(
        "slots",
        f"{programs} programs of up to 30 operations beside the specification",
        lambda: slots_machine.run(make, examples=programs, seed=seed, tell=clock.tick),
    )
    clock.end()
    clock = _Clock(shares.take("servers"), lives, "lives")
    yield timed(
        "servers",
        f"{lives} lives of up to 30 events: names, files, restarts" + (", deaths" if shared else ""),
        lambda: server_machine.run(make, shared=shared, examples=lives, seed=seed, base=folder, tell=clock.tick),
    )
    clock.end()
    yield _stressed(provider, folder, max(1.0, 4.0 / less), seed, shares.take("clients"))


class _Clock:
    """The time of a part, and its progress: call `tick` before each of `total` pieces of work."""

    def __init__(self, seconds: float, total: int, of: str) -> None:
        self.ends = time.monotonic() + seconds
        self._total, self._of, self._done = total, of, 0
        self._tell = Progress()

    def tick(self) -> None:
        """Show how far it is.

        Raises:
            OutOfTime: if the share is used up.
        """
        if time.monotonic() > self.ends:
            raise OutOfTime
        self._tell(f"{self._done} of {self._total} {self._of}")
        self._done += 1

    def end(self) -> None:
        """Remove the progress line."""
        self._tell.end()


def _stressed(provider: str, folder: str, seconds: float, seed: int, share_s: float) -> Row:
    """Let clients hammer one segment, kill some where that is possible, and judge what they
    recorded.
    """
    shared = SHARED[provider]
    settings = Settings(
        provider,
        processes=4 if shared else 1,
        threads=1 if shared else 4,
        seconds=seconds,
        slots=6,
        slot_bytes=256,
        seed=seed,
        budget_s=share_s,
        plan=Plan(kills=10.0 / seconds, pauses=10.0 / seconds) if shared else Plan(),
    )
    report = RunReport(settings)

    def work() -> None:
        nonlocal report
        if share_s <= seconds:
            raise OutOfTime
        runtime_dir, histories = (os.path.join(folder, name) for name in ("stress", "histories"))
        os.mkdir(runtime_dir)
        os.mkdir(histories)
        report = stress(settings, histories, runtime_dir)
        if report.interrupted:
            raise KeyboardInterrupt
        if report.verdict == VIOLATED:
            raise Difference("\n".join([*report.findings, *(f"left: {leak}" for leak in report.leaks)]))
        if report.verdict == UNDECIDED:  # the judge had too little time, which says nothing about the accused
            raise OutOfTime

    row = timed("processes" if shared else "threads", "4 clients on 6 slots", work)
    row.work += f": {report.operations:,} operations" + (f", {report.kills} kills" if shared else "")
    row.work += ", linearizable" if row.held and row.tried else ""
    return row


def _explored(questions: Sequence[Standard], clock: _Clock) -> Row:
    """Explore every interleaving and crash of the reference, and of httpd's algorithm, which must
    fail.
    """
    states = 0

    def explore() -> None:
        nonlocal states
        for configuration, expected in questions:
            clock.tick()
            model = compile_model(configuration, catalogue.find(configuration.algorithm))
            outcome = sweep.explore(model, Limits(max(0.0, clock.ends - time.monotonic())))
            states += outcome.states
            if outcome.verdict == UNDECIDED:
                raise OutOfTime
            if outcome.verdict != expected:
                raise Difference(_unexpected(model, outcome, expected))

    row = timed("interleavings", f"{len(questions)} models, every step and every crash", explore)
    clock.end()
    row.work += f": {states:,} states"
    return row


def _unexpected(model: Model, outcome: Exploration, expected: str) -> str:
    """Say what an exploration found instead of what was expected."""
    what = f"{model.configuration} is {outcome.verdict}, must be {expected}{outcome.reason and ': ' + outcome.reason}"
    found = shortest.find(model) if outcome.violations else None
    if found is None:
        return what
    return "\n".join([what, *check_report.counterexample(explain(model, found.broken, found.steps))])
