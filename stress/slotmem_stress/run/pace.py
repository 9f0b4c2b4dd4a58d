"""How long the rounds of a stress run are, and how many may wait for the judge.

Interface: `Pace.operations(number)`, `Pace.seconds(number)` and `MOST_LOST` bound a round, `Pace.waiting(number)` says how many rounds may be
unjudged when the next one begins; `Pace.note(judged)` tells how fast the judge was.

The first rounds are short, and each is judged before the next begins: what goes wrong often is then known at once, and the workers
do not take the processors from the judge. Later ones are as long as the judge can do in a few seconds. Histories are harder
for it the more clients there are and the more of them stood still, and much harder the more of them were killed: each
operation that a dead client may have done, or not, stays with the judge to the end of the round.
"""

from __future__ import annotations

from slotmem_stress.history.judging import Judged

MOST_LOST = 6
"""A round ends when so many clients were killed in it."""
_SECONDS = 2.0
_FIRST_SECONDS = 0.4
_OPERATIONS = 200_000
_FEWEST = 20_000
_FIRST_OPERATIONS = 40_000
_FIRST_ROUNDS = 3
_JUDGE_S = 2.0
_LEAST_S = 0.1  # what is judged sooner says little of how fast the judge is
_WAITING = 2


class Pace:
    """What the next round may be."""

    def __init__(self) -> None:
        self._rate = float("inf")

    def note(self, judged: Judged) -> None:
        """Take note of how fast the judge was."""
        if judged.seconds >= _LEAST_S:
            self._rate = judged.operations / judged.seconds

    def operations(self, number: int) -> int:
        """Give how many operations a round may have; rounds are numbered from 1."""
        most = _FIRST_OPERATIONS << (number - 1) if number <= _FIRST_ROUNDS else _OPERATIONS
        return int(max(_FEWEST, min(most, self._rate * _JUDGE_S)))

    def seconds(self, number: int) -> float:
        """Give how long a round may be."""
        return _FIRST_SECONDS if number <= _FIRST_ROUNDS else _SECONDS

    def waiting(self, number: int) -> int:
        """Give how many rounds may wait for the judge after this one."""
        return 0 if number <= _FIRST_ROUNDS else _WAITING
