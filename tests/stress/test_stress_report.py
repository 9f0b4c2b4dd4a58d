"""What a stress run is told and what it reports: settings, reports, traces of windows, leaks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_model.verdict import VIOLATED
from slotmem_stress.history.judging import Judged
from slotmem_stress.run import leaks
from slotmem_stress.run.report import RunReport, to_text
from slotmem_stress.run.settings import NAME, Plan, Settings
from slotmem_stress.run.window_trace import to_trace

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")


def test_settings_and_reports_are_plain_data():
    """What is stored as JSON comes back the same."""
    settings = Settings("algorithm:httpd", seed=7, plan=Plan(kills=2.5, attach_storm=True), operations=9)
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_two_reports_add_up():
    """What is counted is added; a finding of either makes the whole violated."""
    one = RunReport(Settings(), operations=3, seconds=1.0, kills=1)
    two = RunReport(Settings(), operations=4, seconds=2.0, findings=["wrong"])
    both = one + two
    assert (both.operations, both.seconds, both.kills, both.verdict) == (7, 3.0, 1, "violated")


def test_nothing_judged_is_undecided():
    """A run that was interrupted before anything was judged has not held; a soak that goes on
    forgets about that.
    """
    nothing = RunReport(Settings(), interrupted=True)
    nothing.conclude()
    assert "verdict: undecided, interrupted (seed " in to_text(nothing)
    both = nothing + RunReport(Settings(), operations=1)
    assert (both.verdict, both.undecided) == ("held", [])


def test_a_proviso_is_for_what_was_not_found():
    """That finding nothing proves nothing is said of runs that found nothing."""
    for findings, told in (([], True), (["wrong"], False)):
        report = RunReport(Settings(), operations=1, findings=findings)
        report.conclude()
        assert ("a run that finds nothing proves nothing" in to_text(report)) is told


def test_a_whole_window_takes_the_place_of_one_that_is_not():
    """The first violation is kept until there is one that shows its reason, and then that one."""
    report = RunReport(Settings())
    done = {"client": 1, "op": "grab", "slot": 0, "status": "OK", "invoke_ns": 1, "return_ns": 2}
    report.note(Judged("a", VIOLATED, "first", 1, 0, 0.0, 1, [done], is_whole=False))
    report.note(Judged("b", VIOLATED, "second", 1, 0, 0.0, 1, [done], is_whole=False))
    report.conclude()
    assert (report.findings, report.history, report.verdict) == (["first"], "a", "violated")
    assert "too many to show" in to_text(report)
    report.note(Judged("l", VIOLATED, "long", 1, 0, 0.0, 1, [done] * 20))
    assert (report.findings, report.history) == (["long"], "l")
    report.note(Judged("c", VIOLATED, "clear", 1, 0, 0.0, 1, [done, done]))
    report.note(Judged("d", VIOLATED, "another", 1, 0, 0.0, 1, [done]))
    assert (report.findings, report.history) == (["clear"], "c")


def test_the_trace_of_a_window_has_its_operations():
    """Clients and values are numbered; what is torn has bytes of both."""
    window = [
        {"client": 12, "op": "grab", "slot": 1, "status": "OK", "invoke_ns": 1, "return_ns": 2},
        {"client": 12, "op": "put", "slot": 1, "value": 99, "invoke_ns": 3},
        {
            "client": 4,
            "op": "get",
            "slot": 1,
            "value": 99,
            "second": 0,
            "status": "TORN",
            "invoke_ns": 4,
            "return_ns": 5,
        },
    ]
    trace = to_trace(Settings("algorithm:httpd", slots=2), window, [], [], "why")
    assert trace["configuration"]["algorithm"] == "httpd"
    assert trace["configuration"]["processes"] == 2
    assert trace["configuration"]["slots"] == 2
    assert trace["operations"] == [
        {"process": 1, "request": {"op": "grab"}, "result": {"status": "APR_SUCCESS", "value": 1}, "time": [0, 1]},
        {"process": 1, "request": {"op": "put", "id": 1, "data": "0101"}, "time": [2]},
        {
            "process": 2,
            "request": {"op": "get", "id": 1},
            "result": {"status": "APR_SUCCESS", "data": "0100"},
            "time": [3, 4],
        },
    ]


@pytest.mark.parametrize(
    ("provider", "algorithm"),
    [
        ("shm", "reference"),
        ("plain", "reference"),
        ("httpd", "httpd"),
        ("algorithm:museum:x", "museum:x"),
        ("exec:a", "reference"),
    ],
)
def test_a_trace_asks_about_the_algorithm_that_ran(provider, algorithm):
    """As far as it is known: others are compared with the reference."""
    window = [{"client": 1, "op": "grab", "slot": 0, "status": "OK", "invoke_ns": 1, "return_ns": 2}]
    assert to_trace(Settings(provider), window, [], [], "")["configuration"]["algorithm"] == algorithm


@linux
def test_every_kind_of_leak_is_found(tmp_path):
    """A shared object, a file, a descriptor and a child process that came to be since are named;
    what was there before is not.
    """
    (tmp_path / "old").touch()
    before = leaks.Inventory.take(str(tmp_path))
    assert leaks.find(before, str(tmp_path), range(2), frozenset()) == []
    names = resolve(NAME, str(tmp_path), 1)
    planted = Path(object_path(names))
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (tmp_path / "new").touch()
    (tmp_path / "expected").touch()
    planted.touch()
    try:
        with open(tmp_path / "new") as held:
            found = leaks.find(before, str(tmp_path), range(2), frozenset({"expected"}))
            assert f"descriptor {held.fileno()}, open on {tmp_path / 'new'}" in found
    finally:
        planted.unlink()
        child.communicate(b"\n")
    assert f"the shared object {planted}" in found
    assert f"the file {tmp_path / 'new'}" in found
    assert any(leak.startswith(f"child process {child.pid} (") for leak in found)
    assert not any("old" in leak or "expected" in leak for leak in found)
