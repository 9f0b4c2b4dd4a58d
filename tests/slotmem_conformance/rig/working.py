"""Processes that work on a segment at full speed and are all killed at the same moment.

Interface:

- `with nursery(make_provider, name) as at_work:` has a process attached to the segment, which forks
  others when asked to.
- `with at_work(works, gap_s=0.0) as pids:` has a process for each work at it. At the end of the
  block, and whatever happens in it, they get SIGKILL, wherever they are, one after the other with
  a gap between, and are gone.

Both raise Failed if the segment could not be attached, or a process died before its time, and
Skipped if nothing was tried.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from slotmem_conformance.rig import loops
from slotmem_conformance.rig.apart import NotStarted, await_start
from slotmem_conformance.rig.loops import Work
from slotmem_conformance.rig.rig import Failed, Skipped
from slotmem_stress.interrupts import starting_a_child

_AT_MOST_S = 60.0  # nobody works for ever, even if whoever started it is gone
_START_S = 20.0

AtWork = Callable[..., AbstractContextManager[list[int]]]


@contextmanager
def nursery(make_provider: Callable[[], Any], name: str) -> Iterator[AtWork]:
    """Start the process that forks the others; see the header."""
    loops.compiled()  # before the crew wants it
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_nurse, args=(theirs, make_provider, name), daemon=True)
    try:
        with starting_a_child():
            process.start()
        theirs.close()
        try:
            await_start(ours, _START_S)
        except NotStarted as error:
            raise Skipped(str(error)) from None
        if trouble := _heard(ours):
            raise Failed(f"a process could not attach to the segment: {trouble}")
        yield partial(_at_work, ours)
    finally:
        ours.close()  # which ends it
        if process.pid is not None:
            process.join(_START_S)
            process.kill()
            process.join()


@contextmanager
def _at_work(pipe: Connection, works: Sequence[Work], *, gap_s: float = 0.0) -> Iterator[list[int]]:
    pipe.send(works)
    pids: list[int] = _heard(pipe)
    try:
        yield pids
    finally:
        for pid in pids:  # all of them before any is waited for; they keep their numbers until then
            os.kill(pid, signal.SIGKILL)
            time.sleep(gap_s)
        pipe.send(None)
    for status in _heard(pipe):
        if status != -signal.SIGKILL:
            raise Failed(f"a process that worked on the segment ended by itself, with {_name(status)}")


def _heard(pipe: Connection) -> Any:
    if not pipe.poll(_START_S):
        raise Failed(f"a process attached to the segment said nothing for {_START_S:g} s")
    try:
        return pipe.recv()
    except EOFError:
        raise Failed("a process attached to the segment died") from None


def _nurse(pipe: Connection, make_provider: Callable[[], Any], name: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; our parent ends us
    with suppress(EOFError, ConnectionError):  # the other side is gone, perhaps before we came
        pipe.send("started")
        try:
            instance = make_provider().attach(name)
        except Exception as error:
            pipe.send(f"{type(error).__name__}: {error}")
            return
        pipe.send("")
        while True:
            _let_work(pipe, instance, pipe.recv())


def _let_work(pipe: Connection, instance: Any, works: Sequence[Work]) -> None:
    """Have processes work until the other side has killed them, or is gone."""
    pids = [_fork(instance, work) for work in works]
    try:
        pipe.send(pids)
        pipe.recv()
    except (EOFError, ConnectionError):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        raise
    finally:
        ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    pipe.send(ended)


def _fork(instance: Any, work: Work) -> int:
    pid = os.fork()
    if not pid:
        try:
            work(instance, int(_AT_MOST_S * 1e9))
        finally:
            os._exit(1)
    return pid


def _name(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"status {status}"
