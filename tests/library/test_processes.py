"""Real processes: unrelated, spawned, forked, threads, racing creators, killed servers."""

import fcntl
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial

import pytest

import slotmem
from accused.wrong_algorithms import Unlocked
from slotmem import NoFreeSlot, Type, shm
from slotmem.memory import segment
from slotmem.memory.names import resolve
from slotmem.memory.segment import SHM_FOLDER, object_path
from tools.crashing import exercise
from tools.crashing_calls import object_of

NUMBER = 8
ROUNDS = 400
EXACT = ([0] * 4, 4 * ROUNDS, 2)
RACES = 20
MOST_RACES = 2000  # who comes first is up to the machine; by then each must have been it
DEADLOCK_S = 600  # nothing here takes so long, on a busy machine either


def open_provider(folder, **options):
    return slotmem.provider("shm", runtime_dir=folder, **options)


def grab_and_count(instance, rounds):
    """Grab a slot, add one to its number under nobody's eyes but the holder's, release it: `rounds`
    times.
    """
    for _ in range(rounds):
        while True:
            with suppress(NoFreeSlot):
                item_id = instance.grab()
                break
        count = int.from_bytes(instance.get(item_id), "little")
        instance.put(item_id, (count + 1).to_bytes(8, "little"))
        instance.release(item_id)


def attach_and_count(folder, algorithm, rounds):
    with open_provider(folder, algorithm=algorithm) as provider:
        grab_and_count(provider.attach("table"), rounds)


def total(instance):
    return sum(int.from_bytes(bytes(instance.dptr(item_id)), "little") for item_id in range(NUMBER))


def counts_with(start, folder, algorithm=slotmem.slots.Slots, workers=4):
    """Let workers count in two slots, so that they meet; give how they ended, what they counted,
    and the free slots.
    """
    with open_provider(folder, algorithm=algorithm) as provider:
        instance = provider.create("table", 8, NUMBER, Type.PREGRAB)
        for item_id in range(2, NUMBER):
            instance.fgrab(item_id)
        crew = [start(folder, instance, algorithm) for _ in range(workers)]
        return [end() for end in crew], total(instance), instance.num_free_slots()


def forked(folder, instance, algorithm):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            grab_and_count(instance, ROUNDS)
            status = 0
        finally:
            os._exit(status)
    return lambda: os.waitpid(child, 0)[1]


def threaded(folder, instance, algorithm):
    thread = threading.Thread(target=grab_and_count, args=(instance, ROUNDS))
    thread.start()
    return lambda: thread.join() or 0


def spawned(folder, instance, algorithm):
    process = multiprocessing.get_context("spawn").Process(target=attach_and_count, args=(folder, algorithm, ROUNDS))
    process.start()
    return lambda: process.join() or process.exitcode


def unrelated(folder, instance, algorithm):
    script = f"import {__name__} as counting, slotmem\ncounting.attach_and_count({str(folder)!r}, slotmem.slots.Slots, {ROUNDS})"
    path = os.pathsep.join(sys.path)
    process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path})
    return process.wait


@pytest.mark.parametrize("start", [forked, threaded, spawned, unrelated])
def test_exact_counts(start, tmp_path):
    """ATOMIC-1 to ATOMIC-3: nothing that four processes or threads count is lost, and no slot."""
    assert counts_with(start, tmp_path) == EXACT


def test_without_locks_the_counts_are_wrong(tmp_path):
    """ATOMIC-2: with the lock removed, the same check finds counts that are not exact."""
    assert any(counts_with(forked, tmp_path, Unlocked) != EXACT for _ in range(MOST_RACES))


# -- creating --------------------------------------------------------------------------------------


class Racer:
    """A forked process that waits for the word to go, acts, answers with one byte, and stays."""

    def __init__(self, go, act):
        self.answers, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.read(go, 1)
                os.write(answer, act())
                signal.pause()
            except BaseException as error:
                os.write(answer, f"!{type(error).__name__}: {error}".encode())
            finally:
                os._exit(1)
        os.close(answer)

    def answer(self):
        if not select.select([self.answers], [], [], DEADLOCK_S)[0]:
            return b"!no answer"
        return os.read(self.answers, 1000)

    def check_running(self):
        assert not select.select([self.answers], [], [], 0)[0], self.answer()

    def kill(self):
        running.remove(self)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.answers)


running = []


@pytest.fixture(autouse=True)
def no_racer_is_left():
    """A test that fails leaves nobody behind."""
    yield
    for racer in running:
        racer.kill()


def start_racers(acts):
    """Let several race, all at once."""
    go, word = os.pipe()
    racers = [Racer(go, act) for act in acts]
    running.extend(racers)
    os.write(word, b"." * len(racers))
    os.close(go)
    os.close(word)
    return racers


def create_or_attach(folder, **options):
    provider = open_provider(folder)
    try:
        provider.create("table", 8, NUMBER, Type.PREGRAB, **options).fgrab(3)
        return b"created"
    except slotmem.SegmentExists:
        attached = provider.attach("table")
        return b"attached" if attached.num_slots() == NUMBER and attached.slot_size() == 8 else b"!wrong"


def exists(folder):
    return os.path.exists(object_of(folder))


@pytest.mark.parametrize("remainder", [False, True])
def test_exactly_one_of_racing_creators_wins(remainder, tmp_path, record_property):
    """CREATE-7: of four creators at once, on a free name or on a crash's remainder, one creates and
    the others attach.
    """
    for _ in range(RACES):
        assert exists(tmp_path) is (remainder and _ > 0)
        racers = start_racers([lambda: create_or_attach(tmp_path)] * 4)
        assert sorted(racer.answer() for racer in racers) == [b"attached"] * 3 + [b"created"]
        with open_provider(tmp_path) as provider:
            assert list(provider.attach("table").slots()) == [3]
        for racer in racers:
            racer.kill()
        if not remainder:
            with open_provider(tmp_path) as provider:
                assert exercise(provider.create("table", 8, NUMBER, Type.PREGRAB).algorithm()) == ""
    os.unlink(object_of(tmp_path)) if remainder else None
    record_property("races of creators", RACES)


def test_killing_half_of_the_racing_creators(tmp_path):
    """CREATE-6 to CREATE-8: with half of the creators killed as they race the name is free or leads
    to a complete segment.
    """
    seen = set()
    for number in range(MOST_RACES):
        if number >= RACES and b"created" in seen:
            return
        racers = start_racers([lambda: create_or_attach(tmp_path)] * 4)
        if number % 2:
            racers[3].answer()
        for racer in racers[:2]:
            racer.kill()
        answers = [racer.answer() for racer in racers[2:]] if number % 2 == 0 else [racers[2].answer()]
        assert set(answers) <= {b"created", b"attached"}, answers
        seen |= set(answers)
        for racer in racers[2:]:
            racer.kill()
        with open_provider(tmp_path) as provider:
            assert exercise(provider.create("table", 8, NUMBER, Type.PREGRAB).algorithm()) == ""
        assert not exists(tmp_path)
    pytest.fail(f"in {MOST_RACES} races no creator that was left alive came first")


def test_racing_replacers(tmp_path):
    """CREATE-8: several that insist on a name all get a segment; the last one's is at the name, and
    no close removes it.
    """
    for _ in range(10):
        racers = start_racers([lambda: create_or_attach(tmp_path, replace=True)] * 3)
        assert [racer.answer() for racer in racers] == [b"created"] * 3
        with open_provider(tmp_path) as provider:
            assert provider.attach("table").num_slots() == NUMBER
        for racer in racers:
            racer.kill()

    def create_and_close():
        for _ in range(30):
            with open_provider(tmp_path) as provider:
                provider.create("table", 8, NUMBER, replace=True)
        return b"done"

    racers = start_racers([create_and_close] * 3)
    assert [racer.answer() for racer in racers] == [b"done"] * 3
    assert not exists(tmp_path)
    for racer in racers:
        racer.kill()


def test_whoever_unlinks_has_the_right_to(tmp_path, monkeypatch):
    """CREATE-8: at every unlink of an object its record lock is held, so that nobody replaces it
    between look and unlink.
    """
    unlinked = []

    def unlink(path, unlink=os.unlink):
        with open(path, "r+b") as other, pytest.raises(BlockingIOError):
            fcntl.fcntl(other, fcntl.F_OFD_SETLK, segment._record_lock(fcntl.F_WRLCK))
        unlinked.append(path)
        unlink(path)

    abandoned = open_provider(tmp_path)
    abandoned.create("table", 8, 1)
    abandoned.abandon()
    monkeypatch.setattr(os, "unlink", unlink)
    with open_provider(tmp_path) as one, open_provider(tmp_path) as two:
        one.create("table", 8, 1)  # replaces a remainder
        two.create("table", 8, 1, replace=True)
        one.restart()  # its name is another's now
        assert unlinked == [object_of(tmp_path)] * 2
    assert unlinked == [object_of(tmp_path)] * 3


def test_another_creator_while_the_flock_is_turned_from_exclusive_to_shared(tmp_path, monkeypatch):
    """CREATE-7: the kernel lets others in between; who is replaced at that moment does not believe
    to have the name.
    """
    flock = fcntl.flock

    def turn(descriptor, how):
        if how != fcntl.LOCK_SH:
            return flock(descriptor, how)
        monkeypatch.setattr(fcntl, "flock", flock)
        flock(descriptor, fcntl.LOCK_UN)
        quicker.create("table", 8, 1).fgrab(0)
        return flock(descriptor, fcntl.LOCK_SH)

    with open_provider(tmp_path) as quicker, open_provider(tmp_path) as slower:
        monkeypatch.setattr(fcntl, "flock", turn)
        with pytest.raises(slotmem.SegmentExists, match="is alive"):
            slower.create("table", 8, 1)
        assert list(slower.attach("table").slots()) == [0]


def test_nobody_attaches_before_the_creator_is_sure(tmp_path, monkeypatch):
    """CREATE-8: until the creator knows that what it restored is right nobody can attach, and
    afterwards everybody can.
    """
    confirm = shm.Filling.confirm
    refused = []

    def confirm_late(contents):
        with pytest.raises(slotmem.SegmentExists, match="being replaced"):
            other.attach("table")
        refused.append(contents)
        return confirm(contents)

    monkeypatch.setattr(segment, "_TRIES", 3)
    monkeypatch.setattr(shm.Filling, "confirm", confirm_late)
    with open_provider(tmp_path) as provider, open_provider(tmp_path) as other:
        provider.create("table", 8, 1)
        assert len(refused) == 1
        assert other.attach("table").num_slots() == 1


def test_absent_or_complete_at_every_instant(tmp_path, record_property):
    """CREATE-8: while a server creates and restarts again and again, an attacher finds nothing, or
    all of it.
    """
    name = str(tmp_path / "table")  # absolute: the same in every generation

    def serve():
        provider = open_provider(tmp_path)
        while True:
            provider.create(name, 64, 100, Type.PREGRAB | Type.PERSIST)
            provider.restart()

    server = start_racers([serve])[0]
    attached = absent = 0
    try:
        with open_provider(tmp_path, timeout_s=DEADLOCK_S) as provider:
            while attached < 200 or absent < 20:
                server.check_running()
                try:
                    instance = provider.attach(name)
                except slotmem.NoSegment:
                    absent += 1
                    continue
                assert "attached>" in repr(instance)  # not "for reading only": the control block is there
                assert (instance.num_slots(), instance.slot_size()) == (100, 64)
                with suppress(slotmem.Ended):  # it may have been, in the meantime
                    free = instance.num_free_slots()  # in an assertion pytest would keep the memory
                    assert free == 100
                instance.close()
                attached += 1
    finally:
        server.kill()
    with open_provider(tmp_path) as provider:
        assert exercise(provider.create(name, 64, 100, Type.PREGRAB | Type.PERSIST).algorithm()) == ""
    assert sorted(os.listdir(tmp_path)) in (["table.persist"], ["table.persist", "table.persist.new"])
    record_property("attaches during restarts", attached)


def test_a_store_between_reading_the_file_and_having_the_name(tmp_path, monkeypatch):
    """RESTORE-1: what another server stores while this one is creating is what gets restored, not
    what was read before.
    """
    link = segment._link
    stores = iter([b"the second", b"the third."])

    def cycle(data):
        with open_provider(tmp_path) as provider:
            provider.create("table", 10, 1, Type.PERSIST, replace=True).put(0, data)

    def link_late(descriptor, path):
        monkeypatch.setattr(segment, "_link", link)
        if (data := next(stores, None)) is not None:
            cycle(data)
            monkeypatch.setattr(segment, "_link", link_late)
        link(descriptor, path)

    cycle(b"the first.")
    monkeypatch.setattr(segment, "_link", link_late)
    with open_provider(tmp_path) as provider:
        instance = provider.create("table", 10, 1, Type.PERSIST)
        assert instance.restored
        assert instance.get(0) == b"the third."
        instance.put(0, b"the fourth")
    with open_provider(tmp_path) as provider:
        assert provider.create("table", 10, 1, Type.PERSIST).get(0) == b"the fourth"


def test_threads_that_create_one_name(tmp_path):
    """CREATE-3: threads that create one name at once with one provider get one instance."""
    with open_provider(tmp_path) as provider:
        for number in range(20):
            ready = threading.Barrier(4)
            made = []

            def create(number=number, ready=ready, made=made):
                ready.wait()
                made.append(provider.create(f"table-{number}", 8, 1))

            threads = [threading.Thread(target=create) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(made) == 4
            assert len(set(map(id, made))) == 1


# -- ends ------------------------------------------------------------------------------------------


def test_a_killed_server(tmp_path):
    """KILL-1, CREATE-5, CREATE-6: nothing is stored, the segment remains; attached it is alive, let
    go it is replaced.
    """
    server = start_racers([lambda: create_or_attach(tmp_path)])[0]
    assert server.answer() == b"created"
    server.kill()
    assert exists(tmp_path)
    assert os.listdir(tmp_path) == []
    with open_provider(tmp_path) as provider, open_provider(tmp_path) as next_server:
        remainder = provider.attach("table")
        assert list(remainder.slots()) == [3]
        with pytest.raises(slotmem.SegmentExists, match="is alive"):
            next_server.create("table", 8, NUMBER)
        remainder.close()
        assert list(next_server.create("table", 8, NUMBER).slots()) == []


def test_every_dead_generation_is_cleared(tmp_path):
    """CREATE-6: the next server of a name removes what servers left of it in any generation; what
    is alive, or another name's, stays.
    """

    def restarted(name, generation):
        provider = open_provider(tmp_path, generation=generation)
        provider.create(name, 8, NUMBER)
        provider.restart()
        provider.create(name, 8, NUMBER)
        kept.append(provider)
        return b"made"

    kept = []

    def place(name, generation):
        return object_path(resolve(name, str(tmp_path), generation))

    living = open_provider(tmp_path, generation=5)
    living.create("table", 8, NUMBER)
    servers = start_racers(
        [partial(restarted, name, generation) for name, generation in (("table", 0), ("table", 0x2FF), ("other", 0))]
    )
    assert {server.answer() for server in servers} == {b"made"}
    for server in servers:
        server.kill()
    with living:
        dead = [place("table", 1), place("table", 0x300)]
        rest = [place("table", 5), place("other", 1)]
        assert all(map(os.path.exists, dead + rest))
        with open_provider(tmp_path) as provider:
            provider.create("table", 8, NUMBER)
            assert not any(map(os.path.exists, dead))
            assert all(map(os.path.exists, rest))
            provider.create("other", 8, NUMBER)
            assert not os.path.exists(place("other", 1))


CHILDREN = """
import os, sys, slotmem
from slotmem import Type
provider = slotmem.provider("shm", runtime_dir=sys.argv[1])
table = provider.create("table", 8, 2, Type.PERSIST)
table.put(0, b"parent")
child = os.fork()
if child == 0:
    table.put(1, b"child")
    own = provider.create("own", 8, 1, Type.PERSIST)
    own.put(0, b"own")
    if sys.argv[2] == "close": table.close()
    if sys.argv[2] == "restart": provider.restart()
    if sys.argv[2] == "provider": provider.close()
    sys.exit(0)  # at the latest here all that is the child's own ends
assert os.waitpid(child, 0)[1] == 0
print(sorted(os.listdir(sys.argv[1])))
assert provider.create("table", 8, 2) is table
print(table.get(0)[:6], table.get(1)[:5])
with slotmem.provider("shm", runtime_dir=sys.argv[1]) as other:
    other.attach("table")
    try:
        other.attach("own")
    except slotmem.NoSegment:
        print("own is gone")
"""


@pytest.mark.parametrize("how", ["close", "restart", "provider", "exit"])
def test_a_forked_child_ends_what_it_made(how, tmp_path):
    """RESTART-1, STORE-2: however a forked child ends, its parent's segments go on, and its own are
    stored and gone.
    """
    done = subprocess.run(
        [sys.executable, "-c", CHILDREN, str(tmp_path), how], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    there = ["slotmem-shm-own.shm.persist", "slotmem-shm-table_0.shm.owner"]
    assert done.stdout.splitlines() == [str(there), "b'parent' b'child'", "own is gone"]
    assert sorted(os.listdir(tmp_path)) == ["slotmem-shm-own.shm.persist", "slotmem-shm-table.shm.persist"]


def test_fork_while_another_thread_creates(tmp_path):
    """A child forked while a thread of its parent was about to create can create all the same."""
    with open_provider(tmp_path) as provider:
        held, done = threading.Event(), threading.Event()

        def hold():
            with provider._lock:
                held.set()
                done.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        racer = start_racers([lambda: provider.create("table", 8, 1).name.encode()])[0]
        answer = racer.answer()
        racer.kill()
        done.set()
        thread.join()
        assert answer == b"table"
        assert provider.create("table", 8, 1).num_slots() == 1


def test_a_bounded_wait_names_the_holder(tmp_path):
    """WAIT-1: a wait that is over says for which lock, how long, and which process holds it; then
    all goes on.
    """
    with open_provider(tmp_path, timeout_s=0.01) as provider:
        instance = provider.create("table", 8, NUMBER, Type.PREGRAB)
        instance.fgrab(1)
        inner = instance.algorithm()

        def hold():
            inner.trylock(inner.table_mutex)
            inner.trylock(inner.stripe_guards[1][1])
            return b"held"

        holder = start_racers([hold])[0]
        assert holder.answer() == b"held"
        for operation, guarded in ((instance.grab, "the table"), (lambda: instance.get(1), r"slots 1 \+ n\*8")):
            with pytest.raises(slotmem.LockTimeout, match=guarded) as caught:
                operation()
            assert caught.value.status.name == "APR_TIMEUP"
            assert f"process {holder.pid} (" in str(caught.value)
            assert "0.01 s" in str(caught.value)
        holder.kill()
        assert exercise(inner) == ""


def test_what_is_stored_is_one_instant(tmp_path):
    """STORE-6: while others move a mark from slot to slot, every stored state has it in one slot or
    in two, never in none.
    """
    with open_provider(tmp_path) as provider:
        instance = provider.create("table", 8, NUMBER, Type.PREGRAB)
        instance.fgrab(0)

        def move():
            at = 0
            while True:
                at = (at + 1) % NUMBER
                instance.fgrab(at)
                instance.put(at, bytes([at]) * 8)
                instance.release((at - 1) % NUMBER)

        mover = start_racers([move])[0]
        for _ in range(2000):
            payload = instance.algorithm().snapshot()
            assert payload[-NUMBER:].count(1) in (1, 2)
            assert payload[0] == payload[-NUMBER:].count(0)
            slots = [payload[8 + 8 * item_id :][:8] for item_id in range(NUMBER)]
            assert all(slot == slot[:1] * 8 for slot in slots)
        mover.kill()


def test_nothing_was_left_in_the_shared_memory_folder(tmp_path):
    """A provider that has ended leaves no object under its names."""
    with open_provider(tmp_path) as provider:
        provider.create("table", 8, 1)
        provider.create(None, 8, 1)
        assert os.path.basename(object_of(tmp_path)) in os.listdir(SHM_FOLDER)
    assert os.path.basename(object_of(tmp_path)) not in os.listdir(SHM_FOLDER)
