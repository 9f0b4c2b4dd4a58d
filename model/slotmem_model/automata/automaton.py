"""One process as a finite automaton: its client's operations in a row, each a graph of steps.

Interface:

- `Automaton.locals` are the local states; `Local.actions` are what the process may do next, usually
  one thing.
- An `Action` accesses one word; `moves[value index]` says where it leads, what the word becomes,
  and which event the monitor is told; None means that it must wait.
- `build(...)` makes the automaton of a client.

A process's own work between two accesses belongs to the first: an operation returns with its last
access. It is invoked with its first one, not before. So the interval in which it may take effect is
as short as it can be, and no violation of linearizability is missed.

A local state is (statement, registers, what the process keeps, node of the graph). Registers that
will not be read again are forgotten at once, so that states that differ in nothing else are one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import partial
from typing import NamedTuple

from slotmem_model.automata.accesses import Access
from slotmem_model.automata.client import Statement
from slotmem_model.automata.graph import IMPOSSIBLE, Graph, Node
from slotmem_model.automata.kind import ENDED_BY_EXCEPTION, Kind, Leaf, TooLarge
from slotmem_model.spec import Operation, Result

MAX_LOCALS = 200_000
BEGIN, EXCEPTION = Access("begin"), Access("exception")

Event = tuple[str, int, Operation | Result]
"""("invoke", process, operation), ("return", process, result), or, where the monitor has to know of
it, ("crash", process, operation).
"""


class Move(NamedTuple):
    """A step: the next local state, the word's new value index, the events' number (0: none)."""

    target: int
    value: int
    event: int


NEVER = Move(-1, -1, -1)
"""The move for a value that the word never has; an engine that reaches it has found a bug in this
program.
"""


class Action(NamedTuple):
    """One thing that a process may do in a local state."""

    access: Access
    moves: tuple[Move | None, ...]


class Local(NamedTuple):
    """A local state of one process."""

    actions: tuple[Action, ...]
    operation: Operation | None
    """The operation that it is doing, or will do next."""
    inside: bool
    """Whether it has begun that operation."""
    holds: int
    """Bit i: it was given slot i and has not begun to release it."""
    held: tuple[int, ...]
    """The mutexes that it holds, as words."""
    end: str = ""
    """done, dead, or empty."""
    fault: str = ""
    """What went wrong in the step before: torn, raised ..., outside ..."""
    crash: int | None = None
    """The local state it is in when it dies here."""
    crash_event: int = 0
    """The number of what the monitor is told of that death."""
    node: int = -1
    """The node of the operation's graph where it stands."""
    call: Operation | None = None
    """What that graph is of."""


class Automaton(NamedTuple):
    """The local states of one process; number 0 is the first."""

    locals: tuple[Local, ...]
    process: int
    bounds: tuple[str, ...] = ()
    """What was cut short, so that not everything that it could do is there, in words."""


class Events:
    """The events of all processes, numbered; 0 is nothing."""

    def __init__(self) -> None:
        self.table: list[tuple[Event, ...]] = [()]
        self._numbers: dict[tuple[Event, ...], int] = {(): 0}

    def number(self, events: tuple[Event, ...]) -> int:
        """Return the number of the events that happen in one step."""
        if events not in self._numbers:
            self._numbers[events] = len(self.table)
            self.table.append(events)
        return self._numbers[events]


class _Key(NamedTuple):
    at: int
    """The number of the statement, counted over all rounds; within the round if they never end."""
    registers: tuple[Hashable, ...]
    kept: Hashable
    node: int
    inside: bool
    end: str = ""
    fault: str = ""


class _Builder:
    def __init__(
        self,
        statements: tuple[Statement, ...],
        rounds: int,
        process: int,
        kind: Kind,
        graph_of: Callable[[Operation], Graph],
        events: Events,
        tells_crashes: bool,
    ) -> None:
        self.statements, self.process = statements, process
        self.length = rounds * len(statements) if rounds else math.inf
        self.kind, self.graph_of, self.events, self.tells_crashes = kind, graph_of, events, tells_crashes
        self.names = sorted({statement.register for statement in statements} - {""})
        self.numbers: dict[_Key, int] = {}
        self.waiting: list[_Key] = []

    def number(self, key: _Key) -> int:
        if key not in self.numbers:
            if len(self.numbers) >= MAX_LOCALS:
                raise TooLarge(
                    f"process {self.process + 1} has more than {MAX_LOCALS:,} local states; take a shorter client"
                )
            self.numbers[key] = len(self.numbers)
            self.waiting.append(key)
        return self.numbers[key]

    def operation(self, key: _Key) -> Operation | None:
        """Return the operation that a local state stands in or before."""
        if key.at >= self.length:
            return None
        registers = dict(zip(self.names, key.registers, strict=True))
        return self.kind.bind(self.statements[key.at % len(self.statements)], registers, self.process)

    def idle(self, at: int, registers: tuple[Hashable, ...], kept: Hashable) -> _Key:
        """Return the local state before the next operation that can be done; forget registers that
        will not be read again.
        """
        while True:
            within = at % len(self.statements)
            if self.length == math.inf:
                at = within
            ahead = self.statements[within:] if at < self.length else ()
            registers = tuple(
                value if within and self.is_read(name, ahead) else None
                for name, value in zip(self.names, registers, strict=True)
            )
            key = _Key(at, registers, kept, -1, inside=False)
            if at >= self.length:
                return key._replace(end="done")
            operation = self.operation(key)
            if operation is not None:
                return key._replace(node=self.graph_of(self.call(key, operation)).root)
            at += 1

    @staticmethod
    def is_read(name: str, ahead: tuple[Statement, ...]) -> bool:
        """Return whether a register is read before it is set again."""
        for statement in ahead:
            if name in statement.arguments:
                return True
            if name == statement.register:
                return False
        return False

    def call(self, key: _Key, operation: Operation) -> Operation:
        """Return what is run of an operation: its graph is found by it."""
        return self.kind.call(operation, key.kept, self.process)

    def returned(self, key: _Key, operation: Operation, leaf: Leaf, kept: Hashable) -> tuple[_Key, tuple[Event, ...]]:
        """Return the local state after an operation's end, and the event."""
        if leaf == ENDED_BY_EXCEPTION:
            return _Key(0, (), kept, -1, inside=False, end="done"), ()
        ended = None if leaf.fault else self.kind.ended(operation, leaf, kept)
        if ended is None or ended.fault:
            fault = ended.fault if ended else leaf.fault
            return _Key(0, (), self.kind.first, -1, inside=False, end="fault", fault=fault), ()
        assert leaf.result is not None
        registers = list(key.registers)
        register = self.statements[key.at % len(self.statements)].register
        if register and ended.value is not None:
            registers[self.names.index(register)] = ended.value
        return self.idle(key.at + 1, tuple(registers), ended.kept), (("return", self.process, leaf.result),)

    @staticmethod
    def exception(node: Node, moved: Callable[[int], Move]) -> Action:
        """Return what an exception before an access does. It does not free whoever waits in vain:
        that would hide a deadlock. (It can come before the wait.)
        """
        if None not in node.moves:
            return Action(EXCEPTION, (moved(0),))
        return Action(
            Access("exception", node.access.word), tuple(to and moved(at) for at, to in enumerate(node.moves))
        )

    def local(self, key: _Key) -> Local:
        """Describe a local state, numbering those that it leads to."""
        operation = self.operation(key) if not key.end else None
        holds, locked = self.kind.holds(key.kept), self.kind.held(key.kept)
        if operation is None:
            return Local((), None, key.inside, holds, (), key.end, key.fault)
        begun: tuple[Event, ...] = () if key.inside else (("invoke", self.process, operation),)
        call = self.call(key, operation)
        kept = key.kept if key.inside else self.kind.begun(operation, key.kept)
        graph = self.graph_of(call)

        def move(value: int, target: int) -> Move:
            if (value, target) == IMPOSSIBLE:
                return NEVER
            node = graph.nodes[target]
            if isinstance(node, Leaf):
                after, ended = self.returned(key, operation, node, kept)
            else:
                after, ended = key._replace(node=target, inside=True, kept=kept), ()
            return Move(self.number(after), value, self.events.number(begun + ended))

        node = graph.nodes[key.node]
        dead = self.number(_Key(0, (), key.kept, -1, inside=False, end="dead"))
        is_told = key.inside and self.tells_crashes
        told = self.events.number((("crash", self.process, operation),)) if is_told else 0
        if isinstance(node, Leaf):  # it answers without looking at shared memory
            actions: tuple[Action, ...] = (Action(BEGIN, (move(0, key.node),)),)
            return Local(
                actions, operation, key.inside, holds, locked, crash=dead, crash_event=told, node=key.node, call=call
            )
        actions = (Action(node.access, tuple(to and move(*to) for to in node.moves)),)
        if node.timeout is not None:
            moves = tuple(None if to else move(index, node.timeout) for index, to in enumerate(node.moves))
            actions = (*actions, Action(Access("timeout", node.access.word), moves))
        if node.exception is not None and key.inside:
            actions = (*actions, self.exception(node, partial(move, target=node.exception)))
        if node.unanswered:
            moves = tuple(to and move(*to) for to in node.unanswered)
            actions = (*actions, Action(node.access._replace(raises=True), moves))
        return Local(
            actions, operation, key.inside, holds, node.held, crash=dead, crash_event=told, node=key.node, call=call
        )


def build(
    statements: tuple[Statement, ...],
    rounds: int,
    process: int,
    kind: Kind,
    graph_of: Callable[[Operation], Graph],
    events: Events,
    *,
    tells_crashes: bool = False,
) -> Automaton:
    """Make the automaton of a client that does `rounds` rounds of its statements; 0: one after the
    other for ever. tells_crashes: whether a death inside an operation is an event.

    Raises:
        TooLarge
    """
    builder = _Builder(statements, rounds, process, kind, graph_of, events, tells_crashes)
    builder.number(builder.idle(0, (None,) * len(builder.names), kind.first))
    return Automaton(tuple(builder.local(key) for key in builder.waiting), process)  # it grows while it is walked
