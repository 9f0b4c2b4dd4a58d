"""One ticket lock around each operation: who comes first is served first.

    enter: take a ticket (fetch_add); wait until it is the one served
    leave: serve the next ticket

Nobody overtakes, as somebody may at a spinlock. The ticket is kept while waiting, so `retry`, which
forgets, cannot say this; `wait_for` can. Not for deaths: a dead holder's ticket is served for ever.
"""

from __future__ import annotations

from typing import Any

from slotmem_model.algorithms.httpd_locked import HttpdLocked
from slotmem_model.automata.shared_words import ExtraWord


class TicketLock(HttpdLocked):
    """httpd's operations, each under the one ticket lock."""

    extra_words = (ExtraWord("next ticket", values=8, goes_round=True), ExtraWord("served", values=8, goes_round=True))
    """More than there are processes will do: numbers go round, as 32 bits do."""

    def __init__(self, image: Any) -> None:
        super().__init__(image)
        self.next_ticket = image.cell(image.extra["next ticket"], 0)
        self.served = image.cell(image.extra["served"], 0)

    def enter(self, which: int) -> None:
        """Take a ticket and wait until it is served."""
        del which
        ticket = self.image.fetch_add(self.next_ticket, 1)
        self.image.wait_for(self.served, ticket)

    def leave(self, which: int) -> None:
        """Serve the next ticket."""
        del which
        self.image.fetch_add(self.served, 1)
