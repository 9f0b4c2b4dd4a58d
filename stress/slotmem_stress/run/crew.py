"""The workers of a stress run, either processes, which can be killed, or threads of the owner.

Interface, the same for `ProcessCrew` and `ThreadCrew`:

- `gather` waits until all have started. `begin(order)` starts a round; `gather` then waits until
  all are at work, and `listen` handles their messages. `finish` waits for the end of the round,
  which the board must have announced.
- `findings` has a sentence for each worker that could not go on; each is a violation.
- `stop()` ends all workers, whatever they are doing. Idempotent.

`ProcessCrew` also has `replace(worker)`, which kills one of the workers that are `ready()`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from slotmem.environment import Disturbed
from slotmem_stress.interrupts import end, starting_a_child, without_interrupts
from slotmem_stress.run.owner_process import PATIENCE_S, OwnerProcess
from slotmem_stress.run.worker import FROM_OUTSIDE, Broken, Job, Ready, Round, RoundDone, main


class Worker:
    """One worker process, as its supervisor sees it."""

    def __init__(self, process: Any, pipe: Connection, seat: int, clients: tuple[int, ...]) -> None:
        self.process = process
        self.pipe = pipe
        self.seat = seat
        self.clients = clients
        self.ready_in = -1
        """The round it has begun; 0 before the first, -1 before it has started."""
        self.done_with = -1

    def tell(self, order: Round) -> None:
        """Tell it to begin a round."""
        with suppress(BrokenPipeError):  # its death is noticed when its pipe is read
            self.pipe.send(order)

    def signal(self, number: int) -> None:
        """Send it a signal, if it still exists and has not been replaced."""
        with suppress(ProcessLookupError, ValueError):
            os.kill(self.process.pid, number)


class ClientNumbers:
    """Hands out the numbers of clients, each only once."""

    def __init__(self, first: int) -> None:
        self.next = first

    def take(self, count: int) -> tuple[int, ...]:
        """Return the next `count` numbers."""
        self.next += count
        return tuple(range(self.next - count, self.next))


class ProcessCrew:
    """Workers that are processes of `threads` clients each."""

    def __init__(
        self,
        start: str,
        processes: int,
        threads: int,
        board_path: str,
        numbers: ClientNumbers,
        make_job: Callable[..., Job],
    ) -> None:
        self.findings: list[str] = []
        self.started = 0
        """How many clients there have been."""
        self.held: set[int] = set()
        """The slots that the clients held when the last round ended, by their own account."""
        self._context: Any = multiprocessing.get_context(start)
        self._threads = threads
        self._board_path = board_path
        self._numbers = numbers
        self._make_job = make_job
        self._round: Round | None = None
        self._is_on = False
        self.workers: list[Worker] = []
        try:
            for seat in range(processes):
                self.workers.append(self._start(seat))
        except OSError:
            self.stop()
            raise

    def begin(self, order: Round) -> None:
        """Start a round."""
        self._round, self._is_on = order, True
        for worker in self.workers:
            worker.tell(order)

    def ready(self) -> list[Worker]:
        """Return the workers that are at work on the round."""
        number = self._round.number if self._round else 0
        return [worker for worker in self.workers if worker.ready_in == number > worker.done_with]

    def gather(self, timeout_s: float) -> bool:
        """Wait until all workers are in the round or one of them broke; return whether all are."""
        ends = time.monotonic() + timeout_s
        while len(self.ready()) < len(self.workers) and not self.findings and time.monotonic() < ends:
            self.listen(0.1)
        return len(self.ready()) == len(self.workers)

    def replace(self, worker: Worker) -> None:
        """Kill a worker; start another, with new clients, in its place."""
        fresh = self._put_in_place_of(worker)
        if self._round is not None and self._is_on:
            fresh.tell(self._round)

    def listen(self, timeout_s: float) -> None:
        """Handle messages; wait up to `timeout_s` for the first."""
        pipes: dict[Any, Worker] = {worker.pipe: worker for worker in self.workers}
        for pipe in wait(list(pipes), timeout_s):
            self._hear(pipes[pipe])

    def finish(self, timeout_s: float) -> None:
        """Wait until the round is over for all workers; one that hangs is killed and is a finding.

        Whoever waits for a lock gives up after `timeout_s`. A slow machine gets `PATIENCE_S` on
        top, unless something is wrong already.
        """
        assert self._round is not None
        began = time.monotonic()
        self.held.clear()
        self._is_on = False
        number = self._round.number
        while any(worker.done_with != number for worker in self.workers):
            self.listen(min(0.1, timeout_s))
            patience_s = timeout_s if self.findings else timeout_s + PATIENCE_S
            if time.monotonic() < began + patience_s:
                continue
            for worker in [worker for worker in self.workers if worker.done_with != number]:
                self.findings.append(
                    f"clause KILL-3: client {worker.clients[0]} (process {worker.process.pid}) did not end its "
                    f"operation within {patience_s:.1f} s"
                )
                self._give_up(worker)

    def stop(self) -> None:
        """Kill all workers."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            self._bury(worker)
        self.workers.clear()

    def _hear(self, worker: Worker) -> None:
        try:
            said = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            with without_interrupts():
                worker.process.join()
            said = _died(worker)
        if isinstance(said, Ready):
            worker.ready_in = said.number
        elif isinstance(said, RoundDone):
            worker.done_with = said.number
            self.held.update(said.held)
        elif isinstance(said, Broken):
            if said.is_environment:
                raise Disturbed(said.reason)
            self.findings.append(f"clause {said.clause}: {said.reason}")
            self._give_up(worker)

    def _give_up(self, worker: Worker) -> None:
        """Replace a worker by one that stays out of this round."""
        fresh = self._put_in_place_of(worker)
        fresh.done_with = self._round.number if self._round is not None else 0

    def _put_in_place_of(self, worker: Worker) -> Worker:
        with without_interrupts():
            worker.process.kill()
            worker.process.join()
            fresh = self.workers[worker.seat] = self._start(worker.seat)
            self._bury(worker)
        return fresh

    def _start(self, seat: int) -> Worker:
        clients = self._numbers.take(self._threads)
        self.started += self._threads
        seats = tuple(range(seat * self._threads, (seat + 1) * self._threads))
        ours, theirs = self._context.Pipe()
        job = self._make_job(clients=clients, seats=seats)
        process = self._context.Process(target=main, args=(theirs, self._board_path, job), daemon=True)
        with starting_a_child():
            process.start()
        theirs.close()
        return Worker(process, ours, seat, clients)

    def _bury(self, worker: Worker) -> None:
        end(worker.process)
        worker.pipe.close()


def _died(worker: Worker) -> Broken:
    """Return what is to be said of a worker that nobody here has killed."""
    who, code = f"client {worker.clients[0]}", worker.process.exitcode
    if worker.ready_in < 0 and code > 0:
        return Broken(f"{who} could not be started: its process ended with status {code}", is_environment=True)
    if -code in FROM_OUTSIDE:
        name = signal.Signals(-code).name
        reason = f"{who} was ended by {name}, which this run did not send; was there too little memory?"
        return Broken(reason, is_environment=True)
    return Broken(f"{who} died with exit code {code}")


class ThreadCrew:
    """Workers that are threads of the owner, for memory that no other process can see."""

    def __init__(self, threads: int, owner: OwnerProcess) -> None:
        self.findings: list[str] = []
        self.started = threads
        self.held: set[int] = set()
        self.workers: list[Worker] = []
        self._owner = owner

    def begin(self, order: Round) -> None:
        """Start a round."""
        self._owner.begin(order)

    def ready(self) -> list[Worker]:
        """Return no worker: threads cannot be killed or paused."""
        return []

    def gather(self, timeout_s: float) -> bool:
        """Return whether all could begin; threads need no waiting for."""
        return not self.findings and timeout_s > 0

    def listen(self, timeout_s: float) -> None:
        """Let time pass."""
        time.sleep(timeout_s)

    def finish(self, timeout_s: float) -> None:
        """Wait until the round is over for all threads.

        Raises:
            Disturbed: if a client could not record.
        """
        ended = self._owner.finish(timeout_s + PATIENCE_S)
        if isinstance(ended, RoundDone):
            self.held = set(ended.held)
        elif isinstance(ended, Broken) and ended.is_environment:
            raise Disturbed(ended.reason)
        elif ended is not None:
            self.findings.append(f"clause ATOMIC-1: {ended.reason}")

    def stop(self) -> None:
        """Do nothing: they end with the owner."""
