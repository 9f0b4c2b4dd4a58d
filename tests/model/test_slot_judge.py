"""The judge of slots: it agrees with trying every order, and answers rightly where the answer is
known, at any size.
"""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slotmem_model import spec
from slotmem_model.judge.budget import Budget
from slotmem_model.judge.events import Crash, Invoke, Return
from slotmem_model.judge.slots import closure, doomed, effects, possibilities, relevant
from slotmem_model.judge.slots import history as slot_history
from slotmem_model.judge.slots import timeline as slot_timeline
from slotmem_model.judge.slots.judge import check_slots
from slotmem_model.judge.slots.possibilities import SlotPossibilities
from slotmem_model.linearizability import check
from tools.exhaustive import is_linearizable
from tools.tiny import OK, make_crashing, make_tiny, step


def is_accepted_by_judge(events, initial):
    """Say whether the judge of slots can explain a history; without the window, which takes
    longer.
    """
    return SlotPossibilities(slot_history.from_events(events, initial), Budget()).run() is None


def disagreements(seeds, operations=8, make=make_tiny):
    """Return the seeds whose histories the judges and the exhaustive one judge differently, and how
    many are linearizable.
    """
    found, linearizable = [], 0
    for seed in seeds:
        events, initial = make(random.Random(seed), operations)
        expected = is_linearizable(events, initial, step)
        linearizable += expected
        if is_accepted_by_judge(events, initial) != expected:
            found.append(seed)
    return found, linearizable


@settings(max_examples=500, deadline=None)
@given(st.integers(min_value=0, max_value=2**48))
def test_it_agrees_with_trying_every_order(seed):
    """The judge of slots and the exhaustive checker agree: 500 times 20 histories, with crashes and
    repeated values.
    """
    assert disagreements(range(20 * seed, 20 * seed + 20))[0] == []


@settings(max_examples=300, deadline=None)
@given(st.integers(min_value=0, max_value=2**48))
def test_it_agrees_where_many_crash(seed):
    """The same where every third operation may crash: 300 times 20 histories."""
    assert disagreements(range(20 * seed, 20 * seed + 20), 9, make_crashing)[0] == []


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_it_agrees_where_hypothesis_rolls_the_dice(dice):
    """The same with dice that Hypothesis can shrink, and with the judge of any specification
    besides.
    """
    events, initial = make_tiny(dice, 7)
    expected = "LINEARIZABLE" if is_linearizable(events, initial, step) else "VIOLATION"
    assert check_slots(events, initial).name == expected
    assert check(events, initial, step).name == expected


def test_the_histories_compared_are_of_both_kinds():
    """Of the histories that are compared at least a quarter is linearizable, and at least a quarter
    is not.
    """
    found, linearizable = disagreements(range(1000))
    assert found == []
    assert 250 <= linearizable <= 750


def test_it_agrees_with_the_judge_of_any_specification():
    """On histories of up to 25 operations, too long for every order, both judges agree."""
    decided = 0
    for number in range(3000):  # on a slow machine more of them are beyond the budget
        events, initial = make_tiny(random.Random(f"longer {number}"), 25)
        by_any = check(events, initial, step, budget_s=1).name
        assert by_any in ("UNKNOWN", check_slots(events, initial).name), number
        decided += by_any != "UNKNOWN"
        if decided == 120:
            return
    pytest.fail(f"only {decided} of 3000 histories were decided within a second each")


def test_a_grab_that_wraps_another_of_its_slot():
    """A grab that begins before and ends behind another grab of the same slot is not taken to come
    first (a past false alarm).
    """
    events = [
        Invoke(0, ("grab",)),
        Invoke(1, ("grab",)),
        Return(1, spec.Result(spec.SUCCESS, 0)),
        Invoke(1, ("release", 0)),
        Return(1, OK),
        Return(0, spec.Result(spec.SUCCESS, 0)),
    ]
    assert check_slots(events, spec.fresh(2, 2, True)).name == "LINEARIZABLE"


def make_reaching(*, looks):
    """Return a history that only a crashed grab explains, which took slot 1 when that was released
    and slot 0 was not yet.
    """
    initial = spec.fresh(2, 2, True)._replace(inuse=(True, True))
    events = [Invoke(1, ("release", 1)), Invoke(2, ("grab",)), Crash(2), Invoke(3, ("release", 0))]
    if looks:
        events += [Invoke(4, ("get", 0)), Return(4, spec.Result(spec.NOTFOUND))]
    events += [Return(3, OK), Return(1, OK), Invoke(4, ("get", 1)), Return(4, OK._replace(value=b"\0\0"))]
    return [*events, Invoke(4, ("grab",)), Return(4, OK._replace(value=0))], initial


REACHING = (make_reaching(looks=False), make_reaching(looks=True))


def test_a_crashed_grab_may_have_taken_what_was_released_meanwhile():
    """It is accepted, and by the exhaustive judge; that nothing crashed is not."""
    for events, initial in REACHING:
        assert is_linearizable(events, initial, step)
        assert check_slots(events, initial).name == "LINEARIZABLE"
        without = [event for event in events if event.process != 2]
        assert check_slots(without, initial).name == "VIOLATION"


# Reductions done wrongly: each must make the judge disagree with the exhaustive one.


def _hide_whatever(tables, at, put):
    for other in tables.puts[put.slot]:
        if not at.done & other.bit:
            effects._hide(tables, at, other)
    at.done |= put.bit
    at.values[put.slot] = put.value
    effects.settle_gets(tables, at, put.slot)
    return [at]


def _hide_nothing(tables, at, put):
    at.done |= put.bit
    at.values[put.slot] = put.value
    effects.settle_gets(tables, at, put.slot)
    return [at]


_relevant = relevant.list_relevant
_list_lost_targets = relevant._list_lost_targets
WRONG = {
    "every pending put hides": (effects, "_write", _hide_whatever),
    "no pending put hides": (effects, "_write", _hide_nothing),
    "a release depends on nothing": (closure, "is_release_free", lambda *_: True),
    "puts do not matter": (
        closure,
        "list_relevant",
        lambda tables, at, pending: (
            other for other in _relevant(tables, at, pending) if other.action != slot_timeline.PUT
        ),
    ),
    "crashed actions do not matter": (
        closure,
        "list_relevant",
        lambda tables, at, pending: (
            other for other in _relevant(tables, at, pending) if other.action < slot_timeline.LOST_GRAB
        ),
    ),
    "only what returns sooner matters": (
        closure,
        "list_relevant",
        lambda tables, at, pending: (other for other in _relevant(tables, at, pending) if other.slot <= pending.slot),
    ),
    "counts matter to nobody": ((closure, relevant), "is_undone", lambda *_: False),
    "who counts is not waited for": (
        slot_timeline,
        "_overlaps",
        lambda offset, invoked, returned, mine, others: np.zeros(int(mine.sum()), dtype=bool),
    ),
    "no grab wraps another": (slot_timeline, "_compute_wraps", lambda grabs, keys, *_: np.zeros(len(keys), dtype=bool)),
    "whoever used most crashed calls dominates": (
        possibilities,
        "_drop_dominated",
        lambda held, crashed: list(
            {(at.mask, tuple(at.values)): at for at in sorted(held, key=lambda at: at.done.bit_count())}.values()
        ),
    ),
    "who will be released is doomed too": (
        (doomed, relevant),
        "is_doomed",
        lambda done, slot, tables, future: bool((future._grabs >= slot * future._span + tables.now).any()),
    ),
    "a crashed grab comes to no slot above": (relevant, "_list_lost_targets", lambda *_: []),
    "a crashed grab comes to no slot that is in use": (
        relevant,
        "_list_lost_targets",
        lambda tables, at, slot: [each for each in _list_lost_targets(tables, at, slot) if not at.mask >> each & 1],
    ),
    "what a crashed grab may have is always refuted": (relevant, "_may_be_lost", lambda *_: False),
    "a crashed grab reaches nothing": (relevant, "_compute_reach", lambda *_: 0),
    "every put is alone": (
        slot_timeline,
        "_compute_alone",
        lambda action, *_: (action == slot_timeline.PUT) | (action == slot_timeline.GET),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_reduction_is_caught(monkeypatch, name):
    """Each reduction done wrongly makes the judge disagree with the exhaustive checker."""
    where, function, wrong = WRONG[name]
    for module in where if isinstance(where, tuple) else (where,):
        monkeypatch.setattr(module, function, wrong)
    assert not all(is_accepted_by_judge(*history) for history in REACHING) or any(
        disagreements(range(start, start + 100), 8)[0] for start in range(0, 20_000, 100)
    )
