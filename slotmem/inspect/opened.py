"""The bytes of what is inspected: opened for reading, read with `pread`, nothing mapped.

So no lock is asked for, no flock is taken, and truncating the object meanwhile cannot kill us with
a SIGBUS.

- `open_bytes(found)` opens what was found; `Bytes.read` reads from it.
- `read_occupancy(data, shape)` tells which slots are in use, as a map of bounded size.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from slotmem.inspect.finding import Found
from slotmem.memory.descriptor import read_at
from slotmem.memory.layout import PAYLOAD_START, Geometry
from slotmem.memory.planted import refusal
from slotmem.status import AccessDenied, NoSegment

CELLS = 512  # of the map at most; with more slots, each cell stands for several
FIRST_USED = 10  # slots in use that are listed
MOST_COUNTED = 2**23  # in-use bytes: so that a look takes some hundredths of a second, whatever is shown


class Bytes(NamedTuple):
    """An open file; offsets in a persisted file are those of the segment it was stored from."""

    fd: int
    shift: int = 0

    def read(self, start: int, nbytes: int) -> bytes:
        """Return the bytes from start on: nbytes of them, or fewer where the file ends."""
        return read_at(self.fd, start - self.shift, nbytes)


@dataclass(frozen=True)
class Occupancy:
    """Which slots are in use, of the first `counted`."""

    counted: int
    used: int
    odd: int
    """The number of in-use bytes that are neither 0 nor 1."""
    slots_per_cell: int
    cells: str
    """One character a cell: `.` all free, `#` all in use, 1 to 9 for tenths in use, `?` for a byte
    that is neither.
    """
    first_used: list[int]
    checksum: int


@contextmanager
def open_bytes(found: Found) -> Iterator[Bytes]:
    """Open what was found, for reading.

    Raises:
        AccessDenied
        NoSegment
    """
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        fd = os.open(found.path, flags)
    except FileNotFoundError:
        raise NoSegment(f"{found.path} was there a moment ago and is gone; try again") from None
    except OSError as error:
        raise refusal(found.path, found.path, error) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise AccessDenied(f"{found.path} is not a plain file, so it is neither a segment nor a persisted file")
        yield Bytes(fd, 0 if found.is_segment else PAYLOAD_START)
    finally:
        os.close(fd)


def read_occupancy(data: Bytes, shape: Geometry) -> Occupancy:
    """Read the in-use bytes, one cell of the map after another; not more than MOST_COUNTED."""
    counted = min(shape.item_num, MOST_COUNTED)
    width = max(1, -(-counted // CELLS))
    used = odd = checksum = 0
    cells: list[str] = []
    first_used: list[int] = []
    for first in range(0, counted, width):
        part = data.read(shape.inuse_start + first, min(width, counted - first))
        checksum = zlib.crc32(part, checksum)
        here, strange = len(part) - part.count(0), len(part.translate(None, b"\0\1"))
        used, odd = used + here, odd + strange
        tenths = str(min(9, max(1, here * 10 // (len(part) or 1))))
        cells.append("?" if strange else "." if not here else "#" if here == len(part) else tenths)
        if here and len(first_used) < FIRST_USED:
            first_used += [first + at for at, byte in enumerate(part) if byte][: FIRST_USED - len(first_used)]
    return Occupancy(counted, used, odd, width, "".join(cells), first_used, checksum)
