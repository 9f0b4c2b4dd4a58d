"""The witness that algorithms with locks are asked for: recorded, inside the operation, and enough
to accept what was recorded.
"""

import dataclasses
import random
import threading

import numpy as np
import pytest

import slotmem
from slotmem_model import spec
from slotmem_model.judge.slots.history import COUNT, GET, GRAB, KINDS, OK, PENDING, PUT, RELEASE, SlotHistory
from slotmem_model.judge.slots.judge import judge
from slotmem_model.judge.slots.witness import is_accepted
from slotmem_stress.history.reading import read, to_columns
from slotmem_stress.history.records import SECOND, Description, Recorder
from slotmem_stress.provider.algorithm_provider import AlgorithmProvider
from slotmem_stress.run.client import BATCH, Client, Rules
from slotmem_stress.run.witness import stamped

MIX = (("grab", 2), ("fgrab", 1), ("put", 3), ("get", 3), ("release", 2), ("num_free_slots", 1))
SLOTS, SLOT_BYTES = 4, 16


def record(tmp_path, provider, clients=3, batches=40, pregrab=True):
    """Let some threads work on a segment. Returns the folder."""
    folder = tmp_path / "history"
    folder.mkdir()
    Description(SLOTS, SLOT_BYTES, pregrab=pregrab).write(str(folder))
    instance = provider.create("witnessed", SLOT_BYTES, SLOTS, slotmem.Type.PREGRAB if pregrab else slotmem.Type(0))

    def work(number):
        left = iter(range(batches))
        client = Client(number, Rules(SLOTS, SLOT_BYTES, MIX, 1, clients), number)
        client.work(instance, Recorder(str(folder), number), lambda _: next(left, None) is not None)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    instance.close()
    return str(folder)


@pytest.fixture
def shm(tmp_path):
    """The provider of the reference."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        yield provider


def test_each_operation_is_stamped_inside(tmp_path, shm):
    """Of three threads' operations each has a stamp between its two looks at the clock; the history
    is linearizable.
    """
    recorded = read(record(tmp_path, shm))
    columns = to_columns(recorded)
    assert len(columns) == 3 * 40 * BATCH
    assert (recorded.records[:, SECOND] != 0).all()
    assert (columns.witness >= columns.invoked).all()
    assert (columns.witness <= columns.returned).all()
    assert judge(columns).name == "LINEARIZABLE"


def test_the_stamps_explain_the_history(tmp_path, shm):
    """The order of one client's stamps is accepted; were one operation another, or a stamp out of
    order, it would not be.
    """
    columns = to_columns(read(record(tmp_path, shm, clients=1)))
    assert is_accepted(columns)
    assert not is_accepted(dataclasses.replace(columns, witness=columns.witness[::-1].copy()))
    gets = np.flatnonzero((columns.kind == GET) & (columns.outcome == OK))
    value = columns.value.copy()
    value[gets[-1]] += 1
    assert not is_accepted(dataclasses.replace(columns, value=value))


def test_a_stamp_is_stored_before_the_mutex_is_free(tmp_path, shm):
    """Whoever is killed behind the operation has left its stamp: it is there when unlock begins."""
    with shm.create("witnessed", SLOT_BYTES, SLOTS, slotmem.Type.PREGRAB) as instance:
        recorder = Recorder(str(tmp_path), 1)
        seen = []
        algorithm = stamped(instance, recorder)
        really = algorithm.unlock
        algorithm.unlock = lambda mutex: (really(mutex), seen.append(recorder.words[recorder.at + SECOND]))
        algorithm.grab()
        assert seen[0] > 0
        assert instance.num_free_slots() == SLOTS - 1
        recorder.close()


@pytest.mark.parametrize("name", ["httpd-locked", "striped", "reference"])
def test_any_algorithm_with_locks_is_stamped(tmp_path, name):
    """Whatever gives a mutex back stamps, and one client's stamps explain what it did."""
    with AlgorithmProvider.from_spec(name, runtime_dir=str(tmp_path)) as provider:
        columns = to_columns(read(record(tmp_path, provider, clients=1, batches=2)))
    assert is_accepted(columns)


def test_an_algorithm_without_locks_has_no_witness(tmp_path):
    """Nothing is stamped where nothing is unlocked."""
    with AlgorithmProvider.from_spec("httpd", runtime_dir=str(tmp_path)) as provider:
        columns = to_columns(read(record(tmp_path, provider, clients=1, batches=2)))
    assert columns.witness is None
    assert set(np.unique(columns.outcome)) <= {OK, 1, 2}
    assert PENDING not in columns.outcome


@pytest.mark.parametrize("name", ["shm", "httpd"])
def test_without_pregrab_the_specification_is_the_measure(tmp_path, name):
    """A client's history is accepted without PREGRAB, by the witness where there is one; were a get
    another or refused, or a count or release, it would not be.
    """
    make = AlgorithmProvider.from_spec if name == "httpd" else slotmem.provider
    with make(name, runtime_dir=str(tmp_path)) as provider:
        columns = to_columns(read(record(tmp_path, provider, clients=1, batches=6, pregrab=False)))
    assert is_accepted(columns) == (name == "shm")
    assert judge(columns).name == "LINEARIZABLE"
    for kind, outcome, change in (
        (GET, OK, "value"),
        (GET, OK, "outcome"),
        (COUNT, OK, "value"),
        (RELEASE, 1, "outcome"),
    ):
        changed = getattr(columns, change).copy()
        last = np.flatnonzero((columns.kind == kind) & (columns.outcome == outcome))[-1]
        changed[last] = changed[last] + 1 if change == "value" else 1 - changed[last]
        wrong = dataclasses.replace(columns, **{change: changed})
        verdict = judge(wrong)
        assert verdict.name == "VIOLATION"
        assert verdict.numbers[0] == last
        assert verdict.reason.endswith("which no order of the operations shown explains")


@pytest.mark.parametrize("seed", range(40))
def test_without_pregrab_the_witness_accepts_nothing_wrong(seed):
    """Histories of three processes at work at once, half of them with one thing changed: what the
    witness accepts the specification explains.
    """
    dice = random.Random(seed)
    columns = concurrent_history(dice)
    assert is_accepted(columns)
    row = dice.randrange(len(columns))
    for name in ("value", "outcome", "slot", "witness"):
        changed = getattr(columns, name).copy()
        changed[row] = dice.randrange(3)
        wrong = dataclasses.replace(columns, **{name: changed})
        if is_accepted(wrong):
            assert judge(dataclasses.replace(wrong, witness=None)).name == "LINEARIZABLE"


def concurrent_history(dice, length=40):
    """Return a history without PREGRAB in which each operation has its effect, by the
    specification, at an instant that its witness tells.
    """
    state, free_at, rows = spec.fresh(1, 3, pregrab=False), [0, 0, 0], []
    for instant in range(20, 20 + 10 * length, 10):
        process = min(range(3), key=lambda each: (free_at[each] >= instant, dice.random()))
        kind, slot, value = dice.randrange(6), dice.randrange(3), dice.randrange(256)
        name = next(each for each, number in KINDS.items() if number == kind)
        operation = (name, *([slot] if kind not in (GRAB, COUNT) else []), *([bytes([value])] if kind == PUT else []))
        if free_at[process] >= instant:
            continue
        state, result = spec.step(state, operation)
        outcome = {"APR_SUCCESS": OK, "APR_NOTFOUND": 1, "APR_EINVAL": 2}[result.status]
        slot = result.value if kind == GRAB and outcome == OK else slot
        if kind == GET:
            value = result.value[0]
        elif kind == COUNT:
            value = result.value
        invoked = dice.randint(free_at[process] + 1, instant)
        free_at[process] = instant + dice.randint(1, 25)
        rows.append((process, kind, outcome, slot, value, invoked, free_at[process], instant))
    return SlotHistory(3, *np.array(rows, dtype=np.int64).T.copy(), pregrab=False)
