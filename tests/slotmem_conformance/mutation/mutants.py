"""The mutants of a source text: copies that differ from it in one small thing.

Interface: `mutants(path, source)` gives all of them, in the order of the text, each with an id that
survives a change elsewhere: file, function, operator, what became what, and a number among those
that are alike.

Operators: comparison (`<` becomes `<=`, `==` becomes `!=` ...), arithmetic (`+` becomes `-` ...),
constant (a number grows by one, a string by a letter, a truth value flips), deletion (of a
statement), condition (of `if` and `while` negated, `and` becomes `or`), swap (of neighbouring
arguments) and swallowed (an exception is not raised, or not handled). Annotations and docstrings,
which have no effect when the program runs, are left out; so are the words of error messages, on
which nobody may rely.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

TARGETS = (
    "slotmem/slots.py",
    "slotmem/updates.py",
    "slotmem/tenancy.py",
    "slotmem/recovery.py",
    "slotmem/instance.py",
    "slotmem/lifetime.py",
    "slotmem/shm.py",
    "slotmem/memory/files.py",
    "slotmem/memory/storing.py",
    "slotmem/memory/names.py",
    "slotmem/memory/control.py",
    "slotmem/memory/judged.py",
    "slotmem/memory/segment.py",
    "slotmem_model/spec.py",
)
"""The files that are changed, where their packages lie side by side."""
OPERATORS = ("comparison", "arithmetic", "constant", "deletion", "condition", "swap", "swallowed")

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_KEPT = (
    ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Pass | ast.Global | ast.Nonlocal
)  # deleting these is not a small change, or none at all
_ID_CHARACTERS = 120


@dataclass(frozen=True)
class Mutant:
    """One small change of a file."""

    path: str
    scope: str
    operator: str
    before: str
    """The lines in question."""
    after: str
    begin: int
    """Where in the source's bytes these lines begin."""
    end: int
    lines: range
    """Lines of which at least one runs whenever the changed code does."""
    number: int = 1

    @property
    def id(self) -> str:
        """Its name, the same from one version of the source to the next."""
        number = f" #{self.number}" if self.number > 1 else ""
        return f"{self.path}: {self.scope}: {self.operator}: {_short(self.before)} -> {_short(self.after)}{number}"

    def applied(self, source: str) -> str:
        """Return the changed text."""
        text = source.encode()
        return (text[: self.begin] + self.after.encode() + text[self.end :]).decode()


def mutants(path: str, source: str) -> list[Mutant]:
    """Return every mutant of a source text."""
    whole = ast.parse(source)
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: dict[tuple[int, int, str], Mutant] = {}  # two operators may do the same
    for node, changed, operator, scope, first in _changes(whole, "", 0):
        begin, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        is_closed = isinstance(node, ast.stmt | ast.Constant | ast.Call | ast.JoinedStr)
        text = changed if is_closed else f"({changed})"
        left, right = starts[node.lineno - 1], starts[node.end_lineno]
        before = source.encode()[left:right].decode()
        after = (source.encode()[left:begin] + text.encode() + source.encode()[end:right]).decode()
        lines = range(first, node.end_lineno + 1)
        found.setdefault((begin, end, text), Mutant(path, scope, operator, before, after, left, right, lines))
    alike: Counter[str] = Counter()
    numbered = []
    for _, mutant in sorted(found.items()):
        alike[mutant.id] += 1
        numbered.append(replace(mutant, number=alike[mutant.id]))
    return numbered


def _short(text: str) -> str:
    words = " ".join(text.partition("  # ")[0].split())
    return words if len(words) <= _ID_CHARACTERS else f"{words[:_ID_CHARACTERS]}..."


def _changes(node: ast.AST, scope: str, first: int) -> Iterator[tuple[Any, str, str, str, int]]:
    """Yield what is replaced, by what text, by which operator, in which function, and the first
    line of the statement.
    """
    if isinstance(node, ast.stmt):
        first = node.lineno
        yield from ((node, "pass", operator, scope, first) for operator in _deleted(node))
    if isinstance(node, ast.ExceptHandler) and not isinstance(node.body[0], ast.Pass):
        body = ast.copy_location(ast.Pass(), node.body[0])
        body.end_lineno, body.end_col_offset = node.body[-1].end_lineno, node.body[-1].end_col_offset
        yield body, "pass", "swallowed", scope, body.lineno
    for test in _negated(node):
        yield test, f"not ({ast.unparse(test)})", "condition", scope, first
    for operator, changed in _varied(node):
        yield node, ast.unparse(ast.fix_missing_locations(changed)), operator, scope, first
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        scope = f"{scope}.{node.name}".strip(".")
    for child in _looked_into(node):
        yield from _changes(child, scope, first)


def _looked_into(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Raise | ast.JoinedStr):
        return
    left_out = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    for child in ast.iter_child_nodes(node):
        is_docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        if child not in left_out and not is_docstring:
            yield child


def _deleted(node: ast.stmt) -> Iterator[str]:
    is_declaration = isinstance(node, ast.AnnAssign) and node.value is None
    if isinstance(node, ast.Raise):
        yield "swallowed"
    elif not isinstance(node, _KEPT) and not is_declaration:
        yield "deletion"


def _varied(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield what an expression becomes, and by which operator."""
    match node:
        case ast.Compare(left, ops, comparators):
            for at, op in enumerate(ops):
                for other in _COMPARED[type(op)]:
                    yield "comparison", ast.Compare(left, [*ops[:at], other(), *ops[at + 1 :]], comparators)
        case ast.BinOp(left, op, right) if type(op) in _COMPUTED:
            yield "arithmetic", ast.BinOp(left, _COMPUTED[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in _COMPUTED:
            yield "arithmetic", ast.AugAssign(target, _COMPUTED[type(op)](), value)
        case ast.UnaryOp(ast.USub() | ast.Invert(), operand):
            yield "arithmetic", operand
        case ast.UnaryOp(ast.Not(), operand):
            yield "condition", operand
        case ast.BoolOp(op, values):
            yield "condition", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.Constant(value) if (changed := _other_constant(value)) is not None:
            yield "constant", ast.Constant(changed)
        case ast.JoinedStr(values):
            yield "constant", ast.JoinedStr([*values, ast.Constant("X")])
        case ast.Call(func, arguments, keywords):
            for at, (first, second) in enumerate(pairwise(arguments)):
                is_starred = isinstance(first, ast.Starred) or isinstance(second, ast.Starred)
                if not is_starred and ast.dump(first) != ast.dump(second):
                    yield "swap", ast.Call(func, [*arguments[:at], second, first, *arguments[at + 2 :]], keywords)


def _other_constant(value: object) -> str | bytes | float | None:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}X"
        case bytes():
            return value + b"X"
    return None


def _negated(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the conditions of a node, except those that another operator negates anyway."""
    tests = [node.test] if isinstance(node, ast.If | ast.While | ast.IfExp) else getattr(node, "ifs", [])
    for test in tests:
        is_compared = isinstance(test, ast.Compare) and len(test.ops) == 1
        if not is_compared and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            yield test
