"""What Python programmers expect of an instance: len, items, structures, types, pickling."""

import ctypes
import pickle
import subprocess
import sys

import pytest

import slotmem
from slotmem import Type


class Point(ctypes.Structure):
    """Two numbers."""

    _fields_ = (("x", ctypes.c_int32), ("y", ctypes.c_int32))


class Other(ctypes.Structure):
    """One."""

    _fields_ = (("x", ctypes.c_int64),)


@pytest.fixture
def table():
    """Return four slots of ten bytes, two of them in use."""
    with slotmem.provider("plain") as provider:
        made = provider.create("table", 10, 4, Type.PREGRAB)
        for item_id in (1, 3):
            made.fgrab(item_id)
            made.put(item_id, bytes([item_id]) * 10)
        yield made


def test_len_and_items(table):
    """As many as there are slots; the pairs are those in use, and one released meanwhile is left
    out.
    """
    assert isinstance(table, slotmem.PythonInstance)
    assert len(table) == 4
    assert dict(table.items()) == {1: b"\1" * 10, 3: b"\3" * 10}
    walk = table.items()
    assert next(walk)[0] == 1
    table.release(3)
    assert list(walk) == []
    with slotmem.provider("plain") as provider:
        assert provider.create("nothing", 10, 0)


def test_typed(table):
    """A structure goes in and comes out by value; the rest of the slot stays."""
    points = table.typed(Point)
    points.put(1, Point(3, -4))
    got = points.get(1)
    assert (got.x, got.y) == (3, -4)
    got.x = 9
    assert points.get(1).x == 3
    assert table.get(1)[8:] == b"\1\1"

    def step(point):
        point.x += 1

    assert points.update(1, step).x == 4
    assert points.get(1).x == 4
    for call in (lambda: points.put(1, Other(1)), lambda: table.typed(int), lambda: table.typed(ctypes.Structure)):
        with pytest.raises(slotmem.WrongType):
            call()
    with pytest.raises(slotmem.InvalidSize, match="has 16 bytes, a slot 10"):
        table.typed(type("Large", (ctypes.Structure,), {"_fields_": (("a", ctypes.c_int64 * 2),)}))
    with pytest.raises(slotmem.NotInUse):
        points.update(0, step)


def test_an_instance_is_not_pickled(table):
    """It says how another process gets one."""
    with pytest.raises(slotmem.WrongType, match=r"send the name 'table' .*attach\(name\) over there"):
        pickle.dumps(table)


USES = """
import ctypes
import slotmem

class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int32),)

provider = slotmem.provider(runtime_dir="/nowhere")
table = slotmem.create("table", 8, 1)
reveal_type(provider)
reveal_type(slotmem.provider("plain"))
reveal_type(table)
reveal_type(provider.create("other", 8, 1).get(0))
reveal_type(table.grab())
reveal_type(table.compare_and_put(0, b"", b""))
reveal_type(table.typed(Point).get(0))
reveal_type(table.items())
"""
TYPES = [
    "slotmem.shm.ShmProvider",
    "slotmem.plain.PlainProvider",
    "slotmem.instance.SlotInstance",
    "bytes",
    "int",
    "bool",
    "user.Point",
    "typing.Iterator[tuple[int, bytes]]",
]


def test_types_are_complete(tmp_path):
    """mypy knows what a user's program gets."""
    (tmp_path / "user.py").write_text(USES)
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "user.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [
        line.split('"')[1].replace("builtins.", "") for line in ran.stdout.splitlines() if "Revealed type" in line
    ] == TYPES, ran.stdout
