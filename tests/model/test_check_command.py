"""`slotmem check`: what it asks, finds, prints and answers with."""

import argparse
import io
import json
import re
import signal
from pathlib import Path

import pytest

from slotmem_model.algorithms import catalogue
from slotmem_model.algorithms.httpd import Httpd
from slotmem_model.checker import naive
from slotmem_model.checker.exploration import Exploration, Progress
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.standard import STANDARD
from slotmem_model.commands import check as check_command
from slotmem_model.commands import check_report
from slotmem_model.commands.check_report import Live, Row
from slotmem_model.counterexample import picture, trace
from slotmem_model.verdict import HELD, VIOLATED
from tools import schemas

PAGE = Path(__file__).parents[2] / "model" / "CHECKS.md"


@pytest.fixture(autouse=True)
def _reference_by_name(monkeypatch):
    """Find the reference without installed metadata too."""
    monkeypatch.setitem(catalogue.OWN, "reference", "slotmem.slots:Slots")


def check(*given):
    """Run the command with these arguments."""
    parser = argparse.ArgumentParser()
    check_command.configure(parser)
    return check_command.run(parser.parse_args(given))


def report(capsys, *given):
    """Run it with --json. Returns the exit code and the report, which is what its schema says."""
    code = check(*given, "--json")
    printed = json.loads(capsys.readouterr().out)
    assert schemas.fault("check", printed) == ""
    return code, printed


class Outside:
    """Store a slot number that no in-use byte can have."""

    def __init__(self, image):
        self.image = image

    def grab(self):
        """Store it."""
        self.image.inuse[0] = 7
        return 0


def test_the_standard_run(capsys):
    """Without arguments the reference holds everywhere, httpd is violated, that is expected: 0.

    CHECKS.md has the table.
    """
    code, given = report(capsys)
    assert code == 0
    rows = given["rows"]
    assert [row["verdict"] for row in rows] == [standard.expected for standard in STANDARD]
    assert {row["configuration"]["algorithm"] for row in rows if row["verdict"] == HELD} == {"reference"}
    assert {row["configuration"]["algorithm"] for row in rows if row["verdict"] == VIOLATED} == {"httpd"}
    reference = [row for row in rows if row["configuration"]["algorithm"] == "reference"]
    assert not set.intersection(*(set(row["never"]) for row in reference)), "each `sometimes` happens in some of them"
    assert not [name for row in reference for name in row["never"] if name.startswith("crash")]
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(check_report.MARKDOWN_BEGIN)
    table, _, after = rest.partition(check_report.MARKDOWN_END)
    assert before
    assert after
    printed = [[cell.strip() for cell in line.split(" | ")] for line in table.splitlines() if line.startswith("|")][2:]
    assert [row[1:3] for row in printed] == [[f"{row['states']:,}", f"{row['transitions']:,}"] for row in rows]
    assert [row[0].lstrip("| ") for row in printed] == [
        str(standard.configuration).replace("|", "\\|") for standard in STANDARD
    ]
    assert [row[-1].rstrip(" |").split(",")[0] for row in printed] == [row["verdict"] for row in rows]


def test_named(capsys):
    """httpd by name is violated: 1, with the sentence and the lanes."""
    assert check("httpd") == 1
    printed = capsys.readouterr().out
    assert "processes 1 and 2 were both given slot 0" in printed
    assert "│ inuse[0]: 0 -> 1" in printed
    assert printed.endswith("verdict: violated\n")


def test_numbers_are_the_oracles(capsys):
    """States and transitions in the report are those of the naive engine, whichever engine was
    asked.
    """
    outcome = naive.explore(compile_model(Configuration("httpd"), Httpd))
    for engine in ("naive", "sweep"):
        _, given = report(capsys, "httpd", "--engine", engine)
        row = given["rows"][0]
        assert (row["states"], row["transitions"], row["violations"]) == (
            outcome.states,
            outcome.transitions,
            outcome.violations,
        )


def test_question(capsys):
    """Every option of the question reaches the configuration."""
    options = (
        "--processes 2 --slots 1 --rounds 2 --crashes 1 --slot-bytes 1 --memory tso --stripes 1 --no-pregrab --timeouts"
        " --exceptions"
    )
    clients = ("--client", "put(0, me)", "--client", "get(0)")
    _, given = report(capsys, "one-lock", *options.split(), "--no-linearizable", *clients)
    assert given["rows"][0]["configuration"] == {
        "algorithm": "one-lock",
        "processes": 2,
        "slots": 1,
        "rounds": 2,
        "clients": ["put(0, me)", "get(0)"],
        "crashes": 1,
        "crash_model": "durable",
        "memory": "tso",
        "slot_bytes": 1,
        "pregrab": False,
        "stripes": 1,
        "timeouts": True,
        "exceptions": True,
        "linearizable": False,
        "specification": "",
    }


def test_clients_say_how_many_processes(capsys):
    """Three clients are three processes."""
    _, given = report(capsys, "cas", *3 * ("--client", "grab -> a"))
    assert given["rows"][0]["configuration"]["processes"] == 3


def test_several_algorithms(capsys):
    """Several algorithms are several rows; one that is violated makes the verdict."""
    code, given = report(capsys, "httpd-locked", "httpd", "--client", "grab -> a")
    assert code == 1
    assert [row["verdict"] for row in given["rows"]] == [HELD, VIOLATED]
    assert check("httpd-locked", "--client", "grab -> a") == 0


def test_chosen_property(capsys):
    """The counterexample of a chosen property is shown."""
    _, given = report(capsys, "httpd", "--property", "counter")
    assert given["rows"][0]["counterexample"]["breaks"] == "counter"


@pytest.mark.parametrize("engine", ["naive", "sweep"])
def test_undecided(capsys, engine):
    """A budget that is used up is undecided, never held: 3, with the reason."""
    assert check("--crashes", "1", "--budget-s", "0", "--engine", engine) == 3
    assert "was not explored to the end: the budget of 0 s is used up" in capsys.readouterr().out
    assert check("--crashes", "1", "--memory-mb", "0", "--engine", engine) == 3


class Endless(Outside):
    """An operation that neither ends nor accesses anything."""

    def grab(self, *_):
        while True:
            pass


@pytest.mark.parametrize("name", ["grab", "__init__"])
def test_an_endless_loop(capsys, monkeypatch, name):
    """An operation that goes on without an access is ended when the budget is used up: undecided,
    with the line that was running. So is a constructor.
    """
    wrong = type("Wrong", (Outside,), {name: Endless.grab})
    monkeypatch.setitem(catalogue.OWN, "endless", f"{__name__}:Endless")
    monkeypatch.setattr(catalogue, "find", lambda *_: wrong)
    handler = signal.getsignal(signal.SIGALRM)
    assert check("endless", "--client", "grab", "--budget-s", "0.1") == 3
    assert "the budget of 0.1 s is used up: grab was still at line" in (printed := capsys.readouterr().out)
    assert "test_check_command.py (while True:); does it ever end?" in printed
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)) == (handler, (0.0, 0.0))


@pytest.mark.parametrize("given", ["--budget-s nan", "--budget-s -1", "--budget-s 1e9", "--memory-mb -1"])
def test_amounts_that_mean_nothing(capsys, given):
    """Argparse refuses numbers of seconds and megabytes that mean nothing."""
    with pytest.raises(SystemExit) as refused:
        check(*given.split())
    assert refused.value.code == 2
    assert f"argument {given.split()[0]}: " in capsys.readouterr().err


@pytest.mark.parametrize("what", ["processes", "slots", "rounds", "slot-bytes", "stripes"])
def test_counts_that_are_never_explored(capsys, what):
    """A billion of something is refused at once, and so is none of it."""
    assert check("reference", f"--{what}", "1000000000") == 2
    assert f"{what.replace('-', ' ')} may be 1,000 at most, got 1,000,000,000" in capsys.readouterr().err
    if what != "rounds":  # 0 rounds: for ever
        assert check("reference", f"--{what}", "0") == 2
        assert f"{what.replace('-', ' ')} must be at least 1, got 0" in capsys.readouterr().err


def test_outside(capsys, monkeypatch):
    """A word that gets a value outside its domain leaves the question undecided, and the report
    says by which step.
    """
    monkeypatch.setitem(catalogue.OWN, "outside", f"{__name__}:Outside")
    monkeypatch.setattr(catalogue, "find", lambda *_: Outside)
    assert check("outside", "--client", "grab") == 3
    printed = capsys.readouterr().out
    assert "cannot be judged" in printed
    assert "store to inuse[0] of 7, which is no value that it has in the model" in printed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("nonsense",), "there is no algorithm 'nonsense'"),
        (("museum:nonsense",), "museum: has"),
        (("--processes", "0"), "processes must be at least 1, got 0"),
        (("--crashes", "3"), "3 crashes for 2 processes"),
        (("--client", "grab("), "is not one of grab"),
        (("--client", "put(7, 1)"), "slot 7 in 'put(7, 1)' is out of range"),
        (("--client", "grab", "--client", "grab", "--processes", "3"), "got 2 clients for 3 processes"),
        (("--engine", "naive", "--symmetry"), "the engine naive has no reductions"),
        (("--promela", "x.pml"), "--promela takes one configuration, got 34"),
        (("httpd", "--svg", "/nowhere/x.svg"), "/nowhere/x.svg: No such file or directory"),
    ],
)
def test_mistakes(capsys, given, message):
    """A user's mistake is one line on standard error, and 2."""
    assert check(*given) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("slotmem check: ")
    assert error.count("\n") == 1


def test_files(capsys, tmp_path):
    """--trace, --svg and --promela write their files; where nothing is violated, that is said
    instead.
    """
    race, drawn, model = tmp_path / "race.json", tmp_path / "race.svg", tmp_path / "race.pml"
    check("httpd", "--trace", str(race), "--svg", str(drawn))
    assert trace.load(race.read_text()).sentence == "processes 1 and 2 were both given slot 0"
    assert drawn.read_text().startswith("<svg ")
    assert check("httpd", "--promela", str(model)) == 0
    assert "proctype" in model.read_text()
    none = tmp_path / "none.svg"
    assert check("cas", "--processes", "1", "--svg", str(none)) == 0
    assert "was not written" in capsys.readouterr().err
    assert not none.exists()


def test_list(capsys):
    """--list names algorithms and properties."""
    assert check("--list") == 0
    printed = capsys.readouterr().out
    assert all(re.search(rf"^  {name} ", printed, re.M) for name in ("httpd", "cas", "held-once", "two-inside"))


def test_litmus(capsys, monkeypatch):
    """--litmus shows that the memory models allow what is listed; if one did not, it would be
    violated.
    """
    assert check("--litmus") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^SB  +x = 1; a = y \| y = 1; b = x  +a b  +01 10 11  +00  +nothing  +held$", printed, re.M)
    monkeypatch.setattr(check_report.litmus, "buffered", lambda automaton, words, ordered: automaton)
    assert check("--litmus", "--json") == 1
    verdicts = {test["test"]: test["verdict"] for test in json.loads(capsys.readouterr().out)}
    assert (verdicts["SB"], verdicts["MP+fence"]) == (VIOLATED, HELD)


def test_vacuous(capsys):
    """What never happened is named beside the verdict, and what did is not."""
    assert check("--processes", "1", "--crashes", "1", "--client", "grab -> a; num_free_slots") == 0
    printed = capsys.readouterr().out
    assert "never happened: two-inside (two processes are inside operations at once)" in printed
    assert "crash in" not in printed
    check("--processes", "3")
    assert "never happened" not in capsys.readouterr().out


def test_a_missed_violation_is_violated():
    """If httpd held, or the reference did not, the standard run would say so."""
    held = Exploration("sweep")
    broken = Exploration("sweep", violations={"counter": 1})
    cut = Exploration("sweep", complete=False)
    reference, httpd = Configuration(), Configuration("httpd")

    def verdict(*rows):
        return check_command.verdict([Row(*row) for row in rows])

    assert verdict((reference, held, HELD), (httpd, broken, VIOLATED)) == "held"
    assert verdict((reference, held, HELD), (httpd, held, VIOLATED)) == "violated"
    assert verdict((reference, broken, HELD), (httpd, broken, VIOLATED)) == "violated"
    assert verdict((reference, cut, HELD), (httpd, broken, VIOLATED)) == "undecided"
    assert verdict((reference, held, HELD), (httpd, cut, VIOLATED)) == "undecided"
    assert verdict((httpd, broken, "")) == "violated"


@pytest.mark.parametrize("engine", ["naive", "sweep"])
@pytest.mark.parametrize(("algorithm", "verdict"), [("httpd-locked", "undecided"), ("httpd", "violated")])
def test_interrupted(capsys, monkeypatch, engine, algorithm, verdict):
    """Ctrl-C ends it cleanly, 130: what was explored and found until then is told, and never called
    held.
    """

    def interrupt(self, progress):
        self.last = progress
        if progress.states > 20_000:
            raise KeyboardInterrupt

    monkeypatch.setattr(Live, "__call__", interrupt)
    given = (algorithm, "reference", "--processes", "3", "--slots", "3", "--engine", engine)
    assert check(*given) == 130
    printed = capsys.readouterr().out
    assert "was not explored to the end: it was interrupted" in printed
    assert printed.endswith(f"verdict: {verdict}\n")
    assert check(*given, "--json") == 130
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["verdict"], row["complete"]) == (verdict, False)
    assert row["states"] > 20_000


def test_interrupted_at_once(capsys, monkeypatch):
    """Ctrl-C before anything was explored: the row says so."""

    def interrupt(configuration, algorithm, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(check_command, "compile_model", interrupt)
    assert check("httpd") == 130
    assert "nothing explored" in " ".join(capsys.readouterr().out.split())


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self):
        return True


def test_progress():
    """On a terminal one line changes and is wiped at the end; elsewhere a line comes every few
    seconds.
    """
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        live = Live(stream)
        live.every_s = 0.0
        live.begin("a question")
        live(Progress(1000, 2000, 7, 0.5))
        live.end()
    assert "\r\x1b[2Ka question: 1,000 states" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[2K")
    assert file.getvalue().splitlines()[-1].endswith("depth 7")
    assert "\x1b" not in file.getvalue()
    assert Live(terminal).every_s < Live(file).every_s


def test_plain_terminals():
    """Where the terminal knows no box characters, lines are drawn with ASCII."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    check_report.say(["┌ grab()", "│ a · b"], stream)
    stream.flush()
    assert raw.getvalue() == b". grab()\n| a ; b\n"


def test_pictures_are_the_same_each_time():
    """The same question gives the same trace and the same picture."""
    drawn = set()
    for _ in range(2):
        model = compile_model(Configuration("httpd"), Httpd)
        found = check_command.shortest.find(model)
        drawn.add(picture.drawn(check_command.explain(model, found.broken, found.steps)))
    assert len(drawn) == 1
