"""A machine that refuses: limits, file systems, folders. Each refusal is a `SlotmemError` that says
what to do, and leaves nothing behind.
"""

import errno
import fcntl
import mmap
import os
import subprocess
import sys
import tracemalloc

import pytest

import slotmem
from slotmem import Type
from slotmem.memory import control
from slotmem.memory.layout import persisted_bytes
from slotmem_model.stored_bytes import persisted
from tools.crashing_calls import FLAGS, NEW, OLD, create, file_of, object_of, write
from tools.hostile import open_provider, refused

# -- errors of the system --------------------------------------------------------------------------

CALLS = [
    *[(os, name) for name in ("open", "fstat", "lstat", "pread", "write", "ftruncate", "fsync", "rename", "fchmod")],
    *[(os, name) for name in ("link", "unlink", "posix_fallocate")],
    *[(fcntl, "flock"), (fcntl, "fcntl"), (mmap, "mmap")],
]
ADVICE = {
    errno.EMFILE: (slotmem.OutOfResources, "ulimit -n"),
    errno.ENOMEM: (slotmem.OutOfResources, "ulimit -v"),
    errno.EOPNOTSUPP: (slotmem.Unsupported, "use a folder on a local one"),
    errno.EPERM: (slotmem.AccessDenied, "check its permissions"),
    errno.EIO: (slotmem.SlotmemError, "dmesg"),
}
HANDLED = (slotmem.NoSpace, "ask for fewer")  # an object that cannot be as large as its segment


def _refusing(call, number, steps):
    def refuse(*arguments, **options):
        if next(steps, False):
            raise OSError(number, os.strerror(number))
        return call(*arguments, **options)

    return refuse


def refuse_each(number, act, monkeypatch):
    """Let each call of `act` in turn be refused; yield the error, None if it was lived with."""
    count, hit = 0, True
    while hit:
        steps = iter([False] * count + [True])
        with monkeypatch.context() as patch:
            for module, name in CALLS:
                patch.setattr(module, name, _refusing(getattr(module, name), number, steps))
            try:
                act()
                error = None
            except slotmem.SlotmemError as raised:
                error = raised
            hit = next(steps, None) is None
        count += 1
        if hit:
            yield error


@pytest.mark.parametrize("number", ADVICE, ids=errno.errorcode.get)
def test_whatever_call_is_refused(number, tmp_path, path, monkeypatch):
    """Whichever system call of create, attach or close is refused, that is told with what to do;
    the data is stored by the next close, and nothing is left.
    """
    file = file_of(tmp_path)
    kind, advice = ADVICE[number]
    errors = []
    file.write_bytes(persisted(OLD, FLAGS))
    with open_provider(tmp_path) as server:
        for error in refuse_each(number, lambda: create(server), monkeypatch):
            errors.append(error)
            if error is not None:
                assert not os.path.exists(path)
        instance = create(server)
        assert instance.restored
        with open_provider(tmp_path) as other:
            errors += refuse_each(number, lambda: other.attach("table").close(), monkeypatch)
        write(instance, NEW)
        errors += refuse_each(number, server.close, monkeypatch)
        server.close()
    assert file.read_bytes() == persisted(NEW, FLAGS)
    assert os.listdir(tmp_path) == [file.name]
    assert not os.path.exists(path)
    told = [error for error in errors if error is not None]
    assert len(told) > 25
    strange = [error for error in told if not isinstance(error, kind) or advice not in str(error)]
    assert all(type(error) is HANDLED[0] and HANDLED[1] in str(error) for error in strange), strange
    assert len(strange) <= 3


def test_a_folder_that_cannot_be_synced(tmp_path, monkeypatch, caplog):
    """STORE-5: where a file system cannot sync a folder, what is stored is stored, with a
    warning.
    """
    sync = os.fsync

    def sync_files_only(fd):
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(fd)

    monkeypatch.setattr(os, "fsync", sync_files_only)
    with open_provider(tmp_path) as provider:
        write(create(provider), NEW)
    assert file_of(tmp_path).read_bytes() == persisted(NEW, FLAGS)
    assert "cannot sync a folder (Invalid argument)" in caplog.text
    assert not os.path.exists(object_of(tmp_path))


def test_no_descriptor_is_free(tmp_path):
    """At the limit of open files, create, attach and close say so, and that it can be raised,
    however few more they would need.
    """
    script = f"""
import os, resource, slotmem
server = slotmem.provider("shm", runtime_dir={str(tmp_path)!r})
kept = server.create("table", 4, 3, slotmem.Type.PERSIST)
other = slotmem.provider("shm", runtime_dir={str(tmp_path)!r})
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
files = []
try:
    while True:
        files.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for act in (lambda: other.attach("table"), lambda: other.create("new", 4, 3), server.close):
    try:
        act()
    except slotmem.OutOfResources as error:
        assert error.status.name == "APR_ENOSHMAVAIL" and "raise the limit of open files (ulimit -n)" in str(error), error
    else:
        raise SystemExit("it was not told")
for act in (lambda: other.attach("table"), lambda: other.create("new", 4, 3)):
    missed = 0
    while True:
        try:
            done = act()
            break
        except slotmem.OutOfResources as error:
            assert "raise the limit of open files (ulimit -n)" in str(error), error
        missed += 1
        os.close(files.pop())
    assert missed
    done.close()
    while missed:
        files.append(os.open("/dev/null", os.O_RDONLY))
        missed -= 1
for each in range(3):
    os.close(files.pop())
server.close()
print(os.listdir({str(tmp_path)!r}), os.path.exists({object_of(tmp_path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['slotmem-shm-table.shm.persist'] False\n", "")


def test_no_address_space_is_left(tmp_path):
    """A segment that this process cannot map is refused by attach, and by create, with what to
    do.
    """
    with open_provider(tmp_path) as server:
        server.create("large", 2**26, 1, Type.PREGRAB)
        script = f"""
import resource, slotmem
other = slotmem.provider("shm", runtime_dir={str(tmp_path)!r})
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**25, used + 2**25))
for act in (lambda: other.attach("large"), lambda: other.create("new", 2**26, 1)):
    try:
        act()
    except slotmem.SlotmemError as error:
        print(type(error).__name__, error)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    attached, created = done.stdout.splitlines()
    assert attached.startswith("OutOfResources the ")
    assert attached.endswith("raise the limit (ulimit -v)")
    assert created.startswith("NoSpace this process cannot map the ")


# -- folders ---------------------------------------------------------------------------------------


def test_a_folder_that_takes_no_files(tmp_path):
    """STORE-4: where nothing can be stored, create of a PERSIST segment is refused, and makes
    nothing.
    """
    with open_provider(tmp_path) as provider:
        with refused(slotmem.AccessDenied, r"\.persist\.new cannot be opened"):
            provider.create("/proc/x", 4, 3, Type.PERSIST)
        provider.create("/proc/x", 4, 3).close()


def test_a_read_only_file_system(tmp_path, path, monkeypatch):
    """STORE-4: a runtime directory that has become read-only is told at create, not when the data
    is lost.
    """
    file = str(file_of(tmp_path))
    open_ = os.open

    def open_for_reading(place, flags, *more, **options):
        if str(place).startswith(file) and flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system", place)
        return open_(place, flags, *more, **options)

    with open_provider(tmp_path) as provider:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", open_for_reading)
            with refused(slotmem.AccessDenied, "Read-only file system; mount it for writing", unchanged=[path]):
                create(provider)
        create(provider)


# -- large files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [FLAGS, FLAGS | Type.CLEARINUSE], ids=["all", "cleared"])
def test_large_segments_take_no_further_memory(flags, tmp_path):
    """STORE-1, RESTORE-1: storing and restoring a segment of 12 MiB takes a few MiB beside it."""
    number = 2**22
    for outcome in (slotmem.Outcome.NO_FILE, slotmem.Outcome.RESTORED):
        with open_provider(tmp_path) as provider:
            tracemalloc.start()
            instance = provider.create("table", 2, number, flags)
            assert instance.restored.outcome is outcome
            instance.fgrab(number - 1)
            instance.put(number - 1, b"!!")
            provider.close()
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < 5 * 2**20
    assert file_of(tmp_path).stat().st_size == persisted_bytes(2, number)


def test_a_file_of_another_size_is_not_read(tmp_path, monkeypatch):
    """RESTORE-2: of a file that has the wrong size, be it 64 GiB of nothing, not a byte is read."""
    file_of(tmp_path).touch()
    os.truncate(file_of(tmp_path), 2**36)
    read = []
    monkeypatch.setattr(os, "pread", lambda *where: read.append(where) or b"")
    with open_provider(tmp_path) as provider:
        assert create(provider).restored.reason == f"it has {2**36} bytes, expected {persisted_bytes(4, 3)}"
    assert read == []


def test_a_bad_file_leaves_nothing_in_the_segment(tmp_path):
    """RESTORE-3: a segment whose file turns out bad at its end is as fresh as one without a
    file.
    """
    shape = control.shape_of(2, 2**20, FLAGS)
    size = persisted_bytes(2, 2**20)
    file_of(tmp_path).write_bytes(b"\1" * (size - 16) + control.describe(shape))
    with open_provider(tmp_path) as provider:
        instance = provider.create("table", 2, 2**20, FLAGS)
        assert instance.restored.outcome is slotmem.Outcome.SET_ASIDE
        assert instance.num_free_slots() == 2**20
        assert instance.algorithm().snapshot()[4:].strip(b"\0") == b""
