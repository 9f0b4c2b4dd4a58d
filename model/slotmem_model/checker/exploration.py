"""What an exploration found: its numbers, which properties broke, and the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from slotmem_model.checker.properties import OUTSIDE, Seen
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED


@dataclass
class Exploration:
    """The result of an exploration. states and transitions are exact for what was explored."""

    engine: str
    states: int = 0
    transitions: int = 0
    depth: int = 0
    violations: dict[str, int] = field(default_factory=dict)
    """The number of states that break each property."""
    outside: set[str] = field(default_factory=set, repr=False)
    """What steps store that words do not have in the model, as their faults say."""
    seen: Seen = field(default_factory=Seen)
    complete: bool = True
    reason: str = ""
    """Why it is not complete."""
    seconds: float = 0.0
    taken: set[tuple[int, int, int, int]] = field(default_factory=set, repr=False)
    """The steps that were explored (process, local state, action, value found), if the model notes
    source lines.
    """

    @property
    def verdict(self) -> str:
        """The verdict: held, violated or undecided."""
        if any(name != OUTSIDE for name in self.violations):
            return VIOLATED
        return HELD if self.complete and not self.violations else UNDECIDED


class Progress(NamedTuple):
    """How far an exploration has come."""

    states: int
    transitions: int
    depth: int
    seconds: float


@dataclass
class Limits:
    """What an exploration may use; None means no limit."""

    seconds: float | None = None
    memory_bytes: int | None = None
    progress: Callable[[Progress], None] | None = None
    began: float = field(default_factory=time.monotonic)

    def left(self) -> float | None:
        """Return the seconds that are left, at least 0; None without a limit."""
        return None if self.seconds is None else max(0.0, self.seconds - (time.monotonic() - self.began))

    def spent(self, outcome: Exploration, memory_bytes: int) -> str:
        """Report the progress; return the reason to stop, or the empty string."""
        elapsed = time.monotonic() - self.began
        if self.progress:
            self.progress(Progress(outcome.states, outcome.transitions, outcome.depth, elapsed))
        if self.seconds is not None and elapsed > self.seconds:
            return f"the budget of {self.seconds:g} s is used up"
        if self.memory_bytes is not None and memory_bytes > self.memory_bytes:
            return f"the memory budget of {self.memory_bytes // 2**20} MiB is used up"
        return ""
