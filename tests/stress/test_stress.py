"""`slotmem stress`: it holds what is right under every fault, accuses what is wrong, and leaves nothing behind."""

import argparse
import html
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import slotmem
from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_model.commands import check as check_command
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED
from slotmem_stress.commands import stress as stress_command
from slotmem_stress.history.judging import Judged, JudgeProcess, judge_path
from slotmem_stress.history.reading import export, parse, read
from slotmem_stress.history.records import HEAD, KINDS, VALUE, Description, Recorder
from slotmem_stress.interrupts import without_interrupts
from slotmem_stress.run import leaks, remembered
from slotmem_stress.run.client import Client, Rules, Stuck
from slotmem_stress.run.pace import MOST_LOST, Pace
from slotmem_stress.run.report import RunReport, to_text
from slotmem_stress.run.runner import run
from slotmem_stress.run.settings import NAME, Plan, Settings
from slotmem_stress.run.window_trace import to_trace

ROOT = Path(__file__).parents[2]
PATH = [str(ROOT / folder) for folder in (".", "model", "stress", "tests")]
MOST_OF_A_WINDOW = 12

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")


@pytest.fixture
def stress(tmp_path):
    """Give a run as a function of its settings; it takes as many operations as it needs, not as much time."""
    numbers = iter(range(100))

    def do(provider="shm", operations=30_000, plan=Plan(), tell=None, **settings):
        here = tmp_path / f"run-{next(numbers)}"
        (here / "runtime").mkdir(parents=True)
        (here / "histories").mkdir()
        given = Settings(
            provider, seconds=settings.pop("seconds", math.inf), operations=operations, plan=plan, **settings
        )
        more = {} if tell is None else {"tell": lambda progress: tell(progress, str(here / "runtime"))}
        return run(given, str(here / "histories"), str(here / "runtime"), keep=True, **more)

    return do


def assert_held(report):
    """See that a run did something, and that nothing was wrong with it."""
    assert report.findings == []
    assert report.undecided == []
    assert report.leaks == []
    assert report.verdict == "held"
    assert report.operations > 1000
    assert report.segments > 0


# -- what is right holds ------------------------------------------------------------------------------------------------


@linux
def test_the_reference_holds_while_workers_are_killed_and_paused(stress):
    """SIGKILL and SIGSTOP anywhere: the history remains linearizable."""
    report = stress(seconds=1.5, operations=None, plan=Plan(kills=10, pauses=10), processes=3)
    assert_held(report)
    assert report.kills > 0
    assert report.pauses > 0
    assert report.clients == 3 + report.kills
    assert report.kills <= MOST_LOST * report.segments  # what the dead may have done makes a round hard to judge


@linux
def test_the_reference_holds_over_restarts_with_newcomers_and_little_memory(stress):
    """What a restart restores was there at one instant of it, and those who come and go disturb nobody."""
    plan = Plan(restarts=4, attach_storm=True, pressure_mb=8)
    report = stress(seconds=1.5, operations=None, plan=plan, processes=2)
    assert_held(report)
    assert report.restarts > 0
    assert report.attaches > 0


@linux
def test_forked_processes_with_threads_hold(stress):
    """Two threads in each of two forked processes, every operation in the mix, slots of more than a cache line."""
    mix = (("grab", 2), ("put", 2), ("get", 2), ("release", 2), ("num_free_slots", 1))
    report = stress(processes=2, threads=2, start="fork", mix=mix, slot_bytes=256, slots=5)
    assert_held(report)
    assert report.clients == 4


def test_threads_of_one_process_hold(stress):
    """`plain` needs no other process."""
    assert_held(stress("plain", processes=1, threads=3))


@linux
def test_right_algorithms_on_real_memory_are_not_accused(stress):
    """The reference by way of the model's door, and httpd's under its caller's lock."""
    assert_held(stress("algorithm:accused.stress_accused:Right", processes=2))
    assert_held(stress("algorithm:httpd-locked", processes=2))


@linux
def test_slots_of_the_dead_are_told_and_are_no_violation(stress):
    """With nobody releasing what others hold, the slots of the killed stay in use."""
    report = stress(
        seconds=1.0, operations=None, plan=Plan(kills=20), processes=2, mix=(("grab", 1), ("get", 1)), slots=6
    )
    assert_held(report)
    assert report.kills > 0
    assert set(report.held_by_the_dead) <= set(range(6))
    assert report.held_by_the_dead


# -- what is wrong is accused -------------------------------------------------------------------------------------------


def bare(done):
    """Give an operation without the mark of the one that cannot be explained."""
    return json.dumps({name: value for name, value in done.items() if name != "unexplained"})


@linux
def test_httpds_algorithm_is_accused_with_a_small_window(stress):
    """Without locks a slot is given twice, sooner or later; the few operations shown contradict one another by themselves."""
    report = stress("algorithm:httpd", seconds=20, operations=None, processes=4)
    assert report.verdict == "violated"
    assert 1 <= len(report.window) <= MOST_OF_A_WINDOW
    assert len(report.findings) == 1
    assert report.findings[0] in to_text(report)
    assert {bare(done) for done in report.window} <= {bare(done) for done in report.excerpt}
    assert judge_path(report.history, None, None).verdict == VIOLATED


@linux
@pytest.mark.parametrize(
    ("mix", "slots", "slot_bytes", "says"),
    [
        ("grab:1,release:3", 64, 64, "grab by process N returned slot N, which process N had grabbed"),
        ("fgrab:1,put:3,get:3", 8, 4096, "get by process N returned value N mixed with N of slot N, which no put"),
        (
            "fgrab:1,release:1,num_free_slots:1",
            8,
            64,
            "num_free_slots by process N returned N, which was not the number",
        ),
    ],
)
def test_each_of_httpds_three_faults_is_found_by_itself(stress, mix, slots, slot_bytes, says):
    """Double grab, torn get and counter drift, on real memory: the mix decides which, and the sentence names it.

    A double grab is only by far the likeliest of what grabs and releases can do; it is looked for until it is there.
    """
    mixed = tuple((name, int(weight)) for name, weight in (part.split(":") for part in mix.split(",")))
    for _ in range(5):
        given = {"seconds": 20, "operations": None, "mix": mixed, "slots": slots, "slot_bytes": slot_bytes}
        report = stress("algorithm:httpd", **given)
        assert report.verdict == "violated"
        said = re.sub(r"\d+", "N", report.sentence)
        if said.startswith(says) or not mix.startswith("grab"):
            break
    assert said.startswith(says)
    assert len(report.window) <= MOST_OF_A_WINDOW
    if "mixed" in says or "num_free" in says:
        assert len(report.window) == 1


def test_clients_of_their_own_slots_do_not_meet(tmp_path):
    """With fgrab and without grab in the mix a client takes, writes and releases no slot but its own."""
    did = []
    rules = Rules(6, 16, (("fgrab", 1), ("put", 1), ("get", 1), ("release", 1)), 3, seats=2)
    with slotmem.provider("plain", runtime_dir=tmp_path) as provider:
        instance = provider.create(None, 16, 6, slotmem.Type.PREGRAB)
        for seat in (0, 1):
            looks = iter([True] * 20 + [False])
            folder = tmp_path / str(seat)
            folder.mkdir()
            Client(seat + 1, rules, seat).work(
                instance, Recorder(str(folder), seat + 1), lambda _, looks=looks: next(looks)
            )
            Description(6, 16).write(str(folder))
            objects = [json.loads(line) for line in list(export(read(str(folder))))[1:]]
            did.append({kind: {done["slot"] for done in objects if done["op"] == kind} for kind in KINDS})
    for seat, kinds in enumerate(did):
        own = set(range(seat, 6, 2))
        assert kinds["fgrab"] == kinds["put"] == kinds["release"] == own
        assert kinds["get"] == set(range(6))
        assert not kinds["grab"]


def test_rounds_are_short_at_first_and_as_long_as_the_judge_can_do():
    """The first three are judged one by one; later ones follow the judge's rate, within bounds."""
    pace = Pace()
    assert [pace.waiting(number) for number in (1, 3, 4)] == [0, 0, 2]
    assert pace.operations(1) < pace.operations(2) < pace.operations(4) == 200_000
    pace.note(Judged("", HELD, "", 30_000, 0, 1.0, 1))
    assert pace.operations(4) == 60_000
    pace.note(Judged("", HELD, "", 1000, 0, 1.0, 1))
    assert pace.operations(4) == 20_000
    pace.note(Judged("", HELD, "", 10, 0, 0.001, 1))  # too short to tell
    assert pace.operations(4) == 20_000


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


@linux
@pytest.mark.parametrize("name", ["LosesPuts", "TearsPuts", "MarksNothing", "Miscounts", "Resurrects"])
def test_an_algorithm_that_errs_once_in_a_while_is_accused(stress, name):
    """One operation in five hundred is wrong, and one process is enough to see it."""
    mix = (("grab", 2), ("put", 3), ("get", 3), ("release", 2), ("num_free_slots", 2))
    report = stress(f"algorithm:accused.stress_accused:{name}", processes=2, mix=mix, seconds=10, operations=60_000)
    assert report.verdict == "violated"
    assert report.window
    assert len(report.window) <= MOST_OF_A_WINDOW


@linux
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Dies", "died with exit code 3"),
        ("Fails", "RuntimeError: I have had enough"),
        ("KeepsTheLock", "Reentered"),
        ("Hangs", "LockTimeout"),
        ("Hangs", "did not end its operation"),
    ],
)
def test_a_client_that_cannot_go_on_is_a_finding(stress, name, says):
    """An unknown error, a process that ends by itself, and a lock that is not to be had are violations."""
    report = stress(f"algorithm:accused.stress_accused:{name}", processes=2, timeout_s=0.5, seconds=20, operations=None)
    assert report.verdict == "violated"
    assert any(says in finding for finding in report.findings)
    assert "KILL-3" in to_text(report)


@linux
def test_a_segment_that_somebody_overwrites_is_accused(stress):
    """Bytes that nobody put are found by whoever gets them."""

    def overwrite(progress, runtime_dir):
        if progress.operations:
            with slotmem.provider("shm", runtime_dir=runtime_dir) as provider:
                instance = provider.attach(NAME)
                for slot in range(8):
                    instance.dptr(slot)[:] = b"spoiled!" * 8

    report = stress(seconds=10, operations=None, processes=2, tell=overwrite)
    assert report.verdict == "violated"
    assert "which nobody had put there" in report.findings[0]


@linux
def test_a_provider_that_loses_what_it_stored_is_accused(stress, monkeypatch):
    """A restart that restores another slot's bytes contradicts the history of the round it ended."""
    from slotmem.memory import files

    whole = files.encode

    def spoiled(shape, payload):
        return whole(
            shape,
            payload[:8] + b"spoiled!" * (shape.item_size * shape.item_num // 8) + payload[shape.inuse_start - 24 :],
        )

    monkeypatch.setattr(files, "encode", spoiled)
    report = stress(seconds=10, operations=None, processes=2, plan=Plan(restarts=3))
    assert report.verdict == "violated"
    assert report.restarts > 0


def test_a_run_that_did_nothing_is_undecided(stress):
    """No operation recorded is no success."""
    report = stress("plain", seconds=0, operations=None)
    assert report.verdict == "undecided"


def test_a_used_up_budget_is_undecided(stress):
    """The judge says that it does not know, where no witness saves it the work."""
    report = stress("algorithm:reference", processes=1, threads=2, budget_s=0.0)
    assert report.verdict == "undecided"
    assert "budget" in to_text(report)


# -- leaks --------------------------------------------------------------------------------------------------------------


@linux
def test_every_kind_of_leak_is_found(tmp_path):
    """A shared object, a file, a descriptor and a child process that came to be since are named; what was there before is not."""
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
    assert f"the shared object {planted} (generation 1)" in found
    assert f"the file {tmp_path / 'new'}" in found
    assert any(leak.startswith(f"child process {child.pid} (") for leak in found)
    assert not any("old" in leak or "expected" in leak for leak in found)


@linux
def test_a_leak_makes_a_run_fail(stress, monkeypatch):
    """A run whose provider forgets to take the segment's name away is violated, and the object is named."""
    from slotmem.memory.segment import Segment

    forgotten = []
    unlink = Segment.unlink
    monkeypatch.setattr(Segment, "unlink", lambda segment: forgotten.append(segment))
    report = stress(processes=1, operations=2000)
    for segment in forgotten:
        unlink(segment)
    assert report.verdict == "violated"
    assert report.findings == []
    assert any(leak.startswith("the shared object") for leak in report.leaks)


# -- clients and judges -------------------------------------------------------------------------------------------------


def test_the_seed_fixes_every_choice(tmp_path):
    """The same seed and number do the same operations; another of either does others."""

    def does(seed, number, folder):
        folder.mkdir()
        looks = iter([True] * 20 + [False])
        with slotmem.provider("plain", runtime_dir=tmp_path) as provider:
            instance = provider.create(None, 16, 3, slotmem.Type.PREGRAB)
            client = Client(number, Rules(3, 16, Settings().mix, seed))
            client.work(instance, Recorder(str(folder), number, chunk_records=512), lambda _: next(looks))
        Description(3, 16).write(str(folder))
        return (read(str(folder)).records[:, [HEAD, VALUE]] & 0xFFFFFFFFFF).tolist()

    first = does(1, 1, tmp_path / "a")
    assert len(first) == 20 * 64
    assert does(1, 1, tmp_path / "b") == first
    assert does(2, 1, tmp_path / "c") != first
    assert does(1, 2, tmp_path / "d") != first


def test_an_error_of_no_status_leaves_its_operation_pending(tmp_path):
    """What a stuck client asked for may have happened; it is recorded without a return."""

    class Broken:
        def grab(self):
            raise RuntimeError("no")

        fgrab = put = get = release = num_free_slots = grab

    with pytest.raises(Stuck, match="RuntimeError: no"):
        Client(1, Rules(3, 16, (("grab", 1),), 0)).work(Broken(), Recorder(str(tmp_path), 1), lambda _: True)
    Description(3, 16).write(str(tmp_path))
    assert read(str(tmp_path)).pending == 1


def test_a_judge_that_dies_is_replaced_and_says_unknown(tmp_path):
    """What it was asked last is undecided, what comes later is judged."""
    good = tmp_path / "good"
    good.mkdir()
    Description(2, 8).write(str(good))
    judge = JudgeProcess(None, None)
    try:
        judge.submit(str(good))
        os.kill(judge.pid, signal.SIGSTOP)
        judge.submit(str(good))
        os.kill(judge.pid, signal.SIGKILL)
        verdicts = [judged.verdict for judged in iter(lambda: judge.poll(30.0), None)]
    finally:
        judge.close()
    assert verdicts[-1] == HELD
    assert verdicts[0] in (UNDECIDED, HELD)  # it may have been quick
    assert len(verdicts) == 2


def test_interrupts_are_put_off_and_not_lost():
    """What comes while a child is started is raised behind it, whichever thread of the process the system gives it to."""
    done = []
    handler, mask = signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])

    def interrupted():
        with without_interrupts():
            signal.raise_signal(signal.SIGINT)
            done.append("to the end")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == ["to the end"]
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


def test_settings_and_reports_are_plain_data():
    """What is stored as JSON comes back the same."""
    settings = Settings("algorithm:httpd", seed=7, plan=Plan(kills=2.5, attach_storm=True), operations=9)
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


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


# -- the command --------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Give `slotmem stress` as a function of its arguments; what it remembers is this test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parser = argparse.ArgumentParser()
    stress_command.configure(parser)
    return lambda *given: stress_command.run(parser.parse_args(given))


def test_the_page_and_the_report_say_what_was_done(command, capsys, tmp_path):
    """Exit code 0; the page has the seed, the report the same numbers."""
    path = tmp_path / "report.json"
    assert command("plain", "--operations", "5000", "--seed", "11", "--json", str(path)) == 0
    page = capsys.readouterr().out
    report = json.loads(path.read_text())
    assert report["verdict"] == "held"
    assert report["settings"]["seed"] == 11
    assert f"{report['operations']:,} in" in page
    assert "verdict: held (seed 11;" in page


@linux
def test_what_failed_last_is_done_again_first(command, capsys, tmp_path):
    """--last takes provider and seed of the last violation; its history is kept; the trace is written."""
    trace = tmp_path / "trace.json"
    given = ["algorithm:accused.stress_accused:LosesPuts", "--operations", "40000", "--processes", "2", "--seed", "5"]
    assert command(*given, "--trace", str(trace)) == 1
    assert json.loads(trace.read_text())["operations"]
    assert judge_path(capsys.readouterr().out.split("kept in ")[1].split("\n")[0], None, None).verdict == VIOLATED
    assert remembered.last_failure().seed == 5
    assert command("--last") == 1
    said = capsys.readouterr()
    assert "repeating what failed last: algorithm:accused.stress_accused:LosesPuts, seed 5" in said.err
    assert "(seed 5;" in said.out


@linux
def test_a_violation_is_drawn_and_explained(command, capsys, tmp_path):
    """--html writes a page with the window in it; --trace a trace that the checker can be asked about."""
    page, window = tmp_path / "page.html", tmp_path / "window.json"
    given = ["algorithm:accused.stress_accused:LosesPuts", "--operations", "40000", "--processes", "2", "--seed", "5"]
    assert command(*given, "--html", str(page), "--trace", str(window)) == 1
    drawn = page.read_text(encoding="utf-8")
    data = json.loads(drawn.split('id="data">')[1].split("</script>")[0])
    roles = [data["operations"][number]["role"] for number in data["window"]]
    assert roles.count(2) == 1
    assert data["explained_ns"] is not None
    assert data["placed"]
    assert "had returned" in json.loads(window.read_text())["sentence"]
    assert html.escape(capsys.readouterr().out.split("VIOLATION: ")[1].split("\n")[0]) in drawn
    parser = argparse.ArgumentParser()
    check_command.configure(parser)
    assert check_command.run(parser.parse_args(["slotmem.slots:Slots", "--explain", str(window)])) == 0
    assert "slotmem.slots:Slots cannot do that" in capsys.readouterr().out


def test_a_page_is_not_written_where_there_is_no_folder(command, tmp_path):
    """That is found out before anything is begun."""
    with pytest.raises(slotmem.InvalidArgument, match="there is no such folder"):
        command("plain", "--operations", "100", "--html", str(tmp_path / "no" / "page.html"))


def test_kept_histories_can_be_judged_again(command, tmp_path):
    """--keep leaves a folder a round."""
    folder = tmp_path / "kept"
    assert command("plain", "--operations", "3000", "--keep", str(folder)) == 0
    rounds = sorted(folder.glob("round-*"))
    assert rounds
    assert all(judge_path(str(each), None, None).verdict == HELD for each in rounds)


def test_a_soak_goes_on_where_it_was(command, capsys):
    """--resume counts on from what was stored, with new clients, and ends when the hours are over."""
    assert command("plain", "--hours", "0.0002", "--threads", "2", "--processes", "1") == 0
    first = remembered.soak("plain")
    assert command("plain", "--hours", "0.0004", "--resume") == 0
    both = remembered.soak("plain")
    assert both.operations > first.operations > 0
    assert both.seconds > first.seconds > 0
    assert both.clients == 2 * first.clients == 4
    assert f"{both.operations:,} in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["shm", "--slot-bytes", "12"], "multiple of 8"),
        (["plain", "--kills", "1"], "are threads"),
        (["algorithm:httpd", "--restarts", "1"], "stores nothing"),
        (["--processes", "1000"], "clients"),
        (["--resume"], "--hours"),
        (["--mix", "fgrab:1", "--processes", "4", "--slots", "3"], "4 clients need as many slots, got 3"),
        (["--json", "/nowhere/at/all.json"], "no such folder"),
        (["--trace", "/"], "it is a folder"),
        (["algorithm:none-such"], "no algorithm"),
        (["none-such"], "no provider"),
    ],
)
def test_mistakes_are_refused_with_a_sentence(command, given, says):
    """What cannot be done is said before anything is begun."""
    with pytest.raises(slotmem.InvalidArgument, match=says):
        command(*given)


@pytest.mark.parametrize("given", [["--mix", "put"], ["--mix", "grab:0"], ["--seconds", "-1"], ["--slots", "x"]])
def test_arguments_of_the_wrong_form_are_refused(command, capsys, given):
    """argparse's own way: usage, and exit code 2."""
    with pytest.raises(SystemExit):
        command(*given)
    assert "error: argument" in capsys.readouterr().err


def test_there_is_nothing_to_resume_at_first(command, capsys):
    """A soak that was never begun cannot go on."""
    assert command("plain", "--hours", "1", "--resume") == 2
    assert "no soak of plain" in capsys.readouterr().err


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(tmp_path, number):
    """Ctrl-C ends it with a page and no traceback; the runtime folder is empty, and no process or object is left."""
    script = (
        f"import sys; sys.path[:0] = {PATH!r}\n"
        "import slotmem.command as command\n"
        "command._BUILT_IN['stress'] = 'slotmem_stress.commands.stress'\n"
        f"sys.exit(command.main(['stress', 'shm', '--seconds', '60', '--kills', '5', '--runtime-dir', {str(tmp_path)!r}]))\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    began = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    )
    assert "operations/s" in began.stderr.readline()  # it is at work
    runtime_dir = next(tmp_path.glob("slotmem-stress-*")) / "run"
    began.send_signal(number)
    out, err = began.communicate()
    assert began.returncode == 130, err
    assert "Traceback" not in err
    assert "held, interrupted" in out
    assert "leaks       none" in out
    assert not list(tmp_path.glob("slotmem-stress-*"))
    assert not os.path.lexists(object_path(resolve(NAME, str(runtime_dir), 0)))
    assert str(runtime_dir) not in "".join(_commands())


def _commands():
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield entry.read_bytes().decode(errors="replace")
        except OSError:
            continue


def test_two_reports_add_up():
    """What is counted is added; a finding of either makes the whole violated."""
    one = RunReport(Settings(), operations=3, seconds=1.0, kills=1)
    two = RunReport(Settings(), operations=4, seconds=2.0, findings=["wrong"])
    both = one + two
    assert (both.operations, both.seconds, both.kills, both.verdict) == (7, 3.0, 1, "violated")


def test_an_empty_window_and_parse_agree():
    """The description alone is a history without operations."""
    assert len(parse([json.dumps(Description(2, 8).to_json())]).records) == 0
