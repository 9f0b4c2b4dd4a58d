"""What a judge may use: a time and an amount of memory.

Interface:

- `Budget(budget_s, memory_mb)` starts the clock; None means no bound.
- `spend()` is called once for each piece of work; it raises `Exhausted` when the time or the memory
  is used up.
- `Effort(budget_s)` is a budget of CPU time: what it allows does not depend on what else runs on
  the machine.

Memory means what this process's resident set has grown by since the budget was made. Both bounds
are checked only once in 128 calls, since checking costs more than most pieces of work.
"""

from __future__ import annotations

import os
import time

_BETWEEN_LOOKS = 128
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Exhausted(Exception):
    """The budget is used up; the message says which."""


def compute_resident_bytes() -> int:
    """Return the size of this process's resident set; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


class Budget:
    """A bound on seconds and mebibytes, counted from now on."""

    now_s = staticmethod(time.monotonic)

    def __init__(self, budget_s: float | None = None, memory_mb: float | None = None) -> None:
        self.budget_s = budget_s
        self.memory_mb = memory_mb
        self._start_s = self.now_s()
        self._start_bytes = 0 if memory_mb is None else compute_resident_bytes()
        self._calls = 0

    def spend(self) -> None:
        """Count one piece of work.

        Raises:
            Exhausted: when a bound is passed.
        """
        self._calls += 1
        if self._calls % _BETWEEN_LOOKS == 0:
            self.look()

    def look(self) -> None:
        """Check the bounds now, whatever the number of calls.

        Raises:
            Exhausted: when a bound is passed.
        """
        if self.budget_s is not None and self.now_s() - self._start_s > self.budget_s:
            raise Exhausted(f"the budget of {self.budget_s:g} s is used up")
        if self.memory_mb is not None and compute_resident_bytes() - self._start_bytes > self.memory_mb * 2**20:
            raise Exhausted(f"the budget of {self.memory_mb:g} MB of memory is used up")

    def remaining_s(self, at_most: float) -> float:
        """Return the seconds that are left, but no more than `at_most`."""
        if self.budget_s is None:
            return at_most
        return max(0.0, min(at_most, self.budget_s - (self.now_s() - self._start_s)))


class Effort(Budget):
    """A bound on the CPU time of this process."""

    now_s = staticmethod(time.process_time)
