"""compare_and_put on the simulated image: right ones hold, wrong ones are found."""

import pytest

from accused.wrong_algorithms import LooksFirst
from slotmem.memory.layout import SLOTS_START
from slotmem.slots import Slots
from slotmem_model.checker import naive, shortest
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.counterexample import trace
from slotmem_model.verdict import HELD

CLIENTS = ("fgrab(0); compare_and_put(0, 0, 1); get(0)", "compare_and_put(0, 0, 1)")
QUESTIONS = [
    Configuration(slots=1, clients=CLIENTS, crashes=1),
    Configuration(slots=1, slot_bytes=1, clients=CLIENTS, crashes=1, pregrab=False),
]


class NoRedo(Slots):
    """It writes the slot itself: who dies there leaves a part."""

    def compare_and_put(self, item_id, expected, new):
        def decide(was):
            if was.startswith(expected):
                start = SLOTS_START + item_id * self.item_size
                self.memory[start : start + len(new)] = new
                done.append(True)

        done = []
        self._change(item_id, decide, len(expected))
        return bool(done)


class AlwaysTrue(Slots):
    """It says that it has put, whatever was there."""

    def compare_and_put(self, item_id, expected, new):
        super().compare_and_put(item_id, expected, new)
        return True


@pytest.mark.parametrize("configuration", QUESTIONS, ids=str)
def test_the_reference_holds(configuration):
    """Whoever dies in it has done it or not."""
    outcome = naive.explore(compile_model(configuration, Slots))
    assert (outcome.verdict, outcome.complete) == (HELD, True)
    assert "compare_and_put" in outcome.seen.crashed_in


@pytest.mark.parametrize("wrong", [LooksFirst, NoRedo, AlwaysTrue])
def test_a_wrong_one_is_found(wrong):
    """The counterexample can be stored, read and run again."""
    found = 0
    for configuration in QUESTIONS:
        model = compile_model(configuration, wrong)
        if counterexample := shortest.find(model):
            kept = trace.record(model, counterexample.broken, "", counterexample.steps)
            assert trace.follow(model, trace.load(trace.dumped(kept))) == tuple(counterexample.steps)
            found += 1
    assert found
