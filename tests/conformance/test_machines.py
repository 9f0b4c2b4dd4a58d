"""The providers and the specification are held together by random programs, and wrong providers are
told apart.
"""

import hashlib
import logging
from functools import partial

import pytest
from hypothesis import seed

import slotmem
from slotmem.memory import files, segment
from slotmem.slots import Slots
from slotmem_conformance.machines import server as server_machine
from slotmem_conformance.machines import slots as slots_machine
from slotmem_conformance.machines.driving import Difference


def make(kind, runtime_dir, generation=0, **options):
    return slotmem.provider(kind, runtime_dir=runtime_dir, generation=generation, **options)


@pytest.fixture(autouse=True)
def no_warnings_about_spoiled_files():
    """The library warns of each bad file; here hundreds are made."""
    logger = logging.getLogger("slotmem")
    before = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(before)


@pytest.mark.parametrize("kind", ["shm", "plain"])
def test_slots_behave_as_specified(kind, tmp_path):
    """Random programs of all flags, sizes 0 to 70, partial lengths and bad ids give what the
    specification gives.
    """
    slots_machine.run(partial(make, kind, tmp_path), examples=400)


@pytest.mark.parametrize(("kind", "shared"), [("shm", True), ("plain", False)])
def test_servers_behave_as_specified(kind, shared, tmp_path):
    """Random lives of servers leave the names, bytes and files that the specification has."""
    server_machine.run(partial(make, kind), shared=shared, examples=300, base=str(tmp_path))


class HighestFree(Slots):
    def grab(self):
        ids = [item_id for item_id in range(self.item_num) if not self.inuse[item_id]]
        if ids:
            self.fgrab(ids[-1])
            return ids[-1]
        return super().grab()


class GrabClears(Slots):
    def grab(self):
        item_id = super().grab()
        self.dptr(item_id)[:] = bytes(self.item_size)
        return item_id


class ReleaseCountsFree(Slots):
    def release(self, item_id):
        if not self.inuse[self.checked_id(item_id)]:
            self.num_free[0] += 1
        super().release(item_id)


class FgrabCountsTwice(Slots):
    def fgrab(self, item_id):
        if self.inuse[self.checked_id(item_id)] and self.num_free[0]:
            self.num_free[0] -= 1
        super().fgrab(item_id)


class GetWithoutCheck(Slots):
    def get(self, item_id, nbytes=None):
        nbytes = self.item_size if nbytes is None else self.checked_length(nbytes)
        return bytes(self.dptr(item_id)[:nbytes])


class PutClearsRest(Slots):
    def put(self, item_id, data):
        super().put(item_id, data + bytes(max(0, self.item_size - len(data))))


class DoallVisitsFree(Slots):
    def doall(self, func, data=None):
        return next((status for item_id in range(self.item_num) if (status := func(self.dptr(item_id), data))), 0)


class GetTakesTooMuch(Slots):
    def checked_length(self, nbytes):
        return min(nbytes, self.item_size)


@pytest.mark.parametrize(
    ("variant", "clause"),
    [
        (HighestFree, "GRAB-2"),
        (GrabClears, "GRAB-3"),
        (ReleaseCountsFree, "COUNT-2"),
        (FgrabCountsTwice, "COUNT-2"),
        (GetWithoutCheck, "GET-"),
        (PutClearsRest, "PUT-3"),
        (DoallVisitsFree, "DOALL-2"),
        (GetTakesTooMuch, "(GET|PUT)-5"),  # whichever is met first
    ],
)
def test_a_wrong_algorithm_is_told_apart(variant, clause, tmp_path):
    """A variant with one mistake breaks the clause that is about it, by a program of a few
    lines.
    """
    with pytest.raises(Difference, match=clause) as caught:
        # Far more than are needed as a rule: which ones come changes with any of our sources, of
        # which Hypothesis reads constants.
        slots_machine.run(partial(make, "plain", tmp_path, algorithm=variant), examples=4000)
    program = str(caught.value).split("the program", 1)[1].splitlines()
    assert len(program) <= 8


@pytest.mark.parametrize(
    ("module", "name", "wrong", "clause"),
    [
        (files, "cleared", lambda shape, payload: payload, "STORE-3"),
        (files, "describe", lambda shape: bytes(16), "BYTES-2"),
        (files, "set_aside", lambda path: files.os.unlink(path) or "", "RESTORE-3"),
        (segment, "_flock", lambda fd, how: True, "CREATE-5|BYTES-1"),
        (files, "_digest", hashlib.sha1, "BYTES-2"),
    ],
)
def test_a_wrong_server_is_told_apart(module, name, wrong, clause, tmp_path, monkeypatch):
    """A provider with one wrong function breaks the clause that is about it."""
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(Difference, match=clause):
        server_machine.run(partial(make, "shm"), shared=True, examples=4000, base=str(tmp_path))


def test_a_seed_repeats_a_run(tmp_path):
    """The same seed finds the same shortest program."""
    said = []
    for _ in range(2):
        with pytest.raises(Difference) as caught:
            slots_machine.run(partial(make, "plain", tmp_path, algorithm=HighestFree), examples=400, seed=7)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert seed is not None
