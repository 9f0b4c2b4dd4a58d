"""What tests of bad input share: a look at a path, and an error that leaves everything as
it was.
"""

import fcntl
import os
import stat
from contextlib import contextmanager

import pytest

import slotmem

NOBODY = 65534


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def open_provider(folder, **options):
    return slotmem.provider("shm", runtime_dir=folder, **options)


def look_at(place):
    """Return all that must not change about a path."""
    if not os.path.lexists(place):
        return None
    info = os.lstat(place)
    plain = stat.S_ISREG(info.st_mode)
    content = os.readlink(place) if stat.S_ISLNK(info.st_mode) else None
    if plain:
        with open(place, "rb") as file:
            content = file.read()
    return info.st_ino, info.st_mode, info.st_uid, info.st_nlink, info.st_mtime_ns, content


def look_into(folder):
    return {name: look_at(os.path.join(folder, name)) for name in os.listdir(folder)}


@contextmanager
def refused(error, says, *, unchanged=(), status=None):
    """Expect an error with a message, and the paths as before."""
    before = [look_at(place) for place in unchanged]
    with pytest.raises(error, match=says) as caught:
        yield caught
    assert type(caught.value) is error
    assert status is None or caught.value.status.name == status
    assert [look_at(place) for place in unchanged] == before


def is_unlocked(place):
    """Return whether nobody holds the flock of an object."""
    with open(place, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
