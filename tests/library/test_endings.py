"""However a process ends in order, what is persistent is stored: workers, SIGTERM."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest

import slotmem
from slotmem import Type

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
