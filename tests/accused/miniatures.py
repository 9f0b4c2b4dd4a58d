"""A right implementation in a hundred lines, in the memory of this process, and wrong ones that
differ from it in one thing.

`Miniature` answers the requests of the protocol; one lock guards all of it. It knows nothing of
files and other processes. Each class below changes one thing, names the clause that this breaks,
and says in its docstring what it does.
"""

from accused.miniature import OK, Miniature, Segment, status


class NoneIsAName(Miniature):
    """Treat "none" as a name like any other."""

    clause = "NAME-1"

    def is_anonymous(self, name):
        return name is None or name == ""


class NoneInLowerCaseOnly(Miniature):
    """Know "none" in lower case only."""

    clause = "ATTACH-4"

    def is_anonymous(self, name):
        return name in (None, "", "none")


class NamesAlike(Miniature):
    """Look only at the first letter of a name."""

    clause = "ATTACH-3"

    def attach(self, name, unsafe=False):
        found = next((known for known in self.named if name and known[0] == name[0]), name)
        return super().attach(found)


class NamesClimb(Miniature):
    """Let a relative name climb."""

    clause = "NAME-7"

    def create(self, name, **shape):
        return super().create(name and name.replace("..", "up").replace("\0", "nul"), **shape)


class SwappedAtCreate(Miniature):
    """Make item_size slots of item_num bytes."""

    clause = "CREATE-1"

    def create(self, name, item_size, item_num, type):
        return super().create(name, item_num, item_size, type)


class SwappedAtAttach(Miniature):
    """Tell whoever attaches size and number swapped."""

    clause = "ATTACH-1"

    def attach(self, name, unsafe=False):
        got = super().attach(name)
        return got | {"item_size": got["item_num"], "item_num": got["item_size"]} if "segment" in got else got


class DirtyMemory(Miniature):
    """Begin with bytes that are not zero."""

    clause = "CREATE-2"

    def open(self, segment):
        for data in segment.data:
            data[:] = b"\xaa" * len(data)
        return super().open(segment)


class FirstInUse(Miniature):
    """Begin with the first slot in use."""

    clause = "CREATE-2"

    def open(self, segment):
        segment.inuse[:1] = [True] * min(1, segment.item_num)
        return super().open(segment)


class AnewAtCreate(Miniature):
    """Make the segment of a known name anew."""

    clause = "CREATE-3"

    def create(self, name, **shape):
        self.named.pop(name, None)
        return super().create(name, **shape)


class RefusesKnown(Miniature):
    """Refuse a name that this very server has."""

    clause = "CREATE-3"

    def create(self, name, **shape):
        return status("EEXIST") if name in self.named else super().create(name, **shape)


class RefusesNothing(Miniature):
    """Refuse a segment without slots."""

    clause = "CREATE-4"

    def create(self, name, item_size, item_num, type):
        return super().create(name, item_size, item_num, type) if item_num else status("EINVAL")


class SizeWraps(Miniature):
    """Multiply sizes in 64 bits."""

    clause = "CREATE-9"

    def create(self, name, item_size, item_num, type):
        fits = item_size * item_num % 2**64 < 2**30
        return (
            self.open(Segment(1, 1, False))
            if fits and item_size > 2**40
            else super().create(name, item_size, item_num, type)
        )


class CopyAtAttach(Miniature):
    """Give whoever attaches a copy."""

    clause = "ATTACH-2"

    def attach(self, name, unsafe=False):
        got = super().attach(name)
        if "segment" in got:
            self.segments[-1] = Segment(got["item_size"], got["item_num"], self.named[name].pregrab)
        return got


class OneIdTooMany(Miniature):
    """Accept the id item_num, as <= does instead of <."""

    clause = "ID-1"

    def has(self, segment, item_id):
        if item_id == segment.item_num:
            segment.inuse.append(False)
            segment.data.append(bytearray(segment.item_size))
        return 0 <= item_id <= segment.item_num


class IdsModulo(Miniature):
    """Keep ids in 20 bits."""

    clause = "ID-3"

    def request(self, request):
        wrapped = {"id": request["id"] % 2**20} if "id" in request and abs(request["id"]) >= 2**20 else {}
        return super().request(request | wrapped)


class StaysOpen(Miniature):
    """Let segments be used after a restart."""

    clause = "ID-2"

    def restart(self):
        kept = self.segments
        got = super().restart()
        self.segments = kept
        return got


class GrabsLast(Miniature):
    """Grab the highest free slot."""

    clause = "GRAB-2"

    def grab(self, segment):
        if all(segment.inuse):
            return status("EINVAL")
        item_id = max(item_id for item_id, used in enumerate(segment.inuse) if not used)
        segment.inuse[item_id] = True
        return OK | {"id": item_id}


class GrabsRoundRobin(Miniature):
    """Grab the next free slot after the last one."""

    clause = "GRAB-2"
    last = -1

    def grab(self, segment):
        order = [(self.last + 1 + step) % segment.item_num for step in range(segment.item_num)]
        free = [item_id for item_id in order if not segment.inuse[item_id]]
        if not free:
            return status("EINVAL")
        self.last = free[0]
        segment.inuse[self.last] = True
        return OK | {"id": self.last}


class GrabDoesNotMark(Miniature):
    """Give a slot and leave it free."""

    clause = "GRAB-1"

    def grab(self, segment):
        got = super().grab(segment)
        if "id" in got:
            segment.inuse[got["id"]] = False
        return got


class GrabClears(Miniature):
    """Clear the slot that is grabbed."""

    clause = "GRAB-3"

    def grab(self, segment):
        got = super().grab(segment)
        if "id" in got:
            segment.data[got["id"]][:] = bytes(segment.item_size)
        return got


class FullIsNotFound(Miniature):
    """Answer a grab that finds no free slot with APR_NOTFOUND."""

    clause = "GRAB-4"

    def grab(self, segment):
        return status("NOTFOUND") if all(segment.inuse) else super().grab(segment)


class FgrabRefuses(Miniature):
    """Refuse to fgrab a slot in use."""

    clause = "FGRAB-2"

    def fgrab(self, segment, item_id):
        return status("EINVAL") if segment.inuse[item_id] else super().fgrab(segment, item_id)


class FgrabGrabs(Miniature):
    """Mark the lowest free slot instead of the given one."""

    clause = "FGRAB-1"

    def fgrab(self, segment, item_id):
        self.grab(segment)
        return OK


class ReleaseDoesNothing(Miniature):
    """Say that a slot is released, and keep it."""

    clause = "RELEASE-1"

    def release(self, segment, item_id):
        return OK if segment.inuse[item_id] else status("NOTFOUND")


class ReleaseClears(Miniature):
    """Clear the slot that is released."""

    clause = "RELEASE-2"

    def release(self, segment, item_id):
        got = super().release(segment, item_id)
        segment.data[item_id][:] = bytes(segment.item_size)
        return got


class LinksFreeSlots(Miniature):
    """Keep the number of another free slot in the first byte of a slot that is released."""

    clause = "RELEASE-2"

    def release(self, segment, item_id):
        got = super().release(segment, item_id)
        free = [other for other, used in enumerate(segment.inuse) if not used and other != item_id]
        if got == OK and free and segment.item_size:
            segment.data[item_id][0] = free[0]
        return got


class ReleaseTwice(Miniature):
    """Let a free slot be released."""

    clause = "RELEASE-3"

    def release(self, segment, item_id):
        segment.inuse[item_id] = False
        return OK


class GetsAllAlways(Miniature):
    """Give the whole slot whatever the length."""

    clause = "GET-3"

    def get(self, segment, item_id, len=None):
        return super().get(segment, item_id, None if len is None or 0 <= len <= segment.item_size else len)


class GetsFree(Miniature):
    """Get a free slot though PREGRAB asks for a grab."""

    clause = "GET-2"

    def get(self, segment, item_id, len=None):
        used = segment.inuse[item_id]
        segment.inuse[item_id] = True
        got = super().get(segment, item_id, len)
        segment.inuse[item_id] = used or not segment.pregrab
        return got


class GetDoesNotMark(Miniature):
    """Leave a slot free that is got without PREGRAB."""

    clause = "GET-4"

    def get(self, segment, item_id, len=None):
        used = segment.inuse[item_id]
        got = super().get(segment, item_id, len)
        segment.inuse[item_id] = used
        return got


class GetsNeighbour(Miniature):
    """Give the next slot's bytes."""

    clause = "GET-1"

    def get(self, segment, item_id, len=None):
        got = super().get(segment, item_id, len)
        return (
            got | {"data": segment.data[item_id - 1][: len if len is not None else segment.item_size].hex()}
            if "data" in got
            else got
        )


class GetsBeyond(Miniature):
    """Give as many bytes as were asked for."""

    clause = "GET-5"

    def get(self, segment, item_id, len=None):
        got = super().get(segment, item_id, None if len is not None and len > segment.item_size else len)
        return got | {"data": got["data"].ljust(2 * (len or 0), "0")} if "data" in got else got


class PutClearsRest(Miniature):
    """Clear what comes after a short put."""

    clause = "PUT-3"

    def put(self, segment, item_id, data):
        return super().put(segment, item_id, data.ljust(2 * segment.item_size, "0"))


class PutsFree(Miniature):
    """Write to a free slot, and then say that it was not found."""

    clause = "PUT-2"

    def put(self, segment, item_id, data):
        if segment.pregrab and not segment.inuse[item_id] and len(data) <= 2 * segment.item_size:
            segment.data[item_id][: len(data) // 2] = bytes.fromhex(data)
        return super().put(segment, item_id, data)


class PutDoesNotMark(Miniature):
    """Leave a slot free that is put to without PREGRAB."""

    clause = "PUT-4"

    def put(self, segment, item_id, data):
        used = segment.inuse[item_id]
        got = super().put(segment, item_id, data)
        segment.inuse[item_id] = used
        return got


class EmptyPutDoesNotMark(Miniature):
    """Leave a slot free that nothing is put to, without PREGRAB."""

    clause = "STATE-2"

    def put(self, segment, item_id, data):
        used = segment.inuse[item_id]
        got = super().put(segment, item_id, data)
        if not data and not segment.pregrab:
            segment.inuse[item_id] = used
        return got


class PutTruncates(Miniature):
    """Put the beginning of what is too long."""

    clause = "PUT-5"

    def put(self, segment, item_id, data):
        return super().put(segment, item_id, data[: 2 * segment.item_size])


class PutShort(Miniature):
    """Forget the last byte."""

    clause = "PUT-1"

    def put(self, segment, item_id, data):
        return super().put(segment, item_id, data[:-2] if len(data) == 2 * segment.item_size else data)


class WalksBackwards(Miniature):
    """Walk from the last slot to the first."""

    clause = "DOALL-1"

    def doall(self, segment, answers=()):
        got = super().doall(segment, answers)
        return got if answers else got | {"slots": got["slots"][::-1]}


class WalksFree(Miniature):
    """Walk over free slots too, with PREGRAB."""

    clause = "DOALL-2"

    def doall(self, segment, answers=()):
        pregrab, segment.pregrab = segment.pregrab, False
        got = super().doall(segment, answers)
        segment.pregrab = pregrab
        return got


class WalksOn(Miniature):
    """Go on whatever the callback says."""

    clause = "DOALL-3"

    def doall(self, segment, answers=()):
        return super().doall(segment)


class ForgetsStatus(Miniature):
    """Stop a walk and say that all went well."""

    clause = "DOALL-3"

    def doall(self, segment, answers=()):
        return super().doall(segment, answers) | OK


class PointsToCopy(Miniature):
    """Give a copy of the slot as its pointer."""

    clause = "DPTR-1"

    def dptr(self, segment, item_id, data=""):
        before = bytes(segment.data[item_id])
        got = super().dptr(segment, item_id, data)
        segment.data[item_id][:] = before
        return got


class CountsUsed(Miniature):
    """Count the slots in use."""

    clause = "COUNT-2"

    def num_free_slots(self, segment):
        return OK | {"value": segment.inuse.count(True)}


class ShapeSwapped(Miniature):
    """Say the size when asked for the number."""

    clause = "COUNT-1"

    def num_slots(self, segment):
        return OK | {"value": segment.item_size}


class SurvivesRestart(Miniature):
    """Keep names over a restart."""

    clause = "RESTART-2"

    def restart(self):
        kept = self.named
        got = super().restart()
        self.named = kept
        return got


class SameGeneration(Miniature):
    """Stay in the generation."""

    clause = "RESTART-3"

    def restart(self):
        return super().restart() | {"generation": 0}


def _all(of):
    return [each for direct in of.__subclasses__() for each in (direct, *_all(direct))]


WRONG = [each for each in _all(Miniature) if each.__module__ == __name__]
