"""What is timed, and the processes that do it.

Interface:

- `WORKLOADS`: an operation on slots of one size, in 1, 2 or 4 processes.
- `with worker(openers, number) as pipe:` starts a process that opens every table. It says that it
  is ready by sending a 0; then each (workload, rival, begins, window_s) it is sent is answered by
  operations a second.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import NamedTuple

from slotmem_stress.bench.contract import Opener, SlotTable
from slotmem_stress.interrupts import end

SIZES = (64, 4096)
PROCESSES = (1, 2, 4)
GET_PUT = "get+put"
IN_ONE = ("update", "compare_and_put")
"""What does the work of a get and a put under one lock, and aims to be as fast at least."""
_LOOK_S = 0.001  # how long operations are repeated between two readings of the clock


class Workload(NamedTuple):
    """An operation on slots of one size, in some processes."""

    operation: str
    item_size: int
    processes: int


WORKLOADS = [
    Workload(operation, item_size, processes)
    for operation, sizes in (
        ("grab+release", SIZES[:1]),
        ("put", SIZES),
        ("get", SIZES),
        *((name, SIZES[:1]) for name in (GET_PUT, *IN_ONE)),
    )
    for item_size in sizes
    for processes in PROCESSES
]


@contextmanager
def worker(openers: dict[tuple[str, int], Opener], number: int) -> Iterator[Connection]:
    """Start a worker and yield the pipe to it; kill it at the end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, openers, number), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        end(process)  # before the pipe closes: it may be in the middle of a round
        ours.close()


def _work(pipe: Connection, openers: dict[tuple[str, int], Opener], number: int) -> None:
    """Be a worker: measure what the pipe asks for, until it closes."""
    with ExitStack() as stack:
        tables = {key: stack.enter_context(closing(opener())) for key, opener in openers.items()}
        with suppress(EOFError, ConnectionError):  # reset, if the parent died with an answer unread
            pipe.send(0.0)  # ready
            while True:
                workload, rival, begins, window_s = pipe.recv()
                loop = _LOOPS[workload.operation](tables[rival, workload.item_size], number, workload.item_size)
                pipe.send(_rate(loop, begins, window_s))


def _rate(loop: Callable[[int], None], begins: float, window_s: float) -> float:
    """Repeat an operation from an instant on; return operations a second."""
    time.sleep(max(0.0, begins - time.monotonic()))
    times, done = 1, 0
    began = now = time.monotonic()
    while now < began + window_s:
        loop(times)
        done += times
        before, now = now, time.monotonic()
        if now - before < _LOOK_S:
            times *= 2
    return done / (now - began)


def _grab_release(table: SlotTable, number: int, item_size: int) -> Callable[[int], None]:
    del number, item_size
    grab, release = table.grab, table.release

    def loop(times: int) -> None:
        for _ in range(times):
            release(grab())

    return loop


def _put(table: SlotTable, number: int, item_size: int) -> Callable[[int], None]:
    put, data = table.put, bytes([number]) * item_size

    def loop(times: int) -> None:
        for _ in range(times):
            put(number, data)

    return loop


def _get(table: SlotTable, number: int, item_size: int) -> Callable[[int], None]:
    del item_size
    get = table.get

    def loop(times: int) -> None:
        for _ in range(times):
            get(number)

    return loop


def _get_put(table: SlotTable, number: int, item_size: int) -> Callable[[int], None]:
    del item_size
    get, put = table.get, table.put

    def loop(times: int) -> None:
        for _ in range(times):
            put(number, get(number))

    return loop


def _update(table: SlotTable, number: int, item_size: int) -> Callable[[int], None]:
    del item_size
    update = table.update

    def same(data: bytes) -> bytes:
        return data

    def loop(times: int) -> None:
        for _ in range(times):
            update(number, same)

    return loop


def _compare_and_put(table: SlotTable, number: int, item_size: int) -> Callable[[int], None]:
    compare_and_put, data = table.compare_and_put, bytes([number]) * item_size
    table.put(number, data)

    def loop(times: int) -> None:
        for _ in range(times):
            compare_and_put(number, data, data)

    return loop


_LOOPS = {
    "grab+release": _grab_release,
    "put": _put,
    "get": _get,
    GET_PUT: _get_put,
    "update": _update,
    "compare_and_put": _compare_and_put,
}
