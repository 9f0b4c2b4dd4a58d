"""Call a function in a process of its own, so that a crash or a hang is an answer.

Interface:

- `call_apart([function, ...], timeout_s=...)` runs each in a fresh process, all at the same time,
  and gives an `Ended` for each: what it returned, or how it ended otherwise.
- Functions must be picklable (`functools.partial` of a module's function); each gets nothing but
  its own arguments.
- No process outlives the call, Ctrl-C included.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from slotmem_stress.interrupts import starting_a_child


class NotStarted(RuntimeError):
    """A process ended before it reached our code, so that nothing was tried and only its
    surroundings are to blame.
    """


class Ended(NamedTuple):
    """How a process ended: `answer` is what its function returned, unless `death` says how it died
    instead.
    """

    answer: Any = None
    death: str = ""


def call_apart(functions: Sequence[Callable[[], Any]], *, timeout_s: float) -> list[Ended]:
    """Call functions in processes of their own, together; none may take longer than timeout_s in
    all.

    Raises:
        NotStarted
    """
    context = multiprocessing.get_context("spawn")
    crew = []
    ends = time.monotonic() + timeout_s
    try:
        for function in functions:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_answer, args=(theirs, function), daemon=True)
            with starting_a_child():
                process.start()
                crew.append((process, ours))
            theirs.close()
        for _, ours in crew:
            await_start(ours, max(0.0, ends - time.monotonic()))
        return [_ended(process, ours, ends) for process, ours in crew]
    finally:
        for process, ours in crew:
            process.kill()
            process.join()
            ours.close()


def await_start(pipe: Connection, timeout_s: float) -> None:
    """Wait until a process has sent something, and so has reached our code.

    Raises:
        NotStarted
    """
    try:
        if pipe.poll(timeout_s):
            pipe.recv()
            return
    except EOFError:
        pass
    raise NotStarted(
        "a process could not be started; a script that calls this must do so under `if __name__ == '__main__':`"
    )


def _answer(pipe: Connection, function: Callable[[], Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; our caller ends us
    pipe.send("started")
    try:
        pipe.send(Ended(function()))
    except Exception as error:
        pipe.send(Ended(death=f"{type(error).__name__}: {error}"))


def _ended(process: Any, pipe: Connection, ends: float) -> Ended:
    if not pipe.poll(max(0.0, ends - time.monotonic())):
        return Ended(death="did not come back in time")
    try:
        answer: Ended = pipe.recv()
    except EOFError:  # it died without a word
        process.join()
        return Ended(death=_name(process.exitcode))
    return answer


def _name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
