"""A part of `slotmem verify`: what was done, for how long, and whether it held.

Interface: `Row` is one line of the table; `timed(part, work, do)` does one part; `verdict(rows)`
sums up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slotmem_conformance.machines.driving import Difference
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


def timed(part: str, work: str, do: Callable[[], None]) -> Row:
    """Do one part, telling on standard error that it began."""
    print(f"{part}: {work} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    try:
        do()
        finding = ""
    except Difference as difference:
        finding = str(difference)
    return Row(part, work, round(time.monotonic() - began, 2), not finding, finding)
