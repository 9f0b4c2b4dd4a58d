"""Which lines of an algorithm's source run, and which ought to.

Interface:

- `with LineTrace(files) as trace:` notes each line of these files that runs; `trace.taken()`
  returns those since the last call.
- `files_of(algorithm)` returns the files that a class and its bases are written in.
- `function_at(file, line)` returns where the function around a line begins and ends.
- `statements_of(algorithm, entered)` returns the statements that ought to run: those of every
  method that the class has, and those of functions elsewhere of which some line was entered.

A statement is known by its first line. One that says `# never in the model: why`, or stands in a
function or below a condition that says so, need not run; it is counted separately.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

Line = tuple[str, int]
"""(file, line number)"""
_MOVES = "slotmem_model.algorithms.base"
"""The module that algorithms here are made of; none of them need use all of it."""
MARK = "# never in the model:"


class LineTrace:
    """Notes the lines that run while it is entered, from `begin` on; without files, none."""

    def __init__(self, files: frozenset[str]) -> None:
        self._files = files
        self._lines: set[Line] = set()
        self._before: Any = None

    def __enter__(self) -> None:
        if self._files:
            self._before = sys.gettrace()
            self._lines.clear()

    def begin(self) -> None:
        """Note lines from here on, those of functions that have been called already too."""
        if not self._files:
            return
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename in self._files:
                frame.f_trace = self._ran
            frame = frame.f_back
        sys.settrace(self._called)

    def __exit__(self, *_: object) -> None:
        if self._files:
            sys.settrace(self._before)

    def taken(self) -> set[Line]:
        """Return the lines that ran since the last call."""
        lines, self._lines = self._lines, set()
        return lines

    def _called(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._ran if frame.f_code.co_filename in self._files else None

    def _ran(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._ran


class SourceStatement(NamedTuple):
    """A statement that ought to run."""

    file: str
    line: int
    last: int
    function: str
    excused: bool
    """Whether the source says why it cannot run in the model."""


def files_of(algorithm: Callable[[Any], Any]) -> frozenset[str]:
    """Return the files that an algorithm is written in."""
    return frozenset(function.__code__.co_filename for _, function in _functions(algorithm))


def statements_of(algorithm: Callable[[Any], Any], entered: Iterable[Line]) -> list[SourceStatement]:
    """Return the statements that ought to run, sorted; `entered` are all lines that ran at all."""
    home = inspect.getsourcefile(algorithm) if isinstance(algorithm, type) else None
    lines = set(entered)
    found: dict[tuple[str, int], SourceStatement] = {}
    for name, function in _functions(algorithm):
        file = function.__code__.co_filename
        own = set(_lines(function.__code__))
        if file != home and not own & {line for where, line in lines if where == file}:
            continue
        for line, last, excused in _statements(file, function.__code__.co_firstlineno):
            if any(number in own for number in range(line, last + 1)):
                found[file, line] = SourceStatement(file, line, last, name, excused)
    return sorted(found.values())


def _functions(algorithm: Callable[[Any], Any]) -> Iterator[tuple[str, FunctionType]]:
    """Yield the methods that a class has, without those that it overrides and does not call."""
    given = inspect.getmro(algorithm)[:-1] if isinstance(algorithm, type) else ()
    classes = tuple(each for each in given if each.__module__ != _MOVES)
    seen: set[str] = set()
    for each in classes:
        for name, value in vars(each).items():
            value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
            if isinstance(value, FunctionType) and (name not in seen or _is_called_by_super(classes, each, name)):
                yield name, value
        seen |= vars(each).keys()


def _is_called_by_super(classes: tuple[type, ...], at: type, name: str) -> bool:
    """Return whether a method may still be called although it is overridden: by `super`."""
    before = classes[: classes.index(at)]
    methods = [vars(each)[name] for each in before if name in vars(each)]
    return all("super" in getattr(getattr(method, "__code__", None), "co_names", ()) for method in methods)


def _lines(code: CodeType) -> Iterator[int]:
    for _, _, line in code.co_lines():
        if line is not None and line != code.co_firstlineno:
            yield line
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _lines(constant)


@cache
def functions_in(file: str) -> dict[int, ast.FunctionDef]:
    """Return the functions of a file, by their first line, decorators included."""
    tree = ast.parse("".join(linecache.getlines(file)))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {min([node.lineno, *(each.lineno for each in node.decorator_list)]): node for node in nodes}


def function_at(file: str, line: int) -> tuple[int, int]:
    """Return the first and the last line of the innermost function there; the line itself outside
    of all.
    """
    spans = ((first, node.end_lineno or first) for first, node in functions_in(file).items())
    return max(((first, last) for first, last in spans if first <= line <= last), default=(line, line))


@cache
def _statements(file: str, first: int) -> tuple[tuple[int, int, bool], ...]:
    """Return the statements of the function that begins on a line: the first and last line of each
    (of a compound one, of its head alone), and whether it is excused.
    """
    function = functions_in(file).get(first)
    if function is None:
        return ()
    given = linecache.getlines(file)

    def is_excused(line: int, last: int) -> bool:
        return any(MARK in given[number - 1] for number in range(line, last + 1))

    def found(body: list[ast.stmt], excused: bool) -> Iterator[tuple[int, int, bool]]:
        for node in body:
            if isinstance(node, ast.Break | ast.Continue | ast.Pass):
                continue  # the interpreter jumps over them
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            inner = getattr(node, "body", None)
            last = max(node.lineno, inner[0].lineno - 1) if inner else node.end_lineno or node.lineno
            here = excused or is_excused(node.lineno, last)
            yield node.lineno, last, here
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield from found(inner or [], here)
                for handler in getattr(node, "handlers", ()):
                    yield from found(handler.body, excused or is_excused(handler.lineno, handler.lineno))
                for other in ("orelse", "finalbody"):
                    yield from found(getattr(node, other, []), excused)

    head = max(function.lineno, function.body[0].lineno - 1)
    return tuple(found(function.body, is_excused(function.lineno, head)))
