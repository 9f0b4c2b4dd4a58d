"""The judge's public face: `check(events, initial, step)`.

What it does is told in `slotmem_model.judge`.
"""

from slotmem_model.judge.events import Crash, Event, Invoke, MalformedHistory, Return
from slotmem_model.judge.linearizability import LINEARIZABLE, UNKNOWN, VIOLATION, Verdict, check

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
