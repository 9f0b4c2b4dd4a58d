"""The judge's public face: `check(events, initial, step)`. What it does is told in `slotmem_model.judge.search`."""

from slotmem_model.judge.search import (
    LINEARIZABLE,
    UNKNOWN,
    VIOLATION,
    Crash,
    Event,
    Invoke,
    MalformedHistory,
    Return,
    Verdict,
    check,
)

__all__ = [
    "LINEARIZABLE",
    "UNKNOWN",
    "VIOLATION",
    "Crash",
    "Event",
    "Invoke",
    "MalformedHistory",
    "Return",
    "Verdict",
    "check",
]
