"""Which lines of the files to be mutated run, in this process and in those that it starts.

Interface: `start(folder)` notes them in a file there from here on, a new one each time; `noted()`
gives them. A process that is started meanwhile does the same by itself: `SITE` is the text of a
`sitecustomize.py` that makes it do so.

Each line is written when it first runs, since a process that is killed has no time for it later.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from slotmem_conformance.mutation.mutants import TARGETS

VARIABLE = "SLOTMEM_MUTATION_LINES"
SITE = f"""
import os

if {VARIABLE!r} in os.environ:
    from slotmem_conformance.mutation import lines

    lines.join()
"""
_HERE = Path(__file__).parents[2]
_WATCHED = {str(_HERE / target): target for target in TARGETS}
_seen: set[tuple[str, int]] = set()
_file = -1


def start(folder: str) -> None:
    """Note what runs in a new file from here on, and let child processes note it there too."""
    file, os.environ[VARIABLE] = tempfile.mkstemp(dir=folder, suffix=".lines")
    os.close(file)
    join()


def join() -> None:
    """Note what runs in the file that the environment names."""
    global _file
    if _file >= 0:
        os.close(_file)
    _file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    _seen.clear()
    sys.settrace(_called)
    threading.settrace(_called)


def noted() -> list[tuple[str, int]]:
    """Return file and number of each line that was noted since the start; none without one."""
    if VARIABLE not in os.environ:
        return []
    found = set(Path(os.environ[VARIABLE]).read_text(encoding="utf-8").splitlines())
    return [(target, int(number)) for target, _, number in (line.rpartition(":") for line in sorted(found))]


def _called(frame: FrameType, event: str, argument: Any) -> Any:
    return _ran if frame.f_code.co_filename in _WATCHED else None


def _ran(frame: FrameType, event: str, argument: Any) -> Any:
    line = (frame.f_code.co_filename, frame.f_lineno)
    if line not in _seen:
        _seen.add(line)
        with suppress(OSError):  # a case may close files that it does not know
            os.write(_file, f"{_WATCHED[line[0]]}:{line[1]}\n".encode())
    return _ran
