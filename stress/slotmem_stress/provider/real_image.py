"""The image of a real segment for the model's algorithms: a `slotmem.memory.image.SharedImage` plus
atomic operations.

Interface: `RealImage(image, algorithm)` wraps a SharedImage. It adds `cell`, `compare_and_swap`,
`fetch_add`, `fence`, `wait_for`, `retry` and `extra`; the header of `slotmem_model.algorithms` has
their meaning.

The atomic operations are libatomic's, which C compilers call too, through ctypes with the GIL held.
Extra words are 32-bit words in the free part of the control header.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import time
from functools import cache
from typing import Any, NamedTuple

from slotmem import LockTimeout, Unsupported
from slotmem.memory import mutex as posix
from slotmem.memory.layout import CONTROL_HEADER_BYTES, MUTEX_BYTES, NUM_FREE_START, WAITING_AT

_CONTROL_BYTES = WAITING_AT + 4
"""The used part of the control header; the bytes behind it are free."""
_WORD_BYTES = 4
MAX_EXTRA_WORDS = (CONTROL_HEADER_BYTES - _CONTROL_BYTES) // _WORD_BYTES
_SEQ_CST = 5
_RETRIES_BETWEEN_LOOKS = 256
_TYPES = {1: ctypes.c_uint8, 4: ctypes.c_uint32, 8: ctypes.c_uint64}


class Cell(NamedTuple):
    """One word of shared memory."""

    word: Any
    """A ctypes integer over it."""
    size: int


class RealImage:
    """A real image with everything that a model algorithm may use."""

    def __init__(self, image: Any, algorithm: Any) -> None:
        self.shared = image
        shape = image.geometry
        self.geometry = shape
        self.memory, self.inuse, self.num_free = image.memory, image.inuse, image.num_free
        self.redo, self.words, self.redo_start = image.redo, image.words, image.redo_start
        self.mutexes, self.nobody = image.mutexes, image.nobody
        self.trylock, self.lock, self.unlock, self.consistent = (
            image.trylock,
            image.lock,
            image.unlock,
            image.consistent,
        )
        self.revive, self.owners = image.revive, image.owners
        self.marks, self.dirty, self.ended = image.marks, image.dirty, image.ended
        self.waiting, self.sleep, self.wake = image.waiting, image.sleep, image.wake
        self.me, self.tenants, self.putters, self.putting = image.me, image.tenants, image.putters, image.putting
        declared = getattr(algorithm, "extra_words", ())
        if len(declared) > MAX_EXTRA_WORDS:
            raise Unsupported(
                f"a segment has room for {MAX_EXTRA_WORDS} extra words, the algorithm wants {len(declared)}"
            )
        start = shape.control_start + _CONTROL_BYTES
        self.extra = {
            name: memoryview(image.memory)[at : at + _WORD_BYTES].cast("I")
            for at, (name, *_) in zip(range(start, start + 4 * len(declared), 4), declared, strict=True)
        }
        self._starts = [(self.inuse, shape.inuse_start), (self.num_free, NUM_FREE_START), (self.words, 0)]
        self._starts += [(view, start + 4 * number) for number, view in enumerate(self.extra.values())]
        self._retries = 0
        self._waiting_since = 0.0

    def cell(self, words: Any, index: int) -> Cell:
        """Return a word as the atomic operations take it.

        Raises:
            Unsupported: for the slots' bytes.
        """
        for view, start in self._starts:
            if view is words:
                kind = _TYPES[words.itemsize]
                return Cell(kind.from_buffer(self.memory, start + index * words.itemsize), words.itemsize)
        raise Unsupported("atomic operations are for in-use bytes, num_free, redo words and extra words")

    def compare_and_swap(self, cell: Cell, expected: int, new: int) -> bool:
        """Set a word if it is as expected; return whether it was."""
        kind = type(cell.word)
        swap = _atomic(f"__atomic_compare_exchange_{cell.size}")
        address, was = ctypes.addressof(cell.word), kind(expected)
        done = bool(swap(ctypes.c_void_p(address), ctypes.byref(was), kind(new), _SEQ_CST, _SEQ_CST) & 0xFF)
        if done:
            self._retries = 0  # this operation makes progress
        return done

    def fetch_add(self, cell: Cell, delta: int) -> int:
        """Add to a word, modulo its size; return what it was."""
        kind = type(cell.word)
        add = _atomic(f"__atomic_fetch_add_{cell.size}")
        was = add(ctypes.c_void_p(ctypes.addressof(cell.word)), kind(delta), _SEQ_CST)
        return int(kind(was).value)

    def fence(self) -> None:
        """Make every store so far visible before anything that follows."""
        _atomic("atomic_thread_fence")(_SEQ_CST)

    def wait_for(self, cell: Cell, *values: int) -> int:
        """Wait until a word holds one of these values; return it."""
        while (value := int(cell.word.value)) not in values:
            self.retry()
        self._retries = 0
        return value

    def retry(self) -> None:
        """Yield the processor before another attempt.

        Raises:
            LockTimeout: if attempts have failed for longer than the image's timeout.
        """
        self._retries += 1
        if self._retries % _RETRIES_BETWEEN_LOOKS == 1:
            now = time.monotonic()
            limit = self.shared.timeout_s
            if self._retries == 1:
                self._waiting_since = now
            elif limit is not None and now - self._waiting_since > limit:
                raise LockTimeout(
                    f"timed out after {limit} s of retrying the operation: another process blocks it and makes no progress"
                )
        os.sched_yield()

    def make_plain(self) -> None:
        """Reinitialise every mutex as one that does not report its owner's death.

        The segment must not be known to any other process yet.
        """
        calls = posix.pthread()
        attributes = ctypes.byref(ctypes.create_string_buffer(MUTEX_BYTES))
        calls.attribute_init(attributes)
        for call, value in calls.attribute_calls:
            if call.__name__ != "pthread_mutexattr_setrobust":
                call(attributes, value)
        for mutex in self.mutexes:
            calls.init(mutex, attributes)
        calls.attribute_destroy(attributes)


@cache
def _atomic(name: str) -> Any:
    """Return a function of libatomic.

    Raises:
        Unsupported: if the library is missing.
    """
    for library in (ctypes.util.find_library("atomic"), "libatomic.so.1"):
        try:
            return getattr(ctypes.PyDLL(library), name) if library else None
        except (OSError, AttributeError):
            continue
    raise Unsupported(
        f"this algorithm needs {name} of GCC's libatomic, which is missing; install it (Debian: libatomic1)"
    )
