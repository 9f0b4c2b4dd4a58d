"""What may stand at a path of ours: a plain file of this user, and nothing else.

Interface:

- `check_plain(what, info)` refuses anything else that was opened; `alone` also refuses a file with
  a second name.
- `refusal(what, path, error)` says why something could not be opened.

Others may write to the shared memory folder, and perhaps to the folder of an absolute name: what
they planted there is neither read nor written through. Clauses ATTACH-6, RESTORE-4.
"""

from __future__ import annotations

import os
import stat

from slotmem.environment import failure
from slotmem.status import AccessDenied, OtherUser, Planted, SlotmemError


def check_plain(what: str, info: os.stat_result, *, alone: bool = False) -> None:
    """Refuse what is not a plain file of this user's.

    Raises:
        Planted
        OtherUser
    """
    if not stat.S_ISREG(info.st_mode):
        kind = next(word for word, is_kind in _KINDS if is_kind(info.st_mode))
        raise Planted(f"{what} is {kind}, expected a plain file: somebody planted it; remove it")
    if hasattr(os, "geteuid") and info.st_uid != os.geteuid():
        raise OtherUser(
            f"{what} belongs to user {info.st_uid}, but this process is user {os.geteuid()}; run as its owner, or use "
            "another name"
        )
    if alone and info.st_nlink > 1:
        raise Planted(f"{what} has {info.st_nlink} names, expected one: somebody linked another file there; remove it")


def refusal(what: str, path: str, error: OSError) -> SlotmemError:
    """Return the error that says why a path could not be opened, and what to do."""
    try:
        check_plain(what, os.lstat(path))
    except AccessDenied as reason:
        return reason
    except OSError:
        pass  # we may not search the folder either, or it is gone now
    return failure(f"{what} cannot be opened", error, AccessDenied)


_KINDS = (
    ("a symlink", stat.S_ISLNK),
    ("a folder", stat.S_ISDIR),
    ("a FIFO", stat.S_ISFIFO),
    ("a socket or device", bool),
)
