"""The shortest loop from a state back to itself that has all that is needed.

Interface: `shortest_loop(...)`; a `Need` is met by a step or by a state of the loop.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Need(NamedTuple):
    """What a loop must have: one of these steps, or one of these states."""

    steps: NDArray[np.bool_]
    states: NDArray[np.bool_] | None = None


def shortest_loop(
    state: int,
    first: NDArray[np.int64],
    target: NDArray[np.int64],
    inside: NDArray[np.bool_],
    needs: tuple[Need, ...],
) -> list[tuple[int, int]]:
    """Return a loop as (state, step away from it), in order; there must be one. inside: the steps
    that it may have. A breadth-first search over states and the needs that are met so far.
    """

    def met_in(state: int) -> int:
        return sum(1 << bit for bit, need in enumerate(needs) if need.states is not None and bool(need.states[state]))

    goal = (state, (1 << len(needs)) - 1)
    begin = (state, met_in(state))
    came: dict[tuple[int, int], tuple[tuple[int, int], int]] = {}
    waiting = deque([begin])
    while waiting:
        at, met = here = waiting.popleft()
        for edge in range(int(first[at]), int(first[at + 1])):
            if not inside[edge]:
                continue
            to = int(target[edge])
            after = met | met_in(to) | sum(1 << bit for bit, need in enumerate(needs) if need.steps[edge])
            if (to, after) not in came:
                came[to, after] = (here, edge)
                if (to, after) == goal:
                    return _followed(came, begin, goal)
                waiting.append((to, after))
    raise AssertionError("there is no such loop")


def _followed(
    came: dict[tuple[int, int], tuple[tuple[int, int], int]], begin: tuple[int, int], goal: tuple[int, int]
) -> list[tuple[int, int]]:
    """Go back from the goal, at least one step."""
    found: list[tuple[int, int]] = []
    at = goal
    while not found or at != begin:
        at, edge = came[at]
        found.append((at[0], edge))
    return found[::-1]
