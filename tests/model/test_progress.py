"""`slotmem check --progress`: which operations end, and the runs without end in which some never
do.
"""

import argparse
import json
import random
import re
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest

from slotmem_model.algorithms import catalogue
from slotmem_model.algorithms.museum.pieces import MUSEUM
from slotmem_model.automata.kind import TooLarge
from slotmem_model.checker import naive
from slotmem_model.checker.exploration import Limits
from slotmem_model.checker.explored import explored
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.progress import judge as judging
from slotmem_model.checker.progress.components import components
from slotmem_model.checker.progress.judge import judge, most_steps
from slotmem_model.checker.progress.lasso import FAIR, PROGRESS, lasso_of
from slotmem_model.checker.progress.promela import progress_promela
from slotmem_model.checker.progress.reached import reach
from slotmem_model.checker.promela import to_promela
from slotmem_model.checker.sweep import engine
from slotmem_model.commands import check as check_command
from slotmem_model.commands import check_progress
from slotmem_model.commands import replay as replay_command
from slotmem_model.programs.values import settled
from tools import schemas, spin, waiting

needs_spin = pytest.mark.skipif(bool(spin.missing()), reason=spin.missing())
WAIT, LOCK, OBSTRUCTION, STARVATION, DEADLOCK = PROGRESS
WAITS = {WAIT, LOCK, OBSTRUCTION}
"""What whoever waits for somebody else is not."""
SMALL = {"slots": 1, "slot_bytes": 1}
LOCKED = Configuration(clients=("grab -> a; release(a)",), **SMALL)


@pytest.fixture(autouse=True)
def _reference_by_name(monkeypatch):
    """Find the reference without installed metadata too."""
    monkeypatch.setitem(catalogue.OWN, "reference", "slotmem.slots:Slots")


def program(*clients, **others):
    """Return the question about a program whose processes go on for ever."""
    return Configuration("program", slots=0, clients=clients, **others)


def compiled(algorithm, configuration):
    """Compile it, for ever unless that lets a word grow without end."""
    algorithm = catalogue.find(algorithm) if isinstance(algorithm, str) else algorithm
    for rounds in (0, configuration.rounds):
        asked = replace(configuration, rounds=rounds, linearizable=False)
        try:
            reached = settled(partial(graph, asked, algorithm), 32)
        except TooLarge:
            continue
        if not reached.outside:
            break
    return reached.model


def graph(configuration, algorithm, values):
    """Return the graph of states, and the faults of steps that store what is not in it."""
    reached = reach(compile_model(configuration, algorithm, values=values), Limits())
    return reached, reached.outside


def broken(model):
    """Return the properties that do not hold."""
    return {name for name, lasso in judge(reach(model, Limits())).items() if lasso}


CASES = [
    (waiting.Reads, program("read"), set()),
    ("cas", LOCKED, set()),
    (waiting.CountsBySwap, program("increment"), {WAIT, STARVATION}),
    (waiting.Claims, program("claim"), {WAIT, LOCK, STARVATION, DEADLOCK}),
    (waiting.Peterson, program("work"), WAITS),
    (waiting.Peterson, program("work", memory="tso"), WAITS),
    (waiting.SpinLock, program("work"), {*WAITS, STARVATION}),
    (waiting.SpinLock, program("work", processes=1), set()),
    (waiting.SpinLock, program("work", crashes=1), set(PROGRESS)),
    (waiting.TicketLock, program("work"), {*WAITS, STARVATION}),
    (waiting.TryBoth, program("work"), set(PROGRESS)),
    (waiting.OneLooks, program("look", "write"), WAITS),
    (waiting.OneLooks, program("look", "write", memory="tso"), WAITS),
    (waiting.NeverTold, program("wait", "read"), {*WAITS, STARVATION}),
    (waiting.NeverTold, program("wait", processes=1), set(PROGRESS)),
    (waiting.Kept, program("flip"), {*WAITS, STARVATION}),
    (waiting.Kept, program("flip", crashes=1), set(PROGRESS)),
    (waiting.Kept, program("flip", crashes=1, rounds=2), set(PROGRESS)),
    ("spin-lock", LOCKED, {*WAITS, STARVATION}),
    ("ticket-lock", LOCKED, WAITS),
    ("reference", LOCKED, {*WAITS, STARVATION}),
    ("reference", replace(LOCKED, crashes=1), {*WAITS, STARVATION}),
    ("reference", replace(LOCKED, memory="tso"), {*WAITS, STARVATION}),
    ("plain-lock", replace(LOCKED, crashes=1), set(PROGRESS)),
]


def shown(case):
    """Name a case."""
    return case if isinstance(case, str) else getattr(case, "__name__", None)


@pytest.mark.parametrize(("algorithm", "configuration", "breaks"), CASES, ids=shown)
def test_what_is_broken(algorithm, configuration, breaks):
    """Each algorithm has its place; each run without end is one of the model, and breaks the
    property by its steps alone.
    """
    model = compiled(algorithm, configuration)
    found = judge(reach(model, Limits()))
    assert {name for name, lasso in found.items() if lasso} == breaks
    for name, lasso in found.items():
        if lasso:
            state = model.initial
            for step in lasso.steps:
                assert step in model.successors(state)
                state = step.state
            assert lasso_of(model, name, lasso.steps, lasso.loop) == lasso


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_some_imply_others(processes):
    """Wait-free is lock-free and starvation-free; lock-free is obstruction-free and deadlock-free;
    starvation-free is deadlock-free.
    """
    for algorithm, client in (
        *((waiting.SpinLock, "work"), (waiting.CountsBySwap, "increment"), (waiting.Claims, "claim")),
        *((waiting.Reads, "read"), (waiting.Kept, "flip"), (waiting.TicketLock, "work")),
    ):
        holds = PROGRESS.keys() - broken(compiled(algorithm, program(client, processes=processes)))
        implied = ((WAIT, LOCK), (WAIT, STARVATION), (LOCK, OBSTRUCTION), (LOCK, DEADLOCK), (STARVATION, DEADLOCK))
        assert all(weaker in holds for stronger, weaker in implied if stronger in holds), algorithm


def test_fairness_is_for_every_process(monkeypatch):
    """Who looks at two words in turn waits in vain only where the writer is never let go on: a run
    that is unfair to one process does not count.
    """
    model = compiled(waiting.OneLooks, program("look", "write"))
    assert STARVATION not in broken(model)
    whole = judging._Graph.fair
    monkeypatch.setattr(judging._Graph, "fair", lambda graph: whole(graph)[:1])
    with pytest.raises(AssertionError):  # what the search now finds is no lasso by its steps
        judge(reach(model, Limits()))


def test_buffered_stores_reach_memory(monkeypatch):
    """With store buffers nobody looks in vain for a store that was made and only does not drain."""
    model = compiled(waiting.OneLooks, program("look", "write", memory="tso", rounds=1))
    monkeypatch.setattr(judging._Graph, "drained", lambda graph: ())
    with pytest.raises(AssertionError):
        judge(reach(model, Limits()))


def test_a_step_that_leads_to_its_own_state_is_a_loop():
    """A process that reads one word for ever leaves everything as it is; the loop is that step."""
    model = compiled(waiting.NeverTold, program("wait", "read"))
    reached = reach(model, Limits())
    assert len(reached.states) == 1
    lasso = judge(reached)[STARVATION]
    assert (lasso.loop, len(lasso.steps), lasso.starves) == (0, 1, (0,))


def test_a_loop_is_judged_by_its_steps():
    """A run whose loop does not close, or leaves out what makes it fair, breaks nothing."""
    model = compiled(waiting.TryBoth, program("work"))
    lasso = judge(reach(model, Limits()))[DEADLOCK]
    assert lasso_of(model, DEADLOCK, lasso.steps[:-1], lasso.loop) is None
    assert lasso_of(model, DEADLOCK, lasso.steps, lasso.loop + 1) is None
    fair = judge(reach(model, Limits()))[STARVATION]
    assert lasso_of(model, DEADLOCK, fair.steps, fair.loop) is None  # operations end in it
    unfair = compiled(waiting.OneLooks, program("look", "write"))
    alone = judge(reach(unfair, Limits()))[OBSTRUCTION]
    assert lasso_of(unfair, STARVATION, alone.steps, alone.loop) is None


def test_the_way_in_is_a_shortest_one():
    """No state from which the property breaks is nearer than the one where the loop begins."""
    model = compiled(waiting.TryBoth, program("work"))
    reached = reach(model, Limits())
    lasso = judge(reached)[DEADLOCK]
    depth, level, seen = 0, {model.initial}, {model.initial}
    at = lasso.steps[lasso.loop - 1].state
    while at not in level:
        level = {step.state for state in level for step in model.successors(state)} - seen
        seen |= level
        depth += 1
    assert depth == lasso.loop


def test_how_many_steps_at_most():
    """A wait-free operation has a bound, which is counted: both reads; of cas the swap, the look
    before it, and the count.
    """
    assert most_steps(reach(compiled(waiting.Reads, program("read")), Limits())) == 2
    assert most_steps(reach(compiled("cas", LOCKED), Limits())) == 3


@pytest.mark.parametrize("seed", range(40))
def test_components(seed):
    """Two nodes are in one component if and only if each can be reached from the other; and edges
    lead to lower numbers.
    """
    draw = random.Random(seed)
    nodes = draw.randint(1, 9)
    edges = sorted((draw.randrange(nodes), draw.randrange(nodes)) for _ in range(draw.randint(0, 20)))
    kept = [draw.random() < 0.8 for _ in edges]
    first = np.searchsorted([source for source, _ in edges], range(nodes + 1))
    of = components(first, np.array([to for _, to in edges], np.int64), np.array(kept, np.bool_))
    reaches = [[one == two or (one, two) in {e for e, k in zip(edges, kept, strict=True) if k} for two in range(nodes)]
               for one in range(nodes)]  # fmt: skip
    for middle, one, two in product(range(nodes), repeat=3):
        reaches[one][two] |= reaches[one][middle] and reaches[middle][two]
    for one, two in product(range(nodes), repeat=2):
        assert (of[one] == of[two]) == (reaches[one][two] and reaches[two][one])
        assert not reaches[one][two] or of[one] >= of[two]


@pytest.mark.parametrize("algorithm", ["reference", "spin-lock", "cas"])
def test_the_engines_go_on_for_ever_too(algorithm):
    """Processes that never end have as many states for the other engines as for this one."""
    model = compiled(algorithm, LOCKED)
    reached, slow, fast = reach(model, Limits()), naive.explore(model), engine.explore(model)
    assert len(reached.states) == slow.states == fast.states
    assert len(reached.target) == slow.transitions == fast.transitions


# -- Spin ------------------------------------------------------------------------------------------


def agrees(model, name, directory):
    """Return whether Spin finds the same of a property."""
    return spin.breaks(progress_promela(model, name), directory) == (name in broken(model))


@needs_spin
@pytest.mark.parametrize("name", PROGRESS)
@pytest.mark.parametrize(("algorithm", "configuration", "breaks"), CASES, ids=shown)
def test_spin_agrees(algorithm, configuration, breaks, name, tmp_path):
    """Spin, which looks for fair runs by itself, finds one where we do, and only there."""
    model = compiled(algorithm, configuration)
    assert spin.breaks(progress_promela(model, name), tmp_path) == (name in breaks)


@needs_spin
@pytest.mark.parametrize(
    ("piece", "name"), [(piece, [*PROGRESS][at % len(PROGRESS)]) for at, piece in enumerate(MUSEUM)]
)
def test_spin_agrees_on_the_museum(piece, name, tmp_path):
    """And so of every piece of the museum, asked one property each in turn: all of them take ten
    minutes.
    """
    assert agrees(compiled(f"museum:{piece}", MUSEUM[piece].configuration), name, tmp_path)


@needs_spin
@pytest.mark.parametrize(
    ("name", "was", "becomes"),
    [
        (LOCK, r"GOES_ON_\d -> stopped", "false -> stopped"),
        (STARVATION, r"(WAITS_\d -> who = \d; ends =) 0", r"\1 1"),
        (DEADLOCK, "ends = c_expr", "ends = 0 * c_expr"),
    ],
    ids=["nobody is stopped", "waiting is ending", "nothing ends"],
)
def test_a_claim_that_is_altered_is_noticed(name, was, becomes, tmp_path):
    """One thing changed in the text, and Spin says the opposite: the comparison can fail."""
    model = compiled(waiting.SpinLock, program("work"))
    altered, number = re.subn(was, becomes, progress_promela(model, name))
    assert number
    assert spin.breaks(altered, tmp_path) != (name in broken(model))


@needs_spin
@pytest.mark.parametrize(
    ("given", "client", "crashes", "breaks"),
    [
        (waiting.SpinLock, "work", 1, {"no-deadlock"}),
        (waiting.Kept, "flip; flip", 0, set()),
        (waiting.Kept, "flip", 1, {"no-deadlock"}),
        (waiting.Peterson, "work; work", 1, set()),
    ],
)
def test_spin_finds_the_same_of_programs(given, client, crashes, breaks, tmp_path):
    """A program is written for Spin as well: the same states, steps and violations."""
    model, _ = explored(program(client, crashes=crashes, linearizable=False), given)
    ours = naive.explore(model)
    assert ours.violations.keys() == breaks
    assert spin.explore(to_promela(model), tmp_path) == spin.Found(ours.states, ours.transitions, ours.violations)


# -- the command -----------------------------------------------------------------------------------


def run(command, *given):
    """Run a command with these arguments."""
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args([str(each) for each in given]))


def check(*given):
    """Run `slotmem check`."""
    return run(check_command, *given)


TRY_BOTH = "tools.waiting:TryBoth"


def test_a_livelock_is_shown(capsys, tmp_path):
    """1; the lanes say where the loop begins, that it has no end, and which operations starve; the
    picture and the trace have it too, and replay finds it again.
    """
    svg, path = tmp_path / "loop.svg", tmp_path / "loop.json"
    assert check(TRY_BOTH, "--client", "work", "--progress", "--svg", svg, "--trace", path) == 1
    printed = capsys.readouterr().out
    begins = printed.index("── the loop begins: steps 3 to 8 repeat for ever ──")
    ends = printed.index(
        "── and again from step 3, for ever: work(0) of process 1 and work(1) of process 2 never end ──"
    )
    assert printed.index("\n   2  ") < begins < printed.index("\n   3  ") < printed.index("\n   8  ") < ends
    assert "and again from step 3, for ever" in svg.read_text()
    given = json.loads(path.read_text())
    assert (given["breaks"], given["loop"], len(given["interleaving"])) == (DEADLOCK, 3, 8)
    assert schemas.fault("trace", given) == ""
    assert run(replay_command, path) == 1
    assert "reproduced: processes 1 and 2 go round for ever" in capsys.readouterr().out
    path.write_text(json.dumps(given | {"loop": 4}))
    assert run(replay_command, path) == 0
    assert "not broken" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loop": 10}, "expected 1 to 9"),
        ({"loop": 0}, "expected 1 to 9"),
        ({"breaks": "counter"}, "expected one of wait-free"),
    ],
)
def test_a_trace_whose_loop_means_nothing(capsys, tmp_path, change, message):
    """It is refused in a line."""
    path = tmp_path / "loop.json"
    check(TRY_BOTH, "--client", "work", "--progress", "--trace", path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert run(replay_command, path) == 2
    assert message in capsys.readouterr().err


def test_only_what_is_asked_counts(capsys):
    """The reference is deadlock-free: 0. That it is not starvation-free is told; if asked, 1."""
    assert check("reference", "--progress") == 0
    printed = capsys.readouterr().out
    assert "not starvation-free: process 2 waits for ever for the table mutex: each time another process" in printed
    assert printed.endswith("verdict: held\n")
    assert check("reference", "--progress", STARVATION) == 1
    assert "never ends ──" in capsys.readouterr().out


def test_who_waits_for_the_stopped(capsys):
    """A run that ends with waiting says so, and who was stopped."""
    assert check("tools.waiting:SpinLock", "--client", "work", "--progress", OBSTRUCTION) == 1
    printed = capsys.readouterr().out
    assert "process 2 waits for lock to change: it is 1, if process 1 is stopped there" in printed
    assert "── so it stays, for ever: work() of process 2 never ends ──" in printed


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (("cas", "--progress", WAIT), 0),
        (("museum:other-order", "--progress"), 1),
        (("httpd", "--progress"), 3),
        (("httpd", "--progress", "--rounds", "1", "--client", "grab -> a; release(a)"), 0),
        (("museum:seqlock-bumped-late", "--progress"), 3),
        (("museum:seqlock-bumped-late", "--progress", STARVATION), 1),
        (("reference", "--progress", "--budget-s", "0"), 3),
        (("--progress",), 0),
    ],
)
def test_report(capsys, given, code):
    """The report says what its schema says, whatever the verdict; undecided has a reason."""
    assert check(*given, "--json") == code
    report = json.loads(capsys.readouterr().out)
    assert schemas.fault("check", report) == ""
    (row,) = report["progress"]
    assert bool(row["reason"]) == (row["verdict"] == "undecided") or row["broken"]
    assert (row["most_steps"] is None) == (WAIT not in row["holds"])
    assert ("counterexample" in row) == (code == 1)
    if not row["reason"]:
        assert {*row["holds"], *row["broken"]} == PROGRESS.keys()


def test_a_word_that_grows_for_ever(capsys, tmp_path):
    """It is undecided, and the reason says what to do."""
    file = tmp_path / "grows.py"
    file.write_text(
        "from slotmem_model.program import Words, operation\n\n\nclass Grows:\n    n = Words(1, initial=0)\n\n"
        "    @operation\n    def count(self):\n        self.n[0] = self.n[0] + 1\n"
    )
    assert check(file, "--client", "count", "--progress") == 3
    assert "each process goes on for ever: --rounds N ends it" in capsys.readouterr().out
    assert check(file, "--client", "count", "--progress", "--rounds", "2") == 0


def test_promela(tmp_path):
    """--promela writes the model and the claim."""
    path = tmp_path / "model.pml"
    assert check("spin-lock", "--progress", STARVATION, "--promela", path) == 0
    assert "never {" in path.read_text()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--progress", "cas"), "name it before --progress"),
        (("cas", "--progress", "--por"), "--por"),
        (("cas", "--progress", "--engine", "naive"), "--engine"),
        (("cas", "--progress", "--markdown"), "--markdown"),
        (("cas", "--progress", "--property", "counter"), "--property"),
        (("cas", "--progress", "--explain", "x.json"), "leave one of them out"),
        (("cas", "striped", "--progress", "--promela", "x.pml"), "one configuration, got 2"),
    ],
)
def test_mistakes(capsys, given, message):
    """What makes no sense together is refused in a line that says what to do, with 2."""
    try:
        code = check(*given)
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_interrupted(capsys, monkeypatch):
    """Ctrl-C: 130, and the row says that it was interrupted."""

    def interrupted(*_given):
        raise KeyboardInterrupt

    monkeypatch.setattr(check_progress, "reach", interrupted)
    assert check("cas", "--progress") == 130
    assert "it was interrupted" in capsys.readouterr().out


def test_those_that_assume_fairness():
    """The two that speak of nobody being stopped."""
    assert {STARVATION, DEADLOCK} == FAIR
