"""One spinlock around each operation: taken by compare-and-swap, released by a plain store.

On x86 no fence is needed: stores become visible in the order in which they were made, so a process
that sees the lock free sees what was done under it. An operation may return while its stores still
wait in the store buffer; nobody can tell, for everybody else waits for the lock. An operation that
does not take the lock can tell: see the museum.

It does not survive deaths: nobody is told.
"""

from __future__ import annotations

from typing import Any

from slotmem_model.algorithms.httpd_locked import HttpdLocked
from slotmem_model.automata.shared_words import ExtraWord


class SpinLock(HttpdLocked):
    """httpd's operations, each under the one spinlock."""

    extra_words = (ExtraWord("lock", values=2),)

    def __init__(self, image: Any) -> None:
        super().__init__(image)
        self.lock = image.extra["lock"]

    def enter(self, which: int) -> None:
        """Try again and again to swap 0 for 1."""
        del which
        while not self.image.compare_and_swap(self.image.cell(self.lock, 0), 0, 1):
            self.image.retry()

    def leave(self, which: int) -> None:
        """Store 0."""
        del which
        self.lock[0] = 0
