"""What the judge of slots knows beforehand: the actions in order, and what lies ahead of each.

Interface: `Timeline.compile(history)`. Everything is done in columns, since this takes most of the
time of a good history.

An *action* is an operation together with its result, which is known. A *position* is the place of
an invocation or a return in time order; at equal times invocations come first, so that what may
have overlapped does (`_order_events`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slotmem_model.judge.slots import history as columns
from slotmem_model.judge.slots.history import Column, SlotHistory

# What changes a slot's mark or contents, with a result that is known ...
GRAB, RELEASE, FGRAB, PUT = range(4)
# ... and of a crashed process, which may happen whenever it is possible, or never.
LOST_GRAB, LOST_RELEASE, LOST_FGRAB, LOST_PUT = range(4, 8)
# What only looks: a get; an answer that says "this slot is free"; one that says "all are in use"; a
# count.
GET, SEES_FREE, SEES_FULL, COUNT = range(8, 12)
# A result that no state gives.
NEVER = 12
# What any state allows and nobody sees.
NOTHING = 13

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Timeline:
    """The actions of a history, and for each what the judge asks about its future.

    - `events`: in time order, twice the number of the operation, plus one for its return.
    - `positions`: of each of them.
    - `invoked`: the position of its invocation.
    - `returned`: the position of its return; for one without, a position after all others.
    - `last_read`: of a put, the position at which the last get of its value from its slot is
      invoked; -1 without such a get.
    - `is_only`: of a put, that no other put writes the same value to the same slot.
    - `is_eager`: of a grab, that while it runs nobody looks at its slot or counts slots, or forces
      its slot to be in use, and no other grab of its slot begins and returns.
    - `is_alone`: of a put or get, that no other action on its slot overlaps it. Its return is not
      an event.
    """

    action: Column
    slot: Column
    value: Column
    events: Column
    positions: Column
    invoked: Column
    returned: Column
    last_read: Column
    is_only: Flags
    is_eager: Flags
    is_alone: Flags

    @classmethod
    def compile(cls, history: SlotHistory) -> Timeline:
        """Work out the timeline of a history."""
        action = compute_actions(history)
        invoked, returned, order = _compute_positions(history)
        keys, slots = history.slot * (len(order) + 2), history.slot
        last_read, is_only = _compute_readers(history, action, invoked)
        action[(action == LOST_PUT) & (last_read < 0)] = NOTHING  # seen by nobody, so it need not have happened
        is_grab = action == GRAB
        is_eager = is_grab.copy()
        for seen, by_slot in ((action == COUNT, False), (is_one_of(action, SEES_FREE, FGRAB, LOST_FGRAB), True)):
            offset = keys if by_slot else np.zeros_like(keys)
            is_eager[is_grab] &= ~_overlaps(offset, invoked, returned, is_grab, seen)
        is_eager &= ~_compute_wraps(np.flatnonzero(is_grab), keys, invoked, returned)
        is_alone = _compute_alone(action, slots, keys, invoked, returned)
        calls = order >> 1
        silent = (action[calls] == NOTHING) | (is_alone[calls] & (order & 1 == 1))
        return cls(
            action,
            slots,
            history.value,
            order[~silent],
            np.flatnonzero(~silent),
            invoked,
            returned,
            last_read,
            is_only,
            is_eager,
            is_alone,
        )


def _tabulate_actions(pregrab: bool) -> Column:
    """Return the action by kind, outcome, and whether the slot is one that the segment has."""
    table = np.full((len(columns.KINDS), columns.TORN + 1, 2), NEVER, dtype=np.int64)
    for kind, with_result, without in (
        (columns.GRAB, GRAB, LOST_GRAB),
        (columns.RELEASE, RELEASE, LOST_RELEASE),
        (columns.FGRAB, FGRAB, LOST_FGRAB),
        (columns.PUT, PUT, LOST_PUT),
        (columns.GET, GET, NOTHING),
    ):
        table[kind, columns.OK, 1] = with_result
        table[kind, columns.PENDING] = NOTHING, without
        table[kind, columns.NOTFOUND, 1] = SEES_FREE
        table[kind, columns.EINVAL, 0] = NOTHING
    table[columns.GRAB, columns.PENDING] = LOST_GRAB
    table[columns.GRAB, columns.EINVAL] = SEES_FULL
    table[[columns.GRAB, columns.FGRAB], columns.NOTFOUND] = NEVER
    table[columns.COUNT, columns.OK] = COUNT
    table[columns.COUNT, columns.PENDING] = NOTHING
    if not pregrab:
        table[[columns.GET, columns.PUT], columns.NOTFOUND] = NEVER
        table[columns.GET, columns.PENDING, 1] = LOST_FGRAB  # all that is left of it is the mark
    return table


_ACTIONS = {pregrab: _tabulate_actions(pregrab) for pregrab in (False, True)}


def compute_actions(history: SlotHistory) -> Column:
    """Return the action of each operation."""
    inside = (history.slot >= 0) & (history.slot < history.item_num)
    action: Column = _ACTIONS[history.pregrab][history.kind, history.outcome, inside.view(np.int8)]
    return action


def is_one_of(action: Column, *these: int) -> Flags:
    """Return, for each action, whether it is one of these; faster than `isin`."""
    table = np.zeros(NOTHING + 1, dtype=np.bool_)
    table[list(these)] = True
    return table[action]


def _compute_positions(history: SlotHistory) -> tuple[Column, Column, Column]:
    """Return the positions of invocations and returns, and the events in order."""
    operations = len(history)
    answered = np.flatnonzero(history.outcome != columns.PENDING)
    order = _order_events(history, answered)
    position = np.full(2 * operations, len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    return position[0::2], position[1::2], order


def _order_events(history: SlotHistory, answered: Column) -> Column:
    """Return the events in time order.

    At equal times invocations come first. There is one exception: where a single process returns
    and invokes again at one instant, what it did before comes first, then what it did in no time,
    then what it does next. Of several such processes any may have been first, which no one order of
    events can say; so their operations overlap too, which only allows more.
    """
    times = np.concatenate((history.invoked, history.returned[answered]))
    events = np.concatenate((np.arange(len(history)) * 2, answered * 2 + 1))
    by_time = np.argsort(times, kind="stable")
    if (times[by_time[1:]] > times[by_time[:-1]]).all():
        return events[by_time]
    instants, owners = _find_touching(history)
    if not len(instants):
        return events[by_time]
    calls, is_return = events >> 1, events & 1
    at = np.minimum(np.searchsorted(instants, times), len(instants) - 1)
    touches = (instants[at] == times) & (owners[at] == history.process[calls])
    takes_none = (history.invoked == history.returned)[calls]
    inside = np.where(takes_none, 2 + is_return, np.where(is_return == 1, 1, 4))
    return events[np.lexsort((np.where(touches, inside, 5 * is_return), times))]


def _find_touching(history: SlotHistory) -> tuple[Column, Column]:
    """Return the instants at which one process alone returns and invokes its next operation, and
    which process that is.
    """
    returned = np.where(history.outcome == columns.PENDING, np.iinfo(np.int64).max, history.returned)
    order = np.lexsort((returned, history.invoked, history.process))
    before, behind = order[:-1], order[1:]
    touches = (history.process[before] == history.process[behind]) & (returned[before] == history.invoked[behind])
    pairs = np.unique(np.stack((history.invoked[behind[touches]], history.process[behind[touches]])), axis=1)
    instants, first, count = np.unique(pairs[0], return_index=True, return_counts=True)
    return instants[count == 1], pairs[1][first[count == 1]]


def _compute_readers(history: SlotHistory, action: Column, invoked: Column) -> tuple[Column, Flags]:
    """Return, for each put, when the last get of what it put is invoked, and whether it is the only
    one to put that.
    """
    _, value = np.unique(np.concatenate((history.value, history.first_values())), return_inverse=True)
    at_first = value[len(history) :]
    pair = history.slot * (len(value) + 1) + value[: len(history)]
    gets, puts = np.flatnonzero(action == GET), np.flatnonzero((action == PUT) | (action == LOST_PUT))
    last_read = np.full(len(history), -1, dtype=np.int64)
    is_only = np.ones(len(history), dtype=np.bool_)
    if len(gets) and len(puts):
        gets = gets[np.lexsort((invoked[gets], pair[gets]))]
        last = np.searchsorted(pair[gets], pair[puts], side="right") - 1
        found = (last >= 0) & (pair[gets[last]] == pair[puts])
        last_read[puts[found]] = invoked[gets[last[found]]]
    brought = np.sort(np.concatenate((pair[puts], np.arange(history.item_num) * (len(value) + 1) + at_first)))
    first, behind = (np.searchsorted(brought, pair[puts], side=side) for side in ("left", "right"))
    is_only[puts] = behind - first == 1
    return last_read, is_only


def _overlaps(offset: Column, invoked: Column, returned: Column, mine: Flags, others: Flags) -> Flags:
    """Return, for each of mine, whether one of the others, with the same offset, overlaps it."""
    base = offset[mine]
    started, ended = np.sort((offset + invoked)[others]), np.sort((offset + returned)[others])
    before = np.searchsorted(started, base)
    open_ = np.searchsorted(started, base + returned[mine]) - np.searchsorted(ended, base + invoked[mine])
    return (open_ - before + np.searchsorted(ended, base)) > 0


def _compute_wraps(grabs: Column, keys: Column, invoked: Column, returned: Column) -> Flags:
    """Return which of the grabs begin before and end after another one that gives the same slot."""
    wraps = np.zeros(len(keys), dtype=np.bool_)
    if len(grabs):
        grabs = grabs[np.argsort((keys + invoked)[grabs])]
        ends = (keys + returned)[grabs]
        first_end = np.minimum.accumulate(ends[::-1])[::-1]  # those of higher slots are higher
        wraps[grabs[:-1]] = first_end[1:] < ends[:-1]
    return wraps


def _compute_alone(action: Column, slot: Column, keys: Column, invoked: Column, returned: Column) -> Flags:
    is_alone = np.zeros(len(action), dtype=np.bool_)
    lost_grabs = invoked[action == LOST_GRAB]
    here = np.flatnonzero(~is_one_of(action, NOTHING, NEVER, COUNT, SEES_FULL, LOST_GRAB))
    if len(here) == 0:
        return is_alone
    here = here[np.lexsort((invoked[here], slot[here]))]
    starts, ends = (keys + invoked)[here], (keys + returned)[here]
    free_before = np.concatenate(([True], np.maximum.accumulate(ends)[:-1] < starts[1:]))
    free_behind = np.concatenate((ends[:-1] < starts[1:], [True]))
    is_alone[here] = free_before & free_behind
    is_alone &= (action == GET) | (action == PUT)
    if len(lost_grabs):  # from then on any free slot may have been taken
        is_alone &= returned < lost_grabs.min()
    return is_alone
