"""Ctrl-C, SIGTERM and SIGHUP at the wrong moment: while a child is started, or during cleanup.

Interface:

- `with without_interrupts():` holds them back until the end of the block.
- `with starting_a_child():` does too, and a child started inside inherits the blocked signals.
- `with stops_blocked():` blocks them, and `stop_if_asked()` looks whether one has come, for who
  wants to be interrupted nowhere else.
- `heeded()` gives those of them that this process does not ignore.
- `end(process)` kills a child and waits for its end, uninterrupted.
- `die_with_parent()`, called by a child, leaves them to its parent and lets it die with it.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


class _Held:
    """A signal handler that notes what came last."""

    came = 0

    def __call__(self, number: int, *_: object) -> None:
        self.came = number


def heeded() -> list[signal.Signals]:
    """Return those that are not ignored, as Ctrl-C is in a shell's background job, and SIGHUP after
    `nohup`.
    """
    return [number for number in INTERRUPTS if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C, SIGTERM and SIGHUP back until the end of the block.

    Outside the main thread this does nothing: Python handles signals in the main thread only. Nor
    does it inside another such block, which holds them back already.

    Blocking them is not enough. Any thread that does not block them, such as one started by a
    library, would receive the signal, and Python would then interrupt the main thread after all.

    Raises:
        KeyboardInterrupt: at the end, if one of them arrived meanwhile.
    """
    is_main = threading.current_thread() is threading.main_thread()
    wanted = heeded()
    if not is_main or any(isinstance(signal.getsignal(number), _Held) for number in wanted):
        yield
        return
    held = _Held()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    handlers = [(number, signal.signal(number, held)) for number in wanted]
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # a signal that was pending reaches our handler here
        for number, handler in reversed(handlers):
            signal.signal(number, handler)
    if held.came and callable(signal.getsignal(held.came)):
        signal.raise_signal(held.came)  # whoever handles it may want to know which one it was
    if held.came:
        raise KeyboardInterrupt


@contextmanager
def starting_a_child() -> Iterator[None]:
    """Hold them back; a child started meanwhile begins with them blocked.

    Raises:
        KeyboardInterrupt: at the end, if one arrived; the child has been started by then.
    """
    resource_tracker.ensure_running()  # else the first child's start launches it and unblocks Ctrl-C
    with without_interrupts():
        yield


def stop_if_asked() -> None:
    """Look whether Ctrl-C, SIGTERM or SIGHUP has come, while they are blocked.

    Raises:
        KeyboardInterrupt: for Ctrl-C.
        SystemExit: for the others, with the exit code that a shell gives.
    """
    if stopped := signal.sigtimedwait(heeded(), 0):
        raise KeyboardInterrupt if stopped.si_signo == signal.SIGINT else SystemExit(128 + stopped.si_signo)


@contextmanager
def stops_blocked() -> Iterator[None]:
    """Block them until the end of the block, in child processes started meanwhile too."""
    resource_tracker.ensure_running()  # its start would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, heeded())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end(process: BaseProcess) -> None:
    """Kill a child and wait for its end; its object is of no use afterwards.

    An interrupt in the midst of the wait could lose the fact that the child has ended.
    """
    with without_interrupts():
        process.kill()
        process.join()
        process.close()


def die_with_parent() -> None:
    """Leave these signals, which may come to the whole group, to the parent, who ends us; on
    Linux, die when it dies, however it dies.
    """
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
