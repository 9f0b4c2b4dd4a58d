"""The provider `plain`: the same slots in one process's memory, for threads. Nothing is stored.

It works wherever Python does. On Linux its locks are those of `shm`; elsewhere they are those of
`threading`, which a signal handler's exception can leave locked if it strikes between two bytecodes
of the acquiring function.

A forked child gets a copy of its own, as of any memory. A lock that another thread held at the fork
is freed there, and what it guards is repaired.
"""

from __future__ import annotations

import mmap
import os
import sys
from weakref import WeakSet

from slotmem.instance import SlotInstance
from slotmem.interface import Type
from slotmem.lifetime import BaseProvider
from slotmem.memory import control
from slotmem.memory.image import SharedImage, ThreadImage
from slotmem.memory.names import Names
from slotmem.memory.segment import Segment
from slotmem.slots import Slots
from slotmem.status import NoSegment, NoSpace

_living: WeakSet[Slots] = WeakSet()


class PlainProvider(BaseProvider):
    """Slots for the threads of one process; see `slotmem.shm.ShmProvider` for the arguments."""

    def _create(
        self, found: Names | None, item_size: int, item_num: int, type: Type, replace: bool, begun: list[Segment]
    ) -> SlotInstance:
        del replace, begun  # nobody else can have the name, and memory goes with its last user
        shape = control.shape_of(item_size, item_num, type)
        try:
            # MAP_PRIVATE: a forked child's slots are its own. Windows has no such flag, and no
            # fork.
            memory = (
                mmap.mmap(-1, shape.total, mmap.MAP_PRIVATE)
                if hasattr(mmap, "MAP_PRIVATE")
                else mmap.mmap(-1, shape.total)
            )
        except (OSError, OverflowError) as error:
            raise NoSpace(
                f"this process cannot allocate {shape.total} bytes for {item_num} slots of {item_size} bytes ({error}); ask for fewer"
            ) from error
        control.write_header(memory, shape)
        image_class = SharedImage if sys.platform.startswith("linux") else ThreadImage
        image = image_class(memory, shape, self.timeout_s)
        image.initialize()
        algorithm = self._slots(image)
        _living.add(algorithm)
        at_close = self._at_close(found, _destroy)
        return SlotInstance(found.name if found else "none", algorithm, at_close=at_close, role="created here")

    def _attach(self, found: Names, unsafe: bool) -> SlotInstance:
        del unsafe
        raise NoSegment(
            f"this provider has no segment {found.name!r}, and only its own provider sees plain memory; "
            "create it here, or use the provider 'shm'"
        )


def _destroy(instance: SlotInstance) -> None:
    """Do nothing: the memory goes with its last user."""


def _after_fork() -> None:
    for algorithm in list(_living):
        algorithm.image.initialize()
        for which in range(len(algorithm.mutexes)):
            algorithm.repair(which)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
