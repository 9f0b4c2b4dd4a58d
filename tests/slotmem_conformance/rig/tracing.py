"""What a driver asks of the system while it stores, by strace: was the file on disk in time?

Interface:

- `command(trace)` gives the command that runs another under strace and writes its trace to a file;
  [] without strace.
- `calls(trace)` reads the trace; `not_on_disk(calls, file, object)` gives a `Finding` for STORE-5.

Only calls are seen: bytes written through a mapping are not, and a call that succeeded is believed
to have done its work.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_WRITES = (
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "sendfile",
    "copy_file_range",
    "ftruncate",
    "fallocate",
)
_NAMES = ("rename", "renameat", "renameat2", "link", "linkat")
_OPENS = ("open", "openat", "creat")
_SYNCS = ("fsync", "fdatasync")
_SYNCS_ALL = ("sync", "syncfs")
_ENDS = ("unlink", "unlinkat")
_SHOWN = 12


class Call(NamedTuple):
    """One system call that succeeded."""

    name: str
    arguments: str
    text: str

    @property
    def paths(self) -> list[str]:
        """The paths in it: of its descriptors, and those it names."""
        return re.findall(r'[<"](/[^">]*)[">]', self.arguments)


class Finding(NamedTuple):
    """`wrong`: what was not as it must be, with the calls that show it; `unknown`: why nothing can
    be said.
    """

    wrong: str = ""
    unknown: str = ""
    shown: Sequence[str] = ()


def command(trace: Path) -> list[str]:
    """Return what to put before a command to trace it and its children."""
    strace = shutil.which("strace")
    watched = ",".join(f"?{name}" for name in (*_WRITES, *_NAMES, *_OPENS, *_SYNCS, *_SYNCS_ALL, *_ENDS))
    options = ["-f", "-qq", "-y", "-s", "0", "-e", f"trace={watched}", "-e", "signal=none", "-o", str(trace)]
    return [strace, *options, "--"] if strace else []


def calls(trace: Path) -> list[Call]:
    """Read a trace; calls that failed are left out, and those that another thread's call
    interrupted are put together.
    """
    found = []
    begun: dict[str, str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        task, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[task] = text.removesuffix("<unfinished ...>")
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", text):
            text = begun.pop(task, "") + resumed[1]
        if (whole := re.match(r"(\w+)\((.*)\)\s+= (-?\d+)", text)) and int(whole[3]) >= 0:
            found.append(Call(whole[1], whole[2], text))
    return found


def not_on_disk(found: Sequence[Call], file: Path, object: Path) -> Finding:
    """Check whether the bytes of the file and its name were synced before the object was unlinked,
    or the trace ended.
    """
    name, folder = str(file), str(file.parent)
    ended = next((at for at, each in enumerate(found) if each.name in _ENDS and str(object) in each.paths), len(found))
    stored = found[:ended]
    shown = [each.text for each in found if any(path.startswith((folder, str(object))) for path in each.paths)]
    names = [at for at, each in enumerate(stored) if _names(each, name)]
    writes = [at for at, each in enumerate(stored) if each.name in _WRITES and each.paths[:1] and _in(each, folder)]
    if not writes or not names:
        return Finding(unknown="strace saw no write to the file, or none before the segment was destroyed", shown=shown)
    if not any(_syncs(each, stored[writes[-1]].paths[0]) for each in stored[writes[-1] + 1 :]):
        return Finding("no fsync between the last write to the file and the end of its segment", shown=shown[-_SHOWN:])
    if not any(_syncs(each, folder) for each in stored[names[-1] + 1 :]):
        return Finding(
            "no fsync of the folder between the naming of the file and the end of its segment", "", shown[-_SHOWN:]
        )
    return Finding(shown=shown[-_SHOWN:])


def _names(call: Call, name: str) -> bool:
    """Return whether a call gives the file its name."""
    if call.name in _NAMES:
        return call.paths[-1:] == [name] or name in call.paths[1:]
    return call.name in _OPENS and name in call.paths and ("O_CREAT" in call.arguments or call.name == "creat")


def _in(call: Call, folder: str) -> bool:
    return call.paths[0].startswith(folder + "/")


def _syncs(call: Call, path: str) -> bool:
    return call.name in _SYNCS_ALL or (call.name in _SYNCS and call.paths[:1] == [path])
