"""Processes are killed while they grab, put and release; then the dead have nothing, and the living
all they had (OWNER-1, REAP-1).
"""

import os
import select
import signal

import pytest

import slotmem
from slotmem import NoFreeSlot, Type
from slotmem.slots import Slots

CHILDREN, ROUNDS = 6, 5
SLOTS = 64  # also if nobody ever gives back the three slots that each of 21 workers may have
BOUND_S = 600  # nothing here takes so long, on a busy machine either


def work(board, told, asked):
    """Keep some slots and give others back, until asked to tell which are kept."""
    kept = []
    while not select.select([asked], [], [], 0)[0]:
        try:
            item_id = board.grab()
        except NoFreeSlot:
            continue
        board.put(item_id, b"%d" % os.getpid())
        if not kept or (len(kept) < 2 and item_id % 2):
            kept.append(item_id)
        else:
            board.release(item_id)
        os.write(told, b".")
    os.write(told, bytes([255, *kept, 254]))
    signal.pause()


class Worker:
    """A forked child at work."""

    def __init__(self, board):
        self.told, told = os.pipe()
        asked, self.ask = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                work(board, told, asked)
            finally:
                os._exit(1)
        os.close(told)
        os.close(asked)
        os.read(self.told, 1)  # it keeps a slot

    def kept(self):
        """Return the slots that it has kept; it does nothing more."""
        os.write(self.ask, b"!")
        said = b""
        while not said.endswith(b"\xfe"):
            assert select.select([self.told], [], [], BOUND_S)[0]
            said += os.read(self.told, 4096)
        return list(said[said.index(b"\xff") + 1 : -1])

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.told)
        os.close(self.ask)


def storm(folder, algorithm):
    """Kill half of the workers in full flight, reap, and return what is wrong then, with the number
    of slots that were reaped.
    """
    findings, reaped = [], 0
    with slotmem.provider("shm", runtime_dir=folder, timeout_s=BOUND_S, algorithm=algorithm) as provider:
        board = provider.create("board", 8, SLOTS, Type.PREGRAB)
        workers = [Worker(board) for _ in range(CHILDREN)]
        try:
            for _ in range(ROUNDS):
                for each in workers[: CHILDREN // 2]:
                    each.kill()
                reaped += len(board.reap())
                workers = workers[CHILDREN // 2 :] + [Worker(board) for _ in range(CHILDREN // 2)]
            kept = {item_id: each.pid for each in workers for item_id in each.kept()}
            board.reap()
            for item_id in set(board.slots()) | kept.keys():
                owner = board.owner(item_id)
                if owner is None or kept.get(item_id) != owner.pid or not owner.has_put:
                    findings.append(f"slot {item_id}: {owner}, kept by {kept.get(item_id)}")
            if board.num_free_slots() != SLOTS - len(kept):
                findings.append(f"{board.num_free_slots()} are free, and {len(kept)} kept")
        finally:
            for each in workers:
                each.kill()
    return findings, reaped


def test_the_dead_have_nothing_and_the_living_all(tmp_path):
    """After the storm every slot in use is one that a living process kept, and says so."""
    findings, reaped = storm(tmp_path, Slots)
    assert findings == []
    assert reaped >= ROUNDS * CHILDREN // 2


class ReapsNobody(Slots):
    """reclaim leaves every slot where it is."""

    def reclaim(self, item_id, tenant):
        return False


class OwnsNothing(Slots):
    """grab forgets to store its owner."""

    def grab(self, timeout_s=0):
        item_id = super().grab(timeout_s)
        self.tenants[item_id] = 0
        return item_id


@pytest.mark.parametrize("algorithm", [ReapsNobody, OwnsNothing])
def test_the_storm_accuses_who_keeps_the_slots_of_the_dead(tmp_path, algorithm):
    """A wrong reap or a wrong owner is found."""
    findings, _ = storm(tmp_path, algorithm)
    assert findings
