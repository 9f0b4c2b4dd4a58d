"""Waiting for a free slot: asleep in the kernel, not asking again and again.

`Waiting` is a base of `slotmem.slots.Slots`. A grab that finds no free slot and may wait stores 1
in the word `waiting[0]`, still under the table's mutex, and sleeps for as long as the word stays 1.
Who frees a slot stores 0 under the same mutex if it was 1, and wakes all sleepers once it has given
up the lock: those who come too late say 1 again. So while anybody sleeps on a 1, no slot is free.

Who dies between the 0 and the waking leaves the sleepers asleep. That is why they look again after
`LOOK_AGAIN_S`, which also finds slots that httpd has freed, since httpd wakes nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from slotmem.arguments import checked_timeout
from slotmem.recovery import Recoverable
from slotmem.status import NoFreeSlot

LOOK_AGAIN_S = 0.1
ONCE = -1.0
"""As a grab's timeout: say that somebody waits, but leave the waiting to the caller."""


class Waiting(Recoverable):
    """How a grab waits."""

    grab: Callable[..., int]

    def grab_later(  # never in the model: nobody waits for a slot
        self, timeout_s: float | None, is_over: Callable[[], bool] = lambda: False
    ) -> int:
        """Grab a slot as soon as one is free (WAITING-1); the caller has found none.

        is_over is asked whenever a sleep has ended, and may end the wait.

        Raises:
            NoFreeSlot: none came free within timeout_s, or it is over.
            InvalidArgument
        """
        timeout_s = checked_timeout(timeout_s)
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not is_over():
            with suppress(NoFreeSlot):
                return self.grab(ONCE)
            left_s = LOOK_AGAIN_S if deadline_s is None else deadline_s - time.monotonic()
            if left_s <= 0:
                break
            self.image.sleep(min(left_s, LOOK_AGAIN_S))
        raise NoFreeSlot(f"all {self.item_num} slots stayed in use for {timeout_s} s; release one, or wait longer")
