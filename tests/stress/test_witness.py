"""The witness that the reference is asked for: recorded, inside the operation, and enough to accept
what was recorded.
"""

import dataclasses
import threading

import numpy as np
import pytest

import slotmem
from slotmem_model.judge.slots.history import GET, OK, PENDING
from slotmem_model.judge.slots.judge import judge
from slotmem_model.judge.slots.witness import is_accepted
from slotmem_stress.history.reading import read, to_columns
from slotmem_stress.history.records import SECOND, Description, Recorder
from slotmem_stress.provider.algorithm_provider import AlgorithmProvider
from slotmem_stress.run.client import BATCH, Client, Rules
from slotmem_stress.run.witness import stamped

MIX = (("grab", 2), ("fgrab", 1), ("put", 3), ("get", 3), ("release", 2), ("num_free_slots", 1))
SLOTS, SLOT_BYTES = 4, 16


def record(tmp_path, provider, clients=3, batches=40):
    """Let some threads work on a segment. Returns the folder."""
    folder = tmp_path / "history"
    folder.mkdir()
    Description(SLOTS, SLOT_BYTES).write(str(folder))
    instance = provider.create("witnessed", SLOT_BYTES, SLOTS, slotmem.Type.PREGRAB)

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


def test_other_algorithms_are_left_alone(tmp_path):
    """What is not the reference is not touched; its histories have no witness."""
    with AlgorithmProvider.from_spec("httpd-locked", runtime_dir=str(tmp_path)) as provider:
        columns = to_columns(read(record(tmp_path, provider, clients=1, batches=2)))
    assert columns.witness is None
    assert set(np.unique(columns.outcome)) <= {OK, 1, 2}
    assert PENDING not in columns.outcome
