"""A store buffer delays stores, keeps their order, and is drained by locked operations and
fences.
"""

import pytest

from slotmem_model.algorithms.httpd import Httpd
from slotmem_model.algorithms.striped import Striped
from slotmem_model.automata import store_buffer
from slotmem_model.automata.kind import TooLarge
from slotmem_model.checker import naive, shortest
from slotmem_model.checker.litmus import Litmus, compile_litmus
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.sweep import engine as sweep
from slotmem_model.counterexample import trace
from slotmem_model.counterexample.explain import explain

NOTHING = frozenset()


def buffered(program):
    """Compile a one-process litmus program under tso."""
    return compile_litmus(Litmus("one", "", (program,), NOTHING, NOTHING), "tso")


def kinds(local):
    return [action.access.kind for action in local.actions]


def follow(model, *path):
    """Take the actions of these kinds one after the other; give the state and the local state it
    ends in.
    """
    state = model.initial
    automaton = model.processes[0]
    for kind in path:
        number = kinds(automaton.locals[state.locals[0]]).index(kind)
        state = next(step.state for step in model.successors(state) if step.action == number)
    return state, automaton.locals[state.locals[0]]


def memory(model, state):
    return {name: state.words[word] for name, word in model.map.extra.items() if state.words[word]}


def test_a_store_is_not_in_memory_until_it_drains():
    """The step of the store leaves memory as it is; a drain, at any later moment, changes it."""
    model = buffered("x = 1; y = 2")
    state, local = follow(model, "buffer")
    assert memory(model, state) == {}
    assert kinds(local) == ["buffer", "drain"]
    state, _ = follow(model, "buffer", "drain")
    assert memory(model, state) == {"x": 1}


def test_stores_drain_in_their_order():
    """With two stores waiting, the older is the only one that can drain."""
    model = buffered("x = 1; y = 2")
    state, local = follow(model, "buffer", "buffer", "drain")
    assert memory(model, state) == {"x": 1}
    assert kinds(local) == ["drain"]
    assert memory(model, follow(model, "buffer", "buffer", "drain", "drain")[0]) == {"x": 1, "y": 2}


def test_a_load_takes_the_newest_store_of_its_own_process():
    """The buffered value is read, not memory's, and the newest of two."""
    model = buffered("x = 1; x = 2; a = x")
    state, _ = follow(model, "buffer", "buffer", "reread", "buffer", "drain", "drain", "drain")
    assert memory(model, state) == {"x": 2, "a": 2}


def test_a_load_of_another_variable_goes_past_the_buffer():
    """It reads memory while the store still waits."""
    _, local = follow(buffered("x = 1; a = y"), "buffer")
    assert kinds(local) == ["load", "drain"]


@pytest.mark.parametrize("statement", ["fence", "lock y += 1"])
def test_a_fence_and_a_locked_operation_wait_for_the_drain(statement):
    """Before them nothing can be done but drain; after the drain they go on."""
    model = buffered(f"x = 1; {statement}; a = x")
    assert kinds(follow(model, "buffer")[1]) == ["drain"]
    assert kinds(follow(model, "buffer", "drain")[1]) == ["fence" if statement == "fence" else "add"]


def test_what_has_not_drained_is_not_done():
    """A process at its end with a store waiting is still inside, and done only after the drain."""
    model = buffered("x = 1")
    local = follow(model, "buffer")[1]
    assert (local.end, local.inside) == ("draining", True)
    local = follow(model, "buffer", "drain")[1]
    assert (local.end, local.inside, local.actions) == ("done", False, ())


def test_a_process_dies_with_an_empty_buffer_only():
    """What was retired reaches memory: while a store waits, a death has to wait too."""
    model = compile_model(Configuration(slots=1, crashes=1, memory="tso"), Striped)
    waiting = [local for local in model.processes[0].locals if "drain" in kinds(local)]
    assert waiting
    assert all(local.crash is None for local in waiting)
    assert any(local.crash is not None for local in model.processes[0].locals)


def test_a_mutex_is_neither_taken_nor_given_back_past_a_waiting_store():
    """Mutex calls are locked operations: none is offered beside a drain."""
    model = compile_model(Configuration(slots=1, memory="tso"), Striped)
    for local in model.processes[0].locals:
        if "drain" in kinds(local):
            assert not {"trylock", "lock", "unlock"} & {*kinds(local)}


def test_a_store_of_a_value_that_the_model_does_not_have_is_a_fault_at_once():
    """It is not buffered: the end is the fault, with nothing to drain."""
    local = follow(buffered("x = 9"), "buffer")[1]
    assert local.fault == "store to x of 9, which is no value that it has in the model"
    assert local.actions == ()


def test_too_many_states_are_an_error(monkeypatch):
    """The limit is reported with the process, not reached in silence."""
    monkeypatch.setattr(store_buffer, "MAX_LOCALS", 3)
    with pytest.raises(TooLarge, match="with its store buffer, process 1 has more than 3 states"):
        buffered("x = 1; y = 2")


def test_a_spinning_process_waits_for_its_own_store_to_drain():
    """It reads its own store again and again, which changes nothing; only the drain lets it see
    another's.
    """

    class Spins:
        extra_words = (("x", 2),)

        def __init__(self, image):
            self.image = image
            self.x = image.extra["x"]

        def num_free_slots(self):
            self.x[0] = 0
            while not self.x[0]:
                self.image.retry()
            return 1

        def slots(self):
            self.x[0] = 1
            return ()

    clients = ("num_free_slots", "slots")
    model = compile_model(Configuration(slots=1, clients=clients, memory="tso", linearizable=False), Spins)
    assert kinds(follow(model, "buffer", "reread")[1]) == ["drain"]
    assert kinds(follow(model, "buffer", "drain", "load")[1]) == ["load"]
    outcome = naive.explore(model)
    assert outcome.violations.keys() == {"no-deadlock"}  # the first store may drain last


def test_engines_agree_where_words_drain_in_any_order():
    """On slots and on programs, and traces of them are followed."""
    for configuration, algorithm in (
        (Configuration(slots=1, slot_bytes=1, memory="pso"), Striped),
        (
            Configuration(slots=1, slot_bytes=1, memory="pso", crashes=1, clients=("grab -> a; put(a, 1)", "get(0)")),
            Httpd,
        ),
    ):
        model = compile_model(configuration, algorithm)
        slow, fast = naive.explore(model), sweep.explore(model)
        assert (slow.states, slow.transitions, slow.violations) == (fast.states, fast.transitions, fast.violations)
        found = shortest.find(model)
        assert bool(found) == bool(slow.violations)
        if found:
            told = explain(model, found.broken, found.steps)
            assert trace.follow(model, trace.record(model, told.broken, told.sentence, told.steps)) == found.steps
