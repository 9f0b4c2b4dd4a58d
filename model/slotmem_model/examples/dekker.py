"""Dekker's lock for two processes, the first that needs nothing but loads and stores.

T. J. Dekker, as Dijkstra tells it in "Cooperating sequential processes" (1965). Each says that it
wants to; if both do, the one whose turn it is not steps back. On a processor with store buffers the
flag may still be in the buffer when the other looks for it: both enter. A fence mends that.
"""

from slotmem_model.examples.specifications import Mutex
from slotmem_model.program import Words, fence, operation


class Dekker:
    """Two processes exclude each other, if stores are seen at once."""

    wants = Words(2, initial=False)
    turn = Words(1, initial=0)
    clients = ("enter; leave",)
    specification = Mutex

    def announce(self, me: int) -> None:
        """Say that this process wants to enter."""
        self.wants[me] = True

    @operation
    def enter(self, me: int) -> None:
        """Want to; while the other one wants to as well, step back if it is its turn."""
        self.announce(me)
        while self.wants[1 - me]:
            if self.turn[0] != me:
                self.wants[me] = False
                while self.turn[0] != me:
                    pass
                self.announce(me)

    @operation
    def leave(self, me: int) -> None:
        """Give the turn to the other one, and want no more."""
        self.turn[0] = 1 - me
        self.wants[me] = False


class FencedDekker(Dekker):
    """With a fence after each announcement, so that the other one sees it before this one looks."""

    def announce(self, me: int) -> None:
        """Say so, and wait until everybody can see it."""
        self.wants[me] = True
        fence()


class PoliteDekker(Dekker):
    """Without a turn: both want to, both wait, for ever."""

    @operation
    def enter(self, me: int) -> None:
        """Wait for as long as the other one wants to."""
        self.wants[me] = True
        while self.wants[1 - me]:
            pass
