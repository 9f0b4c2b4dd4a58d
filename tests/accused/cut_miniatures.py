"""Miniatures that are right while all is small: numbers are cut, tails lost, names shortened."""

from accused.miniature import OK, Miniature, status


class IdsInAByte(Miniature):
    """Keep the id of a slot in a byte."""

    clause = "COUNT-2"

    def put(self, segment, item_id, data):
        return super().put(segment, item_id % 256, data)

    def get(self, segment, item_id, len=None):
        return super().get(segment, item_id % 256, len)

    def fgrab(self, segment, item_id):
        return super().fgrab(segment, item_id % 256)


class IdsInTwoBytes(Miniature):
    """Keep the id of a slot in two bytes."""

    clause = "COUNT-2"

    def fgrab(self, segment, item_id):
        return super().fgrab(segment, item_id % 65536)


class CountsInAByte(Miniature):
    """Keep the number of free slots in a byte."""

    clause = "COUNT-2"

    def num_free_slots(self, segment):
        return OK | {"value": segment.inuse.count(False) % 256}


class CountsInTwoBytes(Miniature):
    """Keep the number of free slots in two bytes."""

    clause = "COUNT-2"

    def num_free_slots(self, segment):
        return OK | {"value": segment.inuse.count(False) % 65536}


class LengthsInAByte(Miniature):
    """Keep the length of a put in a byte."""

    clause = "PUT-1"

    def put(self, segment, item_id, data):
        return super().put(segment, item_id, data[: 2 * (len(data) // 2 % 256)])


class LengthsInTwoBytes(Miniature):
    """Keep the length of a put in two bytes."""

    clause = "PUT-1"

    def put(self, segment, item_id, data):
        return super().put(segment, item_id, data[: 2 * (len(data) // 2 % 65536)])


class GetsAPage(Miniature):
    """Get at most a page of a slot."""

    clause = "PUT-1"

    def get(self, segment, item_id, len=None):
        got = super().get(segment, item_id, len)
        return got | {"data": got["data"][: 2 * 4096]} if "data" in got else got


class LosesTheTail(Miniature):
    """Look for a free slot in whole words of eight only, once there is one."""

    clause = "GRAB-1"

    def grab(self, segment):
        whole = segment.item_num // 8 * 8 or segment.item_num
        if all(segment.inuse[:whole]):
            return status("EINVAL")
        return super().grab(segment)


class LosesTheTailOf64(Miniature):
    """Look for a free slot in whole words of sixty-four only, once there is one."""

    clause = "GRAB-1"

    def grab(self, segment):
        whole = segment.item_num // 64 * 64 or segment.item_num
        if all(segment.inuse[:whole]):
            return status("EINVAL")
        return super().grab(segment)


class WalksSixtyFour(Miniature):
    """Stop a walk after sixty-four slots."""

    clause = "DOALL-1"

    def doall(self, segment, answers=()):
        got = super().doall(segment, answers)
        return got | {"slots": got["slots"][:64]}


class WalksAByte(Miniature):
    """Count the slots of a walk in a byte."""

    clause = "DOALL-1"

    def doall(self, segment, answers=()):
        got = super().doall(segment, answers)
        return got | {"slots": got["slots"][: len(got["slots"]) % 256 or 256]}


class _Renaming(Miniature):
    """Know a segment by another name than the one it was given."""

    clause = "NAME-8"

    def known(self, name):
        """Return what the segment is known by."""
        raise NotImplementedError

    def create(self, name, item_size, item_num, type):
        return super().create(name and self.known(name), item_size, item_num, type)

    def attach(self, name, unsafe=False):
        return super().attach(name and self.known(name))


class NamesFolded(_Renaming):
    """Treat capital letters in a name as small ones."""

    def known(self, name):
        return name.lower()


class NamesCut(_Renaming):
    """Keep the first sixty-three characters of a name."""

    def known(self, name):
        return name[:63]


class NamesCutLate(_Renaming):
    """Keep the first hundred and twenty-seven characters of a name."""

    def known(self, name):
        return name[:127]


class SeparatorsAlike(_Renaming):
    """Treat every character of a name that is neither letter nor digit as the same one."""

    def known(self, name):
        return "".join(sign if sign.isalnum() else "_" for sign in name)


class AccentsFolded(_Renaming):
    """Treat an accent that is a character of its own as part of the letter before it."""

    def known(self, name):
        return name.replace("e\u0301", "\u00e9")


class NoneAsAPrefix(Miniature):
    """Treat a name that begins with "none" as anonymous memory."""

    clause = "ATTACH-1"

    def is_anonymous(self, name):
        return name is None or name == "" or name.lower().startswith("none")


class PrefixOfAName(Miniature):
    """Attach a segment whose name merely begins with the one given."""

    clause = "ATTACH-3"

    def attach(self, name, unsafe=False):
        found = next((known for known in self.named if name and known.startswith(name)), name)
        return super().attach(found)


class SegmentsInAByte(Miniature):
    """Keep the number of a segment in a byte."""

    clause = "CREATE-1"

    def request(self, request):
        if "segment" in request:
            request = request | {"segment": request["segment"] % 256}
        return super().request(request)


class GenerationsInAByte(Miniature):
    """Keep the generation in a byte."""

    clause = "RESTART-3"

    def restart(self):
        got = super().restart()
        return got | {"generation": got["generation"] % 256}


WRONG = [
    each
    for each in vars().copy().values()
    if isinstance(each, type) and issubclass(each, Miniature) and each is not Miniature and each.__name__[0] != "_"
]
