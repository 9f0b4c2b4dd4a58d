"""APR itself, httpd's portability library, opens what we make, and we open what it makes."""

import ctypes
import os

import pytest

import slotmem
from slotmem import Type
from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_model import spec
from slotmem_model import stored_bytes as files

PREGRAB = 4


class Apr:
    """The few calls of APR that httpd's module makes."""

    def __init__(self):
        try:
            self.library = ctypes.CDLL("libapr-1.so.0")
        except OSError:
            pytest.skip("libapr-1.so.0 is not installed (Debian: libapr1)")
        self.library.apr_shm_baseaddr_get.restype = ctypes.c_void_p
        self.library.apr_shm_size_get.restype = ctypes.c_size_t
        self.library.apr_initialize()
        self.pool = ctypes.c_void_p()
        self.library.apr_pool_create_ex(ctypes.byref(self.pool), None, None, None)

    def create(self, segment, nbytes):
        shm = ctypes.c_void_p()
        assert (
            self.library.apr_shm_create(ctypes.byref(shm), ctypes.c_size_t(nbytes), os.fsencode(segment), self.pool)
            == 0
        )
        return shm

    def attach(self, segment):
        shm = ctypes.c_void_p()
        assert self.library.apr_shm_attach(ctypes.byref(shm), os.fsencode(segment), self.pool) == 0
        return shm

    def address(self, shm):
        return self.library.apr_shm_baseaddr_get(shm)

    def size(self, shm):
        return self.library.apr_shm_size_get(shm)


@pytest.fixture
def apr():
    return Apr()


def test_apr_attaches_to_our_segment(apr, tmp_path):
    """BYTES-1, BYTES-3, NAME-6: APR finds our object by the segment name and sees httpd's bytes,
    the control block left out.
    """
    with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
        w = provider.create("w", 4, 3, Type.PREGRAB)
        w.fgrab(1)
        w.put(1, b"abcd")
        shm = apr.attach(tmp_path / "slotmem-shm-w_0.shm")
        expected = files.mapped(spec.Slots(4, True, (False, True, False), (bytes(4), b"abcd", bytes(4))), PREGRAB)[8:]
        assert apr.size(shm) == len(expected)
        assert ctypes.string_at(apr.address(shm), len(expected)) == expected
        ctypes.memmove(apr.address(shm) + 16 + 8 + 4, b"WXYZ", 4)
        assert w.get(1) == b"WXYZ"
        apr.library.apr_shm_detach(shm)


def test_we_attach_to_aprs_segment(apr, tmp_path):
    """FOREIGN-1, FOREIGN-2: a segment made through APR, as httpd's is, can be read, and written
    only if one insists.
    """
    names = resolve("w", str(tmp_path), 0)
    content = files.mapped(spec.Slots(4, True, (False, True, False), (bytes(4), b"abcd", bytes(4))), PREGRAB)[8:]
    shm = apr.create(names.segment, len(content))
    try:
        ctypes.memmove(apr.address(shm), content, len(content))
        with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
            w = provider.attach("w")
            assert (list(w.slots()), w.num_free_slots(), w.get(1)) == ([1], 2, b"abcd")
            for write in (w.grab, lambda: w.fgrab(0), lambda: w.release(1), lambda: w.put(1, b"x")):
                with pytest.raises(slotmem.ReadOnly, match="unsafe=True"):
                    write()
            with pytest.raises(TypeError):
                w.dptr(1)[0] = 0
            assert ctypes.string_at(apr.address(shm), len(content)) == content
            unsafe = provider.attach("w", unsafe=True)
            assert unsafe.grab() == 0
            unsafe.put(0, b"ours")
            assert ctypes.string_at(apr.address(shm) + 24, 4) == b"ours"
            with pytest.raises(slotmem.SegmentExists, match="replace=True"):
                provider.create("w", 4, 3)
    finally:
        apr.library.apr_shm_destroy(shm)
    assert not os.path.exists(object_path(names))


def test_a_get_does_not_mark_a_foreign_slot(apr, tmp_path):
    """FOREIGN-1, COUNT-3: without PREGRAB a get of a segment attached for reading marks nothing,
    and free slots are counted.
    """
    names = resolve("w", str(tmp_path), 0)
    content = bytearray(files.mapped(spec.Slots(2, False, (False, True), (b"ab", b"cd")), 0)[8:])
    content[16] = 77  # the drifted counter
    shm = apr.create(names.segment, len(content))
    try:
        ctypes.memmove(apr.address(shm), bytes(content), len(content))
        with slotmem.provider("shm", runtime_dir=tmp_path) as provider:
            w = provider.attach("w")
            assert w.get(0) == b"ab"
            assert w.num_free_slots() == 1
            assert ctypes.string_at(apr.address(shm), len(content)) == bytes(content)
    finally:
        apr.library.apr_shm_destroy(shm)
