"""What the machine did, told apart from what an implementation did.

Nobody is accused of a full disk.

Interface:

- `Disturbed` says in a line what the machine did, and what to do.
- `explains(error)` gives such a line for an error that the machine is behind, and None for any
  other. Refused permissions are no such reason: an implementation can bring them upon itself.
- `failure(what, error)` is the `SlotmemError` for any error of the system, with what to do;
  `telling(what)` raises it in place of those that come from its block.
- `check_interpreter()` refuses an interpreter on which slotmem was never tried.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from slotmem.status import AccessDenied, NoSpace, OutOfResources, SlotmemError, Unsupported

_REMEDIES: dict[int, tuple[type[SlotmemError], str]] = {
    errno.ENOSPC: (NoSpace, "free some space"),
    errno.EDQUOT: (NoSpace, "free some space"),
    errno.ENOMEM: (OutOfResources, "free some memory, or raise the limit (ulimit -v)"),
    errno.EMFILE: (OutOfResources, "raise the limit of open files (ulimit -n)"),
    errno.ENFILE: (OutOfResources, "end some processes, or raise the limit of open files (sysctl fs.file-max)"),
    errno.EROFS: (AccessDenied, "mount it for writing"),
    errno.EIO: (SlotmemError, "look into the kernel's messages (dmesg)"),
}
_ADVICE: dict[int, tuple[type[SlotmemError], str]] = {
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM), (AccessDenied, "check its permissions, those of its folder, and its file system")
    ),
    **dict.fromkeys(
        (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL),
        (Unsupported, "its file system lacks what slotmem needs; use a folder on a local one"),
    ),
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
            return f"out of memory; {_REMEDIES[errno.ENOMEM][1]}"
        if isinstance(each, OSError) and each.errno in _REMEDIES:
            return f"{_where(each)}{each.strerror}; {_REMEDIES[each.errno][1]}"
        left += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions
    return None


def failure(
    what: str,
    error: OSError | MemoryError,
    otherwise: type[SlotmemError] = SlotmemError,
    advice: str = "check the path and its file system",
    or_else: str = "",
) -> SlotmemError:
    """Return the error that says what could not be done, why, and what to do (or else).

    `otherwise` and `advice` are for errors that tell nothing by themselves.
    """
    number = errno.ENOMEM if isinstance(error, MemoryError) else error.errno or 0
    kind, remedy = _REMEDIES.get(number) or _ADVICE.get(number) or (otherwise, advice)
    said = (isinstance(error, OSError) and error.strerror) or (os.strerror(number) if number else str(error))
    where = _where(error)
    return kind(
        f"{what}: {'' if where.removesuffix(': ') in what else where}{said}; {remedy}{or_else and ', or '}{or_else}"
    )


def check_interpreter() -> None:
    """Refuse an interpreter on which this was never tried.

    Raises:
        Unsupported
    """
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise Unsupported(
            "this Python runs without a global interpreter lock, on which slotmem was never tried; set PYTHON_GIL=1, or "
            "use the ordinary build"
        )


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Raise a `SlotmemError` in place of any error of the system that the block raises."""
    try:
        yield
    except SlotmemError:
        raise
    except (OSError, MemoryError) as error:
        raise failure(what, error) from error


def _where(error: OSError | MemoryError) -> str:
    filename = getattr(error, "filename", None)
    return f"{os.fsdecode(filename)}: " if isinstance(filename, str | bytes) else ""
