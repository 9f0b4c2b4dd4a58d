"""Accesses to shared memory: what each does to its word, and an image that asks for each.

Interface:

- `Image(place, answer)` has the plain accesses and the mutexes of every simulated image. Each
  access calls `answer(access, held)`, which may raise `Stop`.
- `effect(access, value)` says what an access does to its word: the semantics of loads, stores,
  locked operations and robust mutexes, in one place.

Only the holder of a mutex knows that it holds it: to lock one that this process holds already is
refused (EDEADLK), and so is to unlock one that it does not hold (EPERM); neither is a step. Nor is
`consistent`: nobody else can see it before the unlock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from slotmem_model.automata.shared_words import DEAD, FREE, HELD, LOST

EPERM, EBUSY, EDEADLK, EOWNERDEAD, ENOTRECOVERABLE = 1, 16, 35, 130, 131


class Access(NamedTuple):
    """One access. kind: load, store, trylock, lock, revive, timeout, unlock, cas, add (modulo
    2^32), plus, swap, await; drain (a buffered store reaches memory).

    Kinds that touch no shared word: begin, fence, buffer (a store into the store buffer), reread
    and reawait (a load or an await from it). An exception is raised before an access; it has a word
    if it must wait for that.
    """

    kind: str
    word: int = -1
    argument: Any = None
    raises: bool = False
    """Whether an exception is raised as the call returns, so that nobody gets its answer."""

    @property
    def touches(self) -> bool:
        """Whether it touches its word in shared memory."""
        return self.word >= 0 and self.kind not in ("buffer", "reread", "reawait")

    @property
    def is_call(self) -> bool:
        """Whether it is a call, as it returns from which CPython serves signals."""
        return self.kind in ("trylock", "lock", "unlock")


def effect(access: Access, value: int) -> tuple[Any, int] | None:
    """Return what an access answers and what it leaves in the word, or None if it has to wait.

    A word is given and left as a value, not as an index.
    """
    match access.kind:
        case "store":
            return None, access.argument
        case "trylock" | "lock":
            if value == HELD:
                return (EBUSY, HELD) if access.kind == "trylock" else None
            return {FREE: (0, HELD), DEAD: (EOWNERDEAD, HELD), LOST: (ENOTRECOVERABLE, LOST)}[value]
        case "revive":
            return {FREE: (0, HELD), HELD: None, DEAD: (EOWNERDEAD, HELD), LOST: (0, HELD)}[value]
        case "unlock":
            return 0, access.argument
        case "cas":
            expected, new = access.argument
            return (True, new) if value == expected else (False, value)
        case "await":
            return (value, value) if value in access.argument else None
        case "plus":
            return value, value + access.argument
        case "swap":
            return value, access.argument
        case "add":
            return value, (value + access.argument) % 2**32
    return value, value


class Raised(BaseException):
    """What a signal handler or a trace function raises, at any access. It ends the operation,
    unless the algorithm catches it.
    """


class AsItReturns(NamedTuple):
    """The answer to a call that nobody gets: an exception is raised as it returns."""

    answer: Any


class Stop(BaseException):
    """Ends the operation; `except Exception` does not catch it."""


class TimedOut(Exception):
    """A wait took too long."""

    class status:  # noqa: N801 - an algorithm's exceptions carry `.status.name`
        """The status as the specification spells it."""

        name = "APR_TIMEUP"


class Cell(NamedTuple):
    """A word, named for an atomic operation."""

    word: int


class Image:
    """An image whose every access is answered by `answer(access, held)`."""

    def __init__(self, answer: Callable[[Access, tuple[int, ...]], Any], *, robust: bool = True) -> None:
        self._answer = answer
        self._stopped = self._raises = False
        self._robust = robust
        self._held: dict[int, bool] = {}
        """Mutexes held, and whether what they guard is consistent."""
        self._held_words: tuple[int, ...] = ()

    def access(self, kind: str, word: int = -1, argument: Any = None) -> Any:
        """Let the script answer.

        After a stop nothing happens, although the operation's `finally` blocks still run.
        """
        if self._stopped:
            return 0
        try:
            # Only those that a death changes: a plain mutex stays as it is.
            answer = self._answer(Access(kind, word, argument), self._held_words if self._robust else ())
        except Stop:
            self._stopped = True
            raise
        if isinstance(answer, AsItReturns):
            self._raises = True
            return answer.answer
        return answer

    @property
    def stopped(self) -> bool:
        """Whether the operation has been stopped: what its `finally` blocks ask for is nothing."""
        return self._stopped

    def halt(self) -> None:
        """Let nothing happen any more."""
        self._stopped = True

    def __loop_state__(self) -> tuple[tuple[int, bool], ...]:
        """Return what the next accesses depend on besides shared memory."""
        return self.held()

    # -- plain accesses ----------------------------------------------------------------------------

    def load(self, word: int) -> int:
        """Read a word."""
        value: int = self.access("load", word)
        return value

    def store(self, word: int, value: int) -> None:
        """Write a word."""
        self.access("store", word, value)

    def compare_and_swap(self, cell: Cell, expected: int, new: int) -> bool:
        """Write a word if it holds the expected value, all in one step.

        Return whether it did.
        """
        return bool(self.access("cas", cell.word, (expected, new)))

    def fetch_add(self, cell: Cell, delta: int) -> int:
        """Add to a word (modulo 2^32) and return what it held before, all in one step."""
        value: int = self.access("add", cell.word, delta)
        return value

    def fence(self) -> None:
        """Wait until every store of this process so far can be seen by the others."""
        self.access("fence")

    def wait_for(self, cell: Cell, *values: int) -> int:
        """Wait until a word holds one of these values, and return it, all in one step."""
        value: int = self.access("await", cell.word, values)
        return value

    def retry(self) -> None:
        """Start the operation again: what it has read so far is forgotten."""
        self.access("retry")

    # -- robust, error-checking mutexes ------------------------------------------------------------

    def trylock(self, mutex: int) -> int:
        """Take a mutex if it is free, and return the errno."""
        if mutex in self._held:
            return EDEADLK
        return self._taken(mutex, self.access("trylock", mutex))

    def lock(self, mutex: int) -> int:
        """Wait for a mutex, and return the errno."""
        if mutex in self._held:
            return EDEADLK
        return self._taken(mutex, self.access("lock", mutex))

    def unlock(self, mutex: int) -> int:
        """Unlock a mutex, and return the errno; one that is not held is refused."""
        if self._stopped or mutex not in self._held:
            return EPERM
        self.access("unlock", mutex, FREE if self._held[mutex] else LOST)
        del self._held[mutex]
        self._hold_words()
        return self._returned(0)

    def consistent(self, mutex: int) -> int:
        """Declare that what a mutex guards is repaired.

        Nobody else sees that before the unlock, so it is no step.
        """
        if mutex in self._held:
            self._held[mutex] = True
        return 0

    def revive(self, mutex: int) -> int:
        """Make a mutex usable again that is lost, and wait for it if somebody else came first.

        Return the errno.
        """
        return self._taken(mutex, self.access("revive", mutex))

    def hold(self, held: tuple[tuple[int, bool], ...]) -> None:
        """Begin with these mutexes held, each with whether what it guards is consistent."""
        self._held = dict(held)
        self._hold_words()

    def held(self) -> tuple[tuple[int, bool], ...]:
        """Return the mutexes held, as for `hold`."""
        return tuple(sorted(self._held.items()))

    def _hold_words(self) -> None:
        """Note which words a death changes."""
        self._held_words = tuple(sorted(self._held))

    def _taken(self, mutex: int, status: int) -> int:
        if status in (0, EOWNERDEAD) and not self._stopped:
            self._held[mutex] = status == 0
            self._hold_words()
        return self._returned(status)

    def _returned(self, status: int) -> int:
        """Return from a call, or raise instead."""
        if self._raises:
            self._raises = False
            raise Raised
        return status
