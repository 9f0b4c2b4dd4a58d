"""What the examples must do, as plain Python: one operation at a time.

An operation that may not take effect yet calls `blocked()`.
"""

from __future__ import annotations

from typing import Any

from slotmem_model.program import blocked


class Mutex:
    """One process at a time, in any order."""

    def __init__(self) -> None:
        self.held = False

    def enter(self, _me: int = 0) -> None:
        """Take it, if it is free."""
        if self.held:
            blocked()
        self.held = True

    def leave(self, _me: int = 0) -> None:
        """Give it back."""
        self.held = False


class ReadersWriter:
    """One writer, or any number of readers."""

    def __init__(self) -> None:
        self.readers = 0
        self.writes = False

    def read_lock(self) -> None:
        """Join the readers, unless somebody writes."""
        if self.writes:
            blocked()
        self.readers += 1

    def read_unlock(self) -> None:
        """Leave the readers."""
        self.readers -= 1

    def write_lock(self) -> None:
        """Write, once nobody reads or writes."""
        if self.writes or self.readers:
            blocked()
        self.writes = True

    def write_unlock(self) -> None:
        """Write no more."""
        self.writes = False


class Register:
    """A value that is written and read as a whole."""

    def __init__(self) -> None:
        self.value: Any = 0

    def write(self, value: Any) -> None:
        """Replace it."""
        self.value = value

    def read(self) -> Any:
        """Return it."""
        return self.value


class Stack:
    """Last in, first out."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def push(self, item: Any) -> None:
        """Put an item on top."""
        self.items.append(item)

    def pop(self) -> Any:
        """Take the item on top; None if there is none."""
        return self.items.pop() if self.items else None


class Queue:
    """First in, first out."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def put(self, item: Any) -> None:
        """Put an item at the end."""
        self.items.append(item)

    def get(self) -> Any:
        """Take the first item; None if there is none."""
        return self.items.pop(0) if self.items else None


class ShortQueue(Queue):
    """A queue of at most two items."""

    def put(self, item: Any) -> bool:  # type: ignore[override]
        """Put an item at the end; return whether there was room."""
        if len(self.items) == 2:
            return False
        self.items.append(item)
        return True
