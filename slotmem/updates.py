"""Reading and writing a slot in one step: `update`, `compare_and_put` and `locked`.

`get` and then `put` are two operations, and another process may come in between. Here the slot's
lock is held from the look to the last store, and the rules of `slotmem.slots` hold as they do for
put: what is written goes through the redo record, so that after a death or an exception it has
happened wholly or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from slotmem.blocks import FORKED, Locked, Shown
from slotmem.memory.layout import SLOTS_START
from slotmem.memory.mutex import EDEADLK, GIVEN_UP
from slotmem.recovery import COUNTERS, Recoverable
from slotmem.status import Reentered, WrongType


class Updates(Recoverable):
    """The operations that look at a slot and write to it under one lock."""

    def update(self, item_id: int, function: Callable[[bytes], Any]) -> bytes:
        """Replace the beginning of a slot by what function makes of all its bytes; return that."""
        if type(item_id) is not int or not 0 <= item_id < self.item_num:  # never in the model: no client has a function
            item_id = self.checked_id(item_id)
        if not callable(function):
            raise WrongType(f"update takes a function from the slot's bytes to its new ones, got {function!r}")
        pid = os.getpid()

        def decide(was: bytes) -> bytes:
            made = function(was)
            if os.getpid() != pid:
                raise Reentered(FORKED)
            if type(made) is not bytes:
                made = self.checked_bytes(made)
            if len(made) > self.item_size:
                self.checked_length(len(made))
            return made

        data = self._change(item_id, decide, self.item_size)
        assert data is not None
        return data

    def compare_and_put(self, item_id: int, expected: Any, new: Any) -> bool:
        """Put new if the slot begins with expected; return whether it did (UPDATE-1, UPDATE-2)."""
        if type(item_id) is not int or not 0 <= item_id < self.item_num:
            item_id = self.checked_id(item_id)
        if type(expected) is not bytes:
            expected = self.checked_bytes(expected)  # never in the model: clients give bytes
        if type(new) is not bytes:
            new = self.checked_bytes(new)  # never in the model: clients give bytes
        if len(expected) > self.item_size or len(new) > self.item_size:  # never in the model: clients fill slots
            self.checked_length(max(len(expected), len(new)))
        return self._change(item_id, lambda was: new if was == expected else None, len(expected)) is not None

    def _change(self, item_id: int, decide: Callable[[bytes], bytes | None], looked_at: int) -> bytes | None:
        """Put what decide makes of the slot's first bytes, unless that is None, and return it.
        Nobody writes to the slot in between (UPDATE-3).

        Raises:
            NotInUse: with PREGRAB. Without, the slot becomes in use, as with get and put.
        """
        start = SLOTS_START + item_id * self.item_size
        which, mutex = self.stripe_guards[item_id % self.stripes]
        data: bytes | None = None
        trylock, unlock = self.trylock, self.unlock
        status = 0
        try:
            try:
                status = trylock(mutex)
                if status or self.marks[which]:
                    status = self._enter(which, status)
                tenant = self.tenants[item_id]
                used = self.inuse[item_id]
                if used or not self.pregrab:
                    data = decide(self.memory[start : start + looked_at])
                    self._write(item_id, data, used, tenant)
                unlock(mutex)
            except BaseException:
                self.dirty[which] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[which] != GIVEN_UP else self.nobody)
                raise
        except BaseException:
            self.dirty[which] = 1
            unlock(mutex if status != EDEADLK and self.owners[which] != GIVEN_UP else self.nobody)
            raise
        if not used and self.pregrab:
            self._refuse(item_id)
        return data

    def _write(self, item_id: int, data: bytes | None, used: int, tenant: int) -> None:
        """Do what a put does, with the slot's mutex held; None leaves the bytes.

        used, tenant: what the in-use byte and the tenant were at the look.
        """
        which, _, word, copy = self.stripe_redo[item_id % self.stripes]
        start = SLOTS_START + item_id * self.item_size
        if not used:
            self.putters[item_id] = 0
            tenant = self.tenants[item_id] = self.me[0]
        if data is not None:
            self.putting[which] = tenant
            self.redo[copy : copy + len(data)] = data
            self.words[word + 1] = len(data)
            self.words[word] = item_id + 1  # from here on it happens, whoever finishes it
            self.memory[start : start + len(data)] = data
        if not used:
            self.inuse[item_id] = 1
            self.num_free[0] = (self.num_free[0] or COUNTERS) - 1
        if data is not None:
            self.putters[item_id] = tenant
            self.words[word] = 0

    def locked(  # never in the model: no client has a block
        self, item_id: int, make: Callable[[memoryview], Shown]
    ) -> Locked[Shown]:
        """Return a block that holds the slot's lock; see `slotmem.blocks`."""
        return Locked(self, self.checked_id(item_id), make)

    calling = frozenset([_change.__code__])
    operations = calling | Locked.operations
