"""Two locks, each given back if the other one is taken: no deadlock, and no end either.

All are busy, and nothing is ever done: a livelock, as two who meet in a corridor and step aside,
both to the same side (E. A. Ashcroft, "Proving assertions about parallel programs", 1975).
"""

from slotmem_model.program import Words, operation


class TryBoth:
    """Takes its own lock first, and tries again if it does not get the other one."""

    locks = Words(2, initial=0)
    clients = ("work",)

    @operation
    def work(self, me: int) -> None:
        """Have both locks, and give them back."""
        self.take(me, 1 - me)
        self.locks[1 - me] = 0
        self.locks[me] = 0

    def take(self, first: int, second: int) -> None:
        """Take both."""
        while True:
            if self.locks.compare_and_swap(first, 0, 1):
                if self.locks.compare_and_swap(second, 0, 1):
                    return
                self.locks[first] = 0


class InOrder(TryBoth):
    """Everybody takes lock 0 first: whoever has it gets the other one as well."""

    def take(self, first: int, second: int) -> None:
        """Take both, the lower one first."""
        super().take(min(first, second), max(first, second))
