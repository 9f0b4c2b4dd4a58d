"""What happened in a run, step by step: which word changed, which line did it, what was answered.

Interface:

- `explain(model, broken, steps)` returns an `Explanation`: one `Happening` for each step, one
  `Interval` for each operation, and what went wrong in one sentence.

A model has no source lines for its steps. So each operation is run once more, the real Python, on a
simulated image that gives it the answers it got in the run; the frame that asks for an access is
the source of that step.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections import deque
from collections.abc import Sequence
from types import CodeType, FrameType
from typing import Any

from slotmem_model.automata import accesses, recording, simulated_image, slots_kind
from slotmem_model.automata.accesses import Access, AsItReturns, Raised, Stop, TimedOut, effect
from slotmem_model.automata.kind import NotAFunction
from slotmem_model.automata.slots_kind import SlotsKind
from slotmem_model.checker.model import Model, State, Step
from slotmem_model.counterexample import wording
from slotmem_model.counterexample.blame import blame
from slotmem_model.counterexample.story import Explanation, Happening, Interval, Source
from slotmem_model.spec import Result

_Buffered = tuple[int, int, int | None]
"""A store that memory does not have yet: word, value index, interval."""
_PLAIN = {"buffer": "store", "reread": "load", "reawait": "await", "timeout": "lock"}
"""What the algorithm asked for, where a store buffer or a timeout made another step of it."""


def explain(model: Model, broken: str, steps: Sequence[Step]) -> Explanation:
    """Explain a run that ends by breaking a property (`broken` empty: it breaks none)."""
    states, happenings, intervals = _followed(model, steps)
    told = Explanation(model, broken, tuple(steps), states, _with_sources(model, happenings, intervals), intervals)
    if broken:
        told.sentence, told.culprits, told.words = blame(told)
    return told


def _followed(model: Model, steps: Sequence[Step]) -> tuple[tuple[State, ...], list[Happening], tuple[Interval, ...]]:
    """Return the states of a run, what each step did, and the operations."""
    states = [model.initial]
    happenings: list[Happening] = []
    intervals: list[Interval] = []
    current: list[int | None] = [None] * len(model.processes)
    buffers: list[deque[_Buffered]] = [deque() for _ in model.processes]
    for number, step in enumerate(steps):
        process, before = step.process, states[-1]
        local = model.processes[process].locals[before.locals[process]]
        for kind, _, what in model.events.table[step.event]:
            if kind == "invoke":
                current[process] = len(intervals)
                intervals.append(Interval(process, what, number, local.call or what, isinstance(model.kind, SlotsKind)))
        at = current[process]
        if step.action is None:
            left = [
                f"; {word.name}: {word.shown(old)} -> {word.shown(new)}"
                for word, old, new in zip(model.words, before.words, step.state.words, strict=True)
                if old != new
            ]
            happenings.append(Happening(process, None, 0, 0, "dies" + "".join(left), at))
            if at is not None:
                intervals[at].died = True
        else:
            access = local.actions[step.action].access
            happenings.append(_happening(model, process, access, before, step.state, at, buffers[process]))
        after = model.processes[process].locals[step.state.locals[process]]
        for kind, _, what in model.events.table[step.event]:
            if kind == "return" and at is not None:
                assert isinstance(what, Result)
                intervals[at].result = what
        if at is not None and (after.fault or any(event[0] == "return" for event in model.events.table[step.event])):
            intervals[at].last, intervals[at].fault = number, after.fault
            current[process] = None
        states.append(step.state)
    return tuple(states), happenings, tuple(intervals)


def _happening(
    model: Model,
    process: int,
    access: Access,
    state: State,
    following: State,
    interval: int | None,
    buffer: deque[_Buffered],
) -> Happening:
    """Describe a step. buffer is what the process has stored and memory does not have yet."""
    words, word = model.words, access.word
    before, after = (state.words[word], following.words[word]) if word >= 0 else (0, 0)
    if access.kind == "buffer":
        after = words[word].values.index(access.argument) if access.argument in words[word].values else before
        buffer.append((word, after, interval))
    elif access.kind in ("reread", "reawait"):
        before = after = next(value for stored, value, _ in reversed(buffer) if stored == word)
    elif access.kind == "drain":
        oldest = next(each for each in buffer if each[0] == word)
        buffer.remove(oldest)
        interval = oldest[2]  # it may have returned long ago
    return Happening(process, access, before, after, wording.change(access, words, before, after), interval)


def _with_sources(model: Model, happenings: list[Happening], intervals: tuple[Interval, ...]) -> tuple[Happening, ...]:
    """Run each operation again with the answers that it got, and note which lines asked."""
    sources: dict[int, Source] = {}
    for number, interval in enumerate(intervals):
        own = [(at, each) for at, each in enumerate(happenings) if each.interval == number and each.access]
        sources |= _Rerun(model, interval, own).sources
    buffered: list[list[tuple[int, Source]]] = [[] for _ in model.processes]
    told: list[Happening] = []
    for at, happening in enumerate(happenings):
        source = sources.get(at)
        if happening.access and happening.access.kind == "buffer" and source:
            buffered[happening.process].append((happening.word, source))
        elif happening.access and happening.access.kind == "drain":
            oldest = next(each for each in buffered[happening.process] if each[0] == happening.word)
            buffered[happening.process].remove(oldest)
            source = oldest[1]
        told.append(happening._replace(source=source))
    return tuple(told)


class _Rerun:
    """One operation of the real algorithm, run along the answers of a trace."""

    def __init__(self, model: Model, interval: Interval, steps: list[tuple[int, Happening]]) -> None:
        self.words, self.files = model.words, model.kind.files
        self.operation = interval.operation
        self.steps = deque(
            (at, step) for at, step in steps if step.access and step.access.kind not in ("begin", "drain")
        )
        self.sources: dict[int, Source] = {}
        method = getattr(model.algorithm, self.operation[0], None)
        for at, step in steps:
            if step.access and step.access.kind == "begin" and method is not None:
                self.sources[at] = _source(method.__module__, method.__code__, method.__code__.co_firstlineno)
        try:
            model.kind.run(model.algorithm, model.kind.image(self.answer), interval.asked)
        except Stop:
            return

    def answer(self, access: Access, _held: tuple[int, ...]) -> Any:
        """Answer as in the trace; stop where it does."""
        if access.kind == "retry":
            return None
        if not self.steps:
            raise Stop
        at, step = self.steps.popleft()
        assert step.access is not None
        if step.access.kind == "exception":
            self.sources[at] = _asking(sys._getframe(1), self.files)
            raise Raised
        kind = _PLAIN.get(step.access.kind, step.access.kind)
        if access != step.access._replace(kind=kind, raises=False):
            raise NotAFunction(f"{self.operation} does not always do the same: {step.access} became {access}")
        self.sources[at] = _asking(sys._getframe(1), self.files)
        if step.access.kind == "timeout":
            raise TimedOut(f"waited too long for {self.words[access.word].name}")
        done = effect(access, self.words[access.word].values[step.before] if access.word >= 0 else 0)
        assert done is not None, access
        return AsItReturns(done[0]) if step.access.raises else done[0]


_NOT_ALGORITHMS = {accesses.__file__, recording.__file__, simulated_image.__file__, slots_kind.__file__, __file__}


def _asking(frame: FrameType | None, files: frozenset[str]) -> Source:
    """Return the place of the innermost frame of the algorithm; files: where a program's are."""
    while frame is not None and (
        frame.f_code.co_filename not in files if files else frame.f_code.co_filename in _NOT_ALGORITHMS
    ):
        frame = frame.f_back
    assert frame is not None
    return _source(frame.f_globals["__name__"], frame.f_code, frame.f_lineno)


def _source(module: str, code: CodeType, line: int) -> Source:
    text = " ".join(linecache.getline(code.co_filename, line).split())
    file = os.path.basename(module) if module.endswith(".py") else module.replace(".", "/") + ".py"
    return Source(file, line, code.co_qualname, text)
