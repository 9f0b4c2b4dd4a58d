"""Ctrl-C in the middle of create and attach: nothing is left open, and no object that nobody ends.

An exception is raised before each instruction, or each line, of the library in turn, as a signal
handler's could be.
"""

import gc
import os
import sys
import warnings

import pytest

import slotmem
from slotmem_model.stored_bytes import persisted
from tools.crashing_calls import FLAGS, OLD, create, file_of
from tools.hostile import is_unlocked, open_provider

LIBRARY = os.path.dirname(slotmem.__file__)
OWNING = ("segment.py", "descriptor.py", "storing.py", "judged.py", "files.py", "shm.py", "lifetime.py")


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
