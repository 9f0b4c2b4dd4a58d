"""A pair of words under a sequence number: readers take no lock, and try again.

S. Hemminger's seqlock of Linux 2.5.60 (2003), after C. Lameter, "Effective synchronization on
Linux/NUMA systems" (2005). The number is odd while the pair is written; a reader that finds it odd,
or changed, has seen half of something.
"""

from slotmem_model.examples.specifications import Register
from slotmem_model.program import Words, operation


class Seqlock:
    """One writer; a reader reads the number before and after."""

    sequence = Words(1, initial=0)
    pair = Words(2, initial=0)
    clients = (("write((1, 1)); write((2, 2))", "read"),)

    class specification(Register):  # noqa: N801 - the checker looks for this name
        """A register that begins with two zeros."""

        def __init__(self) -> None:
            self.value = (0, 0)

    @operation
    def write(self, pair: tuple[int, int]) -> None:
        """Make the number odd, write, make it even."""
        before = self.sequence[0]
        self.sequence[0] = before + 1
        self.pair[0], self.pair[1] = pair
        self.sequence[0] = before + 2

    @operation
    def read(self) -> tuple[int, int]:
        """Try again until nobody wrote meanwhile."""
        while True:
            before = self.sequence[0]
            if before % 2:
                continue
            pair = (self.pair[0], self.pair[1])
            if self.sequence[0] == before:
                return pair


class ReadsOnce(Seqlock):
    """Reads the number before, and not after: what it read may be half old, half new."""

    @operation
    def read(self) -> tuple[int, int]:
        """Wait for an even number, and read."""
        while self.sequence[0] % 2:
            pass
        return (self.pair[0], self.pair[1])
