"""The tests of crashes can fail: with one safeguard removed, the check that is about it reports."""

import os
from functools import partial

import pytest

import slotmem
from slotmem.memory import files, mutex, segment, storing
from slotmem.memory.image import SharedImage
from slotmem.memory.mutex import ENOTRECOVERABLE
from slotmem.slots import Slots
from tools.crashing import OPERATIONS, crash_pairs, crash_points, crash_repairs
from tools.crashing_calls import SCENARIOS, crash_calls, create, file_of, object_of, order_findings, recorded_calls


def case_of(text):
    return next(case for case in OPERATIONS if str(case) == text)


GRAB = case_of("pregrab-1010-grab()")
PUT = case_of("pregrab-1010-put(0, b'PQRSTUVWX')")
PUT_UNGRABBED = case_of("plain-1010-put(1, b'PQRSTUVWX')")


class WithoutRepair(Slots):
    """Take over a dead owner's lock as if nothing had happened."""

    def repair(self, which):
        return


class WithoutRecount(Slots):
    """Finish the put, forget the counter."""

    def repair(self, which):
        before = self.num_free[0]
        super().repair(which)
        self.num_free[0] = before


class Nowhere:
    """Where redo records go that nobody will read."""

    def __setitem__(self, key, value):
        return


class WithoutRedo(Slots):
    """Write the slot without a redo record."""

    def put(self, item_id, data):
        redo = self.redo, self.words
        self.redo = self.words = Nowhere()
        try:
            super().put(item_id, data)
        finally:
            self.redo, self.words = redo


class MarkFirst(Slots):
    """Make the redo record valid before its bytes are there."""

    def put(self, item_id, data):
        word = self.stripe_redo[item_id % self.stripes][2]
        self.words[word + 1] = len(data)
        self.words[word] = item_id + 1
        super().put(item_id, data)


class RepairUnmarksFirst(Slots):
    """Take the redo record away before the put is finished: another death loses it."""

    def repair(self, which):
        if which >= self.first_stripe:
            word = self.stripe_redo[which - self.first_stripe][2]
            item_id = self.words[word]
            self.words[word] = 0
            self.trylock(self.table_mutex)  # where another death strikes
            self.unlock(self.table_mutex)
            self.words[word] = item_id
        super().repair(which)


class NeverConsistent(SharedImage):
    """Never declare a mutex consistent, and know no way to revive one."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.consistent = lambda handle: 0
        self.revive = lambda handle: ENOTRECOVERABLE


@pytest.mark.parametrize(
    ("case", "check", "finding"),
    [
        (GRAB, partial(crash_points, algorithm=WithoutRepair), "neither wholly done"),
        (GRAB, partial(crash_pairs, algorithm=WithoutRepair), "neither wholly done"),
        (PUT, partial(crash_points, algorithm=WithoutRepair), "neither wholly done"),
        (GRAB, partial(crash_points, algorithm=WithoutRecount), "neither wholly done"),
        (PUT, partial(crash_points, algorithm=WithoutRedo), "neither wholly done"),
        (PUT_UNGRABBED, partial(crash_points, algorithm=WithoutRedo), "neither wholly done"),
        (PUT, partial(crash_points, algorithm=MarkFirst), "neither wholly done"),
        (PUT, partial(crash_repairs, repairer=("snapshot",), algorithm=RepairUnmarksFirst), "neither wholly done"),
        (GRAB, partial(crash_points, image_class=NeverConsistent), "Unrecoverable"),
    ],
)
def test_without_a_safeguard_a_crash_point_is_found(case, check, finding):
    """KILL-2, KILL-4: without the repair, the recount or the redo record, or in the wrong order, a
    crash point is found.
    """
    assert any(finding in found for found in check(case).findings)


def test_locks_that_are_not_robust_stay_with_the_dead(monkeypatch):
    """KILL-3: with mutexes that are not robust the wait of the next process ends in a timeout."""
    calls = mutex.pthread()
    monkeypatch.setattr("tools.crashing.TIMEOUT_S", 0.01)
    kept = tuple(pair for pair in calls.attribute_calls if pair[0].__name__ != "pthread_mutexattr_setrobust")
    monkeypatch.setattr(calls, "attribute_calls", kept)
    findings = crash_points(GRAB).findings
    assert findings
    assert all("LockTimeout" in found for found in findings)


def write_in_place(path, data, timeout_s=None):
    """Store without a temporary file."""
    with open(path, "wb", buffering=0) as file:
        view = memoryview(b"".join(data))
        while view:
            view = view[files.os.write(file.fileno(), view) :]
        files.os.fsync(file.fileno())


def unlink_first(made, storer, timeout_s, instance):
    del storer
    made.unlink()
    storing.store(made.names.persisted, files.encode(made.shape, [instance.algorithm().snapshot()]))


def overwrite_the_bad(path):
    files.os.unlink(path)
    return path


def publish_early(names, shape, contents, *, begun, replace=False):
    """Return the object its name before its bytes are complete, as shm_open does."""
    segment.make_way(names, replace=replace)
    descriptor = segment.os.open(segment.object_path(names), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    segment.os.posix_fallocate(descriptor, 0, shape.total)
    return segment._build(descriptor, names, shape, contents)


@pytest.mark.parametrize(
    ("module", "name", "wrong", "scenario", "finding"),
    [
        (storing, "store", write_in_place, "store", "neither the old nor the new"),
        (slotmem.shm, "_destroy", unlink_first, "first store", "destroyed before it was stored"),
        (files, "set_aside", overwrite_the_bad, "set aside", "the bad file is lost"),
        (segment, "publish", publish_early, "create", "Forged"),
    ],
)
def test_without_a_safeguard_a_system_call_is_found(module, name, wrong, scenario, finding, tmp_path, monkeypatch):
    """STORE-4, STORE-5, RESTORE-3, CREATE-8: stored in place, destroyed first, not kept or
    published early, it is found.
    """
    monkeypatch.setattr(module, name, wrong)
    assert any(finding in found for found in crash_calls(SCENARIOS[scenario], tmp_path).findings)


@pytest.mark.parametrize(
    ("module", "name", "wrong", "finding"),
    [
        (files.os, "fsync", lambda descriptor: None, "never on disk"),
        (storing, "sync_folder", lambda path: None, "never name on disk"),
        (storing, "store", write_in_place, "never renamed"),
        (slotmem.shm, "_destroy", unlink_first, "destroyed before name on disk"),
    ],
)
def test_without_fsync_or_rename_the_order_is_wrong(module, name, wrong, finding, tmp_path, monkeypatch):
    """STORE-5: without an fsync, without the rename, or in another order, the order of the calls is
    found wrong.
    """
    with monkeypatch.context() as patch:
        patch.setattr(module, name, wrong)
        provider = slotmem.provider("shm", runtime_dir=tmp_path)
        create(provider)
        with recorded_calls(patch) as log:
            if module is files.os:  # what is not called is not recorded
                patch.setattr(module, name, wrong)
            provider.close()
    assert finding in order_findings(log, str(file_of(tmp_path)), object_of(tmp_path))
