"""Lamport's bakery: take a number, and wait for those with a smaller one.

L. Lamport, "A new solution of Dijkstra's concurrent programming problem" (1974). Two processes may
draw the same number; then the one with the smaller name goes first. That somebody is still drawing
has to be known: without it, one may draw a small number late and be overlooked.
"""

from slotmem_model.examples.specifications import Mutex
from slotmem_model.program import PROCESSES, Words, operation


class Bakery:
    """Any number of processes exclude one another, first come, first served."""

    drawing = Words(PROCESSES, initial=False)
    number = Words(PROCESSES, initial=0)
    clients = ("enter; leave",)
    specification = Mutex

    def draw(self, me: int) -> None:
        """Take a number larger than all that are seen, and show meanwhile that one is drawing."""
        self.drawing[me] = True
        self.number[me] = 1 + max([self.number[other] for other in range(len(self.number))])
        self.drawing[me] = False

    @operation
    def enter(self, me: int) -> None:
        """Draw, and wait for everybody who comes first."""
        self.draw(me)
        for other in range(len(self.number)):
            if other == me:
                continue
            while self.drawing[other]:
                pass
            while self.number[other] > 0 and (self.number[other], other) < (self.number[me], me):
                pass

    @operation
    def leave(self, me: int) -> None:
        """Throw the number away."""
        self.number[me] = 0


class SilentBakery(Bakery):
    """Nobody says that it is drawing: both may be served at once."""

    def draw(self, me: int) -> None:
        """Take a number without a word."""
        self.number[me] = 1 + max([self.number[other] for other in range(len(self.number))])
