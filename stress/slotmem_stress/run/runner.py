"""A stress run: rounds of real work on one segment, each of them recorded, judged and dropped.

Interface: `run(settings, folder, runtime_dir)` returns a `RunReport`.

A run is cut into *rounds*. At the end of one every client has finished its operation or is dead,
and the owner looks at every slot. That is recorded too, and the next round begins in the state it
saw. So histories stay small and a run may last for ever; yet nothing is taken on trust: what the
owner saw is judged with the round. Nor can an operation of a dead client take effect later, since
looking at a slot takes its lock, and that repairs. `slotmem_stress.run.pace` decides how long a
round is.

A restart ends a round in another way: the owner stores, goes to the next generation and restores
while the clients still work on the old memory. What was restored must have been the state at one
instant of the restart, so it is recorded as gets that last from its beginning to its end.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from slotmem_stress.history.judging import JudgeProcess
from slotmem_stress.history.records import Description
from slotmem_stress.interrupts import without_interrupts
from slotmem_stress.run import leaks
from slotmem_stress.run.client import Rules
from slotmem_stress.run.crew import PATIENCE_S, ClientNumbers, ProcessCrew, ThreadCrew
from slotmem_stress.run.faults import Company, Faults
from slotmem_stress.run.owner import Owner
from slotmem_stress.run.pace import MOST_LOST, Pace
from slotmem_stress.run.report import RunReport
from slotmem_stress.run.settings import NAME, THREADS_ONLY, Settings
from slotmem_stress.run.worker import (
    ATTACHES,
    FIRST_SEAT,
    GENERATION,
    ROUND,
    Job,
    Round,
    make_board,
    map_board,
)

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


def _nothing(_: object) -> None:
    pass


def run(
    settings: Settings,
    folder: str,
    runtime_dir: str,
    *,
    tell: Tell = _nothing,
    save: Save = _nothing,
    first_client: int = 1,
    keep: bool = False,
) -> RunReport:
    """Carry out a run; return its report.

    `folder` exists and is empty. Histories are written there, and removed when they are judged,
    unless they show the violation or `keep` is set. `tell` is called about 20 times a second,
    `save` after each judged round. A KeyboardInterrupt ends the run, and the report says so.

    Raises:
        SlotmemError: if the provider cannot create the segment.
        OSError: if a folder cannot be written to.
    """
    before = leaks.Inventory.take(runtime_dir)
    report = RunReport(settings)
    running = _Run(settings, folder, runtime_dir, report, tell, save, first_client, keep)
    try:
        running.start()
        running.work()
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        try:
            with without_interrupts():
                running.stop()
        except KeyboardInterrupt:
            report.interrupted = True
    report.leaks = leaks.find(before, runtime_dir, range(running.generations), running.expected_files())
    report.conclude()
    return report


class _Run:
    """One run, from its first process to its last."""

    def __init__(
        self,
        settings: Settings,
        folder: str,
        runtime_dir: str,
        report: RunReport,
        tell: Tell,
        save: Save,
        first_client: int,
        keep: bool,
    ) -> None:
        self.settings, self.folder, self.runtime_dir, self.report = settings, folder, runtime_dir, report
        self._tell, self._save, self._keep = tell, save, keep
        self._numbers = ClientNumbers(first_client)
        self._faults = Faults(settings.plan, f"{settings.seed}/{first_client}/faults")
        seats = settings.processes * settings.threads
        self._rules = Rules(settings.slots, settings.slot_bytes, settings.mix, settings.seed, seats)
        self._pace = Pace()
        self._rounds = 0
        self._found_in = 0
        """The round during which a violation became known, 0 for none."""
        self._worked_s = 0.0
        self._owner: Owner | None = None
        self._crew: ProcessCrew | ThreadCrew | None = None
        self._company: Company | None = None
        self._judge: JudgeProcess | None = None

    @property
    def generations(self) -> int:
        """How many generations of the segment there have been."""
        return 1 if self._owner is None else self._owner.generation + 1

    def start(self) -> None:
        """Start every process."""
        with without_interrupts():  # so that `stop` knows what has been started
            crew = self._start()
        crew.gather(PATIENCE_S)  # those who work would only delay those who still start
        self._complain()

    def _start(self) -> ProcessCrew | ThreadCrew:
        settings = self.settings
        board_path = make_board(self.folder)
        self._board = map_board(board_path)
        self._owner = Owner(settings, self.runtime_dir)
        self._judge = JudgeProcess(settings.budget_s, settings.memory_mb)
        if settings.provider in THREADS_ONLY:
            self._crew = ThreadCrew(self._rules.seats, self._board, self._numbers, self._rules, self._owner.instance)
        else:
            job = Job(settings.provider, self.runtime_dir, settings.timeout_s, self._rules, (), ())
            self._crew = ProcessCrew(
                settings.start, settings.processes, settings.threads, board_path, self._numbers, job._replace
            )
            self._company = Company(settings.plan, settings.provider, self.runtime_dir, board_path)
        self._observer = self._numbers.take(1)[0]
        return self._crew

    def work(self) -> None:
        """Carry out rounds until time is up or something is wrong."""
        while not self._is_over():
            self._do_round()
            self._hear_judge(self._pace.waiting(self._rounds))
        self._hear_judge(0)

    def stop(self) -> None:
        """End every process, in whatever state. Histories not judged by now stay unjudged."""
        if self._crew is not None:
            self._board[ROUND] = 0
            self._crew.stop()
        if self._company is not None:
            self._company.stop()
        if self._judge is not None:
            self._judge.close()
        if self._owner is not None:
            self._owner.close()
            self._complain()
            self._count_up()
            self._board.release()

    def expected_files(self) -> frozenset[str]:
        """Return the files that the run may leave in the runtime folder."""
        stored = {f"slotmem-shm-{NAME}.shm.persist"} if self.settings.plan.restarts else set()
        return frozenset(stored | {os.path.basename(self.folder)})

    # -- one round ---------------------------------------------------------------------------------

    def _do_round(self) -> None:
        crew, owner, judge, board = self._crew, self._owner, self._judge, self._board
        assert crew is not None
        assert owner is not None
        assert judge is not None
        self._rounds += 1
        folder = os.path.join(self.folder, f"round-{self._rounds}")
        os.mkdir(folder)
        Description(self.settings.slots, self.settings.slot_bytes, *owner.seen).write(folder)
        board[GENERATION] = owner.generation
        board[ROUND] = self._rounds
        began_s, began, kills = time.monotonic(), self._count(), self._faults.kills
        crew.begin(Round(self._rounds, folder, owner.generation))
        crew.gather(PATIENCE_S)
        self._faults.resume()
        restored = False
        seconds = min(self._pace.seconds(self._rounds), self.settings.seconds - self._worked_s)
        while not (crew.findings or self._is_found() or restored or self._is_enough(began, kills)):
            passed_s = time.monotonic() - began_s
            if passed_s >= seconds:
                break
            crew.listen(self._faults.patience_s(_TICK_S))
            self._faults.inflict(crew)
            restored = self._faults.restart_is_due() and self._restart(folder)
            self._complain()
            self._hear_judge(None, passed_s)
        self._faults.calm()
        board[ROUND] = 0
        self._worked_s += time.monotonic() - began_s
        crew.finish(self.settings.timeout_s)
        if not restored and owner.look(folder, self._observer):
            self.report.held_by_the_dead = sorted(set(owner.seen.inuse) - crew.held)
        self._complain()
        judge.submit(folder)

    def _restart(self, folder: str) -> bool:
        """Let the owner restart while the clients work; return whether a new generation has
        begun.
        """
        assert self._crew is not None
        assert self._owner is not None
        self._faults.calm()  # a paused client may hold a lock that storing needs
        if not self._crew.gather(PATIENCE_S):  # latecomers would not find the old generation
            return False
        if not self._owner.restart(folder, self._numbers.take(self.settings.slots)):
            return False
        self.report.held_by_the_dead = []  # unknown, as of an instant when all were at work
        self._faults.restarts += 1
        return True

    # -- what is known so far ----------------------------------------------------------------------

    def _is_over(self) -> bool:
        settings = self.settings
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
        count, most = self._count(), self.settings.operations
        if (self._faults.kills - kills) * self.settings.threads >= MOST_LOST:
            return True
        return count - began >= self._pace.operations(self._rounds) or (most is not None and count >= most)

    def _count(self) -> int:
        return sum(self._board[FIRST_SEAT:])

    def _complain(self) -> None:
        """Collect the findings of owner, workers and company."""
        assert self._owner is not None
        known = self.report.findings
        complaints = self._owner.findings + (self._crew.findings if self._crew is not None else [])
        known += [finding for finding in complaints if finding not in known]
        if self._company is not None:
            known += self._company.findings()

    def _hear_judge(self, most_waiting: int | None, passed_s: float = 0.0) -> None:
        """Take in judgements until at most `most_waiting` rounds are unjudged; None: do not wait.

        Once a violation is found and clear, the rest does not matter.
        """
        judge = self._judge
        assert judge is not None
        while True:
            is_waiting = most_waiting is not None and len(judge.waiting) > most_waiting
            judged = judge.poll(_TICK_S if is_waiting else 0.0)
            if judged is not None:
                self.report.note(judged)
                self._found_in = self._found_in or (self._rounds if self.report.window else 0)
                self._pace.note(judged)
                if not self._keep and judged.path != self.report.history:
                    shutil.rmtree(judged.path, ignore_errors=True)
                self._count_up()
                self._save(self.report)
            self._report_progress(passed_s)
            if (self.report.window and self._is_found()) or (judged is None and not is_waiting):
                return

    def _count_up(self) -> None:
        """Bring the report's numbers up to date."""
        report, faults = self.report, self._faults
        report.seconds = round(self._worked_s, 3)
        report.clients = self._crew.started if self._crew is not None else 0
        report.next_client = self._numbers.next
        report.kills, report.pauses, report.restarts = faults.kills, faults.pauses, faults.restarts
        report.attaches = int(self._board[ATTACHES])

    def _report_progress(self, passed_s: float) -> None:
        report = self.report
        seconds = self._worked_s + passed_s
        self._tell(RunProgress(seconds, self._count(), report.operations, report.pending, self._faults.kills))
