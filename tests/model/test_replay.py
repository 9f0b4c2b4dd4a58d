"""`slotmem replay`: a trace runs again, and what it shows now is told apart from what it showed
then.
"""

import argparse
import json

import pytest

from slotmem_model.algorithms.httpd import Httpd
from slotmem_model.checker import shortest
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.commands import replay as replay_command
from slotmem_model.counterexample import trace
from slotmem_model.counterexample.explain import explain


@pytest.fixture
def race(tmp_path):
    """Return the file of httpd's race."""
    model = compile_model(Configuration("httpd"), Httpd)
    found = shortest.find(model)
    told = explain(model, found.broken, found.steps)
    path = tmp_path / "race.json"
    path.write_text(trace.dumped(trace.record(model, found.broken, told.sentence, found.steps)))
    return path


def replay(*given):
    """Run the command with these arguments."""
    parser = argparse.ArgumentParser()
    replay_command.configure(parser)
    return replay_command.run(parser.parse_args([str(each) for each in given]))


class CountsNothing(Httpd):
    """Does the same accesses as httpd, and stores another count."""

    def count(self, change):
        self.num_free[0] = self.num_free[0] + 0 * change


def test_reproduced(race, capsys):
    """The violation is there again: 1, with the lanes and the sentence."""
    assert replay(race) == 1
    printed = capsys.readouterr().out
    assert "reproduced: processes 1 and 2 were both given slot 0\nbroken: held-once\n" in printed
    assert printed.count("└ returns slot 0") == 2


def test_verbose(race, capsys):
    """--verbose shows memory after each of the eight steps."""
    replay(race, "--verbose")
    assert sum("inuse[0] " in line and " · num_free " in line for line in capsys.readouterr().out.splitlines()) == 8


def test_json(race, capsys):
    """--json gives each step: who, what, where, and memory after it."""
    assert replay(race, "--json") == 1
    given = json.loads(capsys.readouterr().out)
    assert given["verdict"] == "violated"
    assert [step["process"] for step in given["steps"]] == [1, 2, 2, 2, 2, 1, 1, 1]
    last = given["steps"][-1]
    assert (last["did"], last["operation"], last["answered"]) == ("num_free: 1 -> 0", "grab()", "slot 0")
    assert last["memory"] == {"inuse[0]": "1", "num_free": "0"}
    assert last["source"]["line"] > 0


def test_picture(race, capsys, tmp_path):
    """--svg draws it."""
    replay(race, "--svg", tmp_path / "race.svg")
    assert "Processes 1 and 2 were both given slot 0" in (tmp_path / "race.svg").read_text()


def test_another_algorithm(race, capsys):
    """An algorithm that does something else is undecided: 3, and the step is named."""
    assert replay(race, "--algorithm", "httpd-locked") == 3
    printed = capsys.readouterr().out
    assert "step 1: the trace says that process 1 does 'load inuse[0]'" in printed
    assert "but here it would do 'trylock table mutex'" in printed


def test_changed_value(race, capsys, monkeypatch):
    """A store of another value is something else too."""
    monkeypatch.setattr(replay_command.catalogue, "find", lambda name: CountsNothing)
    assert replay(race) == 3
    assert "step 5: the trace says that process 2 does 'store num_free 1'" in capsys.readouterr().out


def test_not_broken(race, capsys):
    """If nothing is broken after the last step, it is 0, and answers that differ from the trace's
    are told.
    """
    given = json.loads(race.read_text())
    given["interleaving"].pop()
    given["operations"][1]["result"]["value"] = 1
    race.write_text(json.dumps(given))
    assert replay(race) == 0
    printed = capsys.readouterr().out
    assert "not broken: the same steps no longer break held-once" in printed
    answers = "grab() of process 1: does not return; grab() of process 2: slot 0"
    assert f"results that the trace does not have: {answers}" in printed


def test_another_property(race, capsys):
    """If the steps break another property than the trace says, both are named."""
    given = json.loads(race.read_text())
    given["breaks"] = "counter"
    race.write_text(json.dumps(given))
    assert replay(race) == 1
    assert "broken: held-once (the trace says counter)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a trace: it is not JSON"),
        ('{"format": "another"}', 'is not a trace: its format is "another"'),
        ('{"format": null}', "is not a trace: its format is null"),
        (None, "No such file or directory"),
    ],
)
def test_mistakes(capsys, tmp_path, text, message):
    """What is no trace, or no file, is one line on standard error, and 2."""
    path = tmp_path / "given.json"
    if text is not None:
        path.write_text(text)
    assert replay(path) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_unknown_algorithm(race, capsys):
    """An algorithm that is not known is a mistake of the user's."""
    assert replay(race, "--algorithm", "nonsense") == 2
    assert "there is no algorithm 'nonsense'" in capsys.readouterr().err
