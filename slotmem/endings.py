"""When a process ends: what must happen before, so that what is persistent gets stored.

Python runs `atexit` functions when the interpreter ends by itself. A worker of `multiprocessing`
ends with `os._exit`, and has a list of its own; SIGTERM ends a process at once, unless somebody
handles it.
"""

from __future__ import annotations

import atexit
import signal
import sys
import threading
from collections.abc import Callable

from slotmem.status import InvalidArgument


def at_exit(close: Callable[[], None]) -> None:
    """Call a function when this process ends by itself, also if it is one of multiprocessing's."""
    atexit.register(close)
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, close, exitpriority=0)


def exit_on_sigterm() -> None:
    """Let SIGTERM end this process as `sys.exit(143)` does; a second one is ignored meanwhile.

    Raises:
        InvalidArgument: if this is not the main thread, or somebody handles SIGTERM already.
    """
    if threading.current_thread() is not threading.main_thread():
        raise InvalidArgument("store_on_sigterm needs the main thread: Python lets no other handle signals")
    present = signal.getsignal(signal.SIGTERM)
    if present is _exit:
        return
    if present is not signal.SIG_DFL:
        raise InvalidArgument(
            f"store_on_sigterm cannot be had: SIGTERM is handled by {present!r} already; call provider.close() there"
        )
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)
