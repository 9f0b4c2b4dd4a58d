"""Ctrl-C in create, attach and their ends: nothing is left open, nothing is half done.

An exception is raised before each instruction, or each line, of the library in turn, as a signal
handler's could be.
"""

import gc
import os
import sys
import warnings
from contextlib import suppress

import pytest

import slotmem
from slotmem_model.stored_bytes import persisted
from tools.crashing_calls import FLAGS, NEW, OLD, create, file_of, write
from tools.hostile import is_unlocked, open_provider

LIBRARY = os.path.dirname(slotmem.__file__)
OWNING = ("segment.py", "descriptor.py", "storing.py", "judged.py", "files.py", "shm.py", "lifetime.py")
ENDING = ("storing.py", "shm.py", "lifetime.py", "instance.py")


class Interruption(BaseException):
    pass


class Injector:
    """Raise at step number `fatal` of the library's own code: instructions in the modules `fine`,
    lines elsewhere.
    """

    def __init__(self, fatal, fine):
        self.fatal = fatal
        self.fine = fine
        self.count = 0

    def trace(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        frame.f_trace_opcodes = frame.f_code.co_filename.endswith(self.fine)
        if event == ("opcode" if frame.f_trace_opcodes else "line"):
            self.count += 1
            if self.count == self.fatal:
                sys.settrace(None)
                raise Interruption
        return self.trace


def interrupted(act, fatal, fine=OWNING):
    """Do it with an interruption; return whether there was one."""
    before = sys.gettrace()
    injector = Injector(fatal, fine)
    try:
        sys.settrace(injector.trace)
        act()
    except Interruption:
        pass
    finally:
        sys.settrace(before)
    return injector.count >= fatal


def open_files():
    """Return what this process has open."""
    names = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            names[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:  # of the listing itself
            continue
    return names


@pytest.fixture(autouse=True)
def closing_themselves():
    """A file that closes itself is what this is about, not a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield


@pytest.mark.parametrize(("found", "fine"), [("a file", OWNING), ("a remainder", ())])
def test_create(found, fine, tmp_path, path, record_property):
    """Interrupted anywhere, create leaves no descriptor, and no object but the one that its
    provider ends.
    """
    if found == "a file":
        file_of(tmp_path).write_bytes(persisted(OLD, FLAGS))
    with open_provider(tmp_path) as provider:
        create(provider).close()  # what is made once is made
        fatal, hit = 1, True
        while hit:
            if found == "a remainder":
                left = open_provider(tmp_path)
                create(left)
                left.abandon()
            gc.collect(0)
            before = open_files()
            hit = interrupted(lambda: create(provider), fatal, fine)
            fatal += 1
            instance = provider._created.get(_segment(provider))
            assert instance is not None or not os.path.exists(path) or found == "a remainder", fatal
            if instance is None:
                assert open_files() == before, fatal
                assert not os.path.exists(path) or is_unlocked(path)
            else:
                instance.close()
    record_property("interruptions of create", fatal)
    assert fatal > 300


def _segment(provider):
    return f"{provider.runtime_dir}/slotmem-shm-table_0.shm"


def test_attach(tmp_path, path, record_property):
    """Interrupted anywhere, attach leaves no descriptor, and no lock that keeps the segment
    alive.
    """
    gone = open_provider(tmp_path)
    create(gone)
    gone.abandon()
    with open_provider(tmp_path) as provider:
        provider.attach("table").close()
        before = open_files()
        fatal, hit = 1, True
        while hit:
            hit = interrupted(lambda: provider.attach("table"), fatal)
            fatal += 1
            assert open_files() == before, fatal
            assert is_unlocked(path)
    record_property("interruptions of attach", fatal)
    assert fatal > 300


@pytest.mark.parametrize(("act", "fine"), [("close", ENDING), ("restart", ())])
def test_end(act, fine, tmp_path, path, record_property, monkeypatch):
    """Interrupted anywhere, close and restart have stored or not, have removed the object or not,
    and the next close does the rest: what was accepted in between is stored, and nothing stays open
    but the folder that was being synced, for which Python has no file that closes itself.
    """
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # a thousand waits for the disk, and no power failure
    file = file_of(tmp_path)
    gc.collect()
    before = open_files()
    fatal, hit = 1, True
    while hit:
        file.write_bytes(persisted(OLD, FLAGS))
        provider = open_provider(tmp_path)
        instance = create(provider)
        write(instance, NEW)
        hit = interrupted(getattr(provider, act), fatal, fine)
        fatal += 1
        assert file.read_bytes() in (persisted(OLD, FLAGS), persisted(NEW, FLAGS)), fatal
        accepted = None
        with suppress(slotmem.Closed, slotmem.Ended):
            instance.put(0, b"late")
            accepted = persisted(NEW._replace(data=(b"late", *NEW.data[1:])), FLAGS)
        with suppress(slotmem.Closed, slotmem.Ended):
            instance.put(1, b"last")
            assert accepted is not None, f"{fatal}: one slot has ended, another has not"
            accepted = persisted(NEW._replace(data=(b"late", b"last", *NEW.data[2:])), FLAGS)
        assert accepted is None or instance.get(0) == b"late", fatal
        provider.close()
        assert file.read_bytes() == (accepted or persisted(NEW, FLAGS)), fatal
        assert not os.path.exists(path), fatal
        instance.close()
        for fd in open_files().keys() - before.keys():
            assert open_files()[fd] == str(tmp_path), fatal
            os.close(int(fd))
    record_property(f"interruptions of {act}", fatal)
    assert fatal > 200


def test_detach(tmp_path, path, record_property):
    """Interrupted anywhere, detach can be called again, and leaves nothing open."""
    with open_provider(tmp_path) as provider:
        create(provider)
        before = open_files()
        fatal, hit = 1, True
        while hit:
            other = open_provider(tmp_path)
            attached = other.attach("table")
            hit = interrupted(attached.detach, fatal, ENDING)
            fatal += 1
            attached.detach()
            with pytest.raises(slotmem.Closed):
                attached.num_slots()
            other.close()
            assert open_files() == before, fatal
    record_property("interruptions of detach", fatal)
    assert fatal > 20
