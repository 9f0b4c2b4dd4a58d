"""The provider `shm`: segments in POSIX shared memory, with httpd's names, bytes and files.

Create: the dead are replaced, the living refused (`slotmem.segment`); a persisted file is restored before the segment is
published, and a bad one is set aside after. Close and restart: store first, then unlink, so that a crash between the two
loses nothing.
"""

from __future__ import annotations

import logging
import mmap
from functools import partial
from typing import Any, NamedTuple

from slotmem import control, files, mutex, segment
from slotmem.foreign import ReadOnlySlots, UnsafeSlots
from slotmem.image import ForeignImage, SharedImage
from slotmem.instance import NOT_PERSISTENT, SlotInstance
from slotmem.interface import Outcome, Restored, Type
from slotmem.layout import PAYLOAD_START, Geometry
from slotmem.lifetime import BaseProvider
from slotmem.names import Names
from slotmem.segment import Segment
from slotmem.status import Mismatch

log = logging.getLogger("slotmem")


class ShmProvider(BaseProvider):
    """Shared memory for unrelated processes, forked children and threads.

    Args:
        runtime_dir: where relative names live and are stored; default $SLOTMEM_RUNTIME_DIR, else a private folder.
        generation: the number of this server lifetime, part of the segment name of relative names.
        timeout_s: the longest wait for any lock, in seconds; None waits for ever.

    Raises: Unsupported: on systems other than Linux.
    """

    def __init__(self, **options: Any) -> None:
        mutex.pthread()  # Unsupported, before anything is touched
        super().__init__(**options)

    def _create(self, found: Names | None, item_size: int, item_num: int, type: Type, replace: bool) -> SlotInstance:
        shape = control.shape_of(item_size, item_num, type)
        if found is None:
            made, restored = segment.anonymous(shape, partial(_fill, shape, b"")), NOT_PERSISTENT
        else:
            restoring = _Restoring(b"", NOT_PERSISTENT)
            if type & Type.PERSIST:
                files.check_folder(found.persisted)
                restoring = _read_back(found, shape)
            made = segment.publish(found, shape, partial(_fill, shape, restoring.payload), replace=replace)
            restored = _tell(found, restoring.restored)
        return SlotInstance(
            found.name if found else "none",
            self._slots(SharedImage(made.memory, shape, self.timeout_s)),
            restored=restored,
            at_close=partial(self._at_close, found, partial(_destroy, made)),
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
    """Store the segment if it is persistent, then take its name away."""
    if made.names is None:
        return
    if instance.type & Type.PERSIST:
        payload = instance.algorithm().snapshot()
        if instance.type & Type.CLEARINUSE:
            payload = files.cleared(made.shape, payload)
        files.store(made.names.persisted, files.encode(made.shape, payload))
    made.unlink()


class _Restoring(NamedTuple):
    payload: bytes
    restored: Restored


def _fill(shape: Geometry, payload: bytes, memory: mmap.mmap) -> None:
    """Complete a segment whose header is written: payload, control header, mutexes."""
    if payload:
        memory[PAYLOAD_START : shape.apr_length] = payload
    control.write_control(memory, shape)
    SharedImage(memory, shape).initialize()


def _read_back(found: Names, shape: Geometry) -> _Restoring:
    """Read the persisted file, and judge it; nothing is changed yet."""
    data = files.load(found.persisted)
    if data is None:
        return _Restoring(b"", Restored(Outcome.NO_FILE))
    try:
        return _Restoring(files.decode(shape, data), Restored(Outcome.RESTORED))
    except Mismatch as error:
        return _Restoring(b"", Restored(Outcome.SET_ASIDE, reason=str(error)))


def _tell(found: Names, restored: Restored) -> Restored:
    """Set a bad file aside, now that the segment is ours, and say so."""
    if restored.outcome is not Outcome.SET_ASIDE:
        return restored
    aside = files.set_aside(found.persisted)
    log.warning(
        "the persisted file %s of segment %r is bad: %s; it is kept as %s, and the segment starts fresh",
        found.persisted,
        found.name,
        restored.reason,
        aside,
    )
    return Restored(Outcome.SET_ASIDE, restored.reason, aside)


def _nothing(instance: SlotInstance) -> None:
    """An attacher stores nothing and destroys nothing."""
