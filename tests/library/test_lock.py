"""slotmem.Lock: whoever holds it may end anywhere, and the next one gets it and is told."""

import multiprocessing
import os
import signal
import sys
import threading

import pytest

import slotmem
from slotmem import lock as locks
from slotmem.memory.segment import object_path
from tools.crashing import Watch, WatchedBytes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="for Linux")
FORK = multiprocessing.get_context("fork")
TIMES = 500
BOUND_S = 60


@pytest.fixture
def lock(tmp_path):
    """Return a lock, removed at the end."""
    made = slotmem.Lock("it", tmp_path, timeout_s=BOUND_S)
    yield made
    made.close()
    slotmem.Lock("it", tmp_path, replace=True).unlink()


def other(lock, tmp_path):
    return slotmem.Lock("it", tmp_path, timeout_s=BOUND_S)


def in_child(act):
    """Run act in a forked child; return how it ended, as os.waitpid says."""
    pid = os.fork()
    if not pid:
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def in_thread(act):
    said = []
    thread = threading.Thread(target=lambda: said.append(act()))
    thread.start()
    thread.join()
    return said


def count(folder, file):
    lock = slotmem.Lock("it", folder, timeout_s=BOUND_S)
    for _ in range(TIMES):
        with lock:
            number = int(file.read_text())
            file.write_text(str(number + 1))


def test_processes_count_without_losing(lock, tmp_path):
    file = tmp_path / "count"
    file.write_text("0")
    processes = [FORK.Process(target=count, args=(tmp_path, file)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert file.read_text() == str(3 * TIMES)


def test_a_killed_holder_is_told_of_once(lock):
    def die():
        lock.acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(die) == signal.SIGKILL
    assert not lock.locked()
    with lock as last:
        assert last.died
    with lock as last:
        assert not last.died


def test_the_news_outlives_everybody(tmp_path):
    """Nobody has the lock open any more when the next one comes."""

    def die():
        slotmem.Lock("it", tmp_path).acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(die) == signal.SIGKILL
    lock = slotmem.Lock("it", tmp_path)
    with lock as last:
        assert last.died
    lock.unlink()


@pytest.mark.parametrize("died_before", [False, True])
def test_killed_at_every_access(lock, died_before):
    """Whoever dies while taking or releasing hinders nobody; the news of an earlier death is lost
    only if it was told.
    """
    deaths = 0
    for fatal in range(1, 100):
        watch = Watch()

        def use(watch=watch, fatal=fatal):
            if died_before and in_child(lambda: (lock.acquire(), os.kill(os.getpid(), signal.SIGKILL))) != 9:
                os._exit(3)
            guard = lock._guard
            calls = {name: getattr(guard, name) for name in ("trylock", "unlock", "consistent")}
            for name, call in calls.items():
                setattr(guard, name, lambda mutex, call=call: (watch.step(), call(mutex), watch.step())[1])
            guard.marks, guard.dirty = WatchedBytes(guard.marks, watch), WatchedBytes(guard.dirty, watch)
            watch.fatal = fatal
            last = lock.acquire()
            if last.died != died_before:
                os._exit(4)
            lock.release()

        end = in_child(use)
        with lock as last:
            told = last.died
        if end == 0:
            break
        assert end == signal.SIGKILL
        deaths += 1
        if died_before and fatal <= 2:
            assert told  # it never got so far as to be told itself
    assert deaths >= 5
    assert lock.acquire(timeout_s=0) == (False,)
    lock.release()


class _Interrupt(Exception):
    pass


@pytest.mark.parametrize("died_before", [False, True])
def test_an_exception_at_every_line(lock, died_before):
    """After an exception anywhere inside the lock is free, and the news is told later."""
    operation = locks._Guard.acquire.__code__
    for number in range(1, 100):
        if died_before:
            in_child(lambda: (lock.acquire(), os.kill(os.getpid(), signal.SIGKILL)))
        left = [number]

        def trace(frame, event, _, left=left):
            if frame.f_code is not operation:
                return trace if frame.f_code is locks.Lock.acquire.__code__ else None
            if event == "line":
                left[0] -= 1
                if not left[0]:
                    sys.settrace(None)
                    raise _Interrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            last = lock.acquire()
        except _Interrupt:
            assert in_thread(lambda: (lock.acquire(0), lock.release())[0].died) == [died_before]
            continue
        finally:
            sys.settrace(before)
        assert last.died == died_before
        lock.release()
        break
    assert number > 5


def test_a_thread_that_ends_with_it_died(lock):
    in_thread(lock.acquire)
    assert lock.acquire().died
    lock.release()


def test_reentry_is_refused(lock, tmp_path):
    with lock:
        with pytest.raises(slotmem.Reentered, match="holds the lock already"):
            lock.acquire()
        second = other(lock, tmp_path)
        with pytest.raises(slotmem.Reentered):
            second.acquire()
        with pytest.raises(slotmem.NotHeld):
            second.release()
    assert not lock.locked()


def test_a_timeout_names_the_holder_and_is_no_death(lock):
    holder = os.getpid()
    with lock:

        def wait():
            with pytest.raises(slotmem.LockTimeout, match=f"lock 'it'; .*process {holder} "):
                lock.acquire(timeout_s=0)

        assert in_thread(wait) == [None]
        assert in_child(wait) == 0
    assert not lock.acquire().died
    lock.release()


def test_a_child_does_not_hold_what_its_parent_holds(lock):
    def try_release():
        with pytest.raises(slotmem.NotHeld):
            lock.release()

    with lock:
        assert in_child(try_release) == 0
        assert lock.locked()


def test_a_held_lock_is_not_closed(lock):
    with lock, pytest.raises(slotmem.SlotmemError, match="release it before"):
        lock.close()
    lock.close()
    with pytest.raises(slotmem.Closed):
        lock.acquire()


def test_a_held_lock_that_is_forgotten_stays_mapped(tmp_path):
    """Otherwise the C library's list of held mutexes would lead into unmapped memory."""

    def forget():
        slotmem.Lock("it", tmp_path).acquire()
        with slotmem.Lock("other", tmp_path):
            pass

    assert in_child(forget) == 0
    for name in ("it", "other"):
        slotmem.Lock(name, tmp_path).unlink()


def test_unlink_waits_for_nobody_and_harms_nobody(lock, tmp_path):
    second = other(lock, tmp_path)
    with pytest.raises(slotmem.SegmentExists, match="alive"):
        second.unlink()
    path = object_path(lock._names)
    lock.unlink()
    assert not os.path.exists(path)
    lock.unlink()


@pytest.mark.parametrize("size", [0, 10, 200])
def test_a_cut_object_is_refused(lock, tmp_path, size):
    lock.close()
    os.truncate(object_path(lock._names), size)
    with pytest.raises(slotmem.Truncated, match="replace=True") if size < 100 else pytest.raises(slotmem.SlotmemError):
        other(lock, tmp_path)


@pytest.mark.parametrize("at", range(0, 448, 8))
def test_overwritten_memory_is_refused_or_harmless(lock, tmp_path, at):
    """Whatever stands there: an error of ours, or a lock that works; never a signal."""
    lock.close()
    with open(object_path(lock._names), "r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * 8)

    def use():
        try:
            with slotmem.Lock("it", tmp_path, timeout_s=0):
                pass
        except slotmem.SlotmemError:
            pass

    assert in_child(use) == 0


@pytest.mark.parametrize("name", [None, "", "none", "../it", "/x/"])
def test_a_name_that_cannot_be_used(tmp_path, name):
    with pytest.raises(slotmem.InvalidName):
        slotmem.Lock(name, tmp_path)


def test_symlinked_runtime_directories_are_one(lock, tmp_path):
    folder = tmp_path / "link"
    folder.symlink_to(tmp_path)
    with lock, pytest.raises(slotmem.Reentered):
        slotmem.Lock("it", folder).acquire()
