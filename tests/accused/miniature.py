"""A right implementation in memory, small enough to be made wrong in one place (`miniatures`)."""

import threading
from typing import ClassVar

OK = {"status": "APR_SUCCESS"}


def status(name):
    return {"status": f"APR_{name}"}


class Segment:
    def __init__(self, item_size, item_num, pregrab):
        self.item_size, self.item_num, self.pregrab = item_size, item_num, pregrab
        self.inuse = [False] * item_num
        self.data = [bytearray(item_size) for _ in range(item_num)]


class Miniature:
    """Do everything right."""

    clause: ClassVar[str] = ""
    killable = False
    hello: ClassVar[dict] = {
        "protocol": 1,
        "implementation": "miniature",
        "version": "1",
        "language": "Python",
        "capabilities": ["restart", "dptr", "doall"],
    }

    def __init__(self, *, runtime_dir, generation=0, process=False):
        self.generation, self.segments, self.named = generation, [], {}
        self.lock = threading.Lock()
        self.ended = False

    def request(self, request):
        with self.lock:
            if self.ended:
                return status("ENOSHMAVAIL")
            arguments = {name: value for name, value in request.items() if name != "op"}
            if "segment" not in arguments:
                return getattr(self, request["op"])(**arguments)
            segment = self.segments[arguments.pop("segment")]
            if segment is None:
                return status("ENOSHMAVAIL")
            if "id" in arguments:
                arguments["item_id"] = arguments.pop("id")
                if not self.has(segment, arguments["item_id"]):
                    return status("EINVAL")
            return getattr(self, request["op"])(segment, **arguments)

    def kill(self):
        raise NotImplementedError

    def close(self):
        self.ended = True
        return OK

    def has(self, segment, item_id):
        return 0 <= item_id < segment.item_num

    def is_anonymous(self, name):
        return name is None or name.lower() in ("", "none")

    def create(self, name, item_size, item_num, type):
        if name is not None and ("\0" in name or ".." in name.split("/")):
            return status("EINVAL")
        if not self.is_anonymous(name) and name in self.named:
            return self.open(self.named[name])
        if item_size * item_num + item_num + 2**20 >= 2**63:
            return status("EINVAL")
        if item_size * item_num >= 2**40:
            return status("ENOSPC")
        segment = Segment(item_size, item_num, "PREGRAB" in type)
        if not self.is_anonymous(name):
            self.named[name] = segment
        return self.open(segment)

    def open(self, segment):
        self.segments.append(segment)
        return OK | {"segment": len(self.segments) - 1}

    def attach(self, name, unsafe=False):
        if name is not None and ("\0" in name or ".." in name.split("/")):
            return status("EINVAL")
        if self.is_anonymous(name):
            return status("ENOSHMAVAIL")
        if name not in self.named:
            return status("ENOENT")
        segment = self.named[name]
        return self.open(segment) | {"item_size": segment.item_size, "item_num": segment.item_num}

    def restart(self):
        self.segments = [None] * len(self.segments)
        self.named, self.generation = {}, self.generation + 1
        return OK | {"generation": self.generation}

    def grab(self, segment):
        if all(segment.inuse):
            return status("EINVAL")
        item_id = segment.inuse.index(False)
        segment.inuse[item_id] = True
        return OK | {"id": item_id}

    def fgrab(self, segment, item_id):
        segment.inuse[item_id] = True
        return OK

    def release(self, segment, item_id):
        if not segment.inuse[item_id]:
            return status("NOTFOUND")
        segment.inuse[item_id] = False
        return OK

    def get(self, segment, item_id, len=None):
        nbytes = segment.item_size if len is None else len
        if not 0 <= nbytes <= segment.item_size:
            return status("EINVAL")
        if segment.pregrab and not segment.inuse[item_id]:
            return status("NOTFOUND")
        segment.inuse[item_id] = True
        return OK | {"data": segment.data[item_id][:nbytes].hex()}

    def put(self, segment, item_id, data):
        data = bytes.fromhex(data)
        if len(data) > segment.item_size:
            return status("EINVAL")
        if segment.pregrab and not segment.inuse[item_id]:
            return status("NOTFOUND")
        segment.inuse[item_id] = True
        segment.data[item_id][: len(data)] = data
        return OK

    def dptr(self, segment, item_id, data=""):
        data = bytes.fromhex(data)
        segment.data[item_id][: len(data)] = data
        return OK | {"data": segment.data[item_id].hex()}

    def doall(self, segment, answers=()):
        seen, left = [], list(answers)
        for item_id in range(segment.item_num):
            if segment.inuse[item_id] or not segment.pregrab:
                seen.append(segment.data[item_id].hex())
                answer = left.pop(0) if left else "APR_SUCCESS"
                if answer != "APR_SUCCESS":
                    return {"status": answer, "slots": seen}
        return OK | {"slots": seen}

    def num_slots(self, segment):
        return OK | {"value": segment.item_num}

    def num_free_slots(self, segment):
        return OK | {"value": segment.inuse.count(False)}

    def slot_size(self, segment):
        return OK | {"value": segment.item_size}
