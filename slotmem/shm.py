"""The provider `shm`: segments in POSIX shared memory, with httpd's names, bytes and files.

Create: a dead segment is replaced, a live one refused (`slotmem.memory.segment`). A persisted file
is restored before the segment is published; a bad one is set aside afterwards, once the name is
ours.
Close and restart: store first, then unlink, so that a crash between the two loses nothing. All
locks of the segment are held while it is stored: a copy of one instant might not fit into memory.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from slotmem.foreign import ReadOnlySlots, UnsafeSlots
from slotmem.instance import NOT_PERSISTENT, SlotInstance
from slotmem.interface import Outcome, Restored, Type
from slotmem.lifetime import BaseProvider
from slotmem.memory import control, files, generations, mutex, segment, storing
from slotmem.memory.descriptor import read_at
from slotmem.memory.image import ForeignImage, SharedImage
from slotmem.memory.layout import PAGE_BYTES, PAYLOAD_START, Geometry
from slotmem.memory.names import Names
from slotmem.memory.segment import Segment
from slotmem.memory.storer import Storer
from slotmem.status import Ended, Mismatch, OtherUser, SegmentExists


class ShmProvider(BaseProvider):
    """Shared memory for unrelated processes, forked children and threads.

    Args:
        runtime_dir: where relative names live and are stored; default $SLOTMEM_RUNTIME_DIR, else a
            private folder of the user.
        generation: the number of this server lifetime, part of the segment name of relative names.
        timeout_s: the longest wait for any lock, in seconds; None waits for ever.
        store_on_sigterm: let SIGTERM end this process by `sys.exit(143)`, so that what is
            persistent is stored; without, SIGTERM ends it at once, as SIGKILL does.

    Raises:
        Unsupported: on systems other than Linux.
    """

    _robust = True  # its mutexes are

    def __init__(self, **options: Any) -> None:
        mutex.pthread()  # Unsupported, before anything is touched
        super().__init__(**options)

    def _create(
        self, found: Names | None, item_size: int, item_num: int, type: Type, replace: bool, begun: list[Segment]
    ) -> SlotInstance:
        shape = control.shape_of(item_size, item_num, type)
        contents = Filling(found if type & Type.PERSIST else None, shape)
        storer = None
        if found is None:
            made = segment.anonymous(shape, contents)
        else:
            if type & Type.PERSIST:
                storing.probe(found.persisted)
                storer = _storer_of(found, replace=replace)
            try:
                made = segment.publish(found, shape, contents, begun=begun, replace=replace)
                if storer and storer.is_replaced():  # another created meanwhile with replace=True; the name is ours now
                    storer = _storer_of(found, replace=True)
            except BaseException:
                if storer:
                    storer.release()
                raise
            generations.clear(found, self.runtime_dir)
        return SlotInstance(
            found.name if found else "none",
            self._slots(SharedImage(made.memory, shape, self.timeout_s)),
            restored=contents.restored,
            at_close=self._at_close(found, partial(_destroy, made, storer, self.timeout_s)),
            role="created here",
        )

    def _attach(self, found: Names, unsafe: bool) -> SlotInstance:
        opened = segment.open_segment(found, writable=unsafe, robust=self._robust)
        algorithm: Any
        if opened.ours:
            algorithm, role = self._slots(SharedImage(opened.memory, opened.shape, self.timeout_s)), "attached"
        elif unsafe:
            algorithm, role = (
                UnsafeSlots(ForeignImage(opened.memory, opened.shape, writable=True)),
                "attached without locks",
            )
        else:
            image = ForeignImage(opened.memory, opened.shape, writable=False)
            algorithm, role = ReadOnlySlots(image), "attached for reading only"
        return SlotInstance(found.name, algorithm, at_close=_nothing, role=role)


def _storer_of(found: Names, *, replace: bool) -> Storer:
    """Return the right to store a segment's file.

    Raises:
        SegmentExists, OtherUser: another process has it; if it has a segment that can be seen from
            here, that is what the error says.
    """
    try:
        return Storer(found, replace=replace)
    except (SegmentExists, OtherUser):
        segment.make_way(found, only_look=True)
        raise


def _destroy(made: Segment, storer: Storer | None, timeout_s: float | None, instance: SlotInstance) -> None:
    """Store the segment if it is persistent, then remove its name."""
    if made.names is None or (storer and storer.is_released):  # Ctrl-C came after all was done
        return
    if storer and storer.is_replaced():
        logging.getLogger("slotmem").warning(
            "segment %r was replaced by another owner, which stores its file %s: what this one held is not stored",
            made.names.name,
            made.names.persisted,
        )
    elif storer:
        with suppress(Ended):  # it has been stored, and then could not be unlinked
            store = partial(_store, made.names, made.shape, timeout_s, instance.algorithm().end)
            instance.algorithm().snapshot(store)
    made.unlink(timeout_s)
    instance.algorithm().end()
    if storer:
        storer.release()


def _store(
    names: Names,
    shape: Geometry,
    timeout_s: float | None,
    end: Callable[[], None],
    memory: mmap.mmap,
    where: slice,
) -> None:
    payload = [memoryview(memory)[where]]  # not copied: it may be a gigabyte
    parts = files.cleared(shape, payload) if shape.type & Type.CLEARINUSE else payload
    storing.store(names.persisted, files.encode(shape, parts), timeout_s)
    end()  # with all locks held: a put that comes now would not have been stored


class Filling:
    """What a segment is filled with: nothing, or the contents of its persisted file."""

    def __init__(self, found: Names | None, shape: Geometry) -> None:
        self.found = found  # None if nothing is to be restored
        self.shape = shape
        self.restored = NOT_PERSISTENT
        self.stamp: tuple[int, ...] | None = None

    def fill(self, memory: mmap.mmap) -> None:
        """Complete a segment whose header is written: payload, control header, mutexes."""
        if self.found is not None:
            self.stamp = files.stamp(self.found.persisted)
            self.restored = _read_back(self.found, self.shape, memory)
        control.write_control(memory, self.shape)
        SharedImage(memory, self.shape).initialize()

    def confirm(self) -> bool:
        """Return whether the file is still the one that was read; set a bad one aside, now that the
        name is ours.

        After we read it, and before the name became ours, another owner may have stored its own
        and ended.
        """
        if self.found is None:
            return True
        if files.stamp(self.found.persisted) != self.stamp:
            return False
        if self.restored.outcome is Outcome.SET_ASIDE:
            aside = files.set_aside(self.found.persisted)
            self.restored = self.restored._replace(aside=aside)
            logging.getLogger("slotmem").warning(
                "the persisted file %s of segment %r is bad: %s; it is kept as %s, and the segment starts fresh",
                self.found.persisted,
                self.found.name,
                self.restored.reason,
                aside,
            )
        return True


def _read_back(found: Names, shape: Geometry, memory: mmap.mmap) -> Restored:
    """Read the persisted file into a fresh segment, and judge it; the file is not changed yet."""
    file = files.load(found.persisted)
    if file is None:
        return Restored(Outcome.NO_FILE)
    at = PAYLOAD_START
    with file:
        try:
            fd = file.fileno()
            for part in files.decode(shape, os.fstat(fd).st_size, partial(read_at, fd)):
                memory[at : at + len(part)] = part
                at += len(part)
            return Restored(Outcome.RESTORED)
        except Mismatch as error:
            for start in range(PAYLOAD_START, at, PAGE_BYTES):
                memory[start : min(at, start + PAGE_BYTES)] = bytes(min(at, start + PAGE_BYTES) - start)
            control.write_header(memory, shape)
            return Restored(Outcome.SET_ASIDE, reason=str(error))


def _nothing(instance: SlotInstance) -> None:
    """Do nothing: an attacher neither stores nor destroys."""
