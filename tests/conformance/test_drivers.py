"""Drivers: the examples speak the protocol and pass what they claim; each wrong one is found out;
none is left behind.
"""

import argparse
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from accused.wrong_drivers import MISTAKES, SLOW
from slotmem_conformance.adapter_check.check import check_adapter
from slotmem_conformance.adapter_check.talk import GENERATION, Talk
from slotmem_conformance.cases.case import collect
from slotmem_conformance.commands import conform as conform_command
from slotmem_conformance.protocol import places
from slotmem_conformance.protocol import session as sessions
from slotmem_conformance.protocol.session import AdapterError, open_session
from slotmem_model.verdict import Exit
from tools import example_drivers, schemas

TESTS = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture(params=example_drivers.LANGUAGES)
def driver(request, tmp_path):
    """Return the PROVIDER string of an example driver."""
    return example_drivers.provider(request.param, tmp_path)


def test_examples_speak_the_protocol(driver):
    """The check of adapters finds nothing wrong with an example driver."""
    assert [str(each) for each in check_adapter(driver, timeout_s=30)] == []


def one_of_each_clause():
    """Return the id of the first case of each clause."""
    first = {}
    for each in collect():
        first.setdefault(each.clause.id, each.id)
    return list(first.values())


def test_examples_conform(driver, capsys):
    """No case fails of an example driver: what it does not have is skipped, and says so."""
    parser = argparse.ArgumentParser()
    conform_command.configure(parser)
    chosen = ["--select", ",".join(one_of_each_clause()), "--quick", "--seed", "1"]
    arguments = parser.parse_args([driver, *chosen, "--timeout-s", "60", "--json"])
    code = conform_command.run(arguments)
    report = json.loads(capsys.readouterr().out)
    assert code == Exit.HELD, report
    assert schemas.fault("conform", report) == ""
    passed = [each for each in report["outcomes"] if each["verdict"] == "pass"]
    assert len(passed) > 40


def test_the_protocol_tells_of_each_example():
    """PROTOCOL.md has a row for each example driver, with its number of lines."""
    text = (example_drivers.FOLDER.parent / "PROTOCOL.md").read_text()
    told = {name: int(lines) for name, lines in re.findall(r"^\| `(\S+)` \|.*\| (\d+) \|", text, re.MULTILINE)}
    assert told == {path.name: path.read_text().count("\n") for path in example_drivers.FOLDER.glob("driver.*")}


@pytest.mark.parametrize("spec", ["shm", "plain"])
def test_bundled_driver(spec):
    """The check of adapters finds nothing wrong with the bundled driver."""
    assert [str(each) for each in check_adapter(spec, timeout_s=30)] == []


def test_objects_of_a_killed_driver_are_removed(tmp_path):
    """The check of adapters kills its drivers, and removes the shared objects that they leave."""
    place = places.object_path("w", str(tmp_path), GENERATION)
    with Talk("shm", {}, 30, str(tmp_path)) as talk:
        talk.open()
        assert place.exists()
    assert not place.exists()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_wrong_drivers(mistake):
    """Each mistake is found, and told in one line that says what was sent, what came back and what
    was expected.
    """
    command = shlex.join([sys.executable, str(TESTS / "accused" / "wrong_drivers.py"), mistake])
    # Where nothing is to come, waiting is short at first; a busy machine may need longer to start
    # the driver at all.
    for timeout_s in (2.5, 30) if mistake in SLOW else (30,):
        findings = [str(each) for each in check_adapter(f"exec:{command}", timeout_s=timeout_s)]
        found = any(all(part in line for part in MISTAKES[mistake]) for line in findings)
        if found:
            break
    assert found, findings
    assert all(line.startswith("sent ") and "\n" not in line for line in findings)


def unfit(folder):
    """Return commands that cannot be started, and what must be said of each."""
    script, binary, lost = folder / "script", folder / "binary", folder / "lost"
    for path, text in ((script, "print(1)"), (binary, "hello"), (lost, "#!/no/such/interpreter")):
        path.write_text(text)
        path.chmod(0o600 if path is script else 0o700)
    return {
        f"{folder}/nothing --flag": "No such file or directory",
        f"{script}": "Permission denied.*chmod [+]x",
        f"{folder}": "Permission denied",
        f"{binary}": "Exec format error.*begins with #!",
        f"{lost}": "No such file.*the line #!",
        "": "names no command",
        "'half": "names no command: no closing quotation",
    }


@pytest.mark.parametrize("options", [["--check-adapter"], ["--select", "GRAB-1"]], ids=" ".join)
def test_commands_that_cannot_be_started(options, tmp_path, capsys):
    """A command that cannot be started is the user's mistake: one line that says why, and exit code
    2.
    """
    parser = argparse.ArgumentParser()
    conform_command.configure(parser)
    for command, why in unfit(tmp_path).items():
        assert conform_command.run(parser.parse_args([f"exec:{command}", *options])) == Exit.USAGE
        (line,) = capsys.readouterr().err.splitlines()
        assert re.search(why, line), line


def test_transport_is_a_batch(tmp_path):
    """A batch of ten thousand operations is one exchange of two lines."""
    with open_session("plain", runtime_dir=str(tmp_path), process=True, timeout_s=60) as session:
        session.request({"op": "create", "name": "w", "item_size": 4, "item_num": 3, "type": []})
        requests = [{"op": "put", "id": 0, "data": "41424344"}, {"op": "get", "id": 0}] * 5000
        response = session.request({"op": "batch", "segment": 0, "requests": requests})
    assert [each.get("data") for each in response["responses"]] == [None, "41424344"] * 5000


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_child_is_left(tmp_path, how):
    """Whatever ends the one who opened a session, Ctrl-C and SIGKILL included, its driver
    ends too.
    """
    script = (
        "import sys, time; from slotmem_conformance.protocol.session import open_session\n"
        f"session = open_session('shm', runtime_dir={str(tmp_path)!r}, process=True)\n"
        "print(session.pid, flush=True); time.sleep(100)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with parent:
        pid = int(parent.stdout.readline())
        descriptor = os.pidfd_open(pid)
        parent.send_signal(how)
        parent.wait(30)
    try:
        assert has_ended(descriptor), f"driver {pid} is still there"
    finally:
        os.close(descriptor)


def test_children_of_a_driver_are_killed(tmp_path):
    """A driver that runs under a shell is killed with the shell."""
    session = sessions.start("exec:sh -c 'sleep 100 & echo $!; wait'", timeout_s=30)
    descriptor = os.pidfd_open(int(session.exchange(b"\n")))
    session.kill()
    try:
        assert has_ended(descriptor)
    finally:
        os.close(descriptor)


def has_ended(descriptor):
    """Tell whether a process ends within a time that is long enough for any machine."""
    return bool(select.select([descriptor], [], [], 30)[0])


@pytest.mark.parametrize(
    ("write", "limit"), [("head -c 70M /dev/zero", "in 67108864 bytes"), ("while echo -n x; do :; done", "within 1 s")]
)
def test_output_without_end(write, limit):
    """A driver that writes without end, and no line feed, is stopped by the time or by the length,
    whichever is reached first.
    """
    session = sessions.start(f"exec:sh -c '{write}; sleep 100'", timeout_s=1 if "1 s" in limit else 60)
    with pytest.raises(AdapterError, match=f"without a line end {limit}"):
        session.exchange(b"\n")
