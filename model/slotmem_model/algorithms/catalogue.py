"""Algorithms by name.

Interface:

- `find(name)` gives the class: NAME from the entry-point group `slotmem.algorithms`, one of the
  model's own, `museum:PIECE`, or `module:Class` for one's own that is merely on the path.
- `names()` lists what `find` knows by name; the museum's pieces are listed by
  `slotmem_model.algorithms.museum.pieces`.

The model's own are found without installed metadata too. The reference is an entry point like
anybody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from slotmem_model.algorithms.museum.pieces import MUSEUM

GROUP = "slotmem.algorithms"
MUSEUM_PREFIX = "museum:"
_HERE = "slotmem_model.algorithms."
OWN = {
    "httpd": _HERE + "httpd:Httpd",
    "httpd-locked": _HERE + "httpd_locked:HttpdLocked",
    "one-lock": _HERE + "one_lock:OneLock",
    "plain-lock": _HERE + "plain_lock:PlainLock",
    "striped": _HERE + "striped:Striped",
    "cas": _HERE + "cas:Cas",
    "seqlock": _HERE + "seqlock:Seqlock",
    "spin-lock": _HERE + "spin_lock:SpinLock",
    "one-store": _HERE + "one_store:OneStore",
}

Algorithm = Callable[[Any], Any]
"""A class over an image; see the header of `slotmem_model.algorithms`."""


def find(name: str) -> Algorithm:
    """Return the algorithm of a name.

    Raises:
        ValueError: lists the names that are known.
    """
    if name.startswith(MUSEUM_PREFIX):
        piece = MUSEUM.get(name.removeprefix(MUSEUM_PREFIX))
        if piece is None:
            raise ValueError(f"the museum has no piece {name!r}; it has: {', '.join(sorted(MUSEUM))}")
        return piece.algorithm
    place = {**OWN, **_entries()}.get(name, name)
    module, _, attribute = place.partition(":")
    if not attribute:
        raise ValueError(
            f"there is no algorithm {name!r}; known are {', '.join(names())}, {MUSEUM_PREFIX}PIECE and module:Class"
        )
    try:
        found: Algorithm = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"the algorithm {name!r} is {place}, which cannot be imported: {error}") from error
    return found


def names() -> tuple[str, ...]:
    """List the algorithms that have a name, sorted."""
    return tuple(sorted({*OWN, *_entries()}))


def _entries() -> dict[str, str]:
    entries: tuple[EntryPoint, ...] = tuple(entry_points(group=GROUP))
    return {entry.name: entry.value for entry in entries}
