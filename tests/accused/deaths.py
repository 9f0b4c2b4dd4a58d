"""Algorithms that handle deaths wrongly: each is the reference with one mistake in what it does
when the last owner of a mutex has died. `algorithm:accused.deaths:NAME`.

While nobody dies each of them is right, and so it is after a death too if another operation comes
first. `FOUND_BY` says which case must find which.
"""

from slotmem.memory.mutex import EBUSY, ENOTRECOVERABLE, EOWNERDEAD
from slotmem.slots import TABLE, Slots


class Dying(Slots):
    """Knows which operation takes over a dead owner's mutex, and does so wrongly in some."""

    wrong_in = ()
    """The operations that take over wrongly; none: all of them."""
    doing = ""
    item_id = -1

    def take_over(self, which):
        """Do the wrong thing with the mutex of the dead, which is held and consistent."""

    def declare(self, which):
        """Declare the mutex of the dead consistent."""
        self.consistent(self.mutexes[which])

    def _enter(self, which, status):
        if status == EBUSY:
            status = self.image.lock(self.mutexes[which])
        if status == EOWNERDEAD and (self.doing in self.wrong_in or not self.wrong_in):
            self.declare(which)
            self.take_over(which)
            return 0
        return super()._enter(which, status)


def _noting(operation):
    def noted(self, item_id=-1, *rest):
        self.doing, self.item_id = operation, item_id
        return getattr(super(Dying, self), operation)(*(() if item_id == -1 else (item_id, *rest)))

    return noted


for _operation in ("grab", "fgrab", "release", "get", "put", "num_free_slots"):
    setattr(Dying, _operation, _noting(_operation))


class GrabNeverRepairs(Dying):
    """Grab after a death counts on from a counter that is one off."""

    wrong_in = ("grab",)


class FgrabNeverRepairs(Dying):
    """Fgrab after a death counts on from a counter that is one off."""

    wrong_in = ("fgrab",)


class ReleaseNeverRepairs(Dying):
    """Release after a death counts on from a counter that is one off."""

    wrong_in = ("release",)


class CountNeverRepairs(Dying):
    """Num_free_slots after a death gives a counter that is one off."""

    wrong_in = ("num_free_slots",)


class GetNeverRepairs(Dying):
    """Get after a death reads a half-written slot."""

    wrong_in = ("get",)


class PutNeverRepairs(Dying):
    """Put after a death writes over the record of another slot's put, which is never finished."""

    wrong_in = ("put",)


class OwnSlotOnly(Dying):
    """A put that died is finished by operations on its own slot, forgotten by those on others."""

    wrong_in = ("get", "put")

    def take_over(self, which):
        word = self.stripe_redo[which - self.first_stripe][2]
        if self.words[word] - 1 != self.item_id:
            self.words[word] = 0
        self.repair(which)


class GrabLosesASlot(Dying):
    """Grab after a death takes another slot as well, for the dead, who may not have asked."""

    wrong_in = ("grab",)

    def take_over(self, which):
        lost = self.memory.find(b"\0", self.inuse_start, self.payload_end)
        if lost >= 0:
            self.memory[lost] = 1
        self.repair(which)


class ReleaseCountsTwice(Dying):
    """Release after a death counts its slot in twice."""

    wrong_in = ("release",)

    def take_over(self, which):
        self.repair(which)
        self.num_free[0] += 1


class GetInconsistent(Dying):
    """Get after a death repairs and does not say so; nothing is revived, and the mutex is lost."""

    wrong_in = ("get",)

    def __init__(self, image):
        super().__init__(image)
        self.image.revive = lambda mutex: ENOTRECOVERABLE

    def declare(self, which):
        return

    def take_over(self, which):
        self.repair(which)


class NoRecount(Dying):
    """Without PREGRAB the put of the dead is finished, its slot marked, and not counted off."""

    def take_over(self, which):
        free = self.num_free[0]
        self.repair(which)
        if which == TABLE and not self.pregrab:
            self.num_free[0] = free


FOUND_BY = {
    GrabNeverRepairs: "KILL-4/grab-and-release",
    FgrabNeverRepairs: "KILL-4/fgrab-and-release",
    ReleaseNeverRepairs: "KILL-4/grab-and-release",
    CountNeverRepairs: "KILL-4/grab-and-release",
    GetNeverRepairs: "KILL-2/put",
    PutNeverRepairs: "KILL-2/put",
    OwnSlotOnly: "KILL-2/put",
    GrabLosesASlot: "KILL-4/num_free_slots",
    ReleaseCountsTwice: "KILL-4/num_free_slots",
    GetInconsistent: "KILL-3/get",
    NoRecount: "KILL-4/put-that-marks-without-pregrab",
}
