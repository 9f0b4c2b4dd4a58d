"""Child processes, and theirs: they can be ended, whatever they do to get away.

Interface:

- `children()` gives the ids of this process's children, ended ones included that nobody has waited
  for.
- `adopt_orphans(True)` makes this process the parent of all that descends from it and loses its
  own parent; `adopt_orphans(False)` ends that. On Linux only.
- `end_all(spared)` ends all children and, after `adopt_orphans(True)`, all that descends from them:
  in sessions of their own, stopped, deaf to SIGTERM, or started meanwhile. Only children in
  `spared` are left, and those of another user, which this one may not kill.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Set
from contextlib import suppress

_PR_SET_CHILD_SUBREAPER = 36
_PAUSE_S = 0.001


def children() -> frozenset[int]:
    """Return the ids of the processes whose parent this one is."""
    found: list[bytes] = []
    try:
        for task in os.listdir("/proc/self/task"):
            with suppress(ProcessLookupError), open(f"/proc/self/task/{task}/children", "rb") as file:
                found += file.read().split()
    except FileNotFoundError:  # a thread that has ended, or a kernel without these files
        return frozenset(int(name) for name in _listed("/proc") if name.isdigit() and _parent(name) == os.getpid())
    return frozenset(map(int, found))


def adopt_orphans(do: bool) -> None:
    """See the header."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(do), 0, 0, 0)


def end_all(spared: Set[int] = frozenset()) -> None:
    """End all children but `spared`, and what descends from them; wait for each. See the header."""
    left = set(spared)
    while True:
        found = children() - left
        left |= {pid for pid in found if not _kill(pid)}
        if ours := found - left:
            # None is waited for alone: what its own child traces ends only after that child.
            reaped = [_is_reaped(pid) for pid in ours]
            if not any(reaped):
                time.sleep(_PAUSE_S)
        elif left or _is_last():
            return


def _kill(pid: int) -> bool:
    """Kill a child, and its group if that is none of ours: all at once, however fast they fork.
    Return whether that was allowed.
    """
    try:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            if os.getsid(pid) != os.getsid(0):
                os.killpg(os.getpgid(pid), signal.SIGKILL)
    except PermissionError:
        return False
    return True


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # somebody else here has waited for it
        return True


def _is_last() -> bool:
    """Return whether no child is left; the list of children may miss some while others end."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0
