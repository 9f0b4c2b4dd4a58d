"""What killed servers left of other generations of a name.

Interface: `clear(names, runtime_dir)` removes it.

The name of an object is a hash, which hides the generation. The first half of it is linear: the
hash of a stem and an ending is stem * 33 ** len(ending) + ending. So what is left of the hash
without the stem tells the ending, and with it the generation, by a look into a table.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cache

from slotmem.memory.names import Names, resolve, times33
from slotmem.memory.segment import SHM_FOLDER, make_way
from slotmem.status import SlotmemError

_OBJECT = re.compile("ShM\\.[0-9a-f]{1,8}H[0-9a-f]{1,8}")
GENERATIONS = 4096  # a restart a day for eleven years


def clear(names: Names, runtime_dir: str) -> None:
    """Remove every dead segment of this name, whatever its generation.

    What is alive stays, and so does what cannot be judged or removed: the segment of `names` needs
    none of them.
    """
    if names.segment == names.name:  # an absolute name has no generations
        return
    stem = times33(os.fsencode(names.segment.rpartition("_")[0]) + b"_")
    for found in _objects() - {names.shm_object}:
        value = int(found[5:].partition("H")[0], 16)
        for length, generations in _endings().items():
            generation = generations.get((value - stem * 33**length) % 2**32)
            other = None if generation is None else resolve(names.name, runtime_dir, generation)
            if other is not None and other.shm_object == found:
                with suppress(SlotmemError, OSError):
                    make_way(other)


@cache
def _endings() -> dict[int, dict[int, int]]:
    """Return the generations by the length and the hash of what a segment's name ends with."""
    endings: dict[int, dict[int, int]] = {}
    for generation in range(GENERATIONS):
        ending = b"%x.shm" % generation
        endings.setdefault(len(ending), {})[times33(ending)] = generation
    return endings


def _objects() -> set[str]:
    """Return the names of the objects there are, of those that have APR's form."""
    with suppress(OSError):
        return {f"/{name}" for name in os.listdir(SHM_FOLDER) if _OBJECT.fullmatch(name)}
    return set()
