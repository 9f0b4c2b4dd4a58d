"""The queue lock of Mellor-Crummey and Scott: each process waits at a word of its own.

J. M. Mellor-Crummey and M. L. Scott, "Algorithms for scalable synchronization on shared-memory
multiprocessors" (1991). Whoever comes puts itself at the tail and tells the one before. Whoever
leaves must not overlook one that has joined the tail but has not told yet.
"""

from slotmem_model.examples.specifications import Mutex
from slotmem_model.program import PROCESSES, Words, operation


class McsLock:
    """A queue of processes, each of which frees the next."""

    tail = Words(1, initial=None)
    next = Words(PROCESSES, initial=None)
    waits = Words(PROCESSES, initial=False)
    clients = ("enter; leave",)
    specification = Mutex

    @operation
    def enter(self, me: int) -> None:
        """Join the tail; if somebody was there, tell it and wait."""
        self.next[me] = None
        before = self.tail.swap(0, me)
        if before is not None:
            self.waits[me] = True
            self.next[before] = me
            while self.waits[me]:
                pass

    @operation
    def leave(self, me: int) -> None:
        """Free the next one; if none has told yet, one may have joined all the same."""
        if self.next[me] is None:
            if self.tail.compare_and_swap(0, me, None):
                return
            while self.next[me] is None:
                pass
        self.waits[self.next[me]] = False


class HastyMcsLock(McsLock):
    """Whoever leaves trusts what it was told: one that had just joined waits for ever."""

    @operation
    def leave(self, me: int) -> None:
        """Free the next one, if one has told."""
        following = self.next[me]
        if following is None:
            self.tail.compare_and_swap(0, me, None)
        else:
            self.waits[following] = False
