"""The bytes of a segment and of a persisted file, computed from the specification's state alone.

This is a second, independent account of httpd's format, written from its description, so that the
implementation's own arithmetic has something to be compared with.

Source: observed on httpd 2.4 and APR 1.7, x86-64; clauses BYTES-1 to BYTES-3.
"""

from __future__ import annotations

import hashlib
import struct

from slotmem_model.spec import Slots


def descriptor(state: Slots, type: int) -> bytes:
    """Return the 16 bytes that describe a segment: u64 item_size, u32 item_num, u32 type."""
    return struct.pack("=QII", state.item_size, len(state.inuse), type)


def payload(state: Slots) -> bytes:
    """Return what is stored of a segment: u32 num_free, 4 bytes of zero, the slots, one in-use byte
    a slot.
    """
    return struct.pack("=II", state.inuse.count(False), 0) + b"".join(state.data) + bytes(state.inuse)


def mapped(state: Slots, type: int) -> bytes:
    """Return the bytes that httpd maps: u64 length of all of them, descriptor, payload."""
    rest = descriptor(state, type) + payload(state)
    return struct.pack("=Q", 8 + len(rest)) + rest


def persisted(state: Slots, type: int) -> bytes:
    """Return the bytes of the persisted file: payload, its MD5, descriptor."""
    stored = payload(state)
    return stored + hashlib.md5(stored, usedforsecurity=False).digest() + descriptor(state, type)
