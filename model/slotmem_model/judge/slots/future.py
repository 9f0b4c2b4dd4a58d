"""What lies ahead of each slot: the next grab that gives it, and the releases before that.

Interface: `Future(timeline)`; `next_grab(slot, now)`, `has_release(slot, now, until)`.
"""

from __future__ import annotations

import numpy as np

from slotmem_model.judge.slots.timeline import GRAB, LOST_RELEASE, RELEASE, Timeline, is_one_of


class Future:
    """The grabs and releases of each slot, by the time of their invocation."""

    def __init__(self, timeline: Timeline) -> None:
        self._span = int(timeline.returned.max(initial=0)) + 1
        begun = timeline.slot * self._span + timeline.invoked
        grabs = np.flatnonzero(timeline.action == GRAB)
        grabs = grabs[np.argsort(begun[grabs])]
        self._grabs, self._returned = begun[grabs], timeline.returned[grabs]
        self._releases = np.sort(begun[is_one_of(timeline.action, RELEASE, LOST_RELEASE)])

    def next_grab(self, slot: int, now: int) -> int | None:
        """Return when the next grab that gives this slot returns, None if there is none."""
        following = int(np.searchsorted(self._grabs, slot * self._span + now))
        if following == len(self._grabs) or self._grabs[following] >= (slot + 1) * self._span:
            return None
        return int(self._returned[following])

    def has_release(self, slot: int, now: int, until: int) -> bool:
        """Return whether a release of this slot is invoked between two positions."""
        release = int(np.searchsorted(self._releases, slot * self._span + now))
        return release < len(self._releases) and int(self._releases[release]) <= slot * self._span + until
