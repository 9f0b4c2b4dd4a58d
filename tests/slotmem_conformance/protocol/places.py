"""Where httpd and APR put a segment and its file: a second account, to judge implementations by.

Interface: `segment_name`, `object_path` and `persisted_path` of a slotmem's name, in a runtime
directory and generation; `remove_objects(created)` removes what killed servers could not.

Source: observed on httpd 2.4 and APR 1.7 (clauses NAME-4 to NAME-6).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SHM_FOLDER = Path("/dev/shm")
_GENERATIONS = 4  # how many restarts' objects are removed, beyond the generation begun with


def segment_name(name: str, folder: str, generation: int) -> str:
    """Return the full name of a segment; no file appears there."""
    return name if name.startswith("/") else f"{folder}/slotmem-shm-{name}_{generation:x}.shm"


def persisted_path(name: str, folder: str) -> Path:
    """Return the path of the persisted file."""
    return Path(f"{name}.persist" if name.startswith("/") else f"{folder}/slotmem-shm-{name}.shm.persist")


def object_path(name: str, folder: str, generation: int) -> Path:
    """Return the path of the shared object: two hashes of the segment's name, times-33 and
    Sedgewick's.
    """
    letters = os.fsencode(segment_name(name, folder, generation))
    times33, sedgewick, factor = 0, 0, 63689
    for letter in letters:
        times33 = times33 * 33 + letter
        sedgewick = sedgewick * factor + (letter if letter < 128 else letter - 256)
        factor = factor * 378551 % 2**32
    return SHM_FOLDER / f"ShM.{times33 % 2**32:x}H{sedgewick % 2**32:x}"


def remove_objects(created: Iterable[tuple[str, str, int]]) -> None:
    """Remove the shared objects that names have in a folder, in the generation given and those that
    restarts led to.
    """
    for name, folder, generation in created:
        for later in range(generation, generation + _GENERATIONS):
            with suppress(OSError, ValueError):
                object_path(name, folder, later).unlink(missing_ok=True)
