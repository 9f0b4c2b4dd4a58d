"""A worker of a stress run: a process with one client or, with threads, several.

Interface: `main(pipe, board_path, job)` is the process. The supervisor sends a `Round` to begin
each round, and None to end. The worker answers `Ready` when it begins, and `RoundDone` or `Broken`
when it has stopped. The supervisor ends a round by writing to the board.

The *board* is a small file that every process maps. Its words: the number of the current round, 0
between two; the provider's generation; how often newcomers have attached; then, for each seat, how
many operations it has done. Reading a word costs less than polling a pipe, and the count of a
killed process stays.
"""

from __future__ import annotations

import mmap
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import slotmem
from slotmem import SlotmemError, environment
from slotmem_stress.history.records import Recorder
from slotmem_stress.interrupts import die_with_parent
from slotmem_stress.run.client import Client, Rules, Stuck
from slotmem_stress.run.settings import NAME

ROUND, GENERATION, ATTACHES, FIRST_SEAT = range(4)
_BOARD_WORDS = 512
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU)
"""What ends a process that did not crash, and that nobody here has ended."""
MAX_SEATS = _BOARD_WORDS - FIRST_SEAT


class Job(NamedTuple):
    """What a worker is given when it starts."""

    provider: str
    runtime_dir: str
    timeout_s: float
    rules: Rules
    clients: tuple[int, ...]
    """The number of each thread's client."""
    seats: tuple[int, ...]


class Round(NamedTuple):
    """Order to begin a round."""

    number: int
    folder: str
    generation: int


class RoundDone(NamedTuple):
    """Answer: the round is over for this worker, whose clients hold these slots."""

    number: int
    held: tuple[int, ...]


class Broken(NamedTuple):
    """Answer: a client could not go on."""

    reason: str
    clause: str = "KILL-3"
    is_environment: bool = False
    """Whether the provider is not to blame: a full disk, say."""


class Ready(NamedTuple):
    """Answer: the worker has attached and begins this round; 0: it has started."""

    number: int


def make_board(folder: str) -> str:
    """Create the board's file; return its path."""
    path = os.path.join(folder, "board")
    with open(path, "xb") as file:
        file.write(bytes(8 * _BOARD_WORDS))
    return path


def map_board(path: str) -> memoryview:
    """Map a board."""
    with open(path, "r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 8 * _BOARD_WORDS)).cast("Q")


def open_provider(spec: str, runtime_dir: str, generation: int, timeout_s: float) -> Any:
    """Open a provider; `timeout_s` is passed on if the provider takes it."""
    name, _, argument = spec.partition(":")
    if name == "algorithm":  # our own works without installed metadata too
        # Imported here because it takes long, and no other provider needs it.
        from slotmem_stress.provider.algorithm_provider import AlgorithmProvider

        return AlgorithmProvider.from_spec(
            argument, runtime_dir=runtime_dir, generation=generation, timeout_s=timeout_s
        )
    try:
        return slotmem.provider(spec, runtime_dir=runtime_dir, generation=generation, timeout_s=timeout_s)
    except slotmem.InvalidArgument as error:
        if "timeout_s" not in str(error):
            raise
        return slotmem.provider(spec, runtime_dir=runtime_dir, generation=generation)


def main(pipe: Connection, board_path: str, job: Job) -> None:
    """Work until told to end, or until the supervisor is gone."""
    die_with_parent()
    board = map_board(board_path)
    clients = [Client(number, job.rules, seat) for number, seat in zip(job.clients, job.seats, strict=True)]
    provider: Any = None
    instance: Any = None
    generation = -1

    def open_it(now: int) -> None:
        nonlocal provider, instance, generation
        if provider is not None:
            provider.close()
        provider, instance, generation = open_provider(job.provider, job.runtime_dir, now, job.timeout_s), None, now

    with suppress(EOFError, ConnectionError):  # the supervisor is gone
        try:
            open_it(board[GENERATION])  # takes longest, so before Ready
            pipe.send(Ready(0))
            while (order := pipe.recv()) is not None:
                if order.generation != generation:
                    open_it(order.generation)
                if instance is None:
                    instance = provider.attach(NAME)
                pipe.send(Ready(order.number))
                pipe.send(
                    work_round(instance, clients, job.seats, board, order) or RoundDone(order.number, held_by(clients))
                )
        except (SlotmemError, OSError, MemoryError) as error:
            reason = f"client {clients[0].number} could not attach: {type(error).__name__}: {error}"
            pipe.send(_broken(reason, error, clause="ATTACH-1"))
        if provider is not None:
            provider.close()


def held_by(clients: list[Client]) -> tuple[int, ...]:
    """Return the slots that the clients believe they hold."""
    return tuple(sorted({slot for client in clients for slot in client.held}))


def work_round(
    instance: Any, clients: list[Client], seats: tuple[int, ...], board: memoryview, order: Round
) -> Broken | None:
    """Let the clients work until the round is over, in threads if several; return what broke."""
    broken: list[Broken] = []

    def work(client: Client, seat: int) -> None:
        try:
            recorder = Recorder(order.folder, client.number)
            client.work(instance, recorder, _looking(board, FIRST_SEAT + seat, order.number))
        except Stuck as stuck:
            broken.append(_broken(f"client {client.number} could not go on: {stuck}", stuck))
        except OSError as error:
            broken.append(
                Broken(f"client {client.number} could not record: {error.strerror or error}", is_environment=True)
            )

    pairs = list(zip(clients, seats, strict=True))
    threads = [threading.Thread(target=work, args=pair, daemon=True) for pair in pairs[1:]]
    for thread in threads:
        thread.start()
    work(*pairs[0])
    for thread in threads:
        thread.join()
    return broken[0] if broken else None


def _broken(reason: str, error: BaseException, clause: str = "KILL-3") -> Broken:
    """Return why a client could not go on: by the machine's doing, if the error tells of that."""
    return Broken(reason, clause, is_environment=environment.explains(error) is not None)


def _looking(board: memoryview, seat: int, number: int) -> Callable[[int], bool]:
    """Return the `goes_on` of a client's work: it counts a batch and looks at the board."""

    def goes_on(operations: int) -> bool:
        if board[ROUND] != number:
            return False
        board[seat] += operations
        return True

    return goes_on
