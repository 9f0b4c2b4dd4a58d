"""Algorithms of slots, as the checker sees them: a segment's words, and processes that hold slots.

Interface: `SlotsKind(geometry, map, robust)`; `run_operation(instance, operation)` does one
operation and returns how it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from slotmem_model.automata import client
from slotmem_model.automata.accesses import Raised
from slotmem_model.automata.client import Statement
from slotmem_model.automata.kind import ENDED_BY_EXCEPTION, Answer, Ended, Leaf, NotAFunction, TooLarge
from slotmem_model.automata.shared_words import Geometry, Map, Word
from slotmem_model.automata.simulated_image import SimulatedImage
from slotmem_model.spec import SUCCESS, As, Operation, Result


@dataclass(frozen=True)
class SlotsKind:
    """See `slotmem_model.automata.kind.Kind`. A process keeps the slots that it holds: bit i if it
    was given slot i and has not begun to release it.
    """

    geometry: Geometry
    map: Map
    robust: bool = True
    """Whether a mutex tells of its owner's death; if not, it stays locked for ever."""

    files: ClassVar[frozenset[str]] = frozenset()
    below: ClassVar[str] = __file__
    first: ClassVar[int] = 0

    def shown(self, call: Operation) -> str:
        """Show an operation as it is."""
        return str(call)

    def endless(self, operation: Operation, accesses: int) -> str:
        """Say what to do about a loop."""
        return (
            f"{operation} has made {accesses:,} accesses, and goes on: a loop that waits must say so, "
            "with image.retry() or image.wait_for(cell, value)"
        )

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of the segment."""
        return self.map.words

    def image(self, answer: Answer) -> SimulatedImage:
        """Return a simulated segment."""
        return SimulatedImage(self.geometry, self.map, answer, robust=self.robust)

    def run(self, algorithm: Callable[[Any], Any], image: Any, call: Operation) -> Leaf:
        """Make an algorithm, do an operation and return how it ended; failing to make it is a
        fault.
        """
        if isinstance(call[-1], As):
            image.me[0] = call[-1].process
            call = call[:-1]
        try:
            instance = algorithm(image)
        except (Exception, SystemExit) as error:
            return Leaf(None, f"raised {type(error).__name__}: {error}, when it was made")
        return run_operation(instance, call)

    def miss(self, fault: str, word: int, value: Hashable) -> None:
        """Forget it: a segment's words have the values that they have."""

    def bind(self, statement: Statement, registers: dict[str, Any], process: int) -> Operation | None:
        """Return the operation that a statement stands for; None if its register is not set."""
        asked = client.bind(statement, registers, process, self.geometry.item_size)
        return (*asked, As(process + 1)) if asked and self.map.tenants else asked

    def call(self, operation: Operation, kept: int, process: int) -> Operation:
        """Return the operation: whoever does it, it is the same."""
        del kept, process
        return operation

    def told(self, state: Any) -> str:
        """Show a state of the specification: each slot, whether it is in use, and its bytes."""
        slots = zip(state.inuse, state.data, strict=True)
        return ", ".join(
            f"slot {at} {'in use' if used else 'free'}: {data.hex(' ')}" for at, (used, data) in enumerate(slots)
        )

    def begun(self, operation: Operation, kept: int) -> int:
        """Return the slots held once an operation has begun."""
        return kept & ~(1 << operation[1]) if operation[0] == "release" and operation[1] >= 0 else kept

    def ended(self, operation: Operation, leaf: Leaf, kept: int) -> Ended:
        """Return what an operation's end means: a slot that was grabbed is held; a get whose bytes
        differ is torn, for every put fills its slot with one value.
        """
        assert leaf.result is not None
        status, value = leaf.result
        if operation[0] == "get" and status == SUCCESS and len(set(value)) > 1:
            return Ended(0, fault=f"torn: {operation} gave {value.hex(' ')}")
        if operation[0] == "grab" and status == SUCCESS:
            return Ended(kept | 1 << value, value)
        return Ended(kept)

    def holds(self, kept: int) -> int:
        """Return the slots that a process holds."""
        return kept

    def held(self, kept: int) -> tuple[int, ...]:
        """Return no mutex: none is held between two operations."""
        del kept
        return ()


def run_operation(instance: Any, operation: Operation) -> Leaf:
    """Do an operation on an algorithm, and return how it ended: an error with a status is an
    answer, any other is a fault.
    """
    name, *arguments = operation
    try:
        value = getattr(instance, name)(*arguments)
    except (NotAFunction, TooLarge):
        raise
    except Raised:
        return ENDED_BY_EXCEPTION
    except (Exception, SystemExit) as error:
        status = getattr(error, "status", None)
        if status is None:
            return Leaf(None, f"raised {type(error).__name__}: {error}")
        return Leaf(Result(status.name))
    if name == "grab" and type(value) is not int:
        return Leaf(None, f"raised TypeError: it returned {value!r}, which is not a slot id")
    return Leaf(Result(SUCCESS, tuple(value) if name == "slots" else value))
