"""The window of a violation of slots: the fewest operations that contradict one another.

Interface:

- `find_window`, once the judge has found that operation `number` cannot be explained, and which
  states were possible before some of the others (`list_starts`) were invoked.
- `Window.shows_unused` asks what more it shows.

Three specifications are tried in turn. The first two ask for less than the whole; what contradicts
them contradicts the whole, and is easier to see:

- *one slot*: its mark and its contents, both unknown at first. A grab that finds all in use says
  that it is in use; so does one of a higher slot, where grabs must give the lowest.
- *the marks*: which slots are in use, beginning with what the judge held possible at some moment.
  Contents play no part.
- *the whole*, beginning likewise.

The part of the history that is looked at grows backwards from the operation until it is a
violation, and is then minimised by `slotmem_model.judge.window`. There an operation that is relaxed
may have happened as it was seen, at any time, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from slotmem_model.judge.budget import Budget
from slotmem_model.judge.events import Call, History
from slotmem_model.judge.search import Step
from slotmem_model.judge.slots.step import SEES_USED, Act, State, step_slot, step_whole
from slotmem_model.judge.slots.timeline import (
    COUNT,
    GET,
    GRAB,
    LOST_GRAB,
    LOST_PUT,
    NEVER,
    NOTHING,
    PUT,
    SEES_FULL,
    Flags,
    Timeline,
    is_one_of,
)
from slotmem_model.judge.window import cut, is_violation, relax, shrink

FEW = 12
"""The number of operations that one can take in at a glance."""
_MOST = 128  # operations that are looked at
_SUSPECTS = 8  # slots, at most
_ATTEMPT_S = 0.3
_UNKNOWN = [(None, None)]  # the states of a slot of which nothing is known


class Window(NamedTuple):
    """The operations that contradict one another, oldest first, and the states they do so from
    (none given: any state).

    A window that is not whole has only the operation that cannot be explained: those that
    contradict it are too many. That happens to a grab that was held up inside for long: every
    moment at which others took and released its slot contradicts it.
    """

    numbers: list[int]
    states: list[State]
    is_whole: bool = True
    would_refute: Callable[[Act], bool] | None = None

    @property
    def is_clear(self) -> bool:
        """Whether one can see at a glance what is wrong."""
        return self.is_whole and len(self.numbers) <= FEW

    def shows_unused(self, slot: int) -> bool:
        """Return whether the window shows that a slot was not in use at any time while the
        operation that cannot be explained ran: seeing it in use would be a violation too.
        """
        return self.would_refute is not None and self.would_refute((SEES_USED, slot, -1))


class _Part(NamedTuple):
    """The operations near the end that a specification speaks of, as calls; and those of them that
    an end of it may begin with.
    """

    history: History
    numbers: list[int]
    starts: dict[int, int]  # number of the operation -> position of its invocation in this history


def list_starts(timeline: Timeline, number: int) -> list[int]:
    """Return the operations before which `find_window` must know the states that are possible."""
    return [number, *_collect_marks(timeline, number).starts, *_collect_whole(timeline, number).starts]


def find_window(
    timeline: Timeline,
    item_num: int,
    number: int,
    known: Mapping[int, list[State]],
    budget: Budget,
    *,
    lowest_first: bool,
) -> Window | None:
    """Return the smallest window that one of the specifications gives, None if none does.

    The timeline ends with the return of `number`. `known` has the states that were possible before
    the invocations of some operations.
    """
    if timeline.action[number] == NEVER:
        return Window([number], [])  # however long it ran
    for slot in _suspect_slots(timeline, item_num, number, known.get(number, []), lowest_first):
        part = _collect(timeline, number, _is_of_slot(timeline, slot, lowest_first))
        found = _grow(part, dict.fromkeys(part.starts, _UNKNOWN), step_slot(slot), budget, slot)
        if found:
            return found
    masks = {start: list({(mask, ()) for mask, _ in states}) for start, states in known.items()}
    found = _grow(_collect_marks(timeline, number), masks, step_whole(item_num, False, lowest_first), budget)
    return found or _grow(_collect_whole(timeline, number), known, step_whole(item_num, True, lowest_first), budget)


def _suspect_slots(
    timeline: Timeline, item_num: int, number: int, states: list[State], lowest_first: bool
) -> list[int]:
    """Return the slots that may show what is wrong by themselves, likeliest first."""
    action, slot = int(timeline.action[number]), int(timeline.slot[number])
    slots = [] if action in (SEES_FULL, COUNT) or not 0 <= slot < item_num else [slot]
    if action == SEES_FULL or (action == GRAB and lowest_first):
        used = 0
        for mask, _ in states:
            used |= mask
        free = [lower for lower in range(item_num if action == SEES_FULL else slot) if not used >> lower & 1]
        slots += free[:_SUSPECTS]
    return slots


def _is_of_slot(timeline: Timeline, slot: int, lowest_first: bool) -> Flags:
    action = timeline.action
    by_id: Flags = (timeline.slot == slot) & ~is_one_of(action, SEES_FULL, COUNT, LOST_GRAB, NOTHING)
    higher = (action == GRAB) & (timeline.slot > slot) & lowest_first
    by_id |= higher | is_one_of(action, SEES_FULL, LOST_GRAB)
    return by_id


def _collect_marks(timeline: Timeline, number: int) -> _Part:
    return _collect(timeline, number, ~is_one_of(timeline.action, PUT, GET, LOST_PUT, NOTHING))


def _collect_whole(timeline: Timeline, number: int) -> _Part:
    return _collect(timeline, number, timeline.action != NOTHING)


def _collect(timeline: Timeline, number: int, relevant: Flags) -> _Part:
    """Return the last operations that matter, up to the return of this one; up to its invocation if
    nothing overlaps it that touches its slot.
    """
    end = int(timeline.returned[number])
    last = timeline.invoked[number] if timeline.is_alone[number] else end
    relevant = relevant.copy()
    relevant[number] = True
    candidates = np.flatnonzero(relevant & (timeline.invoked <= last))
    newest = candidates[np.argsort(timeline.invoked[candidates])][-_MOST:]
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
    invoked = int(timeline.invoked[number])  # the operation is in each end
    begun = [(place, moment >> 1) for place, (at, moment) in enumerate(events) if not moment & 1 and at <= invoked]
    sizes = {1 << power for power in range(len(begun).bit_length())} | {len(begun)}
    starts = {int(chosen[index]): place for place, index in (begun[-size] for size in sorted(sizes))}
    return _Part(history, chosen.tolist(), starts)


def _grow(
    part: _Part, known: Mapping[int, list[Any]], step: Step, budget: Budget, slot: int | None = None
) -> Window | None:
    """Look for a violation in longer and longer ends of the part, and minimise the first; `slot`
    is the only one that the specification speaks of.
    """
    for start, place in part.starts.items():
        end, numbers = cut(part.history, place, len(part.history.moments) - 1)
        states, seconds = known.get(start), budget.remaining_s(_ATTEMPT_S)
        if states and seconds > 0 and is_violation(end, states, step, seconds):
            kept = shrink(end, states, step, budget)
            would_refute = partial(_refutes, slot, relax(end, set(range(len(end.calls))) - set(kept)), states, step)
            chosen = [part.numbers[numbers[call]] for call in kept]
            return Window(chosen, states if slot is None else [], True, would_refute)
    return None


def _refutes(slot: int | None, history: History, states: list[Any], step: Step, act: Act) -> bool:
    """Return whether the history would be a violation had the last to return been another act."""
    last = history.moments[-1] >> 1
    calls = list(history.calls)
    calls[last] = calls[last]._replace(operation=act)
    return slot in (None, act[1]) and is_violation(History(tuple(calls), history.moments), states, step)
