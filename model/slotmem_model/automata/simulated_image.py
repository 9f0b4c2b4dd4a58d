"""The simulated image of a segment: what an algorithm of slots sees when the checker runs it.

Interface: `SimulatedImage(geometry, map, answer)` has the attributes that the header of
`slotmem_model.algorithms` lists; the accesses are those of `slotmem_model.automata.accesses`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from slotmem_model.automata.accesses import Access, Cell, Image
from slotmem_model.automata.shared_words import NUM_FREE_START, REDO_HEADER_BYTES, SLOTS_START, Geometry, Map


class SimulatedImage(Image):
    """An image whose every access is answered by `answer(access, held)`; the header of
    `slotmem_model.algorithms` says what it offers.
    """

    def __init__(
        self, shape: Geometry, map_: Map, answer: Callable[[Access, tuple[int, ...]], Any], *, robust: bool = True
    ) -> None:
        super().__init__(answer, robust=robust)
        self.geometry = shape
        self.memory = _Memory(self, shape, map_)
        self.inuse = _Words(self, map_.inuse)
        self.num_free = _Words(self, (map_.num_free,))
        self.redo = _Redo(self, shape, map_)
        self.words = _RedoWords(self, shape, map_)
        self.redo_start = shape.redo_start
        self.marks = self.dirty = _Words(self, map_.marks)
        self.ended = (0,) * shape.mutexes
        self.me = [0]
        self.waiting = _Forgotten()  # no client of a model waits for a slot
        asked = bool(map_.tenants)
        self.tenants = _Words(self, map_.tenants) if asked else _Forgotten()
        self.putters = _Words(self, map_.putters) if asked else _Forgotten()
        self.putting = _Words(self, map_.putting) if asked else _Forgotten()
        self.mutexes = list(map_.mutexes)
        self.nobody = -1
        self.owners = (0,) * shape.mutexes
        self.extra = {name: _Words(self, (word,)) for name, word in map_.extra.items()}

    def cell(self, words: _Words, index: int) -> Cell:
        """Name a word for compare_and_swap and fetch_add."""
        return Cell(words.at(index))


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
