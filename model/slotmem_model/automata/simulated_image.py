"""The simulated image: what an algorithm sees of shared memory when the checker runs it.

Interface:

- `SimulatedImage(place, answer)` has the attributes that the header of `slotmem_model.algorithms`
  lists. Each access calls `answer(access, held)`, which may raise `Stop`.
- `effect(access, value)` says what an access does to its word: the semantics of loads, stores,
  locked operations and robust mutexes, in one place.

Only the holder of a mutex knows that it holds it: to lock one that this process holds already is
refused (EDEADLK), and so is to unlock one that it does not hold (EPERM); neither is a step. Nor is
`consistent`: nobody else can see it before the unlock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from slotmem_model.automata.shared_words import (
    DEAD,
    FREE,
    HELD,
    LOST,
    NUM_FREE_START,
    REDO_HEADER_BYTES,
    SLOTS_START,
    Geometry,
    Map,
)

EPERM, EBUSY, EDEADLK, EOWNERDEAD, ENOTRECOVERABLE = 1, 16, 35, 130, 131


class Place(NamedTuple):
    """What a tabulation depends on besides the algorithm."""

    geometry: Geometry
    map: Map
    possible: tuple[frozenset[int], ...]
    """For each word, the indexes of the values that it can ever have."""
    timeouts: bool = False
    """Whether a wait for a lock may time out."""
    robust: bool = True
    """Whether a mutex tells of its owner's death; if not, it stays locked for ever."""
    exceptions: bool = False
    """Whether an exception may end an operation, and a second one its way out."""
    files: frozenset[str] = frozenset()
    """The files of the algorithm's source, whose lines are noted."""


class Access(NamedTuple):
    """One access. kind: load, store, trylock, lock, revive, timeout, unlock, cas, add, await; drain
    (a buffered store reaches memory).

    Kinds that touch no shared word: begin, fence, buffer (a store into the store buffer), reread
    and reawait (a load or an await from it). An exception is raised before an access; it has a word
    if it must wait for that.
    """

    kind: str
    word: int = -1
    argument: Any = None
    raises: bool = False
    """Whether an exception is raised as the call returns, so that nobody gets its answer."""

    @property
    def touches(self) -> bool:
        """Whether it touches its word in shared memory."""
        return self.word >= 0 and self.kind not in ("buffer", "reread", "reawait")

    @property
    def is_call(self) -> bool:
        """Whether it is a call, as it returns from which CPython serves signals."""
        return self.kind in ("trylock", "lock", "unlock")


def effect(access: Access, value: int) -> tuple[Any, int] | None:
    """Return what an access answers and what it leaves in the word, or None if it has to wait.

    A word is given and left as a value, not as an index.
    """
    match access.kind:
        case "store":
            return None, access.argument
        case "trylock" | "lock":
            if value == HELD:
                return (EBUSY, HELD) if access.kind == "trylock" else None
            return {FREE: (0, HELD), DEAD: (EOWNERDEAD, HELD), LOST: (ENOTRECOVERABLE, LOST)}[value]
        case "revive":
            return {FREE: (0, HELD), HELD: None, DEAD: (EOWNERDEAD, HELD), LOST: (0, HELD)}[value]
        case "unlock":
            return 0, access.argument
        case "cas":
            expected, new = access.argument
            return (True, new) if value == expected else (False, value)
        case "await":
            return (value, value) if value in access.argument else None
        case "add":
            return value, (value + access.argument) % 2**32
    return value, value


class Raised(BaseException):
    """What a signal handler or a trace function raises, at any access. It ends the operation,
    unless the algorithm catches it.
    """


class AsItReturns(NamedTuple):
    """The answer to a call that nobody gets: an exception is raised as it returns."""

    answer: Any


class Stop(BaseException):
    """Ends the operation; `except Exception` does not catch it."""


class SimulatedImage:
    """An image whose every access is answered by `answer(access, held)`; the header of
    `slotmem_model.algorithms` says what it offers.
    """

    def __init__(self, place: Place, answer: Callable[[Access, tuple[int, ...]], Any]) -> None:
        self._map = place.map
        self._answer = answer
        self._stopped = self._raises = False
        self._robust = place.robust
        self._held: dict[int, bool] = {}
        """Mutexes held, and whether what they guard is consistent."""
        self._held_words: tuple[int, ...] = ()
        shape = place.geometry
        self.geometry = shape
        self.memory = _Memory(self, shape, place.map)
        self.inuse = _Words(self, place.map.inuse)
        self.num_free = _Words(self, (place.map.num_free,))
        self.redo = _Redo(self, shape, place.map)
        self.words = _RedoWords(self, shape, place.map)
        self.redo_start = shape.redo_start
        self.marks = self.dirty = _Words(self, place.map.marks)
        self.ended = (0,) * shape.mutexes
        self.me = [0]
        self.waiting = _Forgotten()  # no client of a model waits for a slot
        asked = bool(place.map.tenants)
        self.tenants = _Words(self, place.map.tenants) if asked else _Forgotten()
        self.putters = _Words(self, place.map.putters) if asked else _Forgotten()
        self.putting = _Words(self, place.map.putting) if asked else _Forgotten()
        self.mutexes = list(place.map.mutexes)
        self.nobody = -1
        self.owners = (0,) * shape.mutexes
        self.extra = {name: _Words(self, (word,)) for name, word in place.map.extra.items()}

    def access(self, kind: str, word: int = -1, argument: Any = None) -> Any:
        """Let the script answer.

        After a stop nothing happens, although the operation's `finally` blocks still run.
        """
        if self._stopped:
            return 0
        try:
            # Only those that a death changes: a plain mutex stays as it is.
            answer = self._answer(Access(kind, word, argument), self._held_words if self._robust else ())
        except Stop:
            self._stopped = True
            raise
        if isinstance(answer, AsItReturns):
            self._raises = True
            return answer.answer
        return answer

    # -- plain accesses ----------------------------------------------------------------------------

    def load(self, word: int) -> int:
        """Read a word."""
        value: int = self.access("load", word)
        return value

    def store(self, word: int, value: int) -> None:
        """Write a word."""
        self.access("store", word, value)

    def compare_and_swap(self, cell: _Cell, expected: int, new: int) -> bool:
        """Write a word if it holds the expected value, all in one step.

        Return whether it did.
        """
        return bool(self.access("cas", cell.word, (expected, new)))

    def fetch_add(self, cell: _Cell, delta: int) -> int:
        """Add to a word (modulo 2^32) and return what it held before, all in one step."""
        value: int = self.access("add", cell.word, delta)
        return value

    def fence(self) -> None:
        """Wait until every store of this process so far can be seen by the others."""
        self.access("fence")

    def cell(self, words: _Words, index: int) -> _Cell:
        """Name a word for compare_and_swap and fetch_add."""
        return _Cell(words.at(index))

    def wait_for(self, cell: _Cell, *values: int) -> int:
        """Wait until a word holds one of these values, and return it, all in one step."""
        value: int = self.access("await", cell.word, values)
        return value

    def retry(self) -> None:
        """Start the operation again: what it has read so far is forgotten."""
        self.access("retry")

    # -- robust, error-checking mutexes ------------------------------------------------------------

    def trylock(self, mutex: int) -> int:
        """Take a mutex if it is free, and return the errno."""
        if mutex in self._held:
            return EDEADLK
        return self._taken(mutex, self.access("trylock", mutex))

    def lock(self, mutex: int) -> int:
        """Wait for a mutex, and return the errno."""
        if mutex in self._held:
            return EDEADLK
        return self._taken(mutex, self.access("lock", mutex))

    def unlock(self, mutex: int) -> int:
        """Unlock a mutex, and return the errno; one that is not held is refused."""
        if self._stopped or mutex not in self._held:
            return EPERM
        self.access("unlock", mutex, FREE if self._held[mutex] else LOST)
        del self._held[mutex]
        self._held_words = tuple(sorted(self._held))
        return self._returned(0)

    def consistent(self, mutex: int) -> int:
        """Declare that what a mutex guards is repaired.

        Nobody else sees that before the unlock, so it is no step.
        """
        if mutex in self._held:
            self._held[mutex] = True
        return 0

    def revive(self, mutex: int) -> int:
        """Make a mutex usable again that is lost, and wait for it if somebody else came first.

        Return the errno.
        """
        return self._taken(mutex, self.access("revive", mutex))

    def _taken(self, mutex: int, status: int) -> int:
        if status in (0, EOWNERDEAD) and not self._stopped:
            self._held[mutex] = status == 0
            self._held_words = tuple(sorted(self._held))
        return self._returned(status)

    def _returned(self, status: int) -> int:
        """Return from a call, or raise instead."""
        if self._raises:
            self._raises = False
            raise Raised
        return status


class TimedOut(Exception):
    """A wait took too long."""

    class status:  # noqa: N801 - an algorithm's exceptions carry `.status.name`
        """The status as the specification spells it."""

        name = "APR_TIMEUP"


class _Cell(NamedTuple):
    word: int


class _Words:
    """Words that are indexed one at a time, as a memoryview is."""

    def __init__(self, image: SimulatedImage, words: tuple[int, ...]) -> None:
        self._image = image
        self._words = words

    def at(self, index: int) -> int:
        if not 0 <= index < len(self._words):
            raise IndexError(f"index {index} of {len(self._words)} words")
        return self._words[index]

    def __getitem__(self, index: int) -> int:
        return self._image.load(self.at(index))

    def __setitem__(self, index: int, value: int) -> None:
        if value < 0:
            raise ValueError(f"a word is unsigned, got {value}")
        self._image.store(self.at(index), value)

    def __len__(self) -> int:
        return len(self._words)


class _Forgotten(_Words):
    """Words that nobody asks for, so that to access them is no step."""

    def __init__(self) -> None:
        self._words = ()

    def __getitem__(self, index: int) -> int:
        return 0

    def __setitem__(self, index: int, value: int) -> None: ...

    def __iter__(self) -> Iterator[int]:
        return iter(())


class _Memory:
    """The bytes of the segment: slices and `find`, one step a byte, ascending."""

    def __init__(self, image: SimulatedImage, shape: Geometry, map_: Map) -> None:
        self._image = image
        self._words: dict[int, int] = {NUM_FREE_START: map_.num_free}
        for slot, words in enumerate(map_.slot_bytes):
            for at, word in enumerate(words):
                self._words[SLOTS_START + slot * shape.item_size + at] = word
        for slot, word in enumerate(map_.inuse):
            self._words[shape.inuse_start + slot] = word

    def _word(self, offset: int) -> int:
        if offset not in self._words:
            raise IndexError(f"offset {offset} is not a byte that the model has")
        return self._words[offset]

    def __getitem__(self, where: slice) -> bytes:
        return bytes(self._image.load(self._word(offset)) for offset in range(where.start, where.stop))

    def __setitem__(self, where: slice, data: bytes) -> None:
        if where.stop - where.start != len(data):
            raise IndexError(f"{len(data)} bytes do not fill {where.stop - where.start}")
        for offset, value in zip(range(where.start, where.stop), data, strict=True):
            self._image.store(self._word(offset), value)

    def find(self, what: bytes, start: int, stop: int) -> int:
        """Find one byte, as memchr does: nothing is read behind the first that is found."""
        for offset in range(start, stop):
            if self._image.load(self._word(offset)) == what[0]:
                return offset
        return -1


class _Redo:
    """The bytes of the redo records, by offset."""

    def __init__(self, image: SimulatedImage, shape: Geometry, map_: Map) -> None:
        self._image = image
        self._words = {
            shape.redo_start + stripe * shape.redo_stride + REDO_HEADER_BYTES + at: word
            for stripe, words in enumerate(map_.redo_bytes)
            for at, word in enumerate(words)
        }

    def __getitem__(self, where: slice) -> bytes:
        return bytes(self._image.load(self._words[offset]) for offset in range(where.start, where.stop))

    def __setitem__(self, where: slice, data: bytes) -> None:
        for offset, value in zip(range(where.start, where.stop), data, strict=True):
            self._image.store(self._words[offset], value)


class _RedoWords(_Words):
    """The 64-bit words at the head of each redo record, item and length."""

    def __init__(self, image: SimulatedImage, shape: Geometry, map_: Map) -> None:
        super().__init__(image, ())
        starts = [(shape.redo_start + stripe * shape.redo_stride) // 8 for stripe in range(shape.stripes)]
        self._heads = dict(zip(starts, map_.redo_item, strict=True))
        self._heads |= {start + 1: word for start, word in zip(starts, map_.redo_length, strict=True)}

    def at(self, index: int) -> int:
        return self._heads[index]
