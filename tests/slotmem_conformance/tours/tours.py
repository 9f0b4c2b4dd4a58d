"""Tours: the sequences that an implementation must answer as its machine does.

Interface: `derive(machine, extra)` gives sequences of inputs, each from the first state. A machine
over the same inputs that answers all of them rightly, and has at most `extra` states more than this
one, answers every sequence rightly: the two cannot be told apart (HSI method: Luo, Petrenko and
Bochmann 1994; with one word for all states it is Chow's W-method, 1978).

Each state is entered by its way; from there every sequence of up to `extra` + 1 inputs is tried,
and then the words that identify the state that it should have led to.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotmem_conformance.tours.identifiers import identify
from slotmem_conformance.tours.machine import Machine, Word


def derive(machine: Machine, extra: int = 0) -> list[Word]:
    """Return the tours, sorted; none is the beginning of another one.

    Raises:
        NotMinimal: if two states differ only in name.
    """
    words = identify(machine)
    found = {
        (*way, *tried, *word)
        for state, way in enumerate(machine.ways)
        for after, tried in _tries(machine, state, extra + 1)
        for word in words[after] or ((),)
    }
    ordered = sorted(found)
    return [each for each, following in zip(ordered, [*ordered[1:], ()], strict=True) if following[: len(each)] != each]


def _tries(machine: Machine, state: int, most: int) -> Iterator[tuple[int, Word]]:
    """Yield every sequence of up to `most` inputs, and where it leads."""
    yield state, ()
    if most:
        for each in machine.defined(state):
            for after, rest in _tries(machine, machine.following[state][each], most - 1):
                yield after, (each, *rest)
