"""Persisted files: the published bytes, restoring in another process, what is refused and kept."""

import fcntl
import logging
import os
import struct
import subprocess
import sys

import pytest

import slotmem
from slotmem import Outcome, Type
from slotmem.memory import segment
from slotmem.memory.names import resolve
from slotmem_model import spec
from slotmem_model.stored_bytes import persisted

PUBLISHED = bytes.fromhex(
    "01000000 00000000 41424344 00000000 51525354 010001 fd6754bc39bfe89faae1cb396a90437a 0400000000000000 03000000 05000000"
)


def fill_as_published(instance):
    for _ in range(3):
        instance.grab()
    instance.put(0, b"ABCD")
    instance.put(2, b"QRST")
    instance.release(1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "slotmem-shm-w.shm.persist"


def open_provider(tmp_path):
    return slotmem.provider("shm", runtime_dir=tmp_path)


def test_published_bytes(tmp_path, path):
    """BYTES-2, STORE-1: a clean end stores the bytes that httpd stores for the same slots."""
    with open_provider(tmp_path) as provider:
        fill_as_published(provider.create("w", 4, 3, Type.PERSIST | Type.PREGRAB))
        assert not path.exists()
    assert path.read_bytes() == PUBLISHED
    assert oct(path.stat().st_mode)[-3:] == "600"
    assert os.listdir(tmp_path) == [path.name]


def test_restored_in_another_process(tmp_path, path):
    """RESTORE-1: another process restores slots, in-use flags and counter from a file
    written here.
    """
    path.write_bytes(PUBLISHED)
    script = f"""
import slotmem
with slotmem.provider("shm", runtime_dir={str(tmp_path)!r}) as provider:
    w = provider.create("w", 4, 3, slotmem.Type.PERSIST | slotmem.Type.PREGRAB)
    print(w.restored.outcome.name, list(w.slots()), w.num_free_slots(), w.get(0), w.get(2), w.grab())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "RESTORED [0, 2] 1 b'ABCD' b'QRST' 1\n"


def test_absolute_name_keeps_its_file(tmp_path):
    """NAME-5: the file of an absolute name lies beside it."""
    name = str(tmp_path / "table")
    for outcome in (Outcome.NO_FILE, Outcome.RESTORED):
        with open_provider(tmp_path) as provider:
            assert provider.create(name, 4, 1, Type.PERSIST).restored.outcome is outcome
    assert os.listdir(tmp_path) == ["table.persist"]


def test_nothing_is_stored_without_persist(tmp_path):
    """STORE-2: without PERSIST, for anonymous memory, and by attachers nothing is stored."""
    with open_provider(tmp_path) as provider, open_provider(tmp_path) as other:
        provider.create("w", 4, 3, Type.PREGRAB)
        provider.create("none", 4, 3, Type.PERSIST)
        kept = provider.create("kept", 4, 3, Type.PERSIST)
        other.attach("kept").close()
        other.attach("w").close()
        assert os.listdir(tmp_path) == ["slotmem-shm-kept_0.shm.owner"]
        kept.put(0, b"x")
    assert os.listdir(tmp_path) == ["slotmem-shm-kept.shm.persist"]


def test_clearinuse(tmp_path, path):
    """STORE-3: with CLEARINUSE every slot is stored free, and contents stay."""
    flags = Type.PERSIST | Type.PREGRAB | Type.CLEARINUSE
    with open_provider(tmp_path) as provider:
        fill_as_published(provider.create("w", 4, 3, flags))
    state = spec.Slots(4, True, (False,) * 3, (b"ABCD", bytes(4), b"QRST"))
    assert path.read_bytes() == persisted(state, int(flags))


def spoil(data, how):
    spoilt = bytearray(data)
    if isinstance(how, int):
        spoilt[how] ^= 0x40
    elif how == "grown":
        spoilt += b"\0"
    elif how == "empty":
        spoilt.clear()
    else:
        del spoilt[-1:]
    return bytes(spoilt)


@pytest.mark.parametrize("how", [0, 5, 8, 19, 20, 22, 23, 38, 39, 46, 47, 53, "grown", "truncated", "empty"])
def test_a_bad_file_is_kept_aside(how, tmp_path, path, caplog):
    """RESTORE-2, RESTORE-3: a file with any region spoilt is kept under another name, a warning
    says where, the segment is fresh.
    """
    bad = spoil(PUBLISHED, how)
    path.write_bytes(bad)
    with open_provider(tmp_path) as provider, caplog.at_level(logging.WARNING, "slotmem"):
        w = provider.create("w", 4, 3, Type.PERSIST | Type.PREGRAB)
        assert w.restored.outcome is Outcome.SET_ASIDE
        assert w.restored.reason
        assert w.num_free_slots() == 3
        assert bytes(w.dptr(0)) == bytes(4)
        with open(w.restored.aside, "rb") as aside:
            assert aside.read() == bad
        assert w.restored.aside in caplog.text
        assert not path.exists()


def test_forged_inuse_bytes_are_bad(tmp_path, path):
    """RESTORE-2: in-use bytes other than 0 and 1 are bad even if the MD5 is right."""
    import hashlib

    payload = PUBLISHED[:20] + b"\1\2\1"
    path.write_bytes(payload + hashlib.md5(payload).digest() + PUBLISHED[-16:])
    with open_provider(tmp_path) as provider:
        assert "neither 0 nor 1" in provider.create("w", 4, 3, Type.PERSIST | Type.PREGRAB).restored.reason


def test_files_aside_never_overwrite_each_other(tmp_path, path):
    """RESTORE-3: each bad file gets a name of its own."""
    for content in (b"first", b"second", b"third"):
        path.write_bytes(content)
        with open_provider(tmp_path) as provider:
            provider.create("w", 4, 3, Type.PERSIST)
    assert [(tmp_path / f"{path.name}.bad-{n}").read_bytes() for n in (1, 2, 3)] == [b"first", b"second", b"third"]


def test_drifted_counter_is_made_exact(tmp_path, path):
    """RESTORE-1, COUNT-2: httpd's stored counter may have drifted; what is restored counts the
    in-use bytes.
    """
    state = spec.Slots(4, False, (True, False, True), (b"ABCD", bytes(4), b"QRST"))
    payload = b"\3" + persisted(state, 1)[1:23]
    import hashlib

    path.write_bytes(payload + hashlib.md5(payload).digest() + persisted(state, 1)[-16:])
    with open_provider(tmp_path) as provider:
        w = provider.create("w", 4, 3, Type.PERSIST)
        assert w.restored
        assert w.num_free_slots() == 1


def test_symlink_in_place_of_the_file(tmp_path, path):
    """RESTORE-4: a symlink planted at the file's path is refused at create, and nothing is made."""
    path.symlink_to(tmp_path / "elsewhere")
    with open_provider(tmp_path) as provider:
        with pytest.raises(slotmem.AccessDenied, match="symlink"):
            provider.create("w", 4, 3, Type.PERSIST)
        with pytest.raises(slotmem.NoSegment):
            provider.attach("w")


def test_missing_folder_is_told_at_create(tmp_path):
    """A file whose folder does not exist could never be stored: create says so."""
    with open_provider(tmp_path) as provider, pytest.raises(slotmem.NoSegment, match="does not exist; make it first"):
        provider.create(str(tmp_path / "no" / "table"), 4, 1, Type.PERSIST)


def test_a_store_that_fails_loses_nothing(tmp_path, path, monkeypatch):
    """STORE-4: if storing fails, the old file stays, the error says so, and the segment stays
    usable.
    """
    path.write_bytes(PUBLISHED)
    provider = open_provider(tmp_path)
    w = provider.create("w", 4, 3, Type.PERSIST | Type.PREGRAB)
    w.put(0, b"new!")

    def full(fd):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(slotmem.memory.storing.os, "fsync", full)
        with pytest.raises(slotmem.NoSpace, match="the old file, if any, is untouched"):
            provider.close()
    assert path.read_bytes() == PUBLISHED
    assert w.get(0) == b"new!"
    provider.close()
    assert b"new!" in path.read_bytes()
    assert os.listdir(tmp_path) == [path.name]


def test_waiting_for_another_store_is_bounded(tmp_path):
    """WAIT-1: a process that stops while it stores keeps nobody longer than timeout_s. The segment
    is as it was, and is stored once the other one has gone.
    """
    with slotmem.provider("shm", runtime_dir=tmp_path, timeout_s=0.05) as provider:
        table = provider.create("table", 8, 1, Type.PERSIST)
        table.put(0, b"kept")
        path = resolve("table", str(tmp_path), 0).persisted
        with open(f"{path}.new", "wb") as other:
            os.chmod(f"{path}.new", 0o600)
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(slotmem.LockTimeout, match=r"timed out after 0.05 s waiting for the lock of .*\.new"):
                table.close()
            assert table.get(0, 4) == b"kept"
        table.close()
        assert provider.create("table", 8, 1, Type.PERSIST).get(0, 4) == b"kept"


def test_waiting_for_another_unlink_is_bounded(tmp_path):
    """WAIT-1: nor does one that stops while it removes the name of an object."""
    with slotmem.provider("shm", runtime_dir=tmp_path, timeout_s=0.05) as provider:
        table = provider.create("table", 8, 1)
        other = os.open(segment.object_path(resolve("table", str(tmp_path), 0)), os.O_RDWR)
        whole = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(other, fcntl.F_OFD_SETLK, whole)
        with pytest.raises(slotmem.LockTimeout, match="whose name another process is removing"):
            table.close()
        os.close(other)
        table.close()


NO_IMPORTS = """
import sys, slotmem
provider = slotmem.provider(runtime_dir=sys.argv[1])
provider.create("table", 8, 1, slotmem.Type.PERSIST).put(0, b"kept")
class Refusing:
    def find_spec(self, name, path=None, target=None):
        raise SystemExit(f"imports {name}")
sys.meta_path.insert(0, Refusing())
provider.restart()
print(provider.create("table", 8, 1, slotmem.Type.PERSIST).get(0, 4))
provider.close()
"""


def test_storing_imports_nothing(tmp_path):
    """Whoever gives up its rights, or its root folder, after the start can still store."""
    ran = subprocess.run([sys.executable, "-c", NO_IMPORTS, tmp_path], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("b'kept'\n", "", 0)
