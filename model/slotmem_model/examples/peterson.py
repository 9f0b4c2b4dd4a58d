"""Peterson's lock for two processes.

G. L. Peterson, "Myths about the mutual exclusion problem" (1981). Say that you want to, let the
other one go first, and wait while it wants to and it is its turn. Like Dekker's it needs a fence
where stores wait in buffers.
"""

from slotmem_model.examples.specifications import Mutex
from slotmem_model.program import Words, fence, operation


class Peterson:
    """Two processes exclude each other, if stores are seen at once."""

    wants = Words(2, initial=False)
    turn = Words(1, initial=0)
    clients = ("enter; leave; enter; leave",)
    specification = Mutex

    @operation
    def enter(self, me: int) -> None:
        """Want to, give the turn away, wait."""
        self.wants[me] = True
        self.turn[0] = 1 - me
        while self.wants[1 - me] and self.turn[0] == 1 - me:
            pass

    @operation
    def leave(self, me: int) -> None:
        """Want no more."""
        self.wants[me] = False


class FencedPeterson(Peterson):
    """With a fence before the look."""

    @operation
    def enter(self, me: int) -> None:
        """Let everybody see the flag and the turn before looking at the other one's."""
        self.wants[me] = True
        self.turn[0] = 1 - me
        fence()
        while self.wants[1 - me] and self.turn[0] == 1 - me:
            pass


class TurnFirst(Peterson):
    """The turn is given away before the flag is set: both may enter."""

    @operation
    def enter(self, me: int) -> None:
        """Two lines in the wrong order."""
        self.turn[0] = 1 - me
        self.wants[me] = True
        while self.wants[1 - me] and self.turn[0] == 1 - me:
            pass
