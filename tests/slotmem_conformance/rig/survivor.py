"""A server that survives the deaths of others: it does one operation first, then looks for damage.

Interface: `Survivor(rig, nbytes, flags)` creates a segment `w` of SLOTS slots as server 0 of the
rig, with slots 0, 1 and its own, NEIGHBOUR, in use. `begin(first)` does one of FIRSTS and checks
its answer; `see_whole`, `do_all` and `count` check what the clauses ask. `operations(during,
nbytes)` is what the victims do.

What is wrong is raised as Failed, with `when` in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig import batches
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import shown

SLOTS = 33
NEIGHBOUR = 32
"""The survivor's own slot. It shares a lock with slot 0 where slots share 1, 2, 4 ... 32 locks."""
SIGN = 5
"""The slot that a driver's batch takes first, which shows that it has begun."""
_HELD = (0, 1, NEIGHBOUR)

_UNDONE_BY = {"release 1": "fgrab 1", "fgrab 2": "release 2"}
FIRSTS: dict[str, tuple[str, ...]] = {
    "KILL-2": (f"get {NEIGHBOUR}", f"put {NEIGHBOUR}", "get 0", "put 0"),
    "KILL-4": ("grab", "fgrab 2", "release 1", "num_free_slots"),
}
ALL_FIRSTS = (*FIRSTS["KILL-2"], *FIRSTS["KILL-4"])
FIRSTS["KILL-3"] = ALL_FIRSTS


def operations(during: str, nbytes: int) -> list[Request]:
    """Return what the victims do; slots 0 and 1 are in use, 5 is the sign's."""
    take: list[Request] = [{"op": "grab"}, {"op": "release", "id": 2}, {"op": "release", "id": 3}]
    mark: list[Request] = [{"op": "fgrab", "id": 2}, {"op": "release", "id": 2}]
    puts: list[Request] = [
        {"op": "put", "id": item_id, "data": f"{value:02x}" * nbytes}
        for item_id, value in ((0, 0x11), (0, 0x22), (1, 0x33), (1, 0x44))
    ]
    get: Request = {"op": "get", "id": 0}
    count: Request = {"op": "num_free_slots"}
    touch: list[Request] = [{**puts[0], "id": 2}, {"op": "release", "id": 2}, {"op": "get", "id": 3}, *take[1:]]
    kinds = {
        "grab-and-release": take,
        "fgrab-and-release": mark,
        "put": puts[:2],
        "get": [get],
        "num_free_slots": [count],
        "anything": [take[0], *puts, *take[1:], get, *mark, count],
        "put-that-marks": touch,  # without PREGRAB
    }
    return kinds[during]


class Survivor:
    """A server that has the segment too, does one operation first, and then looks for damage."""

    def __init__(self, rig: Rig, nbytes: int, flags: str = "PREGRAB") -> None:
        self.when = ""
        self._rig, self._nbytes = rig, nbytes
        self._given = {0: {0x22}, 1: {0x33, 0x44}, NEIGHBOUR: set[int]()}
        """What was put into each slot, by the victims or here."""
        rig.must(f"create w {nbytes} {SLOTS} {flags}; fgrab 0; fgrab 1; fgrab {NEIGHBOUR}")
        self._mine = 0x11
        """What is in the neighbour of slot 0, which nobody else touches."""
        for item_id in _HELD:
            self._put(item_id, self._mine)

    def begin(self, first: str) -> None:
        """Do an operation, and check that its own answer is right."""
        rig = self._rig
        if first == "grab":
            grabbed = rig.value("grab", "id")
            if grabbed in _HELD:
                rig.fail(f"{self.when}, grab gave slot {grabbed}, which was in use all the time")
            rig.must(f"release {grabbed}")
        elif first in _UNDONE_BY:
            rig.must(f"{first}; {_UNDONE_BY[first]}")
        elif first.startswith("get"):
            self._get(int(first.split()[1]))
        elif first.startswith("put"):
            item_id, byte = int(first.split()[1]), self._mine % 0xF0 + 1
            self._put(item_id, byte)
            self._mine = byte if item_id == NEIGHBOUR else self._mine
            if (got := self._get(item_id)) != byte:
                rig.fail(f"{self.when}, slot {item_id} was filled with {byte:02x} but reads {got:02x}", "KILL-2")
        else:
            rig.must(first)

    def see_whole(self) -> None:
        """Check that no slot has parts of two puts, and that the survivor's own is as it left it
        (KILL-2).
        """
        answers = self._all([{"op": "get", "id": each} for each in _HELD])
        for item_id, got in zip(_HELD, answers, strict=True):
            byte = self._byte(item_id, got)
        if byte != self._mine:
            self._rig.fail(
                f"{self.when}, slot {NEIGHBOUR} reads {byte:02x}, where only {self._mine:02x} was put", "KILL-2"
            )
        self._tidied()

    def do_all(self) -> None:
        """Check that the survivor can do every operation (KILL-3)."""
        ids = (0, 1, 2, 3, 4, 5, NEIGHBOUR)
        data = f"{0x11:02x}" * self._nbytes
        asked: list[Request] = [{"op": "fgrab", "id": each} for each in ids]
        asked += [{"op": "put", "id": each, "data": data} for each in ids]
        asked += [{"op": "get", "id": each} for each in ids]
        asked += [{"op": "num_free_slots"}, {"op": "release", "id": 5}, {"op": "grab"}]
        self._mine = 0x11
        for item_id in ids:
            self._given.setdefault(item_id, set()).add(0x11)
        for request, answer in zip(asked, self._all(asked), strict=True):
            if answer.get("status") != "APR_SUCCESS":
                self._rig.fail(f"{self.when}, {request['op']} answered {shown(answer)}, must answer APR_SUCCESS")
        self._tidied()

    def count(self, *, marks_changed: bool = True) -> None:
        """Check that num_free_slots is the number of free slots (KILL-4), and that no slot's mark
        has changed if nobody changed any but that of the sign's slot.
        """
        rig = self._rig
        free, used = rig.ask("num_free_slots").get("value"), self._tidied()
        if free != SLOTS - len(used):
            rig.fail(f"{self.when}, num_free_slots is {free}, but {len(used)} of {SLOTS} slots are in use", "KILL-4")
        if not marks_changed and (seen := [at for at in used if at != SIGN]) != list(_HELD):
            rig.fail(f"{self.when}, the slots {seen} are in use, where nobody grabbed or released one")

    def _tidied(self) -> list[int]:
        """Return the slots in use, and leave only those in use that always are. Only a release can
        tell.
        """
        answers = self._all([{"op": "release", "id": each} for each in range(SLOTS)])
        self._all([{"op": "fgrab", "id": each} for each in _HELD])
        return [at for at, answer in enumerate(answers) if answer.get("status") == "APR_SUCCESS"]

    def _all(self, asked: Sequence[Request]) -> list[dict[str, Any]]:
        """Ask one after the other, in one batch if the implementation has that."""
        if "batch" in self._rig.session().hello["capabilities"]:
            answers: list[dict[str, Any]] = self._rig.send(0, {"op": "batch", "segment": 0, "requests": asked})[
                "responses"
            ]
            return answers
        return [self._rig.send(0, {**request, "segment": 0}) for request in asked]

    def _put(self, item_id: int, byte: int) -> None:
        self._given.setdefault(item_id, set()).add(byte)
        self._rig.send(0, {"op": "put", "segment": 0, "id": item_id, "data": f"{byte:02x}" * self._nbytes})

    def _get(self, item_id: int) -> int:
        """Get a slot that is filled with one byte; return the byte."""
        return self._byte(item_id, self._rig.ask(f"get {item_id}"))

    def _byte(self, item_id: int, got: dict[str, Any]) -> int:
        """Return the byte that fills a slot, from the answer to a get (KILL-2, whichever clause the
        case is about).
        """
        rig, nbytes, letters = self._rig, self._nbytes, got.get("data", "")
        if len(letters) != 2 * nbytes:
            rig.fail(f"{self.when}, get of slot {item_id} answered {shown(got)}, must give {nbytes} bytes")
        if letters != letters[:2] * nbytes:
            seen = batches.runs(bytes.fromhex(letters))
            rig.evidence = f"slot {item_id} {self.when}, while nobody was at work: {seen}"
            rig.fail(f"{self.when}, slot {item_id} is torn: {seen}", "KILL-2")
        byte = int(letters[:2], 16)
        if byte not in self._given[item_id]:
            rig.fail(f"{self.when}, slot {item_id} is filled with {letters[:2]}, which nobody put there", "KILL-2")
        return byte
