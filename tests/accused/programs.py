"""Programs for the tests: right ones, wrong ones, and classes that are none."""

import random
import threading
import time
from typing import ClassVar

from slotmem_model.program import (
    PROCESSES,
    Lock,
    Private,
    RobustLock,
    Words,
    blocked,
    choose,
    fence,
    final,
    invariant,
    operation,
    sometimes,
)


class Counter:
    """Loses updates."""

    n = Words(1, initial=0)

    @operation
    def increment(self):
        """Load, add, store."""
        value = self.n[0]
        self.n[0] = value + 1
        return value


class AtomicCounter(Counter):
    """Loses none."""

    @operation
    def increment(self):
        """Add in one step."""
        return self.n.fetch_add(0, 1)


class LockedCounter(Counter):
    """Loses none either."""

    lock = Lock()

    @operation
    def increment(self):
        """Add under a lock."""
        with self.lock:
            return super().increment()


class Peterson:
    """Two processes, one at a time; on sequentially consistent memory."""

    flag = Words(2, initial=False)
    turn = Words(1)
    clients = ("enter; leave; enter; leave",)

    @operation
    def enter(self, me):
        """Wait while the other wants to, and it is its turn."""
        self.flag[me] = True
        self.turn[0] = 1 - me
        while self.flag[1 - me] and self.turn[0] == 1 - me:
            pass

    @operation
    def leave(self, me):
        """Want no more."""
        self.flag[me] = False


class FencedPeterson(Peterson):
    """The same for store buffers."""

    @operation
    def enter(self, me):
        """With a fence before the look."""
        self.flag[me] = True
        self.turn[0] = 1 - me
        fence()
        while self.flag[1 - me] and self.turn[0] == 1 - me:
            pass


class LooksFirst(Peterson):
    """Looks before it says that it wants to: run alone it does the same to itself."""

    @operation
    def enter(self, me):
        """Look, then want."""
        while self.flag[1 - me]:
            pass
        self.flag[me] = True


class Mutex:
    """What a lock must do."""

    def __init__(self):
        self.held = False

    def enter(self, _me):
        """Take it, if it is free."""
        if self.held:
            blocked()
        self.held = True

    def leave(self, _me):
        """Give it back."""
        self.held = False


class Bakery:
    """Loops inside a `for`, over as many words as there are processes."""

    choosing = Words(PROCESSES, initial=False)
    number = Words(PROCESSES)
    clients = ("enter; leave",)
    specification = Mutex

    @operation
    def enter(self, me):
        """Take a number, and wait for those with a smaller one."""
        self.choosing[me] = True
        self.number[me] = 1 + max([self.number[other] for other in range(len(self.number))])
        self.choosing[me] = False
        for other in range(len(self.number)):
            if other == me:
                continue
            while self.choosing[other]:
                pass
            while self.number[other] > 0 and (self.number[other], other) < (self.number[me], me):
                pass

    @operation
    def leave(self, me):
        """Give the number up."""
        self.number[me] = 0


class Pair:
    """Two words that change together, under a robust lock; who finds its owner dead makes them
    equal.
    """

    lock = RobustLock()
    n = Words(1)
    m = Words(1)
    clients = ("turn",)

    @operation
    def turn(self):
        """Turn both."""
        with self.lock as died:
            if died:
                self.m[0] = self.n[0]
                self.lock.consistent()
            self.n[0] = 1 - self.n[0]
            self.m[0] = 1 - self.m[0]
            return self.n[0]

    @sometimes
    def is_one(self):
        """It turns."""
        return self.n[0] == 1


class Careless(Pair):
    """Who finds its owner dead does nothing about it."""

    clients = ("turn", ("turn", "look"))

    @operation
    def turn(self):
        """Turn both, whatever was left."""
        with self.lock as died:
            if died:
                self.lock.consistent()
            self.n[0] = 1 - self.n[0]
            self.m[0] = 1 - self.m[0]

    @operation
    def look(self):
        """They are equal under the lock."""
        with self.lock as died:
            if died:
                self.lock.consistent()
            assert self.n[0] == self.m[0], "half turned"


class Inconsistent(Pair):
    """Who finds its owner dead does not even say so."""

    clients = ("turn; turn",)

    @operation
    def turn(self):
        """Turn both, and never call consistent."""
        with self.lock:
            self.n[0] = 1 - self.n[0]


class Bounded:
    """A counter that an invariant keeps below 2, wrongly."""

    n = Words(1)
    clients = ("up",)

    @operation
    def up(self):
        """Count up."""
        self.n.fetch_add(0, 1)

    @invariant
    def below_two(self):
        """It is."""
        assert self.n[0] < 2, f"it is {self.n[0]}"


class AtTheEnd(Bounded):
    """What holds at the end need not hold before."""

    @invariant
    def below_two(self):
        """Anything goes."""
        return True

    @final
    def is_two(self):
        """Both have counted."""
        return self.n[0] == 2


class Never(AtTheEnd):
    """Waits for what does not happen."""

    @sometimes
    def is_nine(self):
        """It never is."""
        return self.n[0] == 9


class Private2:
    """Each process counts for itself, without a step; the words say who came last."""

    mine = Private(0)
    last = Words(1, initial=None)

    @operation
    def count(self, me):
        """Count, and say who did."""
        self.mine += 1
        self.last[0] = me
        return self.mine


class HeldAcross:
    """A lock that is taken in one operation and given back in another."""

    lock = Lock()
    clients = ("enter; leave; enter; leave",)

    @operation
    def enter(self):
        """Take it."""
        self.lock.acquire()

    @operation
    def leave(self):
        """Give it back."""
        self.lock.release()


class TwoLocks:
    """Deadlock."""

    one, two = Lock(), Lock()

    @operation
    def forth(self):
        """One, then two."""
        with self.one, self.two:
            pass

    @operation
    def back(self):
        """Two, then one."""
        with self.two, self.one:
            pass


class Waits:
    """Waits for what nobody does."""

    flag = Words(1)
    waiting = Words(1)

    @operation
    def wait(self):
        """For ever."""
        self.waiting[0] = 1
        while not self.flag[0]:
            pass


class Bag:
    """Any of its members may be taken."""

    members = Words(1, initial=(1, 2))
    clients = ("take; take",)

    @operation
    def take(self):
        """Take the last."""
        while True:
            members = self.members[0]
            if not members:
                return None
            if self.members.compare_and_swap(0, members, members[:-1]):
                return members[-1]


class AnyOfThem:
    """What a bag must do."""

    def __init__(self):
        self.left = [1, 2]

    def take(self):
        """Take any."""
        if not self.left:
            return None
        taken = choose(self.left)
        self.left.remove(taken)
        return taken


class Raises:
    """An exception of the user's own."""

    n = Words(1)

    @operation
    def divide(self):
        """By nothing."""
        return 1 // self.n[0]


class _Unfit:
    n = Words(1)


class FlushedRegister:
    """A register; to flush does nothing."""

    def __init__(self):
        self.value = 0

    def put(self, value):
        """Replace it."""
        self.value = value

    def get(self):
        """Return it."""
        return self.value

    def flush(self):
        """Do nothing."""


class Announced:
    """A register: a put is announced first; who flushes puts it into place."""

    wanted = Words(1, initial=None)
    value = Words(1)
    clients = (("put(1)", "get; flush; get"),)
    specification = FlushedRegister

    @operation
    def put(self, value):
        """Announce it, and put it there."""
        self.wanted[0] = value
        self.flush()

    @operation
    def get(self):
        """Look at what is there."""
        return self.value[0]

    @operation
    def flush(self):
        """Put what was announced into place."""
        wanted = self.wanted[0]
        if wanted is not None:
            self.value[0] = wanted
            self.wanted[0] = None


class HelpedGet(Announced):
    """Whoever looks puts what was announced into place first: nothing takes effect late."""

    @operation
    def get(self):
        """Flush, and look."""
        self.flush()
        return self.value[0]


class Random(_Unfit):
    """Depends on luck."""

    @operation
    def go(self):
        """Sometimes store."""
        if random.random() < 0.5:
            self.n[0] = 1


class RandomResult(_Unfit):
    """Answers what luck says."""

    @operation
    def go(self):
        """Load, and say something else."""
        return self.n[0], random.random()


class Clock(_Unfit):
    """Stores the time."""

    @operation
    def go(self):
        """Store it."""
        self.n[0] = time.monotonic_ns()


class Global(_Unfit):
    """Remembers what it should not."""

    seen: ClassVar[list] = []

    @operation
    def go(self):
        """Remember."""
        self.seen.append(self.n[0])
        return len(self.seen)


class Recursion(_Unfit):
    """Calls itself."""

    @operation
    def go(self, deep=0):
        """Again."""
        return self.go(deep + self.n[0] + 1)


class Idle(_Unfit):
    """Never looks at memory."""

    @operation
    def go(self):
        """Turn."""
        while True:
            pass


class IdleCount(_Unfit):
    """Never looks at memory, and never comes back to where it was."""

    @operation
    def go(self):
        """Count."""
        tries = 0
        while True:
            tries += 1


class Tries(_Unfit):
    """Counts its tries."""

    @operation
    def go(self):
        """Count."""
        tries = 0
        while not self.n[0]:
            tries += 1


class Hidden(_Unfit):
    """Waits in the middle of an expression."""

    @operation
    def go(self):
        """Wait."""
        return self.n[0] + self.wait()

    def wait(self):
        """Wait."""
        while not self.n[0]:
            pass
        return 1


class Counts(_Unfit):
    """A word that is counted up without end."""

    @operation
    def go(self):
        """Add one for ever."""
        while True:
            self.n.fetch_add(0, 1)


class Grows(_Unfit):
    """A word that gets twice as large without end."""

    clients = ("go; go; go",)

    @operation
    def go(self):
        """Put itself into itself."""
        while True:
            before = self.n[0]
            if self.n.compare_and_swap(0, before, (before, before)):
                before = None


class StoresList(_Unfit):
    """A value that others could change."""

    @operation
    def go(self):
        """Store it."""
        self.n[0] = []


class ReturnsDict(_Unfit):
    """An answer that cannot be compared by hashing."""

    @operation
    def go(self):
        """Return it."""
        return {"n": self.n[0]}


class Assigns(_Unfit):
    """Forgets the index."""

    @operation
    def go(self):
        """Assign."""
        self.n = 1


class Opens(_Unfit):
    """Real files."""

    @operation
    def go(self):
        """Open one."""
        with open(__file__, encoding="utf-8") as file:
            self.n[0] = len(file.readline())


class Threads(_Unfit):
    """Real threads."""

    @operation
    def go(self):
        """Start one."""
        threading.Thread(target=int).start()
        self.n[0] = 1


class NeedsArgument(_Unfit):
    """Nobody knows what to push."""

    @operation
    def push(self, value):
        """Push it."""
        self.n[0] = value


class BadClients(_Unfit):
    """Its clients are no list of questions."""

    clients = (3,)

    @operation
    def go(self):
        """Load."""
        return self.n[0]


class NoOperation:
    """Words, and nothing to do."""

    n = Words(1)


UNFIT = {
    Random: "go() takes random numbers: an operation must do the same each time",
    RandomResult: "go() takes random numbers",
    Clock: "does not always do the same",
    Global: "does not always do the same",
    Recursion: "calls itself without end, in line",
    Idle: "never leaves the loop in line",
    IdleCount: "goes on and on in the loop in line",
    Tries: "in more than 500 different states",
    Hidden: "has made 1,000 accesses, and goes on, in line",
    Counts: "n gets more and more values, 64 so far; the next is 64, in line",
    Grows: "n gets a value of more than 1,000 parts, in line",
    StoresList: "n[0] gets [], which others could change",
    ReturnsDict: "which cannot be hashed",
    Assigns: "self.n is declared by the class and cannot be assigned",
    Opens: "go opens a file",
    Threads: "starts a thread",
    NeedsArgument: "expected push(value); say what processes do",
    BadClients: "BadClients.clients is (3,)",
    NoOperation: "no program",
}
"""What is said of each."""
