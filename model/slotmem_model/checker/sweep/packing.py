"""States packed into 64-bit integers, and automata as tables of what to add to them.

Interface:

- `Packing(model, columns)` lays the fields of a state out over one or more 64-bit columns: local
  states, the monitor's number, and every word that ever changes.
- `pack`, `unpack` turn a `State` into integers and back.
- `tables(...)` returns, for each process and each action it may have, what a step adds to the
  packed state, so that the engine looks at no field but the two that a step depends on.

A field never overflows: it is as wide as its largest value, and the engine watches the monitor's
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slotmem_model.automata.automaton import NEVER, Action, Automaton, Local
from slotmem_model.automata.kind import TooLarge
from slotmem_model.automata.shared_words import DEAD, HELD
from slotmem_model.checker.model import Model, State

U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]

COLUMN_BITS = 64
MIN_MONITOR_BITS = 13
MAX_MONITOR_BITS = 27
MAX_COLUMNS = 4
BLOCKED = -1
JUMP_BITS = 20
"""The low bits of a table's `info`: how far a step moves on. The high ones are the number of its
event.
"""


class Field(NamedTuple):
    """Where a field lies: its column, its lowest bit, its mask (before shifting)."""

    column: int
    shift: int
    mask: int


class Packing:
    """The layout of one model's states over `columns` integers.

    Raises:
        TooLarge: if they do not suffice.
    """

    def __init__(self, model: Model, columns: int) -> None:
        self.columns = columns
        self.values = [sorted(possible) for possible in model.place.possible]
        """For each word, the value indexes that it can have; a field holds the position in this
        list.
        """
        self._used = [0] * columns
        self.locals = [self._field(len(automaton.locals)) for automaton in model.processes]
        self.words = [self._field(len(values)) for values in self.values]
        self.monitor = Field(0, 0, 0)
        if model.monitor:
            column = min(range(columns), key=self._used.__getitem__)
            bits = min(COLUMN_BITS - self._used[column], MAX_MONITOR_BITS)
            if bits < MIN_MONITOR_BITS:
                raise TooLarge("the monitor does not fit; take fewer processes, or leave linearizability out")
            self.monitor = Field(column, self._used[column], (1 << bits) - 1)

    def _field(self, number: int) -> Field:
        """Place a field of `number` values in the first column that has room."""
        bits = (number - 1).bit_length()
        for column in range(self.columns):
            if self._used[column] + bits <= COLUMN_BITS:
                shift = self._used[column]
                self._used[column] += bits
                return Field(column, min(shift, COLUMN_BITS - 1), (1 << bits) - 1)
        raise TooLarge(
            f"a state has more than {self.columns * COLUMN_BITS} bits; take fewer processes, fewer or smaller slots"
        )

    def pack(self, state: State) -> list[int]:
        """Return the columns of a state."""
        row = [0] * self.columns
        values = [self.values[word].index(value) for word, value in enumerate(state.words)]
        for field, value in zip(
            (*self.locals, *self.words, self.monitor), (*state.locals, *values, state.monitor), strict=True
        ):
            row[field.column] |= (value & field.mask) << field.shift
        return row

    def unpack(self, row: tuple[int, ...]) -> State:
        """Return the state in these columns."""

        def read(field: Field) -> int:
            return row[field.column] >> field.shift & field.mask

        locals_ = tuple(map(read, self.locals))
        words = tuple(values[read(field)] for field, values in zip(self.words, self.values, strict=True))
        return State(locals_, words, read(self.monitor) if self.monitor.mask else 1)

    def memory_masks(self) -> list[int]:
        """Return, for each column, the bits of shared words and the monitor."""
        masks = [0] * self.columns
        for field in (*self.words, self.monitor):
            masks[field.column] |= field.mask << field.shift
        return masks


def packing_for(model: Model, at_least: int = 1) -> Packing:
    """Return the layout of states over as few columns as suffice.

    Raises:
        TooLarge
    """
    for columns in range(at_least, MAX_COLUMNS + 1):
        try:
            return Packing(model, columns)
        except TooLarge:
            if columns == MAX_COLUMNS:
                raise
    raise TooLarge("the monitor has too many sets; take fewer processes, or leave linearizability out")


class Table(NamedTuple):
    """One action of a process, for every local state. Arrays by local state: `base`, `shift[k]`,
    `mask[k]`.

    key = base + sum over columns k of (state[k] >> shift[k] & mask[k]) is an index of `info` and
    `add[k]`.
    """

    base: Ints
    shift: list[U64]
    mask: list[U64]
    columns: list[int]
    """The columns in which the accessed words lie."""
    info: Ints
    """BLOCKED, or event << JUMP_BITS | jump."""
    add: list[U64]
    waited: NDArray[np.bool_]
    """Whether the step finds a lock taken."""
    taken: NDArray[np.bool_] | None
    """Which steps were explored, where the model notes source lines."""


def tables(model: Model, packing: Packing, automaton: Automaton, ranks: list[int]) -> list[Table]:
    """Make the tables of a process: one for each action that a local state of it may have."""
    number = max(1, max(len(local.actions) for local in automaton.locals))
    return [_table(model, packing, automaton, ranks, action) for action in range(number)]


def _table(model: Model, packing: Packing, automaton: Automaton, ranks: list[int], which: int) -> Table:
    size, columns = len(automaton.locals), packing.columns
    base = np.zeros(size, np.int64)
    shift = [np.zeros(size, np.uint64) for _ in range(columns)]
    mask = [np.zeros(size, np.uint64) for _ in range(columns)]
    info: list[int] = []
    add: list[list[int]] = [[] for _ in range(columns)]
    waited: list[bool] = []
    here = packing.locals[automaton.process]
    for at, local in enumerate(automaton.locals):
        base[at] = len(info)
        action = _action(local, which)
        if action is None:
            info.append(BLOCKED)
            waited.append(False)
            for column in add:
                column.append(0)
            continue
        touches = action.access.touches
        word = action.access.word
        field = packing.words[word] if touches else None
        values = packing.values[word] if touches else [0]
        if field:
            shift[field.column][at], mask[field.column][at] = field.shift, field.mask
        for position, value in enumerate(values):
            move = action.moves[value]
            assert move != NEVER, (local, action)
            row = [0] * columns
            if move:
                row[here.column] += (move.target - at) << here.shift
                if field:
                    row[field.column] += (values.index(move.value) - position) << field.shift
            for column, delta in zip(add, row, strict=True):
                column.append(delta % 2**64)
            info.append(move.event << JUMP_BITS | (ranks[move.target] - ranks[at]) if move else BLOCKED)
            held = touches and model.words[word].kind == "mutex" and model.words[word].values[value] == 1
            waited.append(held and action.access.kind in ("lock", "trylock"))
    return Table(
        base,
        shift,
        mask,
        [column for column in range(columns) if mask[column].any()],
        np.array(info, np.int64),
        [np.array(column, np.uint64) for column in add],
        np.array(waited, np.bool_),
        np.zeros(len(info), np.bool_) if model.place.files else None,
    )


def steps_taken(model: Model, packing: Packing, tables_: list[list[Table]]) -> Iterator[tuple[int, int, int, int]]:
    """Yield the steps that were explored: process, local state, action, value index."""
    for process, (automaton, each) in enumerate(zip(model.processes, tables_, strict=True)):
        for which, table in enumerate(each):
            assert table.taken is not None
            for at, local in enumerate(automaton.locals):
                if action := _action(local, which):
                    first = int(table.base[at])
                    values = packing.values[action.access.word] if action.access.touches else [0]
                    for position, value in enumerate(values):
                        if table.taken[first + position]:
                            yield process, at, which, value


def _action(local: Local, which: int) -> Action | None:
    return local.actions[which] if which < len(local.actions) else None


class CrashTable(NamedTuple):
    """What a death adds, by local state; like `Table`, without an access."""

    info: Ints
    add: list[U64]


def crash_table(model: Model, packing: Packing, automaton: Automaton, ranks: list[int]) -> CrashTable:
    """Make the table of a process's deaths: it dies, and the mutexes that it holds learn of it."""
    here = packing.locals[automaton.process]
    info: list[int] = []
    add: list[list[int]] = [[] for _ in range(packing.columns)]
    for at, local in enumerate(automaton.locals):
        row = [0] * packing.columns
        if local.crash is not None and model.configuration.crashes:
            row[here.column] += (local.crash - at) << here.shift
            for mutex in local.held:
                field, values = packing.words[mutex], packing.values[mutex]
                row[field.column] += (values.index(DEAD) - values.index(HELD)) << field.shift
            info.append(local.crash_event << JUMP_BITS | (ranks[local.crash] - ranks[at]))
        else:
            info.append(BLOCKED)
        for column, delta in zip(add, row, strict=True):
            column.append(delta % 2**64)
    return CrashTable(np.array(info, np.int64), [np.array(column, np.uint64) for column in add])
