"""locked: a slot's bytes are changed under its lock, for the length of a `with`."""

import ctypes
import gc
import mmap
import multiprocessing
import os
import signal
import sys
import threading

import pytest

import slotmem
from slotmem import Ended, LockTimeout, NotInUse, ReadOnly, Reentered, SlotOutOfRange, Type, WrongType
from slotmem.foreign import ReadOnlySlots
from slotmem.memory import control
from slotmem.memory.image import ForeignImage, SharedImage
from slotmem.slots import Slots
from slotmem_model import spec
from tools.crashing import Trial

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")
PROVIDERS = [pytest.param("shm", marks=LINUX), "plain"]
TIMES = 500


class Counter(ctypes.Structure):
    """Two numbers that belong together."""

    _fields_ = (("low", ctypes.c_uint32), ("high", ctypes.c_uint32))


@pytest.fixture(params=PROVIDERS)
def table(request, tmp_path):
    """Two slots in use and a free one."""
    with slotmem.provider(request.param, runtime_dir=tmp_path) as made:
        table = made.create("table", 8, 3, Type.PREGRAB)
        table.fgrab(0)
        table.fgrab(1)
        yield table


def change(table, meanwhile):
    """Change slot 0 in a block, in which something else happens too."""
    with table.locked(0) as view:
        view[0] = 1
        meanwhile()


def interrupt():
    raise KeyboardInterrupt


def test_what_was_changed_is_stored_at_the_end(table):
    """Nobody sees it before; the owner has put then."""
    with table.locked(0) as view:
        view[2:4] = b"xy"
        assert bytes(table.dptr(0)) == bytes(8)
    assert table.get(0) == b"\0\0xy\0\0\0\0"
    assert (table.owner(0).has_put, table.owner(1).has_put) == (True, False)


def test_a_structure_can_be_laid_over_it(table):
    """ctypes takes the view as a buffer; typed slots give the structure itself."""
    with table.locked(0) as view:
        value = Counter.from_buffer(view)
        value.low, value.high = 1, 2
    slots = table.typed(Counter)
    with slots.locked(0) as value:
        value.low += 10
    assert (slots.get(0).low, slots.get(0).high) == (11, 2)
    value.low = 99
    assert slots.get(0).low == 11


def test_an_exception_inside_stores_nothing(table):
    """It comes through, and the lock is free."""
    with pytest.raises(ZeroDivisionError), table.locked(0) as view:
        view[0] = 1 // (view[1])
    with pytest.raises(KeyboardInterrupt):
        change(table, interrupt)
    assert table.get(0) == bytes(8)


def test_a_free_slot_is_refused_or_marked(table):
    """With PREGRAB as put refuses it; without, the slot is in use at the end."""
    with pytest.raises(NotInUse), table.locked(2):
        pytest.fail("it has begun")
    with slotmem.provider("plain") as provider:
        free = provider.create("free", 8, 2)
        with free.locked(1) as view:
            view[0] = 1
        assert (list(free.slots()), free.num_free_slots()) == ([1], 1)
        assert (free.owner(1).pid, free.owner(1).has_put) == (os.getpid(), True)
        with pytest.raises(ZeroDivisionError), free.locked(0):
            _ = 1 / 0
        assert list(free.slots()) == [1]


def test_careless_use_is_refused(table):
    """Ids out of range, a structure that cannot be laid over the bytes, and a block used twice."""
    with pytest.raises(SlotOutOfRange):
        table.locked(3)
    with pytest.raises(WrongType):
        table.locked("0")
    slots = table.typed(Counter)
    slots._lay = lambda view: 1 // 0
    with pytest.raises(ZeroDivisionError), slots.locked(0):
        pytest.fail("it has begun")
    block = table.locked(0)
    with block, pytest.raises(Reentered, match="begun already"), block:
        pytest.fail("it has begun")
    with block as view:  # after its end it can begin again
        view[0] = 7
    assert table.get(0, 1) == b"\7"


def test_a_block_that_uses_its_own_lock_is_told(table):
    """Through this instance, an update, another block, and the walk over all locks: not a hang."""
    uses = [
        lambda: table.get(0),
        lambda: table.update(0, bytes),
        lambda: table.locked(0).__enter__(),
        lambda: table.algorithm().snapshot(),
    ]
    for use in uses:
        with pytest.raises(Reentered):
            change(table, use)
    with pytest.raises(Reentered):
        table.update(0, lambda data: table.locked(0).__enter__())
    assert table.get(0) == bytes(8)


@LINUX
def test_another_instance_of_the_segment_is_the_same_lock(tmp_path):
    """A thread that has attached twice is told, too."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as one, slotmem.provider("shm", runtime_dir=tmp_path) as other:
        table = one.create("table", 8, 1, Type.PREGRAB)
        table.fgrab(0)
        attached = other.attach("table")
        with pytest.raises(Reentered), table.locked(0):
            attached.get(0)
        attached.put(0, b"x")


def test_a_block_that_would_have_to_wait_is_told(table):
    """Two threads whose blocks want each other's lock would wait for ever."""
    inside, over = threading.Event(), threading.Event()

    def keep():
        with table.locked(1):
            inside.set()
            assert over.wait(600)

    thread = threading.Thread(target=keep)
    thread.start()
    assert inside.wait(600)
    try:
        with pytest.raises(Reentered, match="have to wait"), table.locked(0):
            table.get(1)
    finally:
        over.set()
        thread.join()


def test_a_wait_for_a_block_is_bounded(tmp_path):
    """timeout_s holds for who wants the lock, and for a block that does."""
    with slotmem.provider("plain", timeout_s=0.05) as provider:
        table = provider.create("table", 8, 1, Type.PREGRAB)
        table.fgrab(0)
        errors = []

        def want(use):
            try:
                use()
            except LockTimeout as error:
                errors.append(error)

        with table.locked(0):
            for use in (lambda: table.get(0), lambda: table.locked(0).__enter__()):
                thread = threading.Thread(target=want, args=(use,))
                thread.start()
                thread.join()
        assert len(errors) == 2


@pytest.mark.parametrize("by", ["update", "locked"])
def test_a_child_forked_inside_may_not_write(table, by):
    """The lock is the parent's: the child is told, writes nothing, and can go on."""
    told, child = os.pipe()
    pids = []

    def fork():
        pids.append(os.fork())
        return pids[0] == 0

    def use():
        if by == "update":
            table.update(0, lambda data: b"child" if fork() else b"parent")
        else:
            with table.locked(0) as view:
                view[:6] = b"child!" if fork() else b"parent"

    try:
        use()
    except Reentered as error:
        if pids == [0]:
            is_told = "forked" in str(error) and not bytes(table.dptr(0)).startswith(b"child")
            os.write(child, b"told" if is_told else b"wrong")
    finally:
        if pids == [0]:
            table.put(1, b"goes on")
            os._exit(0)
    os.close(child)
    assert os.read(told, 9) == b"told"
    os.close(told)
    assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 0
    assert table.get(0, 6) == b"parent"


@LINUX
def test_a_child_that_fork_made_inside_waits_as_others_do(tmp_path):
    """It has inherited no block: it waits for the parent's lock, instead of being refused."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        table = provider.create("table", 8, 1, Type.PREGRAB)
        table.fgrab(0)
        with table.locked(0) as view:
            pid = os.fork()
            if pid == 0:
                os._exit(table.get(0)[0])
            view[0] = 5
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


@LINUX
@pytest.mark.parametrize("pregrab", [True, False])
def test_no_death_leaves_a_part(pregrab):
    """Killed at each access of a block's end: the old bytes or the new ones, and a right table."""
    state = spec.Slots(9, pregrab, (pregrab, False), (b"a" * 9, b"b" * 9))

    class Blocks(Slots):
        def put(self, item_id, data):
            with self.locked(item_id, lambda view: view) as view:
                view[: len(data)] = data

    fatal, died, found = 0, True, set()
    while died:
        fatal += 1
        trial = Trial(state, Blocks)
        died = trial.kill_at(("put", 0, b"x" * 9), fatal)
        slots = trial.slots()
        used = list(slots.slots())
        found.add(slots.get(0) if used else None)
        assert slots.num_free_slots() == 2 - len(list(slots.slots()))
    assert found == {b"a" * 9 if pregrab else None, b"x" * 9}
    assert fatal > 5


@LINUX
def test_who_is_killed_in_a_block_has_stored_nothing(tmp_path):
    """The next one gets the lock, and the old bytes."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        table = provider.create("table", 8, 1, Type.PREGRAB)
        table.fgrab(0)
        pid = os.fork()
        if pid == 0:
            with table.locked(0) as view:
                view[0] = 1
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        assert table.get(0) == bytes(8)


@LINUX
def test_a_segment_that_ends_meanwhile_ends_the_block(tmp_path):
    """What would be stored in what nobody will see is refused."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as one, slotmem.provider("shm", runtime_dir=tmp_path) as other:
        table = one.create("table", 8, 1, Type.PREGRAB)
        table.fgrab(0)
        attached = other.attach("table")
        with pytest.raises(Ended):
            change(attached, table.close)


def test_a_block_outlives_its_instance(table):
    """Closed inside, the memory stays until the end."""
    with table.locked(0) as view:
        table.detach()
        view[0] = 1


def test_an_end_that_was_cut_short_gives_the_lock_back(table):
    """An exception before the first line of `__exit__`: with it goes the block, and the lock."""
    block = table.locked(0)
    block.__enter__()[0] = 1
    del block
    gc.collect()
    assert table.get(0) == bytes(8)


def test_a_segment_for_reading_only_has_no_blocks():
    """As it has no put."""
    shape = control.shape_of(8, 1, Type.PREGRAB)
    memory = mmap.mmap(-1, shape.total)
    control.write_header(memory, shape)
    SharedImage(memory, shape).initialize()
    with pytest.raises(ReadOnly):
        ReadOnlySlots(ForeignImage(memory, shape, writable=False)).locked(0, bytes)


def add(name, folder):
    """Add one to a number in a slot, again and again."""
    with slotmem.provider("shm", runtime_dir=folder) as provider:
        slots = provider.attach(name).typed(Counter)
        for _ in range(TIMES):
            with slots.locked(0) as value:
                value.low += 1
                value.high += 1


@LINUX
def test_processes_that_add_lose_nothing(tmp_path):
    """Three processes add one to the same numbers: the sums are right."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        table = provider.create("table", 8, 1, Type.PREGRAB)
        table.fgrab(0)
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=add, args=("table", tmp_path)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        value = table.typed(Counter).get(0)
        assert (value.low, value.high) == (3 * TIMES, 3 * TIMES)
