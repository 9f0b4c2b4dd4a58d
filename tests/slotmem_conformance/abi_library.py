"""A shared library that exports the functions of `slotmem_abi.h`: its functions with their types, its statuses.

Interface:

- `Library(path)` loads one; `library.grab` and so on are its functions under their names without the prefix.
- `refusal(code, call, invalid)` gives the exception that carries a status; `checked(code, call)` raises it.
- `UnknownStatus` carries a status that `slotmem.Status` does not name.

Nothing here calls a slot operation: that is `slotmem_conformance.abi`.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from slotmem import status
from slotmem.status import InvalidArgument, SlotmemError, Unsupported

ABI_VERSION = "1"
_PREFIX = "slotmem_abi_"
callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_segment, _id, _size = ctypes.c_void_p, ctypes.c_uint, ctypes.c_size_t
_out = ctypes.c_void_p  # byref() of the caller's variable
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "hello": (ctypes.c_char_p, ()),
    "open": (ctypes.c_int, (ctypes.c_char_p, ctypes.c_uint)),
    "restart": (ctypes.c_int, ()),
    "close": (ctypes.c_int, ()),
    "create": (ctypes.c_int, (_out, ctypes.c_char_p, _size, ctypes.c_uint, ctypes.c_uint)),
    "attach": (ctypes.c_int, (_out, ctypes.c_char_p, _out, _out)),
    "dptr": (ctypes.c_int, (_segment, _id, _out)),
    "get": (ctypes.c_int, (_segment, _id, ctypes.c_void_p, _size)),
    "put": (ctypes.c_int, (_segment, _id, ctypes.c_char_p, _size)),
    "num_slots": (ctypes.c_uint, (_segment,)),
    "num_free_slots": (ctypes.c_uint, (_segment,)),
    "slot_size": (_size, (_segment,)),
    "grab": (ctypes.c_int, (_segment, _out)),
    "fgrab": (ctypes.c_int, (_segment, _id)),
    "release": (ctypes.c_int, (_segment, _id)),
    "doall": (ctypes.c_int, (_segment, callback_type, ctypes.c_void_p)),
}


class UnknownStatus(SlotmemError):
    """A status that `slotmem.Status` does not name; `code` has it."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


# The general exception of each status; a call may name a more telling one for APR_EINVAL.
_EXCEPTIONS: dict[int, type[SlotmemError]] = {
    int(kind.status): kind
    for kind in (
        status.NoSegment,
        status.AccessDenied,
        status.SegmentExists,
        status.InvalidArgument,
        status.NoSpace,
        status.SlotmemError,
        status.NoSharedMemory,
        status.LockTimeout,
        status.NotInUse,
        status.Mismatch,
        status.Reentered,
    )
}


class Library:
    """A loaded library, its functions under their names without the prefix.

    Raises: Unsupported: if it cannot be loaded, lacks a function, or speaks another version of the ABI.
    """

    hello: Any
    open: Any
    restart: Any
    close: Any
    create: Any
    attach: Any
    dptr: Any
    get: Any
    put: Any
    num_slots: Any
    num_free_slots: Any
    slot_size: Any
    grab: Any
    fgrab: Any
    release: Any
    doall: Any

    def __init__(self, path: str | os.PathLike[str], mode: int = ctypes.DEFAULT_MODE) -> None:
        self.path = os.fspath(path)
        try:
            self.loaded = ctypes.CDLL(self.path, mode)
        except OSError as error:
            raise Unsupported(f"the library {self.path} cannot be loaded: {error}") from None
        missing = []
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self.loaded, _PREFIX + name, None)
            if function is None:
                missing.append(_PREFIX + name)
                continue
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        if missing:
            raise Unsupported(f"the library {self.path} lacks {', '.join(missing)}; see slotmem_abi.h")
        self.identify()

    def identify(self) -> tuple[str, str]:
        """Give the implementation's name and version. Raises: Unsupported: if it speaks another version of the ABI."""
        words = (self.hello() or b"").decode(errors="replace").split(" ", 2)
        if len(words) != 3 or words[0] != ABI_VERSION:
            raise Unsupported(
                f"the library {self.path} answers slotmem_abi_hello with {' '.join(words)!r}; "
                f"expected '{ABI_VERSION} NAME VERSION'"
            )
        return words[1], words[2]


def checked(code: int, call: str) -> None:
    """Raise what a status stands for, unless it is success."""
    if code:
        raise refusal(code, call, InvalidArgument)


def refusal(code: int, call: str, invalid: type[SlotmemError]) -> SlotmemError:
    """Give the exception that carries a status; `invalid` is the one for APR_EINVAL."""
    if code == status.Status.APR_EINVAL:
        return invalid(f"{call} answered APR_EINVAL")
    kind = _EXCEPTIONS.get(code)
    if kind is None:
        meaning = os.strerror(code) if 0 < code < 200 else "no status that slotmem knows"
        return UnknownStatus(f"{call} answered {code} ({meaning})", code)
    return kind(f"{call} answered {kind.status.name}")
