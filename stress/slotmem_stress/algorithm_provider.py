"""The provider `algorithm:NAME`: an algorithm of the model, or anybody's of that shape, on real shared memory.

What the checker finds on simulated memory can be watched happening: `slotmem stress algorithm:httpd`. NAME is what
`slotmem_model.algorithms.catalogue.find` takes: httpd, httpd-locked, reference, museum:PIECE, module:Class.

The segments are those of `shm`, with its names and its bytes. Nothing is stored: an algorithm is the slot operations alone, and says nothing of
snapshots. Algorithms are for segments with PREGRAB or without, as they say.
"""

from __future__ import annotations

from typing import Any, Self

from slotmem import InvalidArgument, Type
from slotmem.layout import SLOTS_START
from slotmem.shm import ShmProvider
from slotmem_model.algorithms import catalogue
from slotmem_stress.real_image import RealImage


class AlgorithmProvider(ShmProvider):
    """`slotmem.shm.ShmProvider` with the slot operations of another class."""

    def __init__(self, algorithm: Any, **options: Any) -> None:
        super().__init__(algorithm=on_real_memory(algorithm), **options)
        self._robust: bool = getattr(algorithm, "robust", True)

    @classmethod
    def from_spec(cls, argument: str, **options: Any) -> Self:
        """Make it for a name. Raises: InvalidArgument: lists the names there are."""
        try:
            return cls(catalogue.find(argument), **options)
        except ValueError as error:
            raise InvalidArgument(str(error)) from error

    def _create(self, found: Any, item_size: int, item_num: int, type: Type, replace: bool) -> Any:
        if type & Type.PERSIST:
            raise InvalidArgument("an algorithm says nothing of storing; create its segments without PERSIST")
        instance = super()._create(found, item_size, item_num, type, replace)
        if not self._robust:
            instance.algorithm().image.make_plain()
        return instance


def on_real_memory(algorithm: Any) -> Any:
    """Give what a provider makes of a real image: the algorithm, with what an instance wants besides."""
    if not isinstance(algorithm, type):
        raise InvalidArgument(f"an algorithm is a class, got {algorithm!r}")

    class OnRealMemory(algorithm):  # type: ignore[misc]
        def __init__(self, image: Any) -> None:
            super().__init__(RealImage(image, algorithm))

        def dptr(self, item_id: int) -> memoryview:
            """Give the memory of a slot itself."""
            start = SLOTS_START + item_id * self.item_size
            return memoryview(self.image.memory)[start : start + self.item_size]

    OnRealMemory.__name__ = algorithm.__name__
    return OnRealMemory
