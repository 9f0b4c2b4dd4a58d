"""Who has which slot: the operations that ask and that act on the answer.

`Tenancy` is a base of `slotmem.slots.Slots`, whose header has the rules; they hold here, too.
Tenants are tokens of `slotmem.processes`.

- `tenant(item_id)`            who has a slot, and whether it was put since
- `reclaim(item_id, tenant)`   releases a slot if that process has it
"""

from __future__ import annotations

from slotmem.memory.mutex import EDEADLK, GIVEN_UP
from slotmem.recovery import COUNTERS, TABLE, Recoverable


class Tenancy(Recoverable):
    """What can be asked of a slot's tenant."""

    def tenant(self, item_id: int) -> tuple[int, bool] | None:
        """Return who has a slot, and whether it was put since; None if it is free or nobody knows
        (OWNER-1, OWNER-2).
        """
        item_id = self.checked_id(item_id)
        mutex = self.table_mutex
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            try:
                status = trylock(mutex)
                if status or self.marks[TABLE]:
                    status = self._enter(TABLE, status)
                used = self.inuse[item_id]
                if used:
                    tenant: int = self.tenants[item_id]
                    putter: int = self.putters[item_id]
                unlock(mutex)
            except BaseException:
                self.dirty[TABLE] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
                raise
        except BaseException:
            self.dirty[TABLE] = 1
            unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
            raise
        return (tenant, putter == tenant) if used and tenant else None

    def reclaim(self, item_id: int, tenant: int) -> bool:
        """Release a slot if this process has it; return whether it did (REAP-1)."""
        item_id = self.checked_id(item_id)
        mutex, num_free = self.table_mutex, self.num_free
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            try:
                status = trylock(mutex)
                if status or self.marks[TABLE]:
                    status = self._enter(TABLE, status)
                has_it = self.inuse[item_id] and self.tenants[item_id] == tenant
                if has_it:
                    self.inuse[item_id] = 0
                    free = num_free[0] + 1
                    num_free[0] = free if free < COUNTERS else 0
                    self.tenants[item_id] = 0
                    waited = free == 1 and self.waiting[0]
                    if waited:  # never in the model: nobody waits for a slot
                        self.waiting[0] = 0
                unlock(mutex)
            except BaseException:
                self.dirty[TABLE] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
                raise
        except BaseException:
            self.dirty[TABLE] = 1
            unlock(mutex if status != EDEADLK and self.owners[TABLE] != GIVEN_UP else self.nobody)
            raise
        if has_it and waited:  # never in the model: nobody waits for a slot
            self.image.wake()
        return bool(has_it)

    operations = frozenset([tenant.__code__, reclaim.__code__])
