"""A finite machine as a table: which answer an input gets in a state, and which state follows.

Interface: `tabulate(first, inputs, step)` walks the graph from its first state, breadth first, and
gives a `Machine`, in which states and inputs are numbers. `Machine.run` follows a sequence.

An input may be undefined in a state: nothing is required there. Machines are deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple, TypeVar

UNDEFINED = -1

State = TypeVar("State", bound=Hashable)
Input = TypeVar("Input")
Word = tuple[int, ...]
"""A sequence of inputs, by number."""


class Machine(NamedTuple):
    """The table: rows are states, the first is 0; columns are inputs."""

    following: tuple[tuple[int, ...], ...]
    """The state that follows; UNDEFINED where nothing is required."""
    answers: tuple[tuple[int, ...], ...]
    """The number of the answer."""
    ways: tuple[Word, ...]
    """For each state a shortest way to it from the first."""
    said: tuple[Hashable, ...]
    """The answers, by number."""

    @property
    def edges(self) -> int:
        """The number of pairs of a state and an input that is defined there."""
        return sum(after != UNDEFINED for row in self.following for after in row)

    def defined(self, state: int) -> list[int]:
        """Return the inputs that are defined in a state."""
        return [each for each, after in enumerate(self.following[state]) if after != UNDEFINED]

    def run(self, state: int, word: Iterable[int]) -> tuple[int, Word]:
        """Follow a word as far as it is defined; return the last state and the answers."""
        answers = []
        for each in word:
            if self.following[state][each] == UNDEFINED:
                break
            answers.append(self.answers[state][each])
            state = self.following[state][each]
        return state, tuple(answers)


def tabulate(
    first: State,
    inputs: Sequence[Input],
    step: Callable[[State, Input], tuple[State, Hashable] | None],
) -> Machine:
    """Walk the graph of a step function, which gives None where an input is undefined."""
    numbers, found, ways = {first: 0}, [first], [Word()]
    answer_numbers: dict[Hashable, int] = {}
    following, answers = [], []
    for state in found:  # grows as we go
        row, said = [], []
        for number, each in enumerate(inputs):
            stepped = step(state, each)
            if stepped is None:
                row.append(UNDEFINED)
                said.append(UNDEFINED)
                continue
            after, answer = stepped
            if after not in numbers:
                numbers[after] = len(found)
                ways.append((*ways[numbers[state]], number))
                found.append(after)
            row.append(numbers[after])
            said.append(answer_numbers.setdefault(answer, len(answer_numbers)))
        following.append(tuple(row))
        answers.append(tuple(said))
    return Machine(tuple(following), tuple(answers), tuple(ways), tuple(answer_numbers))
