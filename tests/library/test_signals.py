"""Exceptions from signal handlers (SIGNAL-1): at random moments for real, and at every single
access by construction.
"""

import gc
import inspect
import os
import random
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

import pytest

import slotmem
from slotmem import NoFreeSlot, NotInUse, Type
from slotmem.memory.mutex import ENOTRECOVERABLE, EOWNERDEAD
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


class Tracer:
    """A trace function that raises at one opcode of the library, as a debugger's or a coverage
    tool's does when Ctrl-C comes while it runs.
    """

    def __init__(self, fatal):
        self.fatal = fatal
        self.count = 0

    def __call__(self, frame, event, argument):
        if "slotmem" not in frame.f_globals["__name__"].split("."):
            return None
        frame.f_trace_opcodes = True
        return self.local

    def local(self, frame, event, argument):
        if event == "opcode":
            self.count += 1
            if self.count == self.fatal:
                raise Interruption
        return self.local


def traced(case, left):
    """Raise at each opcode of an operation in turn. Return what was wrong, and how many there
    were.
    """
    findings, fatal = [], 0
    allowed = {payload_of(case.state), payload_of(step(*case)[0])}
    before = sys.gettrace()
    with ThreadPoolExecutor(1) as other:
        while True:
            fatal += 1
            trial = Trial(case.state)
            trial.image.memory[:] = left
            slots, tracer = trial.slots(), Tracer(fatal)
            sys.settrace(tracer)
            try:
                with suppress(Interruption):
                    perform(slots, case.operation)
            finally:
                sys.settrace(before)
            held = other.submit(lambda each=slots: [each.trylock(mutex) for mutex in each.mutexes]).result()
            other.submit(lambda each=slots: [each.unlock(mutex) for mutex in each.mutexes]).result()
            if any(held):
                findings.append(f"{case} at opcode {fatal}: the locks answer {held}")
            elif (seen := slots.snapshot()) not in allowed:
                findings.append(f"{case} at opcode {fatal}: holds {seen!r}")
            if tracer.count < fatal:
                return findings, fatal - 1


DYING = [case for case in OPERATIONS if case.operation[0] in ("grab", "put") and step(*case)[0] != case.state]


@pytest.mark.parametrize("case", OPERATIONS, ids=str)
def test_a_trace_function_that_raises_at_every_opcode(case, record_property):
    """SIGNAL-1: wherever an exception from a trace function ends an operation, no lock is held, and
    the operation was done or not done.
    """
    findings, tried = traced(case, bytes(Trial(case.state).image.memory[:]))
    record_property("exceptions from trace functions", tried)
    assert findings == []
    assert tried > 30


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


class Unrevived(Slots):
    """Make a mutex consistent after the repair only, and revive none."""

    def _enter(self, which, status):
        if status == EOWNERDEAD:
            self.repair(which)
        elif status == ENOTRECOVERABLE:
            raise slotmem.Unrecoverable("given up")
        return super()._enter(which, status)

    consistent = property(lambda self: lambda mutex: 0, lambda self, value: None)


def test_an_interruption_that_gives_up_a_mutex_is_found():
    """SIGNAL-1: if the way out of an exception does not declare the mutex consistent, interruptions
    are found to spoil it.
    """
    findings, _ = interruptions(DYING[0], ("grab",), Unrevived)
    assert any("Unrecoverable" in found for found in findings)


class NeverMarked:
    """Marks that nobody keeps."""

    def __getitem__(self, which):
        return 0

    def __setitem__(self, which, value):
        return


class Unmarked(Slots):
    """Make a mutex consistent before the repair, and keep no mark of it."""

    marks = dirty = property(lambda self: NeverMarked(), lambda self, value: None)


def test_an_interruption_before_an_unmarked_repair_is_found():
    """SIGNAL-1: if nothing tells the next owner of a mutex that an exception came before the
    repair, what is left half changed is found.
    """
    findings, _ = interruptions(DYING[0], ("grab",), Unmarked)
    assert any("holds" in found for found in findings)


def test_a_handler_that_calls_into_the_interrupted_segment(tmp_path):
    """SIGNAL-1: a handler that uses the segment it interrupted gets a clear error, and the
    interrupted operation ends well.
    """
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        instance = provider.create(None, SIZE, NUMBER, Type.PREGRAB)
        below = instance.algorithm()
        caught = []

        class Handler:
            """What runs while the operation below holds the table's mutex."""

            def __getitem__(self, index):
                below.num_free = free
                with pytest.raises(slotmem.Reentered, match="act on it later") as refused:
                    instance.grab()
                caught.append(refused.value.status.name)
                return free[index]

        free, below.num_free = below.num_free, Handler()
        assert instance.num_free_slots() == NUMBER
        assert caught == ["APR_EBUSY"]
        assert instance.grab() == 0
        assert in_another_process(lambda: exercise(below))


def test_a_lock_that_stayed_with_its_thread(tmp_path):
    """SIGNAL-1: a lock that an exception kept this thread from unlocking is found by its next
    operation, which repairs; closing gives it back, so that nothing is unmapped locked.
    """
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        instance, other = (provider.create(None, SIZE, NUMBER, Type.PREGRAB) for _ in range(2))
        below = instance.algorithm()
        assert below.trylock(below.table_mutex) == 0
        below.inuse[0] = 1
        assert instance.num_free_slots() == NUMBER - 1
        assert in_another_process(partial(exercise, below))
        assert [below.trylock(mutex) for mutex in below.mutexes] == [0] * len(below.mutexes)
        instance.close()
        del below
        gc.collect()
        assert other.grab() == 0


def given_up():
    """Return slots whose table's mutex was unlocked by an heir who had not made it consistent."""
    trial = Trial(DYING[0].state)
    assert trial.kill_at(("grab",), 3)
    inner = trial.slots()
    assert inner.trylock(inner.table_mutex) == EOWNERDEAD
    assert inner.unlock(inner.table_mutex) == 0
    return inner


def test_a_mutex_given_up_is_revived():
    """KILL-3: a lock that was given up unrepaired is repaired by the next one who wants it."""
    for operation in ("grab", "num_free_slots", "snapshot"):
        inner = given_up()
        perform(inner, (operation,))
        assert in_another_process(lambda inner=inner: exercise(inner))


def test_an_exception_as_a_mutex_answers_that_it_was_given_up():
    """SIGNAL-1: an exception between that answer and all else does not unlock what is not held; the
    next operation of this thread revives it.
    """
    inner = given_up()

    def trylock(mutex):
        status = inner.image.trylock(mutex)
        if status == ENOTRECOVERABLE:
            inner.trylock = inner.image.trylock
            raise Interruption
        return status

    inner.trylock = trylock
    with pytest.raises(Interruption):
        inner.grab()
    inner.num_free_slots()
    assert in_another_process(lambda: exercise(inner))


def test_no_memory_and_no_stack_for_a_repair():
    """KILL-3: a repair that ends for want of memory or stack leaves everything to the next one."""
    for case in DYING:
        for error in (MemoryError, RecursionError):
            trial = Trial(case.state)
            assert trial.kill_at(case.operation, 4)

            class Poor(Slots):
                """Have neither."""

                def repair(self, which, error=error):
                    raise error

            with suppress(error):
                perform(Poor(trial.image), case.operation)
            assert in_another_process(lambda trial=trial: exercise(trial.slots()))


def descend(left, operation):
    """Do an operation so many calls further down."""
    return descend(left - 1, operation) if left else operation()


def test_at_the_recursion_limit():
    """KILL-3: at any depth below the recursion limit an operation that meets a dead owner ends in
    that error or is done, and the next one finds all in order.
    """
    case = DYING[0]
    reached = set()
    for depth in range(1, 60):
        trial = Trial(case.state)
        assert trial.kill_at(case.operation, 3)
        slots = trial.slots()

        at = len(inspect.stack(0))
        try:
            descend(sys.getrecursionlimit() - at - depth, slots.num_free_slots)
            reached.add("done")
        except RecursionError:
            reached.add("refused")
        assert in_another_process(partial(exercise, slots))
    assert reached == {"done", "refused"}
