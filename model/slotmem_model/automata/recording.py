"""From plain Python to a graph of steps: operations run against an image that follows a script.

Interface:

- `tabulate(algorithm, place, operation)` returns a `Graph`: which access comes first; for each
  value that the word may have at that moment, what it becomes and which access comes next; at the
  ends, what the operation answered.
- `run_operation(instance, operation)` does one operation and returns how it ended.

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

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from slotmem_model.automata.simulated_image import (
    EOWNERDEAD,
    Access,
    AsItReturns,
    Place,
    Raised,
    SimulatedImage,
    Stop,
    TimedOut,
    effect,
)
from slotmem_model.automata.source_lines import Line, LineTrace
from slotmem_model.spec import SUCCESS, As, Operation, Result

MAX_NODES = 200_000
MAX_ACCESSES = 1_000
"""An operation with more accesses than this is taken for an endless loop."""
REPETITIONS = 8
"""The number of times that a loop is played before it is believed to go on for ever."""


class TooLarge(ValueError):
    """A graph, an automaton or a state that does not fit."""


class NotAFunction(ValueError):
    """An operation that does different things for the same answers, so that nothing can be said
    about it.
    """


Edge = tuple[int, int]
"""(node, value index)"""
ENTRY: Edge = (-1, 0)
"""From the call to the first access."""
TIMED_OUT, RAISED, RAISED_AS_IT_RETURNED = -1, -2, -3
"""Value indexes that stand for a wait that timed out, for an exception before an access, and, less
the value index that was found, for one as a call returned.
"""


class Leaf(NamedTuple):
    """An operation's end: its result, or the fault that stopped it."""

    result: Result | None
    fault: str = ""


IMPOSSIBLE = (-1, -1)
"""The move for a value that the word never has."""


class Node(NamedTuple):
    """Before an access: `moves[value index]` is (new value index, next node), None if it must wait,
    or IMPOSSIBLE.
    """

    access: Access
    held: tuple[int, ...]
    """Words of the mutexes held at this moment; after a death they are the ones that change."""
    moves: tuple[tuple[int, int] | None, ...]
    """The next nodes are numbers in `Graph.nodes`."""
    timeout: int | None = None
    """The next node if the wait times out."""
    exception: int | None = None
    """The next node if an exception is raised before the access."""
    unanswered: tuple[tuple[int, int] | None, ...] = ()
    """Like `moves`, if one is raised as the call returns."""


class Graph(NamedTuple):
    """All nodes of one operation; node 0 is the root.

    An edge to a number beyond the end does not exist.
    """

    nodes: tuple[Node | Leaf, ...]
    root: int
    lines: dict[Edge, frozenset[Line]]
    """The source lines that run between an access that found this value and the next one."""


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


_TIMEOUT = "timeout"
_EXCEPTION = "exception"
_EXCEPTIONS = 2
"""How many exceptions may be raised in one operation: the second on the way out of the first."""
_OUTSIDE = "outside"
_AGAIN = Leaf(None, "again")
ENDED_BY_EXCEPTION = Leaf(None)
"""The end of an operation that never answers: what it did and what it did not, nobody was told."""


class _Recorder:
    """The walk over all answers to one operation."""

    def __init__(self, place: Place, operation: Operation) -> None:
        self.place = place
        self.operation = operation
        self.path: list[_Frame] = []
        self.depth = self.known = 0
        self.raised = 0
        self.retries = 0
        self.loop_head_next = False
        self.loop_start = self.playing = 0
        self.heads: set[int] = set()
        self.nodes: list[Node | Leaf] = []
        self.numbers: dict[Node | Leaf, int] = {}
        self.trace = LineTrace(place.files)
        self.lines: dict[Edge, set[Line]] = {}

    def run(self, algorithm: Callable[[Any], Any]) -> Leaf:
        """Do the operation once, along the current path and then along first answers."""
        self.depth, self.raised, self.retries, self.loop_head_next = 0, 0, 0, False
        self.known = len(self.path)
        self.stopped_by: Leaf | None = None
        image = SimulatedImage(self.place, self.answer)
        try:
            with self.trace:
                if not self.path:
                    self.trace.begin()
                leaf = made_and_run(algorithm, image, self.operation)
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
            self.lines.setdefault(ENTRY, set()).update(lines)

    def answer(self, access: Access, held: tuple[int, ...]) -> Any:
        """Answer an access from the path, or extend the path by it."""
        if access.kind == "retry":
            return self.retry()
        if self.retries > 1:
            return self.played(access, held)
        self.note_lines()
        if self.depth == MAX_ACCESSES:
            raise TooLarge(
                f"{self.operation} has made {MAX_ACCESSES:,} accesses, and goes on: a loop that waits must say so, "
                "with image.retry() or image.wait_for(cell, value)"
            )
        if self.depth == len(self.path):
            self.path.append(self.frame(access, held))
        frame = self.path[self.depth]
        if frame.access != access:
            raise NotAFunction(f"{self.operation} does not always do the same: {frame.access} became {access}")
        self.depth += 1
        if self.depth == self.known:  # the lines up to here have been noted with the answers before this one
            self.trace.begin()
        self.loop_head_next = False
        given = frame.answers[len(frame.tried)]
        if given == _TIMEOUT:
            raise TimedOut(f"waited too long for {self.name(access)}")
        self.raised += given == _EXCEPTION or isinstance(given, AsItReturns)
        if given == _EXCEPTION:
            raise Raised
        if given == _OUTSIDE:
            self.stop(Leaf(None, f"{access.kind} to {self.name(access)} of a value that the model does not have"))
        return given

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
            f"{self.operation} calls retry() but does not do the same in each repetition; "
            "to wait with what it knows already, use image.wait_for(cell, value, ...)"
        )

    def stop(self, leaf: Leaf) -> None:
        self.stopped_by = leaf
        raise Stop

    def name(self, access: Access) -> str:
        return self.place.map.words[access.word].name

    def frame(self, access: Access, held: tuple[int, ...]) -> _Frame:
        """Return an access with all that may be answered to it."""
        touches = access.word >= 0
        values = self.place.map.words[access.word].values if touches else (0,)
        possible = self.place.possible[access.word] if touches else frozenset({0})
        outcomes: list[tuple[Any, int] | None] = []
        for index, value in enumerate(values):
            done = effect(access, value)
            if done is not None and touches:
                answer, new = done
                if access.kind == "add" and self.place.map.words[access.word].kind == "round":
                    new %= len(values)
                done = (answer, values.index(new)) if new in values else (_OUTSIDE, index)
            outcomes.append(done)
        answers = list(dict.fromkeys(done[0] for index in sorted(possible) if (done := outcomes[index]) is not None))
        if access.kind == "lock" and self.place.timeouts:
            answers.append(_TIMEOUT)
        if self.place.exceptions and self.raised < _EXCEPTIONS:
            answers += [AsItReturns(answer) for answer in answers if access.is_call and answer in (0, EOWNERDEAD)]
            answers.append(_EXCEPTION)
        return _Frame(access, held, outcomes, possible, answers, self.loop_head_next)

    def ended(self, leaf: Leaf) -> int:
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
        )

    def note_edges(self, number: int, frame: _Frame) -> None:
        """Note the lines after each answer of an access whose node is known now."""
        answers = dict(zip(frame.answers, range(len(frame.answers)), strict=True))
        values = [(index, done[0]) for index, done in enumerate(frame.outcomes) if done and index in frame.possible]
        raised = [(RAISED_AS_IT_RETURNED - index, AsItReturns(answer)) for index, answer in values]
        for index, answer in (*values, (TIMED_OUT, _TIMEOUT), (RAISED, _EXCEPTION), *raised):
            if lines := frame.lines.get(answers.get(answer, -1)):
                self.lines.setdefault((number, index), set()).update(lines)

    def number(self, node: Node | Leaf) -> int:
        if node not in self.numbers:
            if len(self.nodes) >= MAX_NODES:
                raise TooLarge(
                    f"{self.operation} has more than {MAX_NODES:,} different steps; "
                    "take fewer slots, smaller slots or fewer values"
                )
            self.numbers[node] = len(self.nodes)
            self.nodes.append(node)
        return self.numbers[node]


def tabulate(
    algorithm: Callable[[Any], Any], place: Place, operation: Operation, tick: Callable[[], None] = lambda: None
) -> Graph:
    """Return the graph of one operation of an algorithm. tick is called for each run of it, and may
    end it all by raising.

    Raises:
        TooLarge
        NotAFunction
    """
    recorder = _Recorder(place, operation)
    while True:
        tick()
        root = recorder.ended(recorder.run(algorithm))
        if not recorder.path:
            break
    return Graph(_closed(recorder), root, {edge: frozenset(lines) for edge, lines in recorder.lines.items()})


def _closed(recorder: _Recorder) -> tuple[Node | Leaf, ...]:
    """Turn each third repetition into an edge back to the second.

    Raises:
        NotAFunction: if repetitions differ.
    """
    again = recorder.numbers.get(_AGAIN)
    if again is None:
        return tuple(recorder.nodes)
    if len(recorder.heads) != 1:
        raise NotAFunction(
            f"{recorder.operation} calls retry() but remembers what it read before; "
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
        for at, node in enumerate(recorder.nodes)
    )


def made_and_run(algorithm: Callable[[Any], Any], image: SimulatedImage, operation: Operation) -> Leaf:
    """Make an algorithm, do an operation and return how it ended; failing to make it is a fault."""
    if isinstance(operation[-1], As):
        image.me[0] = operation[-1].process
        operation = operation[:-1]
    try:
        instance = algorithm(image)
    except (Exception, SystemExit) as error:
        return Leaf(None, f"raised {type(error).__name__}: {error}, when it was made")
    return run_operation(instance, operation)


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
