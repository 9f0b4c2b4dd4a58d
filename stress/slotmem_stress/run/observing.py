"""What the owner of a segment sees in it between two rounds of a run.

Interface: `observe(instance, slots, recorder)` looks at every slot by ordinary operations, and records them; `record_observation` writes what a
restart has kept into the history of the round that it ended.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from slotmem import NotInUse
from slotmem_stress.history.records import (
    COUNT,
    FGRAB,
    GET,
    NOTFOUND,
    OK,
    RELEASE,
    TORN,
    Recorder,
    values_of,
)


class Observation(NamedTuple):
    """The state of a segment: which slots are in use, and what is in each."""

    inuse: tuple[int, ...]
    values: tuple[int, ...]


def observe(instance: Any, slots: int, recorder: Recorder | None) -> Observation:
    """Look at every slot; one that is free is taken for the time of a look. Raises: SlotmemError."""
    inuse, values = [], []
    for slot in range(slots):
        value = _get(instance, slot, recorder)
        if value is None:
            _timed(recorder, FGRAB, slot, lambda slot=slot: instance.fgrab(slot))
            value = _get(instance, slot, recorder)
            _timed(recorder, RELEASE, slot, lambda slot=slot: instance.release(slot))
        else:
            inuse.append(slot)
        values.append(value or 0)
    began = time.monotonic_ns()
    free = instance.num_free_slots()
    if recorder is not None:
        recorder.write(COUNT, OK, 0, free, began, time.monotonic_ns())
    return Observation(tuple(inuse), tuple(values))


def record_observation(folder: str, seen: Observation, clients: tuple[int, ...], begun_ns: int, done_ns: int) -> None:
    """Record what was restored as gets, one a client, that ran for the whole of the restart."""
    for slot, (client, value) in enumerate(zip(clients, seen.values, strict=True)):
        recorder = Recorder(folder, client, chunk_records=512)
        if slot in seen.inuse:
            recorder.write(GET, OK, slot, value, begun_ns, done_ns)
        else:
            recorder.write(GET, NOTFOUND, slot, 0, begun_ns, done_ns)
        recorder.close()


def _get(instance: Any, slot: int, recorder: Recorder | None) -> int | None:
    """Get a slot's value; None if it is not in use."""
    began = time.monotonic_ns()
    try:
        data = instance.get(slot)
    except Exception as error:
        if not _is_not_in_use(error):
            raise
        if recorder is not None:
            recorder.write(GET, NOTFOUND, slot, 0, began, time.monotonic_ns())
        return None
    ended = time.monotonic_ns()
    values = values_of(data)
    if recorder is not None:
        torn = len(values) > 1
        recorder.write(GET, TORN if torn else OK, slot, values[0], began, ended, values[1] if torn else 0)
    return values[0]


def _timed(recorder: Recorder | None, kind: int, slot: int, do: Any) -> None:
    began = time.monotonic_ns()
    do()
    if recorder is not None:
        recorder.write(kind, OK, slot, 0, began, time.monotonic_ns())


def _is_not_in_use(error: Exception) -> bool:
    """Say whether this is what the specification calls NOTFOUND, whoever says it."""
    return isinstance(error, NotInUse) or getattr(getattr(error, "status", None), "name", "") == "APR_NOTFOUND"
