"""Plain loops: when `while self.turn[0] != me: pass` is back where it was.

Interface: `LoopWatch(files, below, at_head)` is a `LineTrace` that calls `at_head(frame, where)`
whenever a `while` of these files is about to test its condition. `key(frame)` is what the future
depends on there: two equal keys mean the same future, given the same answers.

What an operation will do depends on its local variables, as far as they are read again, on those of
the functions that called it, and on what Python keeps on its evaluation stacks. The first two are
the key. The third is empty before a `while` that stands in no `for` and no handler of exceptions,
and a `for` keeps how far it is, which is counted here. A function that was called in the middle of
a larger expression has a caller with something on its stack: then nothing is said, and the loop is
taken for endless if it goes on for too long.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable, Hashable
from functools import cache
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from slotmem_model.automata.kind import BadProgram
from slotmem_model.automata.liveness import live_before
from slotmem_model.automata.source_lines import LineTrace, functions_in

Key = tuple[Hashable, ...]
_STARTS_A_THREAD = threading.Thread.start.__code__
_OF_PYTHON = 1 << 9
"""The flag of a class that a `class` statement made: all that it knows is in its `__dict__`."""


class _Loops(NamedTuple):
    """The loops of one function, by the line of their head."""

    whiles: dict[int, tuple[int, ...]]
    """For each `while` whose state can be told, the heads of the `for`s around it."""
    within: dict[int, frozenset[int]]
    """For each loop, the heads of the `for`s inside it."""
    calls: frozenset[tuple[int, int, int, int]]
    """Where calls stand (line, end line, column, end column) below which the stack is empty."""


class LoopWatch(LineTrace):
    """See the header."""

    def __init__(
        self, files: frozenset[str], below: str, at_head: Callable[[FrameType, str], None], *, with_dead: bool
    ) -> None:
        """below: the file of the function that calls operations; with_dead: whether variables count
        that are not read any more.
        """
        super().__init__(files)
        self._below, self._at_head, self._with_dead = below, at_head, with_dead
        self._turns: dict[int, dict[int, int]] = {}

    def __enter__(self) -> None:
        super().__enter__()
        self._turns.clear()
        self.begin()

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code is _STARTS_A_THREAD:
            raise BadProgram(
                "an operation starts a thread: it may touch nothing but shared words; processes are clients"
            )
        return super()._called(frame, event, argument)

    def _ran(self, frame: FrameType, event: str, argument: object) -> Any:
        super()._ran(frame, event, argument)
        if event == "return":
            self._turns.pop(id(frame), None)
        elif event == "line":
            loops = _loops_of(frame.f_code)
            line = frame.f_lineno
            if line in loops.within:
                turns = self._turns.setdefault(id(frame), {})
                for inner in loops.within[line]:
                    turns.pop(inner, None)
                if line not in loops.whiles:
                    turns[line] = turns.get(line, 0) + 1
                else:
                    where = f"line {line} of {frame.f_code.co_filename.rpartition('/')[2]}"
                    self._at_head(frame, where)
        return self._ran

    def key(self, innermost: FrameType) -> Key | None:
        """Return what the future depends on at the head of a loop; None if that cannot be told."""
        frame: FrameType | None = innermost
        parts: list[Hashable] = []
        is_innermost = True
        while frame is not None and frame.f_code.co_filename in self._files:
            loops = _loops_of(frame.f_code)
            if not is_innermost and _position(frame) not in loops.calls:
                return None
            turns = self._turns.get(id(frame), {})
            around = loops.whiles.get(frame.f_lineno, ()) if is_innermost else tuple(turns)
            try:
                locals_ = frozen(self._variables(frame, is_innermost))
            except (Unfrozen, RecursionError):
                return None
            parts.append((frame.f_code, frame.f_lasti, tuple(turns.get(line, 0) for line in around), locals_))
            frame, is_innermost = frame.f_back, False
        return tuple(parts) if frame is not None and frame.f_code.co_filename == self._below else None

    def _variables(self, frame: FrameType, is_innermost: bool) -> dict[str, Any]:
        """Return the local variables that the future depends on."""
        live = None if self._with_dead else live_before(frame.f_code)
        if live is None:
            return dict(frame.f_locals)
        # The innermost function is about to run its instruction; the others are within a call.
        following = frame.f_lasti if is_innermost else min(at for at in live if at > frame.f_lasti)
        return {name: value for name, value in frame.f_locals.items() if name in live[following]}


class Unfrozen(Exception):
    """A value whose state cannot be told."""


def frozen(value: Any) -> Hashable:
    """Return what is equal for equal states of a value.

    Raises:
        Unfrozen
    """
    if value is None or isinstance(value, int | str | bytes | float | complex | range):
        return (type(value), value)
    if isinstance(value, tuple | list):
        return (type(value), tuple(map(frozen, value)))
    if isinstance(value, set | frozenset):
        return (type(value), frozenset(map(frozen, value)))
    if isinstance(value, dict):
        return (dict, tuple((frozen(key), frozen(each)) for key, each in value.items()))
    if isinstance(value, type | FunctionType | ModuleType | CodeType):
        return (type, id(value))
    if isinstance(value, MethodType):
        return (MethodType, id(value.__func__), frozen(value.__self__))
    if hasattr(value, "__loop_state__"):
        return (type(value), frozen(value.__loop_state__()))
    if all(each is object or each.__flags__ & _OF_PYTHON for each in type(value).__mro__) and hasattr(
        value, "__dict__"
    ):
        return (type(value), frozen(vars(value)))
    raise Unfrozen(type(value).__name__)


def _position(frame: FrameType) -> tuple[int, int, int, int] | None:
    """Return where the call stands that a frame is in."""
    line, end_line, column, end_column = _positions(frame.f_code)[frame.f_lasti // 2]
    if line is None or end_line is None or column is None or end_column is None:
        return None
    return line, end_line, column, end_column


@cache
def _positions(code: CodeType) -> list[tuple[int | None, int | None, int | None, int | None]]:
    return list(code.co_positions())


@cache
def _loops_of(code: CodeType) -> _Loops:
    function = functions_in(code.co_filename).get(code.co_firstlineno)
    whiles: dict[int, tuple[int, ...]] = {}
    within: dict[int, frozenset[int]] = {}
    calls: set[tuple[int, int, int, int]] = set()

    def walked(body: list[ast.stmt], fors: tuple[int, ...], *, handles: bool) -> set[int]:
        """Note the loops of some statements; return the heads of the `for`s among them."""
        found: set[int] = set()
        for node in body:
            for call in _whole_calls(node):
                calls.add((call.lineno, call.end_lineno or 0, call.col_offset, call.end_col_offset or 0))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            is_for = isinstance(node, ast.For)
            inner: set[int] = set()
            for name in ("body", "orelse", "finalbody"):
                # What handles an exception keeps it on the stack.
                handling = handles or name == "finalbody"
                around = (*fors, node.lineno) if is_for and name == "body" else fors
                inner |= walked(getattr(node, name, []), around, handles=handling)
            for handler in getattr(node, "handlers", ()):
                inner |= walked(handler.body, fors, handles=True)
            for case in getattr(node, "cases", ()):
                inner |= walked(case.body, fors, handles=handles)
            if isinstance(node, ast.While | ast.For):
                within[node.lineno] = frozenset(inner)
            if isinstance(node, ast.While) and not handles:
                whiles[node.lineno] = fors
            found |= inner | ({node.lineno} if is_for else set())
        return found

    if function is not None:
        walked(function.body, (), handles=False)
    return _Loops(whiles, within, frozenset(calls))


def _whole_calls(node: ast.stmt) -> list[ast.Call]:
    """Return the calls of a statement with nothing below them on the stack: the whole of what it
    evaluates, or of what a `with` enters.
    """
    if isinstance(node, ast.Expr | ast.Assign | ast.AnnAssign | ast.Return):
        tried = [node.value]
    elif isinstance(node, ast.If | ast.While):
        tried = [node.test]
    elif isinstance(node, ast.With):
        tried = [item.context_expr for item in node.items]
    else:
        return []
    plain = [each.operand if isinstance(each, ast.UnaryOp) else each for each in tried]
    return [each for each in plain if isinstance(each, ast.Call)]
