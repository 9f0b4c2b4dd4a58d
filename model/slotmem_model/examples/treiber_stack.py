"""Treiber's stack of slot ids, and what goes wrong when an id comes back: ABA.

R. K. Treiber, "Systems programming: coping with parallelism" (1986). A pop reads the top and the
id below it, and swaps the one for the other if the top is still the same. Equal does not mean
unchanged: meanwhile the top may have been taken away, the one below too, and the first put back. A
number that changes with each swap tells the difference (IBM System/370, Principles of Operation).
"""

from typing import Any

from slotmem_model.examples.specifications import Stack
from slotmem_model.program import Words, operation


class TreiberStack:
    """The top is an id and a number that counts changes."""

    top = Words(1, initial=[(0, 0)])
    below = Words(2, initial=[1, None])
    clients = (("pop; pop", "pop -> a; pop -> b; push(a)"),)

    class specification(Stack):  # noqa: N801 - the checker looks for this name
        """A stack with 0 on top of 1."""

        def __init__(self) -> None:
            self.items = [1, 0]

    @operation
    def push(self, item: int) -> None:
        """Put an id on top, once it points to the one that is there."""
        while True:
            top, changes = self.top[0]
            self.below[item] = top
            if self.top.compare_and_swap(0, (top, changes), (item, changes + 1)):
                return

    @operation
    def pop(self) -> Any:
        """Take the id on top; None if there is none."""
        while True:
            top, changes = self.top[0]
            if top is None:
                return None
            if self.top.compare_and_swap(0, (top, changes), (self.below[top], changes + 1)):
                return top


class AbaStack(TreiberStack):
    """The top is an id alone: one that has gone and come back is taken for the same."""

    top = Words(1, initial=0)

    @operation
    def push(self, item: int) -> None:
        """Put an id on top."""
        while True:
            top = self.top[0]
            self.below[item] = top
            if self.top.compare_and_swap(0, top, item):
                return

    @operation
    def pop(self) -> Any:
        """Take the id on top."""
        while True:
            top = self.top[0]
            if top is None:
                return None
            if self.top.compare_and_swap(0, top, self.below[top]):
                return top
