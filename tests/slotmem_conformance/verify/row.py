"""A part of `slotmem verify`: what was done, for how long, and whether it held.

Interface: `Row` is one line of the table; `timed(part, work, do)` does one part; `Shares` divides
the time among the parts; `verdict(rows)` sums up and `left_out(rows)` names what was not tried.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from slotmem_conformance.machines.driving import Difference, OutOfTime
from slotmem_conformance.reports.verdicts import SuiteReport
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED


@dataclass
class Row:
    """One line of the table."""

    part: str
    work: str
    seconds: float
    held: bool
    finding: str
    claimed: bool = True
    """Whether it decides the verdict."""
    tried: bool = True
    """Whether there was time for all of it."""
    judged: bool = True
    """Whether anything could be asked of the provider at all."""
    clauses: SuiteReport | None = None
    """What became of the cases, if it asked clauses."""


def verdict(rows: Sequence[Row]) -> str:
    """Sum up what is claimed: violated, held, or undecided where not all of it was tried, or
    nothing could be.
    """
    claimed = [row for row in rows if row.claimed]
    if not all(row.held for row in claimed):
        return VIOLATED
    return HELD if all(row.tried for row in claimed) and any(row.judged for row in claimed) else UNDECIDED


def left_out(rows: Sequence[Row]) -> list[str]:
    """Name the claimed parts that were cut short, or in which nothing could be asked."""
    return [row.part for row in rows if row.claimed and row.held and not (row.tried and row.judged)]


class Shares:
    """The time of a run, divided among its parts by weight; what a part leaves over goes to the
    rest.
    """

    def __init__(self, budget_s: float, weights: Mapping[str, float]) -> None:
        self._ends = time.monotonic() + budget_s
        self._weights = dict(weights)

    def take(self, part: str) -> float:
        """Return the seconds that a part may take, from now on."""
        left = max(0.0, self._ends - time.monotonic())
        total = sum(self._weights.values())
        return left * self._weights.pop(part) / total


def timed(part: str, work: str, do: Callable[[], None]) -> Row:
    """Do one part, saying on standard error that it has begun. OutOfTime from `do` cuts it
    short.
    """
    print(f"{part}: {work} ...", file=sys.stderr, flush=True)
    began, finding, tried = time.monotonic(), "", True
    try:
        do()
    except Difference as difference:
        finding = str(difference)
    except OutOfTime:
        tried = False
    return Row(part, work, round(time.monotonic() - began, 2), not finding, finding, tried=tried)
