"""The graph of one operation: its accesses, where each answer leads, and which lines run between.

Interface: `Graph`, its `Node`s and `Edge`s; `joined(...)` puts the fragments of an operation with
loops together.

Each fragment is what follows from the head of a loop in one state; a path that comes to such a head
ends with a `Goto`. Nodes with the same future are one (Moore's partition refinement, on a graph
with cycles). A step back to where it is itself, that changes nothing, is no step: the process waits
until the word has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from slotmem_model.automata.accesses import Access
from slotmem_model.automata.kind import Leaf, NotAFunction
from slotmem_model.automata.source_lines import Line

Edge = tuple[int, int]
"""(node, value index)"""
ENTRY: Edge = (-1, 0)
"""From the call to the first access."""
TIMED_OUT, RAISED, RAISED_AS_IT_RETURNED = -1, -2, -3
"""Value indexes that stand for a wait that timed out, for an exception before an access, and, less
the value index that was found, for one as a call returned.
"""


IMPOSSIBLE = (-1, -1)
"""The move for a value that the word never has."""


class Seen(NamedTuple):
    """Where a function stood before an access, and its local variables, as they are shown."""

    file: str
    line: int
    function: str
    variables: tuple[tuple[str, str], ...]


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
    seen: Seen | None = None
    """Kept only if it is asked for."""


class Graph(NamedTuple):
    """All nodes of one operation; node 0 is the root.

    An edge to a number beyond the end does not exist.
    """

    nodes: tuple[Node | Leaf, ...]
    root: int
    lines: dict[Edge, frozenset[Line]]
    """The source lines that run between an access that found this value and the next one."""


class Goto(NamedTuple):
    """A path's end at the head of a loop: what follows is a fragment of its own."""

    fragment: int


_Nodes = Sequence[Node | Leaf | Goto]


def joined(
    shown: str,
    nodes: _Nodes,
    roots: Sequence[int],
    wheres: Sequence[str],
    lines: dict[Edge, set[Line]],
    entry_lines: dict[int, set[Line]],
) -> Graph:
    """Put the fragments of an operation together. roots: the first node of each; wheres: the place
    of its loop; entry_lines: the lines that run from there to its first access.

    Raises:
        NotAFunction: for a loop that never looks at shared memory.
    """
    ways = [_way(shown, nodes, roots, wheres, number) for number in range(len(nodes))]
    ends = [number for number, _ in ways]
    classes = _classes(nodes, ends)
    ran: dict[Edge, set[Line]] = {}
    for at, node in enumerate(nodes):
        for value, to in _edges(node):
            between = set(lines.get((at, value), ()))
            for fragment in ways[to][1]:
                between |= entry_lines.get(fragment, set())
            ran.setdefault((classes[at], value), set()).update(between)
    ran[ENTRY] = set(entry_lines.get(0, ()))
    for fragment in ways[roots[0]][1]:
        ran[ENTRY] |= entry_lines.get(fragment, set())
    number = max(classes) + 1
    kept: list[Node | Leaf] = [Leaf(None)] * number
    for at, node in enumerate(nodes):
        if not isinstance(node, Goto):
            kept[classes[at]] = _moved(node, classes, ends, classes[at])
    return Graph(tuple(kept), classes[ends[roots[0]]], {edge: frozenset(found) for edge, found in ran.items()})


def _way(
    shown: str, nodes: _Nodes, roots: Sequence[int], wheres: Sequence[str], number: int
) -> tuple[int, tuple[int, ...]]:
    """Return the node that a number leads to, and the fragments on the way."""
    fragments: list[int] = []
    while isinstance(node := nodes[number], Goto):
        if node.fragment in fragments:
            raise NotAFunction(
                f"{shown} never leaves the loop in {wheres[node.fragment]}: it comes back to where it was "
                "without an access to shared memory"
            )
        fragments.append(node.fragment)
        number = roots[node.fragment]
    return number, tuple(fragments)


def _edges(node: Node | Leaf | Goto) -> list[tuple[int, int]]:
    """Return the value indexes of a node's edges, and the nodes that they lead to."""
    if not isinstance(node, Node):
        return []
    found = [(value, move[1]) for value, move in enumerate(node.moves) if move and move != IMPOSSIBLE]
    found += [(value, to) for value, to in ((TIMED_OUT, node.timeout), (RAISED, node.exception)) if to is not None]
    after = enumerate(node.unanswered)
    return found + [(RAISED_AS_IT_RETURNED - value, move[1]) for value, move in after if move and move != IMPOSSIBLE]


def _classes(nodes: _Nodes, ends: list[int]) -> list[int]:
    """Return the number of each node's class: nodes of one class have the same future."""
    found = _numbered([(*node[:2], node.seen) if isinstance(node, Node) else node for node in nodes], nodes)
    while True:

        def shape(at: int, node: Node | Leaf | Goto, found: list[int] = found) -> object:
            if not isinstance(node, Node):
                return found[at]
            moves = [
                tuple((move and move != IMPOSSIBLE and (move[0], found[ends[move[1]]])) or move for move in part)
                for part in (node.moves, node.unanswered)
            ]
            rest = [to if to is None else found[ends[to]] for to in (node.timeout, node.exception)]
            return (found[at], *moves, *rest)

        finer = _numbered([shape(at, node) for at, node in enumerate(nodes)], nodes)
        if max(finer) == max(found):
            return finer
        found = finer


def _numbered(shapes: list[object], nodes: _Nodes) -> list[int]:
    """Number shapes by their first appearance."""
    numbers: dict[object, int] = {}
    return [
        numbers.setdefault((isinstance(node, Goto), shape), len(numbers))
        for shape, node in zip(shapes, nodes, strict=True)
    ]


def _moved(node: Node | Leaf, classes: list[int], ends: list[int], at: int) -> Node | Leaf:
    """Return a node whose edges lead to classes."""
    if isinstance(node, Leaf):
        return node

    def to(value: int, move: tuple[int, int] | None) -> tuple[int, int] | None:
        if move is None or move == IMPOSSIBLE:
            return move
        target = classes[ends[move[1]]]
        return None if (move[0], target) == (value, at) else (move[0], target)

    return node._replace(
        moves=tuple(to(value, move) for value, move in enumerate(node.moves)),
        timeout=None if node.timeout is None else classes[ends[node.timeout]],
        exception=None if node.exception is None else classes[ends[node.exception]],
        unanswered=tuple(to(value, move) for value, move in enumerate(node.unanswered)),
    )
