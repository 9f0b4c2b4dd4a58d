"""Whether bytes can be one of our mutexes, so that the C library may be let near them.

Interface: `is_mutex(raw, robust)`. glibc looks at a mutex's kind first and believes it: with a
forged one (a mutex of another protocol, say) it ends the process with SIGABRT, or runs into SIGILL.
"""

from __future__ import annotations

import mmap
import sys
from functools import cache

from slotmem.memory import mutex
from slotmem.memory.layout import MUTEX_BYTES

_KIND = slice(16, 20)  # of glibc's pthread_mutex_t, on 64-bit systems
_ROBUST = 0x10  # PTHREAD_MUTEX_ROBUST_NORMAL_NP


def is_mutex(raw: bytes, robust: bool = True) -> bool:
    """Return whether the bytes of a mutex name the kind that ours have, or that kind without
    robustness. With a C library other than glibc nobody can tell, and they are taken for one.
    """
    if mutex.holder(raw, 0) is None:
        return True
    kind = int.from_bytes(raw[_KIND], sys.byteorder)
    return kind == (_kind() if robust else _kind() & ~_ROBUST)


@cache
def _kind() -> int:
    """Return the kind of our mutexes, as it stands in one made for the purpose."""
    with mmap.mmap(-1, MUTEX_BYTES) as memory:
        handle = mutex.at(memory, 0)
        mutex.initialize(handle)
        kind = int.from_bytes(memory[_KIND], sys.byteorder)
        del handle  # it would keep the memory
    return kind
