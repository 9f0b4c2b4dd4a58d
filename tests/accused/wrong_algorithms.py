"""Wrong variants that other processes must be able to import."""

from slotmem import NoFreeSlot
from slotmem.slots import Slots


class Unlocked(Slots):
    """Take no lock, as httpd does.

    The search for a free slot dawdles, so that others come in between.
    """

    def __init__(self, image):
        super().__init__(image)
        self.trylock = self.unlock = lambda mutex: 0

    def grab(self):
        for item_id in range(self.item_num):
            if not self.inuse[item_id]:
                sum(range(2000))
                self.inuse[item_id] = 1
                return item_id
        raise NoFreeSlot("full")


class LooksFirst(Slots):
    """It compares under the lock, gives it up, and puts."""

    def compare_and_put(self, item_id, expected, new):
        is_equal = self.get(item_id) == expected
        if is_equal:
            self.put(item_id, new)
        return is_equal
