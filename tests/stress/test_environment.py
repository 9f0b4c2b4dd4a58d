"""What the machine does is named, and never a violation: things that vanish, that are full, that
end others.
"""

import errno
import itertools
import multiprocessing
import os
import resource
import signal
import sys

import pytest

import slotmem
from slotmem.environment import Disturbed, explains
from slotmem.memory import segment
from slotmem.memory.names import resolve
from slotmem_stress.canary import Canary
from slotmem_stress.run import worker
from slotmem_stress.run.crew import Worker, _died
from slotmem_stress.run.leaks import object_of
from slotmem_stress.run.owner import Owner
from slotmem_stress.run.settings import Plan

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")


def objects_of(runtime_dir):
    """Return the objects of a run that are there: its canary's, and its segment's."""
    canary = segment.object_path(resolve("canary", str(runtime_dir), 0))
    return [path for path in (canary, object_of(str(runtime_dir), 0)) if os.path.exists(path)]


def raised(error, cause):
    """Return an error with its cause, as `raise error from cause` makes it."""
    error.__cause__ = cause
    return error


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "is_explained"),
    [
        (OSError(errno.ENOSPC, "full"), True),
        (MemoryError(), True),
        (raised(slotmem.NoSpace("x"), OSError(errno.ENOSPC, "full")), True),
        (raised(slotmem.AccessDenied("x"), OSError(errno.EMFILE, "too many")), True),
        (ExceptionGroup("x", [KeyError(1), OSError(errno.EROFS, "read-only")]), True),
        (Disturbed("x"), True),
        (slotmem.NoSpace("said by an implementation, of nothing that the machine did"), False),
        (raised(slotmem.AccessDenied("x"), OSError(errno.EACCES, "denied")), False),
        (OSError(errno.EPERM, "as of a mutex that is not ours"), False),
        (slotmem.NoSegment("x"), False),
        (ValueError("x"), False),
    ],
)
def test_errors_of_the_machine_are_told_apart(error, is_explained):
    """An error that came of what the machine lacks is explained by it, one of an implementation is
    not.
    """
    assert (explains(error) is not None) == is_explained


# -- the canary ------------------------------------------------------------------------------------


def test_a_canary_on_a_sound_machine(tmp_path):
    """It finds nothing wrong, however often it looks, and leaves nothing behind."""
    with Canary(str(tmp_path)) as canary:
        assert len(objects_of(tmp_path)) == 1
        canary.check()
        canary.check()
        assert canary.refused == ""
    assert list(tmp_path.iterdir()) == []
    assert objects_of(tmp_path) == []


def test_a_canary_notices_what_is_removed(tmp_path):
    """Its file or its object is gone: somebody tidies up there."""
    for at in (0, 1):
        with Canary(str(tmp_path)) as canary:
            os.unlink(canary._files[at])
            with pytest.raises(Disturbed, match=r"removes files: .* is gone"):
                canary.check()


def test_a_canary_notices_what_there_is_no_more(tmp_path, monkeypatch):
    """No descriptors, no room: it says which."""
    with Canary(str(tmp_path)) as canary:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            used = {int(fd) for fd in os.listdir("/proc/self/fd")}
            free = (fd for fd in itertools.count() if fd not in used)  # there may be gaps
            resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, 4, None)), limits[1]))
            with pytest.raises(Disturbed, match="Too many open files; raise the limit"):
                canary.check()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        with pytest.raises(Disturbed, match="No space left on device; free some space"):
            canary.check()


def test_a_canary_that_cannot_be_made(tmp_path, monkeypatch):
    """Without a shared memory folder it says why, and whoever needs none is judged; without a
    runtime directory there is none.
    """
    monkeypatch.setattr(segment, "SHM_FOLDER", str(tmp_path / "nowhere"))
    with Canary(str(tmp_path)) as canary:
        assert "No such file or directory" in canary.refused
        canary.check()
    with pytest.raises(Disturbed, match="cannot be used: No such file"):
        Canary(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(("change", "told"), [(os.unlink, "is gone"), (lambda path: os.truncate(path, 9), "resized")])
def test_a_canary_watches_an_object(tmp_path, change, told):
    """An object that vanishes or shrinks is named, unless nobody watches it any more."""
    path = tmp_path / "object"
    path.write_bytes(b"1234")
    with Canary(str(tmp_path)) as canary:
        canary.watch(str(path))
        canary.check()
        change(path)
        with pytest.raises(Disturbed, match=f"{path} of the segment .*{told}"):
            canary.check()
        canary.watch(None)
        canary.check()


# -- runs ------------------------------------------------------------------------------------------


def test_an_object_that_vanishes(stress):
    """Somebody unlinks the segment's object, and the next worker cannot attach."""

    def unlink(progress, runtime_dir):
        if progress.operations and os.path.exists(path := object_of(runtime_dir, 0)):
            os.unlink(path)

    with pytest.raises(Disturbed, match=r"/ShM\.\w+ of the segment is gone"):
        stress(operations=None, seconds=600, plan=Plan(kills=50), processes=1, tell=unlink)


def test_a_full_folder_at_a_restart(stress, monkeypatch):
    """There is no room for the segment's next generation."""
    create = Owner._create

    def full(owner):
        if owner._provider.generation:
            raise slotmem.NoSpace("it cannot hold it") from OSError(errno.ENOSPC, "No space left on device")
        return create(owner)

    monkeypatch.setattr(Owner, "_create", full)
    with pytest.raises(Disturbed, match="the owner could not restart: it cannot hold it"):
        stress(operations=None, seconds=600, plan=Plan(restarts=20), processes=1, start="fork")


def test_workers_that_somebody_ends(stress):
    """A worker that got a SIGKILL which the run did not send is not accused; nothing is left."""

    seen = set()

    def end(progress, runtime_dir):
        seen.add(runtime_dir)
        if progress.operations:
            for child in multiprocessing.active_children():
                child.kill()

    with pytest.raises(Disturbed, match="was ended by SIGKILL, which this run did not send"):
        stress(operations=None, seconds=600, processes=1, tell=end)
    assert multiprocessing.active_children() == []
    assert objects_of(*seen) == []


@pytest.mark.parametrize(
    ("code", "has_started", "is_environment"),
    [(1, False, True), (1, True, False), (-signal.SIGTERM, True, True), (-signal.SIGSEGV, True, False)],
)
def test_how_a_worker_died(code, has_started, is_environment):
    """One that did not start, or was ended, died of the machine; one that crashed did not."""
    process = type("Process", (), {"exitcode": code})
    dead = Worker(process, None, 0, (7,))
    dead.ready_in = 0 if has_started else -1
    assert _died(dead).is_environment == is_environment


def test_a_client_without_memory(tmp_path):
    """An operation that ends for want of memory is the machine's; one that says something else is
    not.
    """

    class Instance:
        def __init__(self, error):
            self.error = error

        def __getattr__(self, name):
            return self.fail

        def fail(self, *_):
            raise self.error

    board = worker.map_board(worker.make_board(str(tmp_path)))
    board[worker.ROUND] = 1
    rules, order = worker.Rules(1, 8, (("grab", 1),), 0), worker.Round(1, str(tmp_path), 0)
    for number, error, is_environment in ((1, MemoryError(), True), (2, ZeroDivisionError(), False)):
        broken = worker.work_round(Instance(error), [worker.Client(number, rules)], (0,), board, order)
        assert broken.is_environment == is_environment
