"""What a stress run is told to do: plain data, as JSON and back.

A run's settings are enough to do it again: the seed fixes every choice of every client and every fault. It does not fix how the
operating system lets the processes take turns.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

NAME = "stress"
"""The segment's name."""
THREADS_ONLY = ("plain", "httpd:plain")
"""The providers whose memory no other process can see."""
DEFAULT_MIX = {"grab": 1, "put": 3, "get": 3, "release": 1}
MIXABLE = ("grab", "fgrab", "put", "get", "release", "num_free_slots")


@dataclass(frozen=True)
class Plan:
    """How many faults a second, on average; 0 for none."""

    kills: float = 0.0
    pauses: float = 0.0
    restarts: float = 0.0
    attach_storm: bool = False
    pressure_mb: int = 0
    """How much memory a process takes and gives back, again and again."""


@dataclass(frozen=True)
class Settings:
    """What to do. A run ends after `seconds`, or after about `operations` if that is given."""

    provider: str = "shm"
    processes: int = 4
    threads: int = 1
    """Clients in each process."""
    seconds: float = 5.0
    operations: int | None = None
    slots: int = 8
    slot_bytes: int = 64
    mix: tuple[tuple[str, int], ...] = tuple(DEFAULT_MIX.items())
    seed: int = 0
    start: str = "spawn"
    plan: Plan = field(default_factory=Plan)
    budget_s: float | None = 60.0
    """For the judging of one segment of the run."""
    memory_mb: float | None = 1024.0
    timeout_s: float = 20.0
    """The longest wait for a lock."""

    def to_json(self) -> dict[str, Any]:
        """Give them as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Settings:
        """Read them back. Raises: TypeError: for what is none."""
        mix = tuple((str(name), int(weight)) for name, weight in given["mix"])
        return cls(**{**given, "plan": Plan(**given["plan"]), "mix": mix})
