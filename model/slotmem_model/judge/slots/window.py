"""The window of a violation of slots: the fewest operations that contradict one another.

Interface: `find_window`, once the judge has found that operation `number`
cannot be explained.

Three specifications are tried in turn. The first two ask for less than the whole; what contradicts
them contradicts the whole, and is easier to see:

- *one slot*: its mark and its contents, both unknown at first. A grab of a higher slot, or one that
  finds all in use, says that it is in use.
- *the marks*: which slots are in use, beginning with what the judge held possible at some moment.
  Contents play no part.
- *the whole*, beginning likewise.

The part of the history that is looked at grows backwards from the operation until it is a
violation, and is then minimised by `slotmem_model.judge.window`. There an operation that is relaxed
may have happened as it was seen, at any time, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from slotmem_model.judge.budget import Budget, Effort
from slotmem_model.judge.events import Call, History
from slotmem_model.judge.search import Step
from slotmem_model.judge.slots.timeline import (
    COUNT,
    FGRAB,
    GET,
    GRAB,
    LOST_FGRAB,
    LOST_GRAB,
    LOST_PUT,
    LOST_RELEASE,
    NEVER,
    NOTHING,
    PUT,
    RELEASE,
    SEES_FREE,
    SEES_FULL,
    Flags,
    Timeline,
)
from slotmem_model.judge.window import cut, is_violation, shrink

FEW = 12
"""So many operations can be seen at a glance."""
_SIZES = [1 << power for power in range(8)]  # so many operations are looked at
_SUSPECTS = 8  # so many slots, at most
_ALL_S = 5.0
_ATTEMPT_S = 0.3

State = tuple[int, tuple[int, ...]]  # the mask of the slots in use, and what is in each
StatesAt = Callable[[list[int]], dict[int, list[State]]]


class Window(NamedTuple):
    """The operations that contradict one another, oldest first, and the states they do so from;
    none given: from any.

    One that is not whole has only the operation that cannot be explained: those that contradict it
    are too many. So it is with a grab that was held up inside for long: each of the moments at
    which others took and released its slot stands against it.
    """

    numbers: list[int]
    states: list[State]
    is_whole: bool = True

    @property
    def is_clear(self) -> bool:
        """Whether one can see at a glance what is wrong."""
        return self.is_whole and len(self.numbers) <= FEW


class _Part(NamedTuple):
    """The operations near the end that a specification speaks of, as calls; and the positions at
    which some of them began.
    """

    history: History
    numbers: list[int]
    starts: dict[int, int]  # position in the whole history -> in this one


def find_window(
    timeline: Timeline, item_num: int, number: int, position: int, states_at: StatesAt, budget: Budget
) -> Window:
    """Return the smallest window that one of the specifications gives, else one that is not whole.

    The judge found the operation at `position`. `states_at(positions)` gives the states that were
    possible before some events.
    """
    action = timeline.action
    if action[number] == NEVER:
        return Window([number], [])  # however long it ran
    marks = _collect(timeline, number, ~np.isin(action, (PUT, GET, LOST_PUT, NOTHING)))
    whole = _collect(timeline, number, action != NOTHING)
    known = states_at([position, *marks.starts, *whole.starts])
    states = known[position]
    budget = Effort(budget.remaining_s(_ALL_S))
    for slot in _suspect_slots(timeline, item_num, number, states):
        by_id = (timeline.slot == slot) & ~np.isin(action, (SEES_FULL, COUNT, LOST_GRAB))
        higher = (action == GRAB) & (timeline.slot > slot)
        relevant = by_id | higher | np.isin(action, (SEES_FULL, LOST_GRAB))
        part = _collect(timeline, number, relevant)
        found = _grow(part, {start: [(None, None)] for start in part.starts}, _step_slot(slot), budget)
        if found:
            return Window(found[0], [])
    masks = {position: list({(mask, ()) for mask, _ in held}) for position, held in known.items()}
    found = _grow(marks, masks, _step_whole(item_num, False), budget)
    if found is None:
        found = _grow(whole, known, _step_whole(item_num, True), budget)
    return Window([number], [], is_whole=False) if found is None else Window(*found)


def _suspect_slots(timeline: Timeline, item_num: int, number: int, states: list[State]) -> list[int]:
    """Return the slots that may show what is wrong by themselves, likeliest first."""
    action, slot = int(timeline.action[number]), int(timeline.slot[number])
    slots = [] if action in (SEES_FULL, COUNT) or not 0 <= slot < item_num else [slot]
    if action in (SEES_FULL, GRAB):
        used = 0
        for mask, _ in states:
            used |= mask
        free = [lower for lower in range(item_num if action == SEES_FULL else slot) if not used >> lower & 1]
        slots += free[:_SUSPECTS]
    return slots


def _collect(timeline: Timeline, number: int, relevant: Flags) -> _Part:
    """Return the last operations that matter, up to the return of this one."""
    end = int(timeline.returned[number])
    relevant = relevant.copy()
    relevant[number] = True
    candidates = np.flatnonzero(relevant & (timeline.invoked < end))
    newest = candidates[np.argsort(timeline.invoked[candidates])][-_SIZES[-1] :]
    start = int(timeline.invoked[newest[0]])
    chosen = candidates[timeline.returned[candidates] >= start]
    chosen = chosen[np.argsort(timeline.invoked[chosen])]
    calls, events = [], []
    for index, chosen_number in enumerate(chosen.tolist()):
        act = tuple(int(column[chosen_number]) for column in (timeline.action, timeline.slot, timeline.value))
        invoked, returned = int(timeline.invoked[chosen_number]), int(timeline.returned[chosen_number])
        events.append((invoked, 2 * index))
        if returned <= end and not LOST_GRAB <= act[0] <= LOST_PUT:
            events.append((returned, 2 * index + 1))
            calls.append(Call(chosen_number, act, True, invoked, returned))
        else:
            calls.append(Call(chosen_number, act, None, invoked, None))
    events.sort()
    history = History(tuple(calls), tuple(moment for _, moment in events))
    place = {position: index for index, (position, moment) in enumerate(events) if not moment & 1}
    begun = sorted(place)
    return _Part(history, chosen.tolist(), {begun[-size]: place[begun[-size]] for size in _SIZES if size <= len(begun)})


def _grow(part: _Part, states: dict[int, list[Any]], step: Step, budget: Budget) -> tuple[list[int], list[Any]] | None:
    """Look for a violation in longer and longer ends of the part, and minimise the first."""
    for position in sorted(part.starts, reverse=True):
        end, numbers = cut(part.history, part.starts[position], len(part.history.moments) - 1)
        seconds = budget.remaining_s(_ATTEMPT_S)
        if position in states and seconds > 0 and is_violation(end, states[position], step, seconds):
            kept = shrink(end, states[position], step, budget)
            return [part.numbers[numbers[call]] for call in kept], states[position]
    return None


def _step_slot(slot: int) -> Step:
    """Return the specification of one slot: whether it is in use, and what is in it; None is
    unknown.
    """

    def step(state: tuple[bool | None, int | None], act: tuple[int, int, int]) -> Iterator[tuple[Any, bool]]:
        used, value = state
        action, where, what = act
        if (action == GRAB and where == slot) or action == LOST_GRAB:
            if used is not True:
                yield (True, value), True
        elif action in (GRAB, SEES_FULL):
            if used is not False:
                yield (True, value), True
        elif action in (FGRAB, LOST_FGRAB):
            yield (True, value), True
        elif action == SEES_FREE:
            if used is not True:
                yield (False, value), True
        elif action in (RELEASE, LOST_RELEASE):
            if used is not False:
                yield (False, value), True
        elif action in (PUT, LOST_PUT):
            if used is not False:
                yield (True, what), True
        elif action == GET and used is not False and value in (None, what):
            yield (True, what), True

    return step


def _step_whole(item_num: int, has_values: bool) -> Step:
    """Return the specification of all slots, or of their marks alone."""
    full = (1 << item_num) - 1

    def step(state: State, act: tuple[int, int, int]) -> Iterator[tuple[State, bool]]:
        mask, values = state
        action, slot, value = act
        lowest = ~mask & (mask + 1) & full
        if action in (GRAB, LOST_GRAB):
            if lowest and (action == LOST_GRAB or lowest == 1 << slot):
                yield (mask | lowest, values), True
        elif action == SEES_FULL:
            if not lowest:
                yield state, True
        elif action == COUNT:
            if item_num - mask.bit_count() == value:
                yield state, True
        elif action == NEVER:
            return
        elif action in (FGRAB, LOST_FGRAB):
            yield (mask | 1 << slot, values), True
        elif action == SEES_FREE:
            if not mask >> slot & 1:
                yield state, True
        elif mask >> slot & 1:
            if action in (RELEASE, LOST_RELEASE):
                yield (mask & ~(1 << slot), values), True
            elif not has_values:
                yield state, True
            elif action in (PUT, LOST_PUT):
                yield (mask, (*values[:slot], value, *values[slot + 1 :])), True
            elif values[slot] == value:
                yield state, True

    return step
