"""Apache's own module, the binary that this machine has, beside the reference on one runtime
directory.
"""

import os
import shutil
import subprocess
import sys

import pytest

import slotmem
from slotmem import Type
from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_conformance.adapters import httpd
from slotmem_conformance.machines.driving import Pair
from slotmem_conformance.protocol.session import open_session
from slotmem_model import spec


@pytest.fixture
def opening(tmp_path):
    """Open providers of Apache's module; they are closed at the end."""
    opened = []

    def opening(argument="", **options):
        try:
            provider = httpd.HttpdProvider.from_spec(argument, runtime_dir=tmp_path, **options)
        except slotmem.Unsupported as missing:
            pytest.skip(str(missing))
        opened.append(provider)
        return provider

    yield opening
    for provider in opened:
        provider.close()


PROGRAM = (
    ("get", 0, 4),
    ("put", 1, b"no"),
    *[("grab",)] * 4,
    ("put", 0, b"abcd"),
    ("put", 1, b"xy"),
    ("get", 0, 2),
    ("get", 1, None),
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
    ("release", 2**32 - 1),
    ("num_free_slots",),
    ("num_slots",),
    ("slot_size",),
)


@pytest.mark.parametrize("argument", ["", "plain"])
def test_apaches_module_follows_the_specification(opening, argument):
    """Both of Apache's modules answer every operation within bounds as the specification does."""
    provider = opening(argument)
    assert provider.identity.implementation == provider.module.stem
    assert provider.identity.version.startswith("MMN-2012")
    pair = Pair(provider.create("w", 4, 3, Type.PREGRAB), spec.fresh(4, 3, True))
    for operation in PROGRAM:
        pair.do(operation)


def test_a_session_says_what_it_is(opening, tmp_path):
    """The bundled driver names Apache's module and what it can do, and answers for it."""
    opening("plain").close()
    for argument, more in (("", ["persist", "shared"]), (":plain", [])):
        with open_session("httpd" + argument, runtime_dir=str(tmp_path)) as session:
            assert session.hello["implementation"] == f"mod_slotmem_{argument[1:] or 'shm'}"
            assert session.hello["capabilities"] == ["batch", "restart", "dptr", "doall", *more]
            session.request({"op": "create", "name": "w", "item_size": 4, "item_num": 3, "type": ["PREGRAB"]})
            assert session.request({"op": "grab", "segment": 0}) == {"status": "APR_SUCCESS", "id": 0}
            assert session.request({"op": "restart"}) == {"status": "APR_SUCCESS", "generation": 1}


def test_the_reference_uses_apaches_segment(opening, tmp_path):
    """NAME-6, FOREIGN-1, FOREIGN-2: under the same object name each sees at once what the other
    does.
    """
    theirs = opening(generation=26).create("w", 4, 3, Type.PREGRAB)
    assert os.path.exists(object_path(resolve("w", str(tmp_path), 26)))
    with slotmem.provider("shm", runtime_dir=tmp_path, generation=26) as provider:
        ours = provider.attach("w", unsafe=True)
        assert (ours.num_slots(), ours.slot_size(), ours.type) == (3, 4, Type.PREGRAB)
        assert theirs.grab() == 0
        assert ours.grab() == 1
        theirs.put(1, b"them")
        ours.put(0, b"ours")
        assert (theirs.get(0), ours.get(1)) == (b"ours", b"them")
        ours.release(0)
        assert theirs.num_free_slots() == ours.num_free_slots() == 2
        with pytest.raises(slotmem.NotInUse):
            theirs.get(0)


def test_apaches_module_uses_our_segment(opening, tmp_path):
    """NAME-6, BYTES-1, BYTES-3: Apache's module attaches to a segment of the reference, control
    block and all, and uses it.
    """
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        ours = provider.create("w", 4, 3, Type.PREGRAB)
        ours.fgrab(1)
        ours.put(1, b"ours")
        theirs = opening().attach("w")
        assert theirs.attached == (4, 3)
        assert theirs.get(1) == b"ours"
        assert theirs.grab() == 0
        theirs.put(0, b"them")
        assert ours.get(0) == b"them"
        assert list(ours.slots()) == [0, 1]
        seen = []
        theirs.doall(lambda memory, data: data.append(bytes(memory)), seen)
        assert seen == [b"them", b"ours"]
        assert ours.num_free_slots() == theirs.num_free_slots() == 1


@pytest.mark.parametrize("flags", [Type.PERSIST | Type.PREGRAB, Type.PERSIST, Type.PERSIST | Type.CLEARINUSE])
def test_files_are_exchanged(opening, tmp_path, flags):
    """FILE-1: a file that one stored is restored by the other, in both directions, byte for byte
    the same.
    """
    stored = tmp_path / "slotmem-shm-w.shm.persist"
    apache = opening()
    theirs = apache.create("w", 4, 3, flags)
    for item_id in (theirs.grab(), theirs.grab()):
        theirs.put(item_id, b"%04d" % item_id)
    theirs.release(0)
    apache.restart()
    written_by_apache = stored.read_bytes()
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        ours = provider.create("w", 4, 3, flags)
        assert ours.restored
        assert bytes(ours.dptr(1)) == b"0001"
        assert list(ours.slots()) == ([] if flags & Type.CLEARINUSE else [1])
        ours.fgrab(2)
        ours.put(2, b"ours")
    written_by_us = stored.read_bytes()
    assert len(written_by_us) == len(written_by_apache)
    again = apache.create("w", 4, 3, flags)
    assert [bytes(again.dptr(item_id)) for item_id in range(3)] == [b"0000", b"0001", b"ours"]
    assert again.num_free_slots() == (3 if flags & Type.CLEARINUSE else 1)
    apache.restart()
    assert stored.read_bytes() == written_by_us
    assert apache.generation == 2


def test_restart_destroys_and_renames(opening, tmp_path):
    """NAME-4: after a restart the segment of the old generation is gone, and the new one has a new
    object name.
    """
    apache = opening(generation=9)
    apache.create("w", 4, 3)
    apache.restart()
    apache.create("w", 4, 3)
    assert not os.path.exists(object_path(resolve("w", str(tmp_path), 9)))
    assert os.path.exists(object_path(resolve("w", str(tmp_path), 10)))
    apache.close()
    assert not os.path.exists(object_path(resolve("w", str(tmp_path), 10)))
    assert os.listdir(tmp_path) == []


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    """Without Apache, or with something else in its place, one line says what to do."""
    with pytest.raises(slotmem.Unsupported, match="there is no module"):
        httpd.find_module(str(tmp_path / "mod_slotmem_shm.so"))
    with pytest.raises(slotmem.InvalidArgument, match="takes shm, plain or a path"):
        httpd.find_module("redis")
    monkeypatch.setattr(httpd, "FOLDERS", (str(tmp_path),))
    with pytest.raises(slotmem.Unsupported, match="install apache2-bin"):
        httpd.find_module("plain")
    (tmp_path / "mod_slotmem_plain.so").touch()
    assert httpd.find_module("plain") == tmp_path / "mod_slotmem_plain.so"


def test_another_module_is_refused(opening, tmp_path):
    """A file that is no slotmem module is refused in one line, and the right one can be opened
    after it.
    """
    opening().close()
    text = tmp_path / "text.so"
    text.write_text("not a library")
    other = httpd.find_module().with_name("mod_slotmem_none.so")
    for path, complaint in ((text, "cannot be used"), (other, "there is no module")):
        with pytest.raises(slotmem.Unsupported, match=complaint) as refused:
            httpd.HttpdProvider.from_spec(str(path), runtime_dir=tmp_path)
        assert "\n" not in str(refused.value)
    opening(str(httpd.find_module()))


def test_a_killed_server_leaves_what_httpd_leaves(opening, tmp_path):
    """A server that is killed stores nothing; its segment remains, and the next create takes its
    place.
    """
    opening().close()
    script = (
        "import os, sys; from slotmem_conformance.adapters.httpd import HttpdProvider; from slotmem import Type\n"
        "w = HttpdProvider.from_spec('', runtime_dir=sys.argv[1]).create('w', 4, 3, Type.PERSIST | Type.PREGRAB)\n"
        "w.grab(); os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=False)
    assert done.returncode == -9
    assert os.listdir(tmp_path) == []
    apache = opening()
    assert apache.attach("w").num_free_slots() == 2
    assert apache.create("w", 4, 3, Type.PERSIST | Type.PREGRAB).num_free_slots() == 3


def test_the_end_of_the_interpreter_is_a_clean_stop(opening, tmp_path):
    """A process that ends without closing stores and destroys, as one of the reference does; its
    forked child does not.
    """
    opening().close()
    script = (
        "import os, sys; from slotmem_conformance.adapters.httpd import HttpdProvider; from slotmem import Type\n"
        "w = HttpdProvider.from_spec('', runtime_dir=sys.argv[1]).create('w', 4, 3, Type.PERSIST | Type.PREGRAB)\n"
        "if os.fork() == 0: sys.exit()\n"
        "os.wait(); assert os.listdir(sys.argv[1]) == []; w.grab()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, check=True)
    assert not os.path.exists(object_path(resolve("w", str(tmp_path), 0)))
    assert opening().create("w", 4, 3, Type.PERSIST | Type.PREGRAB).num_free_slots() == 2


@pytest.mark.skipif(not shutil.which("gcc"), reason="there is no gcc")
def test_the_host_needs_nothing_but_libc():
    """The host compiles without any header of httpd or APR."""
    command = ["gcc", "-H", "-fsyntax-only", str(httpd.HOST)]
    headers = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "apr" not in headers.replace(str(httpd.HOST.parent), "")
    assert "httpd.h" not in headers
