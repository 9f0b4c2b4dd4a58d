"""What an operation of a program must not do: open files, start processes, use a network.

Interface: `with refused(files, below, shown):` raises `BadProgram` where a function of these files
does.
An operation is run many times over, once for each way through it, so that it may touch nothing but
shared words. Python tells of such things with audit events (PEP 578); a hook for them cannot be
removed again, so there is one, which looks only while an operation runs. Whether random numbers
were taken is seen by the state of the module `random`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from slotmem_model.automata.kind import BadProgram

_REFUSED = {
    "open": "opens a file",
    "os.remove": "removes a file",
    "os.rename": "renames a file",
    "os.mkdir": "makes a folder",
    "os.listdir": "lists a folder",
    "os.system": "runs a command",
    "os.fork": "starts a process",
    "os.kill": "sends a signal",
    "subprocess.Popen": "starts a process",
    "socket.__new__": "opens a socket",
    "_thread.start_new_thread": "starts a thread",
    "_thread.start_joinable_thread": "starts a thread",
    "builtins.input": "asks for input",
}
_watched: list[tuple[frozenset[str], str]] = []
_hooked: list[bool] = []


@contextmanager
def refused(files: frozenset[str], below: str, shown: str) -> Iterator[None]:
    """See the header. below: the file of the function that calls operations; shown: what it
    calls.
    """
    if not _hooked:
        sys.addaudithook(_heard)
        _hooked.append(True)
    _watched.append((files, below))
    luck = random.getstate()
    try:
        yield
    finally:
        _watched.pop()
    if random.getstate() != luck:
        raise BadProgram(
            f"{shown} takes random numbers: an operation must do the same each time; give it what luck would decide as an "
            "argument, and a client for each value"
        )


def _heard(event: str, _arguments: object) -> None:
    if not _watched or event not in _REFUSED:
        return
    files, below = _watched[-1]
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != below:
        if frame.f_globals.get("__name__", "").startswith("slotmem_model."):
            return  # the checker's own
        if frame.f_code.co_filename in files:
            raise BadProgram(
                f"{frame.f_code.co_name} {_REFUSED[event]}: an operation may touch nothing but shared words, for it is run "
                "once for each way through it"
            )
        frame = frame.f_back
