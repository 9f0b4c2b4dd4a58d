"""The provider `abi:LIBRARY.so`: a shared library behind `slotmem_abi.h`, called through ctypes.

Interface:

- `AbiProvider` and `AbiInstance` are `slotmem.interface`'s provider and instance over it, as far as
  the protocol needs them: everything but `view`, `type`, `restored` and `slots`.
- Arguments reach the library as they are, wrong ones too. Only what C cannot express is refused
  here: an id that no int and no unsigned int holds, a length or size that no size_t holds, a name
  with a NUL byte.
- A status is raised as the exception that carries it; see
  `slotmem_conformance.adapters.abi_library`.

The library shares our address space: if it crashes, so do we. Therefore the suite uses it in driver
processes only. A pointer from `dptr` dies at restart and close. As in httpd, an instance has no end
of its own: `close` only drops it.
"""

from __future__ import annotations

import atexit
import ctypes
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Self

from slotmem import status
from slotmem.arguments import checked_generation, checked_runtime_dir
from slotmem.interface import Type
from slotmem.status import Closed, InvalidArgument, InvalidName
from slotmem_conformance.adapters.abi_library import Library, OtherStatus, callback_type, checked, refusal

# An id may be a negative int too: C converts it, and the library sees a very large one.
_ID_MIN = -(2 ** (8 * ctypes.sizeof(ctypes.c_int) - 1))
_UNSIGNED_MAX = 2 ** (8 * ctypes.sizeof(ctypes.c_uint)) - 1
_SIZE_MAX = 2 ** (8 * ctypes.sizeof(ctypes.c_size_t)) - 1
_WRITABLE = 0x200  # PyBUF_WRITE
_memory_at = ctypes.pythonapi.PyMemoryView_FromMemory
_memory_at.restype, _memory_at.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)


class AbiProvider:
    """One server lifetime in a library; see `slotmem.interface.Provider`.

    Raises:
        SlotmemError: if the library will not open, for instance because it is open already.
    """

    def __init__(
        self, library: Library, *, runtime_dir: str | os.PathLike[str] | None = None, generation: int = 0
    ) -> None:
        self.runtime_dir = checked_runtime_dir(runtime_dir)
        self._generation = checked_generation(generation)
        self.library = library
        self.identity = library.identify()
        self._instances: dict[int, AbiInstance] = {}  # by handle
        self._closed = False
        checked(library.open(os.fsencode(self.runtime_dir), self._generation), "open")
        self._owner_pid = os.getpid()
        atexit.register(self._end_with_the_interpreter)

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> Self:
        """Make the provider of `abi:LIBRARY.so`."""
        if not argument:
            raise InvalidArgument("abi needs the path of a shared library after a colon, as in abi:./libmine.so")
        # Without a slash the loader would look for it in the system's folders only.
        return cls(Library(Path(argument).absolute()), **options)

    @property
    def hello(self) -> dict[str, Any]:
        """What a driver says of it; see PROTOCOL.md."""
        name, version, capabilities = self.identity
        always = ("batch", "restart", "dptr", "doall")
        return {
            "implementation": name,
            "version": version,
            "language": "C",
            "capabilities": [*always, *sorted(capabilities)],
        }

    @property
    def generation(self) -> int:
        """How often this server was restarted, counted from the generation it was given."""
        return self._generation

    def create(self, name: str | None, item_size: int, item_num: int, type: Type = Type(0)) -> AbiInstance:
        """Make a segment; see `slotmem.interface.Provider.create`."""
        self._check_open()
        if not (0 <= item_size <= _SIZE_MAX and 0 <= item_num <= _UNSIGNED_MAX):
            raise _unspeakable(f"{item_num} slots of {item_size} bytes")
        handle = ctypes.c_void_p()
        found = self.library.create(ctypes.byref(handle), _encoded(name), item_size, item_num, int(type))
        checked(found, "create")
        return self._instance(handle, name)

    def attach(self, name: str | None) -> AbiInstance:
        """Attach to an existing segment; see `slotmem.interface.Provider.attach`."""
        self._check_open()
        handle, item_size, item_num = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_uint()
        found = self.library.attach(
            ctypes.byref(handle), _encoded(name), ctypes.byref(item_size), ctypes.byref(item_num)
        )
        checked(found, "attach")
        instance = self._instance(handle, name)
        instance.attached = (item_size.value, item_num.value)
        return instance

    def restart(self) -> None:
        """Store what is persistent, destroy every segment created here, and begin the next
        generation.
        """
        self._check_open()
        self._let_go()
        checked(self.library.restart(), "restart")
        self._generation += 1

    def close(self) -> None:
        """Store what is persistent, destroy every segment created here, and end. Idempotent."""
        if not self._closed:
            self._closed = True
            atexit.unregister(self._end_with_the_interpreter)
            self._let_go()
            checked(self.library.close(), "close")

    def _end_with_the_interpreter(self) -> None:
        if os.getpid() == self._owner_pid:  # a forked child has no server of its own to stop
            self.close()

    def _instance(self, handle: ctypes.c_void_p, name: str | None) -> AbiInstance:
        if not handle.value:
            raise OtherStatus("the library reported success but gave no segment", 0)
        instance = self._instances.get(handle.value)
        if instance is None or instance.closed:
            instance = self._instances[handle.value] = AbiInstance(self.library, handle.value, name or "none")
        return instance

    def _let_go(self) -> None:
        for instance in self._instances.values():
            instance.close()
        self._instances.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(f"the provider of {self.library.path} is closed; make a new one")

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AbiInstance:
    """One segment of a library; see `slotmem.interface.Instance`."""

    attached: tuple[int, int] | None = None
    """The item_size and item_num that attach reported, which a wrong library may contradict later.
    """

    def __init__(self, library: Library, segment: int, name: str) -> None:
        self.library = library
        self.segment = segment  # deleted by close: then __getattr__ answers, and an open segment costs no check
        self.name = name
        self._views: dict[int, memoryview] = {}  # by address

    @property
    def closed(self) -> bool:
        """Whether the instance, or its provider's generation, has ended."""
        return "segment" not in self.__dict__

    def grab(self) -> int:
        """Take the lowest free slot (GRAB-1)."""
        item_id = ctypes.c_uint()
        if code := self.library.grab(self.segment, ctypes.byref(item_id)):
            raise refusal(code, "grab", status.NoFreeSlot)
        return item_id.value

    def fgrab(self, item_id: int) -> None:
        """Mark this very slot in use (FGRAB-1)."""
        if not _ID_MIN <= item_id <= _UNSIGNED_MAX:
            raise _unspeakable(f"slot {item_id}")
        if code := self.library.fgrab(self.segment, item_id):
            raise refusal(code, "fgrab", status.SlotOutOfRange)

    def release(self, item_id: int) -> None:
        """Mark the slot free (RELEASE-1)."""
        if not _ID_MIN <= item_id <= _UNSIGNED_MAX:
            raise _unspeakable(f"slot {item_id}")
        if code := self.library.release(self.segment, item_id):
            raise refusal(code, "release", status.SlotOutOfRange)

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        """Copy nbytes (default: slot_size()) out of the slot (GET-1)."""
        if not _ID_MIN <= item_id <= _UNSIGNED_MAX:
            raise _unspeakable(f"slot {item_id}")
        if nbytes is None or nbytes == self._slot_bytes:
            copy = self._slot_type()
        else:
            if not 0 <= nbytes <= _SIZE_MAX:
                raise _unspeakable(f"{nbytes} bytes")
            copy = (ctypes.c_char * nbytes)()
        if code := self.library.get(self.segment, item_id, copy, len(copy)):
            raise refusal(code, "get", status.InvalidArgument)
        answer: bytes = copy.raw
        return answer

    def put(self, item_id: int, data: Any) -> None:
        """Copy bytes to the beginning of the slot (PUT-1)."""
        if not _ID_MIN <= item_id <= _UNSIGNED_MAX:
            raise _unspeakable(f"slot {item_id}")
        source = bytes(data)
        if code := self.library.put(self.segment, item_id, source, len(source)):
            raise refusal(code, "put", status.InvalidArgument)

    def dptr(self, item_id: int) -> memoryview:
        """Return the slot's own memory (DPTR-1); do not touch it after restart or close."""
        if not _ID_MIN <= item_id <= _UNSIGNED_MAX:
            raise _unspeakable(f"slot {item_id}")
        place = ctypes.c_void_p()
        if code := self.library.dptr(self.segment, item_id, ctypes.byref(place)):
            raise refusal(code, "dptr", status.SlotOutOfRange)
        return self._view(place.value)

    def doall(self, func: Callable[[memoryview, Any], int | None], data: Any = None) -> int:
        """Call func on the slots in turn (DOALL-1); an exception stops the walk and is raised."""
        raised: list[BaseException] = []

        def call(place: int | None, _: object) -> int:
            try:
                return func(self._view(place), data) or 0
            except BaseException as error:  # it cannot pass through C
                raised.append(error)
                return int(status.Status.APR_EGENERAL)

        answer: int = self.library.doall(self.segment, callback_type(call), None)
        if raised:
            raise raised[0]
        return answer

    def num_slots(self) -> int:
        """Return item_num (COUNT-1)."""
        answer: int = self.library.num_slots(self.segment)
        return answer

    def num_free_slots(self) -> int:
        """Return the number of slots not in use (COUNT-2)."""
        answer: int = self.library.num_free_slots(self.segment)
        return answer

    def slot_size(self) -> int:
        """Return item_size (COUNT-1)."""
        answer: int = self.library.slot_size(self.segment)
        return answer

    def close(self) -> None:
        """Drop the segment, which lives on to the end of the generation. Idempotent."""
        self.__dict__.pop("segment", None)

    @cached_property
    def _slot_bytes(self) -> int:
        return self.slot_size()

    @cached_property
    def _slot_type(self) -> Any:
        return ctypes.c_char * self._slot_bytes

    def _view(self, place: int | None) -> memoryview:
        if not place:
            raise OtherStatus("the library reported success but gave no memory", 0)
        view = self._views.get(place)
        if view is None:  # making one costs more than the call itself
            view = self._views[place] = _memory_at(place, self._slot_bytes, _WRITABLE)
        return view[:]

    def __getattr__(self, name: str) -> NoReturn:
        if name == "segment":
            raise Closed(f"segment {self.name!r} was closed here, or its provider was closed or restarted")
        raise AttributeError(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _unspeakable(what: str) -> InvalidArgument:
    return InvalidArgument(f"{what} cannot be expressed in C")


def _encoded(name: str | None) -> bytes | None:
    if name is None:
        return None
    encoded = os.fsencode(name)
    if b"\0" in encoded:
        raise InvalidName(f"the name {name!r} contains a NUL byte, which a C string cannot hold")
    return encoded
