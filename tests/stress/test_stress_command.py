"""`slotmem stress` on the command line: what it prints, writes, remembers and refuses; how it
ends.
"""

import argparse
import html
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import slotmem
from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_model.commands import check as check_command
from slotmem_model.verdict import HELD, VIOLATED
from slotmem_stress.commands import judge as judge_command
from slotmem_stress.history.judging import judge_path
from slotmem_stress.interrupts import end, starting_a_child, without_interrupts
from slotmem_stress.run import remembered
from slotmem_stress.run.settings import NAME

ROOT = Path(__file__).parents[2]
PATH = [str(ROOT / folder) for folder in (".", "model", "stress", "tests")]
LOSES_PUTS = "algorithm:accused.stress_accused:LosesPuts"
# One client, so that the seed fixes the history; far more operations than it takes.
ACCUSED = [LOSES_PUTS, "--processes", "1", "--seed", "5", "--operations", "2000000"]

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")


def test_the_page_and_the_report_say_what_was_done(command, capsys, tmp_path):
    """Exit code 0; the page has the seed, the report the same numbers."""
    path = tmp_path / "report.json"
    assert command("plain", "--operations", "5000", "--seed", "11", "--json", str(path)) == 0
    page = capsys.readouterr().out
    report = json.loads(path.read_text())
    assert report["verdict"] == HELD
    assert report["settings"]["seed"] == 11
    assert f"{report['operations']:,} in" in page
    assert "verdict: held (seed 11;" in page


@linux
def test_what_failed_last_is_done_again_first(command, capsys, tmp_path):
    """--last takes provider and seed of the last violation; its history is kept; the trace is
    written.
    """
    trace = tmp_path / "trace.json"
    assert command(*ACCUSED, "--trace", str(trace)) == 1
    assert json.loads(trace.read_text())["operations"]
    assert judge_path(capsys.readouterr().out.split("kept in ")[1].split("\n")[0], None, None).verdict == VIOLATED
    assert remembered.last_failure().seed == 5
    assert command("--last") == 1
    said = capsys.readouterr()
    assert f"repeating what failed last: {LOSES_PUTS}, seed 5" in said.err
    assert "(seed 5)" in said.out


@linux
def test_a_violation_is_drawn_and_explained(command, capsys, tmp_path):
    """--html writes a page with the window in it; --trace a trace that the checker can be asked
    about.
    """
    page, window = tmp_path / "page.html", tmp_path / "window.json"
    assert command(*ACCUSED, "--html", str(page), "--trace", str(window)) == 1
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
    """--keep leaves a folder a round, and `slotmem judge` takes the folder of them all."""
    folder = tmp_path / "kept"
    assert command("plain", "--operations", "3000", "--keep", str(folder)) == 0
    rounds = sorted(folder.glob("round-*"))
    assert rounds
    assert all(judge_path(str(each), None, None).verdict == HELD for each in rounds)
    parser = argparse.ArgumentParser()
    judge_command.configure(parser)
    assert judge_command.run(parser.parse_args([str(folder)])) == 0


def test_a_soak_goes_on_where_it_was(command, capsys):
    """--resume counts on from what was stored, with new clients, and ends when the hours are
    over.
    """
    assert command("plain", "--hours", "0.0001", "--threads", "2", "--processes", "1") == 0
    first = remembered.soak("plain")
    assert command("plain", "--hours", f"{(first.seconds + 0.5) / 3600:.9f}", "--resume") == 0
    both = remembered.soak("plain")
    assert both.operations > first.operations > 0
    assert both.seconds > first.seconds > 0
    assert both.clients == 2 * first.clients == 4
    assert f"{both.operations:,} in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["shm", "--slot-bytes", "12"], "multiple of 8"),
        (["shm", "--slots", "2000000"], "--slots may be 1048576 at most"),
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


@pytest.mark.parametrize(
    "given", [["--mix", "put"], ["--mix", "grab:0"], ["--seconds", "-1"], ["--slots", "x"], ["--kills", "nan"]]
)
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
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing(tmp_path, number):
    """Ctrl-C ends it with a page and no traceback; the runtime folder is empty, and no process or
    object is left.
    """
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
    out, err = began.communicate()  # their end: every process that inherited them has ended
    assert began.returncode == 128 + number, err
    assert "Traceback" not in err
    assert f"verdict: {'undecided' if '  operations  0 in' in out else 'held'}, interrupted" in out
    assert "leaks       none" in out
    assert not list(tmp_path.glob("slotmem-stress-*"))
    assert not os.path.lexists(object_path(resolve(NAME, str(runtime_dir), 0)))


def test_interrupts_are_put_off_and_not_lost():
    """What comes while a child is started is raised behind it, whichever thread of the process the
    system gives it to.
    """
    done = []
    handler, mask = signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, [])

    def interrupted():
        with without_interrupts():
            with without_interrupts():
                signal.raise_signal(signal.SIGINT)
            done.append("to the end")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == ["to the end"]
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask


def test_an_interrupt_while_a_child_is_buried_comes_after_it(monkeypatch):
    """It comes when the system has told of the child's end and Python has not noted that yet."""
    process = multiprocessing.get_context("spawn").Process(target=signal.pause)
    with starting_a_child():
        process.start()
    waitpid = os.waitpid

    def interrupted(*given):
        told = waitpid(*given)
        signal.raise_signal(signal.SIGINT)
        return told

    monkeypatch.setattr(os, "waitpid", interrupted)
    with pytest.raises(KeyboardInterrupt):
        end(process)
    with pytest.raises(ValueError, match="closed"):
        process.is_alive()
