"""Michael and Scott's queue: a list whose tail may lag behind by one.

M. M. Michael and M. L. Scott, "Simple, fast, and practical non-blocking and blocking concurrent
queue algorithms" (1996). A put links its node behind the last one, and then moves the tail; whoever
finds the tail behind helps it on. Nodes are not used again here, so that no numbers are needed.
"""

from typing import Any

from slotmem_model.examples.specifications import Queue
from slotmem_model.program import Words, operation


class MichaelScottQueue:
    """Nodes 1, 2, ... behind the node 0, which holds nothing."""

    value = Words(5, initial=None)
    next = Words(5, initial=None)
    unused = Words(1, initial=1)
    head = Words(1, initial=0)
    tail = Words(1, initial=0)
    clients = ("put(me); get", ("put(1); put(2)", "get; get"))
    specification = Queue

    def node(self, item: Any) -> int:
        """Return a node of its own with an item in it."""
        made: int = self.unused.fetch_add(0, 1)
        self.value[made] = item
        return made

    @operation
    def put(self, item: Any) -> None:
        """Link a node behind the last one."""
        made = self.node(item)
        while True:
            last = self.tail[0]
            following = self.next[last]
            if following is not None:
                self.tail.compare_and_swap(0, last, following)
            elif self.next.compare_and_swap(last, None, made):
                self.tail.compare_and_swap(0, last, made)
                return

    @operation
    def get(self) -> Any:
        """Move the head on to the first node, whose item is taken."""
        while True:
            head, last = self.head[0], self.tail[0]
            first = self.next[head]
            if first is None:
                return None
            if head == last:
                self.tail.compare_and_swap(0, last, first)
                continue
            item = self.value[first]
            if self.head.compare_and_swap(0, head, first):
                return item


class LinksPlainly(MichaelScottQueue):
    """Links with a store: of two nodes behind the same one, the first is lost."""

    @operation
    def put(self, item: Any) -> None:
        """Look that nothing follows, and store."""
        made = self.node(item)
        while True:
            last = self.tail[0]
            following = self.next[last]
            if following is not None:
                self.tail.compare_and_swap(0, last, following)
                continue
            self.next[last] = made
            self.tail.compare_and_swap(0, last, made)
            return
