"""A recorded history of slots in columns: a million operations in some tens of megabytes.

Interface:

- `SlotHistory` has one entry an operation in each column, in any order. Times are nanoseconds, or
  any other count of time.
- `from_events(events, initial)` makes one from the events of `slotmem_model.judge.events`, whose
  operations and results are those of `slotmem_model.spec`; values are numbered. It raises
  `Unsuited` for what the columns cannot express.

The columns express PREGRAB; grab, fgrab, release, num_free_slots; get and put of whole slots. A put
or get of fewer bytes, `slots` and `doall` are left to the judge of any specification.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from slotmem_model import spec
from slotmem_model.judge.events import Call, Event, History, MalformedHistory

GRAB, FGRAB, RELEASE, GET, PUT, COUNT = range(6)
OK, NOTFOUND, EINVAL, PENDING, TORN = range(5)

KINDS = {"grab": GRAB, "fgrab": FGRAB, "release": RELEASE, "get": GET, "put": PUT, "num_free_slots": COUNT}
NAMES = {kind: name for name, kind in KINDS.items()}
OUTCOMES = {spec.SUCCESS: OK, spec.NOTFOUND: NOTFOUND, spec.EINVAL: EINVAL}

NO_VALUE = -1

Column = npt.NDArray[np.int64]


class Unsuited(Exception):
    """The columns cannot hold this history; the judge of any specification can judge it."""


@dataclass(frozen=True)
class SlotHistory:
    """The operations of a segment.

    `slot` is the argument, or what a grab gave (anything, if it gave none). `value` is the number
    of what was put or got, or the count that num_free_slots gave; of a TORN get, which gave parts
    of several, it stands for all of these. `returned` of a PENDING operation is ignored. `witness`,
    if there is one, is a number taken at the operation's instant (inside its critical section),
    below zero if it was not taken. `inuse` is the mask of the slots in use initially, `values` what
    is in them. The names are what reports say instead of the numbers, where there are any. Without
    `pregrab` get and put mark the slot. `lowest_first`: a grab must give the lowest free slot
    (GRAB-2), not just any.
    """

    item_num: int
    process: Column
    kind: Column
    outcome: Column
    slot: Column
    value: Column
    invoked: Column
    returned: Column
    witness: Column | None = None
    inuse: int = 0
    values: tuple[int, ...] = ()
    value_names: dict[int, Any] = field(default_factory=dict)
    process_names: dict[int, Any] = field(default_factory=dict)
    pregrab: bool = True
    lowest_first: bool = True

    def __post_init__(self) -> None:
        """Refuse columns that no recorder can have written.

        Raises:
            MalformedHistory
        """
        columns = [self.process, self.kind, self.outcome, self.slot, self.value, self.invoked, self.returned]
        if len({len(column) for column in columns}) != 1:
            raise MalformedHistory("the columns of a history have one entry for each operation; these differ in length")
        if len(self.process) == 0:
            return
        if not ((self.kind >= GRAB) & (self.kind <= COUNT) & (self.outcome >= OK) & (self.outcome <= TORN)).all():
            raise MalformedHistory("an operation of the history has an unknown kind or outcome")
        returned = np.where(self.outcome == PENDING, np.iinfo(np.int64).max, self.returned)
        if (returned < self.invoked).any():
            number = int(np.argmax(returned < self.invoked))
            raise MalformedHistory(f"operation {number} returns before it is invoked")
        order = np.lexsort((self.invoked, self.process))
        same = self.process[order[1:]] == self.process[order[:-1]]
        if (same & (self.invoked[order[1:]] == self.invoked[order[:-1]])).any():
            order = np.lexsort((returned, self.invoked, self.process))  # those of no length come first
        early = same & (self.invoked[order[1:]] < returned[order[:-1]])
        if early.any():
            before, number = (int(part[np.argmax(early)]) for part in (order, order[1:]))
            raise MalformedHistory(
                f"process {int(self.process[number])} invokes operation {number} before its last one has returned",
                (number, before),
            )

    def __len__(self) -> int:
        return len(self.process)

    def name(self, number: int) -> Any:
        """Return the name of an operation's process."""
        process = int(self.process[number])
        return self.process_names.get(process, process)

    def first_values(self) -> list[int]:
        """Return what is in each slot initially; 0 where nothing else is said."""
        return list(self.values) + [0] * (self.item_num - len(self.values))


def from_events(events: Iterable[Event], initial: spec.Slots, *, lowest_first: bool = True) -> SlotHistory:
    """Put a history of events into columns; the time of an event is its number.

    Raises:
        MalformedHistory
        Unsuited
    """
    history = History.from_events(events)
    if not initial.pregrab:
        raise Unsuited("without PREGRAB get and put mark slots")
    numbers: dict[bytes, int] = {bytes(initial.item_size): 0}
    values = tuple(numbers.setdefault(data, len(numbers)) for data in initial.data)
    processes: dict[Any, int] = {}
    rows = []
    for call in history.calls:
        process = processes.setdefault(call.process, len(processes))
        returned = -1 if call.returned is None else call.returned
        rows.append((process, *_encode(call, initial, numbers), call.invoked, returned))
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 7).T.copy()
    return SlotHistory(
        len(initial.inuse),
        table[0],
        table[1],
        table[2],
        table[3],
        table[4],
        table[5],
        table[6],
        inuse=sum(1 << item_id for item_id, used in enumerate(initial.inuse) if used),
        values=values,
        value_names={number: data for data, number in numbers.items()},
        process_names={number: process_name for process_name, number in processes.items()},
        lowest_first=lowest_first,
    )


def _encode(call: Call, initial: spec.Slots, numbers: dict[bytes, int]) -> tuple[int, int, int, int]:
    """Return kind, outcome, slot and value of a call."""
    name, *arguments = call.operation
    if name not in KINDS:
        raise Unsuited(f"{name} is not among {', '.join(KINDS)}")
    kind = KINDS[name]
    if kind == GET and len(arguments) == 2 and arguments[1] not in (None, initial.item_size):
        raise Unsuited("a get of something other than a whole slot")
    data = arguments[1] if kind == PUT else None
    if data is not None and len(data) != initial.item_size:
        raise Unsuited("a put of something other than a whole slot")
    slot = arguments[0] if arguments else -1
    value = NO_VALUE if data is None else numbers.setdefault(bytes(data), len(numbers))
    if call.is_pending:
        return kind, PENDING, slot, value
    result = call.result
    if not isinstance(result, spec.Result) or result.status not in OUTCOMES:
        raise Unsuited(f"{result!r} is not a result that the specification can give")
    outcome = OUTCOMES[result.status]
    if outcome != OK or kind in (FGRAB, RELEASE, PUT):
        if result.value is not None:
            raise Unsuited(f"{result!r} of {name} has a value")
    elif kind == GET:
        if not isinstance(result.value, bytes):
            raise Unsuited(f"{result!r} of get has no bytes")
        value = numbers.setdefault(result.value, len(numbers))
    elif type(result.value) is not int or not 0 <= result.value < 2**62:
        raise Unsuited(f"{result!r} of {name} has no number")
    elif kind == GRAB:
        slot = result.value
    else:
        value = result.value
    return kind, outcome, slot, value
