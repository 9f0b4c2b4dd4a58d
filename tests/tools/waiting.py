"""Programs that wait, try again, or get in each other's way: each has its place in the hierarchy of
progress.
"""

from slotmem_model.program import Lock, Words, operation


class SpinLock:
    """A test-and-set lock: whoever waits may be unlucky for ever."""

    lock = Words(1, initial=0)

    @operation
    def work(self):
        """Take it, and release it."""
        while not self.lock.compare_and_swap(0, 0, 1):
            pass
        self.lock[0] = 0


class TicketLock:
    """First come, first served; but tickets are drawn by compare-and-swap, and there is no first
    come, first served for that.
    """

    next = Words(1, initial=0)
    served = Words(1, initial=0)

    @operation
    def work(self):
        """Draw a ticket, wait for it, serve the next."""
        ticket = self.next[0]
        while not self.next.compare_and_swap(0, ticket, (ticket + 1) % 4):
            ticket = self.next[0]
        while self.served[0] != ticket:
            pass
        self.served[0] = (ticket + 1) % 4


class Peterson:
    """Peterson's lock for two (1981): nobody overtakes twice."""

    wants = Words(2, initial=0)
    turn = Words(1, initial=0)

    @operation
    def work(self, me):
        """Let the other one go first, if it wants to."""
        self.wants[me] = 1
        self.turn[0] = 1 - me
        while self.wants[1 - me] and self.turn[0] == 1 - me:
            pass
        self.wants[me] = 0


class TryBoth:
    """Two locks, taken in two orders: each process gives its first one back if the second is taken,
    and tries again.
    """

    locks = Words(2, initial=0)

    @operation
    def work(self, me):
        """Have both locks."""
        while True:
            if self.locks.compare_and_swap(me, 0, 1):
                if self.locks.compare_and_swap(1 - me, 0, 1):
                    break
                self.locks[me] = 0
        self.locks[1 - me] = 0
        self.locks[me] = 0


class CountsBySwap:
    """Compare and swap until it works: somebody's always does."""

    n = Words(1, initial=0)

    @operation
    def increment(self):
        """Count, modulo 3."""
        while True:
            value = self.n[0]
            if self.n.compare_and_swap(0, value, (value + 1) % 3):
                return value


class Claims:
    """Each process writes its name until it reads it again: alone it ends at once, together maybe
    never.
    """

    name = Words(1, initial=None)

    @operation
    def claim(self, me):
        """Write it, and look."""
        while True:
            self.name[0] = me
            if self.name[0] == me:
                break


class Reads:
    """Nothing to wait for."""

    n = Words(1, initial=0)

    @operation
    def read(self):
        """Look twice."""
        return self.n[0], self.n[0]


class OneLooks:
    """One process looks at two words in turn until the other has written one of them."""

    a = Words(2, initial=0)

    @operation
    def look(self):
        """Look at one word and at the other."""
        while not self.a[0] and not self.a[1]:
            pass

    @operation
    def write(self):
        """Write the second."""
        self.a[1] = 1


class NeverTold:
    """One process waits for a word that nobody writes; the other reads another one, in one step."""

    go = Words(1, initial=0)
    other = Words(1, initial=0)

    @operation
    def wait(self):
        """Wait."""
        while not self.go[0]:
            pass

    @operation
    def read(self):
        """Read."""
        return self.other[0]


class Kept:
    """A plain mutex, which stays locked for ever if its holder dies."""

    lock = Lock()
    n = Words(1, initial=0)

    @operation
    def flip(self):
        """Flip a bit."""
        with self.lock:
            self.n[0] = 1 - self.n[0]
