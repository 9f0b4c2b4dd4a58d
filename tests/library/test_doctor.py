"""`slotmem doctor`: what was left is found, what is used stays, and nothing else is touched."""

import json
import os
import signal
import sys
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path

import pytest

import slotmem
from slotmem import Type
from slotmem.doctor import command, remains
from slotmem.doctor.remains import look, remove
from slotmem.memory.names import resolve, resolve_lock
from slotmem.memory.segment import object_path
from tools import pages
from tools.hostile import NOBODY, as_root

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")
FILE = "slotmem-shm-table.shm.persist"
OWNER = "slotmem-shm-table_0.shm.owner"


def found(folder, path):
    """Return what the doctor says of a path; None if it does not see it."""
    return next((item for item in look(str(folder)).items if item.path == str(path)), None)


def killed(folder, code):
    """Run some code in a child, which is killed then."""
    pid = os.fork()
    if pid == 0:
        code(slotmem.provider("shm", runtime_dir=folder))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def create(provider):
    """Make a segment that is stored."""
    return provider.create("table", 4, 2, Type.PERSIST)


def object_of(folder):
    """Return the path of its object."""
    return object_path(resolve("table", str(folder), 0))


def test_what_a_killed_server_left_may_go(tmp_path):
    """Its object and its owner's file; what it had stored stays."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        create(provider)
    killed(tmp_path, create)
    item, owner, file = (found(tmp_path, path) for path in (object_of(tmp_path), tmp_path / OWNER, tmp_path / FILE))
    assert (item.kind, item.alive, item.may_go, item.users) == ("segment", False, True, [])
    assert (owner.kind, owner.alive, owner.may_go) == ("owner's file", False, True)
    assert (file.kind, file.may_go) == ("persisted file", False)
    remove(item)
    remove(owner)
    assert item.removed
    assert owner.removed
    assert not os.path.exists(object_of(tmp_path))
    assert os.listdir(tmp_path) == [FILE]


def test_what_is_used_stays(tmp_path):
    """A segment, its owner's file and a lock of a living process, which is named."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
            create(provider)
            kept = slotmem.Lock("mine", tmp_path)
            os.write(writer, b"x")
            signal.pause()
            del kept
    os.read(reader, 1)
    lock = object_path(resolve_lock("mine", str(tmp_path)))
    for path in (object_of(tmp_path), tmp_path / OWNER, lock):
        item = found(tmp_path, path)
        assert (item.alive, item.may_go) == (True, False)
        assert pid in [user.pid for user in item.users]
        before = os.lstat(path)
        if item.kind == "segment":
            with pytest.raises(slotmem.SegmentExists, match="is alive"):
                remove(item)
        else:
            remove(item)
            assert item.why == "in use by now"
        assert os.path.samestat(before, os.lstat(path))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert found(tmp_path, lock).may_go
    remove(found(tmp_path, lock))
    remove(found(tmp_path, object_of(tmp_path)))


def test_an_owner_that_comes_between_looking_and_removing_keeps_it(tmp_path):
    """What may go is judged once more, under the lock that the owner takes."""
    killed(tmp_path, create)
    segment_, owner = found(tmp_path, object_of(tmp_path)), found(tmp_path, tmp_path / OWNER)
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        create(provider)
        with pytest.raises(slotmem.SegmentExists):
            remove(segment_)
        remove(owner)
        assert not owner.removed
        assert os.path.exists(tmp_path / OWNER)


def test_another_file_of_the_same_name_is_left(tmp_path):
    """What is there by now is not what was judged."""
    path = tmp_path / "x.persist.new"
    path.write_bytes(b"1")
    item = found(tmp_path, path)
    assert item.may_go
    path.rename(tmp_path / "y")
    path.write_bytes(b"2")
    remove(item)
    assert (item.removed, item.why) == (False, "another one by now")


def test_others_objects_go_only_if_nobody_has_them(tmp_path, monkeypatch):
    """One of multiprocessing, mapped here or not; and where somebody cannot be asked."""
    made = shared_memory.SharedMemory(create=True, size=100)
    resource_tracker.unregister(made._name, "shared_memory")
    path = f"/dev/shm/{made.name}"
    pid = os.fork()
    if pid == 0:
        signal.pause()
    monkeypatch.setattr(remains, "users_of", lambda files, ask=remains.users_of: ask(files)._replace(not_asked=0))
    try:
        item = found(tmp_path, path)
        assert (item.kind, item.alive, item.may_go) == ("multiprocessing", True, False)
        assert pid in [user.pid for user in item.users]
        remove(item)
        assert item.why == "in use by now"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    made.close()
    monkeypatch.setattr(remains, "users_of", lambda files, ask=remains.users_of: ask(files)._replace(not_asked=2))
    assert (found(tmp_path, path).alive, found(tmp_path, path).may_go) == (None, False)
    monkeypatch.setattr(remains, "users_of", lambda files, ask=remains.users_of: ask(files)._replace(not_asked=0))
    item = found(tmp_path, path)
    assert (item.alive, item.may_go) == (False, True)
    remove(item)
    assert not os.path.exists(path)


def test_what_is_none_of_its_business_is_not_seen(tmp_path):
    """Other files, folders, symlinks and pipes of such names; nonsense is a damaged object."""
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "a.persist").mkdir()
    (tmp_path / "b.persist").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "c.persist.new")
    assert [item for item in look(str(tmp_path)).items if item.path.startswith(str(tmp_path))] == []
    nonsense = Path(f"/dev/shm/ShM.{os.getpid():x}Hdeadbeef")
    nonsense.write_bytes(os.urandom(5000))
    try:
        assert found(tmp_path, nonsense).kind == "damaged object"
    finally:
        nonsense.unlink()


def test_the_command(tmp_path):
    """It lists, removes what may go, says so, and control characters reach no terminal."""
    killed(tmp_path, create)
    (tmp_path / "\x1b[31mred.persist.bad-1").write_bytes(b"")
    code, said = pages.run(f"slotmem doctor --runtime-dir {tmp_path}")
    assert code == 0
    assert f"may go   {object_of(tmp_path)}" in said
    assert f"may go   {tmp_path / OWNER}" in said
    assert "\\x1b[31mred.persist.bad-1" in said
    assert os.path.exists(object_of(tmp_path))
    chosen = [
        item for item in look(str(tmp_path)).items if str(tmp_path) in item.path or item.path == object_of(tmp_path)
    ]
    assert len(chosen) == 3
    for item in chosen:
        if item.may_go:
            assert command._removed(item) == ""
    assert os.listdir(tmp_path) == ["\x1b[31mred.persist.bad-1"]
    gone = chosen[0]
    assert command._removed(gone) == ""
    code, said = pages.run(f"slotmem doctor --json --runtime-dir {tmp_path}")
    assert code == 0
    assert [each["kind"] for each in json.loads(said)["items"] if each["path"].startswith(str(tmp_path))] == [
        "bad file"
    ]


def test_a_folder_that_is_not_there(tmp_path):
    """Exit code 2, after all else was looked at."""
    code, said = pages.run(f"slotmem doctor --runtime-dir {tmp_path / 'nothing'}")
    assert code == 2
    assert "cannot look into" in said


@as_root
def test_without_rights_nothing_is_removed(tmp_path):
    """What belongs to another stays, with a word about why."""
    killed(tmp_path, create)
    item = found(tmp_path, object_of(tmp_path))
    pid = os.fork()
    if pid == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        seen = found(tmp_path, object_of(tmp_path))
        os._exit(0 if seen and not seen.may_go and "Permission denied" in seen.why else 1)
    assert os.waitpid(pid, 0)[1] == 0
    remove(item)
