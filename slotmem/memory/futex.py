"""Sleep until a word of shared memory changes, and wake those who do: Linux's futex.

Interface: `wait(address, value, timeout_s)`, `wake(address)`. The word is 32 bits; waiting ends at
once if it does not have the value, and may end for no reason at all.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from typing import Any

_NUMBERS = {"x86_64": 202, "ppc64le": 221, "s390x": 238}
_NUMBER = 98  # everywhere else that Linux runs on 64 bits: aarch64, riscv64, loongarch64
_WAIT, _WAKE = 0, 1
_ALL = 2**31 - 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def wait(address: int, value: int, timeout_s: float) -> None:
    """Sleep while the word has the value, until somebody wakes it, a signal comes, or the time is
    up.
    """
    until = _Timespec(int(timeout_s), int(timeout_s % 1 * 1e9))
    _call(address, _WAIT, value, ctypes.byref(until))


def wake(address: int) -> None:
    """Wake everybody who sleeps at the word."""
    _call(address, _WAKE, _ALL, None)


def _call(address: int, what: int, value: int, until: Any) -> None:
    _syscall()(
        ctypes.c_long(_NUMBERS.get(platform.machine(), _NUMBER)), ctypes.c_void_p(address), what, value, until, None, 0
    )


@cache
def _syscall() -> Any:
    return ctypes.CDLL(None).syscall  # releases the GIL
