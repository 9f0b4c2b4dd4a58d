"""Clear errors for careless arguments of slot operations (ID-1, GET-5, PUT-5).

The operations check plain arguments themselves, because that is quick; anything else comes here.
"""

from __future__ import annotations

from typing import Any

from slotmem.status import LengthOutOfRange, SlotOutOfRange, WrongType


class Bounded:
    """Something that has item_num slots of item_size bytes."""

    def __init__(self, item_size: int, item_num: int) -> None:
        self.item_size = item_size
        self.item_num = item_num

    def checked_id(self, item_id: Any) -> int:
        """Return the slot id as an int.

        Raises:
            WrongType
            SlotOutOfRange
        """
        number = checked_integer(item_id, "a slot id")
        if not 0 <= number < self.item_num:
            has = f"0..{self.item_num - 1}" if self.item_num else "none"
            raise SlotOutOfRange(f"slot {number} is out of range: the segment has {self.item_num} slots ({has})")
        return number  # never in the model: clients ask with ints

    def checked_length(self, nbytes: Any) -> int:
        """Return the length as an int.

        Raises:
            WrongType
            LengthOutOfRange
        """
        number = checked_integer(nbytes, "a length")
        if not 0 <= number <= self.item_size:
            raise LengthOutOfRange(f"{number} bytes do not fit: a slot holds 0..{self.item_size} bytes")
        return number  # never in the model: clients ask with ints

    def checked_bytes(self, data: Any) -> bytes:
        """Return a bytes-like object's bytes, copied.

        Raises:
            WrongType
        """
        try:
            return memoryview(data).tobytes()
        except TypeError:
            raise WrongType(f"put takes bytes or a bytes-like object, got {type(data).__name__}") from None


def checked_integer(value: Any, what: str) -> int:
    """Return an int, or the value of an integer-like object such as numpy's.

    Raises:
        WrongType: also for bool.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise WrongType(f"{what} must be an int, got {value!r}")
    number: int = value.__index__()
    return number
