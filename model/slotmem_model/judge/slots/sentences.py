"""The window of a violation in words, and as events.

Interface: `describe(history, window, number)` gives one sentence that says why operation `number`
cannot be explained. The sentence is true of the history, or it is not said. `answered(history,
number)` only says what it answered. `to_events(history, window)` gives the window's events, with
the operations of `slotmem_model.spec` (values by their number, or by name where they have one).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from slotmem_model import spec
from slotmem_model.judge.events import Crash, Event, Invoke, Return
from slotmem_model.judge.slots.history import (
    COUNT,
    EINVAL,
    FGRAB,
    GET,
    GRAB,
    NAMES,
    NOTFOUND,
    OK,
    PENDING,
    PUT,
    RELEASE,
    TORN,
    Column,
    SlotHistory,
)
from slotmem_model.judge.slots.timeline import Flags
from slotmem_model.judge.slots.window import Window

NO_TIME = "no order explains all results; the budget was used up before the reason was found"
_NO_ORDER = ", which no order explains"
_NO_SLOT = ", which the segment does not have"
_STATUS = {OK: spec.SUCCESS, TORN: spec.SUCCESS, NOTFOUND: spec.NOTFOUND, EINVAL: spec.EINVAL}


def to_events(history: SlotHistory, window: Iterable[int]) -> tuple[Event, ...]:
    """Return the events of some operations in time order; a pending one ends in a crash."""
    timed: list[tuple[int, int, Event]] = []
    crashed: list[Event] = []
    for number in window:
        process = history.name(number)
        kind, outcome, slot, value = _row(history, number)
        operation: tuple[Any, ...] = (NAMES[kind],)
        operation += (slot,) * (kind not in (GRAB, COUNT)) + (_name(history, value),) * (kind == PUT)
        timed.append((int(history.invoked[number]), 0, Invoke(process, operation)))
        if outcome == PENDING:
            crashed.append(Crash(process))
            continue
        gave = {GRAB: slot, COUNT: value, GET: _name(history, value)}.get(kind) if outcome in (OK, TORN) else None
        timed.append((int(history.returned[number]), 1, Return(process, spec.Result(_STATUS[outcome], gave))))
    timed.sort(key=lambda entry: entry[:2])
    return tuple([event for _, _, event in timed] + crashed)


def answered(history: SlotHistory, number: int) -> str:
    """Say in words what an operation answered, and no more."""
    operation, result = (
        event.operation if isinstance(event, Invoke) else event.result
        for event in to_events(history, [number])
        if isinstance(event, Invoke | Return)
    )
    of_slot = f" of slot {operation[1]}" if len(operation) > 1 else ""
    gave = "" if result.value is None else f", value {result.value}" if operation[0] == "get" else f" {result.value}"
    return f"{operation[0]}{of_slot} by process {history.name(number)} answered {result.status}{gave}"


def describe(history: SlotHistory, window: Window, number: int) -> str:
    """Say in one sentence what is wrong with an operation.

    It is the first that no order explains. So what it saw, if it only looked, was not so at any
    time while it ran, in any order. Whatever else is said is looked up, or follows from the window.
    """
    kind, outcome, slot, value = _row(history, number)
    by = f"{NAMES[kind]} by process {history.name(number)}"
    has_slot = 0 <= slot < history.item_num or kind == COUNT
    if outcome in (OK, TORN) and kind == GET:
        said = f"{by} returned value {_name(history, value)} of slot {slot}"
        if outcome == TORN:
            return f"{said}, which no put had written"
        return said + (_why_get(history, window, number) if has_slot else _NO_SLOT)
    if outcome == OK and kind == COUNT:
        return f"{by} returned {value % 2**64}, which was not the number of free slots at any time while it ran"
    if outcome == OK and kind == GRAB:
        return f"{by} returned slot {slot}{_why_grab(history, window, number) if has_slot else _NO_SLOT}"
    if outcome == EINVAL and kind == GRAB:
        return f"{by} found no free slot{_why_grab(history, window, number)}"
    if outcome == NOTFOUND and kind in (GET, PUT, RELEASE):
        why = _why_used(history, window, number) if has_slot else ", although the segment has no such slot"
        return f"{by} was told that slot {slot} is not in use{why}"
    if outcome == OK:
        return f"{by} succeeded on slot {slot}{_why_free(history, window, number) if has_slot else _NO_SLOT}"
    return f"{by} was refused with {_STATUS[outcome]}, which no state explains"


def _why_get(history: SlotHistory, window: Window, number: int) -> str:
    _, _, slot, value = _row(history, number)
    written = np.flatnonzero(_may_do(history, PUT, slot) & (history.value == value))
    at_first = history.first_values()[slot] == value
    if not len(written) and not at_first:
        return ", which nobody had put there"
    if not at_first and (history.invoked[written] > history.returned[number]).all():
        return " before its put was invoked"
    if window.shows_unused(slot):
        return _why_free(history, window, number)
    for other in _before(history, window, number, PUT, slot):
        is_overwritten = (_ends(history)[written] < history.invoked[other]) | (
            history.invoked[written] > history.returned[number]
        )
        if history.value[other] != value and is_overwritten.all():
            return f" after the put of {_name(history, int(history.value[other]))} that overwrote it had returned"
    return _against(history, window, number) or ", which could not be read there at any time while it ran"


def _why_free(history: SlotHistory, window: Window, number: int) -> str:
    slot = int(history.slot[number])
    is_unused = window.shows_unused(slot)
    for other in _before(history, window, number, RELEASE, slot) if is_unused else ():
        return f", although the release of the slot by process {history.name(other)} had returned"
    why = ", which was not in use at any time while it ran" if is_unused else _NO_ORDER
    return _against(history, window, number) or why


def _why_used(history: SlotHistory, window: Window, number: int) -> str:
    slot = int(history.slot[number])
    for kind in (GRAB, FGRAB):
        for other in _before(history, window, number, kind, slot):
            if not _may_be_released(history, slot, int(history.invoked[other]), number):
                by = f"the {NAMES[kind]} by process {history.name(other)}"
                return f" after {by} had returned, with no release after it"
    return _against(history, window, number) or ", although it was in use all the while"


def _why_grab(history: SlotHistory, window: Window, number: int) -> str:
    slot, is_full = int(history.slot[number]), history.outcome[number] == EINVAL
    for other in _before(history, window, number, RELEASE):
        lower = int(history.slot[other])
        if (is_full or (history.lowest_first and lower < slot)) and window.shows_unused(lower):
            return f", although the release of slot {lower} by process {history.name(other)} had returned"
    for other in reversed(window.numbers):
        if other != number and not is_full and history.kind[other] in (GRAB, FGRAB) and history.slot[other] == slot:
            since = int(min(history.invoked[other], history.invoked[number]))
            if history.outcome[other] == OK and not _may_be_released(history, slot, since, number):
                return f", which process {history.name(other)} had grabbed, with no release in between"
    if is_full:
        why = ", although there was one all the while"
    elif window.is_whole and _happens_once(history, GRAB, slot, number):
        which = "the lowest free one" if history.lowest_first else "free"
        why = f", which was not {which} at any time while it ran"
    else:
        why = _NO_ORDER  # another grab may have been first to take a slot that was free for a moment
    return _against(history, window, number) or why


def _may_do(history: SlotHistory, kind: int, slot: int) -> Flags:
    """Return, for each operation, whether it may have done this to a slot."""
    is_possible: Flags = (history.outcome == OK) | (history.outcome == PENDING)
    is_possible &= (history.kind == kind) & (history.slot == slot)
    return is_possible


def _ends(history: SlotHistory) -> Column:
    """Return when each operation returned; for one that did not, a time after all others."""
    return np.where(history.outcome == PENDING, np.iinfo(np.int64).max, history.returned)


def _happens_once(history: SlotHistory, kind: int, slot: int, number: int) -> bool:
    """Return whether nothing of this kind overlaps an operation of it, on its slot."""
    overlaps = (_ends(history) >= history.invoked[number]) & (history.invoked <= history.returned[number])
    return int((overlaps & _may_do(history, kind, slot)).sum()) == 1


def _may_be_released(history: SlotHistory, slot: int, since: int, number: int) -> bool:
    """Return whether a slot may have been released between an instant and an operation's return."""
    is_in_time = (_ends(history) >= since) & (history.invoked <= history.returned[number])
    return bool((is_in_time & _may_do(history, RELEASE, slot)).any())


def _before(history: SlotHistory, window: Window, number: int, kind: int, slot: int | None = None) -> list[int]:
    """Return the window's successful operations of a kind (and on a slot) that had returned when
    this one was invoked, last first.
    """
    found = [
        other
        for other in window.numbers
        if history.kind[other] == kind
        and history.outcome[other] == OK
        and slot in (None, history.slot[other])
        and history.returned[other] < history.invoked[number]
    ]
    return sorted(found, key=lambda other: -int(history.returned[other]))


def _against(history: SlotHistory, window: Window, number: int) -> str:
    """Say what contradicts an operation; name the other one, if there is only one."""
    if len(window.numbers) == 1:
        return ""
    if len(window.numbers) > 2:
        return f", and no order of the {len(window.numbers)} operations of the window explains that"
    other = next(other for other in window.numbers if other != number)
    kind, outcome, slot, value = _row(history, other)
    of_slot = "" if kind in (GRAB, COUNT) else f" of slot {slot}"
    gave = {GRAB: f"slot {slot}", COUNT: value % 2**64, GET: f"value {_name(history, value)}"}.get(kind, _STATUS[OK])
    is_own = history.process[other] == history.process[number]
    is_over = history.returned[other] < history.invoked[number] or is_own
    said = (
        f", although {'before' if is_over else 'while it ran'} {NAMES[kind]}{of_slot} by process {history.name(other)}"
    )
    return f"{said} returned {gave if outcome == OK else _STATUS[outcome]}"


def _row(history: SlotHistory, number: int) -> tuple[int, int, int, int]:
    kind, outcome, slot, value = (
        int(column[number]) for column in (history.kind, history.outcome, history.slot, history.value)
    )
    return kind, outcome, slot, value


def _name(history: SlotHistory, value: int) -> Any:
    return history.value_names.get(value, value)
