"""One owner stores a persisted file: by whatever path another comes, it is told so."""

import os
import signal
import subprocess
import sys

import pytest

import slotmem
from slotmem import SegmentExists, Type
from slotmem.memory import segment, storer

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")
FILE = "slotmem-shm-table.shm.persist"
OWNER = "slotmem-shm-table_0.shm.owner"


def open_provider(folder, **options):
    """Open a provider in a folder."""
    return slotmem.provider("shm", runtime_dir=folder, **options)


def create(provider, **options):
    """Make the segment that is stored."""
    return provider.create("table", 4, 2, Type.PERSIST | Type.PREGRAB, **options)


@pytest.fixture
def link(tmp_path):
    """A second way to the folder, and the folder."""
    folder, second = tmp_path / "run", tmp_path / "var"
    folder.mkdir()
    second.symlink_to(folder)
    return folder, second


def test_through_a_symlink_there_is_one_owner(link):
    """The second create is refused, with the first one's process; what the first has is stored."""
    folder, second = link
    with open_provider(folder) as one, open_provider(second) as other:
        first = create(one)
        first.put(first.grab(), b"mine")
        with pytest.raises(
            SegmentExists, match=rf"has an owner \(process {os.getpid()}\) that will store it"
        ) as refused:
            create(other)
        assert "create with replace=True" in str(refused.value)
    assert sorted(os.listdir(folder)) == [FILE]
    with open_provider(second) as again:
        assert create(again).get(0) == b"mine"


def test_with_shared_memory_of_ones_own_there_is_one_owner(tmp_path, monkeypatch):
    """As in two containers that share the folder alone."""
    shared = tmp_path / "shm"
    shared.mkdir()
    with open_provider(tmp_path) as one:
        create(one)
        with monkeypatch.context() as patched, open_provider(tmp_path) as other:
            patched.setattr(segment, "SHM_FOLDER", f"{shared}/")
            with pytest.raises(SegmentExists, match="has an owner"):
                create(other)
    assert os.listdir(shared) == []


def test_who_was_replaced_does_not_store(link, caplog):
    """Neither the first nor the last close wins by chance: the new owner stores, the old one says
    that it does not.
    """
    folder, second = link
    one, other = open_provider(folder), open_provider(second)
    first, new = create(one), create(other, replace=True)
    first.put(first.grab(), b"old.")
    new.put(new.grab(), b"new.")
    other.close()
    with open_provider(second) as last:
        held = create(last)
        assert held.get(0) == b"new."
        one.close()
        assert f"stores its file {folder / FILE}: what this one held is not stored" in caplog.text
        assert os.path.exists(folder / OWNER)  # the last one's, still
        held.put(0, b"last")
    with open_provider(second) as again:
        assert create(again).get(0) == b"last"


def test_a_killed_owner_hinders_nobody(link):
    """Its file stays, without a lock; the next owner takes it over and removes it at the end."""
    folder, second = link
    pid = os.fork()
    if pid == 0:
        create(open_provider(folder))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert os.listdir(folder) == [OWNER]
    with open_provider(second) as next_:
        create(next_)
    assert os.listdir(folder) == [FILE]


def test_a_child_does_not_keep_the_right_of_its_parent(link):
    """A worker that outlives its server holds the segment, and not the file."""
    folder, second = link
    reader, writer = os.pipe()
    server = os.fork()
    if server == 0:
        create(open_provider(folder))
        if os.fork() == 0:
            os.write(writer, f"{os.getpid()}\n".encode())
            signal.pause()
        signal.pause()
    worker = int(os.read(reader, 20))
    try:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
        with open_provider(second) as next_:
            create(next_)
    finally:
        os.kill(worker, signal.SIGKILL)
        os.close(reader)
        os.close(writer)
    assert os.listdir(folder) == [FILE]


def test_restart_keeps_it(link):
    """Each generation owns the file anew."""
    folder, second = link
    with open_provider(folder) as one, open_provider(second, generation=1) as other:
        create(one)
        one.restart()
        assert os.listdir(folder) == [FILE]
        create(one)
        with pytest.raises(SegmentExists, match="has an owner"):
            create(other)


def test_generations_share_the_file(tmp_path):
    """A new server may begin before the old one has ended, as httpd's graceful restart has it."""
    with open_provider(tmp_path) as old, open_provider(tmp_path, generation=1) as new:
        create(old)
        create(new)
        assert sorted(os.listdir(tmp_path)) == [OWNER, OWNER.replace("_0", "_1")]


def test_a_file_that_was_removed_keeps_nobody_from_storing(link):
    """Somebody tidied up: the owner stores all the same."""
    folder, _ = link
    with open_provider(folder) as one:
        first = create(one)
        first.put(first.grab(), b"mine")
        os.unlink(folder / OWNER)
    assert os.listdir(folder) == [FILE]


@pytest.mark.parametrize("planted", ["a folder", "a symlink", "a FIFO"])
def test_what_was_planted_there_is_named(link, planted):
    """Nothing is written through it, and no segment is left."""
    folder, _ = link
    path = folder / OWNER
    {"a folder": path.mkdir, "a symlink": lambda: path.symlink_to(folder / "x"), "a FIFO": lambda: os.mkfifo(path)}[
        planted
    ]()
    with open_provider(folder) as one:
        with pytest.raises(slotmem.AccessDenied, match=f"is {planted}"):
            create(one)
        with pytest.raises(slotmem.NoSegment):
            one.attach("table")
    assert os.listdir(folder) == [path.name]


@pytest.mark.parametrize("call", ["flock", "write", "mmap"])
def test_where_it_cannot_be_locked_or_written_create_says_so(link, monkeypatch, call):
    """As a full or a foreign file system would have it; nothing stays."""
    folder, _ = link

    def fails(*_):
        raise OSError(95, "Operation not supported")

    module = {"flock": storer.fcntl, "write": storer.os, "mmap": storer.mmap}[call]
    with open_provider(folder) as one, monkeypatch.context() as patched:
        patched.setattr(storer, module.__name__, _Failing(module, call, fails))
        with pytest.raises(slotmem.SlotmemError, match="owner cannot be"):
            create(one)
    assert call == "flock" or os.listdir(folder) == []


class _Failing:
    """A module in which one function fails."""

    def __init__(self, module, name, fails):
        self._module, self._name, self._fails = module, name, fails

    def __getattr__(self, name):
        return self._fails if name == self._name else getattr(self._module, name)


def test_many_processes_at_once_have_one_owner(link):
    """Of processes that create through both paths at once one comes through; whoever comes later,
    too.
    """
    folder, second = link
    code = (
        "import slotmem, sys\nfrom slotmem import Type\n"
        "p = slotmem.provider('shm', runtime_dir=sys.argv[1])\nsys.stdin.readline()\n"
        "try:\n    i = p.create('table', 4, 2, Type.PERSIST)\nexcept slotmem.SegmentExists:\n    print('refused', flush=True)\n"
        "else:\n    print('owner', flush=True)\nsys.stdin.readline()\n"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for path in (folder, second) * 3
    ]
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    said = [worker.stdout.readline().strip() for worker in workers]
    for worker in workers:
        worker.communicate("\n")
    assert sorted(said) == ["owner", *["refused"] * 5]
    assert os.listdir(folder) == [FILE]
