"""Which of several configurations the rest of the history will surely refute.

Interface: `Future(timeline)`; `drop_doomed(configurations, tables)`; `is_doomed(done, slot, tables)` asks beforehand, of a slot that a
crashed grab may take.

Two kinds of them are doomed:

- Who has overwritten what a later get will see, and nobody else puts.
- Who has a slot in use that a grab will give, while nobody asks for its release before that grab returns: a mark goes away by a
  release only. This keeps what a crashed grab may have taken from multiplying the configurations.

Dropping them early changes no verdict. If all are doomed they are kept, so that the violation shows at the operation that
cannot be explained.
"""

from __future__ import annotations

import numpy as np

from slotmem_model.judge.slots.configurations import Configuration, Tables, list_bits
from slotmem_model.judge.slots.timeline import GRAB, LOST_RELEASE, RELEASE, Timeline


class Future:
    """The grabs and releases of each slot, by the time of their invocation."""

    def __init__(self, timeline: Timeline) -> None:
        self._span = int(timeline.returned.max(initial=0)) + 1
        begun = timeline.slot * self._span + timeline.invoked
        grabs = np.flatnonzero(timeline.action == GRAB)
        grabs = grabs[np.argsort(begun[grabs])]
        self._grabs, self._returned = begun[grabs], timeline.returned[grabs]
        self._releases = np.sort(begun[np.isin(timeline.action, (RELEASE, LOST_RELEASE))])

    def drop_doomed(self, configurations: list[Configuration], tables: Tables) -> list[Configuration]:
        """Give the configurations that are not doomed; all if all are."""
        configurations = _drop_overwritten(configurations, tables)
        some, all_ = 0, tables.full
        for at in configurations:
            some |= at.mask
            all_ &= at.mask
        for slot in list_bits(some & ~all_):
            alive = [at for at in configurations if not (at.mask >> slot & 1 and self.is_doomed(at.done, slot, tables))]
            if alive:
                configurations = alive
        return configurations

    def is_doomed(self, done: int, slot: int, tables: Tables) -> bool:
        """Say whether the slot, if it is in use now, must be free sooner than anybody can release it."""
        if tables.first_undone(tables.releases.get(slot), done) is not None:
            return False
        now = slot * self._span + tables.now
        grab = tables.first_undone(tables.grabs.get(slot), done)
        if grab is not None:
            returned = grab.returned
        else:
            following = int(np.searchsorted(self._grabs, now))
            if following == len(self._grabs) or self._grabs[following] >= (slot + 1) * self._span:
                return False
            returned = int(self._returned[following])
        release = int(np.searchsorted(self._releases, now))
        return release == len(self._releases) or int(self._releases[release]) > slot * self._span + returned


def _drop_overwritten(configurations: list[Configuration], tables: Tables) -> list[Configuration]:
    """Drop those in which a pending put has taken effect and was overwritten, although a get that begins later sees it."""
    wanted = [put for listed in tables.puts.values() for put in listed if put.is_only and put.last_read > tables.now]
    if not wanted:
        return configurations
    alive = [
        at for at in configurations if not any(at.done & put.bit and at.values[put.slot] != put.value for put in wanted)
    ]
    return alive or configurations
