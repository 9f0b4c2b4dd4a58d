"""Slots know who marked them in use, and come back from the dead (OWNER-1, OWNER-2, REAP-1)."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

import slotmem
from slotmem import NoFreeSlot, SlotOutOfRange, Type, WrongType, processes
from slotmem.memory.image import ForeignImage
from slotmem.slots import Slots
from tools.owned import states_of_owners

SELF = os.getpid()


@pytest.fixture
def provider(tmp_path):
    """A provider of shared memory."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as made:
        yield made


@pytest.fixture
def four(provider):
    """Four slots with PREGRAB."""
    return provider.create("four", 8, 4, Type.PREGRAB)


@contextmanager
def child(work):
    """Fork a child that does its work and waits; it is killed and waited for at the end."""
    done, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os.write(told, b"done")
            signal.pause()
        finally:
            os._exit(1)
    os.close(told)
    try:
        assert os.read(done, 4) == b"done"
        yield pid
    finally:
        os.close(done)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def killed(work):
    """Let a forked child do its work, kill it; return its process id."""
    with child(work) as pid:
        return pid


def test_a_slot_says_who_grabbed_it(four):
    """The owner is this process, it is alive, and a put counts from the grab on."""
    assert four.owner(0) is None
    item_id = four.grab()
    owner = four.owner(item_id)
    assert (owner.pid, owner.is_alive, owner.has_put) == (SELF, True, False)
    assert owner.started_ticks == processes._stat(SELF)[2]
    four.put(item_id, b"x")
    assert four.owner(item_id) == owner._replace(has_put=True)
    four.release(item_id)
    assert four.owner(item_id) is None
    four.fgrab(item_id)
    assert four.owner(item_id) == owner


def test_fgrab_of_a_slot_in_use_changes_no_owner(four):
    """FGRAB-2: nothing changes, and so the owner does not."""
    with child(four.grab) as pid:
        four.fgrab(0)
        four.put(0, b"mine")
        assert (four.owner(0).pid, four.owner(0).has_put) == (pid, True)


@pytest.mark.parametrize("mark", [lambda slots: slots.get(1), lambda slots: slots.put(1, b"x")])
def test_without_pregrab_who_marks_a_slot_owns_it(provider, mark):
    """A get or put that marks a slot makes an owner; only the put counts as one."""
    plain = provider.create("plain", 8, 4)
    with child(lambda: mark(plain)) as pid:
        owner = plain.owner(1)
        assert owner.pid == pid
        assert owner.has_put == (plain.get(1)[:1] == b"x")


def test_a_forked_child_is_itself(four):
    """Who grabs after a fork is the child, not the process that it was."""
    mine = four.grab()
    with child(four.grab) as pid:
        assert [four.owner(each).pid for each in (mine, 1)] == [SELF, pid]
        assert four.owner(1).is_alive
    assert not four.owner(1).is_alive


def test_threads_are_their_process(four):
    """A slot belongs to the process of the thread that grabbed it."""
    thread = threading.Thread(target=four.grab)
    thread.start()
    thread.join()
    assert four.owner(0).pid == SELF


def test_an_attacher_is_seen(tmp_path, four):
    """An unrelated process that attaches and grabs is the owner; its end is noticed."""
    program = (
        "import slotmem, sys\n"
        "four = slotmem.provider('shm', runtime_dir=sys.argv[1]).attach('four')\n"
        "print(four.grab(), flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        item_id = int(other.stdout.readline())
        owner = four.owner(item_id)
        assert (owner.pid, owner.is_alive) == (other.pid, True)
        assert four.reap() == []
    assert four.reap() == [item_id]


def test_nobody_owns_what_was_restored(tmp_path):
    """A slot that comes out of a file has no owner, and nobody reaps it."""
    for generation in range(2):
        with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
            kept = provider.create("kept", 8, 2, Type.PREGRAB | Type.PERSIST)
            if generation == 0:
                kept.grab()
            else:
                assert list(kept.slots()) == [0]
                assert kept.owner(0) is None
                assert kept.reap() == []


def test_nobody_owns_what_httpd_marked(four):
    """httpd sets the in-use byte alone, and a slot's last owner is not blamed for that."""
    killed(lambda: four.release(four.grab()))
    image = four.algorithm().image
    Slots(ForeignImage(image.memory, image.geometry, writable=True)).grab()
    assert list(four.slots()) == [0]
    assert four.owner(0) is None
    assert four.reap() == []


def test_reap_releases_the_slots_of_the_dead(four):
    """Those of the dead are free again, nobody else's; a second reap finds nothing."""
    mine = four.grab()
    killed(lambda: [four.grab(), four.grab()])
    with child(four.grab):
        with pytest.raises(NoFreeSlot):
            four.grab()
        assert four.reap() == [1, 2]
        assert list(four.slots()) == [mine, 3]
        assert four.num_free_slots() == 2
        assert four.reap() == []


def test_reap_asks_its_callback(four):
    """Only those that the callback wants are released; it sees whether the dead had put."""
    killed(lambda: [four.grab(), four.put(four.grab(), b"done")])
    seen = []
    assert four.reap(lambda item_id, owner: seen.append((item_id, owner.has_put))) == []
    assert seen == [(0, False), (1, True)]
    assert four.reap(lambda item_id, owner: owner.has_put) == [1]
    assert list(four.slots()) == [0]


def test_a_slot_that_changes_hands_in_the_callback_is_kept(four):
    """A slot that was released and grabbed anew meanwhile is the new owner's."""
    killed(four.grab)

    def change_hands(item_id, owner):
        four.release(item_id)
        assert four.grab() == item_id
        return True

    assert four.reap(change_hands) == []
    assert four.owner(0).pid == SELF


def test_the_last_owners_bytes_are_not_the_next_ones(four):
    """OWNER-2: who is killed between grab and put has not put, though the slot has bytes."""
    four.put(four.grab(), b"old")
    four.release(0)
    killed(four.grab)
    assert four.get(0, 3) == b"old"
    assert not four.owner(0).has_put


def test_a_recycled_process_id_is_nobody(four, monkeypatch):
    """A process with the id of the dead, started at another time, does not own its slots."""
    four.grab()
    words = four.algorithm().tenants
    words[0] += 1 << 22
    assert (four.owner(0).pid, four.owner(0).is_alive) == (SELF, False)
    monkeypatch.setattr(
        "slotmem.owners.is_gone", lambda token: not os.path.exists(f"/proc/{processes.process_id(token)}")
    )
    assert four.reap() == []  # wrong: who compares ids alone never gets the slot back
    monkeypatch.undo()
    assert four.reap() == [0]


def test_a_zombie_is_dead(four):
    """A killed process that nobody has waited for owns nothing any more."""
    with child(four.grab) as pid:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert four.reap() == [0]


def test_who_cannot_be_seen_counts_as_alive(monkeypatch):
    """Where /proc hides a process that exists, nothing is taken from it; only from one that is
    gone.
    """

    def hidden(pid):
        raise FileNotFoundError(pid)

    monkeypatch.setattr(processes, "_stat", hidden)
    assert not processes.is_gone(processes.ME[0])
    monkeypatch.setattr(os, "kill", lambda pid, number: (_ for _ in ()).throw(PermissionError()))
    assert not processes.is_gone(processes.ME[0])
    monkeypatch.setattr(os, "kill", lambda pid, number: (_ for _ in ()).throw(ProcessLookupError()))
    assert processes.is_gone(processes.ME[0])


def test_who_does_not_know_itself_owns_nothing(four, monkeypatch):
    """Without /proc a process has no token, and its slots no owner, rather than a wrong one."""
    monkeypatch.setattr(processes, "ME", four.algorithm().me)
    before = processes.ME[0]
    try:
        with monkeypatch.context() as blind:
            blind.setattr(processes, "_stat", lambda pid: (_ for _ in ()).throw(FileNotFoundError()))
            processes._know_myself()
            four.grab()
            assert four.owner(0) is None
    finally:
        processes._know_myself()
    assert processes.ME[0] == before


def test_plain_memory_has_owners_too():
    """The provider `plain` keeps the same records."""
    with slotmem.provider("plain") as provider:
        slots = provider.create("some", 8, 2, Type.PREGRAB)
        slots.grab()
        assert slots.owner(0).pid == SELF
        assert slots.reap() == []


def test_careless_arguments_are_refused(four):
    """Ids out of range and callbacks that cannot be called get clear errors."""
    with pytest.raises(SlotOutOfRange):
        four.owner(4)
    with pytest.raises(WrongType, match="reap takes a function"):
        four.reap(5)


class OwnerLast(Slots):
    """Store the owner after the in-use byte, once the lock is given up."""

    def grab(self):
        self.tenants, kept = [0] * self.item_num, self.tenants
        try:
            item_id = super().grab()
        finally:
            self.tenants = kept
        self.marks[1] = self.marks[1]  # an access, where a death strikes
        self.tenants[item_id] = self.me[0]
        return item_id


@pytest.mark.parametrize("pregrab", [True, False])
@pytest.mark.parametrize("operation", [("grab",), ("fgrab", 1), ("put", 1, b"x"), ("get", 1), ("release", 0)])
def test_no_death_leaves_a_wrong_owner(pregrab, operation):
    """KILL-2: whoever dies at any access, each slot in use is its marker's, and a free one has no
    owner once the lock is repaired.
    """
    assert states_of_owners(operation, pregrab, Slots) == []


class RepairKeepsTenants(Slots):
    """Repair everything but the tenants of free slots."""

    def repair(self, which):
        self.tenants, kept = [0] * self.item_num, self.tenants
        try:
            super().repair(which)
        finally:
            self.tenants = kept


@pytest.mark.parametrize("algorithm", [OwnerLast, RepairKeepsTenants])
def test_a_wrong_owner_is_found(algorithm):
    """The same campaign accuses who stores the owner too late, and who repairs no owners."""
    assert states_of_owners(("grab",), True, algorithm) != []


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="later versions have no such limit")
def test_the_algorithm_has_no_more_attributes_than_are_found_quickly(four):
    """CPython 3.11 and 3.12 keep up to 30 attributes of an object where they are found at once."""
    assert len(vars(four.algorithm())) <= 29  # closing adds one
