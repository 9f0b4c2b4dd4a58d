"""Shared memory as the checker sees it: a shape, and words that each hold one of a few values.

Interface:

- `Geometry` has the attributes that an algorithm reads from `image.geometry`; offsets are httpd's,
  as in a real segment.
- `words_of(geometry, ...)` lists the words: in-use bytes, the free counter, slot bytes, redo
  records, mutexes.
- `Map` finds the word at an offset.

One access to a word is one step. A slot byte is a word of its own, so that a slot of two bytes can
tear. Every word has a finite domain that is declared here; a store outside it is reported, never
wrapped.
"""

from __future__ import annotations

from itertools import starmap
from typing import Any, NamedTuple

NUM_FREE_START = 24
SLOTS_START = 32
REDO_HEADER_BYTES = 16
_UINT32 = 2**32

# The states of a robust mutex, seen from outside. Its holder knows that it holds it, so the owner
# need not be stored.
FREE, HELD, DEAD, LOST = range(4)
MUTEX_STATES = ("free", "held", "its owner died", "not recoverable")


class Geometry(NamedTuple):
    """The shape of a simulated segment, offsets in bytes; the names are those of a real segment's
    geometry.
    """

    item_size: int
    item_num: int
    type: int
    pregrab: bool
    stripes: int
    first_stripe: int
    mutexes: int
    inuse_start: int
    apr_length: int
    redo_start: int
    redo_stride: int


def geometry(item_size: int, item_num: int, pregrab: bool = True, stripes: int | None = None) -> Geometry:
    """Return the layout of a segment.

    With PREGRAB each slot has its own stripe unless `stripes` says otherwise; without it there is
    one mutex.
    """
    number = (stripes or max(1, item_num)) if pregrab else 1
    first = 1 if pregrab else 0
    inuse_start = SLOTS_START + item_size * item_num
    length = inuse_start + item_num
    redo_start = (length + 63) // 64 * 64
    stride = (REDO_HEADER_BYTES + item_size + 7) // 8 * 8
    return Geometry(
        item_size,
        item_num,
        4 if pregrab else 0,
        pregrab,
        number,
        first,
        first + number,
        inuse_start,
        length,
        redo_start,
        stride,
    )


class Word(NamedTuple):
    """One word of shared memory. A state has the index of its value."""

    name: str
    values: tuple[Any, ...]
    """Numbers; of a program's word, whatever can be hashed."""
    initial: Any = 0
    """The initial value (not its index)."""
    kind: str = "memory"
    """memory, round (memory that `fetch_add` wraps), mutex, or any (a program's word)."""

    def shown(self, index: int) -> str:
        """Return a value as a person would write it, given its index."""
        return self.said(self.values[index])

    def said(self, value: Any) -> str:
        """Return a value as a person would write it."""
        if self.kind == "any":
            return repr(value)
        if self.kind == "mutex":
            return MUTEX_STATES[value]
        return str(value - _UINT32) if value > _UINT32 // 2 else str(value)


class ExtraWord(NamedTuple):
    """A word that an algorithm declares for itself; it is initially 0."""

    name: str
    values: int
    """The number of its values in the model: 0 to values - 1. A real one has 32 bits."""
    goes_round: bool = False
    """Whether `fetch_add` wraps to 0; if not, a value beyond the last is reported."""


class Map(NamedTuple):
    """Where everything is: indexes into `words`."""

    words: tuple[Word, ...]
    inuse: tuple[int, ...]
    num_free: int
    slot_bytes: tuple[tuple[int, ...], ...]
    redo_item: tuple[int, ...]
    redo_length: tuple[int, ...]
    redo_bytes: tuple[tuple[int, ...], ...]
    marks: tuple[int, ...]
    """One for each mutex."""
    tenants: tuple[int, ...]
    """One for each slot, as `putters`; none if no client asks who has a slot."""
    putters: tuple[int, ...]
    putting: tuple[int, ...]
    """One for each mutex."""
    mutexes: tuple[int, ...]
    extra: dict[str, int]
    """Words that an algorithm declares for itself (`extra_words` of the class), by name."""


def words_of(shape: Geometry, values: int, slack: int, extra: tuple[ExtraWord, ...] = (), tenants: int = 0) -> Map:
    """Return the words of a segment.

    values: how many different bytes clients store, 0 included. slack: how far the free counter may
    drift beyond 0 and item_num before that is reported as a word out of its domain. extra: further
    words. tenants: how many processes may have slots; 0 if nobody asks.
    """
    words: list[Word] = []

    def add(name: str, values: tuple[int, ...], initial: int = 0, kind: str = "memory") -> int:
        words.append(Word(name, values, initial, kind))
        return len(words) - 1

    slots, stripes = range(shape.item_num), range(shape.stripes)
    counts = (*range(shape.item_num + slack + 1), *range(_UINT32 - slack, _UINT32))
    who = tuple(range(tenants + 1))
    data, bytes_ = tuple(range(values)), range(shape.item_size)
    guarded = ["table", *(f"stripe {which - shape.first_stripe}" for which in range(1, shape.mutexes))]
    return Map(
        inuse=tuple(add(f"inuse[{slot}]", (0, 1)) for slot in slots),
        num_free=add("num_free", counts, shape.item_num),
        slot_bytes=tuple(tuple(add(f"slot {slot} byte {at}", data) for at in bytes_) for slot in slots),
        redo_item=tuple(add(f"redo {stripe} item", tuple(range(shape.item_num + 1))) for stripe in stripes),
        redo_length=tuple(add(f"redo {stripe} length", tuple(range(shape.item_size + 1))) for stripe in stripes),
        redo_bytes=tuple(tuple(add(f"redo {stripe} byte {at}", data) for at in bytes_) for stripe in stripes),
        tenants=tuple(add(f"tenant[{slot}]", who) for slot in slots if tenants),
        putters=tuple(add(f"putter[{slot}]", who) for slot in slots if tenants),
        putting=tuple(add(f"{each} putting", who) for each in guarded if tenants),
        marks=tuple(add(f"{each} mark", (0, 1)) for each in guarded),
        mutexes=tuple(add(f"{each} mutex", (FREE, HELD, DEAD, LOST), FREE, "mutex") for each in guarded),
        extra={
            word.name: add(word.name, tuple(range(word.values)), kind="round" if word.goes_round else "memory")
            for word in starmap(ExtraWord, extra)
        },
        words=tuple(words),
    )
