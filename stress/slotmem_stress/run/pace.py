"""How long the rounds of a stress run are, and how many may wait for the judge.

Interface: `Pace.operations`, `Pace.seconds` and `MOST_LOST` bound a round. `Pace.waiting` says how
many rounds may be unjudged when the next begins. `Pace.note` learns how fast the judge is.

The first rounds are short, and each is judged before the next begins: frequent faults are then
found at once, and the workers do not compete with the judge for processors. Later rounds are as
long as the judge can manage in two seconds. Histories are harder to judge the more clients there
are and the more of them were paused, and much harder the more of them were killed: an operation
that a dead client may or may not have completed stays undetermined to the end of the round.
"""

from __future__ import annotations

from slotmem_stress.history.judging import Judged

MOST_LOST = 6
"""A round ends when this many clients have been killed in it."""
_SECONDS = 2.0
_FIRST_SECONDS = 0.4
_OPERATIONS = 200_000
_FEWEST = 20_000
_FIRST_OPERATIONS = 40_000
_FIRST_ROUNDS = 3
_JUDGE_S = 2.0
_LEAST_S = 0.1  # a shorter judgement says little about the judge's speed
_WAITING = 2


class Pace:
    """The bounds of the next round; rounds are numbered from 1."""

    def __init__(self) -> None:
        self._rate = float("inf")

    def note(self, judged: Judged) -> None:
        """Learn from a judgement how fast the judge is."""
        if judged.seconds >= _LEAST_S:
            self._rate = judged.operations / judged.seconds

    def operations(self, number: int) -> int:
        """Return how many operations a round may have."""
        most = _FIRST_OPERATIONS << (number - 1) if number <= _FIRST_ROUNDS else _OPERATIONS
        return int(max(_FEWEST, min(most, self._rate * _JUDGE_S)))

    def seconds(self, number: int) -> float:
        """Return how long a round may last."""
        return _FIRST_SECONDS if number <= _FIRST_ROUNDS else _SECONDS

    def waiting(self, number: int) -> int:
        """Return how many rounds may wait for the judge after this one."""
        return 0 if number <= _FIRST_ROUNDS else _WAITING
