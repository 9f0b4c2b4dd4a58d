"""The clients of a stress run: what they choose, what they record; and how long the rounds are."""

import json

import pytest

import slotmem
from slotmem_model.verdict import HELD
from slotmem_stress.history.judging import Judged
from slotmem_stress.history.lines import export
from slotmem_stress.history.reading import read
from slotmem_stress.history.records import HEAD, KINDS, VALUE, Description, Recorder
from slotmem_stress.run.client import Client, Rules, Stuck
from slotmem_stress.run.pace import Pace
from slotmem_stress.run.settings import Settings


def test_clients_of_their_own_slots_do_not_meet(tmp_path):
    """With fgrab and without grab in the mix a client takes, writes and releases no slot but its
    own.
    """
    did = []
    rules = Rules(6, 16, (("fgrab", 1), ("put", 1), ("get", 1), ("release", 1)), 3, seats=2)
    with slotmem.provider("plain", runtime_dir=tmp_path) as provider:
        instance = provider.create(None, 16, 6, slotmem.Type.PREGRAB)
        for seat in (0, 1):
            looks = iter([True] * 20 + [False])
            folder = tmp_path / str(seat)
            folder.mkdir()
            Client(seat + 1, rules, seat).work(
                instance, Recorder(str(folder), seat + 1), lambda _, looks=looks: next(looks)
            )
            Description(6, 16).write(str(folder))
            objects = [json.loads(line) for line in list(export(read(str(folder))))[1:]]
            did.append({kind: {done["slot"] for done in objects if done["op"] == kind} for kind in KINDS})
    for seat, kinds in enumerate(did):
        own = set(range(seat, 6, 2))
        assert kinds["fgrab"] == kinds["put"] == kinds["release"] == own
        assert kinds["get"] == set(range(6))
        assert not kinds["grab"]


def test_the_seed_fixes_every_choice(tmp_path):
    """The same seed and number do the same operations; another of either does others."""

    def does(seed, number, folder):
        folder.mkdir()
        looks = iter([True] * 20 + [False])
        with slotmem.provider("plain", runtime_dir=tmp_path) as provider:
            instance = provider.create(None, 16, 3, slotmem.Type.PREGRAB)
            client = Client(number, Rules(3, 16, Settings().mix, seed))
            client.work(instance, Recorder(str(folder), number, chunk_records=512), lambda _: next(looks))
        Description(3, 16).write(str(folder))
        return (read(str(folder)).records[:, [HEAD, VALUE]] & 0xFFFFFFFFFF).tolist()

    first = does(1, 1, tmp_path / "a")
    assert len(first) == 20 * 64
    assert does(1, 1, tmp_path / "b") == first
    assert does(2, 1, tmp_path / "c") != first
    assert does(1, 2, tmp_path / "d") != first


def test_an_error_of_no_status_leaves_its_operation_pending(tmp_path):
    """What a stuck client asked for may have happened; it is recorded without a return."""

    class Broken:
        def grab(self):
            raise RuntimeError("no")

        fgrab = put = get = release = num_free_slots = grab

    with pytest.raises(Stuck, match="RuntimeError: no"):
        Client(1, Rules(3, 16, (("grab", 1),), 0)).work(Broken(), Recorder(str(tmp_path), 1), lambda _: True)
    Description(3, 16).write(str(tmp_path))
    assert read(str(tmp_path)).is_pending.sum() == 1


def test_rounds_are_short_at_first_and_as_long_as_the_judge_can_do():
    """The first three are judged one by one; later ones follow the judge's rate, within bounds."""
    pace = Pace()
    assert [pace.waiting(number) for number in (1, 3, 4)] == [0, 0, 2]
    assert pace.operations(1) < pace.operations(2) < pace.operations(4) == 200_000
    pace.note(Judged("", HELD, "", 30_000, 0, 1.0, 1))
    assert pace.operations(4) == 60_000
    pace.note(Judged("", HELD, "", 1000, 0, 1.0, 1))
    assert pace.operations(4) == 20_000
    pace.note(Judged("", HELD, "", 10, 0, 0.001, 1))  # too short to tell
    assert pace.operations(4) == 20_000
