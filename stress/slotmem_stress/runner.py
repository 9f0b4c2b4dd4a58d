"""A stress run: rounds of real work on one segment, each recorded, judged and dropped.

Interface: `run(settings, folder, ...)` gives a `Report`.

A run is cut into *rounds*. When one ends every client has finished its operation (or is dead), and the owner looks at
every slot; that is recorded too. What it saw is what the next round begins with. So histories stay small and a run may last for
ever, and nothing is taken for granted: what the owner sees is judged with the round, and no operation of a dead client
can take effect later, since the looking takes every lock, which repairs.

A restart ends a round in another way: the owner stores, goes to the next generation and restores while the clients still work on the old
memory. What was restored must have been there at one instant of the restart; it is recorded as gets that began before the restart and
returned after it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slotmem import SlotmemError, Type
from slotmem_stress import leaks
from slotmem_stress.client import Rules
from slotmem_stress.crew import PATIENCE_S, Numbers, ProcessCrew, ThreadCrew
from slotmem_stress.faults import Company, Faults
from slotmem_stress.history import Description, Recorder
from slotmem_stress.judging import JudgeProcess
from slotmem_stress.observing import Seen, observe, record_seen
from slotmem_stress.stress_report import Report, Settings
from slotmem_stress.worker import (
    ATTACHES,
    FIRST_SEAT,
    GENERATION,
    NAME,
    ROUND,
    Job,
    Round,
    make_board,
    map_board,
    open_provider,
    without_interrupts,
)

FIRST_ROUND_S = 0.4
ROUND_S = 2.0
ROUND_OPERATIONS = 400_000
FIRST_ROUND_OPERATIONS = 50_000
MOST_WAITING = 3
_TICK_S = 0.05


@dataclass
class Progress:
    """How far a run is."""

    seconds: float
    operations: int
    judged: int
    pending: int
    kills: int


Tell = Callable[[Progress], None]
Save = Callable[[Report], None]


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
) -> Report:
    """Do a run; histories are written to `folder`, which exists and is empty, and kept only if told or if they are a violation.

    tell is called some times a second, save after each judged round. A KeyboardInterrupt ends the run, and the report says so.

    Raises: SlotmemError: the provider cannot do this at all. OSError: a folder cannot be written to.
    """
    before = leaks.Before.look(runtime_dir)
    report = Report(settings)
    running = _Run(settings, folder, runtime_dir, report, tell, save, first_client, keep)
    try:
        running.start()
        running.work()
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        with without_interrupts():
            running.stop()
    report.leaks = leaks.find(before, runtime_dir, range(running.generation + 1), running.expected_files())
    report.conclude()
    return report


class _Run:
    """One run, from its first process to its last."""

    def __init__(
        self,
        settings: Settings,
        folder: str,
        runtime_dir: str,
        report: Report,
        tell: Tell,
        save: Save,
        first_client: int,
        keep: bool,
    ) -> None:
        self.settings, self.folder, self.runtime_dir, self.report = settings, folder, runtime_dir, report
        self.generation = 0
        self._tell, self._save, self._keep = tell, save, keep
        self._numbers = Numbers(first_client)
        self._faults = Faults(settings.plan, f"{settings.seed}/{first_client}/faults")
        self._rules = Rules(settings.slots, settings.slot_bytes, settings.mix, settings.seed)
        self._rounds = 0
        self._worked_s = 0.0
        self._provider: Any = None
        self._crew: ProcessCrew | ThreadCrew | None = None
        self._company: Company | None = None
        self._judge: JudgeProcess | None = None
        self._seen = Seen((), (0,) * settings.slots)

    def start(self) -> None:
        """Start everybody. Raises: SlotmemError; OSError."""
        settings = self.settings
        board_path = make_board(self.folder)
        self._board = map_board(board_path)
        self._provider = open_provider(settings.provider, self.runtime_dir, 0, settings.timeout_s)
        self._type = Type.PREGRAB | (Type.PERSIST if settings.plan.restarts else Type(0))
        self._instance = self._create()
        self._judge = JudgeProcess(settings.budget_s, settings.memory_mb)
        count = settings.processes * settings.threads
        if settings.provider == "plain":
            self._crew = ThreadCrew(count, self._board, self._numbers, self._rules, self._instance)
        else:
            job = Job(settings.provider, self.runtime_dir, settings.timeout_s, self._rules, (), ())
            self._crew = ProcessCrew(
                settings.start, settings.processes, settings.threads, board_path, self._numbers, job._replace
            )
            self._company = Company(settings.plan, settings.provider, self.runtime_dir, board_path)
        self._observer = self._numbers.take(1)[0]

    def work(self) -> None:
        """Do rounds until the time is over or something is wrong."""
        while not self._is_over():
            self._do_round(FIRST_ROUND_S if self._rounds == 0 else ROUND_S)
            self._hear_judge(MOST_WAITING)
        self._hear_judge(0)

    def stop(self) -> None:
        """End everybody, in any state. What was asked of the judge and not answered is not judged."""
        if self._crew is not None:
            self._board[ROUND] = 0
            self._crew.stop()
        for ending in (self._company, self._judge):
            if ending is not None:
                (ending.stop if isinstance(ending, Company) else ending.close)()
        if self._provider is not None:
            self._instance = None
            try:
                self._provider.close()
            except SlotmemError as error:
                self.report.findings.append(
                    f"clause KILL-3: the owner could not close: {type(error).__name__}: {error}"
                )
            self._count_up()
            self._board.release()

    def expected_files(self) -> frozenset[str]:
        """Give the files of the runtime folder that the run may leave."""
        stored = {f"slotmem-shm-{NAME}.shm.persist"} if self.settings.plan.restarts else set()
        return frozenset(stored | {os.path.basename(self.folder)})

    # -- one round ------------------------------------------------------------------------------------------------------

    def _do_round(self, seconds: float) -> None:
        crew, board = self._crew, self._board
        assert crew is not None
        self._rounds += 1
        folder = os.path.join(self.folder, f"round-{self._rounds}")
        os.mkdir(folder)
        Description(self.settings.slots, self.settings.slot_bytes, *self._seen).write(folder)
        board[GENERATION] = self.generation
        board[ROUND] = self._rounds
        crew.begin(Round(self._rounds, folder, self.generation))
        crew.gather(PATIENCE_S)
        began_s, began = time.monotonic(), self._count()
        self._faults.resume()
        restored = False
        while not (crew.findings or self.report.findings or restored or self._is_enough(began)):
            passed_s = time.monotonic() - began_s
            if passed_s >= min(seconds, self.settings.seconds - self._worked_s):
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
        self._complain()
        if not restored:
            self._look(folder)
        assert self._judge is not None
        self._judge.submit(folder)

    def _restart(self, folder: str) -> bool:
        """Let the owner restart while everybody works. Gives whether the generation is another one now."""
        assert self._crew is not None
        self._faults.calm()  # a paused client may hold a lock that storing needs
        self._crew.gather(PATIENCE_S)  # who is still on the way would not find the old generation
        begun_ns = time.monotonic_ns()
        try:
            self._provider.restart()
            self.generation = self._provider.generation
            self._instance = self._create()
            if not self._instance.restored:
                self.report.findings.append(f"clause RESTORE-1: nothing was restored: {self._instance.restored!r}")
            done_ns = time.monotonic_ns()
            self._seen = observe(self._instance, self.settings.slots, None)
        except SlotmemError as error:
            self.report.findings.append(f"clause KILL-3: the owner could not restart: {type(error).__name__}: {error}")
            return False
        self.report.held_by_the_dead = []  # as of an instant at which nobody stood still
        record_seen(folder, self._seen, self._numbers.take(self.settings.slots), begun_ns, done_ns)
        self._faults.restarts += 1
        return True

    def _look(self, folder: str) -> None:
        """Look at every slot, all clients being still."""
        assert self._crew is not None
        recorder = Recorder(folder, self._observer, chunk_records=512)
        try:
            self._seen = observe(self._instance, self.settings.slots, recorder)
            self.report.held_by_the_dead = sorted(set(self._seen.inuse) - self._crew.held)
        except SlotmemError as error:
            self.report.findings.append(f"clause KILL-3: the owner could not look: {type(error).__name__}: {error}")
        finally:
            recorder.close()

    def _create(self) -> Any:
        return self._provider.create(NAME, self.settings.slot_bytes, self.settings.slots, self._type)

    # -- what is known so far -------------------------------------------------------------------------------------------

    def _is_over(self) -> bool:
        report, settings = self.report, self.settings
        return (
            bool(report.findings)
            or self._worked_s >= settings.seconds
            or (settings.operations is not None and self._count() >= settings.operations)
        )

    def _is_enough(self, began: int) -> bool:
        count, most = self._count(), self.settings.operations
        enough = FIRST_ROUND_OPERATIONS if self._rounds == 1 else ROUND_OPERATIONS
        return count - began >= enough or (most is not None and count >= most)

    def _count(self) -> int:
        return sum(self._board[FIRST_SEAT:])

    def _complain(self) -> None:
        """Note what workers and newcomers complain of."""
        assert self._crew is not None
        self.report.findings += [finding for finding in self._crew.findings if finding not in self.report.findings]
        if self._company is not None:
            self.report.findings += self._company.findings()

    def _hear_judge(self, most_waiting: int | None, passed_s: float = 0.0) -> None:
        """Note what was judged, and wait until no more than so many rounds are left; None: do not wait."""
        judge = self._judge
        assert judge is not None
        while True:
            is_waiting = most_waiting is not None and len(judge.waiting) > most_waiting
            judged = judge.poll(_TICK_S if is_waiting else 0.0)
            if judged is not None:
                self.report.note(judged)
                if not self._keep and judged.path != self.report.history:
                    shutil.rmtree(judged.path, ignore_errors=True)
                self._count_up()
                self._save(self.report)
            self._report_progress(passed_s)
            if judged is None and not is_waiting:
                return

    def _count_up(self) -> None:
        """Bring the report's numbers up to now."""
        report, faults = self.report, self._faults
        report.seconds = round(self._worked_s, 3)
        report.clients = self._crew.started if self._crew is not None else 0
        report.next_client = self._numbers.next
        report.kills, report.pauses, report.restarts = faults.kills, faults.pauses, faults.restarts
        report.attaches = int(self._board[ATTACHES])

    def _report_progress(self, passed_s: float) -> None:
        report = self.report
        seconds = self._worked_s + passed_s
        self._tell(Progress(seconds, self._count(), report.operations, report.pending, self._faults.kills))
