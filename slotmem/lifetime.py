"""What all providers share: which instances they have, and how these end.

A provider object is one server lifetime, as httpd's pool is: instances made by it live until
`restart` or `close`, or until the interpreter ends. A forked child inherits the instances and may
use them, but a segment still belongs to the process that created it: closing it in a child ends the
child's access alone, unless the child created it itself. Threads may share a provider.
"""

from __future__ import annotations

import atexit
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self
from weakref import WeakSet

from slotmem.arguments import checked_generation, checked_runtime_dir, checked_shape, checked_timeout
from slotmem.endings import at_exit, exit_on_sigterm
from slotmem.environment import check_interpreter, telling
from slotmem.instance import SlotInstance
from slotmem.interface import Type
from slotmem.memory import names
from slotmem.memory.names import Names
from slotmem.memory.segment import Segment
from slotmem.slots import Slots
from slotmem.status import Closed, InvalidArgument, NoSharedMemory


class BaseProvider(ABC):
    """The part of `slotmem.interface.Provider` that does not depend on where the memory is."""

    lowest_first = True
    """Whether grab gives the lowest free slot (GRAB-2); who judges a provider asks for that only if
    it says so.
    """

    has_updates = True
    """Whether its instances have `update` and `compare_and_put`."""

    def __init__(
        self,
        *,
        runtime_dir: str | os.PathLike[str] | None = None,
        generation: int = 0,
        timeout_s: float | None = None,
        store_on_sigterm: bool = False,
        algorithm: type[Slots] = Slots,
    ) -> None:
        check_interpreter()
        self.runtime_dir = checked_runtime_dir(runtime_dir)
        self._generation = checked_generation(generation)
        self.timeout_s = checked_timeout(timeout_s)
        self._slots = algorithm
        self._created: dict[str, SlotInstance] = {}
        self._others: WeakSet[SlotInstance] = WeakSet()  # attached or anonymous: they go with their last reference
        self._closed = False
        self._lock = threading.RLock()  # one create, restart or close at a time; a signal handler may come in between
        if store_on_sigterm:
            exit_on_sigterm()
        self._ends_with = os.getpid()
        _living.add(self)
        at_exit(self.close)

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> Self:
        """Make a provider for `slotmem.provider`; its string has no argument after the name.

        Raises:
            InvalidArgument
        """
        if argument:
            raise InvalidArgument(f"this provider takes no argument after its name, got {argument!r}; leave it out")
        return cls(**options)

    @property
    def generation(self) -> int:
        """How often this server was restarted, counted from the generation it was given."""
        return self._generation

    def create(
        self, name: str | None, item_size: int, item_num: int, type: Type = Type(0), *, replace: bool = False
    ) -> SlotInstance:
        """Make a segment of item_num slots of item_size bytes; see
        `slotmem.interface.Provider.create`.

        replace=True takes the name even from a segment that is alive, or whose life cannot be
        judged, as httpd does; its users keep the old memory and do not see the new.
        """
        with self._lock, telling(f"segment {name!r} cannot be created"):
            self._check_open()
            if self._ends_with != os.getpid():  # made before a fork: a worker of multiprocessing forgets that
                at_exit(self.close)
                self._ends_with = os.getpid()
            found = names.resolve(name, self.runtime_dir, self._generation)
            if found is not None and (present := self._created.get(found.segment)) is not None:
                return present
            item_size, item_num, type = checked_shape(item_size, item_num, type)
            begun: list[Segment] = []
            try:
                instance = self._create(found, item_size, item_num, type, replace, begun)
                if found is None:
                    self._others.add(instance)
                else:
                    self._created[found.segment] = instance
                return instance
            except BaseException:  # Ctrl-C, say: what nobody will close must not stay
                if found is not None and found.segment not in self._created:
                    for segment in begun:
                        segment.unlink()
                raise

    def attach(self, name: str, *, unsafe: bool = False) -> SlotInstance:
        """Attach to an existing segment; see `slotmem.interface.Provider.attach`.

        A segment that httpd made has no locks: it is attached for reading only, unless unsafe=True,
        with which the caller promises to keep everybody else out.
        """
        with self._lock, telling(f"segment {name!r} cannot be attached"):
            self._check_open()
            found = names.resolve(name, self.runtime_dir, self._generation)
            if found is None:
                raise NoSharedMemory(
                    f"the name {name!r} means anonymous memory, which cannot be attached; give it a name"
                )
            if (present := self._created.get(found.segment)) is not None:
                return present
            instance = self._attach(found, unsafe)
            self._others.add(instance)
            return instance

    def restart(self) -> None:
        """Store what is persistent, destroy every segment created here, and begin the next
        generation.
        """
        with self._lock:
            self._check_open()
            self._end_all()
            self._generation += 1

    def close(self) -> None:
        """Store what is persistent, destroy every segment created here, and end. Idempotent."""
        with self._lock:
            if not self._closed:
                self._end_all()
                self._end()

    def abandon(self) -> None:
        """Drop everything as if this process had been killed: nothing is stored, and the segments
        remain.
        """
        with self._lock:
            for instance in [*self._created.values(), *self._others]:
                instance.detach()
            self._created.clear()
            self._end()

    def _end(self) -> None:
        self._closed = True
        atexit.unregister(self.close)

    def _end_all(self) -> None:
        """Close every instance.

        If storing one fails, the others are still closed, and that one stays open.
        """
        errors = []
        for instance in [*self._created.values(), *self._others]:
            try:
                instance.close()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0] if len(errors) == 1 else ExceptionGroup("several segments could not be closed", errors)

    def _at_close(self, found: Names | None, destroy: Callable[[SlotInstance], None]) -> Callable[[SlotInstance], None]:
        """Return the function that ends a segment which this process creates; in a forked child it
        only detaches.
        """
        owner_pid = os.getpid()

        def end(instance: SlotInstance) -> None:
            with self._lock, telling(f"segment {instance.name!r} cannot be closed"):
                if instance.closed:  # another thread was faster
                    return
                if os.getpid() == owner_pid:
                    destroy(instance)
                if found is not None:
                    self._created.pop(found.segment, None)
                instance.detach()

        return end

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(f"the provider of {self.runtime_dir} is closed; make a new one")

    @abstractmethod
    def _create(
        self, found: Names | None, item_size: int, item_num: int, type: Type, replace: bool, begun: list[Segment]
    ) -> SlotInstance:
        """Make a segment; what must be unlinked if that comes to no end is put into `begun`."""

    @abstractmethod
    def _attach(self, found: Names, unsafe: bool) -> SlotInstance: ...

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"generation {self._generation}, {len(self._created)} segments"
        return f"<{type(self).__name__} {self.runtime_dir}: {state}>"


_living: WeakSet[BaseProvider] = WeakSet()


def _after_fork() -> None:
    """Replace the locks: a thread that held one does not exist in the child."""
    for provider in list(_living):
        provider._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
