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
import time
from contextlib import suppress
from pathlib import Path

import pytest

from accused.wrong_drivers import MISTAKES, SLOW
from slotmem_conformance.adapter_check.check import check_adapter
from slotmem_conformance.adapter_check.talk import GENERATION, Talk
from slotmem_conformance.cases.case import collect
from slotmem_conformance.commands import conform as conform_command
from slotmem_conformance.protocol import places, warm
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


_PYTHON = "import os, signal, sys, time\ndef say(): open(sys.argv[1], 'w').close()\n"
_SLEEP = "time.sleep(1000)\n"
ESCAPES = {
    "a daemon": f"if not os.fork():\n  os.setsid()\n  if os.fork(): os._exit(0)\n  say(); {_SLEEP}",
    "an orphan": f"if not os.fork():\n  os.setsid(); os.kill(os.getppid(), 9); say(); {_SLEEP}",
    "stopped": "if not os.fork():\n  os.setsid(); say(); os.kill(os.getpid(), signal.SIGSTOP)\n",
    "stopped itself": "say(); os.kill(os.getpid(), signal.SIGSTOP)\n",
    "deaf": (
        "if not os.fork():\n  os.setsid()\n"
        f"for each in signal.valid_signals() - {{9, 19}}: signal.signal(each, signal.SIG_IGN)\nsay(); {_SLEEP}"
    ),
    # Each has a session of its own, one child, and ends at once: it is seldom there when one looks.
    "always another": ("if not os.fork():\n  say()\n  while not os.fork(): os.setsid()\n  os._exit(0)\n" + _SLEEP),
    "many": "if not os.fork():\n  os.setsid(); say()\n  for _ in range(6): os.fork()\n" + _SLEEP,
    "a daemon of a shell": "(setsid sh -c 'sleep 1000 & : > $0; sleep 1000' $1 &); sleep 1000",
    "stopped, of a shell": "(setsid sh -c ': > $0; kill -STOP $$' $1 &); sleep 1000",
    "deaf, of a shell": "trap '' TERM HUP INT; (setsid sh -c ': > $0; sleep 1000' $1 &); while :; do sleep 1000; done",
}


@pytest.fixture(params=ESCAPES)
def escaping(request, tmp_path):
    """Return the PROVIDER string of a driver that starts what does not end with it, and a function
    that waits until it has.
    """
    is_shell, script, begun = "shell" in request.param, tmp_path / "driver", tmp_path / "begun"
    script.write_text(("" if is_shell else _PYTHON) + ESCAPES[request.param] + ("" if is_shell else _SLEEP))
    command = ["env", f"{_MARK}={tmp_path}", "sh" if is_shell else sys.executable, str(script), str(begun)]

    def wait():
        assert until(begun.exists), "the driver has not come far enough"

    return "exec:" + shlex.join(command), wait


_MARK = "SLOTMEM_TEST_OF_DRIVERS"


def until(condition):
    """Return whether something becomes true within a time that is long enough for any machine."""
    ends = time.monotonic() + 60
    while not (so := condition()) and time.monotonic() < ends:
        time.sleep(0.01)
    return so


def marked(mark):
    """Return the processes that have a mark in their environment, and so descend from a driver."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{_MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def zombies(*parents):
    """Return the children of these processes that have ended and that nobody has waited for."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if state == "Z" and int(parent) in parents:
                found.append(path.parent.name)
    return found


def test_whatever_a_driver_starts_ends_with_it(escaping, tmp_path):
    """When a session is over nothing of its driver is left: no daemon, nothing stopped, nothing
    deaf, nothing that forks faster than one looks, and no zombie.
    """
    spec, wait = escaping
    session = sessions.start(spec, timeout_s=30)
    wait()
    assert marked(tmp_path)
    session.kill()
    assert marked(tmp_path) == []
    assert until(lambda: not zombies(os.getpid(), warm._parent._process.pid))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_drivers_and_theirs(how, tmp_path):
    """Whatever ends the command, its driver's daemon ends too."""
    begun = tmp_path / "begun"
    driver = tmp_path / "driver"
    driver.write_text(_PYTHON + ESCAPES["a daemon"] + _SLEEP)
    spec = "exec:" + shlex.join(["env", f"{_MARK}={tmp_path}", sys.executable, str(driver), str(begun)])
    command = [sys.executable, "-m", "slotmem", "conform", spec, "--timeout-s", "1000"]
    parent = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert until(begun.exists)
    parent.send_signal(how)
    assert parent.wait(60) in (-how, 128 + how)
    assert until(lambda: not marked(tmp_path))


def test_the_end_of_a_driver_is_noticed_beside_its_daemon(tmp_path):
    """A driver's exit status is told while what it started lives on, and that ends with close."""
    spec = "exec:" + shlex.join(["env", f"{_MARK}={tmp_path}", "sh", "-c", "(setsid sleep 1000 &); exit 3"])
    session = sessions.start(spec, timeout_s=30)
    assert session.wait(60) == 3
    with pytest.raises(AdapterError, match="its exit with status 3"):
        session.close()
    assert marked(tmp_path) == []


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
