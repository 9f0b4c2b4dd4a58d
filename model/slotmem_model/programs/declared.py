"""What a program declares: its shared words and locks, its operations, what must hold.

    class Counter:
        n = Words(1, initial=0)

        @operation
        def increment(self):
            value = self.n[0]
            self.n[0] = value + 1
            return value

- `Words(number, initial)` are shared words: `self.n[0]` loads one and `self.n[0] = value` stores
  one, each in one step; `compare_and_swap`, `fetch_add` and `swap` are single steps too. A word
  holds any value that can be hashed. `Words(PROCESSES)` has one for each process.
- `Lock()` is a mutex that stays locked for ever if its holder dies, `RobustLock()` one that tells.
- `Private(initial)` is a variable of each process, which no other sees: no step.
- `@operation` marks what processes call. A parameter named `me` is the number of the process,
  counted from 0.
- `@invariant`, `@final` and `@sometimes` mark methods over the words: what must hold in every
  state, what must hold when all processes are done, and what must happen in some state.
- `fence()` waits until everybody sees the stores so far; `choose(values)` and `blocked()` are for
  specifications: any of these values, and "this cannot happen now".

Outside the checker an instance is ordinary Python on words of its own, for one process alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

from slotmem_model.automata.accesses import (
    EBUSY,
    EDEADLK,
    ENOTRECOVERABLE,
    EOWNERDEAD,
    Access,
    Image,
    Stop,
    effect,
)
from slotmem_model.automata.kind import BadProgram
from slotmem_model.automata.shared_words import DEAD, FREE, HELD, LOST, Word

PROCESSES = -1
"""As a number of words: as many as there are processes."""
ROLE = "__slotmem_role__"
ROLES = ("operation", "invariant", "final", "sometimes")
_IMAGE = "_slotmem_image"
Method = TypeVar("Method", bound=Callable[..., Any])


def _marked(role: str) -> Callable[[Method], Method]:
    def mark(method: Method) -> Method:
        for is_unfit, what in (
            (inspect.isgeneratorfunction(method), "a generator"),
            (inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method), "a coroutine"),
        ):
            if is_unfit:
                line = method.__code__.co_firstlineno
                raise BadProgram(
                    f"{method.__qualname__} (line {line}) is {what}; expected a plain function: "
                    "its accesses to shared words are the places where others may come between"
                )
        setattr(method, ROLE, role)
        return method

    return mark


operation = _marked("operation")
invariant = _marked("invariant")
final = _marked("final")
sometimes = _marked("sometimes")


class Binding(NamedTuple):
    """Where what a class declares is found: indexes of words, by name, and the process's own
    variables.
    """

    words: dict[str, tuple[int, ...]]
    private: dict[str, Hashable]


_images: ContextVar[Image] = ContextVar("slotmem image of the operation that runs")


class Blocked(Stop):
    """What is asked cannot happen now."""


class AtOnce(Image):
    """An image of one process that nobody disturbs: each access is done at once, on a list of
    values.
    """

    def __init__(self, values: list[Any]) -> None:
        super().__init__(self._done)
        self.values = values

    def _done(self, access: Access, _held: tuple[int, ...]) -> Any:
        if access.word < 0:
            return None
        done = effect(access, self.values[access.word])
        if done is None:
            raise Blocked
        answer, self.values[access.word] = done
        return answer


def bound(algorithm: Any, image: Image, binding: Binding) -> Any:
    """Return an instance of a class whose words are those of an image."""
    instance = algorithm.__new__(algorithm)
    instance.__dict__[_IMAGE] = (image, binding)
    _images.set(image)
    instance.__init__()
    return instance


class _Declared:
    """What a class declares under a name."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def parts(self, instance: Any) -> tuple[Image, Binding]:
        """Return the image that an instance is on, and where it finds its words there."""
        if _IMAGE not in instance.__dict__:
            words, binding = laid_out(type(instance), processes=1)
            instance.__dict__[_IMAGE] = (AtOnce([word.initial for word in words]), binding)
        found: tuple[Image, Binding] = instance.__dict__[_IMAGE]
        return found

    def __set__(self, instance: Any, value: object) -> None:
        raise BadProgram(
            f"self.{self.name} is declared by the class and cannot be assigned; store to a word: self.{self.name}[0] = ..."
        )


class Words(_Declared):
    """Shared words: `Words(4, initial=0)`. initial: the first value of each, or a sequence with one
    for each.
    """

    def __init__(self, number: int = 1, initial: Hashable | Sequence[Hashable] = 0) -> None:
        if type(number) is not int or (number < 1 and number != PROCESSES):
            raise BadProgram(f"Words({number!r}): expected how many words, at least 1, or PROCESSES")
        if isinstance(initial, list) and len(initial) != number:
            raise BadProgram(f"Words({number}) got a list of {len(initial)} initial values; expected {number}")
        self.number, self.initial = number, initial

    def made(self, processes: int) -> tuple[Word, ...]:
        """Return the words, given how many processes there are."""
        number = processes if self.number == PROCESSES else self.number
        each = self.initial if isinstance(self.initial, list) else [self.initial] * number
        names = [self.name if number == 1 else f"{self.name}[{at}]" for at in range(number)]
        return tuple(Word(name, (value,), value, "any") for name, value in zip(names, each, strict=True))

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        image, binding = self.parts(instance)
        return SharedWords(image, binding.words[self.name], self.name)


class SharedWords:
    """Some shared words of a program that runs."""

    def __init__(self, image: Image, words: tuple[int, ...], name: str) -> None:
        self._image, self._words, self._name = image, words, name

    def _at(self, index: int) -> int:
        if type(index) is not int or not 0 <= index < len(self._words):
            raise IndexError(
                f"{self._name}[{index!r}]: there are {len(self._words)} words, 0 to {len(self._words) - 1}"
            )
        return self._words[index]

    def __getitem__(self, index: int) -> Any:
        return self._image.access("load", self._at(index))

    def __setitem__(self, index: int, value: Hashable) -> None:
        self._image.access("store", self._at(index), _hashable(value, f"{self._name}[{index}]"))

    def __len__(self) -> int:
        return len(self._words)

    def compare_and_swap(self, index: int, expected: Hashable, new: Hashable) -> bool:
        """Store a value if the word holds the expected one, in one step. Return whether it did."""
        new = _hashable(new, f"{self._name}[{index}]")
        return bool(self._image.access("cas", self._at(index), (expected, new)))

    def fetch_add(self, index: int, delta: int) -> int:
        """Add to a word and return what it held before, in one step."""
        value: int = self._image.access("plus", self._at(index), delta)
        return value

    def swap(self, index: int, new: Hashable) -> Any:
        """Store a value and return what the word held before, in one step."""
        return self._image.access("swap", self._at(index), _hashable(new, f"{self._name}[{index}]"))


def _hashable(value: Hashable, name: str) -> Hashable:
    try:
        hash(value)
    except TypeError:
        raise BadProgram(
            f"{name} gets {value!r}, which others could change and cannot be hashed; expected such as a number or a tuple"
        ) from None
    return value


class Lock(_Declared):
    """A mutex: `with self.lock:`, or `acquire`, `try_acquire` and `release`. It stays locked for
    ever if its holder dies.
    """

    robust = False

    def made(self, _processes: int) -> tuple[Word, ...]:
        """Return its word."""
        return (Word(self.name, (FREE, HELD, DEAD, LOST), FREE, "mutex"),)

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        image, binding = self.parts(instance)
        return SharedLock(image, binding.words[self.name][0], self.name)


class RobustLock(Lock):
    """A mutex that tells its next holder that the last one died: `with self.lock as died:`. Who is
    told must call `consistent` once all is repaired, or nobody can lock it again.
    """

    robust = True


class NotRecoverable(Exception):
    """A robust mutex was unlocked by a holder that knew of a death and did not repair anything."""


class SharedLock:
    """A mutex of a program that runs."""

    def __init__(self, image: Image, word: int, name: str) -> None:
        self._image, self._word, self._name = image, word, name

    def acquire(self) -> bool:
        """Wait for the mutex and take it. Return whether its last holder died.

        Raises:
            NotRecoverable
            RuntimeError: if this process holds it already.
        """
        return self._taken(self._image.lock(self._word))

    def try_acquire(self) -> bool:
        """Take the mutex if it is free, and return whether it was. (A death of its last holder is
        told by `acquire` alone: here it is taken for repaired.)
        """
        status = self._image.trylock(self._word)
        if status == EBUSY:
            return False
        if self._taken(status):
            self.consistent()
        return True

    def _taken(self, status: int) -> bool:
        if status == EDEADLK:
            raise RuntimeError(f"{self._name} is held by this process already: it would wait for itself for ever")
        if status == ENOTRECOVERABLE:
            raise NotRecoverable(f"{self._name} was unlocked after a death without consistent()")
        return status == EOWNERDEAD

    def consistent(self) -> None:
        """Say that what the mutex guards is repaired."""
        self._image.consistent(self._word)

    def release(self) -> None:
        """Unlock the mutex.

        Raises:
            RuntimeError: if this process does not hold it.
        """
        if self._image.unlock(self._word) and not self._image.stopped:
            raise RuntimeError(f"{self._name} is not held by this process, which cannot release it")

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Private(_Declared):
    """A variable of each process that no other sees: `self.mine = 3`."""

    def __init__(self, initial: Hashable = None) -> None:
        self.initial = initial

    def made(self, _processes: int) -> tuple[Word, ...]:
        """Return no word: it is not shared."""
        return ()

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else self.parts(instance)[1].private[self.name]

    def __set__(self, instance: Any, value: object) -> None:
        self.parts(instance)[1].private[self.name] = _hashable(value, self.name)


def laid_out(algorithm: type, processes: int) -> tuple[tuple[Word, ...], Binding]:
    """Return the words of a class, given how many processes there are, and where each name finds
    its own.
    """
    words: list[Word] = []
    binding = Binding({}, {})
    for name, value in declarations(algorithm).items():
        if isinstance(value, Private):
            binding.private[name] = value.initial
            continue
        made = value.made(processes)
        binding.words[name] = tuple(range(len(words), len(words) + len(made)))
        words += made
    return tuple(words), binding


def declarations(algorithm: type) -> dict[str, Any]:
    """Return the words, locks and private variables of a class and its bases, by name."""
    found: dict[str, Any] = {}
    for each in reversed(algorithm.__mro__):
        found |= {name: value for name, value in vars(each).items() if isinstance(value, Words | Lock | Private)}
    return found


def methods(algorithm: type, role: str) -> dict[str, Callable[..., Any]]:
    """Return the methods of a class that have a role, in the order in which they are written."""
    names = [name for each in reversed(algorithm.__mro__) for name in vars(each)]
    found = {name: getattr(algorithm, name) for name in dict.fromkeys(names)}
    return {name: method for name, method in found.items() if getattr(method, ROLE, "") == role}


def is_program(algorithm: Any) -> bool:
    """Return whether something is a class that declares operations."""
    return isinstance(algorithm, type) and bool(methods(algorithm, "operation"))


def fence() -> None:
    """Wait until every store of this process so far can be seen by the others."""
    _images.get().fence()


def blocked() -> None:
    """Say that what is asked cannot happen now: the operation takes effect later, or never."""
    raise Blocked


def choose(values: Sequence[Any]) -> Any:
    """Return any of these values: a specification allows all that follows from each."""
    script = _choices.get()
    if script is None:
        return values[0]
    return script.next(list(values))


class Choices:
    """All ways through a function that chooses: `for _ in choices:` runs once for each."""

    def __init__(self) -> None:
        self._path: list[tuple[int, int]] = []
        self._depth = 0

    def __iter__(self) -> Any:
        while True:
            self._depth = 0
            token = _choices.set(self)
            try:
                yield None
            finally:
                _choices.reset(token)
            while self._path and self._path[-1][0] + 1 == self._path[-1][1]:
                self._path.pop()
            if not self._path:
                return
            at, number = self._path.pop()
            self._path.append((at + 1, number))

    def next(self, values: list[Any]) -> Any:
        """Return the next choice on this way."""
        if not values:
            raise Blocked
        if self._depth == len(self._path):
            self._path.append((0, len(values)))
        self._depth += 1
        return values[self._path[self._depth - 1][0]]


_choices: ContextVar[Choices | None] = ContextVar("choices of a specification", default=None)
