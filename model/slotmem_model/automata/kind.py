"""What the checker must know of a kind of program: its words, how an operation is run, and what a
process keeps between two operations.

Interface: `Kind` is that; `slots_kind.SlotsKind` are algorithms of slots, and
`slotmem_model.programs.kind.ProgramKind` classes of a user's own. `Place` is what a tabulation
depends on besides the algorithm, `Leaf` how an operation ends.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Protocol

from slotmem_model.automata.accesses import Access, Image
from slotmem_model.automata.client import Statement
from slotmem_model.automata.shared_words import Word
from slotmem_model.spec import Operation, Result

Answer = Callable[[Access, tuple[int, ...]], Any]


class TooLarge(ValueError):
    """A graph, an automaton or a state that does not fit."""


class NotAFunction(ValueError):
    """An operation that does different things for the same answers, so that nothing can be said
    about it.
    """


class BadProgram(ValueError):
    """A class that is not a program; the message says what is wrong, and what to do."""


class Leaf(NamedTuple):
    """An operation's end: its result, or the fault that stopped it."""

    result: Result | None
    fault: str = ""
    kept: Hashable = None
    """What the process keeps, if the kind of program keeps anything."""


ENDED_BY_EXCEPTION = Leaf(None)
"""The end of an operation that never answers: what it did and what it did not, nobody was told."""


class Ended(NamedTuple):
    """What an operation's end means to its process."""

    kept: Hashable
    value: Hashable = None
    """What a register gets."""
    fault: str = ""


class Kind(Protocol):
    """See the header."""

    @property
    def words(self) -> tuple[Word, ...]:
        """Shared memory."""

    @property
    def files(self) -> frozenset[str]:
        """The files in whose functions plain loops that come back to where they were are
        understood; none: loops say so themselves.
        """

    @property
    def below(self) -> str:
        """The file of the function that calls operations."""

    def shown(self, call: Operation) -> str:
        """Show what is run, for a message."""

    def endless(self, operation: Operation, accesses: int) -> str:
        """Say that an operation has made so many accesses and goes on, and what to do."""

    def image(self, answer: Answer) -> Image:
        """Return an image whose accesses are answered so."""

    def run(self, algorithm: Callable[[Any], Any], image: Any, call: Operation) -> Leaf:
        """Make the algorithm and do an operation on it."""

    def miss(self, fault: str, word: int, value: Hashable) -> None:
        """Note the store of a value that its word does not have in the model, and the fault that it
        ends with.
        """

    # -- what a process does and keeps; `Hashable` is what it keeps --------------------------------

    @property
    def first(self) -> Hashable:
        """What a process keeps before its first operation."""

    def bind(self, statement: Statement, registers: dict[str, Any], process: int) -> Operation | None:
        """Return the operation that a statement stands for; None if its register is not set."""

    def call(self, operation: Operation, kept: Any, process: int) -> Operation:
        """Return what is run: two that are equal have one graph."""

    def told(self, state: Any) -> str:
        """Show a state of the specification in a line."""

    def begun(self, operation: Operation, kept: Any) -> Hashable:
        """Return what is kept once an operation has begun."""

    def ended(self, operation: Operation, leaf: Leaf, kept: Any) -> Ended:
        """Return what an operation's end means."""

    def holds(self, kept: Any) -> int:
        """Return the slots that a process holds, bit i for slot i."""

    def held(self, kept: Any) -> tuple[int, ...]:
        """Return the mutexes that a process holds between two operations, as words."""


Step = Callable[[Any, Operation, int], tuple[tuple[Any, Result], ...]]
"""A specification: the states and results that may follow when a process does an operation."""


class Question(NamedTuple):
    """What is compiled."""

    kind: Kind
    clients: tuple[tuple[Statement, ...], ...]
    """One for each process."""
    possible: tuple[frozenset[int], ...]
    """For each word, the indexes of the values that it may have at the beginning."""
    initial: Any
    """The specification's initial state."""
    step: Step


class Place(NamedTuple):
    """What a tabulation depends on besides the algorithm."""

    kind: Kind
    possible: tuple[frozenset[int], ...]
    """For each word, the indexes of the values that it can ever have."""
    timeouts: bool = False
    """Whether a wait for a lock may time out."""
    exceptions: bool = False
    """Whether an exception may end an operation, and a second one its way out."""
    files: frozenset[str] = frozenset()
    """The files of the algorithm's source, whose lines are noted."""
    shown: frozenset[str] = frozenset()
    """The files of functions whose line and local variables are kept with each access, to be shown:
    steps that differ in these alone are different then.
    """
