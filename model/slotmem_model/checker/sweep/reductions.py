"""Reductions: fewer states, the same verdicts.

Interface:

- `Symmetry(model, packing).canonical(rows)`: states that differ only in which process is which are
  one. Processes must have the same client, and it must not say `me`.
- `Independent(model).chosen(...)`: partial order. Where a process's next step commutes with
  everything that the others can do, only that one is taken (Peled's ample sets, always of one
  process).

When does a step commute with everything? If it touches a word that all processes touch only while
they hold a certain mutex, and this process holds it: the others must wait until it unlocks. It must
not be the first or last step of an operation (the monitor sees those), and no process may still
die: a death would let the others in at once. Slots are not interchangeable, since the lowest free
one is taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slotmem_model.automata import client
from slotmem_model.automata.automaton import NEVER, Action, Automaton, Local, Move
from slotmem_model.checker.model import Model
from slotmem_model.checker.sweep.packing import Packing
from slotmem_model.checker.sweep.rows import Rows


class Independent:
    """Knows which local states have only steps that nobody else can interfere with."""

    def __init__(self, model: Model) -> None:
        guards = _guards(model)
        self._safe = [
            np.array([_is_safe(automaton, local, guards) for local in automaton.locals], np.bool_)
            for automaton in model.processes
        ]

    def chosen(self, locals_: list[NDArray[np.int64]], may_die: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return, for each state, the process whose steps suffice, or -1."""
        chosen = np.full(len(may_die), -1, np.int64)
        for process, local in enumerate(locals_):
            chosen[self._safe[process][local] & (chosen < 0) & ~may_die] = process
        return chosen


def _guards(model: Model) -> dict[int, frozenset[int]]:
    """Return, for each word, the mutexes that are held at every access to it."""
    guards: dict[int, frozenset[int]] = {}
    for automaton in model.processes:
        for local in automaton.locals:
            for action in local.actions:
                if action.access.touches:
                    word = action.access.word
                    guards[word] = guards.get(word, frozenset(local.held)) & frozenset(local.held)
    return guards


def _is_safe(automaton: Automaton, local: Local, guards: dict[int, frozenset[int]]) -> bool:
    return (
        bool(local.actions)
        and local.inside
        and all(_commutes(automaton, local, action, guards) for action in local.actions)
    )


def _commutes(automaton: Automaton, local: Local, action: Action, guards: dict[int, frozenset[int]]) -> bool:
    if action.access.touches and not guards[action.access.word] & set(local.held):
        return False
    moves = [move for move in action.moves if move != NEVER]
    return all(move is not None and move.event == 0 and automaton.locals[move.target].inside for move in moves)


class Symmetry:
    """Sorts the local states of processes that do the same, and renumbers the monitor with them.

    Raises:
        ValueError: if they do not do the same.
    """

    def __init__(self, model: Model, packing: Packing) -> None:
        if len(set(model.clients)) != 1 or any(
            "me" in statement.arguments or statement.name in client.OF_TENANTS
            for statements in model.clients
            for statement in statements
        ):
            raise ValueError(
                "symmetry needs processes that do the same: one client for all, without 'me', tenant and reclaim; "
                "e.g. 'grab -> a; put(a, 1); get(a); release(a)'"
            )
        first = [_shape(local) for local in model.processes[0].locals]
        assert all([_shape(local) for local in automaton.locals] == first for automaton in model.processes)
        self.packing, self.monitor = packing, model.monitor
        self._swapped: dict[tuple[int, int], NDArray[np.int64]] = {}

    def canonical(self, rows: Rows) -> Rows:
        """Return, for each state, the one that stands for its kind: local states ascending."""
        rows = [column.copy() for column in rows]
        number = len(self.packing.locals)
        for last in range(number - 1, 0, -1):
            for at in range(last):
                self._exchange(rows, at)
        return rows

    def _exchange(self, rows: Rows, at: int) -> None:
        """Swap neighbours at and at + 1 where they are out of order."""
        one, two = self.packing.locals[at], self.packing.locals[at + 1]
        first = rows[one.column] >> np.uint64(one.shift) & np.uint64(one.mask)
        second = rows[two.column] >> np.uint64(two.shift) & np.uint64(two.mask)
        where = np.flatnonzero(first > second)
        if not len(where):
            return
        difference = first[where] - second[where]
        rows[one.column][where] -= difference << np.uint64(one.shift)
        rows[two.column][where] += difference << np.uint64(two.shift)
        if self.monitor:
            field = self.packing.monitor
            column = rows[field.column]
            numbers = (column[where] >> np.uint64(field.shift) & np.uint64(field.mask)).view(np.int64)
            after = self._swap(at, numbers)
            column[where] += (after - numbers).view(np.uint64) << np.uint64(field.shift)

    def _swap(self, at: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        assert self.monitor
        table = self._swapped.get((at, at + 1), np.full(0, -1, np.int64))
        if len(table) <= numbers.max():
            table = np.concatenate([table, np.full(int(numbers.max()) + 1024 - len(table), -1, np.int64)])
        for number in np.unique(numbers[table[numbers] < 0]).tolist():
            table[number] = self.monitor.swapped(number, at, at + 1)
        self._swapped[at, at + 1] = table
        return table[numbers]


def _shape(local: Local) -> tuple[object, ...]:
    """Return what local states of two processes must share; the events' numbers are left out."""

    def bare(move: Move | None) -> tuple[int, ...] | None:
        return move and (move.target, move.value, bool(move.event))

    actions = tuple((action.access, tuple(map(bare, action.moves))) for action in local.actions)
    return (actions, local[1:])
