"""One ticket lock around each operation: first come, first served.

    enter: take a ticket (fetch_add); wait until it is the one served
    leave: serve the next ticket

Nobody overtakes, as they may at a spinlock. The ticket must be kept while waiting, so `retry`,
which forgets, will not do; `wait_for` will. This is the ticket lock of Mellor-Crummey and Scott
(1991) without their backoff, since in the checker a wait costs nothing. It does not survive deaths:
a dead holder's ticket is served for ever.
"""

from __future__ import annotations

from typing import Any

from slotmem_model.algorithms.httpd_locked import HttpdLocked
from slotmem_model.automata.shared_words import ExtraWord


class TicketLock(HttpdLocked):
    """httpd's operations, each under the one ticket lock."""

    extra_words = (ExtraWord("next ticket", values=8, goes_round=True), ExtraWord("served", values=8, goes_round=True))
    """More values than there are processes will do: they wrap round, as 32 bits do."""

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
