"""The fast engine: the same states as `naive`, packed into integers and explored by whole arrays.

Interface:

- `explore(model, limits, symmetry=..., por=...)` returns the same verdict and the same numbers as
  `naive.explore`; with a reduction, the same verdict over fewer states.

If no automaton has a cycle, every step leads to a state whose sum of ranks is larger. So states are
put into the bucket of their sum, and when a bucket's turn comes nothing more can be added to it:
repetitions are dropped, the states are judged and expanded, and the bucket is forgotten. Memory is
needed for what lies ahead, not for all that was seen. This is the sweep-line method (Christensen,
Kristensen and Mailund, 2001), with a measure of progress that is computed, not given by the user.
With a cycle all states found are remembered.

A step is two additions and two look-ups for a whole array at once
(`slotmem_model.checker.sweep.packing`). What the monitor does is asked once for each (set, event)
and kept in a table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from slotmem_model.automata.kind import TooLarge
from slotmem_model.automata.ranks import ranks_of
from slotmem_model.checker.exploration import Exploration, Limits
from slotmem_model.checker.model import Model
from slotmem_model.checker.sweep import packing as packed
from slotmem_model.checker.sweep.array_properties import ArrayCheck
from slotmem_model.checker.sweep.packing import JUMP_BITS, Field, Packing, packing_for, tables
from slotmem_model.checker.sweep.reductions import Independent, Symmetry
from slotmem_model.checker.sweep.rows import Remembered, Rows, concatenated, distinct, taken

CHUNK = 1 << 16
"""States expanded at a time: their arrays stay in the processor's cache."""
_COMPACT = 1 << 19
"""A bucket with more rows than this is freed of repetitions before its turn."""


class MonitorFull(Exception):
    """The field of the monitor's number is too narrow: start again with a wider one."""


def explore(model: Model, limits: Limits | None = None, *, symmetry: bool = False, por: bool = False) -> Exploration:
    """Explore all reachable states.

    Raises:
        TooLarge
        ValueError: for symmetry of processes that differ.
    """
    limits = limits or Limits()
    began = time.monotonic()
    columns = 1
    while True:
        packing = packing_for(model, columns)
        sweep = _Sweep(model, packing, limits, Symmetry(model, packing) if symmetry else None, por)
        try:
            outcome = sweep.run()
        except MonitorFull:
            columns = packing.columns + 1
            continue
        outcome.seconds = time.monotonic() - began
        return outcome


class _Frontier:
    """Waiting rows, by the sum of their ranks."""

    def __init__(self) -> None:
        self.buckets: dict[int, list[Rows]] = {}
        self._sizes: dict[int, int] = {}
        self._limits: dict[int, int] = {}

    def add(self, rank: int, rows: Rows) -> None:
        bucket = self.buckets.setdefault(rank, [])
        bucket.append(rows)
        size = self._sizes[rank] = self._sizes.get(rank, 0) + len(rows[0])
        if size > self._limits.get(rank, _COMPACT):
            self.buckets[rank] = [distinct(concatenated(bucket))]
            self._sizes[rank] = len(self.buckets[rank][0][0])
            self._limits[rank] = max(_COMPACT, 2 * self._sizes[rank])

    def pop(self) -> tuple[int, Rows]:
        """Take the lowest bucket, each row once."""
        rank = min(self.buckets)
        self._sizes.pop(rank)
        self._limits.pop(rank, None)
        return rank, distinct(concatenated(self.buckets.pop(rank)))

    def memory_bytes(self) -> int:
        return sum(self._sizes.values()) * 8 * max((len(bucket[0]) for bucket in self.buckets.values()), default=1)


class _Sweep:
    """One exploration."""

    def __init__(self, model: Model, packing: Packing, limits: Limits, symmetry: Symmetry | None, por: bool) -> None:
        self.model, self.packing, self.limits, self.symmetry = model, packing, limits, symmetry
        ranks = [ranks_of(automaton) for automaton in model.processes]
        self.acyclic = all(rank is not None for rank in ranks)
        numbers = [rank or [0] * len(automaton.locals) for rank, automaton in zip(ranks, model.processes, strict=True)]
        self.tables = [
            tables(model, packing, automaton, rank) for automaton, rank in zip(model.processes, numbers, strict=True)
        ]
        self.crashes = [
            packed.crash_table(model, packing, automaton, rank)
            for automaton, rank in zip(model.processes, numbers, strict=True)
        ]
        # Sorting integers of 16 bits is four times as fast.
        self.narrow = np.uint16 if max(map(max, numbers)) < 1 << 16 else np.int64
        self.judge = ArrayCheck(model, packing)
        self.monitor = MonitorTable(model, packing.monitor) if model.monitor else None
        # In a loop, what a reduction leaves for later can be put off for ever, and a death that the
        # monitor is told of depends on every other event: it is not used then.
        is_told = any(local.crash_event for automaton in model.processes for local in automaton.locals)
        self.independent = Independent(model) if por and self.acyclic and not is_told else None
        self.outcome = Exploration("sweep")
        self.outcome.seen.met = self.judge.judge.met

    def run(self) -> Exploration:
        outcome = self.outcome
        try:
            self.explore()
        finally:
            if self.model.place.files:
                outcome.taken = set(packed.steps_taken(self.model, self.packing, self.tables))
        return outcome

    def explore(self) -> None:
        """Expand everything, until nothing is left or the limits are reached."""
        outcome = self.outcome
        for rank, rows in self.turns():
            outcome.depth = rank
            for start in range(0, len(rows[0]), CHUNK):
                outcome.reason = self.limits.spent(outcome, self.memory_bytes())
                if outcome.reason:
                    outcome.complete = False
                    return
                self.expand(rank, [column[start : start + CHUNK] for column in rows])

    def turns(self) -> Iterator[tuple[int, Rows]]:
        """Yield what is to be expanded, until nothing is left."""
        first = [np.array([value], np.uint64) for value in self.packing.pack(self.model.initial)]
        self.frontier = _Frontier()
        self.remembered = None if self.acyclic else Remembered()
        self.frontier.add(0, self.symmetry.canonical(first) if self.symmetry else first)
        while self.frontier.buckets:
            rank, rows = self.frontier.pop()
            if self.remembered:
                rows = self.remembered.add(rows)
            if len(rows[0]):
                yield rank, rows

    def memory_bytes(self) -> int:
        return self.frontier.memory_bytes() + (self.remembered.memory_bytes() if self.remembered else 0)

    def locals_of(self, rows: Rows) -> list[NDArray[np.int64]]:
        return [column_of(rows, field) for field in self.packing.locals]

    def expand(self, rank: int, rows: Rows) -> None:
        """Judge some states of one bucket, and add what follows them to later ones."""
        outcome = self.outcome
        outcome.states += len(rows[0])
        locals_ = self.locals_of(rows)
        broken = self.judge.broken(rows, locals_, outcome)
        if broken.any():
            fine = np.flatnonzero(~broken)
            rows, locals_ = taken(rows, fine), [local[fine] for local in locals_]
        keys = [
            [self.keys(rows, local, table) for table in tables_]
            for local, tables_ in zip(locals_, self.tables, strict=True)
        ]
        enabled = [
            [table.info[key] for key, table in zip(keys_, tables_, strict=True)]
            for keys_, tables_ in zip(keys, self.tables, strict=True)
        ]
        going = np.zeros(len(rows[0]), np.bool_)
        for infos in enabled:
            for info in infos:
                going |= info >= 0
        stuck = self.judge.stuck(locals_, going, outcome)
        self.judge.look([local[~stuck] for local in locals_] if stuck.any() else locals_, outcome)
        chosen = self.independent.chosen(locals_, self.budget_left(locals_)) if self.independent else None
        for process, (keys_, infos) in enumerate(zip(keys, enabled, strict=True)):
            allowed = None if chosen is None else (chosen < 0) | (chosen == process)
            for key, info, table in zip(keys_, infos, self.tables[process], strict=True):
                able = info >= 0 if allowed is None else (info >= 0) & allowed
                if not outcome.seen.waited:
                    outcome.seen.waited = bool((table.waited[key]).any())
                if table.taken is not None:
                    table.taken[key[able]] = True
                self.step(rank, rows, able, key, info, table.add)
        if self.model.configuration.crashes:
            alive = self.budget_left(locals_) & ~stuck
            for process, (local, crash) in enumerate(zip(locals_, self.crashes, strict=True)):
                able = alive & (crash.info[local] >= 0)
                self.judge.look_crash(process, local[able], outcome)
                self.step(rank, rows, able, local, crash.info[local], crash.add)

    def budget_left(self, locals_: list[NDArray[np.int64]]) -> NDArray[np.bool_]:
        """Return in which states a process may still die."""
        dead = sum(self.judge.dead[process][local] for process, local in enumerate(locals_))
        return np.asarray(dead < self.model.configuration.crashes)

    @staticmethod
    def keys(rows: Rows, local: NDArray[np.int64], table: packed.Table) -> NDArray[np.int64]:
        key = table.base[local]
        for column in table.columns:
            key += (rows[column] >> table.shift[column][local] & table.mask[column][local]).view(np.int64)
        return key

    def step(
        self,
        rank: int,
        rows: Rows,
        able: NDArray[np.bool_],
        key: NDArray[np.int64],
        info: NDArray[np.int64],
        add: list[NDArray[np.uint64]],
    ) -> None:
        """Take one step in every state that is able to."""
        where = np.flatnonzero(able)
        if not len(where):
            return
        self.outcome.transitions += len(where)
        key, info = key[where], info[where]
        after = [column[where] + more[key] for column, more in zip(rows, add, strict=True)]
        if self.monitor:
            self.monitor.advance(after, info >> JUMP_BITS)
        if not self.outcome.seen.full:
            self.outcome.seen.full = bool(self.judge.is_full[info >> JUMP_BITS].any())
        if self.symmetry:
            after = self.symmetry.canonical(after)
        if not self.acyclic:
            self.frontier.add(rank + 1, after)
            return
        jump = info & ((1 << JUMP_BITS) - 1)
        first = jump[0]
        if (jump == first).all():
            self.frontier.add(rank + int(first), after)
            return
        order = np.argsort(jump.astype(self.narrow), kind="stable")
        jump = jump[order]
        after = taken(after, order)
        bounds = [0, *(np.flatnonzero(np.diff(jump)) + 1).tolist(), len(jump)]
        for start, stop in pairwise(bounds):
            self.frontier.add(rank + int(jump[start]), [column[start:stop] for column in after])


def column_of(rows: Rows, field: Field) -> NDArray[np.int64]:
    """Read one field of all rows."""
    return (rows[field.column] >> np.uint64(field.shift) & np.uint64(field.mask)).view(np.int64)


class MonitorTable:
    """The monitor for whole arrays: what is not known yet is asked once and kept."""

    MAX_CELLS = 1 << 28

    def __init__(self, model: Model, field: Field) -> None:
        assert model.monitor
        self.monitor, self.field = model.monitor, field
        self.events = len(model.events.table)
        self.capacity = 1024
        self.table = np.full((self.events, self.capacity), -1, np.int32)

    def advance(self, rows: Rows, event: NDArray[np.int64]) -> None:
        """Advance the monitor's number in each row by an event; 0 is none."""
        where = np.flatnonzero(event)
        if not len(where):
            return
        event = event[where]
        column = rows[self.field.column]
        number = column_of([column[where]], self.field._replace(column=0))
        after = self.table[event, number]
        if (after < 0).any():
            self.fill(event, number, after < 0)
            after = self.table[event, number]
        column[where] += (after.astype(np.int64) - number).view(np.uint64) << np.uint64(self.field.shift)

    def fill(self, event: NDArray[np.int64], number: NDArray[np.int64], missing: NDArray[np.bool_]) -> None:
        """Ask the monitor for what is missing.

        Raises:
            MonitorFull
            TooLarge
        """
        for pair in np.unique(event[missing] << 32 | number[missing]).tolist():
            one, before = pair >> 32, pair & (1 << 32) - 1
            self.table[one, before] = self.monitor.advance(before, one)
        if len(self.monitor) > self.field.mask:
            raise MonitorFull
        if len(self.monitor) > self.capacity:
            larger = 2 ** len(self.monitor).bit_length()
            if larger * self.events > self.MAX_CELLS:
                raise TooLarge(
                    f"the monitor has {len(self.monitor):,} sets; take fewer processes, or leave linearizability out"
                )
            table = np.full((self.events, larger), -1, np.int32)
            table[:, : self.capacity] = self.table
            self.table, self.capacity = table, larger
