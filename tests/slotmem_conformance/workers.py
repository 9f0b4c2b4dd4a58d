"""A short run of several workers on one segment: processes, some of them killed, or threads.

Each worker does again and again: grab a slot, fill it with a pattern of its own, read it back, release it. Whatever is not
whole and its own shows a slot given twice, or a torn get. After the end the segment must be as if the dead had stopped
between two operations.

This is a smoke test of a second or two. It proves nothing when it finds nothing.
"""

from __future__ import annotations

import multiprocessing
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import slotmem
from slotmem import Instance, NoFreeSlot, NotInUse, Type

NAME = "workers"
ITEM_SIZE = 256
ITEM_NUM = 6
TIMEOUT_S = 20.0
_ROUNDS_BETWEEN_LOOKS = 64  # asking a pipe costs as much as several operations


@dataclass
class Report:
    """What a run did and found."""

    rounds: int = 0
    kills: int = 0
    findings: list[str] = field(default_factory=list)


def work(instance: Instance, worker: int, stop: Callable[[], bool], report: Report) -> None:
    """Do rounds until told to stop, or until something is wrong."""
    while not (report.rounds % _ROUNDS_BETWEEN_LOOKS == 0 and stop()) and not report.findings:
        try:
            item_id = instance.grab()
        except NoFreeSlot:  # the dead may hold all
            if stop():
                return
            continue
        pattern = (worker << 32 | report.rounds).to_bytes(8, "big") * (ITEM_SIZE // 8)
        try:
            instance.put(item_id, pattern)
            got = instance.get(item_id)
            instance.release(item_id)
        except NotInUse:
            report.findings.append(
                f"clause ATOMIC-2: somebody released slot {item_id}, which worker {worker} had grabbed"
            )
            return
        if got != pattern:
            found = ", ".join(sorted({got[at : at + 8].hex() for at in range(0, ITEM_SIZE, 8)}))
            report.findings.append(
                f"clauses ATOMIC-2, ATOMIC-3: worker {worker} put {pattern[:8].hex()} into slot {item_id}, which it had "
                f"grabbed, and got {found}"
            )
        report.rounds += 1


def run_processes(
    make_provider: Callable[[], Any], *, seconds: float, kills: int, seed: int, processes: int = 4
) -> Report:
    """Let processes work on one segment, and kill some of them. make_provider is called in each; it can be pickled."""
    context = multiprocessing.get_context("spawn")
    choose = random.Random(seed)
    with make_provider() as provider:
        instance = provider.create(NAME, ITEM_SIZE, ITEM_NUM, Type.PREGRAB)
        report = Report()
        ends = time.monotonic() + seconds
        crew: list[tuple[Any, Connection]] = []
        try:
            for worker in range(processes):  # one by one, so that an interrupt finds those that were started
                crew += [_start(context, make_provider, worker)]
            _wait_ready(crew)
            for kill in range(kills):
                time.sleep(max(0.0, ends - time.monotonic()) / (kills - kill + 1))
                victim = choose.randrange(processes)
                crew[victim][0].kill()
                crew[victim][0].join()
                report.kills += 1
                crew[victim] = _start(context, make_provider, processes + kill)
            time.sleep(max(0.0, ends - time.monotonic()))
            for process, pipe in crew:
                _collect(process, pipe, report)
        finally:
            for process, _ in crew:
                process.kill()
                process.join()
        _look_after(instance, report)
    return report


def run_threads(provider: Any, *, seconds: float, threads: int = 4) -> Report:
    """Let threads of this process work on one segment."""
    instance = provider.create(NAME, ITEM_SIZE, ITEM_NUM, Type.PREGRAB)
    reports = [Report() for _ in range(threads)]
    ends = time.monotonic() + seconds
    crew = [
        threading.Thread(target=work, args=(instance, worker, lambda: time.monotonic() > ends, report))
        for worker, report in enumerate(reports)
    ]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    total = Report(sum(each.rounds for each in reports), 0, [found for each in reports for found in each.findings])
    _look_after(instance, total)
    return total


def _start(context: Any, make_provider: Callable[[], Any], worker: int) -> tuple[Any, Connection]:
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, make_provider, worker), daemon=True)
    # Ctrl-C is for the parent, who ends us: a worker inherits the blocked signal.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    theirs.close()
    return process, ours


def _wait_ready(crew: list[tuple[Any, Connection]]) -> None:
    for _, pipe in crew:
        if pipe.poll(TIMEOUT_S):
            pipe.recv()


def _main(pipe: Connection, make_provider: Callable[[], Any], worker: int) -> None:
    report = Report()
    try:
        with make_provider() as provider:
            instance = provider.attach(NAME)
            pipe.send("ready")
            work(instance, worker, pipe.poll, report)
    except slotmem.SlotmemError as error:
        report.findings.append(f"clause KILL-3: worker {worker} could not go on: {type(error).__name__}: {error}")
    pipe.send(report)


def _collect(process: Any, pipe: Connection, report: Report) -> None:
    """Stop a worker and add up what it did."""
    answer: Any = None
    with suppress(BrokenPipeError):  # it found something and ended by itself; what it said is still in the pipe
        pipe.send("stop")
    with suppress(EOFError, ConnectionResetError):
        while not isinstance(answer, Report) and pipe.poll(2 * TIMEOUT_S):
            answer = pipe.recv()
    if isinstance(answer, Report):
        report.rounds += answer.rounds
        report.findings += answer.findings
    else:
        state = "hangs" if process.is_alive() else f"ended with status {process.exitcode}"
        report.findings.append(f"clause KILL-3: {process.name} did not report: it {state}")


def _look_after(instance: Instance, report: Report) -> None:
    """Judge the segment when nobody works on it any more."""
    if report.rounds == 0:
        report.findings.append("no worker finished a single round, so that nothing was tried")
    held = list(instance.slots())
    free = instance.num_free_slots()
    if free != instance.num_slots() - len(held):
        report.findings.append(
            f"clause KILL-4: num_free_slots is {free}, but {len(held)} of {ITEM_NUM} slots are in use"
        )
    if len(held) > report.kills:
        report.findings.append(f"clause ATOMIC-2: {len(held)} slots are held after {report.kills} kills")
    for item_id in held:
        data = instance.get(item_id)
        if data != data[:8] * (ITEM_SIZE // 8):
            report.findings.append(f"clause KILL-2: slot {item_id} of a dead worker is torn")
        instance.release(item_id)
    for _ in range(ITEM_NUM):
        instance.put(instance.grab(), bytes(ITEM_SIZE))
    if (free := instance.num_free_slots()) != 0:
        report.findings.append(f"clause KILL-4: every slot is grabbed, but num_free_slots is {free}")
