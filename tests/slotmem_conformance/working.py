"""Processes that work on a segment at full speed, without the protocol, and are all killed at one moment.

Interface: `with at_work(make_provider, name, works):` has a process for each work attached and at it. At the end of the block, and
whatever happens in it, they get SIGKILL, wherever they are, and are gone.

Raises: Failed: one died before its time.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from slotmem_conformance import loops
from slotmem_conformance.loops import Work
from slotmem_conformance.rig import Failed

_AT_MOST_S = 60.0  # nobody works for ever, even if whoever started it is gone
_START_S = 20.0


@contextmanager
def at_work(make_provider: Callable[[], Any], name: str, works: Sequence[Work]) -> Iterator[None]:
    """See the header."""
    loops.compiled()  # once, before several want it
    context = multiprocessing.get_context("spawn")
    crew = []
    try:
        for work in works:
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(theirs, make_provider, name, work), daemon=True)
            process.start()
            theirs.close()
            crew.append((process, ours))
        for _, ours in crew:
            if (trouble := _heard(ours)) is not None:
                raise Failed(f"a process that was to work on the segment could not: {trouble}")
        yield
    finally:
        for process, _ in crew:
            process.kill()  # all of them, before any is waited for
        for process, ours in crew:
            process.join()
            ours.close()


def _heard(pipe: Connection) -> str | None:
    """Wait for a process to begin, and say why it does not."""
    if not pipe.poll(_START_S):
        return f"it did not begin in {_START_S:g} s"
    try:
        trouble: str | None = pipe.recv()
    except EOFError:
        return "it died"
    return trouble


def _work(pipe: Connection, make_provider: Callable[[], Any], name: str, work: Work) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; who started us ends us
    try:
        instance = make_provider().attach(name)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
        return
    pipe.send(None)
    work(instance, int(_AT_MOST_S * 1e9))
