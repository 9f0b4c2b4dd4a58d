"""What the benchmark compares: slotmem, and what people would use in Python instead.

Each rival is written as its users would write it, and does no more than the contract asks: it
copies whole slots only, checks no types, and counts the free slots where that is cheaper than
maintaining a counter.

`RIVALS` has them by name, ours first; `missing()` tells which cannot run here, and what would help.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import slotmem
from slotmem_stress.bench import databases, packages, standard
from slotmem_stress.bench.contract import Opener, Rival

OURS = "slotmem"


@contextmanager
def slotmem_setup(provider: str, folder: str, item_size: int, item_num: int) -> Iterator[Opener]:
    """Create a segment with a provider of slotmem's interface."""
    with slotmem.provider(provider, runtime_dir=folder) as created:
        name = f"bench-{item_size}"
        created.create(name, item_size, item_num, slotmem.Type.PREGRAB)
        yield partial(_attach, provider, folder, name)


def _attach(provider: str, folder: str, name: str) -> Any:
    return slotmem.provider(provider, runtime_dir=folder).attach(name)


RIVALS: dict[str, Rival] = {
    OURS: Rival(partial(slotmem_setup, "shm")),
    "shared_memory+Lock": Rival(partial(standard.shared_memory_setup, "Lock")),
    "lmdb": Rival(databases.lmdb_setup, ("lmdb", "not installed: pip install 'slotmem[bench]'")),
    "sqlite": Rival(databases.sqlite_setup, ("_sqlite3", "this Python was built without it")),
    "Manager().list": Rival(standard.manager_setup),
    "shared_memory+Semaphore": Rival(partial(standard.shared_memory_setup, "Semaphore"), timed=False),
    "shared_memory+posix_ipc": Rival(
        packages.posix_ipc_setup, ("posix_ipc", "not installed: pip install posix_ipc"), timed=False
    ),
    "UltraDict": Rival(
        packages.ultradict_setup, ("UltraDict", "not installed: pip install UltraDict atomics"), timed=False
    ),
    "SharedMemoryDict+Lock": Rival(
        packages.shared_memory_dict_setup,
        ("shared_memory_dict", "not installed: pip install shared-memory-dict"),
        timed=False,
    ),
    "httpd's module": Rival(partial(slotmem_setup, "httpd"), timed=False, lacks=("update", "compare_and_put")),
}

TIMED = [name for name, rival in RIVALS.items() if rival.timed]


def missing() -> dict[str, str]:
    """Return the rivals that cannot run here, with what would help."""
    return {
        name: rival.needs[1]
        for name, rival in RIVALS.items()
        if rival.needs and importlib.util.find_spec(rival.needs[0]) is None
    }
