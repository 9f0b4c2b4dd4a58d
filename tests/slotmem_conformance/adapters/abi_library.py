"""A shared library behind `slotmem_abi.h`: its functions with their types, and its statuses.

Interface:

- `Library(path)` loads one; `library.grab` and so on are its functions under their names without
  the prefix.
- `refusal(code, call, invalid)` gives the exception that carries a status; `checked(code, call)`
  raises it.
- `OtherStatus` carries a status that `slotmem.Status` does not name.

Nothing here calls a slot operation: that is `slotmem_conformance.adapters.abi`.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any, NamedTuple

from slotmem import status
from slotmem.status import InvalidArgument, SlotmemError, Unsupported

ABI_VERSION = "1"
CAPABILITIES = frozenset(("shared", "persist"))
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


# The system's errors that APR has a name for and slotmem has none.
_APR_ERRNO = ("ENOMEM", "ENAMETOOLONG", "ENOTDIR", "EMFILE", "ENFILE", "EBADF", "EAGAIN", "EINTR", "EPIPE", "ERANGE")
_APR_NAMES = {getattr(errno, name): f"APR_{name}" for name in _APR_ERRNO} | {
    20022: "APR_EINCOMPLETE",
    20024: "APR_EBADPATH",
    70008: "APR_INCOMPLETE",
    70012: "APR_BADARG",
    70014: "APR_EOF",
}


class OtherCode(int):
    """A status code that `slotmem.Status` does not have."""

    @property
    def name(self) -> str:
        """APR's name of the code, or ERRNO_ and the number, as in the driver protocol."""
        return _APR_NAMES.get(self, f"ERRNO_{int(self)}")


class OtherStatus(SlotmemError):
    """A library answered with a status that slotmem itself never gives."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.status = OtherCode(code)  # type: ignore[misc, assignment]  # only its name is used


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


class Identity(NamedTuple):
    """What a library says of itself in slotmem_abi_hello."""

    implementation: str
    version: str
    capabilities: frozenset[str]


class Library:
    """A loaded library, its functions under their names without the prefix.

    Raises:
        Unsupported: if it cannot be loaded, lacks a function, or speaks another version of the ABI.
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

    def identify(self) -> Identity:
        """Return what the library says it is.

        Raises:
            Unsupported: if it speaks another version of the ABI.
        """
        answer = (self.hello() or b"").decode(errors="replace")
        version, *words = answer.split(" ")
        if len(words) < 2 or version != ABI_VERSION or not set(words[2:]) <= CAPABILITIES:
            raise Unsupported(
                f"the library {self.path} answers slotmem_abi_hello with {answer!r}; expected '{ABI_VERSION} NAME VERSION' "
                f"and any of {', '.join(sorted(CAPABILITIES))}"
            )
        return Identity(words[0], words[1], frozenset(words[2:]))


def checked(code: int, call: str) -> None:
    """Raise what a status stands for, unless it is success."""
    if code:
        raise refusal(code, call, InvalidArgument)


def refusal(code: int, call: str, invalid: type[SlotmemError]) -> SlotmemError:
    """Return the exception that carries a status; `invalid` is the one for APR_EINVAL."""
    if code == status.Status.APR_EINVAL:
        return invalid(f"{call} answered APR_EINVAL")
    kind = _EXCEPTIONS.get(code)
    if kind is None:
        return OtherStatus(f"{call} answered {code} ({OtherCode(code).name})", code)
    return kind(f"{call} answered {kind.status.name}")
