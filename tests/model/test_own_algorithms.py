"""A user's own class is asked everything, without options; what was not asked or run is said."""

import argparse
import json
import re
import signal
import sys
from pathlib import Path

import pytest

from slotmem_model import overdue
from slotmem_model.algorithms import catalogue
from slotmem_model.automata.source_lines import files_of
from slotmem_model.checker import naive
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.sweep import engine as sweep
from slotmem_model.commands import check as check_command

OWN = Path(__file__).parents[1] / "accused" / "own_algorithms.py"
MODULE = catalogue.find(f"{OWN}:LostCount").__module__
own = sys.modules[MODULE]


def check(capsys, *given):
    """Run the command with --json. Returns the exit code and the report."""
    parser = argparse.ArgumentParser()
    check_command.configure(parser)
    code = check_command.run(parser.parse_args([*given, "--json"]))
    return code, json.loads(capsys.readouterr().out or "null")


@pytest.mark.parametrize("algorithm", own.WRONG, ids=lambda each: each.__name__)
def test_a_mistake_is_found_without_options(capsys, algorithm):
    """Each wrong algorithm is violated."""
    code, given = check(capsys, f"{OWN}:{algorithm.__name__}")
    assert (code, given["verdict"]) == (1, "violated")


@pytest.mark.parametrize("algorithm", own.RIGHT, ids=lambda each: each.__name__)
def test_nobody_right_is_accused(capsys, algorithm):
    """Each right algorithm holds, and nothing is left out: 0."""
    code, given = check(capsys, f"{OWN}:{algorithm.__name__}")
    assert (code, given["verdict"], given["left_out"]) == (0, "held", {})


MINE = """
from slotmem_model.algorithms.plain_lock import PlainLock


class Mine(PlainLock):
    def grab(self):
        item_id = super().grab()
        if item_id == 7:
            raise AssertionError("seven")
        return item_id
"""


@pytest.mark.parametrize("name", ["mine.py", "mine.py:Mine", "mine:Mine"])
def test_the_current_folder_counts(tmp_path, monkeypatch, name):
    """A file, a class in it, and a module are found where one stands."""
    stem = f"mine_{abs(hash(name))}"
    (tmp_path / f"{stem}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    assert catalogue.find(name.replace("mine", stem, 1)).__name__ == "Mine"


def test_two_classes_must_be_told_apart(tmp_path):
    """A file with two algorithms does not say which is meant."""
    file = tmp_path / "two.py"
    file.write_text("class One:\n    def grab(self): ...\nclass Two:\n    def grab(self): ...\n")
    with pytest.raises(ValueError, match="but has One, Two; name one"):
        catalogue.find(str(file))


def test_a_line_that_never_ran_is_named(tmp_path, capsys):
    """Held, but one line never ran: 3. A line that says why it cannot run is excused."""
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    code, given = check(capsys, str(file))
    assert (code, given["verdict"]) == (3, "held")
    (sentences,) = given["left_out"].values()
    assert "mine.py grab, line 9" in sentences[0]
    assert any("survives_deaths" in each for each in given["not_asked"])
    excused = tmp_path / "excused.py"
    excused.write_text(MINE.replace("== 7:", "== 7:  # never in the model: two slots"))
    assert check(capsys, str(excused))[0] == 0


def test_engines_take_the_same_steps():
    """Which steps were explored is the same, whichever engine did."""
    model = compile_model(Configuration("cas"), catalogue.find("cas"), files=files_of(catalogue.find("cas")))
    assert sweep.explore(model).taken == naive.explore(model).taken != set()


def test_a_piece_is_asked_its_own_question(capsys):
    """museum:PIECE is explored on the configuration that shows it."""
    code, given = check(capsys, "museum:torn-get")
    assert code == 1
    assert given["rows"][0]["configuration"]["clients"] == ["fgrab(0); put(0, 1)", "get(0)"]


def test_a_loop_that_does_not_say_so(tmp_path, capsys):
    """An operation that looks again and again is refused, with the remedy."""
    file = tmp_path / "looping.py"
    file.write_text(
        "class Looping:\n    def __init__(self, image): self.image = image\n    def grab(self):\n"
        "        while not self.image.inuse[0]: pass\n        return 0\n"
    )
    parser = argparse.ArgumentParser()
    check_command.configure(parser)
    assert check_command.run(parser.parse_args([str(file)])) == 2
    assert "image.wait_for" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("grab", "says"),
    [("raise SystemExit(0)", "raised SystemExit: 0"), ("return 'x'", "it returned 'x', which is not a slot id")],
)
def test_what_a_grab_may_not_do_is_a_fault(tmp_path, capsys, monkeypatch, grab, says):
    """An operation that ends the program or gives no slot is violated, in the lanes at the line of
    the user's own file; also where nobody reads.
    """
    file = tmp_path / "mine.py"
    file.write_text(
        "from slotmem_model.algorithms.plain_lock import PlainLock\n\n\n"
        f"class Mine(PlainLock):\n    def grab(self):\n        {grab}\n"
    )
    parser = argparse.ArgumentParser()
    check_command.configure(parser)
    arguments = parser.parse_args([str(file), "--processes", "1"])
    assert check_command.run(arguments) == 1
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert says in said
    assert " mine.py:" in said
    monkeypatch.setattr("sys.stdout", None)
    assert check_command.run(arguments) == 1


def test_a_file_that_ends_the_program(tmp_path):
    """What ends the program while it is imported is a mistake in the argument."""
    file = tmp_path / "ending.py"
    file.write_text("raise SystemExit(0)\n")
    with pytest.raises(ValueError, match="cannot be imported: SystemExit: 0"):
        catalogue.find(str(file))


def test_a_file_without_end(tmp_path, monkeypatch, capsys):
    """A module that loops while it is imported, by itself or in what it imports, is given up when
    its time is over, with the line; the line is told meanwhile too, and nothing of it stays.
    """
    (tmp_path / "endless.py").write_text("while True:\n    pass\n")
    (tmp_path / "waits.py").write_text("import time\n\ntime.sleep(1000)\n")
    monkeypatch.setattr(overdue, "_BETWEEN_TELLING_S", 0.1)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, line in (
        (str(tmp_path / "endless.py"), r"line \d of endless.py \((while True:|pass)\)"),
        ("waits:Mine", r"line 3 of waits.py \(time.sleep\(1000\)\)"),
    ):
        with pytest.raises(ValueError, match=f"cannot be imported: {line} has not come to its end in 1 s"):
            catalogue.find(name, 0.0)
        assert re.search(f"still importing: {line}\n", capsys.readouterr().err)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert not {"waits", str(tmp_path / "endless.py")} & sys.modules.keys()


def test_an_interrupt_during_an_import(tmp_path):
    """Ctrl-C ends it at once."""
    file = tmp_path / "interrupted.py"
    file.write_text("import signal\nsignal.raise_signal(signal.SIGINT)\nwhile True: pass\n")
    with pytest.raises(KeyboardInterrupt):
        catalogue.find(str(file))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("\n1 / 0\n", "line 2)"),
        ("import not_there\n", "line 1)"),
        ("x = (\n", "line 1)"),
        ("import json; json.loads('')", "decoder"),
    ],
)
def test_where_an_import_fails(tmp_path, text, place):
    """What a file raises when it is imported is told with the file and the line."""
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ValueError, match=r"mine\.py") as raised:
        catalogue.find(f"{tmp_path}/mine.py:Mine")
    assert place in str(raised.value).rsplit("mine.py", 1)[-1]
