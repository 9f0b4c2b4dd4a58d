"""The properties (`slotmem_model.checker.properties`) for whole arrays of packed states.

What follows from local states and words is computed for all states at once. Whether memory is the
specification's, `properties.PropertyCheck` is asked once for each content of memory in which nobody
is inside an operation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slotmem_model.checker.exploration import Exploration
from slotmem_model.checker.model import Model
from slotmem_model.checker.properties import OUTSIDE, fault_property, full_events, property_check
from slotmem_model.checker.sweep.packing import Packing
from slotmem_model.checker.sweep.rows import Rows, distinct

Locals = list[NDArray[np.int64]]
Truths = NDArray[np.bool_]


class ArrayCheck:
    """Judge packed states of one model."""

    def __init__(self, model: Model, packing: Packing) -> None:
        self.model, self.packing = model, packing
        self.judge = property_check(model)
        automata = [automaton.locals for automaton in model.processes]
        self.dead = [np.array([local.end == "dead" for local in locals_], np.int64) for locals_ in automata]
        self.inside = [np.array([local.inside for local in locals_], np.int64) for locals_ in automata]
        self.holds = [np.array([local.holds for local in locals_], np.int64) for locals_ in automata]
        self.faults = [np.array([bool(local.fault) for local in locals_], np.bool_) for locals_ in automata]
        self.over = [
            np.array([local.end not in ("", "draining") for local in locals_], np.bool_) for locals_ in automata
        ]
        self.is_full = np.zeros(len(model.events.table), np.bool_)
        self.is_full[list(full_events(model))] = True
        self.masks = [np.uint64(mask) for mask in packing.memory_masks()]
        self.judged: dict[tuple[tuple[int, ...], tuple[bool, bool]], str] = {}

    def broken(self, rows: Rows, locals_: Locals, outcome: Exploration) -> Truths:
        """Return which states break a property other than no-deadlock, and count them."""
        broken = np.zeros(len(rows[0]), np.bool_)
        for process, local in enumerate(locals_):
            fault = self.faults[process][local] & ~broken
            if fault.any():
                for at, number in enumerate(np.bincount(local[fault]).tolist()):
                    if number:
                        said = self.model.processes[process].locals[at].fault
                        _count(outcome, fault_property(said), number)
                        if fault_property(said) == OUTSIDE:
                            outcome.outside.add(said)
                broken |= fault
        if self.judge.held_once:
            held = np.zeros(len(rows[0]), np.int64)
            twice = np.zeros(len(rows[0]), np.bool_)
            for process, local in enumerate(locals_):
                mine = self.holds[process][local]
                twice |= (held & mine) != 0
                held |= mine
            _count(outcome, "held-once", int((twice & ~broken).sum()))
            broken |= twice
        if self.model.monitor:
            field = self.packing.monitor
            empty = (rows[field.column] >> np.uint64(field.shift) & np.uint64(field.mask)) == 0
            _count(outcome, "linearizable", int((empty & ~broken).sum()))
            broken |= empty
        quiet = sum(self.inside[process][local] for process, local in enumerate(locals_)) == 0
        parts = {(True, False): quiet}
        if self.judge.everywhere:
            over = np.ones(len(rows[0]), np.bool_)
            for process, local in enumerate(locals_):
                over &= self.over[process][local]
            parts = {(True, True): quiet & over, (True, False): quiet & ~over, (False, False): ~quiet}
        for when, part in parts.items():
            where = np.flatnonzero(part & ~broken)
            if len(where):
                self.judge_memory(rows, where, broken, outcome, when)
        return broken

    def judge_memory(
        self, rows: Rows, where: NDArray[np.int64], broken: Truths, outcome: Exploration, when: tuple[bool, bool]
    ) -> None:
        """Judge memory in some states; when: whether nobody is inside an operation, and whether all
        are done.
        """
        memory = [column[where] & mask for column, mask in zip(rows, self.masks, strict=True)]
        contents = list(zip(*(column.tolist() for column in distinct(memory)), strict=True))
        bad = {}
        for content in contents:
            if (content, when) not in self.judged:
                state, (quiet, over) = self.packing.unpack(content), when
                self.judged[content, when] = self.judge.memory(state.words, state.monitor, quiet=quiet, over=over)
            if self.judged[content, when]:
                bad[content] = self.judged[content, when]
        for content, name in bad.items():
            same = np.ones(len(where), np.bool_)
            for column, value in zip(memory, content, strict=True):
                same &= column == np.uint64(value)
            _count(outcome, name, int(same.sum()))
            broken[where[same]] = True

    def stuck(self, locals_: Locals, going: Truths, outcome: Exploration) -> Truths:
        """Return in which states nobody can do a step though somebody is not done; count them."""
        if going.all():
            return np.zeros(len(going), np.bool_)
        waiting = np.zeros(len(going), np.bool_)
        for process, local in enumerate(locals_):
            waiting |= ~self.over[process][local]
        stuck = ~going & waiting
        _count(outcome, "no-deadlock", int(stuck.sum()))
        return stuck

    def look(self, locals_: Locals, outcome: Exploration) -> None:
        """Note whether two processes are inside at once."""
        if not outcome.seen.two_inside:
            inside = sum(self.inside[process][local] for process, local in enumerate(locals_))
            outcome.seen.two_inside = bool(np.any(inside >= 2))

    def look_crash(self, process: int, local: NDArray[np.int64], outcome: Exploration) -> None:
        """Note the operations inside which a process dies."""
        for at in np.flatnonzero(np.bincount(local)).tolist() if len(local) else ():
            state = self.model.processes[process].locals[at]
            if state.inside and state.operation:
                outcome.seen.crashed_in.add(state.operation[0])


def _count(outcome: Exploration, name: str, number: int) -> None:
    if number:
        outcome.violations[name] = outcome.violations.get(name, 0) + number
