"""What a stress run is told to do: plain data, to JSON and back.

The settings are all it takes to repeat a run: the seed fixes every choice of every client and every
fault. What it cannot fix is how the operating system schedules the processes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

NAME = "stress"
"""The name of the segment."""
THREADS_ONLY = ("plain", "httpd:plain")
"""Providers whose memory no other process can see."""
DEFAULT_MIX = {"grab": 1, "put": 3, "get": 3, "release": 1}
MIXABLE = ("grab", "fgrab", "put", "get", "release", "num_free_slots")


@dataclass(frozen=True)
class Plan:
    """Which faults strike: kills, pauses and restarts per second on average, 0 for none."""

    kills: float = 0.0
    pauses: float = 0.0
    restarts: float = 0.0
    attach_storm: bool = False
    pressure_mb: int = 0
    """How much memory one more process allocates and frees, again and again."""


@dataclass(frozen=True)
class Settings:
    """A run of `seconds`, or of about `operations` if that is given."""

    provider: str = "shm"
    processes: int = 4
    threads: int = 1
    """Clients in each process."""
    seconds: float = 5.0
    operations: int | None = None
    slots: int = 8
    slot_bytes: int = 64
    pregrab: bool = True
    """Whether get and put need a slot that is in use; without, they mark it."""
    mix: tuple[tuple[str, int], ...] = tuple(DEFAULT_MIX.items())
    seed: int = 0
    start: str = "spawn"
    plan: Plan = field(default_factory=Plan)
    budget_s: float | None = 60.0
    """What the judge may use for one round."""
    memory_mb: float | None = 1024.0
    timeout_s: float = 20.0
    """The longest wait for a lock."""

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Settings:
        """Return the settings that `to_json` made the data from.

        Raises:
            KeyError, TypeError, ValueError: if they are not that.
        """
        mix = tuple((str(name), int(weight)) for name, weight in given["mix"])
        return cls(**{**given, "plan": Plan(**given["plan"]), "mix": mix})
