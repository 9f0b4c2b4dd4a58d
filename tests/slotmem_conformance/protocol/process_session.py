"""Driver processes: one JSON request a line in, one JSON response a line out.

Interface:

- `ProcessSession(process, stderr)` talks with a driver, such as one that `launched(command)`
  started; `say_hello`, then `request`, then `close` (see `slotmem_conformance.protocol.session`).
- `exchange(line)` is the bare exchange, for tests of drivers themselves: it gives the line that
  came back.
- Every wait has a limit. A driver that is silent, dead or talks garbage gives an `AdapterError`,
  and is killed.
- No child is left: a driver has a process group of its own, which is killed at the latest when the
  interpreter ends. If this process is killed itself, the driver sees the end of its input and
  quits.

What a driver writes to its standard error goes to an unnamed file; the end of that is part of the
`AdapterError`.
"""

from __future__ import annotations

import atexit
import errno
import os
import select
import shlex
import signal
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Protocol, Self

from slotmem_conformance.protocol import protocol
from slotmem_conformance.protocol.protocol import Message
from slotmem_conformance.protocol.schema import short

_PIECE = 1 << 20
_STDERR_SHOWN = 2000
_LONGEST_LINE = 64 << 20  # far above what any case asks for, and no burden for this machine
JSON_LINE = "one line of JSON, and nothing else on standard output"


class AdapterError(Exception):
    """The other side broke the protocol: what was sent, what came back, what was expected."""

    def __init__(
        self,
        *,
        sent: str,
        got: str,
        expected: str,
        stderr: str = "",
        silent: bool = False,
        ended: bool = False,
        raised: str = "",
        refused: str = "",
    ) -> None:
        self.sent = sent
        self.got = got
        self.expected = expected
        self.stderr = stderr
        self.silent = silent
        """Whether nothing came in time."""
        self.ended = ended
        """Whether the other side ended, of its own accord or by a signal."""
        self.raised = raised
        """What an operation raised that has no status, as our own driver says."""
        self.refused = refused
        """Why our own driver could not open it at all."""
        said = f"; its standard error ends with: {stderr}" if stderr else ""
        super().__init__(f"sent {sent}, got {got}, expected {expected}{said}")

    def about(self, request: Message) -> AdapterError:
        """Return the same of a request in other words: with another number of the segment."""
        told = {name: value for name, value in vars(self).items() if name != "sent"}
        return AdapterError(sent=short(request), **told)

    @property
    def kind(self) -> str:
        """In what way the other side was wrong, whatever was sent."""
        return self.raised or (self.got if self.silent or self.ended else self.expected)


class Process(Protocol):
    """What a session uses of a `subprocess.Popen`: its streams are pipes, and it leads a process
    group.
    """

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    pid: int

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status, or raise subprocess.TimeoutExpired."""
        ...


def launched(command: Sequence[str], stderr: IO[bytes], environment: Mapping[str, str]) -> Process:
    """Start a command as a driver.

    Raises:
        AdapterError
    """
    # Ctrl-C is for us, who end the driver: it gets a session of its own, and so no signal from the
    # terminal.
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            start_new_session=True,
            env=environment,
        )
    except OSError as error:
        told = f"the command {shlex.join(command)}"
        raise AdapterError(sent=told, got=f'"{error.strerror}"', expected=_startable(command[0], error)) from None


class ProcessSession:
    """A driver process; see `slotmem_conformance.protocol.session.Session`."""

    killable = True

    def __init__(self, process: Process, stderr: IO[bytes], *, timeout_s: float) -> None:
        self.hello: Message = {}
        self.provider = ""
        self.timeout_s = timeout_s
        self._buffer = bytearray()
        self._stderr = stderr
        self._process = process
        _living.add(self)
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)

    @property
    def pid(self) -> int:
        """The process id of the driver."""
        return self._process.pid

    def say_hello(self, runtime_dir: str, generation: int) -> None:
        """Say hello, and keep the answer in `hello`.

        Raises:
            AdapterError
        """
        self.hello = self.request(
            {"op": "hello", "protocol": protocol.VERSION, "runtime_dir": runtime_dir, "generation": generation}
        )

    def request(self, request: Message) -> Message:
        """Return the response to a request.

        Raises:
            AdapterError ValueError: if the request is malformed.
        """
        fault = protocol.request_fault(request)
        if fault is None and request["op"] == "quit":
            fault = "close() of the session, since quit has no response"
        if fault is not None:
            raise ValueError(f"expected {fault}")
        sent = short(request)
        line = self.exchange(protocol.encode(request), sent)
        try:
            response: Message = protocol.decode(line)
        except ValueError as error:
            raise self._failed(sent, shown(line), f"{JSON_LINE} ({error})") from None
        fault = protocol.response_fault(request, response)
        if fault is not None:
            why = trouble(request, response) if self.provider else {}
            raise self._failed(sent, short(response), fault, **why)
        return response

    def exchange(self, line: bytes, sent: str | None = None) -> bytes:
        """Send a line and return the next one that comes back.

        Raises:
            AdapterError: if none comes.
        """
        sent = sent or shown(line)
        deadline = time.monotonic() + self.timeout_s
        stdin, stdout = self._pipes()
        rest = memoryview(line)
        piece: bytes | bytearray = self._buffer
        while b"\n" not in piece:
            left = deadline - time.monotonic()
            readable, writable, _ = select.select([stdout], [stdin] if rest else [], [], max(0.0, left))
            if not readable and (left < 0 or not writable):
                raise self._failed(sent, self._silence(), "a response of one line, flushed", silent=True)
            if writable:
                try:
                    rest = rest[os.write(stdin, rest) :]
                except BrokenPipeError:
                    rest = rest[:0]  # it has ended, or will not read; what it last said tells more
            if readable:
                piece = os.read(stdout, _PIECE)
                if not piece:
                    raise self._failed(sent, self._end(), "a response of one line, flushed", ended=True)
                self._buffer += piece
                if b"\n" not in piece and (left < 0 or len(self._buffer) > _LONGEST_LINE):
                    raise self._failed(sent, self._silence(), "a response of one line, flushed", silent=True)
        answer, self._buffer = self._buffer.split(b"\n", 1)
        return bytes(answer)

    def unread(self, wait_s: float) -> bytes:
        """Return what the driver says without being asked, within `wait_s` seconds."""
        _, stdout = self._pipes()
        if not self._buffer and select.select([stdout], [], [], wait_s)[0]:
            self._buffer += os.read(stdout, _PIECE)
        return bytes(self._buffer)

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit status if the driver ends within `timeout_s` seconds; minus its number
        for a signal.
        """
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_s)
        return None

    def kill(self) -> None:
        """End the driver and its children with SIGKILL, and wait for it. Idempotent."""
        if self in _living:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._let_go()

    def close(self) -> None:
        """Send quit and wait for the end. Idempotent.

        Raises:
            AdapterError: if it does not exit with status 0.
        """
        if self not in _living:
            return
        try:
            status, said = self.finish(quit=True)
            if status != 0 or said:
                got = f"no exit within {self.timeout_s:g} s" if status is None else ended(status)
                raise self._failed(
                    '{"op":"quit"}', shown(said) if said else got, "an exit with status 0, and no response"
                )
        finally:
            self.kill()

    def finish(self, *, quit: bool) -> tuple[int | None, bytes]:
        """Send quit, or else end the input; return the exit status, None if it does not end, and
        what it still said.
        """
        if quit:
            with suppress(BrokenPipeError):
                os.write(self._pipes()[0], protocol.encode({"op": "quit"}))
        else:
            self.end_input()
        status = self.wait(self.timeout_s)
        return status, self.unread(0.0)

    def end_input(self) -> None:
        """Close the driver's standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def stderr(self) -> str:
        """Return the end of what the driver wrote to its standard error."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_SHOWN))
        text: str = self._stderr.read().decode(errors="replace").strip()
        return text

    def _failed(self, sent: str, got: str, expected: str, **why: Any) -> AdapterError:
        """Kill the driver, and return the error that says why."""
        error = AdapterError(sent=sent, got=got, expected=expected, stderr=self.stderr(), **why)
        self.kill()
        return error

    def _pipes(self) -> tuple[int, int]:
        if self not in _living:
            raise AdapterError(sent="a request", got="a driver that has ended", expected="an open session")
        return self._stdin, self._stdout

    def _silence(self) -> str:
        """Say what came instead of a response, and what comes when the driver sees the end of its
        input.
        """
        if self._buffer:
            limit = (
                f"within {self.timeout_s:g} s" if len(self._buffer) <= _LONGEST_LINE else f"in {_LONGEST_LINE} bytes"
            )
            return f"{shown(self._buffer)} without a line end {limit}"
        self.end_input()
        late = self.unread(min(1.0, self.timeout_s))
        return f"nothing within {self.timeout_s:g} s" + (f", but {shown(late)} at the end of its input" if late else "")

    def _end(self) -> str:
        status = self.wait(1.0)
        said = f"{shown(self._buffer)} without a line end, and then " if self._buffer else ""
        return said + ("the end of its output" if status is None else ended(status))

    def _let_go(self) -> None:
        _living.discard(self)
        for file in (self._process.stdin, self._process.stdout, self._stderr):
            assert file is not None
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()


_living: weakref.WeakSet[ProcessSession] = weakref.WeakSet()


@atexit.register
def _kill_all() -> None:
    for session in list(_living):
        session.kill()


def trouble(request: Message, response: Any) -> dict[str, Any]:
    """Return what an error of our own driver, alone or in a batch, adds to an `AdapterError`."""
    if not isinstance(response, dict):
        return {}
    batched = response.get("responses") if request["op"] == "batch" else ()
    said = (each.get("error") for each in (response, *(batched or ())) if isinstance(each, dict))
    first = next(filter(None, said), "")
    return {"refused" if request["op"] == "hello" else "raised": first} if first else {}


def shown(line: bytes | bytearray, limit: int = 200) -> str:
    """Return a line as Python would write it, cut if it is long."""
    text = repr(bytes(line[: limit + 1]))
    return text if len(text) <= limit else f"{text[:limit]}... ({len(line)} bytes)"


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


def ended(status: int) -> str:
    """Put an exit status into words."""
    if status >= 0:
        return f"its exit with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"its death by {name}"
