"""From the name of a slotmem to the names of its segment, its shared object and its persisted file.

Interface:

- `resolve(name, runtime_dir, generation)` returns a `Names`, or None for anonymous memory.
- `resolve_lock(name, runtime_dir)` returns those of a `slotmem.Lock`.
- `shm_object_name(segment)` is the POSIX shared memory object that APR would use for a segment
  name.

Nothing here looks at the file system. Clauses NAME-1 to NAME-8.

Source: httpd 2.4 (`slotmem_filenames`) and APR 1.7 as observed.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from slotmem.status import InvalidName, WrongType

ANONYMOUS = "none"
MAX_FILE_NAME_BYTES = 255 - len(".bad-99999")  # room for the names of files set aside


class Names(NamedTuple):
    """A slotmem's name, and the names that follow from it."""

    name: str
    segment: str
    """httpd's full name of the segment; no file appears there."""
    shm_object: str
    """The POSIX shared memory object, with its leading slash."""
    persisted: str
    """The path of the persisted file."""


def shm_object_name(segment: str) -> str:
    """Return the name of the POSIX shared memory object that APR derives from a segment name.

    It is two 32-bit hashes of the name's bytes, times-33 and Robert Sedgewick's, in hexadecimal.

    Source: APR 1.7, POSIX shm_open flavour (Debian's).
    """
    sedgewick, multiplier = 0, 63689
    for byte in os.fsencode(segment):
        signed = byte - 256 if byte > 127 else byte
        sedgewick = (sedgewick * multiplier + signed) & 0xFFFFFFFF
        multiplier = multiplier * 378551 & 0xFFFFFFFF
    return f"/ShM.{times33(os.fsencode(segment)):x}H{sedgewick:x}"


def times33(text: bytes) -> int:
    """Return the hash that is the first half of an object's name."""
    value = 0
    for byte in text:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


def resolve(name: str | None, runtime_dir: str, generation: int) -> Names | None:
    """Return the names that belong to a slotmem's name; None if the memory is anonymous.

    Raises:
        InvalidName: for a NUL byte, an absolute name that ends with a slash, or a relative one that
            climbs out of the runtime directory.
        WrongType
    """
    if name is None:
        return None
    if not isinstance(name, str):
        raise WrongType(f"a name must be a str or None, got {name!r}")
    if name == "" or name.lower() == ANONYMOUS:
        return None
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        raise InvalidName(
            f"the name {name!r} cannot be encoded as a file name on this system; use other characters"
        ) from None
    if "\0" in name:
        raise InvalidName(f"the name {name!r} contains a NUL byte; leave it out")
    if name.startswith("/"):
        if name.endswith("/"):
            raise InvalidName(f"the name {name!r} ends with a slash, so it names nothing; put a name behind it")
        segment, persisted = name, f"{name}.persist"
    else:
        if ".." in name.split("/"):
            raise InvalidName(
                f"the name {name!r} climbs out of the runtime directory {runtime_dir!r}; "
                "use a name without '..', or an absolute one"
            )
        segment = f"{runtime_dir}/slotmem-shm-{name}_{generation:x}.shm"
        persisted = f"{runtime_dir}/slotmem-shm-{name}.shm.persist"
    if len(os.fsencode(persisted.rsplit("/", 1)[1])) > MAX_FILE_NAME_BYTES:
        raise InvalidName(
            f"the name {name[:20]!r}... is too long: its file name may have {MAX_FILE_NAME_BYTES} bytes; shorten it"
        )
    return Names(name, segment, shm_object_name(segment), persisted)


def resolve_lock(name: str, runtime_dir: str) -> Names:
    """Return the names that belong to a lock's name; a lock has no generations, and nothing of it
    is stored.

    Raises:
        InvalidName: as for a segment, and for a name that means anonymous memory.
        WrongType
    """
    if resolve(name, runtime_dir, 0) is None:
        raise InvalidName(f"a lock needs a name by which other processes find it, got {name!r}; give it one")
    path = f"{name}.lock" if name.startswith("/") else f"{runtime_dir}/slotmem-lock-{name}.lock"
    return Names(name, path, shm_object_name(path), "")
