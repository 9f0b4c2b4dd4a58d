"""The rounds of a stress run: each lets the clients work, lets the owner look, and goes to the
judge.

Interface: `Rounds(...).work()` carries them out; `RunProgress` is what it tells meanwhile.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from slotmem_stress.canary import Canary
from slotmem_stress.history.judging import JudgeProcess
from slotmem_stress.history.records import Description
from slotmem_stress.run.crew import ClientNumbers, ProcessCrew, ThreadCrew
from slotmem_stress.run.faults import Company, Faults
from slotmem_stress.run.leaks import object_of
from slotmem_stress.run.owner_process import PATIENCE_S, OwnerProcess
from slotmem_stress.run.pace import MOST_LOST, Pace
from slotmem_stress.run.report import RunReport
from slotmem_stress.run.worker import ATTACHES, FIRST_SEAT, GENERATION, ROUND, Round

_TICK_S = 0.05
_MORE_ROUNDS = 3


@dataclass
class RunProgress:
    """How far a run has come."""

    seconds: float
    operations: int
    judged: int
    pending: int
    kills: int


Tell = Callable[[RunProgress], None]
Save = Callable[[RunReport], None]


@dataclass
class Rounds:
    """The rounds of one run, all of whose processes have been started."""

    report: RunReport
    folder: str
    runtime_dir: str
    board: memoryview
    numbers: ClientNumbers
    owner: OwnerProcess
    canary: Canary
    judge: JudgeProcess
    crew: ProcessCrew | ThreadCrew
    company: Company
    faults: Faults
    tell: Tell
    save: Save
    keep: bool

    def __post_init__(self) -> None:
        self._pace = Pace()
        self._rounds = 0
        self._found_in = 0
        """The round during which a violation became known, 0 for none."""
        self._worked_s = 0.0
        self._observer = self.numbers.take(1)[0]

    def work(self) -> None:
        """Carry out rounds until time is up or something is wrong."""
        self.crew.gather(PATIENCE_S)  # those who work would only delay those who still start
        self.complain()
        while not self._is_over():
            self._do_round()
            self._hear_judge(self._pace.waiting(self._rounds))
        self._hear_judge(0)

    # -- one round ---------------------------------------------------------------------------------

    def _do_round(self) -> None:
        crew, owner, board = self.crew, self.owner, self.board
        self._rounds += 1
        folder = os.path.join(self.folder, f"round-{self._rounds}")
        os.mkdir(folder)
        settings = self.report.settings
        Description(settings.slots, settings.slot_bytes, *owner.seen, settings.pregrab).write(folder)
        board[GENERATION] = owner.generation
        board[ROUND] = self._rounds
        began_s, began, kills = time.monotonic(), self._count(), self.faults.kills
        crew.begin(Round(self._rounds, folder, owner.generation))
        crew.gather(PATIENCE_S)
        self.faults.resume()
        restored = False
        seconds = min(self._pace.seconds(self._rounds), self.report.settings.seconds - self._worked_s)
        while not (crew.findings or self._is_found() or restored or self._is_enough(began, kills)):
            passed_s = time.monotonic() - began_s
            if passed_s >= seconds:
                break
            crew.listen(self.faults.patience_s(_TICK_S))
            self.faults.inflict(crew)
            restored = self.faults.restart_is_due() and self._restart(folder)
            self.complain()
            self._hear_judge(None, passed_s)
        self.faults.calm()
        board[ROUND] = 0
        self._worked_s += time.monotonic() - began_s
        crew.finish(self.report.settings.timeout_s)
        if not restored and owner.look(folder, self._observer):
            self.report.held_by_the_dead = sorted(set(owner.seen.inuse) - crew.held)
        self.complain()
        self.judge.submit(folder)

    def _restart(self, folder: str) -> bool:
        """Let the owner restart while the clients work; return whether a new generation began."""
        self.faults.calm()  # a paused client may hold a lock that storing needs
        if not self.crew.gather(PATIENCE_S):  # latecomers would not find the old generation
            return False
        self.canary.watch(None)
        if not self.owner.restart(folder, self.numbers.take(self.report.settings.slots)):
            return False
        self.canary.watch(object_of(self.runtime_dir, self.owner.generation))
        self.report.held_by_the_dead = []  # unknown, as of an instant when all were at work
        self.faults.restarts += 1
        return True

    # -- what is known so far ----------------------------------------------------------------------

    def _is_over(self) -> bool:
        settings = self.report.settings
        return (
            self._is_found()
            or self._worked_s >= settings.seconds
            or (settings.operations is not None and self._count() >= settings.operations)
        )

    def _is_found(self) -> bool:
        """Return whether a violation is known and shown well; for a clearer window, a few more
        rounds are worth it.
        """
        report = self.report
        if not report.findings:
            return False
        return report.is_clear or report.findings != [report.sentence] or self._rounds >= self._found_in + _MORE_ROUNDS

    def _is_enough(self, began: int, kills: int) -> bool:
        count, most = self._count(), self.report.settings.operations
        if (self.faults.kills - kills) * self.report.settings.threads >= MOST_LOST:
            return True
        return count - began >= self._pace.operations(self._rounds) or (most is not None and count >= most)

    def _count(self) -> int:
        return sum(self.board[FIRST_SEAT:])

    def complain(self) -> None:
        """Collect the findings of owner, workers and company.

        Raises:
            Disturbed: the machine explains them.
        """
        known = self.report.findings
        complaints = self.owner.findings + self.crew.findings + self.company.findings()
        if fresh := [finding for finding in complaints if finding not in known]:
            self.canary.check()
            known += fresh

    def _hear_judge(self, most_waiting: int | None, passed_s: float = 0.0) -> None:
        """Take in judgements until at most `most_waiting` rounds are unjudged; None: do not wait.

        Once a violation is found and clear, the rest does not matter.
        """
        judge = self.judge
        while True:
            is_waiting = most_waiting is not None and len(judge.waiting) > most_waiting
            judged = judge.poll(_TICK_S if is_waiting else 0.0)
            if judged is not None:
                self.report.note(judged)
                self._found_in = self._found_in or (self._rounds if self.report.window else 0)
                self._pace.note(judged)
                if not self.keep and judged.path != self.report.history:
                    shutil.rmtree(judged.path, ignore_errors=True)
                self.count_up()
                self.save(self.report)
            self._report_progress(passed_s)
            if (self.report.window and self._is_found()) or (judged is None and not is_waiting):
                return

    def count_up(self) -> None:
        """Bring the report's numbers up to date."""
        report, faults = self.report, self.faults
        report.seconds = round(self._worked_s, 3)
        report.clients = self.crew.started
        report.next_client = self.numbers.next
        report.kills, report.pauses, report.restarts = faults.kills, faults.pauses, faults.restarts
        report.attaches = int(self.board[ATTACHES])

    def _report_progress(self, passed_s: float) -> None:
        report = self.report
        seconds = self._worked_s + passed_s
        self.tell(RunProgress(seconds, self._count(), report.operations, report.pending, self.faults.kills))
