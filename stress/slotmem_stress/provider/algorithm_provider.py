"""The provider `algorithm:NAME`: an algorithm of the model, or anybody's of that shape, on real shared memory.

What the checker finds on simulated memory can be watched happening: `slotmem stress algorithm:httpd`. NAME is what
`slotmem_model.algorithms.catalogue.find` takes: httpd, httpd-locked, reference, museum:PIECE, module:Class.

The segments are those of `shm`, with its names, bytes and files. An algorithm is the slot operations alone: what an instance wants
besides (walks, pointers, the snapshot that is stored) is given to it here, without locks. Algorithms are for segments with
PREGRAB or without, as they say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from slotmem import InvalidArgument, Type
from slotmem.bounds import Bounded
from slotmem.memory.layout import PAYLOAD_START
from slotmem.shm import ShmProvider
from slotmem.slots import Slots
from slotmem_model.algorithms import catalogue
from slotmem_stress.provider.real_image import RealImage


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
        instance = super()._create(found, item_size, item_num, type, replace)
        if not self._robust:
            instance.algorithm().image.make_plain()
        return instance


class _Rest(Bounded):
    """What an algorithm may lack."""

    image: Any

    doall = Slots.doall
    dptr = Slots.dptr

    def slots(self) -> Iterator[int]:
        """Iterate over the ids in use."""
        return (item_id for item_id, used in enumerate(bytes(self.image.inuse)) if used)

    def snapshot(self) -> bytes:
        """Copy the payload as it is."""
        payload: bytes = self.image.memory[PAYLOAD_START : self.image.geometry.apr_length]
        return payload


def on_real_memory(algorithm: Any) -> Any:
    """Give what a provider makes of a real image: the algorithm, with what an instance wants besides."""
    if not isinstance(algorithm, type):
        raise InvalidArgument(f"an algorithm is a class, got {algorithm!r}")

    class OnRealMemory(algorithm, _Rest):  # type: ignore[misc]
        def __init__(self, image: Any) -> None:
            algorithm.__init__(self, RealImage(image, algorithm))

    OnRealMemory.__name__ = algorithm.__name__
    return OnRealMemory
