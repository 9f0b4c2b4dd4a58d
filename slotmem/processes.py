"""Which process is meant: a number that no other process of this boot ever has.

Interface:

- `ME[0]` is this process's *token*: its id and when it started, in one 64-bit word, so that one
  store is enough and whoever dies leaves it whole. 0 is nobody.
- `process_id(token)` and `started_ticks(token)` take it apart.
- `is_gone(token)` tells whether that process has ended, even if its id was given out again.

A forked child gets a token of its own. Tokens compare only within one boot, one pid namespace and
one time namespace; a segment refuses who comes from another of the first two.
"""

from __future__ import annotations

import os
from contextlib import suppress

_ID_BITS = 22  # Linux gives out no id from 2**22 on


def _token(pid: int, started_ticks: int) -> int:
    return started_ticks << _ID_BITS | pid


def process_id(token: int) -> int:
    """Return the process id of a token."""
    return token & (1 << _ID_BITS) - 1


def started_ticks(token: int) -> int:
    """Return when the process of a token started, in clock ticks since boot."""
    return token >> _ID_BITS


def is_gone(token: int) -> bool:
    """Return whether a process has ended: it does not exist, is a zombie, or another has its id.

    Where /proc does not show a process that exists, it counts as alive.
    """
    pid = process_id(token)
    try:
        state, threads, started = _stat(pid)
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False
    # A zombie with threads left has lost its first thread only.
    return started != started_ticks(token) or (state in "ZX" and threads <= 1)


def _stat(pid: int) -> tuple[str, int, int]:
    """Return state, number of threads and start time of a process, fields 3, 20 and 22 of its stat.

    Raises:
        OSError
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()  # a command may hold spaces and brackets
    return fields[0].decode(), int(fields[17]), int(fields[19])


def _know_myself() -> None:
    ME[0] = 0  # should /proc not answer: better nobody than the parent
    with suppress(OSError):
        ME[0] = _token(os.getpid(), _stat(os.getpid())[2])


ME = [0]
_know_myself()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_know_myself)
