"""What a killed process left behind, judged by what a survivor saw.

Interface: `Death` says where the process was, `Seen` what a survivor saw, and `judge` what was
wrong with that, in words. Nothing is judged by how long it took.

- *stuck*: the survivor could not go on, nor when it tried again.
- *torn*: a slot's bytes are neither those of the put under way nor those of the one before.
- *leaked*: a slot is in use that nobody will ever free, for whoever grabbed it is dead; or an
  object is still there when everybody has closed it.
- *miscounted*: the number of free slots is not how many there are; or a slot's mark has changed
  that nobody touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

KINDS = ("stuck", "torn", "leaked", "miscounted")
ITEM_SIZE, ITEM_NUM = 65536, 4
"""Slots so large that a put takes a while, and few, so that all of them are looked at."""
KEPT = 0
"""The slot that is in use from the beginning, and that is put to."""
_PUTS = ("put", "update")


class Death(NamedTuple):
    """A process died in an operation, after so many puts, the one under way counted."""

    operation: str
    puts: int


class Seen(NamedTuple):
    """What a survivor saw; what it could not see is None.

    `refused` says why it could not go on, else it is empty. `contents` has the bytes of the slots
    in use. `ms` is how long it took to get, put, grab and release.
    """

    refused: str = ""
    contents: dict[int, bytes] | None = None
    num_free: int | None = None
    ms: float | None = None


def pattern(puts: int) -> bytes:
    """Return what the put of this number puts; 0 is what the slot had before."""
    return bytes([puts % 8 + 1]) * ITEM_SIZE


def judge(death: Death, seen: Seen, left: Sequence[str] = ()) -> dict[str, str]:
    """Return the kinds of what is wrong, each with its evidence; `left` names objects left over."""
    return dict(_judge(death, seen, left))


def _judge(death: Death, seen: Seen, left: Sequence[str]) -> Iterator[tuple[str, str]]:
    if seen.refused:
        yield "stuck", seen.refused
    if seen.contents is not None:
        new = pattern(death.puts)
        old = pattern(death.puts - 1) if death.operation in _PUTS else new
        got = seen.contents.get(KEPT, new)
        if got not in (old, new):
            yield "torn", _mixture(got, old, new)
        orphans = [item_id for item_id in seen.contents if item_id != KEPT]
        if orphans or left:
            yield "leaked", "; ".join(_leaks(orphans, left))
        if KEPT not in seen.contents:
            yield "miscounted", f"slot {KEPT} is free, though it was in use and nobody released it"
        elif seen.num_free not in (None, ITEM_NUM - len(seen.contents)):
            free = ITEM_NUM - len(seen.contents)
            yield "miscounted", f"{seen.num_free} slots are said to be free, but {free} of {ITEM_NUM} are"
    elif left:
        yield "leaked", "; ".join(_leaks((), left))


def _mixture(got: bytes, old: bytes, new: bytes) -> str:
    if len(got) != len(new):
        return f"slot {KEPT} has {len(got):,} bytes, not {len(new):,}"
    ours, before = got.count(new[:1]), got.count(old[:1]) if old != new else 0
    return (
        f"slot {KEPT}: {ours:,} of its {len(got):,} bytes are of the put under way, {before:,} of the one before, "
        f"{len(got) - ours - before:,} of neither"
    )


def _leaks(orphans: Sequence[int], left: Sequence[str]) -> Iterator[str]:
    if orphans:
        yield f"slot {orphans[0]} is in use, and whoever grabbed it is dead"
    if left:
        yield f"{', '.join(left)} {'is' if len(left) == 1 else 'are'} still there when everybody has closed it"
