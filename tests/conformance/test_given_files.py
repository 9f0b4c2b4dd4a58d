"""Files that users name on the command line: what is no regular file is refused at once."""

import os
import signal
import socket

import pytest

from slotmem import command

BOUND_S = 60  # a bound for what ends at once, on a busy machine too

READS = {
    "judge": "judge {}",
    "judge a folder with it": "judge {folder}",
    "replay": "replay {}",
    "check --explain": "check --explain {}",
    "check": "check {}:Mine",
    "conform --expected": "conform shm --expected {}",
    "conform --merge": "conform --merge {} --html page.html",
    "mutate --merge": "mutate --merge {}",
    "mutate --survivors": "mutate --merge nothing.json --survivors {}",
    "vectors --check": "vectors {folder} --check",
    "inspect": "inspect {}",
}


@pytest.fixture(autouse=True)
def _bounded():
    """End what waits for a file that never ends."""

    def ring(*_):
        raise AssertionError("it waited for what is no file")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(BOUND_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a device", "no content"])
@pytest.mark.parametrize("name", READS)
def test_what_is_no_file_is_refused(tmp_path, monkeypatch, capsys, name, kind):
    """A pipe nobody writes to, a socket, a device without an end and /proc/self/mem are told by
    every command that reads a file, in a line, with exit code 2.
    """
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("history.json" if name.startswith("judge") else "given.json")
    path = path.with_suffix(".py") if name == "check" else path
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "a pipe":
            os.mkfifo(path)
        elif kind == "a socket":
            listening.bind(path.name)
        else:
            path.symlink_to("/dev/zero" if kind == "a device" else "/proc/self/mem")
        assert command.main(READS[name].format(path, folder=tmp_path).split()) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert path.name in line
    assert "bug" not in line
