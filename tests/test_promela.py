"""Spin, given the same model as Promela, finds the same states, the same steps and the same violations."""

from dataclasses import replace

import pytest

import spin
from slotmem.slots import Slots
from slotmem_model import naive
from slotmem_model.automaton import NEVER
from slotmem_model.model import Configuration, compile_model
from slotmem_model.promela import to_promela

needs_spin = pytest.mark.skipif(bool(spin.missing()), reason=spin.missing())


class Unlocked(Slots):
    """No lock at all, as in httpd: a race for the slot and for the counter."""

    def __init__(self, image):
        super().__init__(image)
        self.trylock = self.unlock = lambda mutex: 0


class PlainGet(Slots):
    """A get that takes no lock."""

    def get(self, item_id):
        return self.memory[32 + item_id * self.item_size : 32 + (item_id + 1) * self.item_size]


class NoRepair(Slots):
    """What the dead left is declared whole as it is."""

    def repair(self, which):
        pass


class Careless(Slots):
    """A dead owner is no case that was thought of."""

    def _enter(self, mutex, status):
        if status == 130:
            raise RuntimeError("what is 130?")
        super()._enter(mutex, status)


class Leaking(Slots):
    """Keep the lock after a release."""

    def release(self, item_id):
        super().release(item_id)
        self.image.trylock(self.table_mutex)


class Crossed:
    """Two locks, and each operation takes them in its own order."""

    def __init__(self, image):
        self.image = image

    def both(self, first, second):
        taken = [self.image.mutexes[which] for which in (first, second)]
        for mutex in taken:
            if self.image.lock(mutex) == 130:
                self.image.consistent(mutex)
        for mutex in taken:
            self.image.unlock(mutex)

    def num_free_slots(self):
        self.both(0, 1)
        return self.image.geometry.item_num

    def slots(self):
        self.both(1, 0)
        return ()


class Stray(Slots):
    """An in-use byte becomes 2, which the model does not have."""

    def release(self, item_id):
        self.inuse[item_id] = 2


class CompareAndSwap:
    """Lock-free: take a slot in one step with looking, count in another."""

    def __init__(self, image):
        self.image = image
        self.slot_numbers = range(image.geometry.item_num)

    def grab(self):
        for item_id in self.slot_numbers:
            if self.image.compare_and_swap(self.image.cell(self.image.inuse, item_id), 0, 1):
                self.image.fetch_add(self.image.cell(self.image.num_free, 0), -1)
                return item_id
        while self.image.num_free[0]:
            self.image.retry()
        raise ValueError("full")

    def release(self, item_id):
        self.image.inuse[item_id] = 0
        self.image.fence()
        self.image.fetch_add(self.image.cell(self.image.num_free, 0), 1)


SMALL = {"slots": 1, "slot_bytes": 1}
HOLD = ("grab -> a; put(a, me); get(a)",)
CROSSED = ("num_free_slots", "slots")
CASES = [
    (Slots, Configuration(), set()),
    (Slots, Configuration(crashes=1), set()),
    (Slots, Configuration(crashes=1, timeouts=True), set()),
    (Slots, Configuration(processes=3, crashes=2, clients=("grab -> a; release(a)",), **SMALL), set()),
    (Slots, Configuration(memory="tso"), set()),
    (Slots, Configuration(memory="tso", crashes=1, **SMALL), set()),
    (Slots, Configuration(pregrab=False, crashes=1, clients=("put(0, me); get(1)", "get(0); release(0)")), set()),
    (Unlocked, Configuration(), {"held-once", "counter"}),
    (Unlocked, Configuration(memory="tso", crashes=1, **SMALL), {"held-once", "nothing-raised", "counter"}),
    (PlainGet, Configuration(slots=1, clients=("fgrab(0); put(0, me); get(0)",)), {"nothing-torn"}),
    (NoRepair, Configuration(crashes=1, clients=HOLD), {"counter"}),
    (Careless, Configuration(crashes=1, slots=1), {"nothing-raised"}),
    (Leaking, Configuration(crashes=1, slots=1), {"no-deadlock", "counter"}),
    (Crossed, Configuration(clients=CROSSED), {"no-deadlock"}),
    (Crossed, Configuration(processes=3, crashes=1, clients=(*CROSSED, "slots")), {"no-deadlock"}),
    (Stray, Configuration(**SMALL), {"outside"}),
    (CompareAndSwap, Configuration(processes=3, clients=("grab -> a; release(a)",), memory="tso"), {"nothing-raised"}),
]


def compiled(algorithm, configuration):
    """Compile a model without the monitor, which Promela does not have."""
    return compile_model(replace(configuration, linearizable=False), algorithm)


def found_by_us(model):
    """Give what naive finds, as Spin says it."""
    outcome = naive.explore(model)
    return spin.Found(outcome.states, outcome.transitions, outcome.violations)


@needs_spin
@pytest.mark.parametrize(
    ("algorithm", "configuration", "broken"), CASES, ids=lambda case: getattr(case, "__name__", None)
)
def test_spin_finds_the_same(algorithm, configuration, broken, tmp_path):
    """States, transitions, and for each property the number of states that break it, are equal."""
    model = compiled(algorithm, configuration)
    ours = found_by_us(model)
    assert ours.violations.keys() == broken
    assert spin.explore(to_promela(model), tmp_path) == ours


@needs_spin
@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("+ DEAD_1 < 1", "+ DEAD_1 < 2"),
        ("byte word[7] = {0, 1,", "byte word[7] = {1, 1,"),
        ("{3, 1}", "{3, 0}"),
        ("provided (!broken)", ""),
    ],
    ids=["one more death", "another beginning", "a store of something else", "violations are expanded"],
)
def test_a_model_that_is_altered_is_noticed(was, becomes, tmp_path):
    """One constant changed in the text, and the numbers differ: the comparison can fail."""
    model = compiled(Unlocked, Configuration(crashes=1, **SMALL))
    text = to_promela(model)
    assert was in text
    assert spin.explore(text.replace(was, becomes, 1), tmp_path) != found_by_us(model)


@needs_spin
def test_a_value_held_to_be_impossible_is_no_blocked_step(tmp_path):
    """If a word has a value that the automata left out, Spin says so; nothing is quietly lost."""
    model = compiled(Slots, Configuration(**SMALL))
    first, second = model.processes
    (action,) = first.locals[0].actions
    blind = first.locals[0]._replace(actions=(action._replace(moves=(NEVER,) * len(action.moves)),))
    model.processes = (first._replace(locals=(blind, *first.locals[1:])), second)
    with pytest.raises(ValueError, match="none of ours"):
        spin.explore(to_promela(model), tmp_path)


def test_only_words_that_matter_are_written():
    """A word that nobody accesses is no part of the state, unless a property looks at it."""
    text = to_promela(compiled(Slots, Configuration(clients=("num_free_slots",))))
    assert [line.split()[3] for line in text.splitlines() if line.startswith("/* word[")] == [
        "inuse[0]",
        "inuse[1]",
        "num_free:",
        "table",
    ]


def test_a_search_that_was_cut_short_is_refused():
    """What Spin did not explore is not compared."""
    with pytest.raises(ValueError, match="not explored everything"):
        spin.read("error: max search depth too small\n 5 states, stored\n 7 transitions\n errors: 0\n")
