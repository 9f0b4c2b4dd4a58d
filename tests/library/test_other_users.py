"""Other users' objects and files, folders without rights, and the modes of what is made."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

import slotmem
from slotmem_model.stored_bytes import persisted
from tools.crashing_calls import BAD, FLAGS, OLD, create, file_of, object_of
from tools.hostile import NOBODY, as_root, look_at, open_provider, refused

# -- other users, rights ---------------------------------------------------------------------------


def as_nobody(act):
    """Do something as another user, in a child; give what it raised, as text."""
    answers, answer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setegid(NOBODY)
            os.seteuid(NOBODY)
            act()
            os.write(answer, b"done")
        except BaseException as error:
            os.write(answer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(answer)
    said = b""
    while more := os.read(answers, 10_000):
        said += more
    os.close(answers)
    os.waitpid(child, 0)
    return said.decode()


@pytest.fixture
def shared_folder():
    """A folder that everybody may write to, as /tmp."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@as_root
def test_another_users_object(shared_folder):
    """ATTACH-6: another user's object is refused by create and attach, also by root, and stays as
    it is.
    """
    path = object_of(shared_folder)
    with open_provider(shared_folder) as owner:
        create(owner)
        before = look_at(path)
        for operation in (
            lambda: open_provider(shared_folder).attach("table"),
            lambda: create(open_provider(shared_folder)),
            lambda: create(open_provider(shared_folder), replace=True),
        ):
            said = as_nobody(operation)
            assert said.startswith("OtherUser: the object")
            assert f"belongs to user 0, but this process is user {NOBODY}; run as its owner" in said
        assert look_at(path) == before
        os.chown(path, NOBODY, NOBODY)
        with open_provider(shared_folder) as other:
            for operation in (lambda: other.attach("table"), lambda: create(other, replace=True)):
                with refused(slotmem.OtherUser, f"belongs to user {NOBODY}", status="APR_EACCES", unchanged=[path]):
                    operation()
        os.chown(path, 0, 0)


@as_root
def test_another_users_file(shared_folder):
    """RESTORE-4, STORE-4: a persisted file that another user put there is refused, a new one is
    left alone.
    """
    file = file_of(shared_folder)
    file.write_bytes(persisted(OLD, FLAGS))
    os.chown(file, NOBODY, NOBODY)
    with open_provider(shared_folder) as provider:
        with refused(slotmem.OtherUser, "the persisted file", status="APR_EACCES", unchanged=[str(file)]):
            create(provider)
        assert not os.path.exists(object_of(shared_folder))
        file.unlink()
        create(provider)
        fresh = f"{file}.new"
        with open(fresh, "xb"):
            os.chown(fresh, NOBODY, NOBODY)
        before = look_at(fresh)
        provider.close()
        assert look_at(fresh) == before
        assert file.exists()


@as_root
def test_folders_without_rights(shared_folder):
    """RESTORE-3, STORE-4: a folder that may not be written, or not be reached, is named at once,
    and a bad file in it is left alone.
    """
    closed = shared_folder / "closed"
    closed.mkdir(0o700)
    said = as_nobody(lambda: open_provider(closed / "below"))
    assert said.startswith(
        f"AccessDenied: the runtime directory {closed}/below cannot be made: Permission denied; check"
    )
    assert said.endswith("or choose another with runtime_dir or $SLOTMEM_RUNTIME_DIR")
    read_only = shared_folder / "read-only"
    read_only.mkdir(0o755)
    file_of(read_only).write_bytes(BAD)
    for place in (file_of(read_only), read_only):
        os.chown(place, NOBODY, NOBODY)
    read_only.chmod(0o500)
    said = as_nobody(lambda: create(open_provider(read_only)))
    assert said.startswith(
        f"AccessDenied: the file {file_of(read_only)}.new cannot be opened: Permission denied; check"
    )
    assert file_of(read_only).read_bytes() == BAD
    assert not os.path.exists(object_of(read_only))


@pytest.mark.parametrize("umask", [0, 0o077, 0o777])
def test_modes(umask, tmp_path, path):
    """CREATE-10: whatever the umask, folders are made with mode 0700, objects and files
    with 0600.
    """
    folder = tmp_path / "a" / "b"
    before = os.umask(umask)
    try:
        with open_provider(folder) as provider:
            create(provider)
            os.umask(0o022)
            assert stat.S_IMODE(os.stat(object_of(folder)).st_mode) == 0o600
            os.umask(umask)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file_of(folder).stat().st_mode) == 0o600
    assert {stat.S_IMODE(made.stat().st_mode) for made in (folder, folder.parent)} == {0o700}
