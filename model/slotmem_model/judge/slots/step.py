"""What slots do, one act after the other, for the search that finds windows.

Interface: `step_slot(slot)` is the specification of one slot by itself (where grabs must give the
lowest, those of higher slots concern it too), `step_whole(item_num, has_values, lowest_first)` that
of all, or of their marks alone. Acts are those of a timeline, with their results.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
)

SEES_USED = NOTHING + 1  # "this slot is in use", which no operation says

Act = tuple[int, int, int]  # action, slot, value
State = tuple[int, tuple[int, ...]]  # the mask of the slots in use, and what is in each


def step_slot(slot: int) -> Step:
    """Return the specification of one slot: whether it is in use, and what is in it; None for what
    is unknown.
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
        elif action == SEES_USED:
            if used is not False:
                yield (True, value), True
        elif action in (PUT, LOST_PUT):
            if used is not False:
                yield (True, what), True
        elif action == GET and used is not False and value in (None, what):
            yield (True, what), True

    return step


def step_whole(item_num: int, has_values: bool, lowest_first: bool) -> Step:
    """Return the specification of all slots, or of their marks alone."""
    full = (1 << item_num) - 1

    def step(state: State, act: tuple[int, int, int]) -> Iterator[tuple[State, bool]]:
        mask, values = state
        action, slot, value = act
        lowest = ~mask & (mask + 1) & full
        if action in (GRAB, LOST_GRAB):
            for bit in (lowest,) if lowest_first else (1 << each for each in range(item_num) if not mask >> each & 1):
                if bit and (action == LOST_GRAB or bit == 1 << slot):
                    yield (mask | bit, values), True
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
            elif not has_values or action == SEES_USED:
                yield state, True
            elif action in (PUT, LOST_PUT):
                yield (mask, (*values[:slot], value, *values[slot + 1 :])), True
            elif values[slot] == value:
                yield state, True

    return step
