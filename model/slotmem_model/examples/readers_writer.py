"""A lock for one writer or many readers, in one word: the number of readers, or -1.

P. J. Courtois, F. Heymans and D. L. Parnas, "Concurrent control with 'readers' and 'writers'"
(1971) posed it; one word and compare-and-swap came later.
"""

from slotmem_model.examples.specifications import ReadersWriter as Sequential
from slotmem_model.program import Words, operation


class ReadersWriter:
    """Readers count themselves in and out; a writer needs the word to be 0."""

    state = Words(1, initial=0)
    clients = (("read_lock; read_unlock", "write_lock; write_unlock"), ("write_lock; write_unlock",))
    specification = Sequential

    @operation
    def read_lock(self) -> None:
        """Count this reader in, unless somebody writes."""
        while True:
            readers = self.state[0]
            if readers >= 0 and self.state.compare_and_swap(0, readers, readers + 1):
                return

    @operation
    def read_unlock(self) -> None:
        """Count it out."""
        self.state.fetch_add(0, -1)

    @operation
    def write_lock(self) -> None:
        """Wait until nobody reads or writes."""
        while not self.state.compare_and_swap(0, 0, -1):
            pass

    @operation
    def write_unlock(self) -> None:
        """Let all others go on."""
        self.state[0] = 0


class LooksThenCounts(ReadersWriter):
    """A reader looks for a writer first and counts itself in afterwards: one may come between."""

    @operation
    def read_lock(self) -> None:
        """Wait for the writer, then count."""
        while self.state[0] < 0:
            pass
        self.state.fetch_add(0, 1)
