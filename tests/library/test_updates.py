"""update and compare_and_put: a slot is read and written under one lock."""

import multiprocessing
import sys
import threading

import pytest

import slotmem
from accused.wrong_algorithms import Unlocked
from slotmem import Type
from slotmem_model import spec

PROVIDERS = [
    pytest.param("shm", marks=pytest.mark.skipif(not sys.platform.startswith("linux"), reason="for Linux")),
    "plain",
]
BOTH = pytest.mark.parametrize("type", [Type.PREGRAB, Type(0)], ids=["PREGRAB", "none"])
TIMES = 2000


@pytest.fixture(params=PROVIDERS)
def provider(request, tmp_path):
    """Return a provider of each kind."""
    with slotmem.provider(request.param, runtime_dir=tmp_path) as made:
        yield made


def added(data):
    """Add one to the number in the first eight bytes."""
    return (int.from_bytes(data[:8], "little") + 1).to_bytes(8, "little")


@BOTH
def test_it_does_what_the_specification_says(provider, type):
    """Equal and other beginnings, of every length, on a slot in use and on one that is free."""
    table = provider.create("table", 4, 2, type)
    state = spec.fresh(4, 2, bool(type & Type.PREGRAB))
    table.fgrab(0)
    state, _ = spec.fgrab(state, 0)
    for item_id in (0, 1, 2):
        for expected in (b"", b"\0", b"ab", b"abcd", b"abcde"):
            for new in (b"ab", b"", b"abcd", b"xyzvw"):
                operation = ("compare_and_put", item_id, expected, new)
                state, right = spec.step(state, operation)
                try:
                    got = spec.Result(spec.SUCCESS, table.compare_and_put(item_id, expected, new))
                except slotmem.SlotmemError as error:
                    got = spec.Result(error.status.name)
                assert got == right, operation
                assert (tuple(bytes(table.dptr(each)) for each in (0, 1)), tuple(table.slots())) == (
                    state.data,
                    spec.slots(state)[1].value,
                )
                assert table.num_free_slots() == state.inuse.count(False)


@BOTH
def test_update(provider, type):
    """The function gets the whole slot; what it gives is the beginning of the new one."""
    table = provider.create("table", 16, 2, type)
    table.fgrab(0)
    table.put(0, b"0123456789abcdef")
    seen = []

    def function(data):
        seen.append(data)
        return bytearray(b"AB")

    assert table.update(0, function) == b"AB"
    assert seen == [b"0123456789abcdef"]
    assert table.get(0) == b"AB23456789abcdef"
    if type & Type.PREGRAB:
        with pytest.raises(slotmem.NotInUse):
            table.update(1, function)
        assert len(seen) == 1
    else:
        table.update(1, function)
        assert list(table.slots()) == [0, 1]


def test_a_function_that_fails_changes_nothing(provider):
    """Its error comes out, too many bytes and no bytes at all are refused, and the lock is free."""
    table = provider.create("table", 8, 1, Type.PREGRAB)
    table.fgrab(0)
    table.put(0, b"unharmed")
    for function, error in (
        (lambda data: 1 // 0, ZeroDivisionError),
        (lambda data: bytes(9), slotmem.LengthOutOfRange),
        (lambda data: None, slotmem.WrongType),
        (lambda data: sys.exit(3), SystemExit),
    ):
        with pytest.raises(error):
            table.update(0, function)
        assert table.get(0) == b"unharmed"
    with pytest.raises(slotmem.WrongType, match="update takes a function"):
        table.update(0, b"bytes")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")
def test_a_function_that_uses_its_own_slot_is_told(tmp_path):
    """The slot's lock is held: it gets `Reentered`, and nothing is changed."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        table = provider.create("table", 8, 1, Type.PREGRAB)
        table.fgrab(0)
        with pytest.raises(slotmem.Reentered):
            table.update(0, lambda data: table.get(0))
        table.put(0, b"go on")
        assert table.get(0, 5) == b"go on"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")
def test_a_function_that_would_have_to_wait_is_told(tmp_path):
    """While it waited for another slot's lock, that one's owner might wait for its own."""
    with slotmem.provider("shm", runtime_dir=tmp_path, timeout_s=10) as provider:
        table = provider.create("table", 8, 2, Type.PREGRAB)
        table.fgrab(0)
        table.fgrab(1)
        inside, told = threading.Event(), threading.Event()

        def holding(data):
            inside.set()
            assert told.wait(60)
            return data

        thread = threading.Thread(target=table.update, args=(1, holding))
        thread.start()
        assert inside.wait(60)
        try:
            with pytest.raises(slotmem.Reentered, match="given to update"):
                table.update(0, lambda data: table.get(1))
        finally:
            told.set()
            thread.join()
        assert table.compare_and_put(0, bytes(8), b"go on")


def count(name, folder, times, by_comparing):
    """Add one to a shared number, again and again."""
    with slotmem.provider("shm", runtime_dir=folder) as provider:
        table = provider.attach(name)
        for _ in range(times):
            if by_comparing:
                while not table.compare_and_put(0, was := table.get(0), added(was)):
                    pass
            else:
                table.update(0, added)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")
@pytest.mark.parametrize("by_comparing", [False, True], ids=["update", "compare_and_put"])
def test_processes_that_add_lose_nothing(tmp_path, by_comparing):
    """Four processes add one to the same number: the sum is right."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        table = provider.create("table", 8, 1, Type.PREGRAB)
        table.fgrab(0)
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=count, args=("table", tmp_path, TIMES, by_comparing)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        assert int.from_bytes(table.get(0), "little") == 4 * TIMES


def test_an_update_without_locks_loses_some(tmp_path):
    """The test above can fail: without locks two threads that meet lose an update."""
    with slotmem.provider("plain", algorithm=Unlocked) as provider:
        table = provider.create("table", 8, 1, Type.PREGRAB)
        table.fgrab(0)
        inside, other = threading.Event(), threading.Event()

        def slow(data):
            inside.set()
            assert other.wait(60)
            return added(data)

        thread = threading.Thread(target=table.update, args=(0, slow))
        thread.start()
        assert inside.wait(60)
        table.update(0, added)
        other.set()
        thread.join()
        assert int.from_bytes(table.get(0), "little") == 1
