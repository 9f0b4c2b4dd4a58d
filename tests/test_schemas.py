"""Each JSON report has a schema in the package that makes it, and real reports, good and bad, are what it says."""

import json
import re
import sys
from pathlib import Path

import jsonschema
import pytest

import slotmem
from slotmem import Type, command, exit_codes
from slotmem_model.verdict import Exit

ROOT = Path(__file__).parents[1]
HISTORY = '{"format": "slotmem history 1", "slots": 2, "slot_bytes": 8, "inuse": [], "values": []}'
GRABBED = '{"client": %d, "op": "grab", "status": "OK", "slot": 0, "invoke_ns": %d, "return_ns": %d}'
SCHEMAS = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text(encoding="utf-8"))
    for path in ROOT.rglob("*.schema.json")
    if "build" not in path.parts and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
}
RACE = ["httpd", "--slots", "1", "--client", "grab -> a"]


@pytest.fixture
def reported(capsys, tmp_path, monkeypatch):
    """Run a command in an empty folder: its exit code and its report."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = command.main([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def hold(name, report):
    """Hold a report to a schema."""
    jsonschema.Draft202012Validator(SCHEMAS[name]).validate(report)


def test_the_schemas_are_schemas_and_strict():
    """Each is valid, and says at its top which keys there are: an unknown or a missing one is refused."""
    assert len(SCHEMAS) == 14
    for name, schema in SCHEMAS.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        if name == "protocol":
            continue
        top = schema if schema["type"] == "object" else schema["items"]
        assert top["additionalProperties"] is False, name
        assert top["required"], name


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (0, ["reference", "--client", "grab -> a"]),
        (1, RACE),
        (3, ["reference", "--processes", "3", "--slots", "3", "--rounds", "3", "--budget-s", "0"]),
        (1, ["museum:grab-race", "--no-linearizable"]),
    ],
    ids=["held", "violated", "undecided", "museum"],
)
def test_check(reported, code, arguments):
    """check: whatever the verdict."""
    got, report = reported("check", *arguments)
    assert got == code
    hold("check", report)


def test_litmus(reported):
    """check --litmus."""
    code, report = reported("check", "--litmus")
    assert code == 0
    hold("litmus", report)


def test_traces_and_replay(reported, tmp_path):
    """A trace of check, and replay of it: reproduced; and on another algorithm, which does other steps."""
    reported("check", *RACE, "--trace", "race.json")
    hold("trace", json.loads((tmp_path / "race.json").read_text()))
    for code, options in ((1, []), (3, ["--algorithm", "reference"])):
        got, report = reported("replay", "race.json", *options)
        assert got == code
        hold("replay", report)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="algorithms run on Linux's mutexes")
def test_stress_and_what_is_made_of_its_window(reported, tmp_path):
    """stress: held and violated; check --explain of the window: it can, it cannot, undecided; and replay of it."""
    code, report = reported("stress", "plain", "--processes", "1", "--threads", "2", "--operations", "2000")
    assert code == 0
    hold("stress", report)
    code, report = reported(
        "stress", "algorithm:accused.stress_accused:LosesPuts", "--operations", "40000", "--trace", "w.json"
    )
    assert code == 1
    assert report["window"]
    hold("stress", report)
    hold("trace", json.loads((tmp_path / "w.json").read_text()))
    reported("check", *RACE, "--trace", "race.json")
    (tmp_path / "seen.json").write_text(json.dumps(unseen(json.loads((tmp_path / "race.json").read_text()))))
    for code, options in ((1, []), (0, ["reference"]), (3, ["reference", "--budget-s", "0"])):
        got, report = reported("check", *options, "--explain", "seen.json")
        assert got == code, report
        hold("explain", report)
    for code, options in ((1, []), (0, ["--algorithm", "reference"])):
        got, report = reported("replay", "seen.json", *options)
        assert got == code, report
        hold("replay", report)


def unseen(trace):
    """Make of a counterexample what a stress run would have seen of it: operations with times, no steps."""
    trace["interleaving"] = []
    for operation in trace["operations"]:
        operation["time"] = [0, 9]
    return trace


@pytest.mark.parametrize(("code", "options"), [(0, []), (1, []), (3, ["--budget-s", "0"])])
def test_judge(reported, tmp_path, code, options):
    """judge: held, violated, undecided."""
    lines = [HISTORY, GRABBED % (1, 1, 2)] + [GRABBED % (2, 3, 4)] * (code == 1)
    (tmp_path / "history.jsonl").write_text("\n".join(lines) + "\n")
    got, report = reported("judge", "history.jsonl", *options)
    assert got == code
    hold("judge", report)


def test_bench(reported):
    """bench."""
    code, report = reported("bench", "--seconds", "0.5")
    assert code == 0
    hold("bench", report)


def test_conform(reported, tmp_path):
    """conform: passed, failed, not tried; its cases; and what is wrong with a driver."""
    driver = tmp_path / "driver.py"
    driver.write_text("for line in iter(input, ''):\n    print('{}', flush=True)\n")
    for code, provider, options in ((0, "plain", []), (3, "plain", ["--budget-s", "0"])):
        got, report = reported("conform", provider, "--select", "GRAB", "--quick", *options)
        assert got == code
        hold("conform", report)
    hold("cases", reported("conform", "--list")[1])
    example = ROOT / "tests" / "slotmem_conformance" / "drivers" / "driver.js"
    code, report = reported("conform", "plain", "--check-adapter")
    assert (code, report) == (0, []), example
    hold("check_adapter", report)
    hold("check_adapter", [{"sent": "a", "got": "b", "expected": "c", "stderr": ""}])


def test_verify(reported):
    """verify."""
    code, report = reported("verify", "plain", "--quick")
    assert code == 0
    hold("verify", report)


def test_inspect(reported, tmp_path):
    """inspect: a segment, one of its slots, one that is damaged, and a file."""
    with slotmem.provider("shm", runtime_dir=str(tmp_path)) as provider:
        table = provider.create("w", 16, 4, Type.PREGRAB | Type.PERSIST)
        table.put(table.grab(), b"abc")
        where = ["--runtime-dir", str(tmp_path), "w"]
        for options in ([], ["--slot", "0"]):
            code, report = reported("inspect", *where, *options)
            assert code == 0
            hold("report", report)
        table.algorithm().num_free[0] = 9
        code, report = reported("inspect", *where)
        assert code == 1
        hold("report", report)
        table.algorithm().num_free[0] = 3
    code, report = reported("inspect", *where)
    assert (code, report["kind"]) == (0, "file")
    hold("report", report)


def test_a_report_that_lies_is_refused():
    """A missing key, a key too many, a verdict that there is not."""
    good = {"verdict": "held", "rows": []}
    hold("check", good)
    for bad in ({"verdict": "held"}, {**good, "more": 1}, {**good, "verdict": "can"}):
        with pytest.raises(jsonschema.ValidationError):
            hold("check", bad)


def test_the_page_of_reports():
    """REPORTS.md has a row for every exit code, with its number, and links every schema."""
    page = (ROOT / "slotmem" / "REPORTS.md").read_text(encoding="utf-8")
    codes = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| (\w+) \|", page, re.MULTILINE)}
    assert codes == {name: code for name, code in vars(exit_codes).items() if name.isupper()}
    assert {each.name: int(each) for each in Exit}.items() <= codes.items()
    for name in SCHEMAS:
        assert f"{name}.schema.json)" in page
