"""Reports are what their schemas say: real ones, good and bad, are accepted, and none else."""

import json
import os
import re
import shlex
import signal
import sys

import pytest

import slotmem
from slotmem import Type, exit_codes
from slotmem_conformance.reports.verdicts import SuiteReport
from slotmem_conformance.vectors import vectors
from slotmem_conformance.verify import page as verify_page
from slotmem_conformance.verify.row import Row, verdict
from slotmem_model import clauses
from slotmem_model.checker.progress.lasso import PROGRESS
from slotmem_model.checker.properties import ALWAYS, OUTSIDE
from slotmem_model.commands import check_report
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED, Exit, exit_code
from slotmem_stress.bench import findings, kill_page, measure, speed_page, victims, workers
from slotmem_stress.bench.host import Try
from slotmem_stress.bench.kill import KillReport
from slotmem_stress.bench.rivals import OURS, RIVALS, TIMED
from slotmem_stress.history import judging, lines, reading
from slotmem_stress.run.settings import Settings
from slotmem_stress.run.window_trace import to_trace
from tools import example_drivers, pages, reports_page, schemas

needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")

INSIDE = ("trace", "check", "history", "conform")
"""Schemas that others refer to."""
RACE = "httpd --slots 1 --client 'grab -> a'"
NO_WITNESS = "stress algorithm:spin-lock --processes 1 --threads 2 --operations 30000"
"""Its operations carry no stamps, so the judge has to search."""
HISTORY = {"format": "slotmem history 1", "slots": 2, "slot_bytes": 8, "inuse": [1], "values": []}
GRABS = [
    {"client": client, "op": "grab", "slot": 0, "status": "OK", "invoke_ns": client, "return_ns": 10 + client}
    for client in (1, 2)
]
TORN = [
    {"client": 1, "op": "put", "slot": 1, "value": 5, "status": "OK", "invoke_ns": 1, "return_ns": 20},
    {"client": 2, "op": "put", "slot": 1, "value": 6, "invoke_ns": 2},
    {
        "client": 3,
        "op": "get",
        "slot": 1,
        "value": 5,
        "second": 6,
        "status": "TORN",
        "invoke_ns": 3,
        "return_ns": 30,
    },
]
NEVER_PUT = [{"client": 1, "op": "get", "slot": 1, "value": 9, "status": "OK", "invoke_ns": 1, "return_ns": 2}]


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Run a command with --json in a folder of the test's own; return its report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SLOTMEM_RUNTIME_DIR", str(tmp_path))

    def run(expected, line):
        code, said = pages.run(f"slotmem {line} --json > report.json")
        assert code == expected, (line, said)
        return json.loads((tmp_path / "report.json").read_text())

    return run


def history(path, *operations):
    """Write a history as JSON lines."""
    path.write_text("".join(f"{json.dumps(line)}\n" for line in (HISTORY, *operations)))
    return path


def window(path, operations):
    """Write the window of a violated history as a trace."""
    found = judging.judge_path(str(history(path.with_suffix(".jsonl"), *operations)), None, None)
    settings = Settings("algorithm:httpd", slots=HISTORY["slots"])
    path.write_text(json.dumps(to_trace(settings, found.window, found.before, found.excerpt, found.reason)))
    return path


def hold(name, *reports):
    """See that a schema accepts these reports and no wrong variant; all that it knows occurs."""
    for report in reports:
        assert schemas.fault(name, report) == ""
        for what, broken in schemas.wrong(report, schemas.required(name, *INSIDE)):
            assert schemas.fault(name, broken) or what.endswith("hello has a key too many"), (
                what
            )  # the driver's own business
    assert schemas.described(name) <= {key for report in reports for key in schemas.names(report)}


@needs_linux
def test_inspect(ask, tmp_path):
    """A sound segment, one whose user was killed in a put, and a file that was cut."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        workers = provider.create("workers", 16, 4, Type.PREGRAB | Type.PERSIST)
        workers.put(workers.grab(), b"hello")
        sound = ask(exit_codes.HELD, "inspect workers --slot 0")
        pid = os.fork()
        if pid == 0:
            algorithm = workers.algorithm()
            _, guard, word, _ = algorithm.stripe_redo[0]
            algorithm.trylock(guard)
            algorithm.words[word + 1], algorithm.words[word] = 3, 0 + 1
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        killed = ask(exit_codes.VIOLATED, "inspect workers")
    file = next(path for path in tmp_path.iterdir() if path.name.endswith(".persist"))
    file.write_bytes(file.read_bytes()[:-1])
    hold("inspect", sound, killed, ask(exit_codes.VIOLATED, "inspect workers"))


@needs_linux
def test_doctor(ask, tmp_path):
    """A segment in use, one whose server was killed, and a stored file."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        provider.create("stored", 4, 2, Type.PERSIST)
        provider.restart()
        provider.create("workers", 4, 2)
        pid = os.fork()
        if pid == 0:
            signal.pause()
        report = ask(exit_codes.HELD, "doctor")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    hold("doctor", report, ask(exit_codes.USAGE, "doctor --runtime-dir nowhere"))


def test_check(ask, tmp_path, monkeypatch):
    """Held, violated, undecided; litmus tests; a window explained, refuted, and neither."""
    race = window(tmp_path / "window.json", GRABS)
    reports = [
        ask(Exit.HELD, "check reference --slots 1 --client 'grab -> a' --crashes 1"),
        ask(Exit.VIOLATED, f"check {RACE} --engine naive"),
        ask(Exit.UNDECIDED, "check reference --budget-s 0"),
        ask(Exit.HELD, "check --litmus"),
        ask(Exit.VIOLATED, f"check --explain {race}"),
        ask(Exit.HELD, f"check httpd-locked --explain {race}"),
        ask(Exit.UNDECIDED, f"check httpd-locked --explain {race} --budget-s 0"),
        ask(Exit.VIOLATED, "check spin-lock --progress obstruction-free"),
        ask(Exit.HELD, "check cas --progress wait-free"),
    ]
    monkeypatch.setattr(check_report.litmus, "buffered", lambda automaton, words, ordered: automaton)
    hold("check", *reports, ask(Exit.VIOLATED, "check --litmus"))
    assert schemas.load(schemas.SCHEMAS["trace"])["$defs"]["property"]["enum"] == [*ALWAYS, OUTSIDE]
    assert schemas.load(schemas.SCHEMAS["trace"])["$defs"]["progress"]["enum"] == [*PROGRESS]


def test_trace_and_replay(ask, tmp_path):
    """A counterexample and two windows; each done again, and one whose algorithm has changed."""
    race, grabs = tmp_path / "race.json", window(tmp_path / "grabs.json", GRABS)
    ask(Exit.VIOLATED, f"check {RACE} --trace {race}")
    update = tmp_path / "update.json"
    clients = "--client 'fgrab(0); compare_and_put(0, 0, 1)' --client 'compare_and_put(0, 0, 1)'"
    ask(Exit.VIOLATED, f"check accused.wrong_algorithms:LooksFirst --slots 1 {clients} --trace {update}")
    loop = tmp_path / "loop.json"
    ask(Exit.VIOLATED, f"check tools.waiting:TryBoth --client work --progress --trace {loop}")
    windows = [window(tmp_path / f"{number}.json", done) for number, done in enumerate((TORN, NEVER_PUT))]
    hold("trace", *(json.loads(path.read_text()) for path in (race, grabs, update, loop, *windows)))
    hold(
        "replay",
        ask(Exit.VIOLATED, f"replay {race}"),
        ask(Exit.UNDECIDED, f"replay {race} --algorithm httpd-locked"),
        ask(Exit.VIOLATED, f"replay {grabs}"),
        ask(Exit.HELD, f"replay {grabs} --algorithm httpd-locked"),
    )


def test_judge_and_history(ask, tmp_path):
    """Held, violated, undecided; and every line of their histories."""
    right, torn = history(tmp_path / "right.jsonl", GRABS[0]), history(tmp_path / "torn.jsonl", *TORN)
    grabs, never = (history(tmp_path / f"{len(done)}.jsonl", *done) for done in (GRABS, NEVER_PUT))
    ask(Exit.HELD, f"{NO_WITNESS} --keep kept")
    reports = [
        ask(Exit.HELD, f"judge {right}"),
        ask(Exit.VIOLATED, f"judge {grabs}"),
        ask(Exit.VIOLATED, f"judge {torn}"),
        ask(Exit.VIOLATED, f"judge {never}"),
        ask(Exit.UNDECIDED, f"judge {grabs.parent / 'kept' / 'round-1'} --budget-s 0"),
    ]
    hold("judge", *reports)
    said = [json.loads(line) for path in (right, torn) for line in lines.export(reading.read(str(path)))]
    hold("history", *said, HISTORY | {"pregrab": True}, TORN[0] | {"nbytes": 8})


def test_stress(ask):
    """Held, violated, and undecided for nothing was tried."""
    hold(
        "stress",
        ask(Exit.HELD, "stress plain --processes 1 --threads 2 --operations 2000"),
        ask(Exit.VIOLATED, "stress algorithm:httpd --mix fgrab:1,put:3,get:3 --slot-bytes 4096 --seconds 600"),
        ask(Exit.UNDECIDED, f"{NO_WITNESS} --budget-s 0"),
    )


@needs_linux
def test_bench(ask):
    """Every workload on every rival, measured; what was found after kills; and one that could not
    be asked.
    """
    report = measure.BenchReport(1.0, 1, {"lmdb": "not installed"}, load=(0.0, 0.0))
    beside = [rival for rival in TIMED if rival != OURS]
    report.pairs = {(workload, rival): [measure.Pair(1.0, 1.0)] for workload in workers.WORKLOADS for rival in beside}
    tries = {OURS: [Try("put", {"torn": "seen"}, 1.0)], "sqlite": []}
    deaths = KillReport(1, 1.0, (0.0, 0.0), {"lmdb": "not installed"}, tries)
    known = schemas.load(schemas.SCHEMAS["bench"])["$defs"]
    assert known["rival"]["enum"] == [*RIVALS]
    assert known["death"]["properties"]["operation"]["enum"] == [*victims.OPERATIONS]
    assert known["death"]["properties"]["examples"]["propertyNames"]["enum"] == [*findings.KINDS]
    told = (speed_page.to_json(report), kill_page.to_json(deaths))
    hold("bench", *(json.loads(json.dumps(each)) for each in told))
    assert schemas.fault("bench", ask(Exit.HELD, "bench --quick --seconds 0.1")) == ""


def test_conform_and_verify(ask, tmp_path):
    """Held, violated, undecided; the list of cases; and the mistakes of a driver."""
    right = example_drivers.provider("py", tmp_path)
    source = (example_drivers.FOLDER / "driver.py").read_text()
    wrong = tmp_path / "wrong.py"
    wrong.write_text(source.replace("num_free_slots()}", "num_free_slots() + 1}").replace('{"error":', '{"mistake":'))
    reports = [
        ask(Exit.HELD, "conform plain --select GRAB-3,PUT-3 --quick"),
        ask(Exit.VIOLATED, f"conform 'exec:{sys.executable} {wrong}' --select COUNT-2/up-and-down --quick"),
        ask(Exit.UNDECIDED, "conform plain --select GRAB-3 --budget-s 0"),
        ask(Exit.HELD, "conform --list --select GRAB-3"),
        ask(Exit.USAGE, f"conform 'exec:{sys.executable} {wrong}' --check-adapter"),
    ]
    hold("conform", *reports)
    failed = Row("core", "cases", 1.0, False, "a clause does not hold", clauses=SuiteReport.from_json(reports[1]))
    hold(
        "verify",
        ask(Exit.UNDECIDED, f"verify {shlex.quote(right)} --quick --budget-s 0"),
        verify_page.to_json("exec:wrong.py", 1, [failed], verdict([failed])),
    )


@needs_linux
def test_mutate(ask, tmp_path):
    """One that is noticed, one that survives, and one that does so for a reason."""
    ids = [
        f"slotmem/slots.py: Slots.grab: deletion: {line} -> pass"
        for line in ("num_free[0] = (num_free[0] or COUNTERS) - 1", "status = 0")
    ]
    line = f"mutate {shlex.join(ids)} --select GRAB-1/without-pregrab --lines {tmp_path / 'ran.json'}"
    reasons = tmp_path / "reasons.toml"
    reasons.write_text("")
    hold("mutate", ask(Exit.HELD, line), ask(Exit.VIOLATED, f"{line} --survivors {reasons}"))


def test_vectors():
    """The manifest, and every file that it names; of long sequences the beginning."""
    files = {name: json.loads(text) for name, text in vectors.generate().items()}
    hold("vectors", files[vectors.MANIFEST], files["FGRAB-1.json"])
    for given in files.values():
        for case in given.get("cases", ()):
            del case["steps"][20:]
    assert [name for name, given in files.items() if schemas.fault("vectors", given)] == []


def test_page():
    """slotmem/REPORTS.md has every schema as it is, and every exit code."""
    page = reports_page.PAGE.read_text(encoding="utf-8")
    assert reports_page.filled(page) == page
    assert sorted(re.findall(r"<!-- schema: (\w+) -->", page)) == sorted(schemas.SCHEMAS)
    codes = {name: int(code) for code, name in re.findall(r"^\| (\d+) \| ([A-Z]+) \|", page, re.M)}
    assert codes == {name: value for name, value in vars(exit_codes).items() if isinstance(value, int)}
    assert codes.items() >= {each.name: each.value for each in Exit}.items()


def test_words_of_the_schemas():
    """Profiles and verdicts stand in the schemas as they are in the code."""
    conform = schemas.load(schemas.SCHEMAS["conform"])["$defs"]
    assert conform["case"]["properties"]["profile"]["enum"] == [*clauses.PROFILES]
    assert [exit_code(verdict) for verdict in (HELD, VIOLATED, UNDECIDED)] == [0, 1, 3]


def test_each_schema_is_one():
    """Each file is a schema itself, and none of them accepts what is no report at all."""
    for name, path in schemas.SCHEMAS.items():
        schemas.Draft202012Validator.check_schema(schemas.load(path))
        assert schemas.fault(name, {"verdict": "held"}), name
        assert schemas.fault(name, "held"), name
