"""Persisted files, httpd's format: the payload, its MD5, the descriptor.

Interface:

- `encode(shape, payload)` yields the bytes of a file; `decode(shape, size, read)` yields the
  payload, or says what is wrong. Both go part by part: a payload may be larger than what memory
  is left beside its segment.
- `cleared(shape, payload)` is the payload with every slot free (CLEARINUSE).
- `load(path, ...)` opens one; `stamp(path)` changes when the file does; `set_aside(path)` moves a
  bad one to a name of its own, so that nothing is ever lost. `slotmem.memory.storing` writes them.

Clauses BYTES-2, RESTORE-2 to RESTORE-4. httpd accepts a file that ends early and ignores what
stands behind the end; here anything but an exact match is bad.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from io import FileIO

from slotmem.environment import failure
from slotmem.memory.control import describe
from slotmem.memory.descriptor import opened
from slotmem.memory.layout import (
    DESCRIPTOR_BYTES,
    DIGEST_BYTES,
    PAYLOAD_PREFIX_BYTES,
    PAYLOAD_START,
    Geometry,
    persisted_bytes,
)
from slotmem.memory.planted import check_plain, refusal
from slotmem.memory.storing import sync_folder
from slotmem.status import AccessDenied, Mismatch

Part = bytes | memoryview
_PART_BYTES = 2**20


def encode(shape: Geometry, payload: Iterable[Part]) -> Iterator[Part]:
    """Yield the bytes of the persisted file."""
    digest = _digest()
    for part in payload:
        digest.update(part)
        yield part
    yield digest.digest() + describe(shape)


def decode(shape: Geometry, size: int, read: Callable[[int, int], bytes]) -> Iterator[Part]:
    """Yield the payload of a persisted file of `size` bytes, its free counter made exact;
    `read(start, nbytes)` reads from it. Nothing is right before the end.

    httpd's own counter drifts without PREGRAB, so it is not trusted.

    Raises:
        Mismatch: says what is wrong.
    """
    expected = persisted_bytes(shape.item_size, shape.item_num)
    if size != expected:
        raise Mismatch(f"it has {size} bytes, expected {expected}")
    end = size - DIGEST_BYTES - DESCRIPTOR_BYTES
    described = read(end + DIGEST_BYTES, DESCRIPTOR_BYTES)
    if described != describe(shape):
        raise Mismatch(
            f"it was stored with other flags or another shape (descriptor {described.hex()}, "
            f"expected {describe(shape).hex()})"
        )
    inuse_start = shape.inuse_start - PAYLOAD_START
    inuse = [(part.count(0), part.count(1), len(part)) for part in _read_parts(read, inuse_start, end)]
    free = sum(zeros for zeros, _, _ in inuse)
    prefix = read(0, PAYLOAD_PREFIX_BYTES)
    digest = _digest()
    digest.update(prefix)
    yield _prefix(free)
    for part in _read_parts(read, PAYLOAD_PREFIX_BYTES, end):
        digest.update(part)
        yield part
    if read(end, DIGEST_BYTES) != digest.digest():
        raise Mismatch("its MD5 does not match its bytes")
    if any(zeros + ones != nbytes for zeros, ones, nbytes in inuse):
        raise Mismatch("it has in-use bytes that are neither 0 nor 1")


def cleared(shape: Geometry, payload: Iterable[Part]) -> Iterator[Part]:
    """Yield the payload with every slot free."""
    yield _prefix(shape.item_num)
    start, slots_end = 0, shape.inuse_start - PAYLOAD_START
    for part in payload:
        yield part[max(0, PAYLOAD_PREFIX_BYTES - start) : max(0, slots_end - start)]
        start += len(part)
    for start in range(0, shape.item_num, _PART_BYTES):
        yield bytes(min(_PART_BYTES, shape.item_num - start))


def load(path: str) -> FileIO | None:
    """Open a persisted file; None if there is none.

    Raises:
        Planted
        OtherUser
        AccessDenied
    """
    what = f"the persisted file {path}"
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            raise IsADirectoryError
        file = opened(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal(what, path, error) from error
    try:
        check_plain(what, os.fstat(file.fileno()))
    except BaseException:
        file.close()
        raise
    return file


def stamp(path: str) -> tuple[int, ...] | None:
    """Return a value that changes whenever the file is stored; None if there is no file."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return None
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def set_aside(path: str) -> str:
    """Rename a bad file to `PATH.bad-1`, or the next such name that is free; return the new path.

    Raises:
        SlotmemError
    """
    number = 1
    try:
        while True:
            aside = f"{path}.bad-{number}"
            try:
                os.link(path, aside, follow_symlinks=False)
            except FileExistsError:
                if not os.path.samestat(os.lstat(path), os.lstat(aside)):  # a crash may have come after the link
                    number += 1
                    continue
            os.unlink(path)
            sync_folder(path)
            return aside
    except OSError as error:
        raise failure(
            f"the persisted file {path} is bad, and cannot be kept under another name",
            error,
            AccessDenied,
            or_else="move the file away",
        ) from error


def _read_parts(read: Callable[[int, int], bytes], start: int, end: int) -> Iterator[bytes]:
    return (read(at, min(_PART_BYTES, end - at)) for at in range(start, end, _PART_BYTES))


def _prefix(free: int) -> bytes:
    return struct.pack("=II", free, 0)


def _digest() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)
