"""A ring buffer for one producer and one consumer, without a lock.

L. Lamport, "Proving the correctness of multiprocess programs" (1977), proved one. Each of the two
indexes has one writer. The item has to be there before the index says so. Behind store buffers it
still is a queue, but what was put may not be seen yet: not linearizable, says the checker of tso.
"""

from typing import Any

from slotmem_model.examples.specifications import ShortQueue
from slotmem_model.program import Words, operation


class RingBuffer:
    """Two cells; the indexes count on, and are taken modulo two."""

    cells = Words(2, initial=None)
    first = Words(1, initial=0)
    behind = Words(1, initial=0)
    clients = (("put(1); put(2); put(3)", "get; get; get"),)
    specification = ShortQueue

    @operation
    def put(self, item: Any) -> bool:
        """Store an item, then say so; return whether there was room."""
        behind = self.behind[0]
        if behind - self.first[0] == 2:
            return False
        self.cells[behind % 2] = item
        self.behind[0] = behind + 1
        return True

    @operation
    def get(self) -> Any:
        """Take the first item, then say so; None if there is none."""
        first = self.first[0]
        if first == self.behind[0]:
            return None
        item = self.cells[first % 2]
        self.first[0] = first + 1
        return item


class SaysSoFirst(RingBuffer):
    """Says that an item is there before it is."""

    @operation
    def put(self, item: Any) -> bool:
        """Two lines in the wrong order."""
        behind = self.behind[0]
        if behind - self.first[0] == 2:
            return False
        self.behind[0] = behind + 1
        self.cells[behind % 2] = item
        return True
