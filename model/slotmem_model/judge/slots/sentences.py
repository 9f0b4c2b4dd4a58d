"""The window of a violation in words, and as events.

Interface: `describe(history, window, number)` gives one sentence that says why operation `number`
cannot be explained, as far as the operations of the window show it; `to_events(history, window)`
gives the window's events, with the operations of `slotmem_model.spec` (values by their number, or
by name where they have one).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
    SlotHistory,
)

_STATUS = {OK: spec.SUCCESS, TORN: spec.SUCCESS, NOTFOUND: spec.NOTFOUND, EINVAL: spec.EINVAL}


def to_events(history: SlotHistory, window: Iterable[int]) -> tuple[Event, ...]:
    """Return the events of some operations in the order of time; a pending one ends in a crash."""
    timed: list[tuple[int, int, Event]] = []
    crashed: list[Event] = []
    for number in window:
        process = _who(history, number)
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


def describe(history: SlotHistory, window: list[int], number: int) -> str:
    """Say in one sentence what is wrong with an operation."""
    kind, outcome, slot, value = _row(history, number)
    who = f"{NAMES[kind]} by process {_who(history, number)}"
    if outcome == TORN:
        return f"{who} returned value {_name(history, value)} of slot {slot}, which no put had written"
    if outcome == OK and kind == GET:
        return f"{who} returned value {_name(history, value)} of slot {slot}{_why_get(history, window, number)}"
    if outcome == OK and kind == COUNT:
        return f"{who} returned {value}, which was not the number of free slots at any time while it ran"
    if outcome == OK and kind == GRAB:
        return f"{who} returned slot {slot}{_why_grab(history, window, number)}"
    if outcome == EINVAL and kind == GRAB:
        return f"{who} found no free slot{_why_grab(history, window, number)}"
    if outcome == NOTFOUND:
        return f"{who} was told that slot {slot} is not in use{_why_used(history, window, number)}"
    if outcome == OK:
        return f"{who} succeeded on slot {slot}{_why_free(history, window, number)}"
    return f"{who} was refused with {_STATUS[outcome]}, which no state explains"


def _why_get(history: SlotHistory, window: list[int], number: int) -> str:
    _, _, slot, value = _row(history, number)
    written = (history.kind == PUT) & (history.slot == slot) & (history.value == value)
    if not (0 <= slot < history.item_num):
        return ", which the segment does not have"
    at_first = history.first_values()[slot] == value
    if not written.any() and not at_first:
        return ", which nobody had put there"
    if not at_first and (history.invoked[written] > history.returned[number]).all():
        return " before its put was invoked"
    for other in _before(history, window, number, PUT, slot):
        if history.value[other] != value:
            return f" after its overwriting by {_name(history, int(history.value[other]))} had returned"
    return _why_free(history, window, number)


def _why_free(history: SlotHistory, window: list[int], number: int) -> str:
    slot = int(history.slot[number])
    if not 0 <= slot < history.item_num:
        return ", which the segment does not have"
    for other in _before(history, window, number, RELEASE, slot):
        return f", although the release of the slot by process {_who(history, other)} had returned"
    return ", which was not in use at any time while it ran" if len(window) == 1 else _against(history, window, number)


def _why_used(history: SlotHistory, window: list[int], number: int) -> str:
    slot = int(history.slot[number])
    for kind in (GRAB, FGRAB):
        for other in _before(history, window, number, kind, slot):
            return f" after the {NAMES[kind]} by process {_who(history, other)} had returned, with no release behind it"
    return ", although it was, all the time while that ran" if len(window) == 1 else _against(history, window, number)


def _why_grab(history: SlotHistory, window: list[int], number: int) -> str:
    slot, is_full = int(history.slot[number]), history.outcome[number] == EINVAL
    if not is_full and not 0 <= slot < history.item_num:
        return ", which the segment does not have"
    others = [other for other in window if other != number and history.outcome[other] == OK]
    for other in reversed(others):
        is_over = history.returned[other] < history.invoked[number]
        if history.kind[other] == RELEASE and is_over and (is_full or history.slot[other] < slot):
            return (
                f", although the release of slot {history.slot[other]} by process {_who(history, other)} had returned"
            )
    for other in reversed(others):
        if not is_full and history.kind[other] in (GRAB, FGRAB) and history.slot[other] == slot:
            return f", which process {_who(history, other)} had grabbed, with no release between"
    if len(window) > 1:
        return _against(history, window, number)
    if is_full:
        return ", although there was one, all the time while it ran"
    return ", which was not the lowest free one at any time while it ran"


def _before(history: SlotHistory, window: list[int], number: int, kind: int, slot: int) -> list[int]:
    """Return the window's successful operations of a kind on a slot that had returned when this one
    was invoked, last first.
    """
    found = [
        other
        for other in window
        if history.kind[other] == kind
        and history.outcome[other] == OK
        and history.slot[other] == slot
        and history.returned[other] < history.invoked[number]
    ]
    return sorted(found, key=lambda other: -int(history.returned[other]))


def _against(history: SlotHistory, window: list[int], number: int) -> str:
    """Name what stands against an operation, where it is one other."""
    if len(window) != 2:
        return f", and no order of the {len(window)} operations of the window explains that"
    other = next(other for other in window if other != number)
    kind, outcome, slot, value = _row(history, other)
    of_slot = "" if kind in (GRAB, COUNT) else f" of slot {slot}"
    gave = {GRAB: f"slot {slot}", COUNT: value, GET: f"value {_name(history, value)}"}.get(kind, _STATUS[OK])
    when = "before" if history.returned[other] < history.invoked[number] else "while it ran"
    said = f", although {when} {NAMES[kind]}{of_slot} by process {_who(history, other)} returned"
    return f"{said} {gave if outcome == OK else _STATUS[outcome]}"


def _row(history: SlotHistory, number: int) -> tuple[int, int, int, int]:
    kind, outcome, slot, value = (
        int(column[number]) for column in (history.kind, history.outcome, history.slot, history.value)
    )
    return kind, outcome, slot, value


def _who(history: SlotHistory, number: int) -> Any:
    process = int(history.process[number])
    return history.process_names.get(process, process)


def _name(history: SlotHistory, value: int) -> Any:
    return history.value_names.get(value, value)
