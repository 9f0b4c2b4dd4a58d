"""The values of a program's words: the initial ones, and what reachable steps store.

Interface: `settled(ask)` asks again and again, each time with the values that the time before
turned out to need, until none is missing.

Which values a word can have is not declared, and cannot be told from the operations alone: one that
counts up would count for ever, though each process calls it twice. So a store of a value that is
not known yet ends a process with a fault, and only a fault that an exploration reaches makes the
value known (counterexample-guided refinement, Clarke, Grumberg, Jha, Lu and Veith, 2000, of the
domains of words alone).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any, NamedTuple, TypeVar

from slotmem_model.automata.kind import TooLarge
from slotmem_model.automata.recording import Tables

MOST_VALUES = 256
"""Values of one word."""
MOST_TURNS = 64
"""How often values are learned; a word that is counted up gets one at a time."""
MOST_PARTS = 1_000
"""Parts of one value: the members of tuples and the characters of texts, all the way down."""
_Answer = TypeVar("_Answer")


class _Stored(NamedTuple):
    """What a step stores that its word does not have in the model yet."""

    word: int
    name: str
    value: Hashable
    where: str


class Values:
    """What the words of a program can have so far, besides their initial values."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self.most = most
        self.known: dict[int, dict[Hashable, None]] = {}
        self.tables: Tables = {}
        """Graphs of operations, which are used again where the values that they depend on are the
        same.
        """
        self.possible: list[set[int]] = []
        """For each word, the indexes of the values that steps can leave in it, so far."""
        self._turns = 0
        self._missing: dict[str, dict[_Stored, None]] = {}

    def miss(self, fault: str, word: int, name: str, value: Hashable, where: str) -> None:
        """Note what a fault stands for.

        Raises:
            TooLarge: for a value of too many parts.
        """
        if _parts(value, MOST_PARTS) > MOST_PARTS:
            raise TooLarge(f"{name} gets a value of more than {MOST_PARTS:,} parts{where}; let it stop growing")
        self._missing.setdefault(fault, {}).setdefault(_Stored(word, name, value, where))

    def learn(self, faults: Collection[str]) -> bool:
        """Learn the values that these faults stand for; return whether there are any.

        Raises:
            TooLarge: if a word has too many.
        """
        self._turns += 1
        found = [stored for fault in sorted(faults) for stored in self._missing.get(fault, ())]
        for word, name, value, where in found:
            known = self.known.setdefault(word, {})
            known[value] = None
            if len(known) >= self.most or self._turns >= MOST_TURNS:
                raise TooLarge(
                    f"{name} gets more and more values, {len(known)} so far; the next is {value!r}{where}; "
                    "let it go round, or take fewer or shorter clients"
                )
        return bool(found)


def _parts(value: Hashable, most: int) -> int:
    """Return the number of parts of a value, or one more than `most` if there are more."""
    waiting, parts = [value], 0
    while waiting and parts <= most:
        parts += 1
        each = waiting.pop()
        if isinstance(each, (tuple, frozenset)):
            waiting += list(each)[: most + 1]
        elif isinstance(each, (str, bytes)):
            parts += len(each)
    return parts


def settled(ask: Callable[[Values], tuple[_Answer, Collection[Any]]], most: int = MOST_VALUES) -> _Answer:
    """Return the answer once no value is missing. ask: compiles and explores with these values, and
    returns its answer, and the faults that were reached.

    Raises:
        TooLarge
    """
    values = Values(most)
    while True:
        answer, faults = ask(values)
        if not values.learn(faults):
            return answer
