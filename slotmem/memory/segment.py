"""Segments as shared objects: published complete, opened with suspicion, judged alive or dead.

Interface:

- `publish(names, shape, contents, ...)` makes a segment and links it into place complete; a dead
  one of that name is replaced.
- `open_segment(names, ...)` opens what stands at a name and reads its shape.
- `make_way(names)` removes one that nobody has open.
- `anonymous(shape)` makes a segment without a name.
- A `Segment` is the mapping, which carries the shared `flock` that tells others that it is alive.

A segment is built in a file without a name (O_TMPFILE), so that a crash before the end leaves
nothing, and `linkat` puts it into place, so that a name is absent or complete at every instant and
one of two creators wins. Each object carries two kernel locks, which vanish when their holder dies:

- its *flock* says that it is alive: everybody who uses it holds it shared. A creator who gets it
  exclusively knows that a crash left the segment behind. The maker of a segment holds it
  exclusively until all is confirmed.
- its *record lock* is the right to unlink it: between the look at what stands at the name and the
  unlink nobody else can replace it, since that would need an unlink too.

Both belong to the open file, which forked children share, so they are released explicitly.
Clauses CREATE-5 to CREATE-10, ATTACH-3, ATTACH-6.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import NamedTuple, Protocol

from slotmem.environment import failure
from slotmem.memory import control
from slotmem.memory.descriptor import opened, patiently
from slotmem.memory.judged import judge
from slotmem.memory.layout import Geometry
from slotmem.memory.names import Names
from slotmem.memory.planted import check_plain, refusal
from slotmem.status import (
    Mismatch,
    NoSegment,
    NoSharedMemory,
    NoSpace,
    Planted,
    SegmentExists,
    Unsupported,
)

if sys.platform != "win32":
    import fcntl

SHM_FOLDER = "/dev/shm"  # where Linux keeps POSIX shared memory objects
_MODE = 0o600
_TRIES = 2000  # a millisecond each: how long another creator may take to replace a dead segment
_OPEN = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class Segment(NamedTuple):
    """A mapped segment. CPython's mmap keeps a duplicate of the descriptor, and with it the flock
    that shows that we are alive, for as long as any view of the memory is referenced.
    """

    memory: mmap.mmap
    shape: Geometry
    names: Names | None
    ours: bool
    """Whether a control block of ours lies behind httpd's part."""
    info: os.stat_result

    def unlink(self, timeout_s: float | None = None) -> None:
        """Remove the segment's name, if the name is still this segment's.

        timeout_s: how long to wait for another process that is removing it; None waits for ever.

        Raises:
            LockTimeout
            NoSharedMemory: the folder of objects is another one than when it was made.
            SlotmemError
        """
        if self.names is None:
            return
        if _is_at(self.info, self.names):
            with suppress(Planted), _opened(self.names) as fd:
                if fd is not None and os.path.samestat(self.info, os.fstat(fd)):
                    _unlink(fd, self.names, timeout_s)
        elif not os.path.isdir(SHM_FOLDER) or os.stat(SHM_FOLDER).st_dev != self.info.st_dev:
            raise NoSharedMemory(
                f"the object {object_path(self.names)} of segment {self.names.name!r} cannot be removed: {SHM_FOLDER} is "
                "not the folder where it was made (after chroot, or in another mount namespace?); remove it there"
            )


class Contents(Protocol):
    """What a segment is filled with, and whether that is still right once the name is ours."""

    def fill(self, memory: mmap.mmap) -> None: ...

    def confirm(self) -> bool: ...


def object_path(names: Names) -> str:
    """Return the path of the shared object under the shm folder."""
    return SHM_FOLDER + names.shm_object


def publish(
    names: Names,
    shape: Geometry,
    contents: Contents,
    *,
    begun: list[Segment],
    replace: bool = False,
    keep: bool = False,
) -> Segment:
    """Make a segment, let `contents` complete its bytes, and link it into place.

    keep: leave what stands there already, dead or alive, and refuse.

    It is put into `begun` before it has its name: whatever happens on the way to the caller's
    caller, somebody knows what to unlink.

    Raises:
        SegmentExists
        AccessDenied
        NoSpace
    """
    path = object_path(names)
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(0.001)
        if not keep and not make_way(names, replace=replace):
            continue
        with _nameless(names, shape) as fd:
            segment = _build(fd, names, shape, contents)
            begun[:] = [segment]
            try:
                _link(fd, path)
                if contents.confirm():
                    fcntl.flock(fd, fcntl.LOCK_SH)  # not in one step: another creator may come in between
                    if _is_at(os.fstat(fd), names):
                        return segment
            except FileExistsError as error:
                if keep:
                    raise SegmentExists(f"segment {names.name!r} exists (object {path}); attach it") from error
                continue
            except BaseException:
                segment.unlink()
                raise
            segment.unlink()
    raise _busy(names)


def anonymous(shape: Geometry, contents: Contents) -> Segment:
    """Make a segment that has no name: forked children share it, nobody can attach it.

    Raises:
        NoSpace
    """
    with _nameless(None, shape) as fd:
        segment = _build(fd, None, shape, contents)
        contents.confirm()
        return segment


def open_segment(names: Names, *, writable: bool, robust: bool) -> Segment:
    """Open, check and map the segment of a name; one without a control block is mapped read-only
    unless writable.

    Raises:
        NoSegment
        AccessDenied
        Truncated
        Forged
        OtherBoot
        OtherNamespace
    """
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(0.001)
        with _opened(names) as fd:
            if fd is None:
                raise NoSegment(
                    f"there is no segment {names.name!r} (object {object_path(names)}, for {names.segment}); "
                    "create it first, in the same runtime directory and generation"
                )
            if not _flock(fd, fcntl.LOCK_SH):
                continue  # somebody is making or replacing it
            try:
                if _is_at(os.fstat(fd), names):
                    return _map(fd, names, writable, robust)
            except BaseException:
                fcntl.flock(fd, fcntl.LOCK_UN)  # an exception's traceback may keep the mapping for a long time
                raise
            fcntl.flock(fd, fcntl.LOCK_UN)
    raise _busy(names)


def _busy(names: Names) -> SegmentExists:
    return SegmentExists(f"segment {names.name!r} keeps being replaced by other processes; stop them and try again")


@contextmanager
def _nameless(names: Names | None, shape: Geometry) -> Iterator[int]:
    """Open a file without a name in the shm folder, as large as the segment.

    Raises:
        NoSpace
        NoSharedMemory
    """
    if not hasattr(os, "O_TMPFILE"):
        raise Unsupported(
            f"the provider 'shm' needs Linux's O_TMPFILE, but this is {sys.platform}; use the provider 'plain'"
        )
    try:
        file = opened(SHM_FOLDER, os.O_TMPFILE | os.O_RDWR, _MODE)
    except OSError as error:
        raise failure(f"no object can be made in {SHM_FOLDER}", error, NoSharedMemory, "is a tmpfs mounted?") from error
    with file:
        fd = file.fileno()
        os.fchmod(fd, _MODE)  # whatever the umask
        try:
            os.posix_fallocate(fd, 0, shape.total)  # too full is an error now, not a SIGBUS later
        except OSError as error:
            raise NoSpace(
                f"{SHM_FOLDER} cannot hold segment {names.name if names else 'none'!r}: {shape.item_num} slots of "
                f"{shape.item_size} bytes need {shape.total} bytes ({error.strerror}); free some, or ask for fewer"
            ) from error
        yield fd


def _build(fd: int, names: Names | None, shape: Geometry, contents: Contents) -> Segment:
    try:
        memory = mmap.mmap(fd, shape.total)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno in (
            errno.EMFILE,
            errno.ENFILE,
        ):  # it takes a descriptor of its own
            raise failure(f"the {shape.total} bytes of a segment cannot be mapped", error) from error
        raise NoSpace(
            f"this process cannot map the {shape.total} bytes of a segment ({error}); ask for fewer"
        ) from error
    fcntl.flock(fd, fcntl.LOCK_EX)
    control.write_header(memory, shape)
    contents.fill(memory)
    return Segment(memory, shape, names, ours=True, info=os.fstat(fd))


def make_way(names: Names, *, replace: bool = False, only_look: bool = False) -> bool:
    """Remove a dead segment of that name, unless one is only looked for. Return False if somebody
    else is at it: try again.

    Raises:
        SegmentExists
    """
    with _opened(names) as fd:
        if fd is None:
            return True
        unjudged = None if replace else _why_unjudged(fd, names)
        if unjudged:
            raise SegmentExists(f"segment {names.name!r} exists {unjudged} (object {object_path(names)})")
        try:
            if replace or _flock(fd, fcntl.LOCK_EX):
                return only_look or _unlink(fd, names)
            if _flock(fd, fcntl.LOCK_SH) and _is_at(os.fstat(fd), names):
                raise SegmentExists(
                    f"segment {names.name!r} is alive: a process has it open; {_how_to_share(fd, names)}end that process, "
                    f"or create with replace=True, which leaves it with the old memory (object {object_path(names)})"
                )
            return False
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)


def _why_unjudged(fd: int, names: Names) -> str:
    """Say why nobody can tell whether a segment is alive, and what to do; "" if it can be told."""
    try:
        if judge(fd, names.name).ours:
            return ""
    except Mismatch as error:
        return f"and is damaged, so that nobody can tell whether it is in use, nor attach it: {error}"
    return (
        "without a control block: httpd made it, or it is damaged, and nobody can tell whether it is in use; attach it, "
        "or create with replace=True"
    )


def _how_to_share(fd: int, names: Names) -> str:
    """Say that a live segment can be attached, or why it cannot."""
    try:
        judge(fd, names.name).check()
    except Mismatch as error:
        return f"this one cannot attach it: {error}; or "
    return "attach it, "


def _unlink(fd: int, names: Names, timeout_s: float | None = None) -> bool:
    """Unlink the name if it is this object's, and never another's that has taken its place; return
    whether it was.
    """
    lock = partial(fcntl.fcntl, fd, fcntl.F_OFD_SETLK, _record_lock(fcntl.F_WRLCK))
    patiently(lock, timeout_s, f"the object {object_path(names)}, whose name another process is removing")
    try:
        if not _is_at(os.fstat(fd), names):
            return False
        os.unlink(object_path(names))
        return True
    finally:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _record_lock(fcntl.F_UNLCK))


def _link(fd: int, path: str) -> None:
    """Link a nameless file into place.

    Raises:
        FileExistsError
        NoSharedMemory
    """
    try:
        # With src_dir_fd given, CPython calls linkat with AT_SYMLINK_FOLLOW, which names a nameless
        # file.
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)
    except FileExistsError:
        raise
    except OSError as error:
        raise failure(f"the object {path} cannot be made", error, NoSharedMemory, "is /proc mounted?") from error


def _record_lock(how: int) -> bytes:
    return struct.pack("hhqqi", how, os.SEEK_SET, 0, 0, 0)  # struct flock of 64-bit Linux: the whole file


@contextmanager
def _opened(names: Names) -> Iterator[int | None]:
    """Open the object of a name, if it is a plain file of ours; None if there is nothing."""
    path = object_path(names)
    what = f"the object {path} of segment {names.name!r}"
    try:
        file = opened(path, _OPEN)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise refusal(what, path, error) from error
    with file:
        check_plain(what, os.fstat(file.fileno()), alone=True)
        yield file.fileno()


def _flock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(info: os.stat_result, names: Names) -> bool:
    """Return whether the object of a name is still this file."""
    try:
        return os.path.samestat(info, os.lstat(object_path(names)))
    except FileNotFoundError:
        return False


def _map(fd: int, names: Names, writable: bool, robust: bool) -> Segment:
    """Check and map an object whose flock this descriptor holds."""
    judged = judge(fd, names.name)
    if judged.ours:
        judged.check(robust=robust)
    memory = judged.map(fd, writable or judged.ours)
    return Segment(memory, judged.shape, names, judged.ours, os.fstat(fd))
