"""Spin, given the same model as Promela, finds the same states, the same steps and the same
violations.
"""

from dataclasses import replace

import pytest

from slotmem.slots import Slots
from slotmem_model.algorithms import catalogue
from slotmem_model.algorithms.museum.pieces import MUSEUM
from slotmem_model.automata.automaton import NEVER
from slotmem_model.automata.simulated_image import EOWNERDEAD
from slotmem_model.checker import naive
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.promela import to_promela
from tools import spin

needs_spin = pytest.mark.skipif(bool(spin.missing()), reason=spin.missing())


class Stray(Slots):
    """An in-use byte becomes 2, which the model does not have."""

    def release(self, item_id):
        self.inuse[item_id] = 2


class Careless(Slots):
    """A dead owner is no case that was thought of."""

    def _enter(self, which, status):
        if status == EOWNERDEAD:
            raise RuntimeError("what is this?")
        return super()._enter(which, status)


SMALL = {"slots": 1, "slot_bytes": 1}
GRAB_RELEASE = ("grab -> a; release(a)",)
WITHOUT_PREGRAB = ("put(0, me); get(1)", "get(0); release(0)")
RACE = {"held-once", "counter"}
CASES = [
    (Slots, Configuration(), set()),
    (Slots, Configuration(crashes=1), set()),
    (Slots, Configuration(crashes=1, timeouts=True), set()),
    (Slots, Configuration(processes=3, crashes=2, clients=GRAB_RELEASE, **SMALL), set()),
    (Slots, Configuration(crashes=1, exceptions=True, clients=GRAB_RELEASE, **SMALL), set()),
    ("striped", Configuration(exceptions=True, clients=GRAB_RELEASE, **SMALL), {"counter", "no-deadlock"}),
    (Slots, Configuration(memory="tso"), set()),
    (Slots, Configuration(memory="tso", crashes=1, **SMALL), set()),
    (Slots, Configuration(pregrab=False, slot_bytes=1, crashes=1, clients=WITHOUT_PREGRAB), set()),
    ("one-lock", Configuration(rounds=2), set()),
    ("striped", Configuration(processes=3, **SMALL), set()),
    ("cas", Configuration(clients=GRAB_RELEASE, memory="tso", rounds=2), set()),
    ("httpd", Configuration(), RACE),
    ("httpd", Configuration(memory="tso", crashes=1, **SMALL), RACE),
    (Careless, Configuration(crashes=1, slots=1), {"nothing-raised"}),
    (Stray, Configuration(**SMALL), {"outside"}),
]
PIECES = {
    "torn-get": {"nothing-torn"},
    "grab-full-gives-last": {"held-once"},
    "release-unlocked": {"counter"},
    "other-order": {"no-deadlock"},
    "stuck-for-ever": {"no-deadlock", "counter"},
    "repair-after-unlock": {"counter"},
    "not-consistent": {"nothing-raised"},
    "seqlock-short": {"nothing-torn"},
    "spin-test-and-set": {"held-once"},
}
CASES += [(f"museum:{name}", MUSEUM[name].configuration, broken) for name, broken in PIECES.items()]


def compiled(algorithm, configuration):
    """Compile a model without the monitor, which Promela does not have."""
    algorithm = catalogue.find(algorithm) if isinstance(algorithm, str) else algorithm
    return compile_model(replace(configuration, linearizable=False), algorithm)


def found_by_us(model):
    """Return what naive finds, as Spin says it."""
    outcome = naive.explore(model)
    return spin.Found(outcome.states, outcome.transitions, outcome.violations)


@needs_spin
@pytest.mark.parametrize(
    ("algorithm", "configuration", "broken"),
    CASES,
    ids=lambda case: case if isinstance(case, str) else getattr(case, "__name__", None),
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
        ("byte word[3] = {0, 1,", "byte word[3] = {1, 1,"),
        ("{3, 1}", "{3, 0}"),
        ("provided (!broken)", ""),
    ],
    ids=["one more death", "another beginning", "a store of something else", "violations are expanded"],
)
def test_a_model_that_is_altered_is_noticed(was, becomes, tmp_path):
    """One constant changed in the text, and the numbers differ: the comparison can fail."""
    model = compiled("httpd", Configuration(crashes=1, **SMALL))
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
    with pytest.raises(ValueError, match="not one of ours"):
        spin.explore(to_promela(model), tmp_path)


def test_only_words_that_matter_are_written():
    """A word that nobody accesses is no part of the state, unless a property looks at it."""
    text = to_promela(compiled(Slots, Configuration(clients=("num_free_slots",))))
    assert [line.split()[3] for line in text.splitlines() if line.startswith("/* word[")] == [
        "inuse[0]",
        "inuse[1]",
        "num_free:",
        "table",
        "table",
    ]


def test_a_search_that_was_cut_short_is_refused():
    """What Spin did not explore is not compared."""
    with pytest.raises(ValueError, match="not explored everything"):
        spin.read("error: max search depth too small\n 5 states, stored\n 7 transitions\n errors: 0\n")
