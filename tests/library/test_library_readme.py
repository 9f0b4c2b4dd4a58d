"""slotmem/README.md: the tutorial runs as it stands there, and the table of errors is the
library's.
"""

import builtins
import doctest
import inspect
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import pytest

import slotmem
from slotmem import Type, status
from tools import pages

PLAIN = (object, BaseException, Exception)
README = Path(status.__file__).with_name("README.md")


def test_the_tutorial_runs(tmp_path, monkeypatch):
    """Each example prints what stands there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = doctest.testfile(str(README), module_relative=False)
    assert done.failed == 0
    assert done.attempted > 20


def test_the_table_of_errors():
    """Each exception stands in the table once, with its status, its built-in base, and its own
    sentence.
    """
    errors = [each for each in vars(status).values() if inspect.isclass(each) and issubclass(each, status.SlotmemError)]
    lines = README.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        (each.__name__, each.status.name, " ".join(inspect.getdoc(each).split())) for each in errors
    ]
    for each, row in zip(errors, rows, strict=True):
        special = [base for base in each.__mro__ if base.__module__ == "builtins" and base not in PLAIN]
        assert getattr(builtins, row[2]) in special if special else row[2] == "", each
        assert row[4], each


def put_half(instance, item_id, data):
    """Do the first half of a put, up to the redo record's last word, and die."""
    algorithm = instance.algorithm()
    _, guard, word, copy = algorithm.stripe_redo[item_id]
    algorithm.trylock(guard)
    algorithm.redo[copy : copy + len(data)] = data
    algorithm.words[word + 1] = len(data)
    algorithm.words[word] = item_id + 1
    os.kill(os.getpid(), signal.SIGKILL)


def timeless(text):
    """Replace what differs from machine to machine: numbers of processes, names, dates."""
    text = re.sub(r"; could not ask \d+ more", "", text)  # of other users, or just ending
    text = re.sub(r"\b(process|thread) \d+( \(\S+\))?", r"\1 N", text)
    text = re.sub(r"ShM\.\w+|(boot|namespace|user) \w+|20\d\d-\S+ \S+ UTC", "X", text)
    return re.sub(r"/\S+/(slotmem-shm-|X)", r"\1", text)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")
def test_what_inspect_shows(tmp_path, monkeypatch):
    """After a worker was killed in the middle of a put, `inspect` prints what stands there."""
    (shown,) = pages.fenced(README.read_text(encoding="utf-8"), "console")
    line, _, expected = shown.removeprefix("$ ").partition("\n")
    monkeypatch.setenv("SLOTMEM_RUNTIME_DIR", str(tmp_path))
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        workers = provider.create("workers", 64, 8, Type.PREGRAB | Type.PERSIST)
        for item_id, requests in ((0, 2), (1, 5), (4, 14)):
            workers.fgrab(item_id)
            workers.put(item_id, b"pid %d, %d requests" % (4711 + item_id, requests))
        pid = os.fork()
        if pid == 0:
            put_half(workers, 1, b"pid 4712, 6 requests")
        os.waitpid(pid, 0)
        code, printed = pages.run(line)
        assert code == 1
        assert timeless(printed) == timeless(expected)
        assert workers.get(1, 20) == b"pid 4712, 6 requests"
