"""Two locks, taken crosswise: each process has one and waits for the other.

E. G. Coffman, M. J. Elphick and A. Shoshani, "System deadlocks" (1971): it takes a circle of
waiting. Where all take locks in one order there is none.
"""

from slotmem_model.program import Lock, Words, operation


class TwoLocks:
    """Both operations take the locks in the same order."""

    one = Lock()
    other = Lock()
    here = Words(1, initial=1)
    there = Words(1, initial=1)
    clients = (("give", "take"),)

    def move(self, amount: int) -> None:
        """Move some from here to there; both locks are held."""
        self.here[0] = self.here[0] - amount
        self.there[0] = self.there[0] + amount

    @operation
    def give(self) -> None:
        """Move one there."""
        with self.one, self.other:
            self.move(1)

    @operation
    def take(self) -> None:
        """Move one back."""
        with self.one, self.other:
            self.move(-1)


class Crosswise(TwoLocks):
    """One takes them in one order, one in the other."""

    @operation
    def take(self) -> None:
        """Move one back: the other lock first."""
        with self.other, self.one:
            self.move(-1)
