"""The tries of one rival: a victim is killed inside an operation, and a survivor looks.

Interface: `be_host` is what the process runs that does the tries of a rival; it sends each `Try`
through its pipe, a text if the rival cannot be asked, and None when it is done. It ends in good
order when the pipe is closed. `context()` starts processes, `asked(rival)` names operations.

A *try* has a table of its own. A victim repeats one operation, and marks when it is inside. It is
stopped at a random instant; if it is not inside just then, it goes on, else it is killed where it
stands. Only then does a survivor, who has the table open, use it. If it cannot go on, another one
tries, so that nobody is accused for having been slow.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess, current_process
from pathlib import Path
from typing import Any, NamedTuple

from slotmem.memory import names
from slotmem_stress.bench.contract import Opener, Rival
from slotmem_stress.bench.findings import ITEM_NUM, ITEM_SIZE, Death, Seen, judge
from slotmem_stress.bench.victims import OPERATIONS, Mark, be_survivor, be_victim, name_objects
from slotmem_stress.interrupts import die_with_parent, end

SILENT_S = 60.0
"""How long a survivor of whose lock nothing is known may be silent, each of two."""
STARTED_S = 60.0
STOPS = 2000  # how often a victim is stopped, at most, until it is inside
_DELAY_S = 0.002
_SHM = Path("/dev/shm")


class Try(NamedTuple):
    """One kill: what was wrong afterwards, with the evidence; and how long a survivor took to go
    on, if it could.
    """

    operation: str
    found: dict[str, str]
    ms: float | None


@cache
def context() -> ForkServerContext:
    """Return how processes are started here: forked from a server that has imported all this."""
    forkserver = get_context("forkserver")
    forkserver.set_forkserver_preload([__name__])
    return forkserver


def asked(rival: Rival) -> list[str]:
    """Return the operations inside which a rival is killed."""
    return [operation for operation in OPERATIONS if operation not in rival.lacks]


class _Stopped(Exception):
    """The pipe to the host was closed."""


class _Impossible(Exception):
    """A rival cannot be tried; says why."""


def be_host(control: Connection, rival: Rival, kills: int, folder: str, mark: str, ends: float) -> None:
    """Do the tries of a rival in the folder, each operation so often, until a time of the monotonic
    clock; names of objects in shared memory have the mark.
    """
    die_with_parent()
    name_objects(mark)
    current_process()._config["semprefix"] = f"/{mark}"  # type: ignore[attr-defined]
    choose = random.Random(1)
    with suppress(_Stopped, ConnectionError):
        for _ in range(kills):
            for operation in asked(rival):
                if time.monotonic() > ends:
                    break
                try:
                    control.send(_try(control, rival, operation, Path(folder), mark, choose))
                except _Impossible as error:
                    control.send(str(error))
                    return
        control.send(None)


def _try(control: Connection, rival: Rival, operation: str, folder: Path, mark: str, choose: random.Random) -> Try:
    place = folder / f"{mark}-table"
    place.mkdir()
    death, seen = _die(control, rival, operation, place, mark, choose)
    gc.collect()  # locks are removed when the last who has them lets go
    objects = _objects(place, mark)
    for path in objects:
        path.unlink(missing_ok=True)
    shutil.rmtree(place)
    return Try(operation, judge(death, seen, [path.name for path in objects]), None if seen.refused else seen.ms)


def _objects(place: Path, mark: str) -> list[Path]:
    """Return what there is of a table in shared memory: marked objects, and slotmem's segment."""
    found = [path for path in _SHM.glob(f"*{mark}*") if path.is_file()]
    segment = names.resolve(f"bench-{ITEM_SIZE}", str(place), 0)
    if segment is not None and (path := _SHM / segment.shm_object.lstrip("/")).exists():
        found.append(path)
    return found


def _die(
    control: Connection, rival: Rival, operation: str, place: Path, mark: str, choose: random.Random
) -> tuple[Death, Seen]:
    """Set up a table, kill a victim inside the operation, and return what survivors see."""
    with ExitStack() as stack:
        try:
            opener = stack.enter_context(rival.setup(str(place), ITEM_SIZE, ITEM_NUM))
        except Exception as error:  # whatever it raises, it cannot be set up here
            raise _Impossible(f"it cannot be set up: {' '.join(str(error).split())}") from None
        path = place / "mark"
        where = Mark(path)
        with _survivor(control, mark, opener) as first, _child(be_victim, path, mark, opener, operation) as victim:
            _until(control, where.is_ready, victim)
            _kill_inside(control, victim, where, choose)
            seen = _ask(control, first)
            if seen.refused:
                try:
                    with _survivor(control, mark, opener) as second:
                        seen = confirmed(seen, _ask(control, second))
                except _Impossible as error:
                    seen = confirmed(seen, Seen(f"another one cannot even open the table: {error}"))
        return Death(operation, where.puts()), seen


def confirmed(first: Seen, second: Seen) -> Seen:
    """Return what both saw together: the first saw the bytes before anybody else touched them, the
    second says whether one can go on.
    """
    seen = second if first.contents is None else first
    return seen._replace(refused=second.refused, ms=second.ms)


def _kill_inside(control: Connection, victim: BaseProcess, where: Mark, choose: random.Random) -> None:
    """Stop the victim at random instants until it is inside, and kill it there."""
    for _ in range(STOPS):
        time.sleep(choose.uniform(0, _DELAY_S))
        _signal(victim, signal.SIGSTOP)
        _until(control, lambda: _is_stopped(victim), victim)
        if where.is_inside():
            end_now(victim)
            return
        _signal(victim, signal.SIGCONT)
    raise _Impossible(f"in {STOPS} tries, its process was never met inside an operation")


def end_now(victim: BaseProcess) -> None:
    """Kill a process and wait until it is gone, and the kernel has done what it does at a death."""
    victim.kill()
    victim.join()


def _signal(victim: BaseProcess, number: signal.Signals) -> None:
    if victim.pid is not None and victim.is_alive():
        os.kill(victim.pid, number)


def _is_stopped(victim: BaseProcess) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    return False


def _until(control: Connection, condition: Callable[[], bool], victim: BaseProcess) -> None:
    ends = time.monotonic() + STARTED_S
    while not condition():
        if control.poll():
            raise _Stopped
        if not victim.is_alive():
            raise _Impossible(f"its process has ended by itself, with exit code {victim.exitcode}")
        if time.monotonic() > ends:
            raise _Impossible(f"its process has not begun, or not stopped, within {STARTED_S:.0f} s")
        time.sleep(0.0005)


def _ask(control: Connection, survivor: Connection) -> Seen:
    """Let a survivor look, and return what it saw."""
    with suppress(ConnectionError):  # its end of the pipe tells
        survivor.send(None)
    if control in (ready := connection.wait([control, survivor], SILENT_S)):
        raise _Stopped
    if not ready:
        return Seen(f"it has been waiting for more than {SILENT_S:.0f} s, with nobody else there")
    try:
        seen: Seen = survivor.recv()
    except (EOFError, ConnectionError):
        return Seen("it crashes")
    return seen


@contextmanager
def _survivor(control: Connection, mark: str, opener: Opener) -> Iterator[Connection]:
    """Start a survivor, and wait until it has the table open."""
    ours, theirs = context().Pipe()
    with _child(be_survivor, theirs, mark, opener) as process:
        theirs.close()
        _until(control, ours.poll, process)
        try:
            refused = ours.recv()
        except (EOFError, ConnectionError):
            process.join(STARTED_S)
            raise _Impossible(f"its process has ended by itself, with exit code {process.exitcode}") from None
        if refused:
            raise _Impossible(refused)
        yield ours
    ours.close()


@contextmanager
def _child(be: Callable[..., None], *given: Any) -> Iterator[BaseProcess]:
    process = context().Process(target=be, args=given)
    process.start()
    try:
        yield process
    finally:
        end(process)
