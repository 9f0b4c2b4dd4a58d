"""Exceptions from signal handlers (SIGNAL-1): at random moments for real, and at every single
access by construction.
"""

import gc
import os
import random
import signal
from contextlib import contextmanager, suppress
from functools import partial

import pytest

import slotmem
from slotmem import NoFreeSlot, NotInUse, Type
from slotmem.memory.mutex import EOWNERDEAD
from slotmem.slots import Slots
from slotmem_conformance.machines.driving import perform
from tools.crashing import OPERATIONS, Trial, Watch, WatchedImage, deaths, exercise, payload_of, step

DEADLOCK_S = 600  # nothing here waits so long for a lock, on a busy machine either
EXCEPTIONS = 20_000
SIZE = 64
NUMBER = 6


class Interruption(BaseException):
    """What a signal handler raises."""


class Alarm:
    """A timer whose handler raises, once for each time it is set."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.due = False

    def __call__(self, signum, frame):
        if self.due:
            self.due = False
            raise Interruption

    def set(self):
        self.due = True
        signal.setitimer(signal.ITIMER_REAL, self.random.uniform(1e-6, 120e-6))


@contextmanager
def alarm(seed):
    """Let SIGALRM raise, and put everything back."""
    ring = Alarm(seed)
    before = signal.signal(signal.SIGALRM, ring)
    gc.disable()  # Python swallows what is raised in a callback of the collector
    try:
        yield ring
    finally:
        ring.due = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()


def interrupted(ring, instance):
    """Do operations at random until an exception ends them. Return whether one did."""
    try:
        ring.set()
        hammer(instance, ring.random, rounds=5000)
    except Interruption:
        return True
    return False


def hammer(instance, choose, rounds):
    """Do operations at random; each put fills a slot with one letter."""
    for _ in range(rounds):
        item_id = choose.randrange(NUMBER)
        operations = [
            instance.grab,
            partial(instance.fgrab, item_id),
            partial(instance.release, item_id),
            partial(instance.get, item_id),
            partial(instance.put, item_id, bytes([choose.randrange(256)]) * SIZE),
            instance.num_free_slots,
            instance.slots,
        ]
        with suppress(NoFreeSlot, NotInUse):
            for operation in choose.sample(operations, 3):
                operation()


def check_whole(instance):
    """See that counter, in-use bytes and slots agree, and that no lock is held: every one of them
    is taken here.
    """
    payload = instance.algorithm().snapshot()
    inuse = payload[-NUMBER:]
    assert int.from_bytes(payload[:4], "little") == inuse.count(0)
    for item_id in range(NUMBER):
        slot = payload[8 + item_id * SIZE :][:SIZE]
        assert slot == slot[:1] * SIZE


def in_another_process(check):
    """Run a check in a forked child, and give whether it held."""
    child = os.fork()
    if child == 0:
        try:
            problem = check()
            os._exit(1 if problem else 0)
        except BaseException:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("flags", [Type.PREGRAB, Type(0)], ids=["pregrab", "plain"])
def test_twenty_thousand_exceptions(flags, tmp_path, record_property):
    """SIGNAL-1: after each of 20,000 exceptions at random moments no lock is held and the data is
    whole.
    """
    with slotmem.provider("shm", runtime_dir=tmp_path, timeout_s=DEADLOCK_S) as provider, alarm(seed=1) as ring:
        instance = provider.create(None, SIZE, NUMBER, flags)
        raised = 0
        while raised < EXCEPTIONS:
            raised += interrupted(ring, instance)
            check_whole(instance)
        assert in_another_process(lambda: exercise(instance.algorithm()))
    record_property("exceptions from signal handlers", raised)


def test_exceptions_while_waiting(tmp_path):
    """SIGNAL-1: an exception while waiting for a lock that others hold, too, leaves it to them or
    frees it.
    """
    with slotmem.provider("shm", runtime_dir=tmp_path, timeout_s=DEADLOCK_S) as provider:
        instance = provider.create(None, SIZE, NUMBER, Type.PREGRAB)
        rival = os.fork()
        if rival == 0:
            try:
                while True:
                    hammer(instance, random.Random(2), rounds=1000)
            finally:
                os._exit(1)
        try:
            with alarm(seed=3) as ring:
                raised = 0
                while raised < 1000:
                    raised += interrupted(ring, instance)
                    check_whole(instance)
        finally:
            os.kill(rival, signal.SIGKILL)
            assert os.waitpid(rival, 0)[1] == signal.SIGKILL
        assert in_another_process(lambda: exercise(instance.algorithm()))


class Interrupting(Watch):
    """Raise at some accesses instead of killing."""

    def __init__(self, *fatal):
        super().__init__()
        self.moments = fatal

    def step(self):
        self.count += 1
        if self.count in self.moments:
            raise Interruption


class InterruptedImage(WatchedImage):
    """CPython raises after a call, never between the bytecode that begins `unlock` and the call
    itself.
    """

    def __init__(self, image, watch):
        super().__init__(image, watch)
        self.unlock = image.unlock


def interruptions(case, operation, algorithm=Slots):
    """After each death in turn, interrupt the next operation at each access, and once more at each
    later one.
    """
    findings, tried = [], 0
    after, _ = step(case.state, case.operation)
    befores = (case.state, after)
    allowed = {payload_of(state) for state in (*befores, *(step(state, operation)[0] for state in befores))}

    def is_reached(fatal, left, *moments):
        nonlocal tried
        trial = Trial(case.state, algorithm)
        trial.image.memory[:] = left
        watch = Interrupting(*moments)
        with suppress(Interruption):
            perform(algorithm(InterruptedImage(trial.image, watch)), operation)
        if watch.count < moments[-1]:
            return False
        tried += 1
        try:
            seen = trial.slots().snapshot()
            problem = f"holds {seen!r}" if seen not in allowed else ""
        except slotmem.SlotmemError as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            findings.append(f"{case} killed at {fatal}, then {operation} interrupted at {moments}: {problem}")
        return True

    for fatal, _, left in deaths(case, algorithm):
        first = 1
        while is_reached(fatal, left, first):
            second = first + 1
            while is_reached(fatal, left, first, second):
                second += 1
            first += 1
    return findings, tried


DYING = [case for case in OPERATIONS if case.operation[0] in ("grab", "put") and step(*case)[0] != case.state]


@pytest.mark.parametrize("case", DYING, ids=str)
@pytest.mark.parametrize("operation", [("grab",), ("put", 0, b"abcdefghi"), ("get", 1)], ids=str)
def test_interrupted_twice_at_every_access(case, operation, record_property):
    """SIGNAL-1, KILL-3: whoever takes over from the dead may be interrupted at any access, and
    again while settling.
    """
    findings, tried = interruptions(case, operation)
    record_property("interruptions by construction", tried)
    assert findings == []
    assert tried > 20


class NeverSettles(Slots):
    """Unlock after an exception without looking."""

    def _settle(self, mutex, status):
        return mutex


def test_without_settling_an_interruption_is_found():
    """SIGNAL-1: if an exception's way out does not look after the mutex, interruptions are found to
    spoil it.
    """
    findings, _ = interruptions(DYING[0], ("grab",), NeverSettles)
    assert any("Unrecoverable" in found for found in findings)


def test_settling_only_once_is_found(monkeypatch):
    """SIGNAL-1: if settling gives up at the second exception, that is found."""
    monkeypatch.setattr("slotmem.slots.SETTLE_TRIES", 1)
    findings, _ = interruptions(DYING[0], ("grab",))
    assert any("Unrecoverable" in found for found in findings)


def test_a_handler_that_calls_into_the_interrupted_segment(tmp_path):
    """SIGNAL-1: a handler that uses the segment it interrupted gets a clear error, and the
    interrupted operation ends well.
    """
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        instance = provider.create(None, SIZE, NUMBER, Type.PREGRAB)
        below = instance.algorithm()
        assert below.trylock(below.table_mutex) == 0  # as the operation does that the handler interrupts
        with pytest.raises(slotmem.Reentered, match="act on it later") as caught:
            instance.grab()
        assert caught.value.status.name == "APR_EBUSY"
        assert below.unlock(below.table_mutex) == 0  # it still had it
        assert instance.grab() == 0


def test_a_mutex_given_up_says_so_for_ever(tmp_path):
    """KILL-3: if a lock was given up unrepaired, every operation of every process that needs it
    says so, and none waits.
    """
    trial = Trial(DYING[0].state)
    assert trial.kill_at(("grab",), 3)
    inner = trial.slots()
    assert inner.trylock(inner.table_mutex) == EOWNERDEAD
    assert inner.unlock(inner.table_mutex) == 0  # without `consistent`: glibc gives it up

    def refused():
        for operation in (inner.grab, inner.num_free_slots, inner.snapshot, inner.grab):
            with pytest.raises(slotmem.Unrecoverable, match="create it again"):
                operation()

    refused()
    assert in_another_process(refused)
    refused()
