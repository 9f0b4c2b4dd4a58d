"""A recorded history in memory, whichever form it was read from.

Interface: `Recorded`; its `to_object(row)` gives one operation as an object of the JSON lines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from slotmem_stress.history.fields import SHAPES
from slotmem_stress.history.records import (
    HEAD,
    INVOKED,
    KINDS,
    RETURNED,
    SECOND,
    SLOT_SHIFT,
    STATUS_SHIFT,
    STATUSES,
    VALUE,
    Description,
)

Words = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


@dataclass
class Recorded:
    """A history: a row for each operation, in any order."""

    description: Description
    clients: npt.NDArray[np.int64]
    """Who did it, by number."""
    records: Words
    """The five words of `slotmem_stress.history.records`."""
    is_pending: Flags
    """Whether it did not return; here a time may be 0."""
    names: dict[int, str] = field(default_factory=dict)
    """The names of those clients whose names are no numbers."""
    lines: list[int] = field(default_factory=list)
    """The line that each was read from, if it was read from lines."""
    notes: list[str] = field(default_factory=list)
    """What whoever reads the verdict should know, in sentences."""

    def name(self, client: int) -> int | str:
        """Return what a client is called."""
        return self.names.get(client, client)

    def to_object(self, row: int) -> dict[str, Any]:
        """Return one operation as an object of the JSON lines."""
        words = self.records[row].tolist()
        kind, slot = words[HEAD] & 0xFF, words[HEAD] >> SLOT_SHIFT
        status = None if self.is_pending[row] else STATUSES[words[HEAD] >> STATUS_SHIFT & 0xFF]
        said = {
            "client": self.name(int(self.clients[row])),
            "op": KINDS[kind],
            "slot": slot,
            "value": words[VALUE],
            "second": words[SECOND],
            "status": status,
            "invoke_ns": words[INVOKED],
            "return_ns": words[RETURNED],
        }
        return {key: said[key] for key in SHAPES[KINDS[kind], status]}
