"""The provider `shm`: segments in POSIX shared memory, with httpd's names, bytes and files.

Create: a dead segment is replaced, a live one refused (`slotmem.memory.segment`). A persisted file
is restored before the segment is published; a bad one is set aside afterwards, once the name is
ours.
Close and restart: store first, then unlink, so that a crash between the two loses nothing.
"""

from __future__ import annotations

import mmap
from functools import partial
from typing import Any

from slotmem.foreign import ReadOnlySlots, UnsafeSlots
from slotmem.instance import NOT_PERSISTENT, SlotInstance
from slotmem.interface import Outcome, Restored, Type
from slotmem.lifetime import BaseProvider
from slotmem.memory import control, files, mutex, segment
from slotmem.memory.image import ForeignImage, SharedImage
from slotmem.memory.layout import PAYLOAD_START, Geometry
from slotmem.memory.names import Names
from slotmem.memory.segment import Segment
from slotmem.status import Mismatch


class ShmProvider(BaseProvider):
    """Shared memory for unrelated processes, forked children and threads.

    Args:
        runtime_dir: where relative names live and are stored; default $SLOTMEM_RUNTIME_DIR, else a
            private folder of the user.
        generation: the number of this server lifetime, part of the segment name of relative names.
        timeout_s: the longest wait for any lock, in seconds; None waits for ever.

    Raises:
        Unsupported: on systems other than Linux.
    """

    def __init__(self, **options: Any) -> None:
        mutex.pthread()  # Unsupported, before anything is touched
        super().__init__(**options)

    def _create(self, found: Names | None, item_size: int, item_num: int, type: Type, replace: bool) -> SlotInstance:
        shape = control.shape_of(item_size, item_num, type)
        contents = _Contents(found if type & Type.PERSIST else None, shape)
        if found is None:
            made = segment.anonymous(shape, contents)
        else:
            if type & Type.PERSIST:
                files.check_folder(found.persisted)
            made = segment.publish(found, shape, contents, replace=replace)
        return SlotInstance(
            found.name if found else "none",
            self._slots(SharedImage(made.memory, shape, self.timeout_s)),
            restored=contents.restored,
            at_close=self._at_close(found, partial(_destroy, made)),
            role="created here",
        )

    def _attach(self, found: Names, unsafe: bool) -> SlotInstance:
        opened = segment.open_segment(found, writable=unsafe)
        algorithm: Any
        if opened.ours:
            algorithm, role = self._slots(SharedImage(opened.memory, opened.shape, self.timeout_s)), "attached"
        elif unsafe:
            algorithm, role = UnsafeSlots(ForeignImage(opened.memory, opened.shape)), "attached without locks"
        else:
            algorithm, role = ReadOnlySlots(ForeignImage(opened.memory, opened.shape)), "attached for reading only"
        return SlotInstance(found.name, algorithm, at_close=_nothing, role=role)


def _destroy(made: Segment, instance: SlotInstance) -> None:
    """Store the segment if it is persistent, then remove its name."""
    if made.names is None:
        return
    if instance.type & Type.PERSIST:
        payload = instance.algorithm().snapshot()
        if instance.type & Type.CLEARINUSE:
            payload = files.cleared(made.shape, payload)
        files.store(made.names.persisted, files.encode(made.shape, payload))
    made.unlink()


class _Contents:
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
            payload, self.restored = _read_back(self.found, self.shape)
            if payload:
                memory[PAYLOAD_START : self.shape.apr_length] = payload
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
            import logging  # it takes 4 ms to import, and a bad file is rare

            logging.getLogger("slotmem").warning(
                "the persisted file %s of segment %r is bad: %s; it is kept as %s, and the segment starts fresh",
                self.found.persisted,
                self.found.name,
                self.restored.reason,
                aside,
            )
        return True


def _read_back(found: Names, shape: Geometry) -> tuple[bytes, Restored]:
    """Read and judge the persisted file; nothing is changed yet."""
    data = files.load(found.persisted)
    if data is None:
        return b"", Restored(Outcome.NO_FILE)
    try:
        return files.decode(shape, data), Restored(Outcome.RESTORED)
    except Mismatch as error:
        return b"", Restored(Outcome.SET_ASIDE, reason=str(error))


def _nothing(instance: SlotInstance) -> None:
    """Do nothing: an attacher neither stores nor destroys."""
