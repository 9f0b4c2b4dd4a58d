"""What the judge says about a violation of slots is true, and what it shows contradicts itself:
every order of ten thousand tiny violations is tried.
"""

import itertools
import random

import numpy as np
import pytest

from slotmem_model.judge.events import Invoke
from slotmem_model.judge.slots import failure, sentences
from slotmem_model.judge.slots import history as columns
from slotmem_model.judge.slots.history import SlotHistory
from slotmem_model.judge.slots.judge import check_slots, judge
from slotmem_model.judge.slots.window import Window
from tools.tiny import make_tiny
from tools.told import Told, explain, make_wrong

PARTS, PART = 4, 2500


def violations(first, count):
    """Yield tiny violations, each with its seed."""
    for seed in itertools.count(first):
        history = make_wrong(random.Random(f"told {seed}"))
        if not explain(history, range(len(history)), (history.inuse, tuple(history.first_values()))):
            yield seed, history
            count -= 1
            if not count:
                return


def untrue(first, count):
    """Return the seeds of violations of which the judge says what was not so in some order, or
    which it finds at an operation that some order explains.
    """
    found = []
    for seed, history in violations(first, count):
        verdict = judge(history, memory_mb=None)
        told = Told(history, verdict.numbers[0])
        if not (told.ways and not told.is_explained() and told.supports(verdict.reason) and verdict.is_whole):
            found.append((seed, verdict.reason))
    return found


@pytest.mark.parametrize("part", range(PARTS))
def test_every_sentence_is_true(part):
    """Four times 2,500: it holds in every order, and it is of the operation whose return makes a
    violation of what some order explained. None is too much to be shown.
    """
    assert untrue(part * 10**6, PART) == []


WRONG = {
    "what happened at all was over before": (
        sentences,
        "_before",
        lambda history, window, number, kind, slot=None: [
            other for other in window.numbers if history.kind[other] == kind and slot in (None, history.slot[other])
        ],
    ),
    "it was found where it is": (
        failure,
        "_find_first",
        lambda history, timeline, number, budget: failure.Failure(number, Window([number], [])),
    ),
    "it is not there": (sentences, "_why_get", lambda *_: ", which was not in use at any time while it ran"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_sentence_that_is_untrue_is_caught(monkeypatch, name):
    """Each way to say too much is noticed."""
    monkeypatch.setattr(*WRONG[name])
    assert any(untrue(first, 100) for first in range(0, 10**6, 10**4))


def _states(history, verdict):
    """Yield the states that a window is said to contradict; none given: all, with each value that
    occurs and one that does not.
    """
    known = {*history.value.tolist(), *history.first_values(), 77}
    for mask, values in verdict.before or [(mask, ()) for mask in range(1 << history.item_num)]:
        yield from (
            [(mask, values)] if values else ((mask, each) for each in itertools.product(known, repeat=history.item_num))
        )


def test_a_window_contradicts_itself():
    """Whichever of the states it begins in, no order explains it; and what the sentence is about is
    in it.
    """
    for seed, history in violations(10**7, 600):
        verdict = judge(history, memory_mb=None)
        number, states = verdict.numbers[0], _states(history, verdict)
        assert not any(explain(history, verdict.numbers, state) for state in states), seed
        assert Invoke(history.name(number), _asked(history, number)) in verdict.window, seed
        assert len(verdict.window) == 2 * len(verdict.numbers), seed


def _asked(history, number):
    kind, slot, value = (int(getattr(history, name)[number]) for name in ("kind", "slot", "value"))
    return columns.NAMES[kind], *(() if kind in (GRAB, COUNT) else (slot,)), *((value,) if kind == PUT else ())


def test_no_violation_of_few_operations_is_too_many_to_be_shown():
    """Of at most nine, with crashes, each is shown."""
    shown = 0
    for seed in range(300):
        verdict = check_slots(*make_tiny(random.Random(f"five {seed}"), 9))
        assert verdict.is_whole, seed
        shown += verdict.name == "VIOLATION"
    assert shown > 50


def history_of(item_num, inuse, *rows):
    """Return a history of (process, kind, outcome, slot, value, invoked, returned)."""
    return SlotHistory(item_num, *np.array(rows, dtype=np.int64).T.copy(), inuse=inuse)


GET, PUT, GRAB, RELEASE, FGRAB, COUNT = (
    getattr(columns, name) for name in ("GET", "PUT", "GRAB", "RELEASE", "FGRAB", "COUNT")
)
OK, NOTFOUND, EINVAL, PENDING = columns.OK, columns.NOTFOUND, columns.EINVAL, columns.PENDING
SAYS = {
    "a get that runs alone, while innocent ones begin": (
        history_of(
            2,
            1,
            (1, GET, OK, 0, 7, 1, 9),
            (2, FGRAB, OK, 1, 0, 2, 3),
            (2, PUT, OK, 1, 5, 4, 6),
            (3, PUT, OK, 0, 7, 11, 12),
        ),
        "get by process 1 returned value 7 of slot 0 before its put was invoked",
        1,
    ),
    "two gets that put two puts in different orders": (
        history_of(
            1,
            1,
            *(
                (1, PUT, OK, 0, 1, 1, 10),
                (2, PUT, OK, 0, 2, 2, 11),
                (3, GET, OK, 0, 1, 12, 13),
                (4, GET, OK, 0, 2, 14, 15),
            ),
        ),
        "get by process 4 returned value 2 of slot 0, although before get of slot 0 by process 3 returned value 1",
        2,
    ),
    "slot 99 of 4 that was found free": (
        history_of(4, 1, (1, GET, NOTFOUND, 99, 0, 1, 2)),
        "get by process 1 was told that slot 99 is not in use, although the segment has no such slot",
        1,
    ),
    "slot 99 of 4 that could be put into": (
        history_of(4, 1, (1, PUT, OK, 99, 0, 1, 2)),
        "put by process 1 succeeded on slot 99, which the segment does not have",
        1,
    ),
    "an answer that no count gives": (
        history_of(4, 1, (1, COUNT, NOTFOUND, -1, 0, 1, 2)),
        "num_free_slots by process 1 was refused with APR_NOTFOUND, which no state explains",
        1,
    ),
    "an old value of a slot that was in use all the time": (
        history_of(1, 1, (1, PUT, OK, 0, 1, 1, 2), (1, PUT, OK, 0, 2, 3, 4), (2, GET, OK, 0, 1, 5, 6)),
        "get by process 2 returned value 1 of slot 0 after the put of 2 that overwrote it had returned",
        2,
    ),
}


@pytest.mark.parametrize(("history", "says", "size"), SAYS.values(), ids=SAYS)
def test_what_is_said_and_shown(history, says, size):
    """The sentence, and the number of operations shown."""
    verdict = judge(history)
    assert (verdict.reason, len(verdict.numbers), verdict.is_whole) == (says, size, True)


def test_without_time_nothing_is_said_that_was_not_looked_up(monkeypatch):
    """A violation that was found when the budget was used up is told as such."""
    history = SAYS["an old value of a slot that was in use all the time"][0]
    monkeypatch.setattr(failure, "_find_first", _exhausted)
    verdict = judge(history)
    assert (verdict.name, verdict.is_whole) == ("VIOLATION", False)
    assert verdict.reason == sentences.NO_TIME


def _exhausted(*_):
    raise failure.Exhausted("at once")
