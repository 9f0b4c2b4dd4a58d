"""What is compiled of a question about a program: its words, its clients and its specification.

Interface: `program_question(algorithm, clients, ...)`. Without a specification it is the class
itself, run one operation at a time: an operation that would have to wait does not take effect then.
"""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from types import FrameType
from typing import Any

from slotmem_model.automata.kind import BadProgram, Leaf, Question
from slotmem_model.automata.loops import Key, LoopWatch, Unfrozen, frozen
from slotmem_model.programs import clients
from slotmem_model.programs.declared import AtOnce, Blocked, Choices, is_program, methods
from slotmem_model.programs.kind import Kept, Memory, ProgramKind, answer_of
from slotmem_model.programs.values import Values
from slotmem_model.spec import SUCCESS, Operation, Result

__all__ = ["is_program", "program_question"]


def program_question(
    algorithm: Any, texts: tuple[str, ...], *, processes: int, values: Values, specification: Any = None
) -> Question:
    """Return what is compiled. texts: one client for all processes, or one for each. specification:
    a class of plain Python with methods of the same names; None: the one that the class names as
    `specification`, or else the class itself.

    Raises:
        BadClient
        BadProgram
        NotAFunction
    """
    specification = specification or getattr(algorithm, "specification", None)
    parsed = [clients.parse(text, algorithm) for text in texts]
    parsed = parsed if len(parsed) > 1 else parsed * processes
    kind = ProgramKind(algorithm, processes, values)
    possible = tuple(frozenset({0}) for _ in kind.words)
    if specification is None:
        initial: Any = Memory(tuple(word.initial for word in kind.words), (kind.first,) * processes)
        return Question(kind, tuple(parsed), possible, initial, partial(_itself, kind))
    for name in methods(algorithm, "operation"):
        if not callable(getattr(specification, name, None)):
            raise BadProgram(
                f"the specification {specification.__name__} has no method {name}, which is an operation of {algorithm.__name__}"
            )
    return Question(kind, tuple(parsed), possible, _State(specification()), _specified)


class _Endless(Blocked):
    """The operation would wait for ever."""


def _itself(kind: ProgramKind, state: Memory, operation: Operation, process: int) -> tuple[tuple[Memory, Result], ...]:
    """Run an operation alone, from a state; nothing follows if it cannot end now."""
    image = AtOnce(list(state.values))
    seen: set[tuple[Key, tuple[Any, ...]]] = set()

    def at_head(frame: FrameType, _where: str) -> None:
        key = watch.key(frame)
        here = (key, tuple(image.values))
        if key is not None and here in seen:
            image.halt()
            raise _Endless
        if key is not None:
            seen.add((key, tuple(image.values)))

    watch = LoopWatch(kind.files, kind.below, at_head, with_dead=False)
    try:
        with watch:
            leaf: Leaf = kind.run(kind.algorithm, image, kind.call(operation, state.kept[process], process))
    except Blocked:
        return ()
    if leaf.result is None:
        return ()
    assert isinstance(leaf.kept, Kept)
    kept = (*state.kept[:process], leaf.kept, *state.kept[process + 1 :])
    return ((Memory(tuple(image.values), kept), leaf.result),)


class _State:
    """A state of a specification: an object of it, compared by what is in it."""

    def __init__(self, made: Any) -> None:
        self.made = made
        try:
            self.key = frozen(vars(made))
        except Unfrozen as error:
            raise BadProgram(
                f"the specification {type(made).__name__} has a {error} in its state, which cannot be compared; "
                "expected numbers, texts, lists, dictionaries and the like"
            ) from None

    def __str__(self) -> str:
        return ", ".join(f"{name} = {value!r}" for name, value in vars(self.made).items()) or "nothing to tell apart"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _State) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def _specified(state: _State, operation: Operation, _process: int) -> tuple[tuple[_State, Result], ...]:
    """Return all that a specification allows."""
    name, *arguments = operation
    found: list[tuple[_State, Result]] = []
    for _ in Choices():
        made = deepcopy(state.made)
        try:
            value = getattr(made, name)(*arguments)
        except Blocked:
            continue
        found.append((_State(made), Result(SUCCESS, answer_of(value, name))))
    return tuple(dict.fromkeys(found))
