"""`slotmem inspect` on arbitrary bytes: whatever it is shown, it answers."""

import hashlib
import os
import struct
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import slotmem
from slotmem import Type
from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_model import stored_bytes as files
from tools.inspected import EXAMPLE, PREGRAB, SLOTS, path_of

# -- garbage ---------------------------------------------------------------------------------------


def spoiled(whole):
    """Bytes that are nothing, and bytes that are nearly right."""
    place = st.tuples(st.integers(0, len(whole) - 1), st.binary(min_size=1, max_size=9))

    def spoil(changes, length):
        data = bytearray(whole)
        for at, content in changes:
            data[at : at + len(content)] = content
        return bytes(data[:length])

    return st.one_of(
        st.binary(max_size=80), st.builds(spoil, st.lists(place, max_size=3), st.integers(0, len(whole)) | st.none())
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoiled(EXAMPLE))
def test_any_file(look, tmp_path, data):
    """Whatever a file holds, there is a report, and it is sound only if a server would
    restore it.
    """
    file = tmp_path / "any.persist"
    file.write_bytes(data)
    code, said = look(file)
    assert code in (0, 1)
    assert ("nothing is wrong with it" in said) == (code == 0)
    if code == 0:
        size, number, type_ = struct.unpack("=QII", data[-16:])
        payload = data[:-32]
        assert len(payload) == 8 + number * size + number
        assert data[-32:-16] == hashlib.md5(payload).digest()
        assert set(payload[len(payload) - number :]) <= {0, 1}
        assert type_ < 16


def _segment_bytes():
    """The bytes of a fresh segment of ours, as large as its control block asks for."""
    # In a folder of its own: each worker of a parallel run comes here at the same moment.
    with tempfile.TemporaryDirectory() as folder, slotmem.provider("shm", runtime_dir=folder) as provider:
        provider.create("inspected", 4, 3, Type.PREGRAB)
        return Path(object_path(resolve("inspected", folder, 0))).read_bytes()


OURS = _segment_bytes()[:1024]  # too short for its control block: all that is lost is redo records and zeros


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoiled(OURS) | spoiled(files.mapped(SLOTS, PREGRAB)), st.booleans())
def test_any_object(look, tmp_path, content, padded):
    """Whatever an object holds, there is a report; where it holds anything but a live segment, it
    is not called sound.
    """
    path = path_of(tmp_path, "any")
    content = content.ljust(4096, b"\0") if padded else content
    Path(path).write_bytes(content)
    try:
        code, said = look("any")
        slot = look("any", "--slot", "0")[0]
    finally:
        os.unlink(path)
    assert code in (0, 1)
    assert slot in (0, 1, 2)
    assert ("nothing is wrong with it" in said) == (code == 0)
    if code == 0:  # what remains is httpd's
        assert ", made by httpd\n" in said
        length, size, number, type_, num_free = struct.unpack_from("=QQIII", content)
        inuse = content[32 + size * number : length]
        assert (length, len(inuse)) == (32 + size * number + number, number)
        assert set(inuse) <= {0, 1}
        assert num_free == inuse.count(0) or not type_ & PREGRAB
