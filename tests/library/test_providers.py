"""What both providers do: create, attach, restart, close, the default provider, provider
strings.
"""

import ctypes
import gc
import os
import subprocess
import sys

import pytest

import slotmem
from slotmem import Closed, Instance, Outcome, Provider, Type


@pytest.fixture(params=["shm", "plain"])
def provider(request, tmp_path):
    with slotmem.provider(request.param, runtime_dir=tmp_path) as opened:
        yield opened


def test_protocols(provider):
    """Both providers and their instances have the whole interface."""
    assert isinstance(provider, Provider)
    assert isinstance(provider.create("a", 8, 2), Instance)


def test_create_shapes(provider):
    """CREATE-1, CREATE-2, CREATE-4: a segment has the shape asked for, zeros included, and begins
    free and zero.
    """
    for item_size, item_num in [(8, 3), (0, 4), (5, 0), (0, 0)]:
        instance = provider.create(f"s{item_size}-{item_num}", item_size, item_num, Type.PREGRAB)
        assert (instance.slot_size(), instance.num_slots()) == (item_size, item_num)
        assert instance.num_free_slots() == item_num
        assert [bytes(instance.dptr(i)) for i in range(item_num)] == [bytes(item_size)] * item_num


def test_create_again(provider):
    """CREATE-3, ATTACH-2: create and attach of a name that this server has give the same
    instance.
    """
    first = provider.create("a", 8, 2, Type.PREGRAB)
    assert provider.create("a", 99, 99) is first
    assert provider.attach("a") is first


def test_attach_errors(provider):
    """ATTACH-3, ATTACH-4: what nobody created is APR_ENOENT, anonymous memory APR_ENOSHMAVAIL."""
    with pytest.raises(slotmem.NoSegment, match="create it"):
        provider.attach("nobody")
    for name in ("", "none"):
        with pytest.raises(slotmem.NoSharedMemory) as caught:
            provider.attach(name)
        assert caught.value.status.name == "APR_ENOSHMAVAIL"


def test_fgrab_twice(provider):
    """FGRAB-2: fgrab of a slot in use succeeds and counts nothing."""
    instance = provider.create("a", 8, 3, Type.PREGRAB)
    instance.fgrab(1)
    instance.fgrab(1)
    assert (instance.num_free_slots(), list(instance.slots())) == (2, [1])


def test_partial_lengths(provider):
    """GET-3, PUT-3: shorter lengths move just that many bytes."""
    instance = provider.create("a", 4, 1)
    instance.put(0, b"abcd")
    instance.put(0, b"XY")
    assert instance.get(0, 3) == b"XYc"
    assert instance.get(0) == b"XYcd"


def test_doall_order_and_stop(provider):
    """DOALL-1, DOALL-3: the walk goes upwards, hands on `data`, and ends with the first status
    other than success.
    """
    instance = provider.create("a", 1, 4, Type.PREGRAB)
    for letter in b"abcd":
        instance.put(instance.grab(), bytes([letter]))
    instance.release(1)
    seen = []

    def callback(memory, data):
        data.append(bytes(memory))
        return 7 if memory == b"c" else None

    assert instance.doall(callback, seen) == 7
    assert seen == [b"a", b"c"]
    assert instance.doall(lambda memory, data: 0) == slotmem.Status.APR_SUCCESS


def test_doall_needs_a_function(provider):
    """DOALL-1: what cannot be called is refused, also where there is no slot to call it on."""
    for instance in (provider.create("table", 4, 3), provider.create("empty", 4, 0)):
        with pytest.raises(slotmem.WrongType, match="doall takes a function of a slot's memory and data, got 5"):
            instance.doall(5)


def test_dptr_is_the_memory_itself(provider):
    """DPTR-1: what is written through dptr a get reads, and the other way round; it outlives the
    instance harmlessly.
    """
    instance = provider.create("a", 4, 2)
    pointer = instance.dptr(1)
    pointer[:] = b"wxyz"
    assert instance.get(1) == b"wxyz"
    instance.put(1, b"1")
    assert bytes(pointer) == b"1xyz"
    instance.close()
    gc.collect()
    pointer[:] = b"last"
    assert bytes(pointer) == b"last"


def test_view(provider):
    """A ctypes structure lies over the slot's memory; one that is too large, or no structure, is
    refused.
    """

    class Point(ctypes.Structure):
        _fields_ = (("x", ctypes.c_int32), ("y", ctypes.c_int32))

    instance = provider.create("a", 8, 2)
    point = instance.view(1, Point)
    point.x, point.y = 1, -1
    assert instance.get(1) == bytes(Point(1, -1))
    with pytest.raises(slotmem.InvalidSize, match="Point has 8 bytes, a slot 4"):
        provider.create("b", 4, 1).view(0, Point)
    with pytest.raises(slotmem.WrongType, match="Structure"):
        instance.view(0, int)


def test_restart_ends_everything(provider):
    """RESTART-1 to RESTART-3: a restart ends every instance and name, and begins the next
    generation.
    """
    instance = provider.create("a", 4, 1)
    anonymous = provider.create(None, 4, 1)
    provider.restart()
    assert provider.generation == 1
    for ended in (instance, anonymous):
        with pytest.raises(Closed, match="closed or restarted"):
            ended.grab()
    with pytest.raises(slotmem.NoSegment):
        provider.attach("a")
    assert provider.create("a", 4, 1) is not instance


def test_everything_closed_says_so(provider):
    """ID-2: every call on a closed instance raises Closed, kept bound methods and counters
    included.
    """
    instance = provider.create("a", 4, 2)
    instance.fgrab(0)
    kept = [instance.grab, lambda: instance.get(0), instance.num_free_slots, lambda get=instance.get: get(0)]
    calls = [
        *kept,
        instance.num_slots,
        instance.slot_size,
        lambda: instance.put(0, b""),
        lambda: instance.fgrab(0),
        lambda: instance.release(0),
        lambda: instance.dptr(0),
        lambda: instance.doall(print),
        lambda: list(instance.slots()),
        lambda: instance.view(0, ctypes.Structure),
        instance.__enter__,
    ]
    instance.close()
    instance.close()
    for call in calls:
        with pytest.raises(Closed) as caught:
            call()
        assert caught.value.status.name == "APR_ENOSHMAVAIL"
    assert "closed" in repr(instance)
    provider.close()
    provider.close()
    for call in (
        provider.restart,
        lambda: provider.create("a", 1, 1),
        lambda: provider.attach("a"),
        provider.__enter__,
    ):
        with pytest.raises(Closed, match="make a new one"):
            call()


def test_repr(provider):
    """The repr tells name, shape, flags and state."""
    instance = provider.create("a", 4, 2, Type.PREGRAB | Type.CLEARINUSE)
    assert repr(instance) == "<slotmem 'a': 2 slots of 4 bytes, PREGRAB|CLEARINUSE, created here>"
    assert "generation 0, 1 segments" in repr(provider)


def test_bytes_like_objects(provider):
    """put takes any bytes-like object, contiguous or not, and nothing else."""
    instance = provider.create("a", 4, 1)
    for data in (bytearray(b"ab"), memoryview(b"axbx")[::2], (ctypes.c_char * 2)(b"a", b"b")):
        instance.put(0, bytes(4))
        instance.put(0, data)
        assert instance.get(0) == b"ab\0\0"
    for data in ("ab", 2, None, [1, 2]):
        with pytest.raises(slotmem.WrongType, match="bytes-like"):
            instance.put(0, data)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"generation": -1}, slotmem.InvalidArgument, "from 0"),
        ({"generation": "1"}, slotmem.WrongType, "int"),
        ({"timeout_s": -1}, slotmem.InvalidArgument, "0 or more"),
        ({"timeout_s": "soon"}, slotmem.WrongType, "seconds"),
        ({"runtime_dir": 7}, slotmem.WrongType, "path"),
        ({"runtime_dir": "nul\0byte"}, slotmem.InvalidName, "NUL"),
        ({"runtime_dir": "\ud800"}, slotmem.InvalidName, "cannot be encoded"),
        (
            {"runtime_dir": "/proc/nowhere"},
            slotmem.SlotmemError,
            r"cannot be made: .* choose another with runtime_dir or",
        ),
        ({"runtime_dir": __file__}, slotmem.InvalidName, "not a folder"),
        ({"colour": "red"}, slotmem.InvalidArgument, "colour"),
    ],
)
def test_bad_options(options, error, says, tmp_path):
    """A provider refuses options it cannot use, by name."""
    with pytest.raises(error, match=says):
        slotmem.provider("shm", **{"runtime_dir": tmp_path, **options})


def test_provider_strings(tmp_path):
    """A provider string names a provider that is known, and an argument only where one is taken."""
    with pytest.raises(slotmem.InvalidArgument, match=r"known: .*plain, shm"):
        slotmem.provider("nosuch")
    with pytest.raises(slotmem.InvalidArgument, match="takes no argument"):
        slotmem.provider("shm:argument", runtime_dir=tmp_path)
    with pytest.raises(slotmem.WrongType, match="'shm'"):
        slotmem.provider(7)


@pytest.mark.parametrize("flags", [16, -1, "PREGRAB", True])
def test_bad_flags(provider, flags):
    """Flags that are not known are refused."""
    with pytest.raises((slotmem.InvalidArgument, slotmem.WrongType), match="type"):
        provider.create("a", 1, 1, flags)


def test_the_default_provider_stores_at_exit(tmp_path):
    """slotmem.create and attach use $SLOTMEM_RUNTIME_DIR; what is persistent is stored when the
    interpreter ends.
    """
    script = """
import slotmem
table = slotmem.create("table", 4, 2, slotmem.Type.PERSIST)
assert slotmem.attach("table") is table
print(table.restored.outcome.name, table.get(0))
table.put(0, b"kept")
"""
    said = []
    for _ in range(2):
        environment = {**os.environ, "SLOTMEM_RUNTIME_DIR": str(tmp_path / "run")}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        said.append(done.stdout.strip())
    assert said == [r"NO_FILE b'\x00\x00\x00\x00'", "RESTORED b'kept'"]
    assert oct((tmp_path / "run").stat().st_mode)[-3:] == "700"


def test_the_default_folder_is_private(tmp_path, monkeypatch):
    """Without argument and variable the runtime directory is this user's own, and one that others
    can write is refused.
    """
    monkeypatch.delenv("SLOTMEM_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with slotmem.provider("plain") as opened:
        assert opened.runtime_dir == str(tmp_path / "slotmem")
    (tmp_path / "slotmem").chmod(0o777)
    with pytest.raises(slotmem.AccessDenied, match="mode 0777"):
        slotmem.provider("plain")


def test_not_persistent_outcome(provider):
    """Without PERSIST `restored` says so, and is false."""
    restored = provider.create("a", 1, 1).restored
    assert restored.outcome is Outcome.NOT_PERSISTENT
    assert not restored
