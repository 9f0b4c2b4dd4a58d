"""What a process does with a segment again and again, at the speed of C.

Interface: each of `grabs`, `puts`, `gets` and `requests` runs for a number of nanoseconds on an
instance of any provider. An `abi` library's functions are called directly, so that hardly any time
passes outside them; any other provider is called back in Python. `compiled()` compiles the loops
(`loops.c`). All of them raise slotmem.Unsupported without a C compiler.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from slotmem_conformance.adapters.abi import AbiInstance
from slotmem_conformance.adapters.compiling import shared_library

BADGE_BYTES = 24
"""What a slot must have room for, to be grabbed here."""
MEETING = 6
"""How many numbers describe a double grab; see `racing.Meeting`."""

Work = Callable[[Any, int], Any]
"""What a process does with the instance for a number of nanoseconds."""

_BETWEEN_LOOKS = 20  # rounds between two looks at the clock
_SOURCE = Path(__file__).with_name("loops.c")
_grab_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint))
_release_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)
_copy_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_size_t)


def compiled() -> Path:
    """Return the library of the loops, compiled on first use."""
    return shared_library(_SOURCE)


def grabs(process: int, keep: int, instance: Any, nanoseconds: int) -> tuple[int, int, tuple[int, ...]]:
    """Grab and release, keeping `keep` slots at a time.

    Return the number of grabs, of double ones, and the first of these.
    """
    views = [(ctypes.c_char * BADGE_BYTES).from_buffer(instance.dptr(at)) for at in range(instance.num_slots())]
    badges = (ctypes.c_void_p * len(views))(*(ctypes.addressof(view) for view in views))
    counts, met = (ctypes.c_longlong * 2)(), (ctypes.c_longlong * MEETING)()
    segment, grab, release, _, _ = _calls(instance)
    ctypes.CDLL(str(compiled())).race_grabs(
        segment,
        grab,
        release,
        badges,
        ctypes.c_longlong(process),
        ctypes.c_size_t(keep),
        (ctypes.c_uint * keep)(),
        ctypes.c_longlong(nanoseconds),
        counts,
        met,
    )
    return counts[0], counts[1], tuple(met)


def puts(writer: int, first: int, last: int, instance: Any, nanoseconds: int) -> None:
    """Fill the slots from first to last in turn, all with the same byte, then with the next;
    writers' bytes differ.
    """
    size = instance.slot_size()
    segment, _, _, _, put = _calls(instance)
    buffer = ctypes.create_string_buffer(size)
    ctypes.CDLL(str(compiled())).race_puts(
        segment, put, first, last, writer, buffer, ctypes.c_size_t(size), ctypes.c_longlong(nanoseconds)
    )


def gets(instance: Any, nanoseconds: int) -> tuple[int, int, bytes]:
    """Read slot 0, and return the number of gets, of torn ones, and one of these."""
    size = instance.slot_size()
    segment, _, _, get, _ = _calls(instance)
    buffer, example, counts = (ctypes.c_char * size)(), (ctypes.c_char * size)(), (ctypes.c_longlong * 2)()
    ctypes.CDLL(str(compiled())).race_gets(
        segment, get, buffer, ctypes.c_size_t(size), ctypes.c_longlong(nanoseconds), counts, example
    )
    return counts[0], counts[1], example.raw


class _Call(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_int),
        ("item_id", ctypes.c_uint),
        ("bytes", ctypes.c_char_p),
        ("len", ctypes.c_size_t),
    )


_OPERATIONS = ("grab", "fgrab", "release", "get", "put", "num_free_slots")  # in the order of loops.c


def requests(asked: Sequence[dict[str, Any]], instance: Any, nanoseconds: int) -> None:
    """Do slot operations, given as requests of a batch, over and over, whatever they answer.

    For any provider but a library, a loop in Python does better than one in C that calls back. An
    error without a status is raised.
    """
    if isinstance(instance, AbiInstance):
        _library_requests(asked, instance, nanoseconds)
        return
    calls = calls_of(asked, instance)
    ends = time.monotonic_ns() + nanoseconds
    while time.monotonic_ns() < ends:
        for _ in range(_BETWEEN_LOOKS):
            for call in calls:
                call()


def calls_of(asked: Sequence[dict[str, Any]], instance: Any) -> list[Callable[[], None]]:
    """Return a function for each request; it swallows refusals."""

    def call(operation: Callable[[], Any]) -> None:
        try:
            operation()
        except Exception as error:
            if not hasattr(error, "status"):
                raise

    return [partial(call, partial(getattr(instance, request["op"]), *_arguments(request))) for request in asked]


def _arguments(request: dict[str, Any]) -> list[Any]:
    found = [request["id"]] if "id" in request else []
    return [*found, *(bytes.fromhex(request[key]) for key in ("expected", "data") if key in request)]


def _library_requests(asked: Sequence[dict[str, Any]], instance: AbiInstance, nanoseconds: int) -> None:
    size = instance.slot_size()
    calls = (_Call * len(asked))()
    for call, request in zip(calls, asked, strict=True):
        data = bytes.fromhex(request["data"]) if "data" in request else None
        call.op, call.item_id = _OPERATIONS.index(request["op"]), request.get("id", 0)
        call.bytes, call.len = data, size if data is None else len(data)
    functions = (ctypes.c_void_p * len(_OPERATIONS))(
        *(ctypes.cast(getattr(instance.library, op), ctypes.c_void_p).value for op in _OPERATIONS)
    )
    ctypes.CDLL(str(compiled())).race_calls(
        ctypes.c_void_p(instance.segment),
        functions,
        calls,
        ctypes.c_size_t(len(calls)),
        ctypes.create_string_buffer(size),
        ctypes.c_longlong(nanoseconds),
    )


def _calls(instance: Any) -> tuple[Any, ...]:
    """Return a segment and its grab, release, get and put as C functions: a library's own, or ones
    that call Python.
    """
    if isinstance(instance, AbiInstance):
        library = instance.library
        return ctypes.c_void_p(instance.segment), library.grab, library.release, library.get, library.put

    def grab(_: Any, item_id: Any) -> None:
        item_id[0] = instance.grab()

    def release(_: Any, item_id: int) -> None:
        instance.release(item_id)

    def get(_: Any, item_id: int, place: int, nbytes: int) -> None:
        ctypes.memmove(place, instance.get(item_id, nbytes), nbytes)

    def put(_: Any, item_id: int, place: int, nbytes: int) -> None:
        instance.put(item_id, ctypes.string_at(place, nbytes))

    return (
        None,
        _grab_type(_with_status(grab)),
        _release_type(_with_status(release)),
        _copy_type(_with_status(get)),
        _copy_type(_with_status(put)),
    )


def _with_status(call: Callable[..., None]) -> Callable[..., int]:
    def answer(*arguments: Any) -> int:
        try:
            call(*arguments)
        except Exception:  # the loops only ask whether it was refused
            return 1
        return 0

    return answer
