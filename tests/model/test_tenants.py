"""Who has a slot, in the specification and in the checker: OWNER-1, OWNER-2, REAP-1."""

import inspect

import pytest

from slotmem import slots, tenancy
from slotmem_model import spec
from slotmem_model.checker import naive, shortest
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.properties import is_owned
from slotmem_model.checker.standard import standard_of
from slotmem_model.checker.sweep import engine as sweep
from slotmem_model.counterexample import explain, wording
from slotmem_model.spec import As, Result, Tenant

QUESTIONS = [
    each.configuration
    for each in standard_of("reference", slots.Slots).questions
    if any("tenant" in text or "reclaim" in text for text in each.configuration.clients)
]
CLEARED = "                    self.putters[item_id] = 0\n"
STORED = "                    self.tenants[item_id] = self.me[0]\n"
USED = "                    self.inuse[item_id] = 1\n"


def changed(module, name, old, new):
    """Make the class of a module whose source has one text replaced, wherever it stands."""
    source = inspect.getsource(module)
    assert old in source
    namespace = {"__name__": module.__name__}
    exec(compile(source.replace(old, new), module.__file__, "exec"), namespace)
    return namespace[name]


def tenancy_changed(old, new):
    """Make the reference on a changed Tenancy."""
    return type("Changed", (changed(tenancy, "Tenancy", old, new), slots.Slots), {})


WRONG = {
    "the tenant is stored after the in-use byte": changed(slots, "Slots", STORED + USED, USED + STORED),
    "grab stores no tenant": changed(slots, "Slots", STORED, ""),
    "grab keeps the last tenant's put": changed(slots, "Slots", CLEARED, ""),
    "a put without PREGRAB stores no tenant": changed(
        slots, "Slots", "tenant = self.tenants[item_id] = self.me[0]", "tenant = self.me[0]"
    ),
    "the last one's put counts, whoever has the slot": tenancy_changed("putter == tenant", "putter != 0"),
    "reclaim takes the slot from anybody": tenancy_changed(" and self.tenants[item_id] == tenant", ""),
    "reclaim does not count": tenancy_changed("num_free[0] = free if free < COUNTERS else 0", "pass"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_checker_finds_what_is_wrong(name):
    """Each wrong variant is violated by one of the standard questions about tenants."""
    verdicts = (sweep.explore(compile_model(question, WRONG[name])).verdict for question in QUESTIONS)
    assert "violated" in verdicts


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_both_engines_agree_that_the_reference_holds(question):
    """The reference holds, and both engines count the same states."""
    model = compile_model(question, slots.Slots)
    slow, fast = naive.explore(model), sweep.explore(model)
    assert (slow.verdict, slow.violations) == ("held", {})
    assert (fast.verdict, fast.states, fast.transitions) == (slow.verdict, slow.states, slow.transitions)


def test_nobody_pays_who_does_not_ask():
    """Without a question about tenants the model has no words of theirs."""
    assert compile_model(Configuration(), slots.Slots).map.tenants == ()


def test_algorithms_without_tenants_are_not_asked():
    """An algorithm that does not know tenants gets none of these questions."""
    asked = standard_of("mine", type("Mine", (), {"grab": None})).questions
    assert not any("tenant" in text or "reclaim" in text for each in asked for text in each.configuration.clients)


def test_processes_with_slots_are_not_interchangeable():
    """Symmetry is refused where a process's number lies in memory."""
    model = compile_model(Configuration(slots=1, clients=("grab -> a; put(a, 1); tenant(a)",)), slots.Slots)
    with pytest.raises(ValueError, match="tenant"):
        sweep.explore(model, symmetry=True)
    assert not is_owned((model.clients[0], compile_model(QUESTIONS[2], slots.Slots).clients[1]))


def test_a_counterexample_names_the_tenant():
    """What tenant answered is told in words, and operations do not name who asks."""
    model = compile_model(QUESTIONS[0], WRONG["grab stores no tenant"])
    told = explain.explain(model, *shortest.find(model))
    assert told.intervals[0].operation[0] == "grab"
    assert wording.operation(("grab", As(1))) == "grab()"
    assert wording.result("tenant", Result("APR_SUCCESS", Tenant(2, True))) == "process 2, put since"
    assert wording.result("tenant", Result("APR_SUCCESS", None)) == "nobody"


def test_the_specification_says_who_has_a_slot():
    """Who marks a free slot has it, until it is released; a put counts from then on."""
    state = spec.fresh(1, 2, True)._replace(tenants=(None, None))
    for operation, expected in (
        (("grab", As(1)), (Tenant(1, False), None)),
        (("fgrab", 0, As(2)), (Tenant(1, False), None)),
        (("put", 0, b"x", As(2)), (Tenant(1, True), None)),
        (("put", 1, b"x", As(2)), (Tenant(1, True), None)),
        (("fgrab", 1, As(2)), (Tenant(1, True), Tenant(2, False))),
        (("reclaim", 0, 2, As(2)), (Tenant(1, True), Tenant(2, False))),
        (("reclaim", 0, 1, As(2)), (None, Tenant(2, False))),
        (("release", 1, As(1)), (None, None)),
        (("reclaim", 1, 2, As(1)), (None, None)),
        (("reclaim", 7, 2, As(1)), (None, None)),
        (("grab", As(2)), (Tenant(2, False), None)),
    ):
        state, _ = spec.step(state, operation)
        assert state.tenants == expected, operation
    assert spec.step(state, ("tenant", 0, As(1)))[1].value == Tenant(2, False)
    assert spec.step(state, ("tenant", 2, As(1)))[1].status == "APR_EINVAL"


def test_without_pregrab_get_and_put_have_what_they_mark():
    """PUT-4 and GET-4 make a tenant; the put that marks counts."""
    state = spec.fresh(1, 2, False)._replace(tenants=(None, None))
    state, _ = spec.step(state, ("put", 0, b"x", As(1)))
    state, _ = spec.step(state, ("get", 1, As(2)))
    assert state.tenants == (Tenant(1, True), Tenant(2, False))


def test_a_strangers_put_need_not_count():
    """OWNER-2: the tenant's own put counts; another's may have begun before the grab."""
    state = spec.fresh(1, 1, True)._replace(inuse=(True,), tenants=(Tenant(1, False),))
    own = spec.steps(state, ("put", 0, b"x", As(1)), lowest_first=True)
    other = spec.steps(state, ("put", 0, b"x", As(2)), lowest_first=True)
    assert [after.tenants[0].has_put for after, _ in own] == [True]
    assert [after.tenants[0].has_put for after, _ in other] == [True, False]
