"""The judge of slots on histories with known answers: windows, sentences, witnesses, budgets."""

import dataclasses
import random
import re

import numpy as np
import pytest

from slotmem_model import spec
from slotmem_model.judge.events import Crash, Invoke, MalformedHistory, Return
from slotmem_model.judge.slots import history as slot_history
from slotmem_model.judge.slots import witness as slot_witness
from slotmem_model.judge.slots.judge import check_slots, judge
from slotmem_model.judge.slots.witness import is_accepted
from slotmem_model.linearizability import check
from tools import histories
from tools.exhaustive import is_linearizable
from tools.tiny import OK, make_tiny, step

# Histories with known answers.

SIZES = {
    "10^3 operations, 2 processes, 1 slot": {"operations": 1_000, "processes": 2, "item_num": 1},
    "10^3, 16, 8": {"operations": 1_000, "processes": 16, "item_num": 8},
    "10^4, 4, 1000": {"operations": 10_000, "processes": 4, "item_num": 1000},
    "10^4, 8, 64, any slot": {"operations": 10_000, "processes": 8, "item_num": 64, "stray": 0.5},
    "10^5, 16, 64": {"operations": 100_000, "processes": 16, "item_num": 64},
    "10^4, 16, 64, counting": {
        "operations": 10_000,
        "processes": 16,
        "item_num": 64,
        "weights": {"grab": 2, "put": 3, "get": 3, "release": 2, "num_free_slots": 0.5},
    },
    "10^4, 16, a hot slot": {"operations": 10_000, "processes": 16, "item_num": 4, "hot": True},
    "10^3, 8, a hot slot with three values": {
        "operations": 1_000,
        "processes": 8,
        "item_num": 1,
        "hot": True,
        "values": 3,
    },
    "10^4, 16, 64, 5 crashed": {"operations": 10_000, "processes": 16, "item_num": 64, "crashed": 5},
    "10^4, 8, 64, 20 crashed": {"operations": 10_000, "processes": 8, "item_num": 64, "crashed": 20},
}


def without_witness(history):
    """Return the history as one recorded without a witness."""
    return dataclasses.replace(history, witness=None)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_linearizable_histories_are_accepted(size):
    """What is linearizable by construction is found to be, by its witness and without."""
    history = histories.make_history(1, **size)
    assert is_accepted(history)
    assert judge(without_witness(history)).name == "LINEARIZABLE"


FAULTY_SIZES = {
    "10^3, 2, 8": {"operations": 1_000, "processes": 2, "item_num": 8},
    "10^4, 16, 64": {"operations": 10_000, "processes": 16, "item_num": 64},
    "10^4, 8, 1000": {"operations": 10_000, "processes": 8, "item_num": 1000},
}
SAYS = {
    "double grab": r"grab by process \d+ returned slot \d+, which process \d+ had grabbed, with no release in between",
    "stale get": r"get by process \d+ returned value \d+ of slot \d+ after the put of \d+ that overwrote it had returned",
    "torn get": r"get by process \d+ returned value \d+ of slot \d+, which nobody had put there",
    "lost put": r"get by process \d+ returned value \d+ of slot \d+ after the put of \d+ that overwrote it had returned",
    "lost release": r"grab by process \d+ returned slot \d+, although the release of slot \d+ by process \d+ had returned",
    "wrong counter": r"num_free_slots by process \d+ returned \d+, which was not the number of free slots",
    "resurrected slot": r"get by process \d+ returned value \d+ of slot \d+, although the release of the slot by",
}


def test_every_fault_has_its_sentence():
    """Each fault that can be put in is tested."""
    assert {*SAYS, "none"} == set(histories.FAULTS)


@pytest.mark.parametrize("size", FAULTY_SIZES.values(), ids=FAULTY_SIZES)
@pytest.mark.parametrize("fault", SAYS)
def test_one_fault_is_found_and_explained(fault, size):
    """One fault among thousands of operations is a violation, by whatever way, with a window of a
    few operations and its sentence.
    """
    history = histories.make_history(2, fault=fault, **size)
    for given_history in (history, without_witness(history)):
        verdict = judge(given_history)
        assert verdict.name == "VIOLATION"
        assert 1 <= len(verdict.window) // 2 <= 3
        assert re.match(SAYS[fault], verdict.reason)


@pytest.mark.parametrize("size", FAULTY_SIZES.values(), ids=FAULTY_SIZES)
def test_the_same_process_without_a_fault_is_not_accused(size):
    """The process that the faults are put in by is accepted when it does not lie."""
    assert judge(without_witness(histories.make_history(2, fault="none", **size))).name == "LINEARIZABLE"


def _replay(verdict, history):
    """Judge a verdict's window by the specification, from each state it is said to begin in."""
    size = 16
    states = verdict.before or [(0, (0,) * history.item_num), ((1 << history.item_num) - 1, (0,) * history.item_num)]
    named = {}
    events = []
    for event in verdict.window:
        if isinstance(event, Invoke) and event.operation[0] == "put":
            name, slot, value = event.operation
            event = Invoke(event.process, (name, slot, value.to_bytes(size, "little")))
        elif isinstance(event, Invoke):
            named[event.process] = event.operation[0]
        elif isinstance(event, Return) and named.get(event.process) == "get" and event.result.status == spec.SUCCESS:
            event = Return(event.process, OK._replace(value=event.result.value.to_bytes(size, "little")))
        events.append(event)
    for mask, values in states:
        held = values or (0,) * history.item_num
        state = spec.Slots(
            size,
            True,
            tuple(bool(mask >> slot & 1) for slot in range(history.item_num)),
            tuple(value.to_bytes(size, "little") for value in held),
        )
        yield check(events, state, step).name


@pytest.mark.parametrize("fault", SAYS)
def test_a_window_is_a_violation_by_itself(fault):
    """The window alone cannot be explained by the specification, from the states it is said to
    begin in (none: from any).
    """
    history = histories.make_history(3, processes=4, item_num=8, operations=1000, fault=fault)
    assert set(_replay(judge(history), history)) == {"VIOLATION"}


def make_held_up_grab():
    """Return a grab of slot 0 that goes on while another process takes and releases it again and
    again, and has it in the end.
    """
    events = [Invoke(1, ("grab",))]
    for _ in range(300):
        events += [Invoke(2, ("grab",)), Return(2, OK._replace(value=0)), Invoke(2, ("release", 0)), Return(2, OK)]
    events += [Invoke(2, ("grab",)), Return(2, OK._replace(value=0)), Return(1, OK._replace(value=0))]
    return events


def test_a_violation_that_takes_too_much_to_show_is_told_as_such():
    """Each of three hundred moments is against the grab; the window has it alone, says so, and no
    state is given for it.
    """
    verdict = check_slots(make_held_up_grab(), spec.fresh(2, 3, True))
    assert verdict.name == "VIOLATION"
    assert verdict.reason == "grab by process 1 returned slot 0, which no order explains"
    assert not verdict.is_whole
    assert (len(verdict.numbers), verdict.before) == (1, ())


def test_a_violation_that_can_be_shown_is_preferred():
    """A later double grab is told in place of the first one, which too much stands against."""
    events = make_held_up_grab()
    events += [Invoke(process, ("grab",)) for process in (3, 4)]
    events += [Return(process, OK._replace(value=1)) for process in (3, 4)]
    verdict = check_slots(events, spec.fresh(2, 3, True))
    assert verdict.is_whole
    assert (
        verdict.reason == "grab by process 4 returned slot 1, which process 3 had grabbed, with no release in between"
    )
    assert len(verdict.numbers) == 2


def test_a_torn_get_is_a_violation_by_itself():
    """Whatever else was seen of its slot: what it gave is none of the values that a slot
    can have.
    """
    initial = dataclasses.replace(
        slot_history.from_events([Invoke(1, ("get", 0)), Return(1, OK._replace(value=b"ab"))], spec.fresh(2, 1, True)),
        outcome=np.array([slot_history.TORN]),
        inuse=1,
    )
    verdict = judge(initial)
    assert verdict.reason == "get by process 1 returned value b'ab' of slot 0, which no put had written"
    assert (verdict.numbers, verdict.before, verdict.is_whole) == ((0,), (), True)


def test_a_torn_get_is_shown_however_long_it_ran():
    """Three hundred operations run meanwhile; it stands by itself."""
    events = list(make_held_up_grab()[1:-1])
    events = [Invoke(2, ("grab",)), Return(2, OK._replace(value=0)), Invoke(1, ("get", 0)), *events[2:]]
    events.append(Return(1, OK._replace(value=b"ab")))
    history = slot_history.from_events(events, spec.fresh(2, 3, True))
    outcome = np.where(history.kind == slot_history.GET, slot_history.TORN, history.outcome)
    verdict = judge(dataclasses.replace(history, outcome=outcome))
    assert verdict.is_whole
    assert len(verdict.numbers) == 1
    assert "which no put had written" in verdict.reason


def test_an_unlucky_witness_is_no_violation():
    """A witness out of order proves nothing: the full judging finds the history linearizable."""
    history = histories.make_history(4, processes=4, item_num=8, operations=500)
    worse = dataclasses.replace(history, witness=history.witness[::-1].copy())
    assert not is_accepted(worse)
    assert judge(worse).name == "LINEARIZABLE"


OUT_OF_PLACE = {
    "a get that was held up behind its look, while its slot was released": (
        [Invoke(1, ("get", 0)), Invoke(2, ("release", 0)), Return(2, OK), Return(1, OK._replace(value=b"\0\0"))],
        True,
        [2, 1],
    ),
    "a grab that was held up when others saw it": (
        [
            *(Invoke(1, ("grab",)), Invoke(2, ("get", 0)), Return(2, OK._replace(value=b"\0\0"))),
            Return(1, OK._replace(value=0)),
        ],
        False,
        [3, 2],
    ),
    "a guess that comes too early": (
        [
            *(Invoke(1, ("get", 0)), Invoke(2, ("get", 0)), Return(2, OK._replace(value=b"\0\0"))),
            *(Invoke(2, ("release", 0)), Return(2, OK), Return(1, spec.Result(spec.NOTFOUND))),
        ],
        True,
        [0, 1, 3],
    ),
}


@pytest.mark.parametrize("name", OUT_OF_PLACE)
def test_a_witness_on_the_wrong_side_of_a_mark_is_mended(monkeypatch, name):
    """It is accepted, which it is not as it stands."""
    events, is_used, witness = OUT_OF_PLACE[name]
    history = slot_history.from_events(events, spec.fresh(2, 1, True)._replace(inuse=(is_used,)))
    history = dataclasses.replace(history, witness=np.array(witness))
    assert is_accepted(history)
    monkeypatch.setattr(slot_witness, "_mend", lambda *_: None)
    assert not is_accepted(history)


def test_equal_witnesses_are_taken_in_the_order_given():
    """The clock may show the same time twice: the order of the columns is tried."""
    events = [
        Invoke(0, ("put", 0, b"aa")),
        Invoke(1, ("get", 0)),
        Return(0, OK),
        Return(1, OK._replace(value=b"aa")),
    ]
    history = slot_history.from_events(events, spec.fresh(2, 1, True)._replace(inuse=(True,)))
    assert is_accepted(dataclasses.replace(history, witness=np.array([1, 1])))


def test_a_witness_must_respect_real_time():
    """An order that explains every result is not enough, if it puts an operation before one that
    was over when it began.
    """
    events = [
        Invoke(0, ("put", 0, b"aa")),
        Return(0, OK),
        Invoke(1, ("get", 0)),
        Return(1, OK._replace(value=b"\0\0")),
    ]
    initial = spec.fresh(2, 1, True)._replace(inuse=(True,))
    columns = slot_history.from_events(events, initial)
    lying = dataclasses.replace(columns, witness=np.array([1, 0]))
    assert not is_accepted(lying)
    assert judge(lying).name == "VIOLATION"


def test_a_witness_never_accepts_what_is_not_linearizable():
    """Whatever the order that a witness claims, what it accepts is linearizable; and the true order
    is accepted.
    """
    accepted = 0
    for seed in range(3000):
        dice = random.Random(f"witness {seed}")
        events, initial = make_tiny(dice, 6)
        try:
            history = slot_history.from_events(events, initial)
        except slot_history.Unsuited:
            continue
        order = np.array(dice.sample(range(len(history)), len(history)), dtype=np.int64)
        if is_accepted(dataclasses.replace(history, witness=order)):
            accepted += 1
            assert is_linearizable(events, initial, step), seed
    assert accepted > 100


def test_what_the_columns_cannot_say_goes_to_the_judge_of_any_specification():
    """Gets and puts of fewer bytes, slots without PREGRAB, and other operations are judged
    rightly.
    """
    initial = spec.fresh(2, 2, True)._replace(inuse=(True, False))
    wrote = [Invoke(0, ("put", 0, b"a")), Return(0, OK)]
    for got, name in ((b"a\0", "LINEARIZABLE"), (b"\0\0", "VIOLATION"), (b"aa", "VIOLATION")):
        events = [*wrote, Invoke(0, ("get", 0)), Return(0, OK._replace(value=got))]
        assert check_slots(events, initial).name == name
    part = [*wrote, Invoke(0, ("get", 0, 1)), Return(0, OK._replace(value=b"a"))]
    assert check_slots(part, initial).name == "LINEARIZABLE"
    marks = [
        Invoke(0, ("put", 1, b"aa")),
        Return(0, OK),
        Invoke(1, ("num_free_slots",)),
        Return(1, OK._replace(value=0)),
    ]
    assert check_slots(marks, initial).name == "VIOLATION"
    assert check_slots(marks, initial._replace(pregrab=False)).name == "LINEARIZABLE"
    listed = [Invoke(0, ("slots",)), Return(0, OK._replace(value=(0,)))]
    assert check_slots(listed, initial).name == "LINEARIZABLE"


def test_the_window_names_what_the_events_name():
    """Processes and values appear as they were in the events."""
    initial = spec.fresh(2, 1, True)._replace(inuse=(True,))
    events = [
        *(Invoke("w", ("put", 0, b"aa")), Return("w", OK), Invoke("w", ("put", 0, b"bb")), Return("w", OK)),
        *(Invoke("r", ("get", 0)), Return("r", OK._replace(value=b"aa"))),
    ]
    verdict = check_slots(events, initial)
    assert (
        verdict.reason
        == "get by process r returned value b'aa' of slot 0 after the put of b'bb' that overwrote it had returned"
    )
    assert verdict.window == tuple(events[2:])


def test_a_crash_can_excuse_what_was_seen():
    """A crashed release, grab or put may have happened; one that returned with an error did not."""
    initial = spec.fresh(2, 2, True)._replace(inuse=(True, False))
    sees_free = [Invoke(1, ("get", 0)), Return(1, spec.Result(spec.NOTFOUND))]
    crashed = [Invoke(0, ("release", 0)), Crash(0)]
    assert check_slots([*crashed, *sees_free], initial).name == "LINEARIZABLE"
    assert check_slots(sees_free, initial).name == "VIOLATION"
    gets_one = [Invoke(1, ("grab",)), Return(1, spec.Result(spec.EINVAL))]
    assert check_slots([Invoke(0, ("grab",)), Crash(0), *gets_one], initial).name == "LINEARIZABLE"
    assert check_slots(gets_one, initial).name == "VIOLATION"


HOPELESS = {
    "processes": 40,
    "item_num": 40,
    "operations": 4000,
    "crashed": 60,
    "values": 2,
    "stray": 0.7,
    "weights": {"grab": 2, "put": 2, "get": 2, "release": 2, "num_free_slots": 2},
}


def test_a_budget_of_time_gives_unknown():
    """A hopeless history (repeated values, counting, many crashes) is UNKNOWN when the time is used
    up.
    """
    verdict = judge(without_witness(histories.make_history(5, **HOPELESS)), budget_s=0.1)
    assert verdict.name == "UNKNOWN"
    assert "0.1 s" in verdict.reason


def test_a_budget_of_memory_gives_unknown(monkeypatch):
    """It is UNKNOWN too when the process has grown by more than the memory given."""
    sizes = iter(range(0, 10**12, 2**20))
    monkeypatch.setattr("slotmem_model.judge.budget.compute_resident_bytes", lambda: next(sizes))
    verdict = judge(without_witness(histories.make_history(5, **HOPELESS)), memory_mb=3)
    assert verdict.name == "UNKNOWN"
    assert "3 MB" in verdict.reason


def _columns(**changed):
    size = {name: np.zeros(2, dtype=np.int64) for name in ("process", "kind", "outcome", "slot", "value")}
    size |= {"invoked": np.array([1, 3]), "returned": np.array([2, 4])}
    return slot_history.SlotHistory(1, **(size | {name: np.array(column) for name, column in changed.items()}))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"slot": [0]}, "differ in length"),
        ({"kind": [0, 9]}, "an unknown kind or outcome"),
        ({"outcome": [0, 7]}, "an unknown kind or outcome"),
        ({"returned": [0, 4]}, "operation 0 returns before it is invoked"),
        ({"invoked": [1, 2], "returned": [3, 4]}, "process 0 invokes operation 1 before its last one has returned"),
        ({"outcome": [3, 0]}, "process 0 invokes operation 1 before its last one has returned"),
    ],
)
def test_columns_that_no_recorder_can_have_written_are_refused(changed, says):
    """Overlapping operations of one process, and the like, are a ValueError."""
    _columns(process=[0, 0])
    with pytest.raises(MalformedHistory, match=says):
        _columns(**changed)


def test_an_empty_history_is_linearizable():
    """Nothing happened, and that is right."""
    assert check_slots([], spec.fresh(2, 1, True)).name == "LINEARIZABLE"
