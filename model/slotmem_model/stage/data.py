"""What the page of a run shows, as JSON: states and steps, source lines, variables, memory.

Interface: `stage_data(walk, run)` returns it. Texts are numbered, because the same ones come again
and again:

    texts       all texts
    processes   the number of processes
    words       name and values (texts) of each word
    states      for each: a number for each process (`locals`), the index of each word's value,
                the number of what the specification allows (`allowed`), the property it breaks
                (text), the steps to the nearest violation (-1: none can be reached; absent if
                that is not known)
    steps       for each state, what can be done: process, kind, word, text, next state, operation
                that begins, answer of the one that ends, value that is buffered, the step as traces
                have it (texts); null if that is not on the page
    locals      for each: operation that it is in, or next; whether it is inside; place (source,
                line), variables, how it ended, what went wrong
    sources     file, function, first line, lines
    whole       whether all states are there
    run         the run that is shown: for each step its number among those of the state before
"""

from __future__ import annotations

import linecache
from collections.abc import Hashable, Iterator
from dataclasses import asdict
from typing import Any, Generic, TypeVar

from slotmem_model.automata.automaton import Local
from slotmem_model.automata.graph import Node, Seen
from slotmem_model.automata.slots_kind import SlotsKind
from slotmem_model.automata.source_lines import function_at
from slotmem_model.checker.model import Model, State, Step
from slotmem_model.counterexample import wording
from slotmem_model.spec import Operation, Result
from slotmem_model.stage.walk import Walk

_Key = TypeVar("_Key", bound=Hashable)
_BUFFERED = ("reread", "reawait")


class _Numbers(Generic[_Key]):
    """Things by the order in which they came."""

    def __init__(self) -> None:
        self.all: dict[_Key, int] = {}

    def of(self, key: _Key) -> int:
        return self.all.setdefault(key, len(self.all))


class _Data:
    def __init__(self, walk: Walk) -> None:
        self.walk, self.model = walk, walk.model
        self.texts: _Numbers[str] = _Numbers()
        self.locals: _Numbers[tuple[int, int]] = _Numbers()
        self.allowed: _Numbers[tuple[str, ...]] = _Numbers()
        self.sources: _Numbers[tuple[str, str, int, int]] = _Numbers()

    def call(self, operation: Operation) -> str:
        shown = wording.operation if isinstance(self.model.kind, SlotsKind) else wording.call
        return shown(operation)

    def state(self, number: int, distance: int | None) -> list[Any]:
        state = self.walk.states[number]
        locals_ = [self.locals.of(each) for each in enumerate(state.locals)]
        given = [locals_, list(state.words), self.allowed.of(_allowed(self.model, state))]
        return [*given, self.texts.of(self.walk.broken[number]), *([] if distance is None else [distance])]

    def step(self, before: State, step: Step) -> list[int]:
        """Describe a step: see the header."""
        local = self.model.processes[step.process].locals[before.locals[step.process]]
        began, ended, operation = "", "", local.operation
        for kind, _, what in self.model.events.table[step.event]:
            if kind == "invoke":
                assert not isinstance(what, Result)
                began, operation = self.call(what), what
            elif isinstance(what, Result):
                assert operation is not None
                is_of_slots = isinstance(self.model.kind, SlotsKind)
                ended = wording.result(operation[0], what) if is_of_slots else repr(what.value)
        if step.action is None:
            access = None
            kind, word, text, buffered = "dies", -1, self.death(before, step.state), ""
        else:
            access = local.actions[step.action].access
            kind, word, words = access.kind, access.word, self.model.words
            old, new = (before.words[word], step.state.words[word]) if word >= 0 else (0, 0)
            buffered = words[word].said(access.argument) if kind == "buffer" else ""
            if kind == "buffer" and access.argument in words[word].values:
                new = words[word].values.index(access.argument)
            text = (
                f"reads {words[word].name} (own buffer)"
                if kind in _BUFFERED
                else wording.change(access, words, old, new)
            )
        does = wording.access(access, self.model.words)
        texts = [self.texts.of(each) for each in (kind, text, began, ended, buffered, does)]
        return [step.process, texts[0], word, texts[1], self.walk.number[step.state], *texts[2:]]

    def death(self, before: State, after: State) -> str:
        changed = [
            f"; {word.name}: {word.shown(old)} -> {word.shown(new)}"
            for word, old, new in zip(self.model.words, before.words, after.words, strict=True)
            if old != new
        ]
        return "dies" + "".join(changed)

    def local(self, process: int, number: int) -> dict[str, Any]:
        local = self.model.processes[process].locals[number]
        seen = _seen(self.model, local)
        given: dict[str, Any] = {"inside": local.inside}
        if local.operation is not None:
            given["call"] = self.texts.of(self.call(local.operation))
        if seen:
            first, last = function_at(seen.file, seen.line)
            given["at"] = [self.sources.of((seen.file, seen.function, first, last)), seen.line]
            given["variables"] = [[name, self.texts.of(value)] for name, value in seen.variables]
        if local.end:
            given["end"] = local.end
        if local.fault:
            given["fault"] = self.texts.of(local.fault)
        return given


def stage_data(walk: Walk, run: tuple[Step, ...] = ()) -> dict[str, Any]:
    """Return what the page shows. run: steps of the model whose states are all in the walk."""
    data, model = _Data(walk), walk.model
    distances = walk.distances() if walk.is_whole else [None] * len(walk.states)
    states = [data.state(number, distance) for number, distance in enumerate(distances)]
    steps = [
        None if following is None else [data.step(state, step) for step in following]
        for state, following in zip(walk.states, walk.steps, strict=True)
    ]
    locals_ = [data.local(process, number) for process, number in data.locals.all]
    words = [
        {"name": word.name, "values": [data.texts.of(word.shown(index)) for index in range(len(word.values))]}
        for word in model.words
    ]
    return {
        "processes": len(model.processes),
        "words": words,
        "states": states,
        "steps": steps,
        "locals": locals_,
        "sources": [_source(*key) for key in data.sources.all],
        "allowed": [list(each) for each in data.allowed.all],
        "run": list(_choices(walk, run)),
        "texts": list(data.texts.all),
        "whole": walk.is_whole,
        "configuration": asdict(model.configuration),
    }


def _choices(walk: Walk, run: tuple[Step, ...]) -> Iterator[int]:
    """Return which of the steps of each state a run takes."""
    at = 0
    for step in run:
        following = walk.steps[at] or ()
        yield following.index(step)
        at = walk.number[step.state]


def _seen(model: Model, local: Local) -> Seen | None:
    """Return where a process stands, if it stands before an access."""
    if local.call is None or local.node < 0:
        return None
    node = model.graph_of(local.call).nodes[local.node]
    return node.seen if isinstance(node, Node) else None


def _allowed(model: Model, state: State) -> tuple[str, ...]:
    """Return what the specification's state may be, each in a line."""
    if model.monitor is None:
        return ()
    return tuple(sorted(map(model.kind.told, model.monitor.states(state.monitor))))


def _source(file: str, function: str, first: int, last: int) -> dict[str, Any]:
    lines = [linecache.getline(file, line).rstrip() for line in range(first, last + 1)]
    indent = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return {
        "file": file.rpartition("/")[2],
        "function": function,
        "first": first,
        "lines": [line[indent:] for line in lines],
    }
