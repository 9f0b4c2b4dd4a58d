"""However a process ends in order, what is persistent is stored: workers, SIGTERM."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

import slotmem
from slotmem import Type
from tools.crashing_calls import object_of
from tools.hostile import NOBODY, as_root

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")
SERVER = """
import signal, sys, slotmem
provider = slotmem.provider(runtime_dir=sys.argv[1], **eval(sys.argv[2]))
table = provider.create("table", 8, 1, slotmem.Type.PERSIST)
table.put(0, b"kept")
print("ready", flush=True)
while True:
    signal.pause()
"""


def create(folder):
    """Create a persistent segment with the default provider, and return from the worker."""
    os.environ["SLOTMEM_RUNTIME_DIR"] = folder
    slotmem.create("table", 8, 1, Type.PERSIST).put(0, b"kept")


def restored(folder):
    with slotmem.provider("shm", runtime_dir=folder) as provider:
        return provider.create("table", 8, 1, Type.PERSIST).get(0, 4)


def create_inherited(provider):
    provider.create("table", 8, 1, Type.PERSIST).put(0, b"kept")


def test_a_worker_stores_what_it_creates_with_its_parents_provider(tmp_path):
    """The provider was made before the fork; the segment is the worker's."""
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        worker = multiprocessing.get_context("fork").Process(target=create_inherited, args=(provider,))
        worker.start()
        worker.join()
        assert worker.exitcode == 0
        assert os.listdir(tmp_path) == ["slotmem-shm-table.shm.persist"]
        assert provider.create("table", 8, 1, Type.PERSIST).get(0, 4) == b"kept"


@pytest.mark.parametrize("how", ["fork", "forkserver", "spawn"])
def test_a_worker_stores(tmp_path, how):
    """A worker of multiprocessing that ends by itself has no atexit: it stores nevertheless, and
    leaves no object.
    """
    worker = multiprocessing.get_context(how).Process(target=create, args=(str(tmp_path),))
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    assert os.listdir(tmp_path) == ["slotmem-shm-table.shm.persist"]
    assert restored(tmp_path) == b"kept"


def terminated(folder, **options):
    """Start a server, end it by SIGTERM, and return its exit code."""
    command = [sys.executable, "-c", SERVER, folder, repr(options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "ready\n"
        server.send_signal(signal.SIGTERM)
        return server.wait(60)


def test_sigterm(tmp_path):
    """With store_on_sigterm it stores and exits with 143; without, it is as if it was killed."""
    assert terminated(tmp_path, store_on_sigterm=True) == 143
    assert restored(tmp_path) == b"kept"
    other = tmp_path / "other"
    other.mkdir()
    assert terminated(other) == -signal.SIGTERM
    assert restored(other) == bytes(4)


def test_sigterm_is_not_taken_from_anybody(tmp_path):
    """Whoever handles it already goes on doing so; and only the main thread may ask."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with pytest.raises(slotmem.InvalidArgument, match=r"handled by .* call provider.close\(\) there"):
            slotmem.provider("shm", runtime_dir=tmp_path, store_on_sigterm=True)
    finally:
        signal.signal(signal.SIGTERM, before)
    said = []

    def ask():
        try:
            slotmem.provider("shm", runtime_dir=tmp_path, store_on_sigterm=True)
        except slotmem.InvalidArgument as error:
            said.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert "needs the main thread" in said[0]


DROP = f"os.setgid({NOBODY}); os.setuid({NOBODY})"
CHROOT = "os.chroot(sys.argv[1])"
UNPRIVILEGED = """
import os, sys, slotmem
provider = slotmem.provider(runtime_dir=sys.argv[1])
table = provider.create("table", 8, 1, slotmem.Type(int(sys.argv[3])))
table.put(0, b"kept")
exec(sys.argv[2])

class Refusing:
    def find_spec(self, name, path=None, target=None):
        raise SystemExit(f"{name} is imported")

sys.meta_path.insert(0, Refusing())
sys.path_importer_cache.clear()
try:
    provider.close()
except slotmem.SlotmemError as error:
    print(f"{type(error).__name__}: {error}")
    provider.abandon()
else:
    print("closed")
"""


def closed_after(folder, change, type=Type.PERSIST):
    """Change a server's process, and let it close without importing anything; give what it said."""
    command = [sys.executable, "-c", UNPRIVILEGED, folder, change, str(int(type))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


def test_closing_imports_nothing(tmp_path):
    """Whoever can no longer read Python's library, after chroot say, can store."""
    assert closed_after(tmp_path, "") == "closed\n"
    assert restored(tmp_path) == b"kept"


@as_root
@pytest.mark.parametrize(
    ("change", "type", "says"),
    [
        (DROP, Type.PERSIST, "AccessDenied: .*cannot be opened: Permission denied; check its permissions"),
        (DROP, Type(0), "OtherUser: .*belongs to user 0, but this process is user 65534; run as its owner"),
        (CHROOT, Type.PERSIST, "AccessDenied: .*cannot be opened: No such file or directory; check the path"),
        (CHROOT, Type(0), "NoSharedMemory: .*cannot be removed: .* remove it there"),
    ],
)
def test_a_close_that_cannot_end_it(change, type, says, tmp_path):
    """A server that dropped its privileges, or no longer sees its folders, says what it could not
    do; nothing is stored, and the object is left.
    """
    answer = closed_after(tmp_path, change, type)
    assert re.match(says, answer), answer
    assert os.listdir(tmp_path) == (["slotmem-shm-table_0.shm.owner"] if type else [])
    assert os.path.exists(object_of(tmp_path))
    assert restored(tmp_path) == bytes(4)
