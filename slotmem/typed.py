"""Slots that hold a `ctypes.Structure` each: read, written and changed by value.

`SlotInstance.view` lays a structure over the slot's own memory, without a lock. Here each call is
one operation of `slotmem.slots`, as atomic as that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic

from slotmem.blocks import Locked
from slotmem.interface import View
from slotmem.status import WrongType


class TypedSlots(Generic[View]):
    """The slots of an instance, each as one structure; see `SlotInstance.typed`."""

    def __init__(self, instance: Any, structure: type[View], nbytes: int) -> None:
        self._instance, self._structure, self._nbytes = instance, structure, nbytes
        self._read: Callable[[bytes], View] = getattr(structure, "from_buffer_copy")  # noqa: B009 -- mypy forgets the class
        self._lay: Callable[[memoryview], View] = getattr(structure, "from_buffer")  # noqa: B009

    def get(self, item_id: int) -> View:
        """Return a copy of the structure in a slot."""
        return self._read(self._instance.get(item_id, self._nbytes))

    def put(self, item_id: int, value: View) -> None:
        """Write a structure to a slot.

        Raises:
            WrongType: if it is of another class.
        """
        if not isinstance(value, self._structure):
            raise WrongType(f"these slots hold a {self._structure.__name__} each, got {value!r}")
        self._instance.put(item_id, bytes(value))

    def update(self, item_id: int, function: Callable[[View], object]) -> View:
        """Let function change the structure in a slot, under its lock; return what it became.

        The function must be quick, and must not use the segment.
        """
        made: list[View] = []

        def change(data: bytes) -> bytes:
            value = self._read(data)
            function(value)
            made.append(value)
            return bytes(value)

        self._instance.update(item_id, change)
        return made[-1]

    def locked(self, item_id: int) -> Locked[View]:
        """Hold the slot's lock for a `with`, which gets the structure to be changed; see
        `SlotInstance.locked`.
        """
        held: Locked[View] = self._instance.algorithm().locked(item_id, self._lay)
        return held
