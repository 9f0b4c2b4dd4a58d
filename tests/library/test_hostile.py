"""Bad input, planted files, forged bytes, other users: each refused by an error of its own, and
nothing else changes.
"""

import mmap
import os
import re
import socket
import stat
import struct
from contextlib import suppress
from functools import partial

import pytest

import slotmem
from slotmem import Type
from slotmem.memory import control
from slotmem.memory.layout import DESCRIPTOR_START, MAX_BYTES, MAX_ITEM_NUM
from slotmem.memory.segment import SHM_FOLDER
from slotmem_model.stored_bytes import persisted
from tools.crashing import OPERATIONS, Trial, exercise
from tools.crashing_calls import BAD, FLAGS, NEW, OLD, create, file_of, object_of, write
from tools.hostile import is_unlocked, look_at, open_provider, refused


@pytest.fixture(params=["shm", "plain"])
def provider(request, tmp_path):
    with slotmem.provider(request.param, runtime_dir=tmp_path) as opened:
        yield opened


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [Type.PREGRAB, Type(0)], ids=["pregrab", "plain"])
@pytest.mark.parametrize(
    ("item_id", "error", "says"),
    [
        *[
            (number, slotmem.SlotOutOfRange, r"slot .* is out of range: the segment has 3 slots \(0\.\.2\)")
            for number in (-1, 3, 2**31, 2**64)
        ],
        *[(thing, slotmem.WrongType, "a slot id must be an int, got") for thing in ("0", 1.0, None, True, b"\0", [0])],
    ],
)
def test_bad_ids(item_id, error, says, flags, provider):
    """ID-1: an id out of range, or of a wrong type, is refused by every operation, and nothing
    changes.
    """
    instance = provider.create("table", 4, 3, flags)
    before = instance.algorithm().snapshot()
    for operation in (
        *[instance.fgrab, instance.release, instance.get, instance.dptr],
        *[
            lambda bad: instance.get(bad, 2),
            lambda bad: instance.put(bad, b"x"),
            lambda bad: instance.put(bad, b"far too long"),
        ],
    ):
        with refused(error, says, status="APR_EINVAL"):
            operation(item_id)
    assert instance.algorithm().snapshot() == before


@pytest.mark.parametrize(
    ("nbytes", "error", "says"),
    [
        *[
            (number, slotmem.LengthOutOfRange, "do not fit: a slot holds 0..4 bytes")
            for number in (-1, 5, 2**63, -(2**70))
        ],
        *[(thing, slotmem.WrongType, "a length must be an int, got") for thing in ("4", 4.0, True, b"")],
    ],
)
def test_bad_lengths(nbytes, error, says, provider):
    """GET-5, PUT-5: a negative or over-long length, or a wrong type, is refused, and nothing is
    marked or copied.
    """
    instance = provider.create("table", 4, 3)
    with refused(error, says, status="APR_EINVAL"):
        instance.get(0, nbytes)
    for data in (b"12345", bytearray(5), memoryview(bytes(2**20))):
        with refused(slotmem.LengthOutOfRange, "do not fit", status="APR_EINVAL"):
            instance.put(0, data)
    assert instance.algorithm().snapshot() == struct.pack("=II", 3, 0) + bytes(15)


@pytest.mark.parametrize(
    ("item_size", "item_num", "error", "says"),
    [
        (2**62, 2, slotmem.InvalidSize, f"more than {MAX_BYTES} bytes"),
        (2**64, 1, slotmem.InvalidSize, "ask for fewer"),
        (1, 2**32, slotmem.InvalidSize, f"hold {MAX_ITEM_NUM} at most"),
        (-1, 1, slotmem.InvalidSize, "cannot be negative"),
        (1, -1, slotmem.InvalidSize, "cannot be negative"),
        ("4", 1, slotmem.WrongType, "item_size must be an int, got '4'"),
        (4, 1.0, slotmem.WrongType, "item_num must be an int, got 1.0"),
        (True, 1, slotmem.WrongType, "item_size must be an int"),
    ],
)
def test_bad_sizes(item_size, item_num, error, says, provider, tmp_path):
    """CREATE-9: a size that overflows 64 bits, is negative or no integer is refused, and nothing is
    made.
    """
    with refused(error, says, status="APR_EINVAL", unchanged=[object_of(tmp_path)]):
        provider.create("table", item_size, item_num, FLAGS)
    assert os.listdir(tmp_path) == []


def test_more_than_the_machine_holds(provider, tmp_path):
    """CREATE-9: a size that nothing here can hold is refused at create, with what is needed, and
    nothing is left.
    """
    info = os.statvfs(SHM_FOLDER)
    for item_size in (info.f_frsize * info.f_blocks + 1, 2**61):
        with refused(slotmem.NoSpace, "ask for fewer", status="APR_ENOSPC", unchanged=[object_of(tmp_path)]):
            # plain memory is overcommitted: only what no address space holds can be refused
            provider.create("table", item_size if type(provider).__name__ == "ShmProvider" else 2**61, 1)
    assert exercise(provider.create("table", 4, 3).algorithm()) == ""


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..", "nul\0byte", "/nul\0byte", "\ud800", "x" * 300])
def test_bad_names(name, provider, tmp_path):
    """NAME-7: a name that climbs out, has a NUL byte or no encoding, or is too long is refused by
    create and attach.
    """
    for operation in (lambda: provider.create(name, 4, 1, FLAGS), lambda: provider.attach(name)):
        with refused(slotmem.InvalidName, "the name '", status="APR_EINVAL"):
            operation()
    for wrong in (b"table", 7, ["table"]):
        with refused(slotmem.WrongType, "must be a str or None", status="APR_EINVAL"):
            provider.create(wrong, 4, 1)
    assert os.listdir(tmp_path) == []


def test_walks_and_pointers_kept_after_the_close(provider):
    """ID-2: doall and dptr that somebody kept, even of an empty segment, say that it is closed; a
    walk stops there.
    """
    for number, flags in ((3, Type(0)), (3, Type.PREGRAB), (0, Type(0))):
        instance = provider.create(f"table-{number}-{flags}", 4, number, flags)
        kept = [partial(instance.doall, print), partial(instance.dptr, 0), partial(instance.algorithm().dptr, 0)]
        instance.close()
        for operation in kept:
            with refused(slotmem.Closed, "was closed here", status="APR_ENOSHMAVAIL"):
                operation()
    instance = provider.create("walked", 4, 3)
    seen = []
    with refused(slotmem.Closed, "was closed here"):
        instance.doall(lambda memory, data: seen.append(bytes(memory)) or instance.close())
    assert len(seen) == 1


# -- what stands at our paths ----------------------------------------------------------------------


def plant_symlink(place, victim):
    os.symlink(victim, place)


def plant_hard_link(place, victim):
    folder = os.path.dirname(place)
    other = os.path.join(folder, f"{os.path.basename(place)}.victim")  # on the same file system
    os.link(victim, place) if os.stat(victim).st_dev == os.stat(folder).st_dev else _twice(place, other)


def _twice(place, other):
    with open(other, "xb") as file:
        file.write(b"precious")
    os.link(other, place)


def plant_fifo(place, victim):
    os.mkfifo(place, 0o600)


def plant_folder(place, victim):
    os.mkdir(place)


def plant_socket(place, victim):
    here = os.getcwd()
    os.chdir(os.path.dirname(place))  # the address of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as planted:
            planted.bind(os.path.basename(place))
    finally:
        os.chdir(here)


PLANTS = [
    (plant_symlink, "is a symlink, expected a plain file: somebody planted it; remove it"),
    (plant_fifo, "is a FIFO, expected a plain file"),
    (plant_folder, "is a folder, expected a plain file"),
    (plant_socket, "is a socket or device, expected a plain file"),
]
HARD_LINK = (plant_hard_link, "has 2 names, expected one: somebody linked")


@pytest.fixture
def victim(tmp_path):
    """A file that must not be touched."""
    place = tmp_path / "victim"
    place.write_bytes(b"precious")
    return str(place)


@pytest.mark.parametrize(("plant", "says"), [*PLANTS, HARD_LINK])
def test_planted_at_the_object(plant, says, tmp_path, path, victim):
    """ATTACH-6: what is not a plain file of one name at the object's path is refused by create and
    attach, untouched.
    """
    plant(path, victim)
    with open_provider(tmp_path) as provider:
        for operation in (
            *[lambda: provider.attach("table"), lambda: provider.attach("table", unsafe=True)],
            *[lambda: create(provider), lambda: create(provider, replace=True)],
        ):
            with refused(slotmem.Planted, says, status="APR_EACCES", unchanged=[path, victim]):
                operation()
    with suppress(FileNotFoundError):
        os.unlink(f"{path}.victim")


def test_planted_at_the_object_of_a_live_segment(tmp_path, path, victim):
    """ATTACH-6: what somebody put in the place of a live segment's object is left alone when that
    ends.
    """
    with open_provider(tmp_path) as provider:
        create(provider)
        os.unlink(path)
        os.symlink(victim, path)
        before = look_at(path)
    assert look_at(path) == before
    assert file_of(tmp_path).exists()


@pytest.mark.parametrize(("plant", "says"), PLANTS)
def test_planted_at_the_persisted_file(plant, says, tmp_path, victim):
    """RESTORE-4: what is not a plain file at the place of the persisted file is refused at create,
    and nothing is made.
    """
    file = str(file_of(tmp_path))
    plant(file, victim)
    with open_provider(tmp_path) as provider:
        with refused(slotmem.Planted, says, status="APR_EACCES", unchanged=[file, victim, object_of(tmp_path)]):
            create(provider)
        assert not os.path.exists(object_of(tmp_path))


def test_a_folder_appears_at_the_persisted_file(tmp_path):
    """STORE-4: a folder that comes to stand at the file's path is named at the store; the segment
    lives until it is gone.
    """
    provider = open_provider(tmp_path)
    instance = create(provider)
    write(instance, NEW)
    file_of(tmp_path).mkdir()
    with refused(slotmem.Planted, "is a folder", status="APR_EACCES"):
        provider.restart()
    assert sorted(os.listdir(tmp_path)) == [file_of(tmp_path).name, "slotmem-shm-table_0.shm.owner"]
    assert instance.get(0) == b"new0"
    file_of(tmp_path).rmdir()
    provider.close()
    assert file_of(tmp_path).read_bytes() == persisted(NEW, FLAGS)


@pytest.mark.parametrize(("plant", "says"), [*PLANTS, HARD_LINK])
def test_planted_at_the_new_file(plant, says, tmp_path, victim, caplog):
    """STORE-4: what somebody planted where the new file is written is neither followed nor
    overwritten, and keeps nobody from storing.
    """
    fresh = f"{file_of(tmp_path)}.new"
    with open_provider(tmp_path) as provider:
        write(create(provider), NEW)
        plant(fresh, victim)
        before = [look_at(place) for place in (fresh, victim)]
    assert [look_at(place) for place in (fresh, victim)] == before
    assert file_of(tmp_path).read_bytes() == persisted(NEW, FLAGS)
    assert re.search(f"{says}.* is used instead", caplog.text)
    assert {name for name in os.listdir(tmp_path) if ".new-" in name} == set()
    assert not os.path.exists(object_of(tmp_path))


def test_a_hard_link_at_the_persisted_file(tmp_path, victim):
    """STORE-4: a persisted file that is another file's second name is replaced, never written
    through.
    """
    os.link(victim, file_of(tmp_path))
    with open_provider(tmp_path) as provider:
        assert create(provider).restored.outcome is slotmem.Outcome.SET_ASIDE
    with open(victim, "rb") as file:
        assert file.read() == b"precious"


def test_a_remainder_of_a_store_is_used_up(tmp_path):
    """STORE-4: a new file that a crash left is overwritten by the next store, whatever is in it."""
    fresh = file_of(tmp_path).with_name(f"{file_of(tmp_path).name}.new")
    fresh.write_bytes(b"left behind " * 100)
    fresh.chmod(0o644)
    with open_provider(tmp_path) as provider:
        write(create(provider), NEW)
    assert file_of(tmp_path).read_bytes() == persisted(NEW, FLAGS)
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600
    assert not fresh.exists()


def test_a_bad_file_that_cannot_be_set_aside(tmp_path, monkeypatch):
    """RESTORE-3: if a bad file cannot be kept under another name, create says so, overwrites
    nothing and leaves nothing.
    """
    file_of(tmp_path).write_bytes(BAD)
    with open_provider(tmp_path) as provider:
        with monkeypatch.context() as patch:
            link = os.link

            def no_link(source, target, **options):
                if not target.startswith(SHM_FOLDER):
                    raise PermissionError(13, "Permission denied")
                link(source, target, **options)

            patch.setattr(os, "link", no_link)
            with refused(slotmem.AccessDenied, "cannot be kept under another name", unchanged=[str(file_of(tmp_path))]):
                create(provider)
        assert not os.path.exists(object_of(tmp_path))
        assert create(provider).restored.outcome is slotmem.Outcome.SET_ASIDE


# -- bytes that are not ours, or no longer ---------------------------------------------------------


@pytest.fixture
def remainder(tmp_path, path):
    """The object of a server that is gone, to be spoilt."""
    gone = open_provider(tmp_path)
    write(create(gone), OLD)
    gone.abandon()
    return path


def spoil(place, offset, data):
    with open(place, "r+b") as file:
        file.seek(offset)
        file.write(data)


SHAPE = control.shape_of(4, 3, FLAGS)
CONTROL = SHAPE.control_start
HEADER = {
    "APR's length": (0, b"\x2e", slotmem.Forged, "do not agree"),
    "APR's length, huge": (0, b"\xff" * 8, slotmem.Forged, "do not agree"),
    "item_size": (DESCRIPTOR_START, b"\5", slotmem.Forged, "do not agree"),
    "item_size, huge": (DESCRIPTOR_START, b"\xff" * 8, slotmem.Forged, "do not agree"),
    "item_num": (DESCRIPTOR_START + 8, b"\4", slotmem.Forged, "do not agree"),
    "item_num, huge": (DESCRIPTOR_START + 8, b"\xff" * 4, slotmem.Forged, "do not agree"),
    "type": (DESCRIPTOR_START + 12, b"\1", slotmem.Forged, "a different shape"),
    "agreeing but large": (0, struct.pack("=QQII", 32 + 5 * 2**20, 2**20 * 4, 1, 5), slotmem.Forged, "do not agree"),
    "agreeing but larger than the object": (
        0,
        struct.pack("=QQII", 32 + 2**40 + 1, 2**40, 1, 5),
        slotmem.Truncated,
        "its header asks for",
    ),
    "version": (CONTROL + 8, b"\1", slotmem.Forged, "of version 1, but this is version 2"),
    "stripes": (CONTROL + 12, b"\7", slotmem.Forged, "a different shape"),
    "boot id": (CONTROL + 16, b"other boot", slotmem.OtherBoot, "before the last reboot"),
    "pid namespace": (CONTROL + 32, b"\1", slotmem.OtherNamespace, "run both in one pid namespace"),
    "total": (CONTROL + 56, b"\1", slotmem.Forged, "a different shape"),
    "item_size again": (CONTROL + 64, b"\5", slotmem.Forged, "a different shape"),
    "item_num again": (CONTROL + 72, b"\4", slotmem.Forged, "a different shape"),
    "type again": (CONTROL + 76, b"\1", slotmem.Forged, "a different shape"),
}


@pytest.mark.parametrize("field", HEADER)
def test_forged_headers(field, tmp_path, remainder):
    """ATTACH-5, ATTACH-7: a header that contradicts itself, of another boot or pid namespace, is
    refused, and no lock stays.
    """
    offset, data, error, says = HEADER[field]
    spoil(remainder, offset, data)
    with open_provider(tmp_path) as provider:
        with refused(error, says, status="APR_EMISMATCH", unchanged=[remainder]) as caught:
            provider.attach("table")
        assert is_unlocked(remainder)
        assert caught.value.__traceback__ is not None  # it is still referenced here, and so are its frames
        assert exercise(create(provider, replace=True).algorithm()) == ""


def test_every_bit_of_the_headers(tmp_path, remainder):
    """ATTACH-5: with any byte of the headers changed, attach refuses, or sees the same shape as
    before.
    """
    with open(remainder, "rb") as file:
        whole = file.read()
    refusals = 0
    with open_provider(tmp_path) as provider:
        for offset in [*range(24), *range(CONTROL, CONTROL + 128)]:
            spoil(remainder, offset, bytes([whole[offset] ^ 0x81]))
            try:
                instance = provider.attach("table")
                assert (instance.num_slots(), instance.slot_size(), instance.type) == (3, 4, FLAGS)
                instance.close()
            except slotmem.Mismatch:
                refusals += 1
            assert is_unlocked(remainder)
            spoil(remainder, offset, whole[offset : offset + 1])
        assert provider.attach("table").get(0) == b"old0"
    assert refusals >= 24 + 4 + 4 + 16 + 8 + 8 + 8 + 4 + 4


@pytest.mark.parametrize("size", [0, 1, 31, 32, 46, SHAPE.total - 1])
def test_truncated_objects(size, tmp_path, remainder):
    """ATTACH-5: an object with fewer bytes than it says is refused; create says how to insist, and
    then replaces it.
    """
    os.truncate(remainder, size)
    with open_provider(tmp_path) as provider:
        with refused(slotmem.Truncated, f"has {size} bytes", status="APR_EMISMATCH", unchanged=[remainder]):
            provider.attach("table")
        assert is_unlocked(remainder)
        if size < SHAPE.apr_length:
            with refused(slotmem.SegmentExists, "replace=True", status="APR_EEXIST", unchanged=[remainder]) as caught:
                create(provider)
            assert "nobody can tell whether it is in use, nor attach it" in str(caught.value)
        assert exercise(create(provider, replace=True).algorithm()) == ""


def test_forged_mutexes(tmp_path, remainder):
    """ATTACH-5: a mutex of another kind, with which the C library would end the process, is refused
    at attach.
    """
    with open(remainder, "rb") as file:
        whole = file.read()
    with open_provider(tmp_path) as provider:
        for which in range(SHAPE.mutexes):
            kind = SHAPE.mutexes_start + which * 64 + 16
            for change in (0x01, 0x20, 0x30, 0x40, 0x80, 0xFF):
                spoil(remainder, kind, bytes([whole[kind] ^ change]))
                with refused(slotmem.Forged, f"mutex {which} of segment 'table' is not a mutex", unchanged=[remainder]):
                    provider.attach("table")
            assert is_unlocked(remainder)
            spoil(remainder, kind, whole[kind : kind + 4])
        provider.attach("table").close()


def test_cut_short_while_it_is_attached(tmp_path, remainder, monkeypatch):
    """ATTACH-5: whenever somebody truncates an object that is being attached, that is an error,
    never a signal.
    """
    with open(remainder, "rb") as file:
        whole = file.read()
    calls = [(os, "fstat"), (os, "pread"), (os, "lstat"), (mmap, "mmap"), (control, "check_control")]
    outcomes = []
    with open_provider(tmp_path) as provider:
        cut = True
        while cut:
            steps = iter([False] * len(outcomes) + [True])
            with monkeypatch.context() as patch:
                for module, name in calls:
                    patch.setattr(module, name, _cutting(getattr(module, name), remainder, steps))
                try:
                    provider.attach("table")
                    outcomes.append(None)
                except slotmem.Mismatch as error:
                    outcomes.append(type(error))
            cut = next(steps, None) is None
            spoil(remainder, 0, whole)
    assert outcomes[-1] is None
    assert slotmem.Truncated in outcomes
    assert len(outcomes) > 6


def _cutting(call, place, steps):
    def cut_and_call(*arguments, **options):
        if next(steps, False):
            os.truncate(place, 0)
        return call(*arguments, **options)

    return cut_and_call


def test_reading_a_foreign_segment_takes_no_memory(tmp_path, path):
    """FOREIGN-1: a segment of httpd's with one slot larger than this process's memory is attached
    for reading.
    """
    item_size = 2**44
    with open(path, "xb") as file:
        file.truncate(32 + item_size + 1)
        file.write(struct.pack("=QQIII", 32 + item_size + 1, item_size, 1, 4, 1))
    with open_provider(tmp_path) as provider:
        attached = provider.attach("table")
        assert (attached.num_free_slots(), list(attached.slots())) == (1, [])
        attached.close()


def test_alive_where_it_cannot_be_attached(tmp_path, remainder):
    """CREATE-5: of a live segment that attach would refuse here, create says why, and does not
    advise to attach it.
    """
    with open_provider(tmp_path) as user, open_provider(tmp_path) as provider:
        kept = user.attach("table")
        with refused(slotmem.SegmentExists, "has it open; attach it, end that process"):
            create(provider)
        spoil(remainder, CONTROL + 32, b"\1")
        with refused(slotmem.SegmentExists, "cannot attach it: .* run both in one pid namespace; or end that process"):
            create(provider)
        kept.close()


def test_forged_magic_is_a_foreign_segment(tmp_path, remainder):
    """FOREIGN-1, FOREIGN-2: without our magic it is as httpd's: to be read only, and create does
    not judge its life.
    """
    spoil(remainder, CONTROL, b"X")
    with open_provider(tmp_path) as provider:
        attached = provider.attach("table")
        assert "for reading only" in repr(attached)
        assert attached.get(0) == b"old0"
        with refused(slotmem.ReadOnly, "unsafe=True", status="APR_EACCES", unchanged=[remainder]):
            attached.put(0, b"x")
        with refused(slotmem.SegmentExists, "without a control block", status="APR_EEXIST", unchanged=[remainder]):
            create(provider)
        attached.close()


@pytest.mark.parametrize(("item", "nbytes"), [(5, 9), (1, 10), (2**63, 1), (1, 2**63), (2**64 - 1, 2**64 - 1)])
def test_forged_redo_records(item, nbytes):
    """KILL-2: a redo record that cannot be is not carried out: whoever finds it is told so."""
    case = next(case for case in OPERATIONS if case.operation[0] == "put" and case.state.pregrab)
    trial = Trial(case.state)
    assert trial.kill_at(case.operation, 3)
    word = trial.image.redo_start // 8
    trial.image.words[word], trial.image.words[word + 1] = item, nbytes
    before = trial.image.memory[: trial.image.geometry.apr_length]
    slots = trial.slots()
    for operation in (lambda: slots.get(0), lambda: slots.put(0, b"x"), slots.snapshot, lambda: slots.get(0)):
        with refused(slotmem.Forged, "create the segment again", status="APR_EMISMATCH"):
            operation()
    assert trial.image.memory[: trial.image.geometry.apr_length] == before
    assert slots.grab() == 1  # the table has a lock of its own


def test_a_mutex_that_was_overwritten():
    """KILL-3: a mutex whose bytes were overwritten gives an error that says so, and no other lock
    suffers.
    """
    trial = Trial(OPERATIONS[1].state)
    start = trial.image.geometry.mutexes_start
    trial.image.memory[start : start + 64] = b"\x7f" * 64
    slots = trial.slots()
    for _ in range(2):
        with refused(slotmem.Unrecoverable, "its memory was overwritten", status="APR_EGENERAL"):
            slots.grab()
    assert slots.get(0) == trial.state.data[0]
