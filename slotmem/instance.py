"""The instance that users hold: an algorithm bound to a segment, for as long as it is open.

`SlotInstance` adds nothing to an operation's cost: `instance.grab` *is* the algorithm's bound
method. What it adds is the lifetime (`close`, `with`), ctypes views and a telling repr. Any class
of the shape of `slotmem.slots.Slots` will do as the algorithm.

Closing takes effect at once, even for bound methods that somebody kept: the only way into a
critical section is `trylock`, which is replaced by a function that raises; so is `checked_id`,
which a walk calls before each slot. The memory itself goes with its last view, so that no thread
and no kept `dptr` ever touches an unmapped address.
"""

from __future__ import annotations

import builtins
import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, Self

from slotmem.asynchronous import grab_async
from slotmem.blocks import Locked
from slotmem.interface import Outcome, Owner, Restored, Type, View
from slotmem.owners import owner_of, reap
from slotmem.slots import Slots
from slotmem.status import Closed, InvalidSize, NotInUse, WrongType
from slotmem.typed import TypedSlots

_BOUND = ("grab", "fgrab", "release", "get", "put", "update", "compare_and_put", "num_free_slots", "slots")
NOT_PERSISTENT = Restored(Outcome.NOT_PERSISTENT)


class SlotInstance:
    """One process's access to one segment; see `slotmem.interface.Instance`."""

    def __init__(
        self,
        name: str,
        algorithm: Slots,
        *,
        restored: Restored = NOT_PERSISTENT,
        at_close: Callable[[SlotInstance], None],
        role: str,
    ) -> None:
        self._name = name
        self._algorithm: Slots | None = algorithm
        self._restored = restored
        self._at_close = at_close
        self._role = role
        self._type = Type(algorithm.image.geometry.type)
        self._item_num = algorithm.item_num
        self._item_size = algorithm.item_size
        self.grab = algorithm.grab
        self.fgrab = algorithm.fgrab
        self.release = algorithm.release
        self.get = algorithm.get
        self.put = algorithm.put
        self.update = algorithm.update
        self.compare_and_put = algorithm.compare_and_put
        self.num_free_slots = algorithm.num_free_slots
        self.slots = algorithm.slots

    @property
    def name(self) -> str:
        """The name given to create or attach; "none" for anonymous memory."""
        return self._name

    @property
    def type(self) -> Type:
        """The flags of the segment."""
        return self._type

    @property
    def restored(self) -> Restored:
        """What became of the persisted file when this instance created the segment."""
        return self._restored

    @property
    def closed(self) -> bool:
        """Whether the instance is closed."""
        return self._algorithm is None

    def num_slots(self) -> int:
        """Return the number of slots (COUNT-1)."""
        self.algorithm()
        return self._item_num

    def slot_size(self) -> int:
        """Return the size of a slot in bytes (COUNT-1)."""
        self.algorithm()
        return self._item_size

    def doall(self, func: Callable[[memoryview, Any], int | None], data: Any = None) -> int:
        """Call func on one slot after another (DOALL-1).

        Raises:
            WrongType: func cannot be called.
        """
        if not callable(func):
            raise WrongType(f"doall takes a function of a slot's memory and data, got {func!r}")
        return self.algorithm().doall(func, data)

    def dptr(self, item_id: int) -> memoryview:
        """Return the slot's own memory (DPTR-1)."""
        return self.algorithm().dptr(item_id)

    @contextmanager
    def grabbed(self, timeout_s: float | None = 0) -> Iterator[int]:
        """Grab a slot for the length of a `with`, which gets its id; timeout_s as in `grab`.

        At the end it is released, if it is still this grab's (WAITING-2).

        Raises:
            NoFreeSlot
        """
        item_id = self.grab(timeout_s)
        algorithm = self.algorithm()
        tenant = algorithm.tenants[item_id]
        try:
            yield item_id
        finally:
            with suppress(Closed):
                algorithm.reclaim(item_id, tenant)

    async def grab_async(self, timeout_s: float | None = None) -> int:
        """Grab a slot, or wait for one in a thread while the event loop goes on (WAITING-3).

        Cancelled, it keeps no slot. None waits for ever.

        Raises:
            NoFreeSlot: none came free within timeout_s.
        """
        return await grab_async(self.algorithm(), timeout_s)

    def locked(self, item_id: int) -> Locked[memoryview]:
        """Hold the slot's lock for a `with`, which gets a writable view of its bytes.

        What was changed in the view is stored at the end of the block, wholly or not at all; if the
        block ends by an exception, nothing is. The block must be quick, and must not use the
        segment. What is written to the view later is lost.

        Raises:
            NotInUse: with PREGRAB, if the slot is not in use. Without PREGRAB the slot becomes in
                use at the end.
            LockTimeout
            Reentered: in a block, or a function given to update, of the same lock.
        """
        return self.algorithm().locked(item_id, _itself)

    def owner(self, item_id: int) -> Owner | None:
        """Return the process that marked a slot in use; None if it is free, or nobody knows: it was
        restored from a file, or httpd marked it (OWNER-1).

        Raises:
            SlotOutOfRange
        """
        return owner_of(self.algorithm(), item_id)

    def reap(self, callback: Callable[[int, Owner], object] | None = None) -> list[int]:
        """Release every slot whose owner is dead, and return their ids (REAP-1).

        With a callback, only those are released for which `callback(item_id, owner)` returns
        something true. It is called with no lock held; of two processes that reap at once, both may
        be shown a slot, and one releases it.

        Raises:
            WrongType: callback cannot be called.
        """
        if callback is not None and not callable(callback):
            raise WrongType(f"reap takes a function of a slot's id and its owner, got {callback!r}")
        return reap(self.algorithm(), callback)

    def view(self, item_id: int, structure: builtins.type[View]) -> View:
        """Lay a ctypes structure over the slot.

        Raises:
            WrongType
            InvalidSize: if it is larger than a slot.
        """
        self._fit(structure)
        given: Any = structure
        overlay: View = given.from_buffer(self.dptr(item_id))
        return overlay

    def typed(self, structure: builtins.type[View]) -> TypedSlots[View]:
        """Return the slots as one ctypes structure each, to be read and written by value.

        Raises:
            WrongType
            InvalidSize: if it is larger than a slot.
        """
        return TypedSlots(self, structure, self._fit(structure))

    def _fit(self, structure: Any) -> int:
        """Return the number of bytes of a structure that fits into a slot."""
        size = self.slot_size()
        if not _is_structure(structure):
            raise WrongType(f"a ctypes.Structure or Union class with _fields_ is needed, got {structure!r}")
        nbytes = ctypes.sizeof(structure)
        if nbytes > size:
            raise InvalidSize(
                f"{structure.__name__} has {nbytes} bytes, a slot {size}; make item_size at least that large"
            )
        return nbytes

    def __len__(self) -> int:
        return self.num_slots()

    def __bool__(self) -> bool:
        return True  # an instance is not "empty" when it has no slots

    def items(self) -> Iterator[tuple[int, bytes]]:
        """Iterate over the slots that are in use at the moment of the call: (id, bytes).

        Each slot is read by itself. With PREGRAB one that has been released meanwhile is left out;
        without, to read it marks it in use, as `get` does.
        """
        for item_id in self.slots():
            try:
                yield item_id, self.get(item_id)
            except NotInUse:
                continue

    def __reduce__(self) -> NoReturn:
        raise WrongType(
            f"an instance is memory of this process, and cannot be pickled; send the name {self._name!r} and the "
            "runtime directory instead, and call slotmem.provider(runtime_dir=...).attach(name) over there"
        )

    def algorithm(self) -> Slots:
        """Return the algorithm underneath.

        Raises:
            Closed
        """
        if self._algorithm is None:
            self._raise_closed()
        return self._algorithm

    def close(self) -> None:
        """Close the instance: the segment's creator stores (PERSIST) and destroys it, an attacher
        detaches. Idempotent.
        """
        if self._algorithm is not None:
            self._at_close(self)
            self.detach()

    def detach(self) -> None:
        """Release the memory and leave the segment as it is; every later call raises `Closed`
        (ID-2).
        """
        algorithm = self._algorithm
        if algorithm is None:
            return
        algorithm.unlock_all()
        self._at_close = _nothing  # it may hold the memory too
        algorithm.trylock = self._raise_closed
        algorithm.checked_id = self._raise_closed  # type: ignore[method-assign]
        for operation in _BOUND:
            setattr(self, operation, self._raise_closed)
        self._algorithm = None  # last: if Ctrl-C comes before, a second close does the rest

    def _raise_closed(self, *_: Any, **__: Any) -> NoReturn:
        raise Closed(
            f"segment {self._name!r} was closed here, or its provider was closed or restarted; "
            "create or attach it again"
        )

    def __enter__(self) -> Self:
        self.algorithm()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        flags = "|".join(flag.name or "" for flag in Type if flag in self._type) or "0"
        shape = f"{self._item_num} slots of {self._item_size} bytes, {flags}"
        state = "closed" if self.closed else self._role
        return f"<slotmem {self._name!r}: {shape}, {state}>"


def _nothing(instance: SlotInstance) -> None:
    """Do nothing: a closed instance has nothing left to end."""


def _itself(view: memoryview) -> memoryview:
    return view


def _is_structure(given: Any) -> bool:
    kind = isinstance(given, type) and issubclass(given, ctypes.Structure | ctypes.Union)
    return kind and hasattr(given, "_fields_")  # without fields it has no size
