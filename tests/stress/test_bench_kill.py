"""`slotmem bench --kill`: what a survivor sees is judged rightly, wrong tables are found out, right
ones are not accused, and nothing is left behind.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from slotmem import InvalidArgument
from slotmem_stress.bench import findings, host, kill, kill_page, measure, standard, victims
from slotmem_stress.bench.contract import Rival
from slotmem_stress.bench.findings import ITEM_NUM, ITEM_SIZE, Death, Seen, judge, pattern
from slotmem_stress.bench.host import Try, confirmed
from slotmem_stress.bench.kill import KillReport
from slotmem_stress.bench.rivals import OURS, RIVALS
from slotmem_stress.commands import bench as bench_command

ROOT = Path(__file__).parents[2]
PATH = [str(ROOT / folder) for folder in (".", "model", "stress", "tests")]
LOCKED = "shared_memory+Lock"
BUDGET_S = 600.0
"""A bound for a busy machine; what is asked takes seconds."""


@pytest.fixture
def folder(monkeypatch):
    """A folder in the shm folder in which the kills are done."""
    with tempfile.TemporaryDirectory(dir=measure.SHM_FOLDER) as path:
        monkeypatch.setattr(measure, "SHM_FOLDER", path)
        yield path


# -- what is judged --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [4, 5], ids=["before", "after"])
@pytest.mark.parametrize("operation", ["put", "update"])
def test_old_and_new_bytes_are_right(operation, number):
    """A put that was under way may have happened, or not."""
    assert judge(Death(operation, 5), Seen(contents={0: pattern(number)}, num_free=ITEM_NUM - 1)) == {}


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        (pattern(5)[:100] + pattern(4)[100:], "100 of its 65,536 bytes are of the put under way, 65,436 of the one"),
        (pattern(3), "65,536 of neither"),
        (pattern(5)[1:], "has 65,535 bytes, not 65,536"),
    ],
)
def test_torn(contents, told):
    """A mixture, older bytes, and too few of them."""
    found = judge(Death("put", 5), Seen(contents={0: contents}, num_free=ITEM_NUM - 1))
    assert list(found) == ["torn"]
    assert told in found["torn"]


def test_a_get_changes_nothing():
    """Inside a get or a grab no bytes may change at all."""
    seen = Seen(contents={0: pattern(1)}, num_free=ITEM_NUM - 1)
    assert list(judge(Death("get", 0), seen)) == ["torn"]
    assert judge(Death("get", 1), seen) == {}


def test_leaked_and_miscounted():
    """A slot in use that nobody owns; objects left; a wrong number; a mark that has gone."""
    death, mine = Death("grab+release", 0), pattern(0)
    assert list(judge(death, Seen(contents={0: mine, 1: b""}, num_free=ITEM_NUM - 2))) == ["leaked"]
    assert "sem.x" in judge(death, Seen(contents={0: mine}, num_free=ITEM_NUM - 1), ["sem.x"])["leaked"]
    assert list(judge(death, Seen(refused="crashed"), ["sem.x"])) == ["stuck", "leaked"]
    assert judge(death, Seen(contents={0: mine}, num_free=ITEM_NUM)) == {
        "miscounted": "4 slots are said to be free, but 3 of 4 are"
    }
    assert "slot 0 is free" in judge(death, Seen(contents={}, num_free=ITEM_NUM))["miscounted"]


def test_the_second_survivor_decides():
    """Who could not go on at first is not stuck if another one could; the bytes are the first's."""
    first = Seen("slow", {0: b"first"}, 3)
    second = Seen("", {0: b"second"}, 2, 1.5)
    assert confirmed(first, second) == Seen("", {0: b"first"}, 3, 1.5)
    assert confirmed(Seen("silent"), second) == second
    assert confirmed(first, Seen("silent")) == Seen("silent", {0: b"first"}, 3)


# -- what a survivor sees --------------------------------------------------------------------------


@contextmanager
def table_of(rival, folder):
    """A table whose first slot is in use."""
    with RIVALS[rival].setup(folder, ITEM_SIZE, ITEM_NUM) as opener, closing(opener()) as table:
        table.grab()
        table.put(0, pattern(0))
        yield table


@pytest.mark.parametrize("rival", [OURS, LOCKED, "shared_memory+Semaphore", "Manager().list", "sqlite"])
def test_nobody_is_stuck_if_nobody_died(rival, folder):
    """A sound table is used, and all of it is as it was."""
    with table_of(rival, folder) as table:
        seen = victims.look(table)
    assert judge(Death("put", 0), seen) == {}
    assert seen.ms > 0


@pytest.mark.parametrize("rival", [LOCKED, "shared_memory+Semaphore", "Manager().list"])
def test_a_held_lock_is_told(rival, folder):
    """With a lock that is held, a survivor is stuck, and sees past it what lies there."""
    with table_of(rival, folder) as table:
        table.lock.acquire()
        seen = victims.look(table)
    assert seen == Seen(seen.refused, {0: pattern(0)}, ITEM_NUM - 1)
    assert "the lock is still held" in seen.refused


def test_an_error_is_told(folder):
    """Who gets an error cannot go on; nor who does not get back what it has put."""
    with table_of(LOCKED, folder) as table:
        table.put = lambda *_: None
        assert "its bytes are not those" in victims.look(table).refused
        table.get = lambda *_: 1 / 0
        assert victims.look(table).refused == "ZeroDivisionError: division by zero"


# -- real kills ------------------------------------------------------------------------------------


class Halfway(standard.SharedMemoryTable):
    """Everything stops halfway, for ever: a put, and a grab of another slot than the first."""

    def put(self, item_id, data):
        if data != pattern(0):
            with self.lock:
                self.buffer[: ITEM_SIZE // 2] = data[: ITEM_SIZE // 2]
                time.sleep(3600)
        super().put(item_id, data)

    def grab(self):
        if self.inuse[0]:
            with self.lock:
                self.inuse[1] = 1
                time.sleep(3600)
        return super().grab()


@contextmanager
def halfway_setup(folder, item_size, item_num):
    """A table that is wrong on purpose."""
    with standard.shared_memory_setup("Lock", folder, item_size, item_num) as opener:
        yield partial(Halfway, *opener.args)


@contextmanager
def impossible_setup(folder, item_size, item_num):
    """A table that cannot be set up."""
    raise OSError("no room for it")
    yield


def vanishing():
    """Open a table in a process that ends by itself."""
    os._exit(7)


@contextmanager
def vanishing_setup(folder, item_size, item_num):
    """A table whose users end by themselves."""
    yield vanishing


def test_what_stops_halfway_is_found(folder, monkeypatch):
    """Killed inside a put or a grab that stops halfway, a table is stuck, torn and miscounted, each
    time; slotmem beside it is not.
    """
    wrong = Rival(halfway_setup, lacks=("get", "update"))
    monkeypatch.setattr(kill, "RIVALS", {OURS: RIVALS[OURS], "halfway": wrong})
    report = kill.kill(2, BUDGET_S)
    rows = {(row.rival, row.operation): row for row in report.rows()}
    assert {key: row.kills for key, row in rows.items()} == {
        **{(OURS, operation): 2 for operation in victims.OPERATIONS},
        ("halfway", "grab+release"): 2,
        ("halfway", "put"): 2,
    }
    assert rows["halfway", "put"].counts == {"stuck": 2, "torn": 2, "leaked": 0, "miscounted": 0}
    assert rows["halfway", "grab+release"].counts == {"stuck": 2, "torn": 0, "leaked": 2, "miscounted": 2}
    assert "32,768 of its 65,536 bytes are of the put under way" in rows["halfway", "put"].examples["torn"]
    assert rows["halfway", "put"].recovery_ms is None
    assert all(row.recovery_ms > 0 for key, row in rows.items() if key[0] == OURS)
    assert report.exit_code() == 0
    assert os.listdir(folder) == []


class Shut(standard.SharedMemoryTable):
    """A put shuts the table: whoever has it open gets errors, and nobody can open it any more."""

    def __init__(self, *given):
        super().__init__(*given)
        if self.buffer[0] == 255:
            raise ValueError("it is shut")

    def put(self, item_id, data):
        super().put(item_id, data)
        if data != pattern(0):
            self.buffer[0] = 255
            time.sleep(3600)

    def get(self, item_id):
        data = super().get(item_id)
        if data[0] == 255:
            raise ValueError("it is shut")
        return data


@contextmanager
def shut_setup(folder, item_size, item_num):
    """A table that a put shuts."""
    with standard.shared_memory_setup("Lock", folder, item_size, item_num) as opener:
        yield partial(Shut, *opener.args)


def test_a_table_that_cannot_be_opened_again(folder, monkeypatch):
    """If a second survivor cannot even open the table, that is told as what it is: stuck."""
    wrong = Rival(shut_setup, lacks=("grab+release", "get", "update"))
    monkeypatch.setattr(kill, "RIVALS", {"shut": wrong})
    (row,) = kill.kill(1, BUDGET_S).rows()
    assert (row.kills, row.counts["stuck"]) == (1, 1)
    assert row.examples["stuck"] == "another one cannot even open the table: ValueError: it is shut"


def test_who_cannot_be_asked_is_named(folder, monkeypatch):
    """A rival that cannot be set up, or whose process ends by itself, is named with the reason."""
    monkeypatch.setattr(kill, "RIVALS", {"no": Rival(impossible_setup), "gone": Rival(vanishing_setup)})
    report = kill.kill(1, BUDGET_S)
    assert report.missing["no"] == "it cannot be set up: no room for it"
    assert report.missing["gone"] == "its process has ended by itself, with exit code 7"
    assert report.rows() == []
    assert report.exit_code() == 3


def test_every_rival(folder, capsys):
    """The command kills inside every operation of every rival that is here, names the others, and
    slotmem holds.
    """
    plot = Path(folder).with_suffix(".svg")
    try:
        assert run("--kill", "--kills", "1", "--budget-s", str(BUDGET_S), "--json", "--plot", str(plot)) == 0
        texts = [node.text for node in ET.parse(plot).iter("{http://www.w3.org/2000/svg}text")]
    finally:
        plot.unlink(missing_ok=True)
    told = capsys.readouterr()
    report = json.loads(told.out)
    asked = list(dict.fromkeys(row["rival"] for row in report["results"]))
    assert sorted([*asked, *report["not_asked"]]) == sorted(RIVALS)
    assert {OURS, LOCKED, "Manager().list", "shared_memory+Semaphore"} <= set(asked)
    assert all(row["kills"] == 1 for row in report["results"])
    assert texts.count(OURS) == len(findings.KINDS)
    assert "bench: slotmem (1 of" in told.err
    assert os.listdir(folder) == []


def test_no_time(folder):
    """With a budget of nothing to speak of nobody is killed, and slotmem is undecided."""
    report = kill.kill(1, 0.0)
    assert {row.kills for row in report.rows()} == {0}
    assert report.exit_code() == 3
    assert "  0      -     -       -           -              -" in kill_page.to_text(report)


# -- what is printed -------------------------------------------------------------------------------


def run(*arguments):
    parser = argparse.ArgumentParser()
    bench_command.configure(parser)
    return bench_command.run(parser.parse_args(arguments))


def made_up_report():
    """Return a report whose numbers are known."""
    held = {"stuck": "the lock is still held"}
    tries = {
        OURS: [Try(operation, {}, 1.0) for operation in victims.OPERATIONS],
        LOCKED: [Try("put", held | {"torn": "half of it"}, None), Try("put", {}, 2.0), Try("get", held, None)],
        "sqlite": [Try("put", held, None)],
    }
    return KillReport(2, 60.0, (0.5, 2.0), {"lmdb": "not installed"}, tries)


def test_table():
    """The table has how often what was found, and an example of each kind; who has the same one
    stands beside it.
    """
    text = kill_page.to_text(made_up_report())
    lines = [line.split() for line in text.splitlines()]
    assert ["put", "2", "1", "1", "0", "0", "2.00"] in lines
    assert ["get", "1", "1", "0", "0", "0", "never"] in lines
    assert f"stuck: the lock is still held\n    {LOCKED}, sqlite\n" in text
    assert "lmdb, not asked: not installed." in text
    assert "load average 0.5 before and 2.0 after" in text


@pytest.mark.parametrize(("kind", "code"), [("stuck", 1), ("torn", 1), ("miscounted", 1), ("leaked", 0)])
def test_our_own_damage_is_a_violation(kind, code):
    """slotmem promises not to be stuck, torn or miscounted; that a slot has an owner it does not
    know.
    """
    report = made_up_report()
    report.tries[OURS].append(Try("put", {kind: "seen"}, None))
    assert report.exit_code() == code


@pytest.mark.parametrize("options", [("--kills", "3"), ("--budget-s", "3"), ("--kill", "--seconds", "3")])
def test_options_that_do_not_fit(options):
    """An option of the other measurement is a usage error, before anything is done."""
    with pytest.raises(InvalidArgument, match=r"is for|give --budget-s"):
        run(*options)


@pytest.mark.parametrize("kills", ["0", "-1", "1.5", "many"])
def test_bad_kills(kills):
    """A number of kills that is none is a usage error."""
    with pytest.raises(SystemExit) as ended:
        run("--kill", "--kills", kills)
    assert ended.value.code == 2


# -- how it ends -----------------------------------------------------------------------------------

SCRIPT = """
import sys
from slotmem import command
from slotmem_stress.bench import measure
if __name__ == "__main__":
    measure.SHM_FOLDER = sys.argv[1]
    sys.exit(command.main(["bench", *sys.argv[2:]]))
"""


@pytest.mark.parametrize("options", [("--kill", "--kills", "1000"), ("--seconds", "3600")], ids=["kill", "speed"])
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_nothing_is_left(options, sent, code, folder, tmp_path):
    """Ctrl-C and SIGTERM end it with the shell's exit code; no process, no object, no folder and no
    traceback is left.
    """
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script), folder, *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATH)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said = [process.stderr.readline(), *([process.stderr.readline()] if "--kill" in options else [])]
            (place,) = os.listdir(folder)
            os.killpg(process.pid, sent)
            # The end of standard error: the last process that inherited it has ended.
            said += process.communicate(timeout=600)[1].splitlines()
            assert [line for line in said if not line.startswith("bench: ")] == []
            assert process.returncode == code
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert os.listdir(folder) == []
    assert list(Path("/dev/shm").glob(f"*{place[-8:]}*")) == []


def test_a_host_whose_starter_is_gone_ends(folder):
    """A host ends in good order when the pipe to it closes, in the midst of a try."""
    ours, theirs = host.context().Pipe()
    place = Path(folder, "place")
    place.mkdir()
    given = (theirs, RIVALS[LOCKED], 100_000, str(place), folder[-8:], time.monotonic() + BUDGET_S)
    process = host.context().Process(target=host.be_host, args=given)
    process.start()
    theirs.close()
    assert isinstance(ours.recv(), Try)
    ours.close()
    process.join(BUDGET_S)
    assert process.exitcode == 0
    assert [path for path in Path("/dev/shm").glob(f"*{folder[-8:]}*") if path.is_file()] == []
