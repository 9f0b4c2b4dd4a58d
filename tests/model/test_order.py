"""The order that explains a history: it is one, and it ends where the judge says that nothing
explains the history.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from slotmem_model import spec
from slotmem_model.judge.events import Crash, Invoke, Return
from slotmem_model.judge.order import Order, find_order
from slotmem_model.linearizability import LINEARIZABLE, check

FRESH = spec.fresh(1, 2, True)
GRABBED = [spec.Result(spec.SUCCESS, slot) for slot in range(2)]


def step(state, operation):
    """Return the one step that the specification allows."""
    return (spec.step(state, operation),)


def assert_is_an_order(order: Order) -> None:
    """Each call takes effect once, inside its interval, with its result, and follows whatever had
    returned before it began.
    """
    state = order.first
    calls = order.history.calls
    placed = [at.call for at in order.placed]
    assert len(set(placed)) == len(placed)
    for number, (call, after) in enumerate(order.placed):
        state, result = spec.step(state, calls[call].operation)
        assert state == after
        assert calls[call].is_pending or calls[call].result == result
        for later in placed[number + 1 :]:
            returned = calls[later].returned
            assert returned is None or returned > calls[call].invoked
    end = len(order.history.moments) if order.failed is None else calls[order.failed].returned
    returned = {number for number, call in enumerate(calls) if call.returned is not None and call.returned < end}
    assert returned <= set(placed)


@st.composite
def histories(draw):
    """Return events of three processes whose results are mostly, but not always, those of some
    order.
    """
    state, events, pending, dead = FRESH, [], {}, 0
    for _ in range(draw(st.integers(0, 16))):
        process = draw(st.integers(0, 2))
        name = (process, dead if process == 2 else 0)
        if name not in pending:
            slot = draw(st.integers(0, 1))
            operation = draw(
                st.sampled_from([("grab",), ("release", slot), ("get", slot), ("put", slot, b"x"), ("num_free_slots",)])
            )
            pending[name] = (operation, None)
            events.append(Invoke(name, operation))
        elif pending[name][1] is None:
            state, result = spec.step(state, pending[name][0])
            pending[name] = (pending[name][0], draw(st.sampled_from([result, result, result, GRABBED[0]])))
        elif process == 2 and draw(st.booleans()):
            events.append(Crash(name))
            del pending[name]
            dead += 1
        else:
            events.append(Return(name, pending.pop(name)[1]))
    return events


@settings(deadline=None)
@given(histories())
def test_an_order_explains_what_the_judge_can_explain_and_no_more(events):
    """The order is one of the specification's; it is of everything exactly if the judge says that
    the history is linearizable.
    """
    order = find_order(events, [FRESH], step)
    assert_is_an_order(order)
    assert (order.failed is None) == (check(events, FRESH, step).name == LINEARIZABLE)


def test_a_double_grab_ends_the_order_at_the_second_grab():
    """The first grab is explained, the second is not, and the state is that between them."""
    events = [
        Invoke(1, ("grab",)),
        Invoke(2, ("grab",)),
        Return(1, GRABBED[0]),
        Return(2, GRABBED[0]),
    ]
    order = find_order(events, [FRESH], step)
    assert (order.failed, [at.call for at in order.placed]) == (1, [0])
    assert order.placed[0].state.inuse == (True, False)


def test_equal_calls_that_overlap_are_both_in_the_order():
    """Two processes that do the same at once are two calls, the first to return first."""
    events = [Invoke(1, ("grab",)), Invoke(2, ("grab",)), Return(2, GRABBED[0]), Return(1, GRABBED[1])]
    order = find_order(events, [FRESH], step)
    assert [at.call for at in order.placed] == [1, 0]


def test_the_order_begins_in_the_state_that_explains_most():
    """Of several possible first states one is taken from which an order leads on."""
    used = spec.compute_marked(FRESH, 0, True)
    order = find_order([Invoke(1, ("grab",)), Return(1, GRABBED[1])], [FRESH, used], step)
    assert (order.failed, order.first) == (None, used)
