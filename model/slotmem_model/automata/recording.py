"""From plain Python to a graph of steps: operations run against an image that follows a script.

Interface:

- `tabulate(algorithm, place, operation)` returns a `Graph`: which access comes first; for each
  value that the word may have at that moment, what it becomes and which access comes next; at the
  ends, what the operation answered.
How it works. The image does not know the other processes, so a word may hold any value of its
domain when it is read. The operation is run; whenever it reads, it gets the first answer not yet
tried. When it has ended, the last answer that has an alternative is changed and the operation is
run again: one run for each path. No syntax is looked at and no interpreter state is kept: an
operation is what it does for each sequence of answers.

Nodes with the same future (the same access, the same locks held, equal successors) become one at
once, which is Moore's partition refinement on a graph without cycles. An algorithm that repeats
itself says so with `image.retry()`: what it read before is forgotten. The second repetition is
tabulated like the first, and must not depend on what came before; the third is an edge back to it.
A few more are played with the answers of the second, to see that they are the same: an operation
that counts its repetitions is refused. A repetition of one step that changes nothing is no step at
all: to try again until the word has changed is to wait, and a wait that never ends is found as a
deadlock. (Longer repetitions that never end are not noticed.)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NamedTuple

from slotmem_model.automata.accesses import EOWNERDEAD, Access, AsItReturns, Raised, Stop, TimedOut, effect
from slotmem_model.automata.graph import (
    ENTRY,
    IMPOSSIBLE,
    RAISED,
    RAISED_AS_IT_RETURNED,
    TIMED_OUT,
    Edge,
    Goto,
    Graph,
    Node,
    Seen,
    joined,
)
from slotmem_model.automata.kind import Leaf, NotAFunction, Place, TooLarge
from slotmem_model.automata.loops import Key, LoopWatch
from slotmem_model.automata.shared_words import Word
from slotmem_model.automata.source_lines import Line, LineTrace
from slotmem_model.spec import Operation

MAX_NODES = 200_000
MAX_ACCESSES = 1_000
"""An operation with more accesses than this is taken for an endless loop."""
REPETITIONS = 8
"""The number of times that a loop is played before it is believed to go on for ever."""


@dataclass
class _Frame:
    """An access on the current path: its possible answers, and where the ones tried lead."""

    access: Access
    held: tuple[int, ...]
    outcomes: list[tuple[Any, int] | None]
    """For each value index: the answer and the new value index; None if it must wait."""
    possible: frozenset[int]
    answers: list[Any]
    loop_head: bool
    tried: list[int] = field(default_factory=list)
    lines: dict[int, set[Line]] = field(default_factory=dict)
    """For each answer tried, by its number, the source lines from there to the next access."""
    seen: Seen | None = None


_TIMEOUT = "timeout"
_EXCEPTION = "exception"
_EXCEPTIONS = 2
"""How many exceptions may be raised in one operation: the second on the way out of the first."""
_AGAIN = Leaf(None, "again")
Tables = dict[Operation, tuple[dict[int, tuple[Word, frozenset[int]]], Graph]]
"""The graphs of operations, each with the words that it depends on and what is possible in them."""


class _Outside(NamedTuple):
    """The answer to a store of a value that the word does not have in the model."""

    fault: str


class _Fragment(NamedTuple):
    """What follows once an operation is at the head of a loop in a certain state."""

    prefix: tuple[tuple[Access, Any], ...]
    """The answers that lead there."""
    heads: int
    """How many heads of loops are passed on the way, this one included."""
    where: str


MAX_HEADS = 500
"""States in which an operation may come to heads of loops."""
_WIDEST = 60
"""The characters of a variable's value that is shown."""
MAX_TURNS = 10_000
"""Heads of loops in a row without an access."""


class _Recorder:
    """The walk over all answers to one operation."""

    def __init__(self, place: Place, operation: Operation) -> None:
        self.place, self.words = place, place.kind.words
        self.operation, self.shown = operation, place.kind.shown(operation)
        self.path: list[_Frame] = []
        self.depth = self.known = 0
        self.raised = 0
        self.retries = 0
        self.loop_head_next = False
        self.loop_start = self.playing = 0
        self.heads: set[int] = set()
        self.nodes: list[Node | Leaf | Goto] = []
        self.numbers: dict[Node | Leaf | Goto, int] = {}
        kind = place.kind
        self.trace = (
            LoopWatch(kind.files, kind.below, self.at_head, with_dead=bool(place.shown))
            if kind.files
            else LineTrace(place.files)
        )
        self.lines: dict[Edge, set[Line]] = {}
        self.fragments = [_Fragment((), 0, "")]
        self.fragment_of: dict[Key, int] = {}
        self.current = 0
        self.entry_lines: dict[int, set[Line]] = {}

    def run(self, algorithm: Callable[[Any], Any]) -> Leaf | Goto:
        """Do the operation once, along the current path and then along first answers."""
        self.depth, self.raised, self.retries, self.loop_head_next = 0, 0, 0, False
        self.known = len(self.path)
        self.passed = self.heads_passed = 0
        self.looked = False
        self.turns: set[Key | int] = set()
        self.stopped_by: Leaf | Goto | None = None
        image = self.image = self.place.kind.image(self.answer)
        try:
            with self.trace:
                if not self.path:
                    self.trace.begin()
                leaf = self.place.kind.run(algorithm, image, self.operation)
        except Stop:
            assert self.stopped_by is not None
            self.trace.taken()  # what `finally` and `except` run after the stop does not count
            return self.stopped_by
        if self.retries > 1:
            raise self.counts()
        self.note_lines()
        return leaf

    def note_lines(self) -> None:
        """Note which lines ran since the last access."""
        if not self.place.files:
            return
        lines = self.trace.taken()
        if self.depth:
            frame = self.path[self.depth - 1]
            frame.lines.setdefault(len(frame.tried), set()).update(lines)
        else:
            self.entry_lines.setdefault(self.current, set()).update(lines)

    def answer(self, access: Access, held: tuple[int, ...]) -> Any:
        """Answer an access from the path, or extend the path by it."""
        if access.kind == "retry":
            return self.retry()
        if self.retries > 1:
            return self.played(access, held)
        if self.passed < len(self.fragments[self.current].prefix):
            return self.on_the_way(access)
        self.note_lines()
        if self.passed + self.depth == MAX_ACCESSES:
            raise TooLarge(self.place.kind.endless(self.operation, MAX_ACCESSES))
        if self.depth == len(self.path):
            self.path.append(self.frame(access, held))
            if self.place.shown:
                self.path[-1].seen = seen_from(sys._getframe(1), self.place.shown)
        frame = self.path[self.depth]
        if frame.access != access:
            raise NotAFunction(f"{self.shown} does not always do the same: {frame.access} became {access}")
        self.depth += 1
        self.looked = True
        if self.depth == self.known:  # the lines up to here have been noted with the answers before this one
            self.trace.begin()
        self.loop_head_next = False
        return self.given(access, frame.answers[len(frame.tried)])

    def on_the_way(self, access: Access) -> Any:
        """Answer an access on the way to the head of a loop."""
        expected, given = self.fragments[self.current].prefix[self.passed]
        if access != expected:
            raise NotAFunction(f"{self.shown} does not always do the same: {expected} became {access}")
        self.passed += 1
        return self.given(access, given)

    def given(self, access: Access, given: Any) -> Any:
        """Give an answer, or raise what it stands for."""
        if given == _TIMEOUT:
            raise TimedOut(f"waited too long for {self.name(access)}")
        self.raised += given == _EXCEPTION or isinstance(given, AsItReturns)
        if given == _EXCEPTION:
            raise Raised
        if isinstance(given, _Outside):
            self.stop(Leaf(None, given.fault))
        return given

    def at_head(self, frame: FrameType, where: str) -> None:
        """End the path at the head of a loop, unless it is the one that the fragment begins at, or
        its state cannot be told.
        """
        if self.image.stopped:
            return
        self.heads_passed += 1
        fragment = self.fragments[self.current]
        if self.heads_passed < fragment.heads:
            return
        assert isinstance(self.trace, LoopWatch)
        key = self.trace.key(frame)
        if self.heads_passed == fragment.heads:
            self.trace.taken()
            self.turns = set() if key is None else {key}
            return
        if not self.looked:
            self.turned(key, where)
            return
        if key is None:
            return
        if key not in self.fragment_of:
            if len(self.fragments) > MAX_HEADS:
                raise TooLarge(
                    f"{self.shown} comes to the loop in {where} in more than {MAX_HEADS:,} different states; "
                    "let it come back with the same local variables: a count of its turns keeps it from that"
                )
            way = ((frame.access, frame.answers[len(frame.tried)]) for frame in self.path[: self.depth])
            self.fragment_of[key] = len(self.fragments)
            self.fragments.append(_Fragment((*fragment.prefix, *way), self.heads_passed, where))
        self.note_lines()
        self.image.halt()
        self.stop(Goto(self.fragment_of[key]))

    def turned(self, key: Key | None, where: str) -> None:
        """Pass the head of a loop that has not looked at shared memory since the last one."""
        if key is not None and key in self.turns:
            raise NotAFunction(
                f"{self.shown} never leaves the loop in {where}: it comes back to where it was without an access to "
                "shared memory"
            )
        if len(self.turns) > MAX_TURNS:
            raise TooLarge(f"{self.shown} goes on and on in the loop in {where}, without an access to shared memory")
        self.turns.add(len(self.turns) if key is None else key)

    def retry(self) -> None:
        """Begin the next repetition; the second is tabulated, the later ones are only compared with
        it.
        """
        if self.retries < 2:
            self.note_lines()
        self.trace.taken()
        self.retries += 1
        if self.retries == 1:
            self.loop_head_next, self.loop_start = True, self.depth
        elif self.retries > 2 and self.playing != self.depth:
            raise self.counts()
        self.playing = self.loop_start
        if self.retries == REPETITIONS:
            self.stop(_AGAIN)

    def played(self, access: Access, held: tuple[int, ...]) -> Any:
        """Answer an access of a later repetition as in the second."""
        frame = self.path[self.playing] if self.playing < self.depth else None
        if frame is None or (frame.access, frame.held) != (access, held):
            raise self.counts()
        self.playing += 1
        return frame.answers[len(frame.tried)]

    def counts(self) -> NotAFunction:
        return NotAFunction(
            f"{self.shown} calls retry() but does not do the same in each repetition; "
            "to wait with what it knows already, use image.wait_for(cell, value, ...)"
        )

    def stop(self, leaf: Leaf | Goto) -> None:
        self.stopped_by = leaf
        raise Stop

    def name(self, access: Access) -> str:
        return self.words[access.word].name

    def frame(self, access: Access, held: tuple[int, ...]) -> _Frame:
        """Return an access with all that may be answered to it."""
        touches = access.word >= 0
        values = self.words[access.word].values if touches else (0,)
        possible = self.place.possible[access.word] if touches else frozenset({0})
        outcomes: list[tuple[Any, int] | None] = []
        for index, value in enumerate(values):
            done = effect(access, value) if index in possible else None
            if done is not None and touches:
                answer, new = done
                if access.kind == "add" and self.words[access.word].kind == "round":
                    new %= len(values)
                done = (answer, values.index(new)) if new in values else (self.outside(access, new), index)
            outcomes.append(done)
        answers = list(dict.fromkeys(done[0] for index in sorted(possible) if (done := outcomes[index]) is not None))
        if access.kind == "lock" and self.place.timeouts:
            answers.append(_TIMEOUT)
        if self.place.exceptions and self.raised < _EXCEPTIONS:
            answers += [AsItReturns(answer) for answer in answers if access.is_call and answer in (0, EOWNERDEAD)]
            answers.append(_EXCEPTION)
        return _Frame(access, held, outcomes, possible, answers, self.loop_head_next)

    def outside(self, access: Access, new: Hashable) -> _Outside:
        fault = f"{access.kind} to {self.name(access)} of {new!r}, which is no value that it has in the model"
        self.place.kind.miss(fault, access.word, new)
        return _Outside(fault)

    def ended(self, leaf: Leaf | Goto) -> int:
        """Note where the path led, and drop accesses whose answers have all been tried.

        Return the number of the last node that was finished.
        """
        number = self.number(leaf)
        while self.path:
            frame = self.path[-1]
            frame.tried.append(number)
            if len(frame.tried) < len(frame.answers):
                return number
            self.path.pop()
            leads = dict(zip(frame.answers, frame.tried, strict=True))
            number = self.number(self.node(frame, leads))
            if frame.lines:
                self.note_edges(number, frame)
            if frame.loop_head:
                self.heads.add(number)
        return number

    @staticmethod
    def node(frame: _Frame, leads: dict[Any, int]) -> Node:
        """Return the node of an access, given where each answer leads."""

        def moves(leads: dict[Any, int]) -> tuple[tuple[int, int] | None, ...]:
            return tuple(
                IMPOSSIBLE
                if index not in frame.possible
                else (done[1], leads[done[0]])
                if done is not None and done[0] in leads
                else None
                for index, done in enumerate(frame.outcomes)
            )

        unanswered = {answer.answer: to for answer, to in leads.items() if isinstance(answer, AsItReturns)}
        return Node(
            frame.access,
            frame.held,
            moves(leads),
            leads.get(_TIMEOUT),
            leads.get(_EXCEPTION),
            moves(unanswered) if unanswered else (),
            frame.seen,
        )

    def note_edges(self, number: int, frame: _Frame) -> None:
        """Note the lines after each answer of an access whose node is known now."""
        answers = dict(zip(frame.answers, range(len(frame.answers)), strict=True))
        values = [(index, done[0]) for index, done in enumerate(frame.outcomes) if done and index in frame.possible]
        raised = [(RAISED_AS_IT_RETURNED - index, AsItReturns(answer)) for index, answer in values]
        for index, answer in (*values, (TIMED_OUT, _TIMEOUT), (RAISED, _EXCEPTION), *raised):
            if lines := frame.lines.get(answers.get(answer, -1)):
                self.lines.setdefault((number, index), set()).update(lines)

    def number(self, node: Node | Leaf | Goto) -> int:
        if node not in self.numbers:
            if len(self.nodes) >= MAX_NODES:
                raise TooLarge(
                    f"{self.shown} has more than {MAX_NODES:,} different steps; "
                    "take fewer slots, smaller slots or fewer values"
                )
            self.numbers[node] = len(self.nodes)
            self.nodes.append(node)
        return self.numbers[node]


def seen_from(frame: FrameType | None, files: frozenset[str]) -> Seen | None:
    """Return where the innermost function of these files stands, and its local variables: those
    that a person reads, a number, a text or what consists of such.
    """
    while frame is not None and frame.f_code.co_filename not in files:
        frame = frame.f_back
    if frame is None:
        return None
    told = ((name, repr(value)) for name, value in frame.f_locals.items() if name != "self")
    variables = tuple((name, said) for name, said in told if len(said) <= _WIDEST and " object at 0x" not in said)
    return Seen(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname, variables)


def tabulate(
    algorithm: Callable[[Any], Any], place: Place, operation: Operation, tick: Callable[[], None] = lambda: None
) -> Graph:
    """Return the graph of one operation of an algorithm. tick is called for each run of it, and may
    end it all by raising.

    Raises:
        TooLarge
        NotAFunction
    """
    graph = _tabulated(algorithm, place, operation, tick)
    if place.kind.files and _tabulated(algorithm, place, operation, tick) != graph:
        raise NotAFunction(
            f"{place.kind.shown(operation)} does not always do the same: it depends on something other than shared words, "
            "its arguments and private variables; on a clock, random numbers, or what an earlier call left somewhere?"
        )
    return graph


def tabulated(
    tables: Tables,
    algorithm: Callable[[Any], Any],
    place: Place,
    operation: Operation,
    tick: Callable[[], None] = lambda: None,
) -> Graph:
    """Return the graph of one operation, from these tables if it is there and nothing that it
    depends on has changed.

    Raises:
        TooLarge
        NotAFunction
    """

    def state(word: int) -> tuple[Word, frozenset[int]]:
        return place.kind.words[word], place.possible[word]

    if operation in tables:
        needs, graph = tables[operation]
        if all(state(word) == before for word, before in needs.items()):
            return graph
    graph = tabulate(algorithm, place, operation, tick)
    words = {node.access.word for node in graph.nodes if isinstance(node, Node) and node.access.touches}
    tables[operation] = {word: state(word) for word in words}, graph
    return graph


def _tabulated(algorithm: Callable[[Any], Any], place: Place, operation: Operation, tick: Callable[[], None]) -> Graph:
    recorder = _Recorder(place, operation)
    roots: list[int] = []
    for number, _ in enumerate(recorder.fragments):  # it grows while it is walked
        recorder.current = number
        while True:
            tick()
            root = recorder.ended(recorder.run(algorithm))
            if not recorder.path:
                break
        roots.append(root)
    if len(roots) > 1:
        wheres = [fragment.where for fragment in recorder.fragments]
        return joined(recorder.shown, recorder.nodes, roots, wheres, recorder.lines, recorder.entry_lines)
    recorder.lines[ENTRY] = recorder.entry_lines.get(0, set())
    return Graph(_closed(recorder), roots[0], {edge: frozenset(lines) for edge, lines in recorder.lines.items()})


def _closed(recorder: _Recorder) -> tuple[Node | Leaf, ...]:
    """Turn each third repetition into an edge back to the second.

    Raises:
        NotAFunction: if repetitions differ.
    """
    nodes = [node for node in recorder.nodes if not isinstance(node, Goto)]
    again = recorder.numbers.get(_AGAIN)
    if again is None:
        return tuple(nodes)
    if len(recorder.heads) != 1:
        raise NotAFunction(
            f"{recorder.shown} calls retry() but remembers what it read before; "
            "to wait with what it knows already, use image.wait_for(cell, value, ...)"
        )
    (head,) = recorder.heads

    def turned(at: int, value: int, move: tuple[int, int] | None) -> tuple[int, int] | None:
        if move is None or move[1] != again:
            return move
        # Back where it began, and nothing has changed: it waits.
        return None if (at, value) == (head, move[0]) else (move[0], head)

    return tuple(
        node
        if isinstance(node, Leaf)
        else node._replace(
            moves=tuple(turned(at, value, move) for value, move in enumerate(node.moves)),
            timeout=head if node.timeout == again else node.timeout,
        )
        for at, node in enumerate(nodes)
    )
