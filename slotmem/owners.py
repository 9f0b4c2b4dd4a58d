"""Who has a slot, in words that a user can act on, and slots taken back from the dead.

Interface: `owner_of(algorithm, item_id)` and `reap(algorithm, callback)` are what
`slotmem.interface.PythonInstance` calls `owner` and `reap`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from slotmem.interface import Owner
from slotmem.processes import is_gone
from slotmem.slots import Slots
from slotmem.status import NotInUse


def owner_of(algorithm: Slots, item_id: int) -> Owner | None:
    """Return who has a slot (OWNER-1)."""
    if algorithm.pregrab:
        with suppress(NotInUse):
            algorithm.get(item_id, 0)  # finishes a put that a death cut short
    found = algorithm.tenant(item_id)
    return None if found is None else Owner(*found)


def reap(algorithm: Slots, callback: Callable[[int, Owner], object] | None) -> list[int]:
    """Release the slots of the dead, and return their ids (REAP-1).

    Whoever is dead grabs nothing any more: a slot that still has its token is still its slot.
    """
    gone: dict[int, bool] = {}
    reaped = []
    for item_id, token in enumerate(algorithm.tenants):
        if token and token not in gone:
            gone[token] = is_gone(token)
        if token and gone[token]:
            if callback is not None:
                found = owner_of(algorithm, item_id)
                if found is None or found.token != token or not callback(item_id, found):
                    continue
            if algorithm.reclaim(item_id, token):
                reaped.append(item_id)
    return reaped
