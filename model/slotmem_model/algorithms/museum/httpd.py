"""The museum, first room: mistakes in what an operation does, many of them from httpd's history.

Each is httpd's algorithm under its caller's mutex with one thing changed, so that the mistake shows
without any race, or in spite of the lock. The first line of a class says what is wrong with it.
"""

from __future__ import annotations

from slotmem_model.algorithms.base import Refused
from slotmem_model.algorithms.httpd_locked import HttpdLocked
from slotmem_model.automata.shared_words import SLOTS_START
from slotmem_model.spec import EINVAL, NOTFOUND


class ReleaseFreeCounted(HttpdLocked):
    """release of a free slot is refused, and counted all the same."""

    def give_back(self, item_id: int) -> None:
        used = self.inuse[item_id]
        self.clear(item_id)
        if not used:
            raise Refused(NOTFOUND)


class ReleaseFreeAllowed(HttpdLocked):
    """release does not check whether the slot is in use."""

    def give_back(self, item_id: int) -> None:
        self.clear(item_id)


class ReleaseUncounted(HttpdLocked):
    """release forgets the counter."""

    def clear(self, item_id: int) -> None:
        self.inuse[item_id] = 0


class GrabUnmarked(HttpdLocked):
    """grab counts the slot but does not mark it."""

    def mark(self, item_id: int) -> None:
        del item_id
        self.count(-1)


class GrabUncounted(HttpdLocked):
    """grab marks the slot but does not count it."""

    def mark(self, item_id: int) -> None:
        self.inuse[item_id] = 1


class GrabHighest(HttpdLocked):
    """grab takes the highest free slot."""

    def lowest_free(self) -> int:
        free = [item_id for item_id in range(self.item_num) if not self.inuse[item_id]]
        return max(free, default=-1)


class GrabSkipsLast(HttpdLocked):
    """grab never looks at the last slot."""

    def lowest_free(self) -> int:
        return next((item_id for item_id in range(self.item_num - 1) if not self.inuse[item_id]), -1)


class GrabFullGivesLast(HttpdLocked):
    """grab of a full segment returns the last slot instead of an error."""

    def take(self) -> int:
        try:
            return super().take()
        except Refused:
            return self.item_num - 1


class GrabFullCounted(HttpdLocked):
    """grab counts before it knows whether there is a free slot."""

    def take(self) -> int:
        self.count(-1)
        item_id = self.lowest_free()
        if item_id < 0:
            raise Refused(EINVAL)
        self.inuse[item_id] = 1
        return item_id


class GrabClears(HttpdLocked):
    """grab wipes the slot, though its old contents should stay."""

    def mark(self, item_id: int) -> None:
        super().mark(item_id)
        self.write(item_id, bytes(self.item_size))


class ReleaseClears(HttpdLocked):
    """release wipes the slot, though its contents should stay."""

    def clear(self, item_id: int) -> None:
        super().clear(item_id)
        self.write(item_id, bytes(self.item_size))


class FgrabCountsTwice(HttpdLocked):
    """fgrab counts a slot off that was in use already."""

    def take_this(self, item_id: int) -> None:
        self.mark(item_id)


class FgrabRefuses(HttpdLocked):
    """fgrab of a slot in use is an error, where httpd changes nothing and succeeds."""

    def take_this(self, item_id: int) -> None:
        if self.inuse[item_id]:
            raise Refused(EINVAL)
        self.mark(item_id)


class GetUnchecked(HttpdLocked):
    """get does not check whether the slot is in use."""

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        self.check(item_id)
        return self.read(item_id, nbytes)


class PutUnchecked(HttpdLocked):
    """put does not check whether the slot is in use."""

    def put(self, item_id: int, data: bytes) -> None:
        self.check(item_id)
        self.write(item_id, data)


class PutBeyond(HttpdLocked):
    """put writes one byte more than the slot has."""

    def write(self, item_id: int, data: bytes) -> None:
        super().write(item_id, data + data[-1:])


class GetBeyond(HttpdLocked):
    """get reads one byte more than the slot has."""

    def read(self, item_id: int, nbytes: int | None = None) -> bytes:
        del nbytes
        start = SLOTS_START + item_id * self.item_size
        data: bytes = self.memory[start : start + self.item_size + 1]
        return data


class PutShort(HttpdLocked):
    """put leaves the last byte out."""

    def write(self, item_id: int, data: bytes) -> None:
        super().write(item_id, data[:-1])


class GetUnmarked(HttpdLocked):
    """Without PREGRAB, get does not mark the slot, though it should."""

    def get(self, item_id: int, nbytes: int | None = None) -> bytes:
        return self.read(item_id, nbytes)
