"""Checks of the arguments that providers take, the same for every provider."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Any

from slotmem.bounds import checked_integer
from slotmem.environment import failure
from slotmem.interface import Type
from slotmem.memory.layout import MAX_BYTES, MAX_ITEM_NUM, is_representable
from slotmem.status import AccessDenied, InvalidArgument, InvalidName, InvalidSize, WrongType

RUNTIME_DIR_VARIABLE = "SLOTMEM_RUNTIME_DIR"
_CHOOSE = f"choose another with runtime_dir or ${RUNTIME_DIR_VARIABLE}"


def checked_shape(item_size: Any, item_num: Any, type: Any) -> tuple[int, int, Type]:
    """Return item_size, item_num and type in plain types.

    Raises:
        WrongType
        InvalidSize
        InvalidArgument
    """
    item_size = checked_integer(item_size, "item_size")
    item_num = checked_integer(item_num, "item_num")
    flags = checked_integer(type, "type")
    if item_size < 0 or item_num < 0:
        raise InvalidSize(f"item_size and item_num cannot be negative, got {item_size} and {item_num}")
    if item_num > MAX_ITEM_NUM:
        raise InvalidSize(f"item_num {item_num} is too large: httpd's counters hold {MAX_ITEM_NUM} at most")
    if not is_representable(item_size, item_num):
        raise InvalidSize(
            f"{item_num} slots of {item_size} bytes take more than {MAX_BYTES} bytes, the most that an offset can address; ask for fewer"
        )
    known = int(Type.PERSIST | Type.NOTMPSAFE | Type.PREGRAB | Type.CLEARINUSE)
    if flags & ~known:
        raise InvalidArgument(f"type {flags:#x} has unknown flags: {flags & ~known:#x}; use slotmem.Type")
    return item_size, item_num, Type(flags)


def checked_generation(generation: Any) -> int:
    """Return the generation as an int.

    Raises:
        WrongType
        InvalidArgument
    """
    number = checked_integer(generation, "the generation")
    if not 0 <= number < 2**31:
        raise InvalidArgument(f"the generation must be from 0 to {2**31 - 1}, as in httpd; got {number}")
    return number


def checked_timeout(timeout_s: Any) -> float | None:
    """Return the longest wait in seconds, None for no bound.

    Raises:
        WrongType
        InvalidArgument
    """
    if timeout_s is None:
        return None
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float):
        raise WrongType(f"timeout_s must be a number of seconds or None, got {timeout_s!r}")
    if not 0 <= timeout_s < 1e9:
        raise InvalidArgument(f"timeout_s must be 0 or more seconds (None waits for ever), got {timeout_s}")
    return float(timeout_s)


def checked_runtime_dir(runtime_dir: Any) -> str:
    """Return the runtime directory as an absolute path; it is made (0700) if it does not exist.

    Default: $SLOTMEM_RUNTIME_DIR, else a private folder of this user.

    Raises:
        WrongType
        InvalidName
        AccessDenied
    """
    path = _named_runtime_dir(runtime_dir)
    if path is None:
        return _private_folder()
    _make_folder(path)
    return path


def runtime_dir_path(runtime_dir: Any) -> str:
    """Return the absolute path of the runtime directory, whether it exists or not; nothing is made.

    Raises:
        WrongType
        InvalidName
    """
    return _named_runtime_dir(runtime_dir) or _private_path()


def _named_runtime_dir(runtime_dir: Any) -> str | None:
    """Return the runtime directory that the caller or the environment names, as an absolute path;
    None if neither does.
    """
    given = runtime_dir if runtime_dir is not None else os.environ.get(RUNTIME_DIR_VARIABLE) or None
    if given is None:
        return None
    try:
        path = os.path.abspath(os.fsdecode(given))
        os.fsencode(path)
    except TypeError:
        raise WrongType(f"runtime_dir must be a path, got {given!r}") from None
    except UnicodeEncodeError:
        raise InvalidName(
            f"runtime_dir {given!r} cannot be encoded as a file name on this system; use other characters"
        ) from None
    except OSError as error:
        raise InvalidName(
            f"runtime_dir {given!r} is relative, but the current folder is gone ({error.strerror}); give an absolute one"
        ) from None
    if "\0" in path:
        raise InvalidName(f"runtime_dir {path!r} contains a NUL byte; leave it out")
    return path


def _private_path() -> str:
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    if os.path.isabs(state):
        return os.path.join(state, "slotmem")
    user = os.geteuid() if hasattr(os, "geteuid") else 0  # a daemon's environment, without a home
    return os.path.join(os.environ.get("TMPDIR") or "/tmp", f"slotmem-{user}")


def _private_folder() -> str:
    """Return this user's own folder, which nobody else may write to; make it if need be."""
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    path = _private_path()
    _make_folder(path)
    info = os.lstat(path)
    if hasattr(os, "geteuid") and (not stat.S_ISDIR(info.st_mode) or info.st_uid != user or info.st_mode & 0o077):
        raise AccessDenied(
            f"the default runtime directory {path} must be a folder of user {user} with mode 0700, but it belongs to user "
            f"{info.st_uid} with mode {stat.S_IMODE(info.st_mode):04o}; fix that, or {_CHOOSE}"
        )
    return path


def _make_folder(path: str) -> None:
    missing = []
    folder = path
    while not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    try:
        for folder in reversed(missing):  # os.makedirs would give the mode to the last one only
            with suppress(FileExistsError):  # somebody else is making it too
                os.mkdir(folder, 0o700)
                os.chmod(folder, 0o700)  # whatever the umask
        if not os.path.isdir(path):
            raise FileExistsError(path)
    except FileExistsError:
        raise InvalidName(f"the runtime directory {path} is not a folder; {_CHOOSE}") from None
    except OSError as error:
        raise failure(f"the runtime directory {path} cannot be made", error, or_else=_CHOOSE) from error
