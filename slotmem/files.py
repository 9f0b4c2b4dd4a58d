"""Persisted files, httpd's format: the payload, its MD5, the descriptor.

Interface:

- `encode(shape, payload)` gives the bytes of a file; `decode(shape, data)` gives the payload back or says what is wrong.
- `store(path, data)` replaces a file: a crash leaves the old one or the new one, whole and on disk.
- `load(path)` reads one; `set_aside(path)` moves a bad one to a name of its own, so that nothing is ever lost.
- `cleared(shape, payload)` is the payload with every slot free (CLEARINUSE).

Clauses BYTES-2, STORE-3 to STORE-5, RESTORE-2 to RESTORE-4. httpd accepts a file that ends early and ignores what stands behind the end; here anything but an exact match is bad.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import sys
from contextlib import suppress

from slotmem.control import describe
from slotmem.layout import (
    DESCRIPTOR_BYTES,
    DIGEST_BYTES,
    PAYLOAD_PREFIX_BYTES,
    PAYLOAD_START,
    Geometry,
    persisted_bytes,
)
from slotmem.status import AccessDenied, Mismatch, NoSegment, NoSpace

if sys.platform != "win32":
    import fcntl

_MODE = 0o600
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


def encode(shape: Geometry, payload: bytes) -> bytes:
    """Give the bytes of the persisted file."""
    return payload + _digest(payload) + describe(shape)


def decode(shape: Geometry, data: bytes) -> bytes:
    """Give the payload of a persisted file, its free counter made exact.

    httpd's own counter drifts without PREGRAB, so that it is not trusted. Raises: Mismatch: says what is wrong.
    """
    expected = persisted_bytes(shape.item_size, shape.item_num)
    if len(data) != expected:
        raise Mismatch(f"it has {len(data)} bytes, expected {expected}")
    payload, rest = data[: -DIGEST_BYTES - DESCRIPTOR_BYTES], data[-DIGEST_BYTES - DESCRIPTOR_BYTES :]
    if rest[:DIGEST_BYTES] != _digest(payload):
        raise Mismatch("its MD5 does not match its bytes")
    if rest[DIGEST_BYTES:] != describe(shape):
        raise Mismatch(
            f"it was stored with other flags or another shape (descriptor {rest[DIGEST_BYTES:].hex()}, "
            f"expected {describe(shape).hex()})"
        )
    inuse = payload[shape.inuse_start - PAYLOAD_START :]
    if inuse.translate(None, b"\0\1"):
        raise Mismatch("it has in-use bytes that are neither 0 nor 1")
    return _counted(payload, inuse.count(0))


def cleared(shape: Geometry, payload: bytes) -> bytes:
    """Give the payload with every slot free."""
    return _counted(payload[: shape.inuse_start - PAYLOAD_START] + bytes(shape.item_num), shape.item_num)


def load(path: str) -> bytes | None:
    """Read a persisted file; None if there is none. Raises: AccessDenied: for a symlink or anything not a plain file."""
    try:
        fd = os.open(path, os.O_RDONLY | _NOFOLLOW | _CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AccessDenied(
            f"the persisted file {path} cannot be opened ({error.strerror}); if it is a symlink, somebody planted it: "
            "remove it"
        ) from error
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise AccessDenied(f"the persisted file {path} is not a plain file; remove it")
        return file.read()


def check_folder(path: str) -> None:
    """See that the folder of a persisted file is there, before anything depends on it. Raises: NoSegment."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise NoSegment(f"the folder {folder} of the persisted file {path} does not exist; make it first")


def store(path: str, data: bytes) -> None:
    """Replace the file by one with these bytes, and return when both it and its name are on disk. Raises: NoSpace."""
    fresh = f"{path}.new"
    fd = _open_fresh(fresh)
    try:
        os.ftruncate(fd, 0)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
        os.rename(fresh, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(fresh)
        raise NoSpace(f"{path} could not be stored ({error.strerror}); the old file, if any, is untouched") from error
    finally:
        os.close(fd)
    _sync_folder(path)


def set_aside(path: str) -> str:
    """Give a bad file a name of its own, `PATH.bad-1` or the next that is free, and return it."""
    number = 1
    while True:
        aside = f"{path}.bad-{number}"
        try:
            os.link(path, aside, follow_symlinks=False)
        except FileExistsError:
            number += 1
            continue
        os.unlink(path)
        _sync_folder(path)
        return aside


def _open_fresh(fresh: str) -> int:
    """Open the file that is to become the new one, alone.

    Its name is fixed, so that crashes leave one such file at most. Whoever gets the lock on a file that meanwhile was
    renamed or removed tries again.
    """
    while True:
        try:
            fd = os.open(fresh, os.O_RDWR | os.O_CREAT | _NOFOLLOW | _CLOEXEC, _MODE)
        except OSError as error:
            raise AccessDenied(f"{fresh} cannot be written ({error.strerror}); see to the folder's rights") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(fd), os.lstat(fresh)):
                os.fchmod(fd, _MODE)
                return fd
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _sync_folder(path: str) -> None:
    fd = os.open(os.path.dirname(path), os.O_RDONLY | _CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _digest(payload: bytes) -> bytes:
    return hashlib.md5(payload, usedforsecurity=False).digest()


def _counted(payload: bytes, free: int) -> bytes:
    return struct.pack("=II", free, 0) + payload[PAYLOAD_PREFIX_BYTES:]
