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
from contextlib import ExitStack

from slotmem_stress.canary import Canary
from slotmem_stress.history.judging import JudgeProcess
from slotmem_stress.interrupts import without_interrupts
from slotmem_stress.run import leaks
from slotmem_stress.run.client import Rules
from slotmem_stress.run.crew import ClientNumbers, ProcessCrew, ThreadCrew
from slotmem_stress.run.faults import Company, Faults
from slotmem_stress.run.owner import Opening
from slotmem_stress.run.owner_process import OwnerProcess
from slotmem_stress.run.report import RunReport
from slotmem_stress.run.rounds import Rounds, Save, Tell
from slotmem_stress.run.settings import NAME, THREADS_ONLY, Plan, Settings
from slotmem_stress.run.worker import ROUND, Job, make_board, map_board


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
        SlotmemError: if the provider cannot create the segment, or the machine got in the way
            (Disturbed).
        OSError: if a folder cannot be written to.
    """
    with Canary(runtime_dir) as canary:
        return _run(settings, folder, runtime_dir, canary, tell, save, first_client, keep)


def _run(
    settings: Settings,
    folder: str,
    runtime_dir: str,
    canary: Canary,
    tell: Tell,
    save: Save,
    first_client: int,
    keep: bool,
) -> RunReport:
    before = leaks.Inventory.take(runtime_dir)
    report = RunReport(settings)
    rounds: Rounds | None = None
    started = ExitStack()
    try:
        try:
            with without_interrupts():
                rounds = _start(started, report, folder, runtime_dir, canary, first_client, tell, save, keep)
            rounds.work()
        finally:
            with without_interrupts():
                started.close()
    except KeyboardInterrupt:
        report.interrupted = True
    if rounds is not None:
        rounds.complain()  # the owner's end may have failed
    generations = 1 if rounds is None else rounds.owner.generation + 1
    report.leaks = leaks.find(before, runtime_dir, range(generations), _expected_files(settings, folder))
    report.leaks += [] if rounds is None else [f"in the owner's process, {leak}" for leak in rounds.owner.leaks]
    report.conclude()
    return report


def _start(
    started: ExitStack,
    report: RunReport,
    folder: str,
    runtime_dir: str,
    canary: Canary,
    first_client: int,
    tell: Tell,
    save: Save,
    keep: bool,
) -> Rounds:
    """Start every process; `started` ends them, in whatever state they are.

    Histories that are not judged by then stay unjudged.
    """
    settings, numbers = report.settings, ClientNumbers(first_client)
    rules = Rules(
        settings.slots,
        settings.slot_bytes,
        settings.mix,
        settings.seed,
        settings.processes * settings.threads,
        settings.pregrab,
    )
    board_path = make_board(folder)
    board = map_board(board_path)
    started.callback(board.release)
    are_threads = settings.provider in THREADS_ONLY
    threads = numbers.take(rules.seats) if are_threads else ()
    owner = OwnerProcess(board_path, Opening(settings, runtime_dir, rules, threads))
    started.callback(owner.close)
    crew: ProcessCrew | ThreadCrew
    if are_threads:
        crew, plan = ThreadCrew(rules.seats, owner), Plan()
    else:
        job = Job(settings.provider, runtime_dir, settings.timeout_s, rules, (), ())
        crew = ProcessCrew(settings.start, settings.processes, settings.threads, board_path, numbers, job._replace)
        plan = settings.plan
    started.callback(crew.stop)
    company = Company(plan, settings.provider, runtime_dir, board_path)
    started.callback(company.stop)
    owner.opened()
    judge = JudgeProcess(settings.budget_s, settings.memory_mb, lowest_first=owner.lowest_first)
    started.callback(judge.close)
    canary.watch(leaks.object_of(runtime_dir, owner.generation))
    started.callback(canary.watch, None)
    faults = Faults(settings.plan, f"{settings.seed}/{first_client}/faults")
    rounds = Rounds(
        report, folder, runtime_dir, board, numbers, owner, canary, judge, crew, company, faults, tell, save, keep
    )
    started.callback(board.__setitem__, ROUND, 0)
    started.callback(rounds.count_up)
    return rounds


def _expected_files(settings: Settings, folder: str) -> frozenset[str]:
    """Return the files that a run may leave in the runtime folder."""
    stored = {f"slotmem-shm-{NAME}.shm.persist"} if settings.plan.restarts else set()
    return frozenset(stored | {os.path.basename(folder)})
