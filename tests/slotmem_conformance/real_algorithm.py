"""Algorithms of the catalogue on real shared memory: the provider behind `algorithm:NAME`.

An algorithm of `slotmem_model.algorithms` has the operations that the model checker explores, and no more. Here it is given
the rest (walks, pointers, the snapshot that is stored), without locks. Those that need locked processor instructions
(`cas`, `seqlock`, ...) cannot run on real memory: create says which part of the image is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import slotmem
from slotmem.bounds import Bounded
from slotmem.layout import PAYLOAD_START
from slotmem.slots import Slots
from slotmem_model.algorithms import catalogue


class _Rest(Bounded):
    """What an algorithm may lack."""

    image: Any

    doall = Slots.doall
    dptr = Slots.dptr

    def slots(self) -> Iterator[int]:
        """Iterate over the ids in use."""
        return (item_id for item_id, used in enumerate(bytes(self.image.inuse)) if used)

    def snapshot(self) -> bytes:
        """Copy the payload as it is."""
        payload: bytes = self.image.memory[PAYLOAD_START : self.image.geometry.apr_length]
        return payload


def open_algorithm(name: str, *, runtime_dir: str, generation: int) -> Any:
    """Make a provider whose instances run an algorithm of the catalogue. Raises: slotmem.InvalidArgument: no such name."""
    try:
        found: Any = Slots if name == "reference" else catalogue.find(name)
    except ValueError as error:
        raise slotmem.InvalidArgument(str(error)) from None
    whole = found if issubclass(found, Slots) else type(found.__name__, (found, _Rest), {})
    return slotmem.provider("shm", runtime_dir=runtime_dir, generation=generation, algorithm=whole)
