"""Words that tell the states of a machine apart.

Interface: `identify(machine)` gives for each state the words whose answers tell it from every other
one. They are *harmonised*: for any two states a word of both, as far as it goes in each, gets
different answers.

A word grows by the input that tells apart most of the pairs that nothing has told apart yet,
without leading two of them to one state. Where no input does, the shortest word that tells some
pair apart is appended. So one or two words do for most machines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import combinations

from slotmem_conformance.tours.machine import UNDEFINED, Machine, Word

Pair = tuple[int, int]


class NotMinimal(ValueError):
    """Two states of a machine that no word tells apart."""


def identify(machine: Machine) -> tuple[tuple[Word, ...], ...]:
    """Return for each state the words that identify it.

    Raises:
        NotMinimal
    """
    left = set(combinations(range(len(machine.ways)), 2))
    words: list[list[Word]] = [[] for _ in machine.ways]
    while left:
        word = _grow(machine, left)
        told = {pair for pair in left if _tells(machine, word, pair)}
        for state in {state for pair in told for state in pair}:
            words[state].append(word[: len(machine.run(state, word)[1])])
        left -= told
    return tuple(tuple(each) for each in words)


def shortest(machine: Machine, pair: Pair) -> Word:
    """Return a shortest word that tells two states apart.

    Raises:
        NotMinimal
    """
    waiting: deque[tuple[Pair, Word]] = deque([(pair, ())])
    seen = {pair}
    while waiting:
        (one, other), word = waiting.popleft()
        for each in machine.defined(one):
            following = machine.following[one][each], machine.following[other][each]
            if following[1] == UNDEFINED:
                continue
            if machine.answers[one][each] != machine.answers[other][each]:
                return (*word, each)
            if following[0] != following[1] and following not in seen:
                seen.add(following)
                waiting.append((following, (*word, each)))
    raise NotMinimal(f"no word tells the states {pair[0]} and {pair[1]} apart")


def _tells(machine: Machine, word: Word, pair: Pair) -> bool:
    one, other = (machine.run(state, word)[1] for state in pair)
    return any(answers[0] != answers[1] for answers in zip(one, other, strict=False))


def _grow(machine: Machine, left: Iterable[Pair]) -> Word:
    """Return a word that tells at least one of the pairs apart, and as many as it can."""
    word: Word = ()
    alive = dict.fromkeys(left, 1)  # where the pairs not yet told apart have got to, and how many they are
    while alive:
        best = max(range(len(machine.following[0])), key=lambda each: _gain(machine, alive, each))
        if _gain(machine, alive, best) > 0:
            more: Word = (best,)
        elif word:
            return word  # another word tells the rest apart
        else:
            more = shortest(machine, next(iter(sorted(alive))))
        for each in more:
            alive = _follow(machine, alive, each)
        word += more
    return word


def _gain(machine: Machine, alive: dict[Pair, int], each: int) -> int:
    """Return how many pairs an input tells apart; none if it leads a pair to one state, or to where
    it is undefined.
    """
    gain = 0
    for (one, other), count in alive.items():
        after = machine.following[one][each], machine.following[other][each]
        if UNDEFINED in after:
            gain -= count
        elif machine.answers[one][each] != machine.answers[other][each]:
            gain += count
        elif after[0] == after[1]:
            gain -= count
    return gain


def _follow(machine: Machine, alive: dict[Pair, int], each: int) -> dict[Pair, int]:
    """Return where an input leads the pairs that it neither tells apart nor loses."""
    found: dict[Pair, int] = {}
    for (one, other), count in alive.items():
        after = machine.following[one][each], machine.following[other][each]
        same = machine.answers[one][each] == machine.answers[other][each]
        if UNDEFINED not in after and same and after[0] != after[1]:
            found[after] = found.get(after, 0) + count
    return found
