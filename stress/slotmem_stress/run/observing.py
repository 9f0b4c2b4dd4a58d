"""What the owner of a segment sees in it between two rounds.

Interface: `observe(instance, slots, recorder)` looks at every slot by ordinary operations, and
records them. `record_observation` adds what a restart preserved to the history of the round that
the restart ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from slotmem_stress.history.records import COUNT, FGRAB, GET, NOTFOUND, OK, RELEASE, TORN, Recorder, values_of

_Write = Callable[..., None]


class Observation(NamedTuple):
    """The state of a segment: the slots in use, and the value in each slot."""

    inuse: tuple[int, ...]
    values: tuple[int, ...]


def observe(instance: Any, slots: int, recorder: Recorder | None, pregrab: bool = True) -> Observation:
    """Look at every slot; a free one is grabbed for as long as it takes to look.

    Without PREGRAB a get marks the slot, and only a release tells whether it was in use.

    Raises:
        Exception: whatever an operation raises that may not fail here.
    """
    write: _Write = recorder.write if recorder is not None else lambda *_: None
    inuse, values = [], []
    for slot in range(slots):
        used = pregrab or _released(instance, slot, write)
        value = _get(instance, slot, write)
        if value is None:
            used = False
            _timed(instance.fgrab, slot, write, FGRAB)
            value = _get(instance, slot, write)
        if used:
            inuse.append(slot)
        else:
            _timed(instance.release, slot, write, RELEASE)
        values.append(value or 0)
    began = time.monotonic_ns()
    free = instance.num_free_slots()
    write(COUNT, OK, 0, free, began, time.monotonic_ns())
    return Observation(tuple(inuse), tuple(values))


def record_observation(folder: str, seen: Observation, clients: tuple[int, ...], begun_ns: int, done_ns: int) -> None:
    """Record what was restored as one get per slot and client, as long as the restart."""
    for slot, (client, value) in enumerate(zip(clients, seen.values, strict=True)):
        recorder = Recorder(folder, client, chunk_records=512)
        status, value = (OK, value) if slot in seen.inuse else (NOTFOUND, 0)
        recorder.write(GET, status, slot, value, begun_ns, done_ns)
        recorder.close()


def _released(instance: Any, slot: int, write: _Write) -> bool:
    """Release a slot and record that; return whether it was in use."""
    began = time.monotonic_ns()
    used = _is_found(instance.release, slot)
    write(RELEASE, OK if used else NOTFOUND, slot, 0, began, time.monotonic_ns())
    return used


def _is_found(operation: Callable[[int], Any], slot: int) -> bool:
    """Do an operation; return whether it found the slot in use."""
    try:
        operation(slot)
    except Exception as error:
        if getattr(getattr(error, "status", None), "name", "") != "APR_NOTFOUND":
            raise
        return False
    return True


def _get(instance: Any, slot: int, write: _Write) -> int | None:
    """Get and record a slot's value; None if the slot is not in use."""
    began = time.monotonic_ns()
    try:
        values = values_of(instance.get(slot), instance.slot_size())
    except Exception as error:
        if getattr(getattr(error, "status", None), "name", "") != "APR_NOTFOUND":
            raise
        write(GET, NOTFOUND, slot, 0, began, time.monotonic_ns())
        return None
    ended = time.monotonic_ns()
    status, second = (TORN, values[1]) if len(values) > 1 else (OK, 0)
    write(GET, status, slot, values[0], began, ended, second)
    return values[0]


def _timed(operation: Callable[[int], Any], slot: int, write: _Write, kind: int) -> None:
    began = time.monotonic_ns()
    operation(slot)
    write(kind, OK, slot, 0, began, time.monotonic_ns())
