"""The provider `abi:LIBRARY.so`: a shared library that exports the functions of `slotmem_abi.h`, called through ctypes.

Interface:

- `Library` loads one and gives its functions their types.
- `AbiProvider` and `AbiInstance` are `slotmem.interface`'s provider and instance over it, as far as the protocol needs
  them: everything but `view`, `type`, `restored` and `slots`.
- Arguments reach the library as they are, wrong ones too. Only what C cannot say is refused here: an id that no
  unsigned int holds, a length or size that no size_t holds, a name with a NUL byte.
- A status is raised as the exception of `slotmem.status` that carries it, an unknown one as `UnknownStatus`.

The library shares our address space: if it crashes, so do we. Therefore the suite uses it in driver processes only.
A pointer from `dptr` dies at restart and close. An instance has no end of its own, as in httpd: `close` lets go of it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Self

from slotmem import status
from slotmem.arguments import checked_generation, checked_runtime_dir
from slotmem.interface import Type
from slotmem.status import Closed, InvalidArgument, InvalidName, SlotmemError, Unsupported

ABI_VERSION = "1"
_PREFIX = "slotmem_abi_"
_UNSIGNED_MAX = 2 ** (8 * ctypes.sizeof(ctypes.c_uint)) - 1
_SIZE_MAX = 2 ** (8 * ctypes.sizeof(ctypes.c_size_t)) - 1

_callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
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
    "doall": (ctypes.c_int, (_segment, _callback, ctypes.c_void_p)),
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


class AbiProvider:
    """One server lifetime in a library; see `slotmem.interface.Provider`.

    Raises: SlotmemError: if the library will not open, for instance because it is open already.
    """

    def __init__(
        self, library: Library, *, runtime_dir: str | os.PathLike[str] | None = None, generation: int = 0
    ) -> None:
        self.runtime_dir = checked_runtime_dir(runtime_dir)
        self._generation = checked_generation(generation)
        self._library = library
        self.implementation, self.version = library.identify()
        self._instances: dict[int, AbiInstance] = {}  # by handle
        self._closed = False
        checked(library.open(os.fsencode(self.runtime_dir), self._generation), "open")

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> Self:
        """Make the provider of `abi:LIBRARY.so`."""
        if not argument:
            raise InvalidArgument("abi needs the path of a shared library behind a colon, as in abi:./libmine.so")
        # Without a slash the loader would look for it in the system's folders only.
        return cls(Library(Path(argument).absolute()), **options)

    @property
    def generation(self) -> int:
        """How often this server was restarted, counted from the generation it was given."""
        return self._generation

    def create(self, name: str | None, item_size: int, item_num: int, type: Type = Type(0)) -> AbiInstance:
        """Make a segment; see `slotmem.interface.Provider.create`."""
        self._check_open()
        _check(0 <= item_size <= _SIZE_MAX and 0 <= item_num <= _UNSIGNED_MAX, f"{item_num} slots of {item_size} bytes")
        handle = ctypes.c_void_p()
        found = self._library.create(ctypes.byref(handle), _encoded(name), item_size, item_num, int(type))
        checked(found, "create")
        return self._instance(handle, name)

    def attach(self, name: str | None) -> AbiInstance:
        """Attach to an existing segment; see `slotmem.interface.Provider.attach`."""
        self._check_open()
        handle, item_size, item_num = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_uint()
        found = self._library.attach(
            ctypes.byref(handle), _encoded(name), ctypes.byref(item_size), ctypes.byref(item_num)
        )
        checked(found, "attach")
        instance = self._instance(handle, name)
        instance.attached = (item_size.value, item_num.value)
        return instance

    def restart(self) -> None:
        """Store what is persistent, destroy every segment created here, and begin the next generation."""
        self._check_open()
        self._let_go()
        checked(self._library.restart(), "restart")
        self._generation += 1

    def close(self) -> None:
        """Store what is persistent, destroy every segment created here, and end. Idempotent."""
        if not self._closed:
            self._closed = True
            self._let_go()
            checked(self._library.close(), "close")

    def _instance(self, handle: ctypes.c_void_p, name: str | None) -> AbiInstance:
        if not handle.value:
            raise UnknownStatus("the library reported success and gave no segment", 0)
        instance = self._instances.get(handle.value)
        if instance is None or instance.closed:
            instance = self._instances[handle.value] = AbiInstance(self._library, handle.value, name or "none")
        return instance

    def _let_go(self) -> None:
        for instance in self._instances.values():
            instance.close()
        self._instances.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(f"the provider of {self._library.path} is closed; make a new one")

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AbiInstance:
    """One segment of a library; see `slotmem.interface.Instance`."""

    attached: tuple[int, int] | None = None
    """The item_size and item_num that attach reported, which a wrong library may contradict later."""

    def __init__(self, library: Library, segment: int, name: str) -> None:
        self._library = library
        self._segment = segment  # deleted by close: then __getattr__ answers, and an open segment costs no check
        self.name = name

    @property
    def closed(self) -> bool:
        """Whether the instance, or its provider's generation, has ended."""
        return "_segment" not in self.__dict__

    def grab(self) -> int:
        """Take the lowest free slot (GRAB-1)."""
        item_id = ctypes.c_uint()
        if code := self._library.grab(self._segment, ctypes.byref(item_id)):
            raise refusal(code, "grab", status.NoFreeSlot)
        return item_id.value

    def fgrab(self, item_id: int) -> None:
        """Mark this very slot in use (FGRAB-1)."""
        _check(0 <= item_id <= _UNSIGNED_MAX, f"slot {item_id}")
        if code := self._library.fgrab(self._segment, item_id):
            raise refusal(code, "fgrab", status.SlotOutOfRange)

    def release(self, item_id: int) -> None:
        """Mark the slot free (RELEASE-1)."""
        _check(0 <= item_id <= _UNSIGNED_MAX, f"slot {item_id}")
        if code := self._library.release(self._segment, item_id):
            raise refusal(code, "release", status.SlotOutOfRange)

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Copy nbytes (default: slot_size()) out of the slot (GET-1)."""
        _check(0 <= item_id <= _UNSIGNED_MAX, f"slot {item_id}")
        if nbytes is None:
            copy = self._slot_type()
        else:
            _check(0 <= nbytes <= _SIZE_MAX, f"{nbytes} bytes")
            copy = (ctypes.c_char * nbytes)()
        if code := self._library.get(self._segment, item_id, copy, len(copy)):
            raise refusal(code, "get", status.InvalidArgument)
        answer: bytes = copy.raw
        return answer

    def put(self, item_id: int, data: Any) -> None:
        """Copy bytes to the beginning of the slot (PUT-1)."""
        _check(0 <= item_id <= _UNSIGNED_MAX, f"slot {item_id}")
        source = bytes(data)
        if code := self._library.put(self._segment, item_id, source, len(source)):
            raise refusal(code, "put", status.InvalidArgument)

    def dptr(self, item_id: int) -> memoryview:
        """Give the slot's own memory (DPTR-1); touch it no more after restart or close."""
        _check(0 <= item_id <= _UNSIGNED_MAX, f"slot {item_id}")
        place = ctypes.c_void_p()
        if code := self._library.dptr(self._segment, item_id, ctypes.byref(place)):
            raise refusal(code, "dptr", status.SlotOutOfRange)
        return self._view(place.value)

    def doall(self, func: Callable[[memoryview, Any], int | None], data: Any = None) -> int:
        """Call func on the slots in turn (DOALL-1); an exception stops the walk and is raised here."""
        raised: list[BaseException] = []

        def call(place: int | None, _: object) -> int:
            try:
                return func(self._view(place), data) or 0
            except BaseException as error:  # it cannot pass through C
                raised.append(error)
                return int(status.Status.APR_EGENERAL)

        answer: int = self._library.doall(self._segment, _callback(call), None)
        if raised:
            raise raised[0]
        return answer

    def num_slots(self) -> int:
        """Give item_num (COUNT-1)."""
        answer: int = self._library.num_slots(self._segment)
        return answer

    def num_free_slots(self) -> int:
        """Give the number of slots not in use (COUNT-2)."""
        answer: int = self._library.num_free_slots(self._segment)
        return answer

    def slot_size(self) -> int:
        """Give item_size (COUNT-1)."""
        answer: int = self._library.slot_size(self._segment)
        return answer

    def close(self) -> None:
        """Let go of the segment, which lives to the end of the generation. Idempotent."""
        self.__dict__.pop("_segment", None)

    @cached_property
    def _slot_type(self) -> Any:
        return ctypes.c_char * self.slot_size()

    def _view(self, place: int | None) -> memoryview:
        if not place:
            raise UnknownStatus("the library reported success and gave no memory", 0)
        return memoryview(self._slot_type.from_address(place)).cast("B")

    def __getattr__(self, name: str) -> NoReturn:
        if name == "_segment":
            raise Closed(f"segment {self.name!r} was closed here, or its provider was closed or restarted")
        raise AttributeError(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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


def _check(fits: bool, what: str) -> None:
    if not fits:
        raise InvalidArgument(f"{what} cannot be said in C")


def _encoded(name: str | None) -> bytes | None:
    if name is None:
        return None
    encoded = os.fsencode(name)
    if b"\0" in encoded:
        raise InvalidName(f"the name {name!r} contains a NUL byte, which C cannot say")
    return encoded
