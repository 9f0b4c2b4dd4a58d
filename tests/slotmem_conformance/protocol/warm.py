"""Drivers forked off one warm process: each costs milliseconds instead of a start of Python.

Interface: `start(spec, stderr)` gives the bundled driver of a PROVIDER string as a `Forked`, which
has what a session uses of a `subprocess.Popen`. `python -m slotmem_conformance.protocol.warm FD` is
the warm process.

The warm process has imported what drivers need, and does nothing but fork: whatever an accused
implementation does, it does in its own driver. A *keeper* stands between the two, waits for the
driver, and reports how it ended. The warm process ends when this one does, however that happens.
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
import threading
import traceback
from contextlib import suppress
from importlib import import_module
from typing import IO, Any

from slotmem_conformance.protocol import protocol

_WARM = (
    "importlib.metadata",
    "slotmem_conformance.adapters.abi",
    "slotmem_conformance.adapters.httpd",
    "slotmem_stress.provider.algorithm_provider",
)
_LONGEST_ORDER = 1 << 20
_DESCRIPTORS = 4


class Forked:
    """A driver that was forked off the warm process."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], told: IO[bytes]) -> None:
        self.stdin: IO[bytes] | None = stdin
        self.stdout: IO[bytes] | None = stdout
        self._told = told
        self._status: int | None = None
        self._lock = threading.Lock()  # one thread may kill what another talks with
        self.pid = int(told.readline() or 0)
        if not self.pid:
            raise OSError("the warm process of the drivers ended before it had forked one")

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once it has ended; minus its number for a signal.

        Raises:
            subprocess.TimeoutExpired: if it has not ended within `timeout` seconds.
        """
        with self._lock:
            if self._status is None:
                if not select.select([self._told], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("a driver", timeout or 0.0)
                self._status = os.waitstatus_to_exitcode(int(self._told.readline() or signal.SIGKILL))
                self._told.close()
            return self._status


class _Parent:
    """The warm process, as seen from this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: socket.socket | None = None
        self._pid = 0

    def send(self, order: bytes, descriptors: list[int]) -> None:
        """Have it fork a driver."""
        with self._lock:
            try:
                socket.send_fds(self._running(), [order], descriptors)
            except OSError:  # it was killed, which is not the fault of whoever wants a driver now
                self.end()
                socket.send_fds(self._running(), [order], descriptors)

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
            self._orders.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST_ORDER)
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


def start(spec: str, stderr: IO[bytes]) -> Forked:
    """Fork the driver of a PROVIDER string, with this process's folder, path and environment.

    Raises:
        OSError
    """
    order = {"spec": spec, "folder": os.getcwd(), "path": sys.path, "environment": dict(os.environ)}
    (their_in, stdin), (stdout, their_out), (told, their_told) = (os.pipe() for _ in range(3))
    theirs = [their_in, their_out, stderr.fileno(), their_told]
    ours: list[Any] = [os.fdopen(each, mode, 0) for each, mode in ((stdin, "wb"), (stdout, "rb"), (told, "rb"))]
    try:
        _parent.send(json.dumps(order).encode(), theirs)
    finally:
        for descriptor in (their_in, their_out, their_told):
            os.close(descriptor)
    return Forked(*ours)


def main(descriptor: int) -> None:
    """Be the warm process until the other side is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers need not be waited for
    driver = import_module("slotmem_conformance.protocol.driver")
    for module in _WARM:
        import_module(module)
    for operation in protocol.OPERATIONS:
        protocol.request_fault({"op": operation})  # compiles its check
    gc.collect()
    gc.freeze()  # no driver needs to look at all that again when it ends
    with socket.socket(fileno=descriptor) as orders:
        while True:
            order, descriptors, _, _ = socket.recv_fds(orders, _LONGEST_ORDER, _DESCRIPTORS)
            if not order:
                return
            if not os.fork():
                break
            for each in descriptors:
                os.close(each)
    _keep(descriptors)
    given = json.loads(order)
    os.chdir(given["folder"])
    sys.path[:] = given["path"]
    os.environ.clear()
    os.environ.update(given["environment"])
    status = 1
    try:
        status = driver.main([given["spec"]])
    except Exception:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        os._exit(status)  # the rest of Python's shutdown takes longer than all before


def _keep(descriptors: list[int]) -> None:
    """Fork once more, and return only in the driver, which has a session and streams of its own by
    then.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, told = descriptors
    pid = os.fork()
    if pid:
        for each in streams:
            os.close(each)
        with suppress(BrokenPipeError):  # nobody wants to know
            os.write(told, b"%d\n" % os.waitpid(pid, 0)[1])
        os._exit(0)
    os.setsid()
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    os.write(told, b"%d\n" % os.getpid())
    os.close(told)


if __name__ == "__main__":
    main(int(sys.argv[1]))
