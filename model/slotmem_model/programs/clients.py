"""What a process does with a program: calls of its operations in a row, with registers.

    push(1); pop -> x; push(x)

Arguments are Python's constants, registers, or `me`, the process's number counted from 0. A
parameter named `me` that is left out is `me`. A register is set by `-> name`; a call whose register
was not set, because what it waits for returned None, is skipped. Registers are forgotten at the end
of a round.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any

from slotmem_model.automata.client import BadClient, Statement
from slotmem_model.automata.kind import BadProgram
from slotmem_model.programs.declared import methods
from slotmem_model.spec import Operation

ME = "me"


class Register(str):
    """An argument that is the name of a register."""

    __slots__ = ()


def parse(text: str, algorithm: type) -> tuple[Statement, ...]:
    """Read a client.

    Raises:
        BadClient: says which call is wrong, and why.
    """
    operations = methods(algorithm, "operation")
    statements: list[Statement] = []
    registers: set[str] = set()
    for part in filter(None, (part.strip() for part in text.split(";"))):
        call, arrow, register = (each.strip() for each in part.partition("->"))
        if arrow and not register.isidentifier():
            raise BadClient(f"{register!r} in {part!r} is not a name that a register can have")
        name, arguments = _call(call, registers)
        if name not in operations:
            raise BadClient(f"{part!r}: {algorithm.__name__} has no operation {name}; it has {', '.join(operations)}")
        statements.append(Statement(name, _fitted(operations[name], name, arguments, part), register))
        registers |= {register} if register else set()
    if not statements:
        raise BadClient(f"the client is empty; expected such as {next(iter(operations))!r}")
    return tuple(statements)


def _call(text: str, registers: set[str]) -> tuple[str, tuple[Any, ...]]:
    """Return the name and the arguments of a call."""
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        node = None
    if isinstance(node, ast.Name):
        return node.id, ()
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        raise BadClient(f"{text!r} is not a call; expected such as increment, or push(1)")
    found: list[Any] = []
    for argument in node.args:
        if isinstance(argument, ast.Name) and argument.id in (ME, *registers):
            found.append(Register(argument.id))
            continue
        try:
            value = ast.literal_eval(argument)
            hash(value)
        except (ValueError, TypeError):
            what = ast.unparse(argument)
            raise BadClient(f"{what} in {text!r} is not a constant, {ME}, or a register set before") from None
        found.append(value)
    return node.func.id, tuple(found)


def _fitted(method: Callable[..., Any], name: str, arguments: tuple[Any, ...], part: str) -> tuple[Any, ...]:
    """Return the arguments of a call, `me` filled in where it is left out."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    names = [each.name for each in parameters]
    needed = [each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_POSITIONAL]
    if ME in needed and len(arguments) == len(needed) - 1:
        at = names.index(ME)
        arguments = (*arguments[:at], Register(ME), *arguments[at:])
    if not len(needed) <= len(arguments) <= len(names):
        takes = f"{name}({', '.join(names)})"
        raise BadClient(f"{part!r} has {len(arguments)} argument{'s' * (len(arguments) != 1)}; expected {takes}")
    return arguments


def bind(statement: Statement, registers: dict[str, Any], process: int) -> Operation | None:
    """Return the operation that a statement stands for; None if a register is not set."""
    values: list[Any] = []
    for argument in statement.arguments:
        if not isinstance(argument, Register):
            values.append(argument)
        elif argument == ME:
            values.append(process)
        elif registers[argument] is None:
            return None
        else:
            values.append(registers[argument])
    return (statement.name, *values)


def shown(operation: Operation) -> str:
    """Show an operation as a call: push(1)."""
    name, *arguments = operation
    return f"{name}({', '.join(map(repr, arguments))})"


def defaults(algorithm: type, processes: int = 2) -> list[tuple[str, ...]]:
    """Return the clients that a class is asked with: those it names, or each operation beside each
    other one, twice.

    Raises:
        BadProgram
    """
    named = getattr(algorithm, "clients", None)
    if named is not None:
        is_listed = isinstance(named, list | tuple) and all(isinstance(one, str | list | tuple) for one in named)
        each = [(one,) if isinstance(one, str) else tuple(one) for one in named] if is_listed else []
        if not each or not all(texts and isinstance(text, str) for texts in each for text in texts):
            raise BadProgram(
                f"{algorithm.__name__}.clients is {named!r}; expected a list of questions, each a client for all "
                "processes or a tuple of clients, one for each"
            )
        return each
    alone = []
    for name, method in methods(algorithm, "operation").items():
        try:
            _fitted(method, name, (), name)
        except BadClient as error:
            raise BadProgram(
                f"{error}; say what processes do with --client '...', or as `clients` of {algorithm.__name__}"
            ) from None
        alone.append(name)
    return [tuple(f"{name}; {name}" for name in names) for names in combinations_with_replacement(alone, processes)]
