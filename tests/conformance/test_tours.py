"""The tours. The method is tried by brute force: whatever machine differs from a small one, and has
no more states than are allowed for, answers some tour wrongly. Of the specification's machines
every wrong answer and every wrong step in one place is caught.
"""

import random
from collections import defaultdict
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from accused.miniature import Miniature
from accused.miniatures import EmptyPutDoesNotMark
from slotmem_conformance import runner
from slotmem_conformance.cases import server_tours, tours
from slotmem_conformance.protocol.session import open_session
from slotmem_conformance.reports.verdicts import ClauseVerdict
from slotmem_conformance.tours import servers, slots
from slotmem_conformance.tours.identifiers import NotMinimal, identify
from slotmem_conformance.tours.machine import UNDEFINED, Machine, tabulate
from slotmem_conformance.tours.tours import derive
from tools import completeness_page


def every_machine(states, inputs, answers):
    """Yield every machine that answers every input in every state, as a table of pairs: the state
    that follows, the answer.
    """
    rows = list(product(product(range(states), range(answers)), repeat=inputs))
    return product(rows, repeat=states)


def answers_alike(machine, other):
    """Say whether another machine answers every sequence that is defined as this one does."""
    seen, waiting = {(0, 0)}, [(0, 0)]
    for state, at in waiting:
        for each in machine.defined(state):
            after, answer = other[at][each]
            if answer != machine.answers[state][each]:
                return False
            pair = machine.following[state][each], after
            if pair not in seen:
                seen.add(pair)
                waiting.append(pair)
    return True


def is_caught(machine, tours, other):
    """Say whether another machine answers a tour wrongly."""
    for tour in tours:
        state = at = 0
        for each in tour:
            at, answer = other[at][each]
            if answer != machine.answers[state][each]:
                return True
            state = machine.following[state][each]
    return False


def missed(machine, tours, others):
    """Return how many machines differ, and how many of those no tour catches."""
    different = [other for other in others if not answers_alike(machine, other)]
    return len(different), sum(not is_caught(machine, tours, other) for other in different)


def made(states, inputs, answers, *, undefined=0.0):
    """Yield machines made at random of which every state can be come to and told apart."""
    dice = random.Random(7)
    while True:
        table = [
            [
                None if dice.random() < undefined else (dice.randrange(states), dice.randrange(answers))
                for _ in range(inputs)
            ]
            for _ in range(states)
        ]
        machine = tabulate(0, range(inputs), lambda state, each, table=table: table[state][each])
        try:
            identify(machine)
        except NotMinimal:
            continue
        if len(machine.ways) == states:
            yield machine


@pytest.mark.parametrize(
    ("states", "undefined", "extra", "machines"),
    [(2, 0.0, 0, 20), (3, 0.0, 0, 3), (3, 0.2, 0, 4), (2, 0.0, 1, 3), (2, 0.2, 1, 3)],
)
def test_every_machine_that_differs_is_caught(states, undefined, extra, machines):
    """All machines of two inputs and two answers that have as many states, and `extra` more: those
    that differ answer a tour wrongly; those that do not, none.
    """
    others = list(every_machine(states + extra, 2, 2))
    for _, machine in zip(range(machines), made(states, 2, 2, undefined=undefined), strict=False):
        derived = derive(machine, extra)
        different, uncaught = missed(machine, derived, others)
        assert 0 < different < len(others)
        assert uncaught == 0
        alike = [other for other in others if answers_alike(machine, other)]
        assert not any(is_caught(machine, derived, other) for other in alike)


def test_one_slot_without_bytes_is_a_machine_of_this_kind():
    """The mark of one slot, its grab and its release: all 46,656 machines of three states."""

    def step(used, each):
        return (not used, "ok") if (each == "grab") != used else (used, "refused")

    machine = tabulate(False, ("grab", "release"), step)
    assert missed(machine, derive(machine, 1), every_machine(3, 2, 2)) == (46_568, 0)


def test_less_is_not_enough():
    """Without the words at the end, and without the extra inputs, some machines slip through: the
    brute force can see what a tour misses.
    """
    for _, machine in zip(range(3), made(3, 2, 2), strict=False):
        edges = [(*way, each) for way in machine.ways for each in range(2)]
        assert missed(machine, edges, every_machine(3, 2, 2))[1] > 0
    [(_, machine)] = zip(range(1), made(2, 2, 2), strict=False)
    assert missed(machine, derive(machine, 0), every_machine(3, 2, 2))[1] > 0


def test_states_that_are_the_same_are_refused():
    """A machine with two states that answer everything alike has no tours."""
    with pytest.raises(NotMinimal, match="0 and 1"):
        identify(Machine(((1,), (0,)), ((0,), (0,)), ((), (0,)), ()))


def test_an_input_that_is_undefined_is_in_no_tour():
    """Where nothing is asked, nothing is tried."""
    for _, machine in zip(range(20), made(4, 3, 2, undefined=0.3), strict=False):
        for tour in derive(machine, 1):
            state = 0
            for each in tour:
                assert machine.following[state][each] != UNDEFINED
                state = machine.following[state][each]


def wrong_in_one_place(machine):
    """Yield, for each edge, the tables in which it alone is wrong: another state follows, or
    another answer is given.
    """
    right = [list(zip(*rows, strict=True)) for rows in zip(machine.following, machine.answers, strict=True)]
    for state, row in enumerate(right):
        for each in machine.defined(state):
            after, answer = row[each]
            others = [(other, answer) for other in range(len(right)) if other != after]
            others += [(after, other) for other in range(len(machine.said)) if other != answer]
            for other in others:
                row[each] = other
                yield (state, each), right
            row[each] = after, answer


PLANS = [
    *(
        slots.make(shape, profiles).machine
        for shape, profiles in product(
            (tours.Shape(1, 1, ()), tours.Shape(2, 0, ("PREGRAB",)), tours.Shape(2, 1, ("PREGRAB",))),
            tours.PROFILES.values(),
        )
    ),
    *(
        servers.make(life, profiles).machine
        for life, profiles in product(server_tours.LIVES[1::4], server_tours.PROFILES.values())
    ),
]


@pytest.mark.parametrize("machine", PLANS, ids=range(len(PLANS)))
def test_every_single_fault_of_the_specification_is_caught(machine):
    """Each edge with each other state behind it, and with each other answer, is caught by a tour,
    unless it is another machine but in name.
    """
    through = defaultdict(list)
    for tour in derive(machine):
        state = 0
        for each in tour:
            through[state, each].append(tour)
            state = machine.following[state][each]
    faults = 0
    for edge, table in wrong_in_one_place(machine):
        faults += 1
        assert is_caught(machine, through[edge], table) or answers_alike(machine, table), edge
    assert faults > 10 * len(machine.ways)


ALL = [*tours.PROGRAMS, *server_tours.PROGRAMS]


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.id)
def test_the_reference_makes_every_tour(case):
    """It answers each as the specification does."""
    assert runner.run_case(case, partial(open_session, "shm")).verdict is ClauseVerdict.PASS


@pytest.mark.parametrize("case", tours.PROGRAMS, ids=lambda case: case.id)
def test_a_put_of_no_byte_that_does_not_mark_is_caught_every_time(case):
    """Wherever httpd's marks are asked for, and there is no PREGRAB; nowhere else."""
    verdict = runner.run_case(case, EmptyPutDoesNotMark, quick=True).verdict
    asked = case.id.startswith("STATE-2") and "pregrab" not in case.id
    assert verdict in (ClauseVerdict.SKIP, ClauseVerdict.FAIL if asked else ClauseVerdict.PASS)


def test_each_quick_run_has_some():
    """A quick run leaves the larger machines out, and says so."""
    outcomes = [runner.run_case(case, Miniature, quick=True) for case in tours.PROGRAMS]
    assert sum(outcome.verdict is ClauseVerdict.PASS for outcome in outcomes) == 3 * len(tours.SMALL)
    assert {outcome.reason for outcome in outcomes} == {"", "a quick run leaves the larger machines out"}


def test_the_printed_page_is_up_to_date():
    """COMPLETENESS.md is what `python -m tools.completeness_page` prints."""
    page = Path(tours.__file__).parents[1] / "COMPLETENESS.md"
    assert page.read_text() == completeness_page.to_markdown()
