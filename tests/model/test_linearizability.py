"""The judge of any specification: textbook histories, malformed ones, budgets, windows; and it
agrees with trying every order.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slotmem_model.judge import search
from slotmem_model.judge.budget import Budget, Exhausted
from slotmem_model.judge.events import History
from slotmem_model.linearizability import Crash, Invoke, MalformedHistory, Return, check
from tools.exhaustive import is_linearizable


def register(state, operation):
    """A register: ("w", value) and ("r",), and ("cas", old, new), which says whether it did."""
    name, *arguments = operation
    if name == "w":
        yield arguments[0], None
    elif name == "r":
        yield state, state
    else:
        yield (arguments[1], True) if state == arguments[0] else (state, False)


def queue(state, operation):
    """A queue: ("add", item) and ("take",), which gives None when there is nothing."""
    if operation[0] == "add":
        yield (*state, operation[1]), None
    elif state:
        yield state[1:], state[0]
    else:
        yield state, None


def bag(state, operation):
    """A bag, which gives any of its items: more than one result is allowed."""
    if operation[0] == "add":
        yield state | {operation[1]}, None
    for item in state if operation[0] == "take" else ():
        yield state - {item}, item


def parse(text):
    """Return the events of a history in short: "A?w1 A! B?r B!1 A+": invoke, return, crash."""
    events = []
    for word in text.split():
        process, what, rest = word[0], word[1], word[2:]
        if what == "?":
            name = rest.rstrip("0123456789")
            numbers = tuple(int(digit) for digit in rest[len(name) :])
            events.append(Invoke(process, (name, *numbers)))
        elif what == "!":
            events.append(Return(process, {"": None, "T": True, "F": False}[rest] if rest in "TF" else int(rest)))
        else:
            events.append(Crash(process))
    return events


TEXTBOOK = {
    "nothing happened": ("", True),
    "a read of what was written": ("A?w1 A! B?r B!1", True),
    "a stale read": ("A?w1 A! A?w2 A! B?r B!1", False),
    "a read of what nobody wrote": ("A?w1 A! B?r B!7", False),
    "a read of what is not yet written": ("B?r B!1 A?w1 A!", False),
    "a read during a write may see the old value": ("A?w1 B?r B!0 A!", True),
    "a read during a write may see the new value": ("A?w1 B?r B!1 A!", True),
    "new, then old: an inversion": ("A?w1 B?r B!1 C?r C!0 A!", False),
    "old, then new": ("A?w1 B?r B!0 C?r C!1 A!", True),
    "two readers that overlap may differ": ("A?w1 B?r C?r B!1 C!0 A!", True),
    "Herlihy and Wing's H1 of a register": ("A?w0 A! B?w1 B! A?r C?w0 A!1 B?r C! B!0", True),
    "two readers that order two writes differently": ("A?w1 B?w2 A! B! C?r C!1 D?r D!2 C?r C!1", False),
    "the later of two writes that overlap may be either": ("A?w1 B?w2 A! B! C?r C!1 C?r C!1", True),
    "sequentially consistent, not linearizable": ("A?w1 A! B?r B!0", False),
    "a crashed write that happened": ("A?w1 A+ B?r B!1", True),
    "a crashed write that did not": ("A?w1 A+ B?r B!0", True),
    "a crashed write may happen late": ("A?w1 A+ B?r B!0 B?r B!1", True),
    "a crashed write happens once": ("A?w1 A+ B?r B!1 B?w2 B! B?r B!1", False),
    "a crashed write cannot unhappen": ("A?w1 A+ B?r B!1 C?r C!0", False),
    "a crash with nothing pending": ("A?w1 A! A+ B?r B!1", True),
    "a write still running at the end": ("A?w1 B?r B!1", True),
    "one of two compare-and-swaps succeeds": ("A?cas01 B?cas02 A!T B!F C?r C!1", True),
    "both compare-and-swaps succeed": ("A?cas01 B?cas02 A!T B!T", False),
    "a failed compare-and-swap says what was not there": ("A?cas01 A!F", False),
    "a crashed compare-and-swap says nothing": ("A?cas01 A+ B?cas01 B!F", True),
}


@pytest.mark.parametrize(("text", "expected"), TEXTBOOK.values(), ids=TEXTBOOK)
def test_textbook_histories_of_a_register(text, expected):
    """A register's histories from the textbooks get the verdicts that they have there."""
    events = parse(text)
    assert check(events, 0, register).name == ("LINEARIZABLE" if expected else "VIOLATION")
    assert is_linearizable(events, 0, register) is expected


def test_queues():
    """Herlihy and Wing's queues: overlapping additions come out in either order, but each item
    once, and in one order.
    """
    overlapping = "A?add1 B?add2 A! B! "
    assert check(parse(overlapping + "A?take A!2 B?take B!1"), (), queue).name == "LINEARIZABLE"
    assert check(parse("A?add1 A! B?add2 B! C?take C!2"), (), queue).name == "VIOLATION"
    assert check(parse(overlapping + "A?take A!1 B?take B!1"), (), queue).name == "VIOLATION"


def test_a_specification_may_allow_several_results():
    """Of the results that a specification allows each is right, and the state goes on from the one
    that was seen.
    """
    both = "A?add1 A! A?add2 A! "
    assert check(parse(both + "B?take B!1 B?take B!2"), frozenset(), bag).name == "LINEARIZABLE"
    assert check(parse(both + "B?take B!2 B?take B!1"), frozenset(), bag).name == "LINEARIZABLE"
    assert check(parse(both + "B?take B!2 B?take B!2"), frozenset(), bag).name == "VIOLATION"


def test_what_equals_is_not_always_the_same():
    """1 and True are equal to Python; as operations they are told apart."""

    def step(state, operation):
        yield (*state, type(operation).__name__), len(state)

    events = [Invoke("A", 1), Invoke("B", True), Return("B", 0), Return("A", 1), Invoke("C", "x"), Return("C", 2)]
    assert check(events, (), step).name == "LINEARIZABLE"


def test_operations_need_no_hash():
    """Operations and results may be lists or dictionaries."""

    def step(state, operation):
        yield tuple(operation), list(state)

    assert (
        check([Invoke("A", [1]), Return("A", []), Invoke("A", [2]), Return("A", [1])], (), step).name == "LINEARIZABLE"
    )
    assert check([Invoke("A", [1]), Return("A", []), Invoke("A", [2]), Return("A", [2])], (), step).name == "VIOLATION"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("A!1", "event 0: process 'A' returns without having invoked"),
        ("A?r A!0 A!0", "event 2: process 'A' returns without having invoked"),
        ("A?w1 A?r", "event 1: process 'A' invokes"),
        ("A?w1 A+ A!", "event 2: .* has crashed"),
        ("A?w1 A+ A?r", "event 2: .* has crashed; a process that comes back needs a new name"),
        ("A+ A+", "event 1: .* has crashed"),
    ],
)
def test_malformed_histories_are_refused(text, says):
    """What no recorder can have seen is a ValueError that names the event."""
    with pytest.raises(MalformedHistory, match=says):
        check(parse(text), 0, register)
    assert issubclass(MalformedHistory, ValueError)


def test_only_events_are_events():
    """Anything else among the events is refused."""
    with pytest.raises(MalformedHistory, match="expected an Invoke, a Return or a Crash"):
        check([("A", "r")], 0, register)


def test_events_may_come_from_a_generator():
    """Any iterable of events will do."""
    assert check((event for event in parse("A?w1 A! B?r B!1")), 0, register).name == "LINEARIZABLE"


def _many_writes(count):
    return [Invoke(number, ("w", number)) for number in range(count)] + [
        event
        for number in range(count)
        for event in (Invoke("r", ("cas", -1, 0)), Return("r", False), Return(number, None))
    ]


def test_a_budget_of_time_gives_unknown():
    """A history that cannot be judged in time is UNKNOWN, and says why."""
    verdict = check(_many_writes(40), 0, register, budget_s=0.05)
    assert verdict.name == "UNKNOWN"
    assert "0.05 s" in verdict.reason


def test_a_budget_of_memory_gives_unknown():
    """A history that cannot be judged in the memory given is UNKNOWN, and says why."""
    verdict = check(_many_writes(40), 0, register, memory_mb=8)
    assert verdict.name == "UNKNOWN"
    assert "8 MB" in verdict.reason


def test_a_budget_is_looked_at():
    """A budget of nothing is used up after a few pieces of work; one without bounds never is."""
    with pytest.raises(Exhausted, match="0 s"):
        Budget(-0.0).look()
    unbounded = Budget()
    for _ in range(1000):
        unbounded.spend()


def test_the_window_of_a_stale_read():
    """The window has the two writes and the read, not what happened besides, and is a violation by
    itself.
    """
    events = parse("X?w9 X! A?w1 A! X?r X!1 A?w2 A! X?r X!2 B?r B!1 X?r X!2")
    verdict = check(events, 0, register)
    assert len(verdict.window) <= 6
    assert verdict.window[-1] == Return("B", 1)
    assert check(verdict.window, verdict.before[0], register).name == "VIOLATION"
    assert "by process 'B' returned 1" in verdict.reason


def test_the_window_of_a_long_history_is_its_end():
    """Far into a history the window begins in the states that were possible there."""
    events = [event for _ in range(200) for event in parse("X?w8 Y?w9 X! Y! X?r X!8")] + parse("A?w1 A! A?r A!3")
    verdict = check(events, 0, register)
    assert verdict.name == "VIOLATION"
    assert len(verdict.window) <= 4
    assert verdict.before
    for state in verdict.before:
        assert check(verdict.window, state, register).name == "VIOLATION"


def make_register_events(dice, calls, processes):
    """Return any events at all of a register: results come from dice, so most are wrong, and from a
    run, so many are right.
    """
    events, running, state, fresh = [], {}, 0, processes
    names = list(range(processes))
    while calls or running:
        at = dice.randrange(processes)
        name = names[at]
        if name in running:
            if dice.random() < 0.1:
                events.append(Crash(name))
                names[at], fresh = fresh, fresh + 1
                del running[name]
                continue
            operation, result, is_done = running[name]
            if not is_done:
                state, result = next(register(state, operation))
                running[name] = (operation, result, True)
                continue
            if dice.random() < 0.25 and operation[0] != "w":
                result = dice.randrange(3) if operation[0] == "r" else not result
            events.append(Return(name, result))
            del running[name]
        elif calls:
            calls -= 1
            numbers = [dice.randrange(3) for _ in range(2)]
            running[name] = (dice.choice([("w", numbers[0]), ("r",), ("cas", *numbers)]), None, False)
            events.append(Invoke(name, running[name][0]))
    return events


def disagreements(seeds):
    """Return the seeds whose histories the judge and the exhaustive one judge differently, and how
    many are linearizable.
    """
    found, linearizable = [], 0
    for seed in seeds:
        dice = random.Random(seed)
        events = make_register_events(dice, dice.randint(1, 9), dice.randint(2, 5))
        expected = is_linearizable(events, 0, register)
        linearizable += expected
        failed, _ = search.find_failure(History.from_events(events), [0], register, Budget())
        if (failed is None) != expected:
            found.append(seed)  # judged without the window, which takes longer
    return found, linearizable


@settings(max_examples=500, deadline=None)
@given(st.integers(min_value=0, max_value=2**48))
def test_it_agrees_with_trying_every_order(seed):
    """The monitor and the exhaustive checker agree: 500 times 20 histories of a register."""
    assert disagreements(range(20 * seed, 20 * seed + 20))[0] == []


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 7), st.integers(2, 4))
def test_it_agrees_where_hypothesis_rolls_the_dice(dice, calls, processes):
    """The same with dice that Hypothesis can shrink."""
    events = make_register_events(dice, calls, processes)
    expected = "LINEARIZABLE" if is_linearizable(events, 0, register) else "VIOLATION"
    assert check(events, 0, register).name == expected


def test_the_histories_compared_are_of_both_kinds():
    """Of the histories that are compared at least a quarter is linearizable, and at least a quarter
    is not.
    """
    found, linearizable = disagreements(range(1000))
    assert found == []
    assert 250 <= linearizable <= 750


def _use_the_last_first(monitor, number):
    return -(monitor._calls[number].returned or 10**9)


def _keep_who_used_most(configurations):
    most = {}
    for configuration in sorted(configurations, key=lambda configuration: len(configuration.used)):
        most[configuration[:2]] = configuration
    return set(most.values())


@pytest.mark.parametrize(
    ("where", "name", "wrong"),
    [
        (search.Possibilities, "_compute_deadline", _use_the_last_first),
        (search, "_drop_dominated", _keep_who_used_most),
        (search, "_number_kinds", lambda calls: [call.operation[0] for call in calls]),
    ],
    ids=["last first", "most used", "all of a name alike"],
)
def test_a_wrong_reduction_is_caught(monkeypatch, where, name, wrong):
    """Each reduction done wrongly makes the monitor disagree with the exhaustive checker."""
    monkeypatch.setattr(where, name, wrong)
    assert any(disagreements(range(start, start + 100))[0] for start in range(0, 3000, 100))
