"""What an object in the shared memory folder says it is: read first, and mapped only if that holds.

Interface:

- `judge(fd, name)` reads the headers and returns a `Judged`.
- `Judged.check()` refuses a control block that cannot be used here.
- `Judged.map(fd, writable)` maps what was judged.

Nothing is read through the map: whoever truncates the object meanwhile would end us with a SIGBUS.
Clauses ATTACH-5, ATTACH-7.
"""

from __future__ import annotations

import mmap
import os
from typing import NamedTuple

from slotmem.environment import failure
from slotmem.memory import control
from slotmem.memory.layout import CONTROL_HEADER_BYTES, MUTEX_BYTES, SLOTS_START, Geometry
from slotmem.memory.mutex_kind import is_mutex
from slotmem.status import Forged, Truncated


class Judged(NamedTuple):
    """An object whose header agrees with itself and with the object's size."""

    name: str
    shape: Geometry
    ours: bool
    """Whether a control block of ours lies behind httpd's part."""
    size: int
    block: bytes
    """The control header and the mutexes, as far as the object has them."""

    def check(self, *, robust: bool = True) -> None:
        """Refuse a control block, or a mutex, that cannot be used here.

        The mutexes of a segment of ours are robust; a provider with another algorithm may have
        made them otherwise.

        Raises:
            Truncated
            Forged
            OtherBoot
            OtherNamespace
        """
        control.check_control(self.block, self.size, _moved(self.shape), self.name)
        for which in range(self.shape.mutexes):
            start = CONTROL_HEADER_BYTES + which * MUTEX_BYTES
            if not is_mutex(self.block[start : start + MUTEX_BYTES], robust):
                raise Forged(
                    f"mutex {which} of segment {self.name!r} is not a mutex of ours: somebody overwrote it; create the "
                    "segment again with replace=True"
                )

    def map(self, fd: int, writable: bool) -> mmap.mmap:
        """Map the object.

        Raises:
            Truncated: it has become shorter meanwhile.
            OutOfResources
        """
        length = self.shape.total if self.ours else self.shape.apr_length
        try:
            return mmap.mmap(fd, length, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        except ValueError as error:
            raise Truncated(
                f"segment {self.name!r} was cut short while it was being attached; create it again with replace=True"
            ) from error
        except OSError as error:
            raise failure(f"the {length} bytes of segment {self.name!r} cannot be mapped", error) from error


def judge(fd: int, name: str) -> Judged:
    """Read what an object says it is.

    Raises:
        Truncated
        Forged
    """
    head = os.pread(fd, SLOTS_START, 0)
    size = os.fstat(fd).st_size if len(head) == SLOTS_START else len(head)
    shape = control.read_geometry(head, size, name)
    block = os.pread(fd, shape.redo_start - shape.control_start, shape.control_start)
    return Judged(name, shape, control.is_ours(block, len(block), _moved(shape)), size, block)


def _moved(shape: Geometry) -> Geometry:
    return shape._replace(control_start=0)  # where it lies in the block
