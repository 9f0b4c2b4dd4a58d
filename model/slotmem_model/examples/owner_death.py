"""A robust lock tells that its last owner died. It does not repair what that one left.

POSIX (IEEE Std 1003.1-2017, pthread_mutex_lock, EOWNERDEAD). The next owner has to make the data
consistent. It can if what was about to be done was written down first: a redo record, as databases
have it (J. Gray and A. Reuter, Transaction Processing, 1993).
"""

from slotmem_model.program import RobustLock, Words, operation


class RedoRecord:
    """Two accounts; a transfer is written down before it is done, and done again after a death."""

    lock = RobustLock()
    here = Words(1, initial=2)
    there = Words(1, initial=0)
    record = Words(1, initial=None)
    clients = ("transfer; balance",)

    def enter(self) -> None:
        """Take the lock; finish what a dead owner had begun."""
        if self.lock.acquire():
            if self.record[0] is not None:
                self.here[0], self.there[0] = self.record[0]
            self.record[0] = None
            self.lock.consistent()

    @operation
    def transfer(self) -> None:
        """Move one from here to there."""
        self.enter()
        after = (self.here[0] - 1, self.there[0] + 1)
        self.record[0] = after
        self.here[0], self.there[0] = after
        self.record[0] = None
        self.lock.release()

    @operation
    def balance(self) -> tuple[int, int]:
        """Return both."""
        self.enter()
        both = (self.here[0], self.there[0])
        self.lock.release()
        return both


class NoRecord(RedoRecord):
    """Whoever is told of the death says that all is consistent, and goes on."""

    def enter(self) -> None:
        """Take the lock."""
        if self.lock.acquire():
            self.lock.consistent()


class StuckForEver(RedoRecord):
    """A lock that tells nobody: it stays locked."""

    def enter(self) -> None:
        """Take the lock, and do not even say that the data is consistent."""
        self.lock.acquire()
