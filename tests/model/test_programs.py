"""Programs of one's own: what is found, what holds, what is refused, and that the engines agree."""

import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings

from accused import programs as given
from accused.programs import UNFIT
from slotmem.slots import Slots
from slotmem_model.checker import naive, shortest
from slotmem_model.checker.explored import explored
from slotmem_model.checker.model import Configuration
from slotmem_model.counterexample import trace
from slotmem_model.counterexample.explain import explain
from slotmem_model.program import (
    BadProgram,
    Undecided,
    Violated,
    Words,
    assert_linearizable,
    check,
    operation,
    schedules,
)
from slotmem_model.programs.clients import defaults

FILE = Path(given.__file__)
HELD = [
    (given.AtomicCounter, {}),
    (given.LockedCounter, {}),
    (given.Peterson, {}),
    (given.FencedPeterson, {"memory": "tso"}),
    (given.Peterson, {"specification": given.Mutex}),
    (given.Bakery, {}),
    (given.Pair, {}),
    (given.Pair, {"crashes": 1}),
    (given.AtTheEnd, {}),
    (given.Private2, {}),
    (given.HeldAcross, {}),
    (given.Bag, {"specification": given.AnyOfThem}),
]
BROKEN = [
    (given.Counter, {}, "linearizable", "increment() of process 1 returned 0"),
    (given.Peterson, {"memory": "tso"}, "linearizable", "it could not have returned yet"),
    (given.LooksFirst, {"specification": given.Mutex}, "linearizable", "it could not have returned yet"),
    (given.Careless, {"crashes": 1}, "nothing-raised", "AssertionError: half turned, in line"),
    (given.Inconsistent, {"crashes": 1, "linearizable": False}, "nothing-raised", "NotRecoverable"),
    (given.Bounded, {}, "invariant", "below_two does not hold (it is 2): n is 2"),
    (given.TwoLocks, {}, "no-deadlock", "waits for ever for the two, which process 2 holds"),
    (given.Waits, {}, "no-deadlock", "waits for ever for flag to change: it is 0"),
    (given.Raises, {}, "nothing-raised", "ZeroDivisionError"),
]


def slotmem(*arguments, cwd=FILE.parent):
    """Run the command; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "slotmem", *arguments], capture_output=True, text=True, cwd=cwd, timeout=300, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("program", "question"), HELD, ids=lambda each: getattr(each, "__name__", None))
def test_what_is_right_holds(program, question):
    """Every interleaving was looked at, and nothing was left out."""
    report = check(program, **question)
    assert report.verdict == "held"
    assert all(each.states > 3 and not each.reason for each in report.asked)


@pytest.mark.parametrize(
    ("program", "question", "broken", "says"), BROKEN, ids=lambda each: getattr(each, "__name__", None)
)
def test_what_is_wrong_is_told(program, question, broken, says):
    """The shortest way is shown, each step with its line, and the sentence says what is wrong."""
    with pytest.raises(Violated) as raised:
        check(program, **question)
    told = str(raised.value)
    assert f"breaks {broken}: " in told
    assert says in told
    assert f"{FILE.name}:" in told
    assert broken in raised.value.report.asked[-1].broken


@pytest.mark.parametrize(
    ("program", "question"), [*HELD, *(each[:2] for each in BROKEN)], ids=lambda each: getattr(each, "__name__", None)
)
def test_both_engines_find_the_same(program, question):
    """States, transitions, violations, and what happened."""
    question = dict(question)
    specification = question.pop("specification", None)
    for clients in defaults(program):
        configuration = Configuration("mine", slots=0, clients=clients, **question)
        model, fast = explored(configuration, program, specification=specification)
        slow = naive.explore(model)
        assert (slow.states, slow.transitions, slow.violations) == (fast.states, fast.transitions, fast.violations)
        assert slow.seen == fast.seen


def test_strict_forbids_what_durable_allows():
    """A put whose process has died takes effect after others have seen the old value: at any time
    is late enough for the one, and too late for the other. Who helps first is right for both.
    """
    assert check(given.Announced, crashes=1).verdict == "held"
    with pytest.raises(Violated, match=r"get\(\) of process 2 returned 1") as raised:
        check(given.Announced, crashes=1, crash_model="strict")
    assert raised.value.report.asked[-1].broken == ("linearizable",)
    assert check(given.HelpedGet, crashes=1, crash_model="strict").verdict == "held"
    assert check(given.Announced, crash_model="strict").verdict == "held"  # nobody dies


@pytest.mark.parametrize("program", [given.Announced, given.HelpedGet, given.Pair, given.Careless])
@pytest.mark.parametrize("memory", ["sc", "tso"])
def test_engines_agree_on_strict_deaths(program, memory):
    """States, steps, violations; and the lanes and the trace of what breaks are made."""
    for clients in defaults(program):
        configuration = Configuration(
            "mine",
            len(clients) if len(clients) > 1 else 2,
            0,
            clients=clients,
            crashes=1,
            crash_model="strict",
            memory=memory,
        )
        model, fast = explored(configuration, program)
        slow = naive.explore(model)
        assert (slow.states, slow.transitions, slow.violations) == (fast.states, fast.transitions, fast.violations)
        found = shortest.find(model)
        if found:
            told = explain(model, found.broken, found.steps)
            kept = trace.record(model, told.broken, told.sentence, told.steps)
            assert trace.follow(model, trace.load(trace.dumped(kept))) == found.steps


def test_the_reference_is_strict():
    """What a death leaves of an operation of slots is done or not done by then: its redo record is
    written out by whoever comes next, before anything is read.
    """
    asked = Configuration(
        slots=1, slot_bytes=1, crashes=1, crash_model="strict", clients=("fgrab(0); put(0, 1)", "get(0); get(0)")
    )
    assert explored(asked, Slots)[1].verdict == "held"


def test_what_never_happens_is_no_success():
    """A `sometimes` that never held leaves it undecided, by name."""
    with pytest.raises(Undecided, match="sometimes is_nine"):
        check(given.Never)
    code, out, _ = slotmem("check", f"{FILE.name}:Never")
    assert code == 3
    assert "never happened: sometimes is_nine" in out


@pytest.mark.parametrize("program", UNFIT, ids=lambda program: program.__name__)
def test_what_is_no_program_is_refused_in_words(program):
    """One sentence that says what is wrong; nothing is explored."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - what it says is compared
        check(program)
    assert UNFIT[program] in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("program", [given.Random, given.StoresList, given.NoOperation, given.Recursion])
def test_the_command_refuses_it_with_2(program):
    """One line on standard error, and no table."""
    code, out, error = slotmem("check", f"{FILE.name}:{program.__name__}")
    assert (code, out) == (2, "")
    assert error.startswith("slotmem check: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--slots", "2"], "--slots: that can be asked of slots"),
        (["--client", "enter(1, 2)"], "has 2 arguments; expected enter(me)"),
        (["--client", "entr"], "Peterson has no operation entr; it has enter, leave"),
        (["--client", "enter("], "is not a call"),
        (["--client", "enter(x)"], "is not a constant, me, or a register set before"),
        (["--client", ";"], "the client is empty"),
        (["--spec", "nonsense"], "expected file.py:Class"),
        (["--spec", f"{FILE.name}:AnyOfThem"], "has no method enter"),
        (["--spec", f"{FILE.name}:Nobody"], "has no attribute 'Nobody'"),
    ],
)
def test_bad_questions_are_told(arguments, says):
    """With what was got and what was expected."""
    code, _, error = slotmem("check", f"{FILE.name}:Peterson", *arguments)
    assert code == 2
    assert says in error


def test_a_specification_beside_a_program_is_no_algorithm(tmp_path):
    """Though it has methods of the same names; the file alone names the program."""
    (tmp_path / "register.py").write_text(
        "from slotmem_model.program import Words, operation\n\n\nclass Register:\n    n = Words(1)\n\n"
        "    @operation\n    def put(self, value):\n        self.n[0] = value\n\n"
        "    @operation\n    def get(self):\n        return self.n[0]\n\n\n"
        "class Sequential:\n    def __init__(self):\n        self.n = 0\n\n"
        "    def put(self, value):\n        self.n = value\n\n    def get(self):\n        return self.n\n"
    )
    asked = ("check", "register.py", "--spec", "register.py:Sequential", "--client", "put(me); get")
    code, out, _ = slotmem(*asked, cwd=tmp_path)
    assert code == 0
    assert "verdict: held" in out


def test_a_generator_is_no_operation():
    """It is refused where it is declared."""
    with pytest.raises(BadProgram, match="is a generator"):

        @operation
        def go(_self):
            yield 1


def test_outside_the_checker_it_is_plain_python():
    """An instance has words of its own."""
    counter = given.Counter()
    assert [counter.increment() for _ in range(3)] == [0, 1, 2]
    assert given.Counter().increment() == 0
    pair = given.Pair()
    assert (pair.turn(), pair.turn(), pair.is_one()) == (1, 0, False)


def test_registers_carry_what_was_returned():
    """And a call whose register was not set is skipped."""
    report = check(given.Bag, "take -> a; take -> b", specification=given.AnyOfThem)
    assert report.verdict == "held"
    assert report.states > check(given.Bag, "take", specification=given.AnyOfThem).states


def test_a_trace_of_a_program_is_replayed(tmp_path):
    """The same steps, the same sentence; and once it is mended, the trace does not fit."""
    code, out, _ = slotmem("check", f"{FILE.name}:Counter", "--trace", str(tmp_path / "trace.json"))
    assert code == 1
    told = json.loads((tmp_path / "trace.json").read_text())
    assert told["operations"][0] == {
        "process": 1,
        "request": {"op": "increment", "arguments": []},
        "result": {"status": "APR_SUCCESS", "value": 0},
    }
    assert told["sentence"] in out
    code, out, _ = slotmem("replay", str(tmp_path / "trace.json"))
    assert code == 1
    assert f"reproduced: {told['sentence']}" in out
    told["configuration"]["algorithm"] = f"{FILE.name}:AtomicCounter"
    (tmp_path / "other.json").write_text(json.dumps(told))
    code, out, _ = slotmem("replay", str(tmp_path / "other.json"))
    assert code == 3
    assert "here it would do 'plus n 1'" in out


def test_a_schedule_is_found_and_shrinks_to_one_change():
    """Hypothesis finds the lost update on the very class, with the fewest changes of process."""

    runs = []

    @settings(max_examples=2000, database=None, deadline=None)
    @hypothesis_given(run=schedules(given.Counter, "increment"))
    def finds(run):
        runs.append(run)
        run.check()

    with pytest.raises(Violated) as raised:
        finds()
    assert "could have returned 1" in str(raised.value)
    assert [who for who, _ in groupby(step.process for step in runs[-1].steps)] in ([0, 1, 0], [1, 0, 1])


@settings(max_examples=50, database=None, deadline=None)
@hypothesis_given(run=schedules(given.Peterson))
def test_schedules_of_a_right_program_hold(run):
    """Whatever is chosen, each run comes to an end and breaks nothing."""
    run.check()
    assert run.steps


def test_assert_linearizable_is_one_line():
    """It returns nothing, or raises an AssertionError with the lanes."""
    assert assert_linearizable(given.AtomicCounter) is None
    with pytest.raises(AssertionError, match="no order of the operations explains that"):
        assert_linearizable(given.Counter)


@pytest.mark.parametrize("wrong", [0, -3, True, "2", 1.0])
def test_words_must_be_a_number(wrong):
    """Or PROCESSES."""
    with pytest.raises(BadProgram, match="expected how many words"):
        Words(wrong)
