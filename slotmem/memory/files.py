"""Persisted files, httpd's format: the payload, its MD5, the descriptor.

Interface:

- `encode(shape, payload)` returns the bytes of a file; `decode(shape, data)` returns the payload,
  or says what is wrong.
- `store(path, data)` replaces a file: a crash leaves the old one or the new one, whole and on disk.
- `load(path)` reads one; `stamp(path)` changes when the file does; `set_aside(path)` moves a bad
  one to a name of its own, so that nothing is ever lost.
- `cleared(shape, payload)` is the payload with every slot free (CLEARINUSE).

Clauses BYTES-2, STORE-3 to STORE-5, RESTORE-2 to RESTORE-4. httpd accepts a file that ends early
and ignores what stands behind the end; here anything but an exact match is bad.
"""

from __future__ import annotations

import os
import struct
import sys
from contextlib import suppress

from slotmem.memory.control import describe
from slotmem.memory.layout import (
    DESCRIPTOR_BYTES,
    DIGEST_BYTES,
    PAYLOAD_PREFIX_BYTES,
    PAYLOAD_START,
    Geometry,
    persisted_bytes,
)
from slotmem.memory.planted import check_plain, refusal
from slotmem.status import AccessDenied, Mismatch, NoSegment, NoSpace

if sys.platform != "win32":
    import fcntl

_MODE = 0o600
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


def encode(shape: Geometry, payload: bytes) -> bytes:
    """Return the bytes of the persisted file."""
    return payload + _digest(payload) + describe(shape)


def decode(shape: Geometry, data: bytes) -> bytes:
    """Return the payload of a persisted file, its free counter made exact.

    httpd's own counter drifts without PREGRAB, so it is not trusted.

    Raises:
        Mismatch: says what is wrong.
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
    """Return the payload with every slot free."""
    return _counted(payload[: shape.inuse_start - PAYLOAD_START] + bytes(shape.item_num), shape.item_num)


def load(path: str) -> bytes | None:
    """Read a persisted file; None if there is none.

    Raises:
        Planted
        OtherUser
        AccessDenied
    """
    what = f"the persisted file {path}"
    try:
        fd = os.open(path, os.O_RDONLY | _NOFOLLOW | _CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal(what, path, error) from error
    try:
        check_plain(what, os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    with open(fd, "rb") as file:
        return file.read()


def stamp(path: str) -> tuple[int, ...] | None:
    """Return a value that changes whenever the file is stored; None if there is no file."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return None
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def check_folder(path: str) -> None:
    """Check that the folder of a persisted file exists, before anything depends on it.

    Raises:
        NoSegment
    """
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise NoSegment(f"the folder {folder} of the persisted file {path} does not exist; make it first")


def store(path: str, data: bytes) -> None:
    """Replace the file by one with these bytes, and return when both it and its name are on disk.

    Raises:
        NoSpace
        Planted, OtherUser, AccessDenied: for what stands at PATH.new.
    """
    fresh = f"{path}.new"
    fd = _open_fresh(fresh)
    try:
        os.ftruncate(fd, 0)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
        os.rename(fresh, path)
    except BaseException as error:
        with suppress(OSError):
            if os.path.samestat(os.fstat(fd), os.lstat(fresh)):
                os.unlink(fresh)
        if isinstance(error, IsADirectoryError):
            raise refusal(f"the persisted file {path}", path, error) from error
        if isinstance(error, OSError):
            raise NoSpace(
                f"{path} could not be stored ({error.strerror}); the old file, if any, is untouched"
            ) from error
        raise
    finally:
        os.close(fd)
    try:
        _sync_folder(path)
    except OSError as error:
        raise NoSpace(f"{path} was stored, but its name may not be on disk yet ({error.strerror})") from error


def set_aside(path: str) -> str:
    """Rename a bad file to `PATH.bad-1`, or the next such name that is free; return the new path.

    Raises:
        AccessDenied
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
            _sync_folder(path)
            return aside
    except OSError as error:
        raise AccessDenied(
            f"the persisted file {path} is bad, and cannot be kept under another name ({error.strerror}); check the "
            "folder's permissions, or move the file away"
        ) from error


def _open_fresh(fresh: str) -> int:
    """Open and lock the file that will replace the old one.

    Its name is fixed, so that crashes leave one such file at most. If it was renamed or removed
    before we got the lock, we try again.
    """
    while True:
        try:
            fd = os.open(fresh, os.O_RDWR | os.O_CREAT | _NOFOLLOW | _CLOEXEC | getattr(os, "O_NONBLOCK", 0), _MODE)
        except OSError as error:
            raise refusal(f"the file {fresh}", fresh, error) from error
        try:
            check_plain(f"the file {fresh}", os.fstat(fd), alone=True)
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
    import hashlib  # it takes 3 ms to import, and not every program stores

    return hashlib.md5(payload, usedforsecurity=False).digest()


def _counted(payload: bytes, free: int) -> bytes:
    return struct.pack("=II", free, 0) + payload[PAYLOAD_PREFIX_BYTES:]
