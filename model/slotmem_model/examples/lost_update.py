"""Two processes add one to a counter, and one of the two is lost.

`n += 1` is three things: load, add, store. Between load and store another process may do all of
its own; then the store writes over it. (The first example of any course on concurrency; see
Arpaci-Dusseau, Operating Systems: Three Easy Pieces, "Concurrency: An Introduction".)
"""

from slotmem_model.program import Lock, Words, operation


class LostUpdate:
    """A counter that is loaded and stored: an addition can be lost."""

    n = Words(1, initial=0)

    @operation
    def increment(self) -> int:
        """Add one, and return what was there before."""
        value: int = self.n[0]
        self.n[0] = value + 1
        return value


class FetchAndAdd(LostUpdate):
    """A counter with an atomic addition: nothing is lost."""

    @operation
    def increment(self) -> int:
        """Add one in a single step."""
        before: int = self.n.fetch_add(0, 1)
        return before


class CompareAndSwap(LostUpdate):
    """A counter that tries again whenever somebody was quicker: nothing is lost."""

    @operation
    def increment(self) -> int:
        """Store only if nobody has stored since the load."""
        while True:
            value: int = self.n[0]
            if self.n.compare_and_swap(0, value, value + 1):
                return value


class Locked(LostUpdate):
    """A counter that is loaded and stored under a lock: nothing is lost."""

    lock = Lock()

    @operation
    def increment(self) -> int:
        """Add one while nobody else can."""
        with self.lock:
            return super().increment()
