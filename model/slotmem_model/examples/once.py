"""Something made once, by whoever needs it first: double-checked locking.

D. C. Schmidt and T. Harrison, "Double-checked locking" (1996), and the declaration that it "is
broken" (D. Bacon and others, 2000): where stores may be reordered, by a compiler or a processor,
the flag can be seen before what it stands for.
"""

from slotmem_model.program import Lock, Words, fence, invariant, operation


class Once:
    """Looks without the lock, then once more with it; the flag is stored last."""

    made = Words(1, initial=0)
    value = Words(1, initial=None)
    is_there = Words(1, initial=False)
    lock = Lock()
    clients = ("get; get",)

    @operation
    def get(self) -> int:
        """Return the value; make it if nobody has."""
        if not self.is_there[0]:
            with self.lock:
                if not self.is_there[0]:
                    self.make()
        value: int = self.value[0]
        return value

    def make(self) -> None:
        """Make the value, then say that it is there."""
        self.made.fetch_add(0, 1)
        self.value[0] = 42
        self.is_there[0] = True

    @invariant
    def at_most_once(self) -> bool:
        """It is made once."""
        return bool(self.made[0] <= 1)


class FencedOnce(Once):
    """With a fence between the value and the flag: right where stores may be reordered, too."""

    def make(self) -> None:
        """Let everybody see the value before the flag."""
        self.made.fetch_add(0, 1)
        self.value[0] = 42
        fence()
        self.is_there[0] = True


class FlagFirst(Once):
    """The flag is stored before the value."""

    def make(self) -> None:
        """Two lines in the wrong order."""
        self.made.fetch_add(0, 1)
        self.is_there[0] = True
        self.value[0] = 42


class ChecksOnce(Once):
    """Does not look again once it has the lock."""

    @operation
    def get(self) -> int:
        """Look, lock, make."""
        if not self.is_there[0]:
            with self.lock:
                self.make()
        value: int = self.value[0]
        return value
