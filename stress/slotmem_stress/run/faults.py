"""What a stress run does to its workers: kills, pauses, restarts, newcomers, memory pressure.

Interface:

- `Faults(plan, seed)` decides when the next fault of each kind is due, and whom it strikes.
- `Faults.inflict(crew)` carries out the kills and pauses that are due. `restart_is_due()` asks for
  a restart, which is the owner's job. `calm()` continues every paused worker.
- `Company` is the processes that are not workers: two that attach and detach all the time, and one
  that allocates and frees memory. They rest between rounds and leave the processors to the judge.
"""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from typing import Any

from slotmem import Ended, NoSegment, SlotmemError
from slotmem_stress.interrupts import die_with_parent, end, starting_a_child
from slotmem_stress.run.crew import ProcessCrew, ThreadCrew, Worker
from slotmem_stress.run.settings import NAME, Plan
from slotmem_stress.run.worker import ATTACHES, GENERATION, ROUND, map_board, open_provider

STORMERS = 2
LONGEST_PAUSE_S = 0.05
_MEGABYTE = 2**20
_MOMENT_S = 0.001
_BETWEEN_PRESSES_S = 0.01


class Faults:
    """When faults strike: a Poisson process of each kind, by a seed."""

    def __init__(self, plan: Plan, seed: str) -> None:
        self.kills = self.pauses = self.restarts = 0
        """How many there have been."""
        self._random = random.Random(seed)
        self._rates = {"kill": plan.kills, "pause": plan.pauses, "restart": plan.restarts}
        self._due: dict[str, float] = {}
        self._paused: list[tuple[float, Worker]] = []

    def resume(self) -> None:
        """Start the clock at the beginning of a round."""
        now = time.monotonic()
        self._due = {what: now + self._random.expovariate(rate) for what, rate in self._rates.items() if rate}

    def patience_s(self, at_most: float) -> float:
        """Return how long there is nothing to do, `at_most` or less."""
        now = time.monotonic()
        times = [*self._due.values(), *(until for until, _ in self._paused)]
        return max(0.0, min([at_most, *(when - now for when in times)]))

    def inflict(self, crew: ProcessCrew | ThreadCrew) -> None:
        """Carry out the kills, pauses and continuations that are due."""
        self._wake(time.monotonic())
        ready = crew.ready()
        if not ready or not isinstance(crew, ProcessCrew):
            return
        if self._is_due("kill"):
            victim = self._random.choice(ready)
            self._paused = [(until, worker) for until, worker in self._paused if worker is not victim]
            crew.replace(victim)
            ready.remove(victim)
            self.kills += 1
        if ready and self._is_due("pause"):
            victim = self._random.choice(ready)
            victim.signal(signal.SIGSTOP)
            self._paused.append((time.monotonic() + self._random.random() * LONGEST_PAUSE_S, victim))
            self.pauses += 1

    def restart_is_due(self) -> bool:
        """Return whether the owner should restart now."""
        return self._is_due("restart")

    def calm(self) -> None:
        """Continue every paused worker."""
        self._wake(float("inf"))

    def _wake(self, now: float) -> None:
        for until, worker in self._paused:
            if until <= now:
                worker.signal(signal.SIGCONT)
        self._paused = [(until, worker) for until, worker in self._paused if until > now]

    def _is_due(self, what: str) -> bool:
        now = time.monotonic()
        if what not in self._due or self._due[what] > now:
            return False
        self._due[what] = now + self._random.expovariate(self._rates[what])
        return True


class Company:
    """The processes of a run that are not workers."""

    def __init__(self, plan: Plan, provider: str, runtime_dir: str, board_path: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._processes: list[Any] = []
        self._pipes: list[Any] = []
        mains: list[tuple[Any, tuple[Any, ...]]] = []
        if plan.attach_storm:
            mains += [(_storm, (board_path, provider, runtime_dir))] * STORMERS
        if plan.pressure_mb:
            mains.append((_press, (board_path, plan.pressure_mb)))
        for target, arguments in mains:
            ours, theirs = context.Pipe()
            process = context.Process(target=target, args=(theirs, *arguments), daemon=True)
            with starting_a_child():
                process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)

    def findings(self) -> list[str]:
        """Return what they have complained of since the last call."""
        found = []
        for pipe in list(self._pipes):
            if pipe.poll():
                try:
                    found.append(str(pipe.recv()))
                except (EOFError, ConnectionResetError):
                    found.append("a process of the attach storm or of the memory pressure died")
                self._pipes.remove(pipe)
                pipe.close()
        return found

    def stop(self) -> None:
        """Kill them. Idempotent."""
        for process in self._processes:
            end(process)
        for pipe in self._pipes:
            pipe.close()
        self._processes, self._pipes = [], []


def _storm(pipe: Any, board_path: str, provider: str, runtime_dir: str) -> None:
    """Attach, look and detach, again and again."""
    die_with_parent()
    board = map_board(board_path)
    while True:
        time.sleep(_MOMENT_S)
        if not board[ROUND]:
            continue
        try:
            with open_provider(provider, runtime_dir, board[GENERATION], 20.0) as opened:
                instance = opened.attach(NAME)
                instance.num_free_slots()
                instance.close()
            board[ATTACHES] += 1
        except (NoSegment, Ended):
            continue  # the owner is between two generations
        except SlotmemError as error:
            pipe.send(f"clause ATTACH-1: a newcomer could not attach: {type(error).__name__}: {error}")
            return


def _press(pipe: Any, board_path: str, most_mb: int) -> None:
    """Allocate memory, touch every page and free it, again and again."""
    del pipe
    die_with_parent()
    board = map_board(board_path)
    dice = random.Random(0)
    while True:
        time.sleep(_BETWEEN_PRESSES_S)
        if not board[ROUND]:
            continue
        memory = bytearray(dice.randint(1, most_mb) * _MEGABYTE)
        for page in range(0, len(memory), 4096):
            memory[page] = 1
        del memory
