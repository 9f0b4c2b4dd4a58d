"""The standard configurations: what `slotmem check` explores when it is not told anything.

Interface: `STANDARD` lists each configuration with the verdict that it must have. Each reaches
something that the others do not.
"""

from __future__ import annotations

from typing import NamedTuple

from slotmem_model.checker.model import Configuration
from slotmem_model.verdict import HELD, VIOLATED


class Standard(NamedTuple):
    """A configuration and its expected verdict."""

    configuration: Configuration
    expected: str = HELD


_MIXED = (
    "grab -> a; put(a, me); get(a); release(a)",
    "fgrab(0); put(0, me); release(0)",
    "num_free_slots; get(0); slots",
)

STANDARD = (
    Standard(Configuration(crashes=2)),
    Standard(Configuration(rounds=2, crashes=1)),
    # More processes than slots: grabs that find the table full.
    Standard(Configuration(processes=3, crashes=1)),
    Standard(Configuration(processes=3, slots=3)),
    Standard(Configuration(processes=2, slots=1, rounds=3, crashes=1)),
    # All slots' bytes under one mutex, and waits that are given up.
    Standard(Configuration(stripes=1, timeouts=True, crashes=1)),
    # All operations at once; fgrab and release by number, so nobody owns anything.
    Standard(Configuration(processes=3, clients=_MIXED, crashes=1)),
    # Without PREGRAB get and put mark slots, under the table's mutex.
    Standard(Configuration(pregrab=False, clients=("put(0, me); get(0); release(0)",), slot_bytes=1, crashes=1)),
    # Store buffers, as an x86 has them.
    Standard(Configuration(memory="tso", rounds=2)),
    Standard(Configuration(memory="tso", crashes=1)),
    # Apache's own algorithm takes no lock: the checker must find that.
    Standard(Configuration("httpd"), VIOLATED),
)
