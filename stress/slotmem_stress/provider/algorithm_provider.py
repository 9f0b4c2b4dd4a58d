"""The provider `algorithm:NAME`: one of the model's algorithms, or anyone's of that shape, on real
shared memory.

What the checker finds on simulated memory can be watched happening: `slotmem stress
algorithm:httpd`. NAME is what `slotmem_model.algorithms.catalogue.find` takes: httpd, httpd-locked,
reference, museum:PIECE, module:Class.

The segments are those of `shm`, with its names, bytes and files. An algorithm is the slot
operations alone. What else an instance needs (walks, pointers, the snapshot to store) it gets here,
without locks. Each algorithm says whether it is for segments with PREGRAB or without.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Self

from slotmem import InvalidArgument, Type, Unsupported
from slotmem.bounds import Bounded
from slotmem.memory.layout import PAYLOAD_START
from slotmem.shm import ShmProvider
from slotmem.slots import Slots
from slotmem_model.algorithms import catalogue
from slotmem_stress.provider.real_image import RealImage

_OPERATIONS = ("grab", "fgrab", "release", "get", "put", "num_free_slots")


class AlgorithmProvider(ShmProvider):
    """A `slotmem.shm.ShmProvider` with the slot operations of another class."""

    def __init__(self, algorithm: Any, **options: Any) -> None:
        super().__init__(algorithm=on_real_memory(algorithm), **options)
        self._robust: bool = getattr(algorithm, "robust", True)
        self.lowest_first: bool = getattr(algorithm, "lowest_first", True)
        self.has_updates = hasattr(algorithm, "compare_and_put")
        try:
            self._try(algorithm)
        except BaseException:
            self.close()
            raise

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> Self:
        """Return the provider of the algorithm with this name.

        Raises:
            InvalidArgument: if there is none, listing the names there are; if it is not a class
                with every slot operation, or its constructor fails.
        """
        try:
            return cls(catalogue.find(argument), **options)
        except ValueError as error:
            raise InvalidArgument(str(error)) from error

    def _try(self, algorithm: Any) -> None:
        """Make one over memory without a name: with PREGRAB or, if it is not for that, without.

        Raises:
            InvalidArgument: neither can be made, and why.
        """
        for type in (Type.PREGRAB, Type(0)):
            try:
                self.create(None, 8, 2, type).close()
                return
            except Exception as error:
                failed = error
        raise InvalidArgument(
            f"the algorithm {algorithm.__qualname__} cannot be made over an image of shared memory: {failed!r}"
        ) from failed

    def _create(self, found: Any, item_size: int, item_num: int, type: Type, replace: bool, begun: Any) -> Any:
        instance = super()._create(found, item_size, item_num, type, replace, begun)
        if not self._robust:
            instance.algorithm().image.make_plain()
        return instance


class _Rest(Bounded):
    """What an instance needs besides the algorithm."""

    image: Any

    ended = (0,)
    """It is never told that the segment has ended."""
    doall = Slots.doall
    dptr = Slots.dptr

    def slots(self) -> Iterator[int]:
        """Iterate over the ids of the slots in use."""
        return (item_id for item_id, used in enumerate(bytes(self.image.inuse)) if used)

    def snapshot(self, take: Callable[[Any, slice], Any] = operator.getitem) -> Any:
        """Return what `take` makes of the payload as it is."""
        return take(self.image.memory, slice(PAYLOAD_START, self.image.geometry.apr_length))

    def update(self, *_: Any) -> NoReturn:
        """Refuse: algorithms have Apache's operations.

        Raises:
            Unsupported
        """
        raise Unsupported(f"the algorithm {type(self).__qualname__} has no update and no compare_and_put")

    compare_and_put = update

    def end(self) -> None:
        """Do nothing: who works on with a segment that has ended is not told."""

    def unlock_all(self) -> None:
        """Do nothing: only of the reference's mutexes is it known when they may be unlocked."""


def on_real_memory(algorithm: Any) -> Any:
    """Return the class that a provider instantiates over a real image: the algorithm and `_Rest`.

    Raises:
        InvalidArgument: if the algorithm is not a class, or lacks a slot operation.
    """
    if not isinstance(algorithm, type):
        raise InvalidArgument(f"an algorithm is a class, got {algorithm!r}")
    if missing := [each for each in _OPERATIONS if not callable(getattr(algorithm, each, None))]:
        raise InvalidArgument(
            f"the algorithm {algorithm.__qualname__} has no {', '.join(missing)}, and real processes need "
            f"{', '.join(_OPERATIONS)}; `slotmem check` also asks about a part of an algorithm"
        )

    class OnRealMemory(algorithm, _Rest):  # type: ignore[misc]
        def __init__(self, image: Any) -> None:
            algorithm.__init__(self, RealImage(image, algorithm))

    OnRealMemory.__name__ = algorithm.__name__
    return OnRealMemory
