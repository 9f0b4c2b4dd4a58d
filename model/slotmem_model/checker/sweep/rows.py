"""Sets of packed states as arrays: telling equal rows apart without sorting them.

Interface:

- A set is a list of equally long uint64 arrays, one for each column; row i of all of them is one
  state.
- `distinct(rows)` drops repeated rows. `Remembered` remembers rows over many calls (for models with
  cycles).

Rows are hashed into a table that is written and read back as a whole: of all rows that fall into
one place the last one written wins; those equal to the winner are repetitions; the few that are not
try again with another hash. So the result is exact, whatever the hash does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = list[NDArray[np.uint64]]
_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5)


def _hash(rows: Rows, salt: int, bits: int) -> NDArray[np.int64]:
    mixed = rows[0] + np.uint64(salt * 0x2545F4914F6CDD1D % 2**64)
    mixed *= np.uint64(_MULTIPLIERS[0])
    mixed ^= mixed >> np.uint64(32)
    for column, multiplier in zip(rows[1:], _MULTIPLIERS[1:], strict=False):
        mixed ^= column
        mixed *= np.uint64(multiplier)
        mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(_MULTIPLIERS[0])
    return (mixed >> np.uint64(64 - bits)).view(np.int64)


def distinct(rows: Rows) -> Rows:
    """Drop repeated rows. What remains is in no particular order."""
    kept: list[Rows] = []
    salt = 0
    while len(rows[0]):
        number = len(rows[0])
        place = _hash(rows, salt, max(4, (2 * number).bit_length()))
        table = np.empty(1 << max(4, (2 * number).bit_length()), np.int32)
        table[place] = np.arange(number, dtype=np.int32)
        winner = table[place]
        wins = winner == np.arange(number, dtype=np.int32)
        kept.append([column[wins] for column in rows])
        lost = np.flatnonzero(~wins)
        if not len(lost):
            break
        against = winner[lost]
        other = np.zeros(len(lost), np.bool_)
        for column in rows:
            other |= column[lost] != column[against]
        again = lost[other]
        rows = [column[again] for column in rows]
        salt += 1
    return [np.concatenate(columns) for columns in zip(*kept, strict=True)] if kept else rows


def taken(rows: Rows, where: NDArray[np.int64]) -> Rows:
    """Return the rows at these positions."""
    return [column[where] for column in rows]


def concatenated(parts: list[Rows]) -> Rows:
    """Return the rows of all parts."""
    return parts[0] if len(parts) == 1 else [np.concatenate(columns) for columns in zip(*parts, strict=True)]


class Remembered:
    """All rows ever added, for models with cycles: sorted runs of growing length, merged as they
    are filled.
    """

    def __init__(self) -> None:
        self._runs: list[Rows] = []

    def add(self, rows: Rows) -> Rows:
        """Remember rows (each once), and return those that are new."""
        for run in self._runs:
            if not len(rows[0]):
                return rows
            rows = taken(rows, np.flatnonzero(~_within(rows, run)))
        if len(rows[0]):
            self._runs.append(taken(rows, np.lexsort(rows)))
            while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
                merged = concatenated([self._runs.pop(), self._runs.pop()])
                self._runs.append(taken(merged, np.lexsort(merged)))
        return rows

    def memory_bytes(self) -> int:
        """Return the size of what is remembered."""
        return sum(column.nbytes for run in self._runs for column in run)


def _within(rows: Rows, run: Rows) -> NDArray[np.bool_]:
    """Return which rows are in a sorted run: binary search by the last column, then among equals by
    the one before.
    """
    low = np.zeros(len(rows[0]), np.int64)
    high = np.full(len(rows[0]), len(run[0]), np.int64)
    for column, sorted_column in zip(reversed(rows), reversed(run), strict=True):
        low, high = _bounds(column, sorted_column, low, high)
    return low < high


def _bounds(
    values: NDArray[np.uint64], column: NDArray[np.uint64], low: NDArray[np.int64], high: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Narrow each row's part [low, high) of a column, which ascends there, to the cells that equal
    its value.
    """
    found = []
    for right in (False, True):
        first, last = low.copy(), high.copy()
        while (open_ := first < last).any():
            middle = (first + last) // 2
            cell = column[np.minimum(middle, len(column) - 1)]
            after = cell <= values if right else cell < values
            first = np.where(open_ & after, middle + 1, first)
            last = np.where(open_ & ~after, middle, last)
        found.append(first)
    return found[0], found[1]
