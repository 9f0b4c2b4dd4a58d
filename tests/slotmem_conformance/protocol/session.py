"""Sessions: whatever is held to the clauses answers protocol requests, wherever it runs.

Interface:

- `open_session(spec, runtime_dir=...)` starts what a PROVIDER string names, says hello to it, and
  gives the session.
- `session.request({...})` gives the response, a dict that protocol.schema.json allows.
- An `AdapterError` says that the other side broke the protocol, was silent for too long, or died.
  After one the session is useless; open another.

A refusal (APR_EINVAL ...) is an ordinary response. PROTOCOL.md describes the protocol.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Protocol, Self

from slotmem_conformance.protocol import protocol, warm
from slotmem_conformance.protocol.answering import Answerer
from slotmem_conformance.protocol.process_session import AdapterError, ProcessSession, trouble
from slotmem_conformance.protocol.protocol import Message
from slotmem_conformance.protocol.schema import short

__all__ = ["AdapterError", "InProcessSession", "ProcessSession", "Session", "command_of", "open_session", "start"]

TIMEOUT_S = 10.0
_OURS = ("shm", "plain")  # what runs in this very process, where our tests break it; anything else may crash it
_EXEC = "exec:"
_SHARE = 0.8  # of the time for an answer, so that a provider that does not come to its end can be named


class Session(Protocol):
    """A conversation with one implementation in one server lifetime."""

    hello: Message
    """What it answered to hello."""
    killable: bool
    """Whether it is a process that `kill` ends."""
    provider: str
    """The PROVIDER string, if `answering.open_provider` opens it; empty for what can only be asked
    through the protocol.
    """

    def request(self, request: Message) -> Message:
        """Return the response to a request.

        Raises:
            AdapterError ValueError: if the request is malformed.
        """

    def kill(self) -> None:
        """End the process with SIGKILL and wait for it. Idempotent."""

    def close(self) -> None:
        """End it cleanly. Idempotent.

        Raises:
            AdapterError: if it did not end as it should; now it has ended.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class InProcessSession:
    """A slotmem provider in this very process; it has no time limit."""

    killable = False

    def __init__(self, spec: str, *, runtime_dir: str, generation: int = 0) -> None:
        self._answerer = Answerer(spec)
        self.provider = spec
        self.hello: Message = {}
        self.hello = self.request(
            {"op": "hello", "protocol": protocol.VERSION, "runtime_dir": runtime_dir, "generation": generation}
        )

    def request(self, request: Message) -> Message:
        """Return the response to a request.

        Raises:
            AdapterError ValueError: if the request is malformed.
        """
        response = self._answerer.answer(request)
        if response is None:
            raise ValueError("expected close() of the session, since quit has no response")
        if why := trouble(request, response):
            fault = protocol.request_fault(request)
            if fault is not None:
                raise ValueError(f"expected {fault}")
            expected = str(protocol.response_fault(request, response))
            raise AdapterError(sent=short(request), got=short(response), expected=expected, **why)
        return response

    def kill(self) -> None:
        """Refuse: it is this process."""
        raise ValueError("an in-process session cannot be killed; open it with process=True")

    def close(self) -> None:
        """End the provider cleanly. Idempotent."""
        self._answerer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def command_of(spec: str) -> list[str]:
    """Return the command that runs a PROVIDER string as a driver.

    Raises:
        ValueError: if it names no command.
    """
    if not spec.startswith(_EXEC):
        return [sys.executable, "-m", "slotmem_conformance.protocol.driver", spec]
    try:
        command = shlex.split(spec.removeprefix(_EXEC))
    except ValueError as error:
        raise ValueError(f"{spec!r} names no command: {str(error).lower()}") from None
    if not command:
        raise ValueError(f"{spec!r} names no command; write exec:COMMAND, such as 'exec:./my-driver --flag'")
    return command


def open_session(
    spec: str,
    *,
    runtime_dir: str,
    generation: int = 0,
    timeout_s: float = TIMEOUT_S,
    process: bool = False,
    under: Sequence[str] = (),
) -> Session:
    """Start what a PROVIDER string names, and say hello.

    Args:
        spec: `exec:COMMAND` is a driver, a process of its own; so is every other provider, through
            the bundled driver, except `shm` and `plain` without process=True.
        timeout_s: the longest wait for a response, in seconds.
        under: a command that runs the driver, such as that of a tracer; the driver is a process
            then.

    Raises:
        AdapterError: if it does not say hello as it should.
        ValueError: if the string names no command.
    """
    if spec in _OURS and not process and not under:
        return InProcessSession(spec, runtime_dir=runtime_dir, generation=generation)
    session = start(spec, timeout_s=timeout_s, under=under)
    session.provider = "" if spec.startswith(_EXEC) else spec
    try:
        session.say_hello(runtime_dir, generation)
    except BaseException:  # Ctrl-C too: it would make its runtime directory after that was removed
        session.kill()
        raise
    return session


def start(spec: str, *, timeout_s: float, under: Sequence[str] = ()) -> ProcessSession:
    """Start what a PROVIDER string names as a process, and say nothing.

    Raises:
        AdapterError
        ValueError
    """
    command = [*under, *command_of(spec)] if spec.startswith(_EXEC) or under else []
    stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the session
    environment = os.environ | ({"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} if command else {})
    try:
        process = warm.start(command or spec, stderr, environment, patience_s=timeout_s * _SHARE)
    except BaseException as error:
        stderr.close()
        if not isinstance(error, warm.NotStarted):
            raise
        told = f"the command {shlex.join(command)}"
        raise AdapterError(sent=told, got=f'"{error.strerror}"', expected=_startable(command[0], error)) from None
    return ProcessSession(process, stderr, timeout_s=timeout_s)


def _startable(program: str, error: OSError) -> str:
    """Say what a command must begin with to be started, where this one does not."""
    if not os.path.isfile(program):
        return "a program on the PATH, or the path of one"
    if error.errno == errno.EACCES:
        return f"a program (chmod +x {program}), or its interpreter and then {program}"
    if error.errno == errno.ENOEXEC:
        return f"a program, or a script that begins with #! and an interpreter, which {program} does not"
    if "/" not in program:
        return f"a program on the PATH; the one in this folder is ./{program}"
    return f"a program whose interpreter is there; see the line #! of {program}"
