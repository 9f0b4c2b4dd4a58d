"""Drivers started by one warm process: ours cost milliseconds instead of a start of Python.

Interface: `start(order, stderr)` starts the bundled driver of a PROVIDER string, or a command, as a
`Kept`. `python -m slotmem_conformance.protocol.warm FD` is the warm process.

The warm process has imported what drivers need, and does nothing but fork: whatever an accused
implementation does, it does in its own driver. A *keeper* stands between the two
(`slotmem_conformance.protocol.keeper`), so that a driver ends with all that it started, even if
this process is killed. The warm process ends when this one does, however that happens.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from typing import IO, Any, NoReturn

from slotmem_conformance.protocol import keeper, protocol
from slotmem_stress import descendants

_WARM = (
    "importlib.metadata",
    "slotmem_conformance.adapters.abi",
    "slotmem_conformance.adapters.httpd",
    "slotmem_stress.provider.algorithm_provider",
)
_DESCRIPTORS = 6
_END_S = 60.0  # far more than a tree of processes takes that the kernel lets die


class NotStarted(OSError):
    """The system refused to run a command."""


class Kept:
    """A driver with a keeper; it leads a process group. Its streams are pipes."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], told: socket.socket) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self._told = told
        self._lines = told.makefile("rb", buffering=0)  # no line waits where select does not see it
        self._status: int | None = None
        self._lock = threading.Lock()  # one thread may end what another talks with
        self.pid = int(self._lines.readline() or 0)
        if not self.pid:
            number = int(self._lines.readline() or 0)
            self.close()
            if number:
                raise NotStarted(number, os.strerror(number))
            raise OSError("the warm process of the drivers ended before it had started one")

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once it has ended; minus its number for a signal.

        Raises:
            subprocess.TimeoutExpired: if it has not ended within `timeout` seconds.
        """
        with self._lock:
            if self._status is None:
                if not select.select([self._told], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("a driver", timeout or 0.0)
                self._status = os.waitstatus_to_exitcode(int(self._lines.readline() or signal.SIGKILL))
            return self._status

    def end(self) -> None:
        """End it with SIGKILL, and whatever descends from it; wait until they are gone."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # the keeper would, but this very moment may matter
        with suppress(OSError):
            self._told.shutdown(socket.SHUT_WR)
        ends = time.monotonic() + _END_S
        with self._lock:
            while select.select([self._told], [], [], max(0.0, ends - time.monotonic()))[0]:
                line = self._lines.readline()
                if not line:
                    break
                self._status = os.waitstatus_to_exitcode(int(line))
            if self._status is None:
                self._status = -signal.SIGKILL

    def close(self) -> None:
        """Close its streams. Idempotent."""
        for file in (self.stdin, self.stdout, self._lines, self._told):
            file.close()


class _Parent:
    """The warm process, as seen from this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: socket.socket | None = None
        self._pid = 0

    def send(self, descriptors: list[int]) -> None:
        """Have it fork a keeper."""
        with self._lock:
            try:
                socket.send_fds(self._running(), [b"!"], descriptors)
            except OSError:  # it was killed, which is not the fault of whoever wants a driver now
                self.end()
                socket.send_fds(self._running(), [b"!"], descriptors)

    def end(self) -> None:
        """End it, if it runs. Idempotent."""
        if self._orders is not None and self._pid == os.getpid():
            self._orders.close()
            self._orders = None
            self._process.kill()
            self._process.wait()

    def _running(self) -> socket.socket:
        if self._pid != os.getpid():  # a forked child has one of its own
            self._orders = None
        if self._orders is None:
            self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._pid = os.getpid()
            # A session of its own, since Ctrl-C is for us.
            self._process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            theirs.close()
        return self._orders


_parent = _Parent()
atexit.register(_parent.end)


def start(
    order: str | Sequence[str], stderr: IO[bytes], environment: Mapping[str, str], *, patience_s: float | None = None
) -> Kept:
    """Start the driver of a PROVIDER string, or a command, with this process's folder and path.

    A provider that takes longer than `patience_s` seconds to open is refused, with the line that
    does not end.

    Raises:
        NotStarted
        OSError: something else went wrong.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    given = {
        "order": order,
        "path": sys.path,
        "environment": dict(environment),
        "umask": umask,
        "patience_s": patience_s,
    }
    with ExitStack() as theirs, tempfile.TemporaryFile() as written:
        written.write(json.dumps(given).encode())
        written.flush()
        folder = os.open(".", os.O_PATH | os.O_DIRECTORY)
        theirs.callback(os.close, folder)
        (their_in, stdin), (stdout, their_out) = os.pipe(), os.pipe()
        for each in (their_in, their_out):
            theirs.callback(os.close, each)
        streams = (os.fdopen(stdin, "wb", 0), os.fdopen(stdout, "rb", 0))
        told, their_told = socket.socketpair()
        theirs.callback(their_told.close)
        _parent.send([written.fileno(), folder, their_in, their_out, stderr.fileno(), their_told.fileno()])
    return Kept(*streams, told)


def main(descriptor: int) -> None:
    """Be the warm process until the other side is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers need not be waited for
    import_module("slotmem_conformance.protocol.driver")
    for module in _WARM:
        import_module(module)
    for operation in protocol.OPERATIONS:
        protocol.request_fault({"op": operation})  # compiles its check
    gc.collect()
    gc.freeze()  # no driver needs to look at all that again when it ends
    with socket.socket(fileno=descriptor) as orders:
        while True:
            order, descriptors, _, _ = socket.recv_fds(orders, 1, _DESCRIPTORS)
            if not order:
                return
            if not os.fork():
                break
            for each in descriptors:
                os.close(each)
    try:
        _keep(*descriptors)
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(0)


def _keep(written: int, folder: int, stdin: int, stdout: int, stderr: int, told: int) -> None:
    """Start a driver, say what its id is, and be its keeper."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    descendants.adopt_orphans(True)
    with open(written, "rb") as file:
        file.seek(0)
        given = json.load(file)
    os.fchdir(folder)
    os.close(folder)
    os.umask(given["umask"])
    streams = (stdin, stdout, stderr)
    if isinstance(given["order"], str):
        pid = os.fork()
        if not pid:
            _drive(given, streams, told)
    else:
        try:
            process = subprocess.Popen(
                given["order"],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                env=given["environment"],
            )
        except OSError as error:
            os.write(told, b"0\n%d\n" % (error.errno or 0))
            return
        pid = process.pid
        os.write(told, b"%d\n" % pid)
    for each in streams:
        os.close(each)
    with socket.socket(fileno=told) as whoever_asked:
        keeper.keep(pid, whoever_asked)


def _drive(given: Any, streams: Sequence[int], told: int) -> NoReturn:
    """Be a bundled driver, with a session and streams of its own."""
    status = 1
    try:
        os.setsid()
        for number, each in enumerate(streams):
            os.dup2(each, number)
            os.close(each)
        os.write(told, b"%d\n" % os.getpid())
        os.close(told)
        sys.path[:] = given["path"]
        os.environ.clear()
        os.environ.update(given["environment"])
        status = import_module("slotmem_conformance.protocol.driver").main(
            [given["order"]], patience_s=given["patience_s"]
        )
    except Exception:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        os._exit(status)  # the rest of Python's shutdown takes longer than all before


if __name__ == "__main__":
    main(int(sys.argv[1]))
