"""What the machine did, told apart from what an implementation did.

Nobody is accused of a full disk.

Interface:

- `Disturbed` says in a line what the machine did, and what to do.
- `explains(error)` gives such a line for an error that the machine is behind, and None for any
  other.

Refused permissions are no such reason: an implementation can bring them upon itself.
"""

from __future__ import annotations

import errno
import os

from slotmem.status import SlotmemError

_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.ENOMEM: "free some memory, or raise the limit (ulimit -v)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "end some processes, or raise the limit of open files (sysctl fs.file-max)",
    errno.EROFS: "mount it for writing",
    errno.EIO: "look into the kernel's messages (dmesg)",
}


class Disturbed(SlotmemError):
    """The machine got in the way, so that nothing can be said of what was tried."""


def explains(error: BaseException) -> str | None:
    """Say what the machine did, if an error, or what it came from, tells of that."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Disturbed):
            return str(each)
        if isinstance(each, MemoryError):
            return f"out of memory; {_REMEDIES[errno.ENOMEM]}"
        if isinstance(each, OSError) and each.errno in _REMEDIES:
            where = f"{os.fsdecode(each.filename)}: " if isinstance(each.filename, str | bytes) else ""
            return f"{where}{each.strerror}; {_REMEDIES[each.errno]}"
        left += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions
    return None
