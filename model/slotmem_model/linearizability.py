"""The judge's public face: `check(events, initial, step)`.

`slotmem_model.judge` explains what it does.
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
