"""A user's class as the checker sees it: words whose values are found, and operations to run.

Interface: `ProgramKind(algorithm, processes, values)` is a `slotmem_model.automata.kind.Kind`.

The values of a word are not declared; `slotmem_model.programs.values` finds them.

What a process keeps between two operations are its private variables and the mutexes it holds.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Hashable
from contextlib import redirect_stdout
from traceback import extract_tb
from types import FrameType
from typing import Any, NamedTuple

from slotmem_model.automata.accesses import Image, Raised
from slotmem_model.automata.client import Statement
from slotmem_model.automata.kind import ENDED_BY_EXCEPTION, Answer, BadProgram, Ended, Leaf, NotAFunction, TooLarge
from slotmem_model.automata.shared_words import Word
from slotmem_model.automata.source_lines import files_of
from slotmem_model.programs import clients, outside
from slotmem_model.programs.declared import AtOnce, Binding, RobustLock, bound, declarations, laid_out, methods
from slotmem_model.programs.values import Values
from slotmem_model.spec import SUCCESS, Operation, Result


class Kept(NamedTuple):
    """What a process keeps: its private variables, and the mutexes it holds, each with whether what
    it guards is consistent.
    """

    private: tuple[Hashable, ...]
    held: tuple[tuple[int, bool], ...] = ()


class Memory(NamedTuple):
    """A state of the class itself between two operations: the values of its words, and what each
    process keeps.
    """

    values: tuple[Any, ...]
    kept: tuple[Kept, ...]


class ProgramImage(Image):
    """What an operation of a program sees of shared memory. robust: the words of mutexes that tell
    of a death.
    """

    def __init__(self, answer: Answer, robust: frozenset[int]) -> None:
        super().__init__(answer)
        self.robust_words = robust

    def _hold_words(self) -> None:
        self._held_words = tuple(sorted(self._held.keys() & self.robust_words))


class ProgramKind:
    """See the header."""

    below = __file__

    def __init__(self, algorithm: type, processes: int, values: Values) -> None:
        self.algorithm, self.values = algorithm, values
        words, self.binding = laid_out(algorithm, processes)
        self._words = tuple(
            word._replace(values=tuple({**dict.fromkeys(word.values), **values.known.get(at, {})}))
            for at, word in enumerate(words)
        )
        self.files = files_of(algorithm)
        self.first = Kept(tuple(self.binding.private.values()))
        robust = [name for name, each in declarations(algorithm).items() if isinstance(each, RobustLock)]
        self.robust = frozenset(self.binding.words[name][0] for name in robust)
        self._roles = {role: methods(algorithm, role) for role in ("invariant", "final", "sometimes")}

    @property
    def words(self) -> tuple[Word, ...]:
        """The words, with the values found so far."""
        return self._words

    # -- running operations ------------------------------------------------------------------------

    def image(self, answer: Answer) -> ProgramImage:
        """Return an image whose accesses are answered so."""
        return ProgramImage(answer, self.robust)

    def run(self, algorithm: Callable[[Any], Any], image: Any, call: Operation) -> Leaf:
        """Do an operation on a new instance, which has what its process kept."""
        name, *arguments, kept = call
        binding = Binding(self.binding.words, dict(zip(self.binding.private, kept.private, strict=True)))
        image.hold(kept.held)
        try:
            with outside.refused(self.files, self.below, self.shown(call)), redirect_stdout(sys.stderr):
                value = getattr(bound(algorithm, image, binding), name)(*arguments)
        except (NotAFunction, TooLarge):
            raise
        except RecursionError as error:
            raise NotAFunction(
                f"{self.shown(call)} calls itself without end{line_of(error, self.files)}; an operation may take "
                f"{sys.getrecursionlimit():,} calls inside one another"
            ) from None
        except BadProgram as error:
            raise BadProgram(f"{error}{line_of(error, self.files)}") from None
        except Raised:
            return ENDED_BY_EXCEPTION
        except (Exception, SystemExit) as error:
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            return Leaf(None, f"raised {said}{line_of(error, self.files)}")
        return Leaf(Result(SUCCESS, answer_of(value, name)), "", Kept(tuple(binding.private.values()), image.held()))

    def shown(self, call: Operation) -> str:
        """Show what is run as a call."""
        return clients.shown(call[:-1])

    def endless(self, operation: Operation, accesses: int) -> str:
        """Say what to do about a loop that is not understood."""
        return (
            f"{self.shown(operation)} has made {accesses:,} accesses, and goes on{_at(self.files)}; a plain `while` in a "
            "method, that comes back with the same local variables, is understood, and so is a `for` over a few things"
        )

    def miss(self, fault: str, word: int, value: Hashable) -> None:
        """Note the store of a value that a word does not have yet."""
        self.values.miss(fault, word, self._words[word].name, value, _at(self.files))

    # -- what processes do and keep ----------------------------------------------------------------

    def bind(self, statement: Statement, registers: dict[str, Any], process: int) -> Operation | None:
        """Return the operation that a statement stands for; None if its register is not set."""
        return clients.bind(statement, registers, process)

    def call(self, operation: Operation, kept: Kept, process: int) -> Operation:
        """Return the operation with what its process keeps."""
        del process
        return (*operation, kept)

    def told(self, state: Any) -> str:
        """Show a state of the specification: words, or what the user's object has in it."""
        if not isinstance(state, Memory):
            return str(state)
        given = zip(self._words, state.values, strict=True)
        return ", ".join(f"{word.name} = {word.said(value)}" for word, value in given)

    def begun(self, operation: Operation, kept: Kept) -> Kept:
        """Return what is kept once an operation has begun: the same."""
        del operation
        return kept

    def ended(self, operation: Operation, leaf: Leaf, kept: Kept) -> Ended:
        """Return what an operation's end means."""
        del operation, kept
        assert leaf.result is not None
        return Ended(leaf.kept, leaf.result.value)

    def holds(self, kept: Kept) -> int:
        """Return no slot."""
        del kept
        return 0

    def held(self, kept: Kept) -> tuple[int, ...]:
        """Return the robust mutexes that a process holds between two operations."""
        return tuple(word for word, _ in kept.held if word in self.robust)

    # -- what must hold ----------------------------------------------------------------------------

    def has(self, role: str) -> tuple[str, ...]:
        """Return the names of the methods of a role."""
        return tuple(self._roles[role])

    def failing(self, role: str, words: tuple[int, ...]) -> str:
        """Return the first method of a role that does not hold of these words (value indexes), with
        what it says; empty if all do.
        """
        for name in self._roles[role]:
            try:
                if not self._asked(name, words):
                    return f"{name} does not hold"
            except AssertionError as error:
                return f"{name} does not hold{f' ({error})' if str(error) else ''}"
            except Exception as error:
                return f"{name} raised {type(error).__name__}: {error}".rstrip(": ")
        return ""

    def met(self, words: tuple[int, ...]) -> set[str]:
        """Return the `sometimes` methods that hold of these words."""
        return {name for name in self._roles["sometimes"] if self._asked(name, words)}

    def _asked(self, name: str, words: tuple[int, ...]) -> bool:
        """Return what a method says of these words; one that returns nothing has asserted."""
        values = [word.values[index] for word, index in zip(self._words, words, strict=True)]
        binding = Binding(self.binding.words, dict(self.binding.private))
        said = getattr(bound(self.algorithm, AtOnce(values), binding), name)()
        return said is None or bool(said)


def answer_of(value: Any, name: str) -> Hashable:
    """Return what an operation returned as something that can be compared and hashed.

    Raises:
        NotAFunction
    """
    if isinstance(value, list):
        value = tuple(value)
    try:
        hash(value)
    except TypeError:
        raise NotAFunction(
            f"{name} returned {value!r}, which cannot be hashed; expected such as a number, a text or a tuple"
        ) from None
    found: Hashable = value
    return found


def _at(files: frozenset[str]) -> str:
    """Return the place in these files where it runs now, in words; empty if it is not there."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename not in files:
        frame = frame.f_back
    if frame is None:
        return ""
    return _place(frame.f_code.co_filename, frame.f_lineno)


def line_of(error: BaseException, files: frozenset[str]) -> str:
    """Return the place in these files where an error was raised, in words."""
    frames = [each for each in extract_tb(error.__traceback__) if each.filename in files]
    return _place(frames[-1].filename, frames[-1].lineno or 0) if frames else ""


def _place(file: str, line: int) -> str:
    return f", in line {line} of {file.rpartition('/')[2]} ({linecache.getline(file, line).strip()})"
