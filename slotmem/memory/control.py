"""The bytes that describe a segment: APR's length, httpd's descriptor, our control header.

Interface:

- `write_header(memory, geometry)` describes a fresh segment; everything else in it is zero.
- `read_geometry(memory, size, name)` reads the description back and refuses one that contradicts
  itself.
- `is_ours(memory, geometry)` tells whether our control block lies behind httpd's part;
  `check_control` refuses one that cannot be used here.

The control header (128 bytes at `Geometry.control_start`) holds: magic 8 bytes, version u32,
stripes u32, boot id 16 bytes, pid namespace u64, creator's pid u64, creation time u64 (ns since the
epoch), total length u64, and item_size u64, item_num u32, type u32 once more.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from functools import cache
from typing import NamedTuple

from slotmem.environment import failure
from slotmem.interface import Type
from slotmem.memory.layout import (
    DESCRIPTOR_BYTES,
    DESCRIPTOR_FORMAT,
    DESCRIPTOR_START,
    NUM_FREE_START,
    SLOTS_START,
    Geometry,
    apr_length,
    geometry,
    is_representable,
)
from slotmem.status import Forged, OtherBoot, OtherNamespace, Truncated, Unsupported

MAGIC = b"slotmem\x1a"
VERSION = 2
_CONTROL = struct.Struct("=8sII16sQQQQQII")
_DESCRIPTOR = struct.Struct(DESCRIPTOR_FORMAT)

Memory = mmap.mmap | bytes


class Control(NamedTuple):
    """The control header, decoded."""

    magic: bytes
    version: int
    stripes: int
    boot_id: bytes
    pid_namespace: int
    creator_pid: int
    created_ns: int
    total: int
    item_size: int
    item_num: int
    type: int


@cache
def boot_id() -> bytes:
    """Return the kernel's id for this boot, 16 bytes.

    Raises:
        Unsupported
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return bytes.fromhex(file.read().strip().replace("-", ""))
    except OSError as error:
        raise failure("this boot cannot be told from others", error, Unsupported, "mount /proc") from error


def pid_namespace() -> int:
    """Return the number of this process's pid namespace.

    Raises:
        Unsupported
    """
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError as error:
        raise failure("this pid namespace cannot be told from others", error, Unsupported, "mount /proc") from error


def shape_of(item_size: int, item_num: int, type_: int) -> Geometry:
    """Return the layout of a segment with flags as `create` takes them."""
    return geometry(item_size, item_num, type_, bool(type_ & Type.PREGRAB))


def describe(shape: Geometry) -> bytes:
    """Return httpd's descriptor, 16 bytes, as it stands in a segment and at the end of a persisted
    file.
    """
    return _DESCRIPTOR.pack(shape.item_size, shape.item_num, shape.type)


def write_header(memory: mmap.mmap, shape: Geometry) -> None:
    """Write length, descriptor and free counter into a segment whose bytes are all zero."""
    memory[0:DESCRIPTOR_START] = struct.pack("=Q", shape.apr_length)
    memory[DESCRIPTOR_START : DESCRIPTOR_START + DESCRIPTOR_BYTES] = describe(shape)
    memory[NUM_FREE_START : NUM_FREE_START + 4] = struct.pack("=I", shape.item_num)


def write_control(memory: mmap.mmap, shape: Geometry) -> None:
    """Write the control header."""
    control = Control(
        MAGIC,
        VERSION,
        shape.stripes,
        boot_id(),
        pid_namespace(),
        os.getpid(),
        time.time_ns(),
        shape.total,
        shape.item_size,
        shape.item_num,
        shape.type,
    )
    memory[shape.control_start : shape.control_start + _CONTROL.size] = _CONTROL.pack(*control)


def read_geometry(memory: Memory, size: int, name: str) -> Geometry:
    """Return the shape that a segment of `size` mapped bytes says it has.

    Raises:
        Truncated
        Forged
    """
    if size < SLOTS_START:
        raise Truncated(
            f"segment {name!r} has {size} bytes, but a header alone has {SLOTS_START}; create it again with replace=True"
        )
    (length,) = struct.unpack_from("=Q", memory, 0)
    item_size, item_num, type_ = _DESCRIPTOR.unpack_from(memory, DESCRIPTOR_START)
    if not is_representable(item_size, item_num) or length != apr_length(item_size, item_num):
        raise Forged(
            f"segment {name!r} says {item_num} slots of {item_size} bytes and a length of {length}, which do not agree; "
            "create it again with replace=True"
        )
    if size < length:
        raise Truncated(
            f"segment {name!r} has {size} bytes, but its header asks for {length}; create it again with replace=True"
        )
    return shape_of(item_size, item_num, type_)


def read_control(memory: Memory, shape: Geometry) -> Control:
    """Decode the control header of a segment that is ours."""
    return Control(*_CONTROL.unpack_from(memory, shape.control_start))


def is_ours(memory: Memory, size: int, shape: Geometry) -> bool:
    """Return whether our control block lies behind httpd's part."""
    return (
        size >= shape.control_start + _CONTROL.size
        and memory[shape.control_start : shape.control_start + len(MAGIC)] == MAGIC
    )


def check_control(memory: Memory, size: int, shape: Geometry, name: str) -> None:
    """Refuse a control block that cannot be used here (ATTACH-5, ATTACH-7).

    Raises:
        Truncated
        Forged
        OtherBoot
        OtherNamespace
    """
    control = read_control(memory, shape)
    if control.version != VERSION:
        raise Forged(
            f"segment {name!r} has a control block of version {control.version}, but this is version {VERSION}; "
            "use the release of slotmem that made it"
        )
    if size < shape.total:
        raise Truncated(
            f"segment {name!r} has {size} bytes, but its header asks for {shape.total}; create it again with replace=True"
        )
    said = (control.total, control.stripes, control.item_size, control.item_num, control.type)
    if said != (shape.total, shape.stripes, shape.item_size, shape.item_num, shape.type):
        raise Forged(
            f"the control block of segment {name!r} describes a different shape from its header: somebody overwrote one of "
            "them; create it again with replace=True"
        )
    if control.boot_id != boot_id():
        raise OtherBoot(
            f"segment {name!r} was made before the last reboot, so its locks mean nothing; "
            "create it again with replace=True"
        )
    if control.pid_namespace != pid_namespace():
        raise OtherNamespace(
            f"segment {name!r} belongs to pid namespace {control.pid_namespace}, but this process is in {pid_namespace()}, "
            "where its locks would name the wrong owners; run both in one pid namespace"
        )
