"""ATTACH-9: whoever is attached to a segment that its server has ended is told so."""

import errno
import os
import sys
import threading

import pytest

import slotmem
from slotmem import Ended, Type
from slotmem.memory import segment

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")
OPERATIONS = {
    "grab": lambda table: table.grab(),
    "fgrab": lambda table: table.fgrab(0),
    "release": lambda table: table.release(0),
    "get": lambda table: table.get(0),
    "put": lambda table: table.put(0, b"lost"),
    "num_free_slots": lambda table: table.num_free_slots(),
    "slots": lambda table: table.slots(),
    "dptr": lambda table: table.dptr(0),
    "doall": lambda table: table.doall(lambda data, _: None),
}
ENDS = {
    "closed": lambda provider, table: table.close(),
    "restarted": lambda provider, table: provider.restart(),
    "provider closed": lambda provider, table: provider.close(),
}


@pytest.fixture
def opened(tmp_path):
    """Return a server, its segment and an attacher's."""
    with (
        slotmem.provider("shm", runtime_dir=tmp_path) as server,
        slotmem.provider("shm", runtime_dir=tmp_path) as worker,
    ):
        table = server.create("table", 8, 4, Type.PREGRAB | Type.PERSIST)
        table.fgrab(0)
        table.put(0, b"kept")
        yield server, table, worker.attach("table")


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_refused(opened, how, name):
    """The first operation after the end is told, and each one after it; no lock is kept."""
    server, table, attached = opened
    view = attached.dptr(0)
    ENDS[how](server, table)
    for _ in range(2):
        with pytest.raises(Ended, match="attach to the name again"):
            OPERATIONS[name](attached)
    assert bytes(view[:4]) == b"kept"
    attached.close()


def test_every_stripe_is_told(opened):
    """Each lock tells it, not the table's alone."""
    server, _, attached = opened
    server.close()
    for item_id in range(4):
        with pytest.raises(Ended):
            attached.put(item_id, b"lost")


def test_a_put_is_stored_or_refused(tmp_path):
    """Beside a restart no put is lost without a word: it was stored, or the worker was told."""
    for _ in range(20):
        with slotmem.provider("shm", runtime_dir=tmp_path) as server:
            server.create("table", 8, 1, Type.PREGRAB | Type.PERSIST).fgrab(0)
            begun, last = threading.Event(), []

            def work(begun=begun, last=last):
                with slotmem.provider("shm", runtime_dir=tmp_path) as worker:
                    attached = worker.attach("table")
                    number = 0
                    while not last:
                        try:
                            attached.put(0, (number + 1).to_bytes(8, "little"))
                        except Ended:
                            last.append(number)
                        number += 1
                        begun.set()

            thread = threading.Thread(target=work)
            thread.start()
            assert begun.wait(60)
            server.restart()
            thread.join(60)
            again = server.create("table", 8, 1, Type.PREGRAB | Type.PERSIST)
            assert int.from_bytes(again.get(0), "little") == last[0]
        for left in os.listdir(tmp_path):
            os.unlink(tmp_path / left)


def test_a_killed_server_has_not_ended_it(opened):
    """Whoever is attached goes on when the server is killed (KILL-1)."""
    server, _, attached = opened
    server.abandon()
    attached.put(0, b"more")
    assert attached.get(0, 4) == b"more"


def test_a_close_that_could_not_store_ends_nothing(opened, monkeypatch):
    """The segment is as it was, and a second close stores it."""
    server, table, attached = opened
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _no_space)
        with pytest.raises(slotmem.SlotmemError):
            table.close()
    attached.put(0, b"late")
    table.close()
    with pytest.raises(Ended):
        attached.get(0)
    assert server.create("table", 8, 4, Type.PREGRAB | Type.PERSIST).get(0, 4) == b"late"


def test_a_close_that_could_not_unlink_can_be_tried_again(opened, monkeypatch):
    """What was stored is not stored again without what came after: nothing came after."""
    server, table, attached = opened
    with monkeypatch.context() as patched:
        patched.setattr(segment.Segment, "unlink", _no_space)
        with pytest.raises(slotmem.SlotmemError):
            table.close()
    with pytest.raises(Ended):
        attached.put(0, b"lost")
    table.close()
    assert server.create("table", 8, 4, Type.PREGRAB | Type.PERSIST).get(0, 4) == b"kept"


def _no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
