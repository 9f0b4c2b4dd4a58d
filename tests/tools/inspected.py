"""What tests of `slotmem inspect` share: example bytes, and where a segment's object is."""

from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_model import spec

PREGRAB = 4

SLOTS = spec.Slots(4, True, (False, True, False), (bytes(4), b"abcd", bytes(4)))

EXAMPLE = bytes.fromhex(
    "01000000 00000000 41424344 00000000 51525354 010001 fd6754bc39bfe89faae1cb396a90437a 0400000000000000 03000000 05000000"
)


def path_of(tmp_path, name="workers", generation=0):
    return object_path(resolve(name, str(tmp_path), generation))
