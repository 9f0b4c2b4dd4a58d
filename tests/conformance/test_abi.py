"""The provider `abi:`: a shared library behind slotmem_abi.h, called through ctypes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import slotmem
from slotmem import Status, Type
from slotmem_conformance.adapters import abi, abi_library, compiling
from slotmem_conformance.machines.driving import Difference, Pair
from slotmem_conformance.protocol.session import AdapterError, open_session
from slotmem_model import spec

SOURCE = Path(__file__).parents[1] / "tools" / "abi_slots.c"

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler (Debian: gcc libc6-dev)")


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """Compile the example, or one of its wrong variants, in a cache folder of the tests."""
    cache = tmp_path_factory.mktemp("cache")

    def build(*flags, source=SOURCE):
        before = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = str(cache)
        try:
            return compiling.shared_library(source, *flags)
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before

    return build


@pytest.fixture
def opened(build, tmp_path):
    with abi.AbiProvider(abi_library.Library(build()), runtime_dir=tmp_path) as provider:
        yield provider


def test_the_example_follows_the_specification(opened):
    """Every operation of the example library answers as the specification does, refusals too."""
    for name, pregrab in (("w", True), ("v", False)):
        state = spec.fresh(4, 3, pregrab=pregrab)
        pair = Pair(opened.create(name, 4, 3, Type.PREGRAB if pregrab else Type(0)), state)
        for operation in PROGRAM:
            pair.do(operation)
        assert pair.instance.num_slots() == 3


PROGRAM = (
    ("get", 0, 4),
    ("put", 1, b"no"),
    *[("grab",)] * 4,
    ("put", 0, b"abcd"),
    ("put", 1, b"xy"),
    ("get", 0, 2),
    ("get", 1, None),
    ("put", 2, b"12345"),
    ("get", 2, 5),
    ("get", 3, 1),
    ("doall",),
    ("doall", (0, 20014)),
    ("release", 1),
    ("release", 1),
    ("num_free_slots",),
    ("doall",),
    ("fgrab", 1),
    ("fgrab", 1),
    ("fgrab", 3),
    ("release", 3),
    ("num_free_slots",),
    ("num_slots",),
    ("slot_size",),
)


def test_a_wrong_library_is_told(build, tmp_path):
    """A grab that does not mark the slot differs from the specification at the second grab."""
    with abi.AbiProvider(abi_library.Library(build("-DWRONG_GRAB")), runtime_dir=tmp_path) as provider:
        pair = Pair(provider.create("w", 4, 3, Type.PREGRAB), spec.fresh(4, 3, pregrab=True))
        pair.do(("grab",))
        with pytest.raises(Difference, match="GRAB-2"):
            pair.do(("grab",))


def test_dptr_is_the_slot_itself(opened):
    """DPTR-1: what is written through the pointer is what get gives."""
    w = opened.create("w", 4, 2)
    w.dptr(1)[1:3] = b"xy"
    assert w.get(1) == b"\0xy\0"
    with pytest.raises(slotmem.SlotOutOfRange):
        w.dptr(2)


def test_doall_hands_on_what_the_callback_raises(opened):
    """An exception in the callback stops the walk and comes out of doall; the memory can be written
    meanwhile.
    """
    w = opened.create("w", 4, 3)
    seen = []

    def func(memory, data):
        data.append(len(memory))
        memory[:1] = b"!"
        if len(data) == 2:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        w.doall(func, seen)
    assert seen == [4, 4]
    assert [w.get(item_id, 1) for item_id in range(3)] == [b"!", b"!", b"\0"]


def test_names_and_lifetimes(opened):
    """A known name gives the same instance, an unknown one a status; after restart and close old
    instances are closed.
    """
    w = opened.create("w", 4, 3)
    assert opened.create("w", 9, 9) is w
    assert opened.attach("w") is w
    assert w.attached == (4, 3)
    with pytest.raises(slotmem.NoSegment):
        opened.attach("v")
    with pytest.raises(slotmem.NoSharedMemory):
        opened.attach(None)
    assert opened.create(None, 4, 3) is not opened.create("none", 4, 3)
    opened.restart()
    assert opened.generation == 1
    with pytest.raises(slotmem.Closed):
        w.grab()
    again = opened.create("w", 4, 3)
    opened.close()
    for late in (again.num_slots, lambda: opened.create("w", 4, 3), opened.restart):
        with pytest.raises(slotmem.Closed):
            late()


def test_one_server_at_a_time(build, opened, tmp_path):
    """A library that is open refuses a second opening, and the status comes through."""
    with pytest.raises(slotmem.SlotmemError) as refused:
        abi.AbiProvider.from_spec(str(build()), runtime_dir=tmp_path)
    assert refused.value.status is Status.APR_EBUSY
    opened.close()
    abi.AbiProvider.from_spec(str(build()), runtime_dir=tmp_path).close()


def test_what_c_cannot_say_is_refused(opened):
    """Numbers that no C integer holds and names with a NUL byte are refused before the call, not
    cut.
    """
    w = opened.create("w", 4, 3)
    with pytest.raises(slotmem.SlotOutOfRange, match="answered APR_EINVAL"):
        w.fgrab(-1)  # C makes it a large one, and the library refuses that
    for call in (
        lambda: w.release(2**32),
        lambda: w.fgrab(-(2**31) - 1),
        lambda: w.get(0, -1),
        lambda: w.get(0, 2**64),
        lambda: w.put(2**32, b""),
        lambda: opened.create("v", 2**64, 1),
        lambda: opened.create("v", 1, -1),
        lambda: opened.attach("w\0v"),
    ):
        with pytest.raises(slotmem.InvalidArgument):
            call()


def test_every_status_has_its_exception():
    """Each status of slotmem comes back as an exception that carries it; another status keeps its
    number.
    """
    for status in Status:
        if status not in (Status.APR_SUCCESS, Status.APR_ENOTIMPL):
            assert abi_library.refusal(status, "put", slotmem.InvalidArgument).status is status
    for code, name in ((12, "APR_ENOMEM"), (70014, "APR_EOF"), (95, "ERRNO_95"), (12345, "ERRNO_12345")):
        other = abi_library.refusal(code, "create", slotmem.InvalidArgument)
        assert (other.status, other.status.name) == (code, name)


def test_a_library_that_does_not_fit_is_named(build, tmp_path):
    """No library, no functions, a wrong hello: one line that says which."""
    other = tmp_path / "other.c"
    other.write_text("int answer(void); int answer(void) { return 42; }\n")
    not_one = tmp_path / "text.so"
    not_one.write_text("not a library")
    for path, complaint in (
        (tmp_path / "none.so", "cannot be loaded"),
        (not_one, "cannot be loaded"),
        (build(source=other), "lacks slotmem_abi_hello, slotmem_abi_open"),
        (build("-DWRONG_HELLO"), "expected '1 NAME VERSION'"),
    ):
        with pytest.raises(slotmem.Unsupported, match=complaint) as refused:
            abi_library.Library(path)
        assert "\n" not in str(refused.value)
    with pytest.raises(slotmem.InvalidArgument, match="after a colon"):
        abi.AbiProvider.from_spec("")


def test_a_killed_compiler_leaves_nothing(tmp_path, monkeypatch):
    """What a compiler that is killed, as by Ctrl-C, leaves among its temporary files goes with the
    unfinished library.
    """
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\n: > "$TMPDIR/left.s"\nkill -9 $$\n')
    compiler.chmod(0o700)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(slotmem.Unsupported, match="failed"):
        compiling.shared_library(SOURCE)
    assert list((tmp_path / "cache" / "slotmem").iterdir()) == list((tmp_path / "temporary").iterdir()) == []


def test_a_library_is_compiled_once(build, tmp_path, monkeypatch):
    """The second call compiles nothing; other flags give another library; a refusing compiler is
    one line.
    """
    first = build()
    stamp = first.stat().st_mtime_ns
    assert build() == first
    assert first.stat().st_mtime_ns == stamp
    assert build("-DWRONG_GRAB") != first
    assert {path.suffix for path in first.parent.iterdir()} == {".so"}
    broken = tmp_path / "broken.c"
    broken.write_text("int f(void) { return missing; }\n")
    with pytest.raises(slotmem.Unsupported, match="missing"):
        build(source=broken)
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(slotmem.Unsupported, match="no C compiler"):
        build(source=broken)


def test_the_header_is_c_and_cpp():
    """slotmem_abi.h compiles by itself as strict C89, and as C++ where there is a compiler
    for it.
    """
    header = Path(abi.__file__).with_name("slotmem_abi.h")
    dialects = [("cc", "c", "-std=c89")] + [("c++", "c++", "-std=c++11")] * bool(shutil.which("c++"))
    for compiler, language, standard in dialects:
        command = [compiler, "-x", language, standard, "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
        done = subprocess.run([*command, str(header)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_crash_is_a_verdict(build, tmp_path):
    """A session with a library is a process of its own: a crash is told as its death, and another
    session goes on.
    """
    spec_string = f"abi:{build('-DWRONG_PUT')}"
    create = {"op": "create", "name": "w", "item_size": 4, "item_num": 3, "type": []}
    with open_session(spec_string, runtime_dir=str(tmp_path)) as session:
        assert session.hello["implementation"] == "abi_slots"
        assert session.hello["capabilities"] == ["batch", "restart", "dptr", "doall"]
        assert session.request(create) == {"status": "APR_SUCCESS", "segment": 0}
        attached = session.request({"op": "attach", "name": "w"})
        assert attached == {"status": "APR_SUCCESS", "segment": 0, "item_size": 4, "item_num": 3}
        with pytest.raises(AdapterError, match="SIGABRT"):
            session.request({"op": "put", "segment": 0, "id": 0, "data": "0102030405"})
    with open_session(spec_string, runtime_dir=str(tmp_path)) as session:
        assert session.request(create)["status"] == "APR_SUCCESS"
