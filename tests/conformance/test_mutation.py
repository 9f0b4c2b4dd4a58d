"""The suite is measured with mutants of the reference: what is made of a source, who notices it,
and that nothing else is touched.
"""

import ast
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from slotmem.memory.segment import SHM_FOLDER
from slotmem_conformance.commands import mutate as mutate_command
from slotmem_conformance.mutation import mutants, questions, scores, trial, workshop
from slotmem_conformance.runner import Unusable
from slotmem_model.verdict import Exit
from slotmem_stress import descendants
from tools import pages

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")

SOURCE = '''
"""Words."""
LIMIT = 3

def f(a: int, b: str = "b") -> bytes | None:
    """More words."""
    if a < LIMIT and not b:
        raise ValueError(f"{a} is {1}", b)
    try:
        a -= g(a, b)
    except KeyError:
        return b"x"
'''
MADE = """
: deletion: LIMIT = 3 -> pass
: constant: LIMIT = 3 -> LIMIT = 4
f: constant: def f(a: int, b: str = "b") -> bytes | None: -> def f(a: int, b: str = 'bX') -> bytes | None:
f: deletion: if a < LIMIT and not b: raise ValueError(f"{a} is {1}", b) -> pass
f: comparison: if a < LIMIT and not b: -> if (a <= LIMIT) and not b:
f: comparison: if a < LIMIT and not b: -> if (a >= LIMIT) and not b:
f: condition: if a < LIMIT and not b: -> if (a < LIMIT or not b):
f: condition: if a < LIMIT and not b: -> if (not (a < LIMIT and (not b))):
f: condition: if a < LIMIT and not b: -> if a < LIMIT and (b):
f: swallowed: raise ValueError(f"{a} is {1}", b) -> pass
f: deletion: try: a -= g(a, b) except KeyError: return b"x" -> pass
f: deletion: a -= g(a, b) -> pass
f: arithmetic: a -= g(a, b) -> a += g(a, b)
f: swap: a -= g(a, b) -> a -= g(b, a)
f: swallowed: return b"x" -> pass
f: constant: return b"x" -> return b'xX'
"""
CASE = "GRAB-1/without-pregrab"
RACE = "reference, 2 processes, 1 slot, 3 rounds, 1 crash"
GRAB = "slotmem/slots.py: Slots.grab: "
UNCOUNTED = f"{GRAB}deletion: num_free[0] = (num_free[0] or COUNTERS) - 1 -> pass"
EQUIVALENT = f"{GRAB}deletion: status = 0 -> pass"
LEFT = {
    "outcome": "equivalent",
    "reason": "trylock answers with the status, unless a signal comes first",
    "mutants": [EQUIVALENT],
}


def made(target):
    """Return the mutants of a file of the reference."""
    return mutants.mutants(target, workshop.source(target))


def write(path, **entry):
    """Write a file with the reason for one kind of survivors."""
    path.write_text("[[survivors]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items()))
    return path


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A workshop in a folder of its own, which must be empty again in the end."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        with workshop.Workshop() as opened:
            yield opened
            name = opened.folder.name
    assert list(folder.iterdir()) == []
    assert not (Path(SHM_FOLDER) / name).exists()


@pytest.fixture(scope="module")
def recording(bench):
    """What runs when in one case."""
    return trial.record(bench, "conform", [CASE])


@pytest.fixture
def mutate(tmp_path, monkeypatch):
    """Run the command in a folder of the test's own; return its report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def run(expected, line):
        code, said = pages.run(f"slotmem mutate {line} --json > report.json")
        assert code in (expected if isinstance(expected, tuple) else (expected,)), said
        return json.loads((tmp_path / "report.json").read_text())["trials"]

    return run


def test_each_operator():
    """Every operator does what it is called, once for each place; docstrings, annotations and the
    words of errors are left alone.
    """
    assert {each.id for each in mutants.mutants("m.py", SOURCE)} == {
        f"m.py: {line}" for line in MADE.strip("\n").splitlines()
    }


@pytest.mark.parametrize("target", ["slotmem/memory/files.py", "slotmem_model/spec.py"])
def test_every_mutant_is_another_program(target):
    """Each mutant of the reference can be parsed, is no other one and not the original, and has an
    id of its own.
    """
    source = workshop.source(target)
    found = made(target)
    programs = {ast.dump(ast.parse(each.applied(source))) for each in found}
    assert len(programs | {ast.dump(ast.parse(source))}) == len(found) + 1
    assert len({each.id for each in found}) == len(found) > 50


def test_an_id_survives_a_change_elsewhere():
    """A line more at the beginning changes the id of no mutant."""
    assert [each.id for each in mutants.mutants("m.py", SOURCE)] == [
        each.id for each in mutants.mutants("m.py", f"import os\n{SOURCE}")
    ]


def test_killed_and_equivalent(mutate, tmp_path):
    """A mutant that a client can notice is killed by the case that says so; an equivalent one
    survives, which is all right with a reason and not without.
    """
    reasons = write(tmp_path / "reasons.toml", **LEFT)
    line = f"{shlex.quote(UNCOUNTED)} {shlex.quote(EQUIVALENT)} --select {CASE} --lines ran.json --survivors {reasons}"
    survived, killed = mutate(Exit.HELD, line)
    assert (killed["mutant"], killed["outcome"], killed["noticed_by"]) == (UNCOUNTED, "killed", CASE)
    assert killed["finding"].startswith('fail: {"op": ')
    assert (survived["mutant"], survived["outcome"], survived["reason"]) == (EQUIVALENT, "equivalent", LEFT["reason"])
    reasons.write_text("")
    assert [each["outcome"] for each in mutate(Exit.VIOLATED, line)] == ["survived", "killed"]


def test_a_shard(mutate):
    """One part of two hundred has its share of the mutants of all files; one case asks some."""
    tried = mutate((Exit.UNDECIDED, Exit.VIOLATED), f"--shard 1/200 --select {CASE}")
    every = [each.id for target in mutants.TARGETS for each in made(target)]
    assert [each["mutant"] for each in tried] == every[::200]
    assert "not asked" in {each["outcome"] for each in tried}


def test_whoever_noticed_it_counts(mutate, tmp_path):
    """Reports are merged: a mutant is killed if it is in one of them. The page counts file by file,
    and says what share of those that can be seen was noticed.
    """
    lived = trial.Trial(UNCOUNTED, "conform", "survived", "", "asked 1 of 1 questions")
    died = lived._replace(outcome="killed", noticed_by=CASE, finding="fail")
    other = lived._replace(mutant=EQUIVALENT, outcome="equivalent", reason="an old reason")
    for name, trials in (("1", [lived]), ("2", [died, other]), ("3", [lived, other])):
        (tmp_path / f"{name}.json").write_text(json.dumps({"trials": [each._asdict() for each in trials]}))
    reasons = write(tmp_path / "reasons.toml", **LEFT)
    merged = mutate(Exit.HELD, f"--merge 1.json 2.json 3.json --survivors {reasons}")
    assert [(each["outcome"], each["reason"]) for each in merged] == [("killed", ""), ("equivalent", LEFT["reason"])]
    code, page = pages.run(f"slotmem mutate --merge 1.json 2.json --markdown --survivors {reasons}")
    assert code == Exit.HELD
    number = len(made("slotmem/slots.py"))
    assert f"| slotmem/slots.py | 2 of {number} | 1 | 1 | 0 | 0 | 100.0% |" in page
    code, page = pages.run(f"slotmem mutate --merge 1.json 3.json --survivors {reasons}")
    assert code == Exit.VIOLATED
    assert f"| all | 2 of {number} | 0 | 1 | 0 | 1 | 0.0% |" in page
    assert f"no reason is given: {UNCOUNTED}" in page


def test_what_was_not_asked_did_not_survive(mutate, tmp_path):
    """A mutant whose lines no question runs is not asked: nobody missed it, and the verdict is
    undecided; in another report it may have survived, or have a reason.
    """
    (found,) = [
        each
        for each in mutants.mutants("slotmem/slots.py", workshop.source("slotmem/slots.py"))
        if each.id == UNCOUNTED
    ]
    recording = trial.Recording("conform", "", [], {"import": 0.0, CASE: 0.0}, {"import": {}, CASE: {}})
    untried = trial.try_mutant(None, found, recording)
    assert (untried.outcome, untried.finding) == ("not asked", "asked 0 of 1 questions")
    lived = untried._replace(outcome="survived", finding="asked 1 of 1 questions")
    for name, each in (("1", untried), ("2", lived)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"trials": [each._asdict()]}))
    none = write(tmp_path / "none.toml", **LEFT)
    assert [each["outcome"] for each in mutate(Exit.UNDECIDED, f"--merge 1.json --survivors {none}")] == ["not asked"]
    assert [each["outcome"] for each in mutate(Exit.VIOLATED, f"--merge 1.json 2.json --survivors {none}")] == [
        "survived"
    ]
    code, said = pages.run(f"slotmem mutate --merge 1.json --survivors {none}")
    assert code == Exit.UNDECIDED
    assert f"not asked, since no question runs its lines: {UNCOUNTED}" in said
    assert "| 0 (1 not asked) |" in said
    write(tmp_path / "none.toml", **LEFT | {"mutants": [UNCOUNTED]})
    mutate(Exit.HELD, f"--merge 1.json --survivors {none}")


def test_needless_reasons_are_said(mutate, tmp_path):
    """A reason for a mutant that is killed, or that there is not, is told, and changes nothing."""
    died = trial.Trial(UNCOUNTED, "conform", "killed", CASE, "fail")
    (tmp_path / "1.json").write_text(json.dumps({"trials": [died._asdict()]}))
    reasons = write(tmp_path / "reasons.toml", **LEFT | {"mutants": [UNCOUNTED, "slotmem/slots.py: gone"]})
    code, said = pages.run(f"slotmem mutate --merge 1.json --survivors {reasons}")
    assert code == Exit.HELD
    assert f"conform notices ({CASE}): {UNCOUNTED}" in said
    assert "that does not exist: slotmem/slots.py: gone" in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("outcome = 'lucky'\nreason = 'r'\nmutants = []", "got the outcome 'lucky'"),
        ("outcome = 'equivalent'\nreason = ''\nmutants = []", "a reason"),
        ("outcome = 'equivalent'\nreason = 'r'\nmutants = []\nby = ['luck']", "some of conform, check, stress"),
        ("outcome = 'equivalent'", "expected tables"),
        ("outcome", "expected tables"),
    ],
)
def test_a_wrong_file_of_reasons(tmp_path, wrong, said):
    """It is refused in a line that says what is wrong."""
    path = tmp_path / "reasons.toml"
    path.write_text(f"[[survivors]]\n{wrong}\n")
    with pytest.raises(scores.BadFile, match=re.escape(said)):
        scores.load(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nothing-like-this", "no mutant's id matches"),
        ("--merge reasons.toml", "is not a report of slotmem mutate"),
        ("--select LUCK", "names no case"),
        ("--survivors nowhere.toml", "nowhere.toml: No such file"),
    ],
)
def test_mistakes_of_the_user(tmp_path, monkeypatch, line, said):
    """They end with exit code 2 and a line that says what is wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reasons.toml").write_text("")
    code, told = pages.run(f"slotmem mutate {line}")
    assert code == Exit.USAGE
    assert said in told
    assert len(told.strip().splitlines()) == 1


HARM = {
    "return item_id + 1": "fail",
    "__import__('os')._exit(1)": "died",
    "__import__('os').kill(__import__('os').getpid(), 9)": "died",
    "__import__('time').sleep(1000)": "no answer",
    "__import__('os').fork() or __import__('os').setsid(); __import__('time').sleep(1000)": "no answer",
}


@pytest.mark.parametrize(("instead", "finding"), HARM.items())
def test_whatever_it_does_it_is_ended(bench, recording, monkeypatch, instead, finding):
    """A mutant that ends its process, or does not come back, also in a process that it started and
    left, is killed; nothing of it stays, and the installed file is what it was.
    """
    source = workshop.source("slotmem/slots.py")
    monkeypatch.setattr(workshop, "_PATIENCE_S", 3.0)
    [last] = [each for each in made("slotmem/slots.py") if each.id == f"{GRAB}deletion: return item_id -> pass"]
    before = descendants.children()
    outcome = trial.try_mutant(bench, replace(last, after=last.after.replace("pass", instead)), recording)
    assert (outcome.outcome, outcome.noticed_by) == ("killed", CASE)
    assert finding in outcome.finding
    assert descendants.children() == before
    assert workshop.source("slotmem/slots.py") == source
    assert trial.try_mutant(bench, replace(last, after=last.before), recording).outcome == "survived"


def test_a_mutant_that_cannot_be_loaded(bench, recording):
    """It is killed before it is asked anything."""
    [first] = [each for each in made("slotmem/recovery.py") if each.id.endswith(": deletion: TABLE = 0 -> pass")]
    assert trial.try_mutant(bench, first, recording).noticed_by == questions.IMPORT


def test_what_never_runs_is_not_asked(recording):
    """A mutant of a line that no question runs survives at once; those of lines that run when the
    packages are loaded are asked everything.
    """
    [idle] = [each for each in made("slotmem/slots.py") if "Slots.dptr: deletion: start" in each.id]
    [early] = [each for each in made("slotmem/recovery.py") if each.id.endswith(": constant: TABLE = 0 -> TABLE = 1")]
    assert recording.asked(idle) == []
    assert recording.asked(early) == [CASE]


def test_lines_of_other_processes(bench):
    """What only the servers of a case run, in processes of their own, is noted too."""
    recording = trial.record(bench, "conform", ["CREATE-6/crash-remainder"])
    assert recording.lines["CREATE-6/crash-remainder"]["slotmem/slots.py"]


@pytest.mark.parametrize(("by", "question"), [("check", RACE), ("stress", "at full speed")])
def test_the_others_notice_too(bench, by, question):
    """The checker and the stress run notice a grab that does not count."""
    [wrong] = [each for each in made("slotmem/slots.py") if each.id == UNCOUNTED]
    ran = {name: {wrong.path: list(wrong.lines)} for name in (questions.IMPORT, question)}
    recording = trial.Recording(by, "", [], dict.fromkeys(ran, 10.0), ran)
    outcome = trial.try_mutant(bench, wrong, recording)
    assert (outcome.by, outcome.outcome, outcome.noticed_by) == (by, "killed", question)
    assert "violated" in outcome.finding


def test_the_checker_accuses_no_right_one(bench):
    """A configuration of the checker is answered right by the unchanged code and an equivalent
    mutant.
    """
    recording = trial.record(bench, "check", [RACE])
    [right] = [each for each in made("slotmem/slots.py") if each.id == EQUIVALENT]
    assert recording.asked(right) == [RACE]
    assert trial.try_mutant(bench, right, recording).outcome == "survived"


def test_code_that_is_wrong_already(bench):
    """Where the unchanged code fails a question, nothing can be measured, and it says so."""
    source = workshop.source("slotmem/slots.py")
    with (
        bench.changed("slotmem/slots.py", source.replace("num_free[0] = (num_free[0] or COUNTERS) - 1", "pass")),
        pytest.raises(Unusable, match=f"fails {CASE}"),
    ):
        trial.record(bench, "conform", [CASE])


def test_interrupted(tmp_path):
    """Ctrl-C in the midst ends it with what there is so far, and leaves nothing behind."""
    asked = [sys.executable, "-m", "slotmem", "mutate", "--select", CASE, "--json"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen(asked, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "survived" in line:  # mutants are being tried
            [folder] = tmp_path.iterdir()
            assert (Path(SHM_FOLDER) / folder.name).exists()
            process.send_signal(signal.SIGINT)
            break
    said, _ = process.communicate(timeout=60)
    assert process.returncode == Exit.INTERRUPTED
    report = json.loads(said)
    assert report["verdict"] in ("undecided", "violated")
    assert report["trials"]
    assert list(tmp_path.iterdir()) == []
    assert not (Path(SHM_FOLDER) / folder.name).exists()


def test_reasons_are_of_mutants_that_there_are():
    """Each reason that ships is for a mutant that there is; a reworded line has another id."""
    every = {each.id for target in mutants.TARGETS for each in made(target)}
    given = [mutant for reason in scores.load(scores.REASONS) for mutant in reason.mutants]
    assert [mutant for mutant in given if mutant not in every] == []


def test_the_checker_is_asked_about_the_algorithm_alone():
    """What it never runs is no mutant that it could notice."""
    assert {each.id.partition(":")[0] for each in mutate_command._chosen(["*"], "check")} == {
        "slotmem/slots.py",
        "slotmem/recovery.py",
        "slotmem/tenancy.py",
        "slotmem/updates.py",
    }
    assert {each.id.partition(":")[0] for each in mutate_command._chosen(["*"], "conform")} == {*mutants.TARGETS}
