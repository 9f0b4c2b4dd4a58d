"""The simplest lock: a word that is swapped for 1 until it was 0.

Mutual exclusion needs that test and set are one step. It promises nothing about who comes next: a
process may find the lock taken each time it looks.
"""

from slotmem_model.examples.specifications import Mutex
from slotmem_model.program import Words, operation


class TestAndSet:
    """Whoever swaps a 0 away has the lock."""

    __test__ = False  # no test, whatever its name begins with
    taken = Words(1, initial=0)
    clients = ("enter; leave; enter; leave",)
    specification = Mutex

    @operation
    def enter(self) -> None:
        """Swap until it was free."""
        while self.taken.swap(0, 1):
            pass

    @operation
    def leave(self) -> None:
        """Set it free."""
        self.taken[0] = 0


class TestThenSet(TestAndSet):
    """Tests, and then sets, in two steps: two may test before one sets."""

    @operation
    def enter(self) -> None:
        """Wait until it is free, and take it."""
        while self.taken[0]:
            pass
        self.taken[0] = 1
