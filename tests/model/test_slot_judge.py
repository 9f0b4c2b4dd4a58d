"""The judge of slots: it agrees with trying every order, and answers rightly where the answer is
known, at any size.
"""

import dataclasses
import random
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slotmem_model import spec
from slotmem_model.judge.budget import Budget
from slotmem_model.judge.events import Crash, Invoke, Return
from slotmem_model.judge.slots import closure, dominated, doomed, effects, possibilities, relevant
from slotmem_model.judge.slots import history as slot_history
from slotmem_model.judge.slots import timeline as slot_timeline
from slotmem_model.judge.slots.judge import check_slots
from slotmem_model.judge.slots.possibilities import SlotPossibilities
from slotmem_model.linearizability import check
from tools import histories
from tools.exhaustive import is_linearizable
from tools.tiny import OK, make_crashing, make_hot, make_tiny, step

any_free = partial(spec.steps, lowest_first=False)


def is_accepted_by_judge(events, initial, lowest_first=True):
    """Say whether the judge of slots can explain a history; without the window, which takes
    longer.
    """
    history = slot_history.from_events(events, initial, lowest_first=lowest_first)
    return SlotPossibilities(history, Budget()).run() is None


def disagreements(seeds, operations=8, make=make_tiny, *, lowest_first=True):
    """Return the seeds whose histories the judges and the exhaustive one judge differently, and how
    many are linearizable.
    """
    found, linearizable = [], 0
    for seed in seeds:
        events, initial = make(random.Random(seed), operations, lowest_first=lowest_first)
        expected = is_linearizable(events, initial, step if lowest_first else any_free)
        linearizable += expected
        if is_accepted_by_judge(events, initial, lowest_first) != expected:
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


@settings(max_examples=150, deadline=None)
@given(st.integers(min_value=0, max_value=2**48), st.sampled_from([make_tiny, make_crashing]))
def test_it_agrees_where_any_free_slot_is_right(seed, make):
    """The same where a grab may give any free slot: 150 times 20 histories."""
    assert disagreements(range(20 * seed, 20 * seed + 20), 8, make, lowest_first=False)[0] == []


def test_a_grab_from_the_top_is_right_where_nobody_asks_for_the_lowest():
    """A history is a violation of GRAB-2 alone; one that gives a slot in use is one by any reading,
    and is told without a word of the lowest.
    """
    initial = spec.fresh(2, 3, True)
    events = [Invoke(0, ("grab",)), Return(0, OK._replace(value=2))]
    assert check_slots(events, initial).name == "VIOLATION"
    assert check_slots(events, initial, lowest_first=False).name == "LINEARIZABLE"
    twice = check_slots(2 * events, initial, lowest_first=False)
    assert twice.name == "VIOLATION"
    assert "lowest" not in twice.reason


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


def coarse(events, initial, tick):
    """Return a history by a clock that ticks once in so many events, and whether its order in time
    says all that is known: not so where at one instant several processes, or one in no time, do
    more than one thing.
    """
    history = slot_history.from_events(events, initial)
    invoked, returned = history.invoked // tick, history.returned // tick
    touching, is_exact = {}, True
    for number, process in enumerate(history.process.tolist()):
        mine = [other for other in range(number) if history.process[other] == process]
        for other in mine:
            if history.outcome[other] != slot_history.PENDING and returned[other] == invoked[number]:
                touching.setdefault(int(invoked[number]), set()).add(process)
                is_exact &= invoked[other] < returned[other] or invoked[number] < returned[number]
    is_exact &= all(len(processes) == 1 for processes in touching.values())
    return dataclasses.replace(history, invoked=invoked, returned=returned), bool(is_exact and touching)


def misjudged_by_a_coarse_clock(seeds):
    """Return the seeds whose histories are refused although some order explains them, or accepted
    although none does and the times say what came first; and how many were refused.
    """
    found, refused = [], 0
    for seed in seeds:
        dice = random.Random(f"coarse {seed}")
        events, initial = make_tiny(dice, 8)
        tick = dice.randint(2, 8)
        history, is_exact = coarse(events, initial, tick)
        expected = is_linearizable(events, initial, step, tick)
        accepted = SlotPossibilities(history, Budget()).run() is None
        if accepted < expected or (is_exact and accepted > expected):
            found.append(seed)
        refused += is_exact and not accepted
    return found, refused


def test_a_coarse_clock_accuses_nobody_and_hides_little():
    """By a clock that ticks once in 2 to 8 events, all is accepted that some order explains; and
    nothing else where the times say what came first.
    """
    found, refused = misjudged_by_a_coarse_clock(range(1500))
    assert found == []
    assert refused > 50


def _order_by(*keys):
    def order(history, answered):
        events = np.concatenate((np.arange(len(history)) * 2, answered * 2 + 1))
        times = np.concatenate((history.invoked, history.returned[answered]))
        took_time = (history.returned > history.invoked)[events >> 1]
        known = {
            "client": history.process[events >> 1],
            "returns first": -(events & took_time),
            "calls first": events & 1,
        }
        return events[np.lexsort((*(known[key] for key in keys), times))]

    return order


@pytest.mark.parametrize("keys", [["returns first"], ["calls first"], ["calls first", "client"]])
def test_another_order_at_one_instant_is_caught(monkeypatch, keys):
    """Returns first accuses, calls first hides, and so does an order by client."""
    monkeypatch.setattr(slot_timeline, "_order_events", _order_by(*keys))
    assert any(misjudged_by_a_coarse_clock(range(start, start + 50))[0] for start in range(0, 2000, 50))


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
        "drop_dominated",
        lambda held, tables: list(
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


def _find_whatever(at, tables):
    return sum(put.bit for listed in tables.puts.values() for put in listed)


def _find_before_the_crashed(at, tables):
    found = 0
    for listed in tables.puts.values():
        ends = [put.returned if put.action == slot_timeline.PUT else 0 for put in listed if not at.done & put.bit]
        found |= sum(put.bit for put in listed if at.done & put.bit and ends and put.returned > min(ends))
    return found


def _find_sooner(at, tables):
    found = 0
    for listed in tables.puts.values():
        ends = [put.returned for put in listed if not at.done & put.bit and put.action == slot_timeline.PUT]
        found |= sum(put.bit for put in listed if at.done & put.bit and ends and put.returned < max(ends))
    return found


def test_it_agrees_where_few_values_are_put_into_one_slot():
    """Many puts that overlap bring two or three values: 600 histories of either kind."""
    found, linearizable = disagreements(range(600), 8, make_hot)
    assert found == []
    assert 150 <= linearizable <= 450


@pytest.mark.parametrize(
    ("wrong", "first"), [(_find_whatever, 0), (_find_before_the_crashed, 7500), (_find_sooner, 1600)]
)
def test_a_put_that_cannot_wait_is_not_taken_to(monkeypatch, wrong, first):
    """That it could wait for any other put, for one that crashed, or for one that returns later,
    makes the judge disagree with the exhaustive checker, which it does not by itself.
    """
    seeds = range(first, first + 50)
    assert disagreements(seeds, 9, make_hot)[0] == []
    monkeypatch.setattr(dominated, "_find_waiting", wrong)
    assert disagreements(seeds, 9, make_hot)[0]


def test_a_hot_slot_with_few_values_has_few_possibilities():
    """Sixteen clients put three values into one slot: there are never more than some dozens of
    possibilities.
    """
    history = histories.make_history(1, processes=16, item_num=1, operations=2000, hot=True, values=3)
    held = SlotPossibilities(history, Budget())
    assert held.run() is None
    assert held.most <= 40


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_reduction_is_caught(monkeypatch, name):
    """Each reduction done wrongly makes the judge disagree with the exhaustive checker."""
    where, function, wrong = WRONG[name]
    for module in where if isinstance(where, tuple) else (where,):
        monkeypatch.setattr(module, function, wrong)
    assert not all(is_accepted_by_judge(*history) for history in REACHING) or any(
        disagreements(range(start, start + 100), 8)[0] for start in range(0, 20_000, 100)
    )
