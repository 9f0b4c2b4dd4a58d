"""Which possibilities the rest of the history will surely refute.

Interface: `drop_doomed(possibilities, tables, future)`; `is_doomed(done, slot, tables, future)`
asks beforehand, of a slot that a crashed grab may take.

Two kinds of them are doomed:

- Those that have overwritten what a later get will see and nobody else puts.
- Those with a slot in use that a grab will give, while nobody asks for its release before that grab
  returns: only a release takes a mark away. This keeps what a crashed grab may have taken from
  multiplying the possibilities.

Dropping them early changes no verdict. If all are doomed they are kept, so that the violation shows
at the operation that cannot be explained.
"""

from __future__ import annotations

from slotmem_model.judge.slots.future import Future
from slotmem_model.judge.slots.pending import Possibility, Tables, list_bits


def drop_doomed(possibilities: list[Possibility], tables: Tables, future: Future) -> list[Possibility]:
    """Return the possibilities that are not doomed; if all are, return all."""
    possibilities = _drop_overwritten(possibilities, tables)
    some, all_ = 0, tables.full
    for at in possibilities:
        some |= at.mask
        all_ &= at.mask
    for slot in list_bits(some & ~all_):
        alive = [at for at in possibilities if not (at.mask >> slot & 1 and is_doomed(at.done, slot, tables, future))]
        if alive:
            possibilities = alive
    return possibilities


def is_doomed(done: int, slot: int, tables: Tables, future: Future) -> bool:
    """Return whether the slot, if in use now, must be free sooner than anybody can release it."""
    if tables.first_undone(tables.releases.get(slot), done) is not None:
        return False
    grab = tables.first_undone(tables.grabs.get(slot), done)
    returned = grab.returned if grab is not None else future.next_grab(slot, tables.now)
    return returned is not None and not future.has_release(slot, tables.now, returned)


def _drop_overwritten(possibilities: list[Possibility], tables: Tables) -> list[Possibility]:
    """Drop those in which a pending put has taken effect and was overwritten, although a get that
    begins later sees it.
    """
    wanted = [put for listed in tables.puts.values() for put in listed if put.is_only and put.last_read > tables.now]
    if not wanted:
        return possibilities
    alive = [
        at for at in possibilities if not any(at.done & put.bit and at.values[put.slot] != put.value for put in wanted)
    ]
    return alive or possibilities
