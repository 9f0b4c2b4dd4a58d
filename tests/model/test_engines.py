"""The fast engine finds what the oracle finds, in the same numbers; what it cannot do it says."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotmem.slots import Slots
from slotmem_model.automata.kind import TooLarge
from slotmem_model.automata.ranks import ranks_of
from slotmem_model.checker import naive
from slotmem_model.checker.exploration import Limits
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.sweep import engine as sweep
from slotmem_model.checker.sweep.packing import packing_for
from slotmem_model.checker.sweep.rows import Remembered, distinct
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED

SAME = ("grab -> a; put(a, 1); get(a); release(a)",)


class Unlocked(Slots):
    """The reference without its locks."""

    def __init__(self, image):
        super().__init__(image)
        self.trylock = lambda mutex: 0
        self.unlock = lambda mutex: 0


class Leaking(Slots):
    """Keep the table's lock after a grab that found nothing."""

    def grab(self):
        try:
            return super().grab()
        except Exception:
            self.image.trylock(self.table_mutex)
            raise


class Spinning:
    """Take a lock by looking and trying again and again: an algorithm with a loop of two steps."""

    def __init__(self, image):
        self.image = image
        self.mutex = image.mutexes[0]

    def num_free_slots(self):
        while self.image.inuse[0] or self.image.trylock(self.mutex):
            self.image.retry()
        free = self.image.num_free[0]
        self.image.unlock(self.mutex)
        return free


CASES = [
    (Slots, Configuration()),
    (Slots, Configuration(crashes=1)),
    (Slots, Configuration(crashes=2)),
    (Slots, Configuration(rounds=2)),
    (Slots, Configuration(memory="tso")),
    (Slots, Configuration(memory="tso", crashes=1, slot_bytes=1)),
    (Slots, Configuration(timeouts=True)),
    (Slots, Configuration(stripes=1)),
    (
        Slots,
        Configuration(slots=1, slot_bytes=1, exceptions=True, clients=("fgrab(0); get(0)", "grab -> a; release(a)")),
    ),
    (Slots, Configuration(processes=3, slots=1, slot_bytes=1)),
    (
        Slots,
        Configuration(processes=3, slots=1, crashes=1, clients=("grab -> a; release(a)", "num_free_slots", "slots")),
    ),
    (Slots, Configuration(pregrab=False, clients=("put(0, me); get(1)", "get(0); release(0)"))),
    (Slots, Configuration(pregrab=False, slots=1, slot_bytes=1, crashes=1, clients=("put(0, me); get(0)",))),
    (Slots, Configuration(clients=("fgrab(0); put(0, me); get(0)", "fgrab(0); put(0, me); release(0)"))),
    (Slots, Configuration(linearizable=False, rounds=2)),
    (Unlocked, Configuration()),
    (Unlocked, Configuration(rounds=2, slots=1)),
    (Unlocked, Configuration(crashes=1, memory="tso", slots=1, slot_bytes=1)),
    (Leaking, Configuration(slots=1, rounds=2)),
    (Spinning, Configuration(processes=3, clients=("num_free_slots; num_free_slots",))),
]


@pytest.mark.parametrize(("algorithm", "configuration"), CASES, ids=lambda case: getattr(case, "__name__", str(case)))
def test_sweep_agrees_with_naive(algorithm, configuration):
    """Verdict, states, transitions, violations and what was seen are equal."""
    slow = naive.explore(compile_model(configuration, algorithm))
    fast = sweep.explore(compile_model(configuration, algorithm))
    assert slow.complete
    assert fast.complete
    assert (slow.states, slow.transitions, slow.violations, slow.seen) == (
        fast.states,
        fast.transitions,
        fast.violations,
        fast.seen,
    )
    assert slow.verdict == (HELD if algorithm in (Slots, Spinning) else VIOLATED)


@pytest.mark.parametrize(("algorithm", "configuration"), CASES, ids=lambda case: getattr(case, "__name__", str(case)))
def test_reductions_keep_the_verdict(algorithm, configuration):
    """With partial order and with symmetry the same properties break, over no more states."""
    alike = replace(configuration, clients=SAME) if len(configuration.clients) == 1 else configuration
    for one, options in (
        (configuration, {"por": True}),
        (alike, {"symmetry": True}),
        (alike, {"symmetry": True, "por": True}),
    ):
        if "symmetry" in options and (len(one.clients) > 1 or algorithm is Spinning):
            continue
        model = compile_model(one, algorithm)
        whole, reduced = sweep.explore(model), sweep.explore(model, **options)
        assert reduced.violations.keys() == whole.violations.keys()
        assert reduced.verdict == whole.verdict
        assert reduced.states <= whole.states


def test_reductions_reduce():
    """Each of the two, and both together, leave out states."""
    model = compile_model(Configuration(processes=3, clients=SAME), Slots)
    states = [
        sweep.explore(model, symmetry=symmetry, por=por).states for symmetry in (False, True) for por in (False, True)
    ]
    assert states == [86061, 51495, 14487, 8722]


def test_symmetry_refuses_processes_that_differ():
    """Clients that say `me`, or that are not the same, are no case for symmetry."""
    for clients in (("grab -> a; put(a, me)",), ("num_free_slots", "slots")):
        with pytest.raises(ValueError, match="symmetry needs processes that do the same"):
            sweep.explore(compile_model(Configuration(clients=clients), Slots), symmetry=True)


def test_a_spent_budget_leaves_the_verdict_open():
    """With no time, or no memory, the verdict is undecided, and the reason is told."""
    model = compile_model(Configuration(rounds=2), Slots)
    for engine in (naive, sweep):
        for budget, what in ((Limits(seconds=0), "budget of 0 s"), (Limits(memory_bytes=0), "memory budget of 0 MiB")):
            outcome = engine.explore(model, budget)
            assert outcome.verdict == UNDECIDED
            assert what in outcome.reason
            assert not outcome.complete


def test_progress_is_told():
    """Whoever asks is told how far it is."""
    told = []
    sweep.explore(compile_model(Configuration(), Slots), Limits(progress=told.append))
    assert told[-1].states > 2000
    assert told[-1].depth > 10


def test_a_word_outside_its_domain_leaves_the_verdict_open():
    """A counter that runs out of the model's values is reported, never folded back."""

    class Counting(Slots):
        def num_free_slots(self):
            self.num_free[0] += 50
            return 2

    configuration = Configuration(processes=1, clients=("num_free_slots",))
    for engine in (naive, sweep):
        outcome = engine.explore(compile_model(configuration, Counting))
        assert outcome.violations == {"outside": 1}
        assert outcome.verdict == UNDECIDED


def test_states_wider_than_one_integer():
    """A state of more than 64 bits takes several columns, and the numbers are the same."""
    configuration = Configuration(slots=3, slot_bytes=4, crashes=1, clients=("grab -> a; put(a, me)",))
    model = compile_model(configuration, Slots)
    assert packing_for(model).columns >= 2
    fast, slow = sweep.explore(model), naive.explore(model)
    assert (fast.states, fast.transitions) == (slow.states, slow.transitions)


def test_the_monitor_outgrows_its_field(monkeypatch):
    """If the monitor has more sets than its field can number, the exploration begins again with a
    wider one.
    """
    monkeypatch.setattr("slotmem_model.checker.sweep.packing.MIN_MONITOR_BITS", 1)
    monkeypatch.setattr("slotmem_model.checker.sweep.packing.COLUMN_BITS", 56)
    model = compile_model(Configuration(rounds=2), Slots)
    packing = packing_for(model)
    assert packing.monitor.mask < naive.explore(model).states
    assert sweep.explore(model).states == 23417


def test_a_monitor_that_is_too_large_is_refused(monkeypatch):
    """A table of more cells than allowed is an error, not an endless growth."""
    monkeypatch.setattr("slotmem_model.checker.sweep.engine.MonitorTable.MAX_CELLS", 1000)
    with pytest.raises(TooLarge, match="the monitor has"):
        sweep.explore(compile_model(Configuration(processes=3), Slots))


def test_a_state_that_fits_nowhere_is_refused():
    """A state of more than 256 bits is an error, never a wrong count."""
    with pytest.raises(TooLarge, match="a state has more than 256 bits"):
        packing_for(
            compile_model(Configuration(processes=1, slots=1, slot_bytes=140, clients=("fgrab(0); put(0, 1)",)), Slots)
        )


def test_packing_gives_back_what_it_got():
    """Every state that the oracle reaches is itself again after packing and unpacking."""
    model = compile_model(Configuration(crashes=1, slot_bytes=1), Slots)
    packing = packing_for(model)
    found, waiting = {model.initial}, [model.initial]
    for state in waiting:
        assert packing.unpack(tuple(packing.pack(state))) == state
        for step in model.successors(state):
            if step.state not in found:
                found.add(step.state)
                waiting.append(step.state)
    assert len({tuple(packing.pack(state)) for state in found}) == len(found)


def test_ranks_grow_along_every_step():
    """A rank is the longest way; an automaton with a loop has none."""
    automaton = compile_model(Configuration(crashes=1), Slots).processes[0]
    ranks = ranks_of(automaton)
    assert ranks is not None
    for at, local in enumerate(automaton.locals):
        targets = {move.target for action in local.actions for move in action.moves if move and move.target >= 0}
        assert all(ranks[target] > ranks[at] for target in targets | ({local.crash} - {None}))
    assert ranks_of(compile_model(Configuration(clients=("num_free_slots",)), Spinning).processes[0]) is None


rows = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0, 1, 2**63, 2**64 - 1])), max_size=60)


@given(rows)
def test_distinct_keeps_each_row_once(given_rows):
    """Repeated rows are dropped, no other."""
    columns = [np.array([row[at] for row in given_rows], np.uint64) for at in range(2)]
    kept = list(zip(*(column.tolist() for column in distinct(columns)), strict=True))
    assert Counter(kept) == Counter(set(given_rows))


@given(st.lists(rows, max_size=6))
def test_remembered_gives_what_is_new(batches):
    """A row is new the first time, and never again."""
    remembered, known = Remembered(), set()
    for batch in batches:
        columns = distinct([np.array([row[at] for row in batch], np.uint64) for at in range(2)])
        new = list(zip(*(column.tolist() for column in remembered.add(columns)), strict=True))
        assert Counter(new) == Counter(set(batch) - known)
        known |= set(batch)
