"""Which possibilities another one makes superfluous: it can do whatever they can.

Interface: `drop_dominated(possibilities, tables)`.

Of two possibilities with the same marks and contents, one dominates the other if what they differ
in is among these:

- A get, or another one that only looks, has taken effect in it and not in the other: nothing more
  is asked of it.
- What a crashed process asked for has not taken effect in it: it need never do so.
- A put has not taken effect in it, but can at no cost. Either it writes what is in the slot anyway,
  and can take effect at once. Or another put to the slot, which has taken effect in neither,
  returns sooner: it can take effect just before that one, unseen.

With repeated values this is what keeps the possibilities few: of many puts that overlap only those
that return first can be in each other's way.
"""

from __future__ import annotations

from slotmem_model.judge.slots.pending import Possibility, Tables
from slotmem_model.judge.slots.timeline import PUT


def drop_dominated(possibilities: list[Possibility], tables: Tables) -> list[Possibility]:
    """Return the possibilities that no other one dominates."""
    crashed, puts = tables.crashed_bits, 0
    for listed in tables.puts.values():
        for put in listed:
            puts |= put.bit
    looks = 0
    for listed in (tables.looks, *tables.gets.values()):
        for look in listed:
            looks |= look.bit
    changes = crashed | puts
    if not changes | looks:
        return possibilities
    groups: dict[tuple[int, int, tuple[int, ...]], list[Possibility]] = {}
    for at in sorted(possibilities, key=lambda at: ((at.done & changes).bit_count(), -(at.done & looks).bit_count())):
        kept = groups.setdefault((at.mask, at.done & ~changes & ~looks, tuple(at.values)), [])
        if kept:
            needed = at.done & (looks | (changes & ~crashed & ~_find_waiting(at, tables)))
            allowed = at.done | looks
            if any(needed & ~other.done == 0 and other.done & ~allowed == 0 for other in kept):
                continue
        kept.append(at)
    return [at for kept in groups.values() for at in kept]


def _find_waiting(at: Possibility, tables: Tables) -> int:
    """Return the bits of the puts that have taken effect and could just as well wait."""
    waiting = 0
    for slot, listed in tables.puts.items():
        value = at.values[slot]
        next_return = next((put.returned for put in listed if put.action == PUT and not at.done & put.bit), None)
        for put in listed:
            if at.done & put.bit and (
                (put.value == value and at.mask >> slot & 1) or (next_return is not None and put.returned > next_return)
            ):
                waiting |= put.bit
    return waiting
