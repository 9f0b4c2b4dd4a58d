"""Processes that work on a segment until they are killed, again and again, at little cost.

Interface:

- `maker(rig)` gives what opens the implementation in any Python process; None for somebody else's driver, which only
  speaks the protocol.
- `with Nursery(make_provider) as nursery:` then `nursery.begin(name, requests, count)` lets so many fresh processes attach
  to a segment and do the requests over and over; `nursery.kill()` ends them by SIGKILL and says what was wrong, if anything:
  a crash of their own, or an answer that no operation may give.

A library is called by a loop in C (`racing.c`), so that a victim is nearly always inside a call; any other provider by a loop
in Python. The nursery is one process that has imported what it takes and opened nothing; the victims are its forks and
open the implementation themselves, so that nothing of it crosses a fork. They end by themselves after a while.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, NoReturn, Self

from slotmem.status import Unsupported
from slotmem_conformance import answering, racing
from slotmem_conformance.abi import AbiInstance
from slotmem_conformance.notation import Request
from slotmem_conformance.rig import Rig

_WORK_S = 10.0  # a victim that nobody kills ends by itself
_BEGIN_S = 5.0
_REFUSALS = ({"status": "APR_EINVAL"}, {"status": "APR_NOTFOUND"})  # what a request may be answered when victims meet


def maker(rig: Rig) -> Callable[[], Any] | None:
    """Give what opens the implementation on the rig's folder in any process, if Python can open it there."""
    spec = getattr(rig.session(), "spec", "")
    return partial(answering.open_provider, spec, runtime_dir=rig.folder, generation=0) if spec else None


class Nursery:
    """See the header. Raises: RuntimeError: it ended itself, which it never does."""

    def __init__(self, make_provider: Callable[[], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_tend, args=(theirs, make_provider), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, name: str, requests: Sequence[Request], count: int = 1) -> None:
        """Let so many processes do the requests on a segment, and wait until all have begun."""
        self._pipe.send((name, list(requests), count))
        self._answer()

    def kill(self) -> str:
        """Kill them. Give what was wrong with one of them before that, "" if nothing."""
        self._pipe.send(None)
        return str(self._answer())

    def _answer(self) -> Any:
        if not self._pipe.poll(3 * _BEGIN_S):
            raise RuntimeError("the nursery of the victims does not answer")
        return self._pipe.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()  # it kills whoever is left, and ends
        self._process.join(_BEGIN_S)
        self._process.kill()
        self._process.join()


class _Victims(NamedTuple):
    """Forks at work, and the pipe on which they say what went wrong."""

    pids: list[int]
    told: int


def _tend(pipe: Any, make_provider: Callable[[], Any]) -> None:
    """Be the nursery: begin and kill victims until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; who called us ends us
    if isinstance(make_provider, partial) and make_provider.func is answering.open_provider:
        answering.preload(*make_provider.args)
    victims: _Victims | None = None
    with suppress(EOFError):
        while True:
            asked = pipe.recv()
            if victims is not None:
                pipe.send(_kill(victims))
                victims = None
            if asked is not None:
                victims = _begin(make_provider, *asked)
                pipe.send("")
    if victims is not None:
        _kill(victims)


def _begin(make_provider: Callable[[], Any], name: str, requests: list[Request], count: int) -> _Victims:
    begun, beginning = os.pipe()
    told, telling = os.pipe()
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            _be_victim(make_provider, name, requests, beginning, telling)
        pids.append(pid)
    os.close(beginning)
    os.close(telling)
    ends = time.monotonic() + _BEGIN_S
    left = count
    while left and select.select([begun], [], [], max(0.0, ends - time.monotonic()))[0]:
        if not (words := os.read(begun, left)):  # all have ended
            break
        left -= len(words)
    os.close(begun)
    return _Victims(pids, told)


def _kill(victims: _Victims) -> str:
    for pid in victims.pids:
        os.kill(pid, signal.SIGKILL)  # none is reaped yet, so that the number is still its own
    ends = [os.waitpid(pid, 0)[1] for pid in victims.pids]
    said = os.read(victims.told, 2000).decode(errors="replace")
    os.close(victims.told)
    crashes = {os.WTERMSIG(end) for end in ends if os.WIFSIGNALED(end)} - {signal.SIGKILL}
    return f"it died of {signal.Signals(min(crashes)).name}" if crashes else said.partition("\n")[0]


def _be_victim(
    make_provider: Callable[[], Any], name: str, requests: list[Request], beginning: int, telling: int
) -> NoReturn:
    """Work until killed; never come back."""
    try:
        instance = make_provider().attach(name)
        work = _work(instance, requests)
        os.write(beginning, b"!")
        work()
    except BaseException as error:
        os.write(telling, f"{type(error).__name__}: {error}\n"[:1000].encode())
    finally:
        os._exit(0)


def _work(instance: Any, requests: list[Request]) -> Callable[[], None]:
    """Give what does the requests over and over."""
    if isinstance(instance, AbiInstance):
        with suppress(Unsupported):  # no compiler: then as any other
            return racing.loop_of_calls(instance, requests, int(_WORK_S * 1e9))
    calls = [partial(getattr(instance, request["op"]), *_arguments(request)) for request in requests]

    def work() -> None:
        ends = time.monotonic() + _WORK_S
        while time.monotonic() < ends:
            for _ in range(20):
                for call in calls:
                    try:
                        call()
                    except Exception as error:
                        if answering.refusal(error) not in _REFUSALS:
                            raise

    return work


def _arguments(request: Request) -> list[Any]:
    found = [request["id"]] if "id" in request else []
    return [*found, bytes.fromhex(request["data"])] if "data" in request else found
