"""`slotmem check --explain`: whether an algorithm can do what was observed, and how."""

from __future__ import annotations

import json
import random
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slotmem_model import spec
from slotmem_model.algorithms import catalogue
from slotmem_model.checker.exploration import Limits
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.commands import check as check_command
from slotmem_model.commands import replay as replay_command
from slotmem_model.commands.check_explain import Answer, explain_trace
from slotmem_model.counterexample import trace
from slotmem_model.counterexample.observed import is_explained, questions
from slotmem_model.counterexample.trace import Before, Done, Trace
from slotmem_model.judge.events import Crash, Invoke, Return
from slotmem_model.linearizability import LINEARIZABLE, check
from slotmem_model.spec import NOTFOUND, SUCCESS, Result
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED
from slotmem_stress.run.settings import Settings
from slotmem_stress.run.window_trace import to_trace
from tools.histories import operation, parsed

REFERENCE = "slotmem.slots:Slots"
OK = Result(SUCCESS)
BYTES = {"n": b"\x05\x05", "o": b"\x09\x09"}


def grab(process, slot, *time):
    """A grab that gave a slot; without a time it overlaps everything."""
    return Done(process, ("grab",), Result(SUCCESS, slot), time)


def window(*done, before=(), around=(), slots=8):
    """Return a trace without an interleaving."""
    return Trace(Configuration("httpd", slots=slots), "linearizable", "that was seen", done, (), before, around)


DOUBLE_GRAB = window(grab(0, 5), grab(1, 5))
PUT = Done(1, ("put", 3, BYTES["n"]), OK, (0, 3))
TORN = Done(0, ("get", 3), Result(SUCCESS, b"\x09\x05"), (1, 2))


def ask(given, algorithm="httpd", budget=None) -> Answer:
    """Ask, and see that what was found is what was observed."""
    answer = explain_trace(given, algorithm, budget or Limits())
    if answer.told:
        shown = [interval.answer for interval in answer.told.intervals]
        observed = [done for done in answer.variant.operations if done.result]
        assert len([one for one in shown if one]) >= len(observed)
    return answer


def test_httpd_can_give_a_slot_twice():
    """The window of the double grab, with any slot: eight steps, one change to the other process
    and one back.
    """
    answer = ask(DOUBLE_GRAB)
    assert answer.verdict == VIOLATED
    processes = [step.process for step in answer.told.steps]
    assert len(processes) == 8
    assert sum(one != other for one, other in pairwise(processes)) == 2
    assert [interval.answer for interval in answer.told.intervals] == ["slot 0", "slot 0"]
    assert answer.question.setting == "slot 5 (0 here) free"


@pytest.mark.parametrize("algorithm", [REFERENCE, "httpd-locked", "one-lock", "cas"])
def test_what_is_right_cannot_give_a_slot_twice(algorithm):
    """The same window is impossible for the reference and others, from each state."""
    answer = ask(DOUBLE_GRAB, algorithm)
    assert (answer.verdict, answer.questions) == (HELD, 2)
    assert answer.outcome.complete


def test_one_after_the_other_httpd_cannot_either():
    """What had returned before the other was invoked comes before it."""
    assert ask(window(grab(0, 5, 0, 1), grab(1, 5, 2, 3))).verdict == HELD
    assert ask(window(grab(0, 5, 0, 2), grab(1, 5, 1, 3))).verdict == VIOLATED


def test_a_torn_get_of_httpd():
    """A get of two values needs a put that runs at the time; the value of before is what the slot
    had at first.
    """
    assert ask(window(PUT, TORN)).verdict == VIOLATED
    assert ask(window(TORN)).verdict == HELD
    with_others = ask(window(TORN, around=(PUT,)))
    assert with_others.verdict == VIOLATED
    assert PUT in with_others.variant.operations
    assert "with value" in with_others.question.setting
    assert ask(window(PUT, TORN), REFERENCE).verdict == HELD


def test_after_a_torn_get_its_process_goes_on():
    """What a process did after a torn get is a lane of its own, and still comes after it."""
    later = Done(0, ("get", 3), Result(SUCCESS, BYTES["n"]), (4, 5))
    stale = Done(0, ("get", 3), Result(SUCCESS, BYTES["o"]), (4, 5))
    assert ask(window(PUT, TORN, later)).verdict == VIOLATED
    assert ask(window(PUT, TORN, stale)).verdict == HELD


RELEASED = Done(0, ("release", 4), OK, (2, 3))
USED_AFTER = Done(1, ("get", 4), Result(SUCCESS, BYTES["n"]), (5, 6))
RACING = Done(2, ("get", 4), Result(SUCCESS, BYTES["n"]), (0, 4))


def test_what_had_a_part_in_it_is_found_among_what_ran_at_the_time():
    """A get that stood still while the slot was released marks it again; the window alone does not
    show that.
    """
    assert ask(window(RELEASED, USED_AFTER)).verdict == HELD
    answer = ask(window(RELEASED, USED_AFTER, around=(grab(3, 7, 0, 9), RACING)))
    assert answer.verdict == VIOLATED
    assert RACING in answer.variant.operations
    assert ask(window(RELEASED, USED_AFTER, around=(RACING,)), REFERENCE).verdict == HELD


def test_what_would_make_it_right_is_no_explanation():
    """With a grab in between, the get is as it should be: that the algorithm can do that says
    nothing.
    """
    assert ask(window(RELEASED, USED_AFTER, around=(grab(2, 4, 3, 5),))).verdict == HELD


def test_the_state_before_is_kept():
    """A grab that passes over a free slot cannot be explained from a state in which that was free,
    but from another.
    """
    free, used = Before(inuse=(0, 1)), Before(inuse=(0, 1, 2, 3, 4))
    assert ask(window(grab(0, 5), before=(free,))).verdict == HELD
    assert ask(window(grab(0, 5), before=(free, used))).verdict == VIOLATED
    assert ask(window(grab(0, 5))).verdict == VIOLATED


@pytest.mark.parametrize(("count", "verdict"), [(6, VIOLATED), (5, HELD), (7, HELD)])
def test_a_count_counts_slots_that_are_left_out(count, verdict):
    """The model has one slot or two of the eight; the others are counted as they were."""
    counted = Done(0, ("num_free_slots",), Result(SUCCESS, count))
    assert ask(window(counted, before=(Before((0, 7)),)), REFERENCE).verdict == verdict
    racing = ask(window(counted, grab(1, 1, 0, 1), before=(Before((0, 7)),)), REFERENCE)
    assert racing.verdict == (VIOLATED if count in (5, 6) else HELD)


def test_a_wrong_count_is_explained_by_a_counter_that_was_wrong_before(tmp_path, capsys):
    """httpd's can become so, and the way there is shown and can be replayed; the reference's
    cannot.
    """
    counted = window(Done(0, ("num_free_slots",), Result(SUCCESS, 5)), before=(Before((0, 7)),))
    answer = explain_trace(counted, "httpd", Limits())
    assert answer.verdict == VIOLATED
    assert answer.told.broken == "counter"
    assert ask(counted, REFERENCE).verdict == HELD
    path = written(tmp_path, counted)
    assert run("--explain", path, "--trace", tmp_path / "found.json") == 1
    assert "httpd can do that if its counter was wrong before" in capsys.readouterr().out
    for given_path in (path, tmp_path / "found.json"):
        assert replay(given_path) == 1
        assert "broken: counter\n" in capsys.readouterr().out
    assert run("--explain", path, "--json") == 1
    assert len(json.loads(capsys.readouterr().out)["counterexample"]["interleaving"]) == 9
    assert run(REFERENCE, "--explain", path) == 0
    assert "nor can its counter become wrong" in capsys.readouterr().out


def test_the_contents_before_are_kept():
    """A get of a value that was in the slot, from a state that says what was in it."""
    got = Done(0, ("get", 2), Result(SUCCESS, BYTES["o"]))
    for data, verdict in ((BYTES["o"], VIOLATED), (BYTES["n"], HELD)):
        assert ask(window(got, before=(Before((2,), ((2, data),)),))).verdict == verdict


def test_who_never_returned_may_have_done_anything():
    """A put that was killed may be seen or not; the reference's lock does not stay with the
    dead.
    """
    killed = Done(1, ("put", 3, BYTES["n"]), None, (0,))
    for value, verdict in ((BYTES["n"], VIOLATED), (BYTES["o"], VIOLATED)):
        got = Done(0, ("get", 3), Result(SUCCESS, value), (1, 2))
        after = Done(0, ("put", 3, BYTES["o"]), OK, (3, 4))
        assert ask(window(killed, got, after), REFERENCE).verdict == verdict
    other = Done(0, ("get", 3), Result(SUCCESS, b"\x07\x07"), (1, 2))
    known = Before((3,), ((3, BYTES["o"]),))
    assert ask(window(killed, other, before=(known,)), REFERENCE).verdict == HELD


def test_a_killed_put_of_httpd_leaves_half_of_itself():
    """Two gets after each other find the same mixture, which only a put that stopped on its way can
    have left.
    """
    killed = Done(1, ("put", 3, BYTES["n"]), None, (0,))
    torn = [Done(0, ("get", 3), Result(SUCCESS, b"\x05\x09"), (at, at + 1)) for at in (1, 3)]
    known = (Before((3,), ((3, BYTES["o"]),)),)
    assert ask(window(killed, *torn, before=known)).verdict == VIOLATED
    assert ask(window(killed, *torn, before=known), REFERENCE).verdict == HELD


def test_without_a_budget_it_is_undecided():
    """What is used up before the end is no answer."""
    answer = ask(DOUBLE_GRAB, REFERENCE, Limits(seconds=-1.0))
    assert answer.verdict == UNDECIDED


# -- held to what is known -------------------------------------------------------------------------


def walk(algorithm, seed, clients):
    """Run a model at random; give its operations with times, and its events."""
    dice = random.Random(seed)
    model = compile_model(
        Configuration(algorithm, clients=clients, processes=len(clients), crashes=1, linearizable=False),
        catalogue.find(algorithm),
    )
    state, done, events, current, clock = model.initial, [], [], {}, 0
    while True:
        steps = list(model.successors(state))
        # A death now and then, and no fault: what comes after a torn get is not the model's matter.
        steps = [step for step in steps if step.action is not None or dice.random() < 0.1]
        if not steps:
            break
        step = dice.choice(steps)
        local = model.processes[step.process].locals[step.state.locals[step.process]]
        for kind, process, what in model.events.table[step.event]:
            clock += 1
            if kind == "invoke":
                current[process] = len(done)
                done.append(Done(process, what, None, (clock,)))
                events.append(Invoke(process, what))
            else:
                number = current[process]
                done[number] = done[number]._replace(result=what, time=(*done[number].time, clock))
                events.append(Return(process, what))
        if local.fault.startswith("torn"):
            clock += 1
            value = bytes.fromhex(local.fault.rpartition(" gave ")[2])
            number = current[step.process]
            done[number] = done[number]._replace(result=Result(SUCCESS, value), time=(*done[number].time, clock))
            events.append(Return(step.process, done[number].result))
        if step.action is None and step.process in current and events:
            events.append(Crash(step.process))
        state = step.state
    return tuple(done), events


CLIENTS = st.lists(
    st.sampled_from(
        ["grab -> a; put(a, me)", "grab; get(0)", "put(0, 2); release(0)", "num_free_slots; grab", "get(1)"]
    ),
    min_size=2,
    max_size=3,
).map(tuple)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), CLIENTS)
def test_what_an_algorithm_did_it_can_do_and_what_the_reference_can_do_is_linearizable(seed, clients):
    """A random run of httpd's algorithm is explained for httpd; for the reference exactly if the
    judge explains it too.
    """
    done, events = walk("httpd", seed, clients)
    observed = window(*done, before=(Before((), ((0, bytes(2)), (1, bytes(2)))),), slots=2)
    assert ask(observed).verdict == VIOLATED
    step = lambda state, operation: (spec.step(state, operation),)  # noqa: E731
    is_right = check(events, spec.fresh(2, 2, True), step).name == LINEARIZABLE
    assert [is_explained(question) for question in questions(observed, "httpd")] == [is_right]
    assert (ask(observed, REFERENCE).verdict == VIOLATED) == is_right


# -- the command -----------------------------------------------------------------------------------


def written(folder, given):
    """Write a trace; give its path."""
    path = folder / "window.json"
    path.write_text(trace.dumped(given), encoding="utf-8")
    return path


def run(*given):
    """Run `slotmem check`."""
    return check_command.run(parsed(check_command, [str(each) for each in given]))


def test_the_command_shows_lanes_and_can_be_replayed(tmp_path, capsys):
    """Exit 1 with the lanes; the trace and the picture that it writes are those of a
    counterexample.
    """
    found, drawn = tmp_path / "found.json", tmp_path / "found.svg"
    assert run("--explain", written(tmp_path, DOUBLE_GRAB), "--trace", found, "--svg", drawn) == 1
    printed = capsys.readouterr().out
    assert "httpd can do that.\nInitially: slot 5 (0 here) free.\n" in printed
    assert printed.count("└ returns slot 0") == 2
    assert "8 steps, with the fewest changes between processes; " in printed
    assert drawn.read_text(encoding="utf-8").startswith("<svg")
    assert replay(found) == 1


def test_a_torn_get_can_be_replayed(tmp_path, capsys):
    """The interleaving of a torn get breaks nothing-torn when it is replayed."""
    found = tmp_path / "found.json"
    assert run("--explain", written(tmp_path, window(PUT, TORN)), "--trace", found) == 1
    assert "made by process 3 before anything else" in capsys.readouterr().out
    assert replay(found) == 1
    assert "broken: nothing-torn" in capsys.readouterr().out


def test_the_command_says_that_it_cannot(tmp_path, capsys):
    """Exit 0, with what was looked at; another algorithm than the trace's is named before it."""
    drawn = tmp_path / "drawn.svg"
    assert run(REFERENCE, "--explain", written(tmp_path, DOUBLE_GRAB), "--svg", drawn) == 0
    printed, said = capsys.readouterr()
    assert said == f"no interleaving was found, so {drawn} was not written\n"
    assert not drawn.exists()
    assert (
        f"{REFERENCE} cannot do that: no interleaving of the 2 operations alone returns what was observed,\n" in printed
    )
    assert re.search(r"\d+ states of 2 questions were explored\.", printed)


def test_undecided_is_three(tmp_path, capsys):
    """The budget is used up first."""
    assert run("--explain", written(tmp_path, DOUBLE_GRAB), REFERENCE, "--budget-s", "0") == 3
    assert "undecided: the budget of 0 s is used up" in capsys.readouterr().out


def test_json(tmp_path, capsys):
    """--json has the verdict and the interleaving as a trace."""
    assert run("--explain", written(tmp_path, DOUBLE_GRAB), "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], report["algorithm"]) == (VIOLATED, "httpd")
    assert len(report["counterexample"]["interleaving"]) == 8


@pytest.mark.parametrize(
    ("given_trace", "message"),
    [
        (window(), "it has 0 operations"),
        (window(Done(0, ("slots",), OK)), "'slots', which cannot be explained"),
        (window(Done(0, ("get", 9), OK)), "names slot 9; the configuration has 8"),
        (window(Done(0, ("put", 0, b"\1\2"), OK)), "a put fills its slot with one byte"),
        (window(Done(0, ("put", 0, b"\1"), OK)), "data of another length; expected 2 bytes"),
        (window(grab(0, 0), before=(Before((), ((0, b"\1\2"),)),)), "expected 2 equal bytes"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, capsys, given_trace, message):
    """Exit 2 and a sentence."""
    assert run("--explain", written(tmp_path, given_trace)) == 2
    assert message in capsys.readouterr().err


def test_other_mistakes(tmp_path, capsys):
    """No file, no JSON, two algorithms, no such algorithm: exit 2."""
    path = written(tmp_path, DOUBLE_GRAB)
    (tmp_path / "bad").write_bytes(b"\xff")
    (tmp_path / "list").write_text("[]", encoding="utf-8")
    for arguments in (
        ["--explain", tmp_path / "none"],
        ["--explain", tmp_path / "bad"],
        ["--explain", tmp_path / "list"],
        ["--explain", path, "httpd", "cas"],
        ["--explain", path, "nobody"],
    ):
        assert run(*arguments) == 2, arguments
        assert capsys.readouterr().err.startswith("slotmem check: ")


def replay(*given):
    """Run `slotmem replay`."""
    return replay_command.run(parsed(replay_command, [str(each) for each in given]))


def test_replay_looks_for_the_steps_of_a_window(tmp_path, capsys):
    """It finds them as --explain does, says so, does them, and tells what they break."""
    path = written(tmp_path, DOUBLE_GRAB)
    assert replay(path) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("Nobody saw the steps of this trace, so they were looked for.\nhttpd: ")
    assert "httpd can do that.\nInitially: slot 5 (0 here) free.\n\nstep  process 1" in printed
    assert printed.count("└ returns slot 0") == 2
    assert "reproduced: processes 1 and 2 were both given slot 0\nbroken: held-once" in printed
    assert replay(path, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], len(report["steps"]), report["searched"]["verdict"]) == (VIOLATED, 8, VIOLATED)


def test_replay_of_a_torn_window(tmp_path, capsys):
    """The steps end with the get that tears."""
    assert replay(written(tmp_path, window(PUT, TORN))) == 1
    assert "broken: nothing-torn" in capsys.readouterr().out


def test_replay_says_that_an_algorithm_cannot_do_what_was_observed(tmp_path, capsys):
    """The reference cannot: 0; without a budget it is not known: 3; a trace of nothing is a
    mistake: 2.
    """
    path = written(tmp_path, DOUBLE_GRAB)
    assert replay(path, "--algorithm", REFERENCE) == 0
    assert f"{REFERENCE} cannot do that: no interleaving of the 2 operations" in capsys.readouterr().out
    assert replay(path, "--algorithm", REFERENCE, "--budget-s", "0") == 3
    assert "undecided: the budget of 0 s is used up" in capsys.readouterr().out
    assert replay(written(tmp_path, window())) == 2
    assert "is not a trace: it has 0 operations" in capsys.readouterr().err


# -- from a stress run -----------------------------------------------------------------------------


def test_the_trace_of_a_stress_run_is_one_that_can_be_explained():
    """Clients, values and times become small numbers; the puts of a torn get's values come first of
    what ran at the time.
    """
    torn = operation(7, "get", 500, 590, slot=3, value=2**41 + 1, second=2**42 + 5, status="TORN")
    put = operation(9, "put", 480, 620, slot=3, value=2**42 + 5)
    slow = operation(8, "get", 100, 900, slot=3, value=2**41 + 1)
    elsewhere = operation(6, "put", 1, 999, slot=4, value=1)
    before = [{"inuse": [3, 4], "values": [0, 0, 0, 2**41 + 1, 17, 0, 0, 0]}]
    sentence = f"get by process 7 returned value {2**41 + 1} mixed with {2**42 + 5} of slot 3"
    given_trace = to_trace(Settings("algorithm:httpd"), [torn], before, [elsewhere, slow, put, torn], sentence)
    loaded = trace.load(json.dumps(given_trace))
    assert loaded.sentence == "get by process 1 returned value 0101 mixed with 0202 of slot 3"
    assert loaded.operations == (Done(0, ("get", 3), Result(SUCCESS, b"\1\2"), (2, 3)),)
    assert [done.operation[0] for done in loaded.around] == ["put", "get"]
    assert loaded.before == ()  # a torn get contradicts every state
    assert trace.load(trace.dumped(loaded)) == loaded
    answer = ask(loaded)
    assert answer.verdict == VIOLATED
    assert ask(loaded, REFERENCE).verdict == HELD


def test_a_refused_and_a_pending_operation_are_in_the_trace():
    """Statuses are APR's; what never returned has no result, and one time."""
    refused = operation(4, "put", 10, 20, slot=1, value=3, status="NOTFOUND")
    pending = operation(5, "grab", 5)
    before = [{"inuse": [1, 4], "values": [0, 3, 0, 0, 17, 0, 0, 0]}, {"inuse": [], "values": []}]
    loaded = trace.load(json.dumps(to_trace(Settings(), [pending, refused], before, [], "")))
    assert loaded.before == (Before((1, 4), ((1, b"\1\1"),)), Before(()))
    assert loaded.configuration.algorithm == "reference"
    assert loaded.operations == (
        Done(0, ("grab",), None, (0,)),
        Done(1, ("put", 1, b"\1\1"), Result(NOTFOUND), (1, 2)),
    )
