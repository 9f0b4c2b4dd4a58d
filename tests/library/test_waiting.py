"""Waiting for a free slot: in the kernel, with a bound, beside an event loop (WAITING-1 to -3)."""

import asyncio
import os
import signal
import threading
import time

import pytest

import slotmem
from slotmem import Closed, Ended, InvalidArgument, NoFreeSlot, Type, Unsupported, WrongType, waiting
from slotmem.foreign import UnsafeSlots
from slotmem.memory import futex
from slotmem.memory.image import ForeignImage, ThreadImage
from slotmem.slots import Slots

NEVER_S = 600  # nothing here takes so long, on a busy machine either


@pytest.fixture(params=["shm", "plain", "threads"])
def full(request, tmp_path, monkeypatch):
    """One slot, and it is in use, on each kind of image that can wait."""
    if request.param == "threads":
        monkeypatch.setattr("slotmem.plain.SharedImage", ThreadImage)
    with slotmem.provider("plain" if request.param == "threads" else request.param, runtime_dir=tmp_path) as provider:
        made = provider.create("full", 8, 1, Type.PREGRAB)
        made.grab()
        yield made


def until(true):
    """Wait until something is so, within a bound."""
    deadline_s = time.monotonic() + NEVER_S
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def somebody_waits(instance):
    return instance.algorithm().waiting[0] == 1


def in_thread(work):
    """Do it in a thread; returns the thread and the list that its result will be in."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


def without_looking_again(monkeypatch):
    """Let nobody look before it is woken, so that a lost waking cannot hide."""
    monkeypatch.setattr(waiting, "LOOK_AGAIN_S", NEVER_S)


def test_a_release_wakes_who_waits(full, monkeypatch):
    """The waiting thread gets the slot that is released, without having looked again."""
    without_looking_again(monkeypatch)
    thread, results = in_thread(lambda: full.grab(timeout_s=None))
    until(lambda: somebody_waits(full))
    full.release(0)
    thread.join(NEVER_S)
    assert results == [0]


def test_everybody_gets_a_slot_in_turn(full, monkeypatch):
    """Four wait, each releases what it was given: nobody is forgotten."""
    without_looking_again(monkeypatch)

    def have_it():
        item_id = full.grab(timeout_s=None)
        full.release(item_id)
        return item_id

    rest = [in_thread(have_it) for _ in range(4)]
    until(lambda: somebody_waits(full))
    full.release(0)
    for thread, _ in rest:
        thread.join(NEVER_S)
    assert [results for _, results in rest] == [[0]] * 4


def test_reap_wakes_who_waits(tmp_path, monkeypatch):
    """A slot taken back from the dead is given to who waits in another process."""
    without_looking_again(monkeypatch)
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        full = provider.create("full", 8, 1, Type.PREGRAB)
        dead = os.fork()
        if dead == 0:
            full.grab()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(dead, 0)
        waits = os.fork()
        if waits == 0:
            os._exit(full.grab(timeout_s=None))
        until(lambda: somebody_waits(full))
        assert full.reap() == [0]
        assert os.waitstatus_to_exitcode(os.waitpid(waits, 0)[1]) == 0
        assert full.owner(0).pid == waits


def test_a_segment_that_ends_wakes_who_waits(tmp_path, monkeypatch):
    """A waiter of another process is told at once that nobody will free a slot any more."""
    without_looking_again(monkeypatch)
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        full = provider.create("full", 8, 1, Type.PREGRAB)
        full.grab()
        waits = os.fork()
        if waits == 0:
            try:
                full.grab(timeout_s=None)
            except Ended:
                os._exit(7)
            finally:
                os._exit(1)
        until(lambda: somebody_waits(full))
        full.close()
        assert os.waitstatus_to_exitcode(os.waitpid(waits, 0)[1]) == 7


def test_who_repairs_after_a_release_wakes_who_waits(tmp_path, monkeypatch):
    """Dead between the in-use byte and the counter, a release has woken nobody: the repair does."""
    without_looking_again(monkeypatch)
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        full = provider.create("full", 8, 1, Type.PREGRAB)
        full.grab()
        waits = os.fork()
        if waits == 0:
            os._exit(full.grab(timeout_s=None))
        until(lambda: somebody_waits(full))
        dies = os.fork()
        if dies == 0:
            algorithm = full.algorithm()

            class Dies:
                """The counter, at which the process dies."""

                def __getitem__(self, index):
                    os.kill(os.getpid(), signal.SIGKILL)

            algorithm.num_free = Dies()
            full.release(0)
        os.waitpid(dies, 0)
        full.num_free_slots()  # repairs
        assert os.waitstatus_to_exitcode(os.waitpid(waits, 0)[1]) == 0


def test_a_waiter_that_is_killed_takes_nobodys_waking_along(tmp_path, monkeypatch):
    """Of two that wait one is killed; the other one gets the slot."""
    without_looking_again(monkeypatch)
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        full = provider.create("full", 8, 1, Type.PREGRAB)
        full.grab()
        pids = []
        for _ in range(2):
            full.algorithm().waiting[0] = 0
            pids.append(os.fork())
            if pids[-1] == 0:
                os._exit(full.grab(timeout_s=None))
            until(lambda: somebody_waits(full))
        os.kill(pids[0], signal.SIGKILL)
        os.waitpid(pids[0], 0)
        full.release(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pids[1], 0)[1]) == 0


def test_a_waking_that_was_lost_is_made_up_for(full, monkeypatch):
    """Who dies between saying so and waking leaves the sleepers asleep: they look again."""
    monkeypatch.setattr(full.algorithm().image, "wake", lambda: None)
    thread, results = in_thread(lambda: full.grab(timeout_s=None))
    until(lambda: somebody_waits(full))
    full.release(0)
    thread.join(NEVER_S)
    assert results == [0]


@pytest.mark.parametrize("timeout_s", [0, 0.0])
def test_by_default_nobody_waits(full, timeout_s):
    """grab without a timeout, or with 0, fails at once and says that to nobody."""
    for ask in (full.grab, lambda: full.grab(timeout_s=timeout_s)):
        with pytest.raises(NoFreeSlot, match="release one first"):
            ask()
    assert not somebody_waits(full)


def test_a_wait_ends_in_time(full):
    """After timeout_s it is an error, as when there is no slot."""
    with pytest.raises(NoFreeSlot, match="stayed in use for"):
        full.grab(timeout_s=0.05)


@pytest.mark.parametrize(
    ("timeout_s", "error"), [(-1, InvalidArgument), ("1", WrongType), (float("nan"), InvalidArgument)]
)
def test_a_careless_timeout_is_refused(full, timeout_s, error):
    """A timeout that is no number of seconds gets a clear error."""
    with pytest.raises(error):
        full.grab(timeout_s=timeout_s)


def test_closing_ends_a_wait(full):
    """Who waits on an instance that is closed gets `Closed`."""

    def wait():
        with pytest.raises(Closed):
            full.grab(timeout_s=None)

    thread, results = in_thread(wait)
    until(lambda: somebody_waits(full))
    full.close()
    thread.join(NEVER_S)
    assert results == [None]


def test_a_signal_ends_a_wait(full):
    """Ctrl-C comes through."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            full.grab(timeout_s=None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    full.release(0)
    assert full.grab() == 0


def test_a_foreign_segment_has_nothing_to_wait_at(full):
    """httpd's segments have no word for it: a clear error, not a wait for ever."""
    image = full.algorithm().image
    foreign = UnsafeSlots(ForeignImage(image.memory, image.geometry, writable=True))
    with pytest.raises(Unsupported, match="nothing to wait at"):
        foreign.grab(timeout_s=1)


def test_a_word_that_has_changed_is_not_waited_for(full):
    """The kernel compares before it sleeps."""
    image = full.algorithm().image
    if not isinstance(image, ThreadImage):
        image.waiting[0] = 0
        image.sleep(NEVER_S)
        futex.wake(0)  # nobody is there: no error, no signal


def test_grabbed_is_released_at_the_end(full):
    """WAITING-2: a `with` has the slot for its length; an exception in it releases it, too."""
    full.release(0)
    with full.grabbed() as item_id:
        assert list(full.slots()) == [item_id]
    assert list(full.slots()) == []
    with pytest.raises(ZeroDivisionError), full.grabbed():
        _ = 1 / 0
    assert list(full.slots()) == []
    full.grab()
    with pytest.raises(NoFreeSlot), full.grabbed():
        pass


def test_grabbed_takes_nothing_from_others(full):
    """A slot that the body released, and another process then grabbed, is left to it."""
    full.release(0)
    with full.grabbed() as item_id:
        full.release(item_id)
    assert full.num_free_slots() == 1
    with full.grabbed() as item_id:
        full.algorithm().tenants[item_id] += 1 << 22  # somebody else's now
    assert full.num_free_slots() == 0
    full.release(0)
    with full.grabbed():
        full.close()


def test_a_loop_goes_on_meanwhile(full):
    """WAITING-3: others run while one waits, and it gets what they release."""

    async def both():
        waits = asyncio.create_task(full.grab_async())
        while not somebody_waits(full):
            await asyncio.sleep(0)
        full.release(0)
        return await waits

    assert asyncio.run(both()) == 0
    full.release(0)
    assert asyncio.run(full.grab_async()) == 0


def test_an_error_reaches_the_loop(full):
    """No slot within timeout_s is an error for who awaits."""
    with pytest.raises(NoFreeSlot):
        asyncio.run(full.grab_async(0.05))


def test_cancelled_in_the_middle_it_keeps_no_slot(full, monkeypatch):
    """Whoever is cancelled while the thread waits leaves the next release to others."""

    async def cancel():
        waits = asyncio.create_task(full.grab_async())
        while not somebody_waits(full):
            await asyncio.sleep(0)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        full.release(0)

    asyncio.run(cancel())
    until(lambda: not [each for each in threading.enumerate() if each.name == "slotmem grab_async"])
    assert full.num_free_slots() == 1


@pytest.mark.parametrize("turns", range(4))
def test_cancelled_as_the_slot_arrives_it_keeps_none(full, turns):
    """Cancelled before the thread's answer reaches the loop, after it, and in between."""

    async def cancel():
        waits = asyncio.create_task(full.grab_async())
        while not somebody_waits(full):
            await asyncio.sleep(0)
        full.release(0)
        threads = [each for each in threading.enumerate() if each.name == "slotmem grab_async"]
        for each in threads:
            each.join(NEVER_S)  # the slot is on its way to this loop
        for _ in range(turns):
            await asyncio.sleep(0)
        if waits.cancel():
            with pytest.raises(asyncio.CancelledError):
                await waits
            await asyncio.sleep(0)
            assert full.num_free_slots() == 1
        else:
            assert await waits == 0

    asyncio.run(cancel())


class NeverWakes(Slots):
    """Release says nothing to who waits."""

    def release(self, item_id):
        self.waiting, kept = [0], self.waiting
        try:
            super().release(item_id)
        finally:
            self.waiting = kept


def test_who_never_wakes_is_found(tmp_path, monkeypatch):
    """The test of waking accuses a release that does not."""
    without_looking_again(monkeypatch)
    with slotmem.provider("shm", runtime_dir=tmp_path, algorithm=NeverWakes) as provider:
        full = provider.create("full", 8, 1, Type.PREGRAB)
        full.grab()
        thread, results = in_thread(lambda: full.grab(timeout_s=None))
        until(lambda: somebody_waits(full))
        full.release(0)
        assert (results, somebody_waits(full)) == ([], True)  # free, and still said to be waited for
        Slots.release(full.algorithm(), full.grab())
        thread.join(NEVER_S)
