"""A lock with tickets, served in the order in which they were drawn.

D. P. Reed and R. K. Kanodia, "Synchronization with eventcounts and sequencers" (1979). Nobody is
overtaken, so nobody waits for ever while the others go on.
"""

from slotmem_model.examples.specifications import Mutex
from slotmem_model.program import Words, operation


class TicketLock:
    """Draw a ticket in one step, and wait until it is called."""

    next = Words(1, initial=0)
    called = Words(1, initial=0)
    clients = ("enter; leave; enter; leave",)
    specification = Mutex

    @operation
    def enter(self) -> None:
        """Draw, and wait."""
        ticket = self.next.fetch_add(0, 1)
        while self.called[0] != ticket:
            pass

    @operation
    def leave(self) -> None:
        """Call the next one: nobody else writes that word."""
        self.called[0] = self.called[0] + 1


class SameTicket(TicketLock):
    """Draws in two steps: two may hold the same ticket."""

    @operation
    def enter(self) -> None:
        """Read the ticket, and store the next one."""
        ticket = self.next[0]
        self.next[0] = ticket + 1
        while self.called[0] != ticket:
            pass
