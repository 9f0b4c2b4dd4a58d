"""The memory models allow what the literature says, and nothing else."""

from functools import partial

import pytest

from slotmem_model.checker import litmus
from slotmem_model.checker.litmus import LITMUS, Litmus, outcomes
from slotmem_model.checker.model import MEMORIES


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("test", LITMUS.values(), ids=LITMUS)
def test_the_outcomes_are_those_that_the_memory_model_allows(test, memory):
    """Every listed outcome is reached, and no other."""
    assert outcomes(test, memory) == test.allowed(memory)


def test_the_classic_tests_are_there():
    """Store buffering, message passing, load buffering and coherence, with their names in the
    field.
    """
    assert {"SB", "SB+fences", "MP", "LB", "CoRR", "IRIW"} <= LITMUS.keys()


def test_what_store_buffers_add_is_what_tells_the_models_apart():
    """Some tests have outcomes that only store buffers allow; a fence takes them away."""
    assert {name for name, test in LITMUS.items() if test.tso_more} == {"SB", "SB+fence", "SB+own", "R", "n6"}
    assert LITMUS["SB+fences"].allowed("tso") == LITMUS["SB"].allowed("sc") < LITMUS["SB"].allowed("tso")


def test_a_buffer_for_each_word_adds_what_order_forbids():
    """What needs two stores in order is lost: a fence between them brings it back. Reads of two
    processes still agree, because a store reaches all at once.
    """
    assert {name for name, test in LITMUS.items() if test.pso_more} == {"MP", "S", "2+2W", "n6"}
    assert LITMUS["MP+fence"].allowed("pso") == LITMUS["MP"].allowed("tso") < LITMUS["MP"].allowed("pso")
    assert LITMUS["IRIW"].allowed("pso") == LITMUS["IRIW"].allowed("sc")


def test_buffers_that_keep_the_order_would_be_noticed(monkeypatch):
    """If words drained in order, the tests that tell pso from tso would fail, and no others."""
    kept = partial(litmus.buffered, ordered=True)
    monkeypatch.setattr(litmus, "buffered", lambda automaton, words, ordered: kept(automaton, words))
    wrong = {name for name, test in LITMUS.items() if outcomes(test, "pso") != test.allowed("pso")}
    assert wrong == {"MP", "S", "2+2W", "n6"}


def test_a_checker_without_store_buffers_would_be_noticed(monkeypatch):
    """If the buffers did nothing, the tests that tell the models apart would fail."""
    monkeypatch.setattr(litmus, "buffered", lambda automaton, words, ordered: automaton)
    wrong = {name for name, test in LITMUS.items() if outcomes(test, "tso") != test.allowed("tso")}
    assert wrong == {"SB", "SB+fence", "SB+own", "R", "n6"}


def test_what_cannot_be_read_is_refused():
    """A statement that means nothing, and a memory model that does not exist, are errors that say
    what is expected.
    """
    nothing = frozenset()
    with pytest.raises(ValueError, match=r"litmus statement 'x <- 1' is not like"):
        litmus.compile_litmus(Litmus("bad", "", ("x <- 1",), nothing, nothing), "sc").algorithm(None).run(0)
    with pytest.raises(ValueError, match="memory model 'ra' is not one of sc, tso, pso"):
        outcomes(LITMUS["SB"], "ra")
