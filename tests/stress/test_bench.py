"""`slotmem bench`: what it compares is correct, what it prints is what it measured, and it leaves
nothing behind. What it does with `--kill` is in test_bench_kill.py.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from slotmem import InvalidArgument, SlotmemError
from slotmem.memory import names
from slotmem_model import spec
from slotmem_stress.bench import measure as bench
from slotmem_stress.bench import rivals as bench_rivals
from slotmem_stress.bench import speed_page, workers
from slotmem_stress.bench.measure import Pair
from slotmem_stress.bench.rivals import OURS, RIVALS, TIMED
from slotmem_stress.bench.workers import WORKLOADS
from slotmem_stress.commands import bench as bench_command

ROOT = Path(__file__).parents[2]
PATH = [str(ROOT / folder) for folder in (".", "model", "stress")]
ITEM_SIZE, ITEM_NUM = 8, 3
LOCKED = "shared_memory+Lock"
HERE = [name for name in RIVALS if name not in ("UltraDict", "httpd's module")]
"""UltraDict changes the interpreter that imports it; Apache's module is held to more elsewhere."""
BESIDE = [name for name in TIMED if name != OURS]


@pytest.fixture(params=HERE)
def setup(request):
    """Each rival in turn; one that cannot run here is skipped."""
    if reason := bench_rivals.missing().get(request.param):
        pytest.skip(f"{request.param}: {reason}")
    return RIVALS[request.param].setup


@pytest.fixture
def folder():
    """A folder in the shm folder, of a short name: a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(dir=bench.SHM_FOLDER) as path:
        yield path


def answer(table, operation):
    """Perform an operation on a table; return its result as the specification has it."""
    try:
        return spec.Result(spec.SUCCESS, getattr(table, operation[0])(*operation[1:]))
    except SlotmemError as error:
        return spec.Result(error.status.name)


def program(length, seed=1):
    """Yield random operations, ids out of range and data of a wrong length among them."""
    choose = random.Random(seed)
    for _ in range(length):
        item_id = choose.randrange(-2, ITEM_NUM + 2)
        data = choose.randbytes(ITEM_SIZE + (choose.random() < 0.1))
        yield choose.choice(
            [
                ("grab",),
                ("release", item_id),
                ("get", item_id),
                ("put", item_id, data),
                ("update", item_id, lambda before: before[::-1]),
                ("compare_and_put", item_id, bytes(ITEM_SIZE), data[:ITEM_SIZE]),
                ("num_free_slots",),
            ]
        )


def difference(table, length):
    """Run a program on a table and on the specification. Return the first operation they differ in,
    and how often each status came.
    """
    state, seen = spec.fresh(ITEM_SIZE, ITEM_NUM, pregrab=True), Counter()
    for operation in program(length):
        state, expected = spec.step(state, operation)
        if answer(table, operation) != expected:
            return operation, seen
        seen[operation[0], expected.status] += 1
    return None, seen


def test_rivals_keep_the_contract(setup, folder):
    """Every rival does what the specification says, errors included."""
    with setup(folder, ITEM_SIZE, ITEM_NUM) as opener, closing(opener()) as table:
        found, seen = difference(table, 400)
    assert found is None
    on_slots = ("release", "get", "put", "update", "compare_and_put")
    refused = {("grab", spec.EINVAL)} | {(name, status) for name in on_slots for status in (spec.NOTFOUND, spec.EINVAL)}
    assert refused <= set(seen)


@pytest.mark.parametrize("operation", ["grab", "release", "get", "put", "update", "compare_and_put", "num_free_slots"])
def test_a_wrong_rival_is_found(operation, folder):
    """A rival that forgets one operation's effect or result differs from the specification."""
    with RIVALS[LOCKED].setup(folder, ITEM_SIZE, ITEM_NUM) as opener, closing(opener()) as table:
        setattr(table, operation, lambda *arguments: 0)
        found, _ = difference(table, 400)
    assert found is not None


def take_and_fill(opener, results, together, number):
    """Grab slots until there are none, and fill each; then free all but the first."""
    with closing(opener()) as table:
        together.wait()
        held = []
        while (result := answer(table, ("grab",))).status == spec.SUCCESS:
            held.append(result.value)
            table.put(result.value, bytes([number]) * 64)
        for item_id in held[1:]:
            table.release(item_id)
        results.put((number, held, [table.get(item_id) for item_id in held[:1]]))


def test_rivals_between_processes(setup, folder):
    """Processes that grab at the same time get different slots, and find their own bytes in
    them.
    """
    context = multiprocessing.get_context("spawn")
    results, together = context.SimpleQueue(), context.Barrier(2)
    with setup(folder, 64, 400) as opener:
        crew = [context.Process(target=take_and_fill, args=(opener, results, together, number)) for number in (1, 2)]
        for process in crew:
            process.start()
        answers = [results.get() for _ in crew]
        for process in crew:
            process.join()
            assert process.exitcode == 0
        with closing(opener()) as table:
            kept = [held[0] for _, held, _ in answers if held]
            assert len(set(kept)) == len(kept) > 0
            assert table.num_free_slots() == 400 - len(kept)
            for number, held, got in answers:
                assert got == [bytes([number]) * 64] * len(held[:1])
                assert [table.get(item_id) for item_id in held[:1]] == got


def run(*arguments):
    parser = argparse.ArgumentParser()
    bench_command.configure(parser)
    return bench_command.run(parser.parse_args(arguments))


def test_report(folder, tmp_path, capsys, monkeypatch):
    """The report has every case on every rival with its median and ratio; a missing rival is named
    with what helps.
    """
    monkeypatch.setattr(bench, "missing", lambda: {"lmdb": "not installed: pip install 'slotmem[bench]'"})
    monkeypatch.setattr(bench, "SHM_FOLDER", folder)
    plot = tmp_path / "bench.svg"
    assert run("--quick", "--seconds", "0.1", "--json", "--plot", str(plot)) == 0
    report = json.loads(capsys.readouterr().out)
    rivals = [name for name in BESIDE if name != "lmdb"]
    keys = [(row["operation"], row["item_size"], row["processes"], row["rival"]) for row in report["results"]]
    assert keys == [(*workload, rival) for workload in WORKLOADS for rival in rivals]
    assert len(WORKLOADS) == 24
    for row in report["results"]:
        assert len(row["pairs"]) == 3
        assert row["ops_per_s"] == sorted(pair["rival"] for pair in row["pairs"])[1] > 0
        assert row["ours_per_s"] == sorted(pair["ours"] for pair in row["pairs"])[1] > 0
        assert row["ratio"] == sorted(pair["ours"] / pair["rival"] for pair in row["pairs"])[1]
    assert len(report["beside_get_and_put"]) == 6
    assert report["missing"] == {"lmdb": "not installed: pip install 'slotmem[bench]'"}
    texts = [node.text for node in ET.parse(plot).iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("slotmem") == 8
    assert any("pip install 'slotmem[bench]'" in text for text in texts)
    assert os.listdir(folder) == []


def made_up_report():
    """Return a report whose numbers are known: slotmem twice as fast as a rival that varies."""
    report = bench.BenchReport(1.0, 3, {name: "not here" for name in BESIDE if name != LOCKED}, load=(0.5, 2.0))
    for workload in WORKLOADS:
        report.pairs[workload, LOCKED] = [Pair(100e3, 200e3), Pair(400e3, 800e3), Pair(200e3, 100e3)]
    return report


def test_ratio_is_within_pairs():
    """A ratio is the median of the quotients within a pair, so that a pair in which both were slow
    changes nothing; the spread is the median of how far the others are from it.
    """
    cell = made_up_report().measurement(WORKLOADS[0], LOCKED)
    assert (cell.ops_per_s, cell.ours_per_s, cell.ratio, cell.spread) == (200_000.0, 200_000.0, 2.0, 0.0)
    report = made_up_report()
    report.pairs[WORKLOADS[0], LOCKED] = [Pair(1.0, 1.0), Pair(1.0, 4.0), Pair(1.0, 2.0)]
    cell = report.measurement(WORKLOADS[0], LOCKED)
    assert (cell.ratio, cell.spread) == (2.0, 1.0)


def test_a_pair_is_measured_one_after_the_other(folder, monkeypatch, capsys):
    """slotmem and the rival by turns, nobody in between; the other one first in the next repeat."""
    monkeypatch.setattr(bench, "SHM_FOLDER", folder)
    order = []
    monkeypatch.setattr(bench, "_round", lambda crew, workload, rival, window_s: order.append((workload, rival)) or 1.0)
    report = bench.measure(1.0, 2)
    pairs = [tuple(order[at : at + 2]) for at in range(0, len(order), 2)]
    asked = [(workload, rival) for workload in WORKLOADS for rival in report.rivals()]
    first = [((workload, rival), (workload, OURS)) for workload, rival in asked]
    assert pairs == first + [pair[::-1] for pair in first]


def test_update_beside_get_and_put():
    """What is compared is slotmem's update with its get+put, of as many processes and the same
    repeat.
    """
    report = made_up_report()
    update = next(each for each in WORKLOADS if each.operation == "update")
    assert report.beside_get_and_put(update) == 1.0
    report.pairs[update, LOCKED] = [Pair(1.0, 100e3), Pair(1.0, 400e3), Pair(1.0, 50e3)]
    assert report.beside_get_and_put(update) == 0.5
    assert "update           0.50, 1.00, 1.00" in speed_page.to_text(report)


def test_table():
    """The table has a line for every case: thousand operations a second, the ratio, its spread."""
    text = speed_page.to_text(made_up_report())
    assert text.count("200 (2.00 ±0.00)") == 24
    assert "sqlite: not here." in text
    assert "load average 0.5 before and 2.0 after" in text


def test_chart_bars_are_to_scale():
    """A bar of half the value is half as long."""
    root = ET.fromstring(speed_page.to_svg(made_up_report()))
    bars = [float(node.get("width")) for node in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert len(bars) == 48
    assert len(set(bars)) == 1  # both medians are 200,000
    report = made_up_report()
    report.pairs[WORKLOADS[0], LOCKED] = [Pair(200e3, 100e3)] * 3
    root = ET.fromstring(speed_page.to_svg(report))
    bars = [float(node.get("width")) for node in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert bars[0] == pytest.approx(bars[1] / 2, abs=0.1)


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_unwritable_file_is_told_before_measuring(option, tmp_path, monkeypatch):
    """A file that cannot be written is a usage error, found before anything is measured."""
    monkeypatch.setattr(bench_command, "measure", lambda *_: pytest.fail("measured"))
    with pytest.raises(InvalidArgument, match="nowhere"):
        run("--quick", option, str(tmp_path / "nowhere" / "file"))


def test_json_file(tmp_path, capsys, monkeypatch):
    """With --json FILE the report goes there, and the table is printed."""
    monkeypatch.setattr(bench_command, "measure", lambda *_: made_up_report())
    assert run("--json", str(tmp_path / "bench.json")) == 0
    assert json.loads((tmp_path / "bench.json").read_text())["results"][0]["ops_per_s"] == 200_000
    assert capsys.readouterr().out == speed_page.to_text(made_up_report()) + "\n"


def test_worker_that_dies_is_told(folder, capsys, monkeypatch):
    """If a worker ends, the command says so and exits 2."""
    monkeypatch.setattr(bench, "SHM_FOLDER", folder)
    monkeypatch.setattr(workers, "_work", os._exit)
    assert run("--quick") == 2
    assert "a worker process has ended" in capsys.readouterr().err
    assert os.listdir(folder) == []


def test_a_worker_takes_a_reset_pipe_for_its_end():
    """A parent that dies with an answer unread resets the pipe; its worker ends without a
    traceback.
    """
    ours, theirs = multiprocessing.Pipe()

    class Orphan:
        def send(self, answer):
            theirs.send(answer)
            ours.close()

        def recv(self):
            with pytest.raises(ConnectionResetError) as reset:
                theirs.recv()
            raise reset.value

    workers._work(Orphan(), {}, 0)
    theirs.close()


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_bad_seconds(seconds):
    """A time that is none is a usage error."""
    with pytest.raises(SystemExit) as ended:
        run("--seconds", seconds)
    assert ended.value.code == 2


SCRIPT = """
import multiprocessing, sys
from multiprocessing import shared_memory
from slotmem_stress.bench import measure as bench
if __name__ == "__main__":
    bench.SHM_FOLDER = sys.argv[2]
    # So that the test can tell this run's objects from others'.
    multiprocessing.current_process()._config["semprefix"] = "/" + sys.argv[3]
    shared_memory._SHM_NAME_PREFIX = "/" + sys.argv[3]
    measured = bench._round
    def first_round(*given):
        bench._round = measured
        sys.stdin.readline()  # the test has looked
        return measured(*given)
    bench._round = first_round
    try:
        bench.measure(float(sys.argv[1]), int(sys.argv[4]))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize(
    ("sent", "status", "seconds", "repeats"),
    [
        (signal.SIGINT, 130, 3600, 1),
        (signal.SIGINT, 130, 3600, 10_000),
        (signal.SIGTERM, 143, 3600, 1),
        (None, 0, 2, 1),
    ],
    ids=["interrupted", "interrupted between short rounds", "terminated", "done"],
)
def test_nothing_is_left(sent, status, seconds, repeats, folder, tmp_path):
    """However a run ends, no process, no shared memory, no folder and no traceback is left."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    mark = Path(folder).name[-8:]
    with subprocess.Popen(
        [sys.executable, str(script), str(seconds), folder, mark, str(repeats)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATH), "TMPDIR": folder},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr.readline().startswith("bench: repeat 1 of")
            (place,) = Path(folder).glob("slotmem-bench-*")
            objects = [f"/dev/shm{names.resolve(f'bench-{size}', str(place), 0).shm_object}" for size in workers.SIZES]
            objects += [path for path in Path("/dev/shm").glob(f"*{mark}*") if path.is_file()]
            assert all(os.path.exists(path) for path in objects)
            assert len(objects) >= 2 + 2 + 1  # segments, SharedMemory, at least one lock
            process.stdin.write("\n")
            process.stdin.flush()
            if sent:
                os.killpg(process.pid, sent)
            # The end of standard error: the last process that inherited it has ended.
            said = process.communicate(timeout=600)[1].splitlines()
            assert [line for line in said if not line.startswith("bench: repeat")] == []
            assert process.returncode == status
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert [path for path in objects if os.path.exists(path)] == []
    assert os.listdir(folder) == []
