"""`slotmem verify`: it does the work it tells of, and it can fail."""

import argparse
import json
import os
from dataclasses import replace
from functools import partial

import pytest

import slotmem
from slotmem.environment import Disturbed
from slotmem.slots import Slots
from slotmem_conformance.commands import verify as verify_command
from slotmem_conformance.verify import parts as verify_parts
from slotmem_conformance.verify import profiles as verify_profiles
from slotmem_conformance.verify.row import Row
from slotmem_model.checker.standard import STANDARD, Standard
from slotmem_stress.run.report import RunReport
from slotmem_stress.run.settings import Settings
from tools import schemas


def verify(*arguments):
    parser = argparse.ArgumentParser()
    verify_command.configure(parser)
    return verify_command.run(parser.parse_args(arguments))


@pytest.mark.parametrize("provider", ["shm", "plain"])
def test_verify_holds(provider, tmp_path, capsys):
    """Both providers hold, the report says what was done, and nothing is left behind."""
    assert verify(provider, "--quick", "--json", "--seed", "5", "--runtime-dir", str(tmp_path)) == 0
    report = json.loads(capsys.readouterr().out)
    assert schemas.fault("verify", report) == ""
    assert (report["provider"], report["seed"], report["held"]) == (provider, 5, True)
    parts = {
        "shm": ["core", "httpd", "safe", "interleavings", "slots", "servers", "processes"],
        "plain": ["core", "httpd", "safe", "slots", "servers", "threads"],
    }
    assert [row["part"] for row in report["rows"]] == parts[provider]
    assert all(row["held"] and row["seconds"] > 0 for row in report["rows"])
    assert os.listdir(tmp_path) == []


class GrabForgetsTheCounter(Slots):
    def grab(self):
        item_id = super().grab()
        self.num_free[0] += 1
        return item_id


class PutForgets(Slots):
    def put(self, item_id, data):
        if len(data) == 256 and sum(data) % 256 == 0 and not data.isalpha():  # only where real clients are at work
            self.get(item_id)
        else:
            super().put(item_id, data)


def test_verify_fails(tmp_path, capsys, monkeypatch):
    """With a wrong algorithm each part is violated, the clause is quoted, and the exit
    status is 1.
    """
    make = slotmem.provider

    def make_wrong(spec, **options):
        return make(spec, algorithm=GrabForgetsTheCounter, **options)

    monkeypatch.setattr(slotmem, "provider", make_wrong)
    assert verify("plain", "--quick", "--seed", "5", "--runtime-dir", str(tmp_path)) == 1
    said = capsys.readouterr().out
    assert said.count("VIOLATED") == 5  # slots, servers, threads, core, httpd
    assert "COUNT-2 says: num_free_slots gives the number of slots that are not in use." in said
    assert "verdict: violated" in said


def test_an_algorithm_with_a_wrong_interleaving_is_violated(tmp_path, capsys, monkeypatch):
    """If the reference fails where it must hold, verify shows the shortest counterexample, lane by
    lane.
    """
    wrong = [Standard(replace(each.configuration, algorithm="httpd")) for each in STANDARD]
    monkeypatch.setattr(verify_parts, "STANDARD", wrong)
    assert verify("shm", "--quick", "--seed", "5", "--runtime-dir", str(tmp_path)) == 1
    said = capsys.readouterr().out
    assert said.count("VIOLATED") == 1
    assert "is violated, must be held" in said
    assert "reads inuse[0]: 0" in said


def test_verify_judges_what_its_clients_record(capsys, monkeypatch, tmp_path):
    """The part with real clients fails when the history they record cannot be explained."""
    make = slotmem.provider
    monkeypatch.setattr(slotmem, "provider", lambda spec, **options: make(spec, algorithm=PutForgets, **options))
    monkeypatch.setattr(verify_command, "SEQUENTIAL", ())
    monkeypatch.setattr(verify_parts, "Settings", partial(Settings, start="fork"))  # which takes the patch along
    assert verify("plain", "--quick", "--runtime-dir", str(tmp_path)) == 1
    said = capsys.readouterr().out
    assert said.count("VIOLATED") == 1
    assert "by process" in said.split("\nthreads:\n")[1]


def test_verify_names_the_clauses_that_do_not_hold(tmp_path, capsys):
    """Of an implementation that grabs the highest slot the page names the clause, in each part that
    met it, with a command that shows it; so does the table.
    """
    provider = "algorithm:museum:grab-highest"
    assert verify(provider, "--quick", "--seed", "5", "--runtime-dir", str(tmp_path)) == 1
    said = capsys.readouterr().out
    assert 1 <= said.count("GRAB-2 says: grab gives the lowest free slot.") <= said.count("VIOLATED")
    assert f"see one: slotmem conform '{provider}' --reproduce GRAB-2/" in said
    assert verify(provider, "--quick", "--seed", "5", "--markdown", "--runtime-dir", str(tmp_path)) == 1
    table = capsys.readouterr().out
    [row] = [line for line in table.splitlines() if line.startswith("| GRAB-2: ")]
    assert "must" in row.split("|")[2]
    [profile] = [line for line in table.splitlines() if line.startswith("| httpd | ")]
    assert " of " in profile
    assert " GRAB-2" not in profile


def test_what_was_not_tried_is_not_said_to_hold(tmp_path, capsys):
    """Without time no clause is asked, no part is said to hold, and the exit status is 3."""
    assert verify("algorithm:one-lock", "--quick", "--budget-s", "0", "--runtime-dir", str(tmp_path)) == 3
    said = capsys.readouterr().out
    assert said.count("unfinished") == 3
    assert "not tried" in said
    assert "verdict: undecided" in said
    assert verify("algorithm:one-lock", "--quick", "--budget-s", "0", "--markdown", "--runtime-dir", str(tmp_path)) == 3
    assert "Unfinished: the budget of 0 s was used up" in capsys.readouterr().out


def test_every_part_keeps_to_its_share(tmp_path, capsys):
    """Without time no part of our own providers is begun in earnest, and the page names all of
    them, with the remedy.
    """
    assert verify("shm", "--budget-s", "0", "--runtime-dir", str(tmp_path)) == 3
    said = capsys.readouterr().out
    parts = "core, httpd, safe, atomic, robust, durable, python, interleavings, slots, servers, processes"
    assert f"not everything was tried of {parts}; --budget-s gives more time" in said
    assert "verdict: undecided" in said
    assert os.listdir(tmp_path) == []


def test_what_the_judge_had_no_time_for_is_no_violation(tmp_path, capsys, monkeypatch):
    """A stress run that its judge could not decide leaves the verdict open."""

    def undecided(settings, *_, **__):
        return RunReport(settings, verdict="undecided", undecided=["the budget of 1 s is used up"])

    monkeypatch.setattr(verify_command, "SEQUENTIAL", ())
    monkeypatch.setattr(verify_parts, "stress", undecided)
    assert verify("plain", "--quick", "--json", "--runtime-dir", str(tmp_path)) == 3
    [row] = [row for row in json.loads(capsys.readouterr().out)["rows"] if row["part"] == "threads"]
    assert (row["held"], row["tried"]) == (True, False)


def test_what_the_machine_did_is_no_violation(tmp_path, monkeypatch):
    """A part that failed while somebody removed files here accuses nobody, nor does an error."""

    def failed(*_):
        yield Row("slots", "x", 0.0, False, "clause GRAB-2: x")

    def raised(*_):
        yield Row("slots", "x", 0.0, True, "")
        raise ValueError

    def swept(canary, *_):
        canary.close()
        return {}

    monkeypatch.setattr(verify_profiles, "hello", lambda provider, folder, canary: swept(canary))
    monkeypatch.setattr(verify_command, "SEQUENTIAL", ())
    for parts in (failed, raised):
        monkeypatch.setattr(verify_parts, "parts", parts)
        with pytest.raises(Disturbed, match="something else on this machine removes files"):
            verify("plain", "--quick", "--runtime-dir", str(tmp_path))


def test_a_folder_that_is_not_there_is_told_in_a_line(tmp_path, capsys):
    """A runtime directory that cannot be used is the user's to mend: one line, exit code 2."""
    assert verify("plain", "--quick", "--runtime-dir", str(tmp_path / "nowhere")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("No such file or directory")
