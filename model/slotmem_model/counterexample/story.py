"""The parts of which a run is told: where a step comes from, what happened, in which operation.

Interface: `Source`, `Happening`, `Interval`, and the `Explanation` that holds them together.
`explain` makes one of a path of the model, `blame` finds the sentence; lanes, picture and trace
show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from slotmem_model.automata.accesses import Access
from slotmem_model.checker.model import Model, State, Step
from slotmem_model.counterexample import wording
from slotmem_model.spec import Operation, Result


class Source(NamedTuple):
    """Where in an algorithm a step is: the file's path below its package's parent, the line, the
    function, and what the line says.
    """

    file: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.rpartition('/')[2]}:{self.line}"


class Happening(NamedTuple):
    """One step."""

    process: int
    access: Access | None
    """None if the process dies."""
    before: int
    """The index of the word's value; of the buffered value, where memory was not touched."""
    after: int
    text: str
    """What it did, in Apache's words: `inuse[0]: 0 -> 1`."""
    interval: int | None
    """The operation that it belongs to; None if the process was between two."""
    source: Source | None = None

    @property
    def word(self) -> int:
        """The word that it is about, or -1."""
        return -1 if self.access is None else self.access.word

    @property
    def writes(self) -> bool:
        """Whether it changes shared memory."""
        return self.access is not None and self.access.touches and self.before != self.after

    @property
    def stores(self) -> bool:
        """Whether it writes, even if the value stays the same."""
        return self.writes or (self.access is not None and self.access.kind in ("store", "drain"))


@dataclass
class Interval:
    """An operation, from its first step to its last."""

    process: int
    operation: Operation
    first: int
    asked: Operation
    """What was run: `slotmem_model.automata.kind.Kind.call`."""
    of_slots: bool = True
    """Whether it is an operation of slots, not of a program of one's own."""
    last: int | None = None
    """None if it was still going on at the end, or its process died."""
    result: Result | None = None
    fault: str = ""
    died: bool = False

    @property
    def call(self) -> str:
        """The operation as a call."""
        return wording.operation(self.operation) if self.of_slots else wording.call(self.operation)

    @property
    def answer(self) -> str:
        """What it returned, in a few words; empty if it did not."""
        if self.fault:
            return self.fault.rpartition(" gave ")[2]
        return "" if self.result is None else self.said(self.result)

    def said(self, result: Result) -> str:
        """Show a result that it could have."""
        return wording.result(self.operation[0], result) if self.of_slots else repr(result.value)

    def __str__(self) -> str:
        return f"{self.call} of {wording.process(self.process)}"


@dataclass
class Explanation:
    """A run that a person can follow. states has one entry more than happenings."""

    model: Model
    broken: str
    steps: tuple[Step, ...]
    states: tuple[State, ...]
    happenings: tuple[Happening, ...]
    intervals: tuple[Interval, ...]
    sentence: str = ""
    culprits: frozenset[int] = frozenset()
    """The intervals that the sentence is about."""
    words: frozenset[int] = frozenset()
    """The words that it is about."""
    loop: int | None = None
    """The steps from this number on repeat for ever: it is a run that breaks a property of
    progress. If there are none, all that go on wait from there on.
    """
    starves: tuple[str, ...] = ()
    """The operations that never end then: `get(0) of process 2`."""
