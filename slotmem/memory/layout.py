"""Where everything lies in a segment and in a persisted file. Arithmetic only.

A segment, as httpd maps it (x86-64; all offsets in bytes, all integers native)::

    0      8           16        20    24        28       32                 inuse_start     length
    | u64  | u64       | u32     | u32 | u32     | 4      | item_num *       | item_num      |
    | len  | item_size | item_num| type| num_free| padding| item_size bytes  | bytes, 0 or 1 |
    '-APR--'----- descriptor ----------'------------------- payload ----------------------- -'

The length word is APR's, and says `apr_length`. httpd looks no further, so our control block lies
behind::

    control_start    +128               redo_start                          tenants_start    total
    | header         | mutexes          | redo records, one for each stripe | tenants, then   |
    | magic, version,| 64 bytes each:   | u64 item id + 1 (0: none)         | putters: a u64  |
    | boot, owner ...| table, stripes   | u64 length | the bytes            | each for a slot |

The *mark* of a mutex is the last of the eight words of its 64 bytes: 1 if what the mutex guards may
have been left half changed. The word before it says whose slot the put of the redo record is for.

A slot's *tenant* is the process that marked it in use (a token of `slotmem.processes`; 0:
nobody knows); its *putter* is who was tenant when a put last came. httpd looks at neither.

A persisted file is the payload, its MD5 (16 bytes) and the descriptor (16 bytes).

With PREGRAB a slot's bytes are guarded by the stripe `item_id % stripes`, the table by a mutex of
its own. Without PREGRAB every get and put may change the table too, so one mutex guards everything,
and there is one redo record.

The contracts below (`pre:`, `post:`) are proved by CrossHair.
"""

from __future__ import annotations

from typing import NamedTuple

DESCRIPTOR_START = 8
DESCRIPTOR_FORMAT = "=QII"  # item_size, item_num, type
DESCRIPTOR_BYTES = 16
NUM_FREE_START = 24
SLOTS_START = 32
PAYLOAD_START = NUM_FREE_START
PAYLOAD_PREFIX_BYTES = SLOTS_START - PAYLOAD_START
DIGEST_BYTES = 16

CONTROL_HEADER_BYTES = 128
MUTEX_BYTES = 64  # 40 in use on x86-64, 48 on aarch64; a cache line, so that neighbours do not disturb each other
MARK_AT = 56  # within a mutex's bytes
PUTTING_AT = 48
WAITING_AT = 80  # within the control header
TENANT_BYTES = 16  # a slot: its tenant and its putter
REDO_HEADER_BYTES = 16
LINE_BYTES = 64
PAGE_BYTES = 4096

MAX_ITEM_NUM = 2**32 - 1  # httpd's counters are unsigned int
MAX_BYTES = 2**63 - 1  # off_t
MAX_STRIPES = 32
MAX_REDO_BYTES = 4 * 2**20  # fewer stripes rather than more memory than this


def align_up(value: int, unit: int) -> int:
    """Round value up to a multiple of unit.

    pre: value >= 0
    pre: unit in (8, 64, 4096)
    post: value <= __return__ < value + unit
    post: __return__ % unit == 0
    """
    return (value + unit - 1) // unit * unit


def inuse_start(item_size: int, item_num: int) -> int:
    """Return the offset of the first in-use byte.

    pre: item_size >= 0 and item_num >= 0
    post: __return__ >= SLOTS_START
    """
    return SLOTS_START + item_size * item_num


def apr_length(item_size: int, item_num: int) -> int:
    """Return the length of httpd's part of a segment, which is what APR's length word says.

    pre: item_size >= 0 and item_num >= 0
    post: __return__ == inuse_start(item_size, item_num) + item_num
    """
    return inuse_start(item_size, item_num) + item_num


def persisted_bytes(item_size: int, item_num: int) -> int:
    """Return the size of a persisted file.

    pre: item_size >= 0 and item_num >= 0
    post: __return__ == 8 + item_size * item_num + item_num + 16 + 16
    """
    return apr_length(item_size, item_num) - PAYLOAD_START + DIGEST_BYTES + DESCRIPTOR_BYTES


def redo_stride(item_size: int) -> int:
    """Return the distance between redo records: header and one slot, on cache lines of their own.

    pre: item_size >= 0
    post: __return__ % LINE_BYTES == 0
    post: __return__ >= REDO_HEADER_BYTES + item_size
    """
    return align_up(REDO_HEADER_BYTES + item_size, LINE_BYTES)


def stripes(item_size: int, item_num: int) -> int:
    """Return the number of stripes of a segment with PREGRAB.

    pre: item_size >= 0 and item_num >= 0
    post: 1 <= __return__ <= MAX_STRIPES
    post: __return__ <= max(item_num, 1)
    post: __return__ == 1 or __return__ * redo_stride(item_size) <= MAX_REDO_BYTES
    """
    return max(1, min(MAX_STRIPES, item_num, MAX_REDO_BYTES // redo_stride(item_size)))


def slot_start(item_size: int, item_id: int) -> int:
    """Return the offset of a slot's first byte.

    pre: item_size >= 0 and item_id >= 0
    post: __return__ >= SLOTS_START
    post: slot_start(item_size, item_id + 1) == __return__ + item_size
    """
    return SLOTS_START + item_size * item_id


def is_representable(item_size: int, item_num: int) -> bool:
    """Return whether a segment of this shape can be described and mapped at all, control block
    included.

    post: not __return__ or (0 <= item_num <= MAX_ITEM_NUM and 0 <= item_size)
    post: not __return__ or apr_length(item_size, item_num) <= MAX_BYTES
    """
    if not (0 <= item_num <= MAX_ITEM_NUM and 0 <= item_size <= MAX_BYTES):
        return False
    # The redo records may take MAX_REDO_BYTES or one slot, whichever is more; the mutexes and
    # rounding, 8 KiB.
    block = MAX_REDO_BYTES + item_size + TENANT_BYTES * item_num + 2 * PAGE_BYTES
    return apr_length(item_size, item_num) + block <= MAX_BYTES


class Geometry(NamedTuple):
    """The whole shape of a segment; see the picture above. Offsets and sizes in bytes."""

    item_size: int
    item_num: int
    type: int
    pregrab: bool
    stripes: int
    """The number of mutexes that guard slot bytes."""
    first_stripe: int
    """The index of the first of them: 1, or 0 if it is the table's own."""
    mutexes: int
    inuse_start: int
    apr_length: int
    control_start: int
    mutexes_start: int
    redo_start: int
    redo_stride: int
    tenants_start: int
    total: int


def geometry(item_size: int, item_num: int, type_: int, pregrab: bool) -> Geometry:
    """Return the layout of a segment.

    pre: is_representable(item_size, item_num)
    post: __return__.control_start >= __return__.apr_length
    post: __return__.control_start % LINE_BYTES == 0 and __return__.redo_start % LINE_BYTES == 0
    post: __return__.mutexes_start >= __return__.control_start + CONTROL_HEADER_BYTES
    post: __return__.redo_start >= __return__.mutexes_start + __return__.mutexes * MUTEX_BYTES
    post: __return__.total >= __return__.tenants_start + TENANT_BYTES * item_num
    post: __return__.total % PAGE_BYTES == 0
    post: __return__.first_stripe + __return__.stripes == __return__.mutexes
    """
    number = stripes(item_size, item_num) if pregrab else 1
    first = 1 if pregrab else 0
    length = apr_length(item_size, item_num)
    control = align_up(length, LINE_BYTES)
    mutexes = first + number
    redo = control + CONTROL_HEADER_BYTES + mutexes * MUTEX_BYTES
    stride = redo_stride(item_size)
    return Geometry(
        item_size,
        item_num,
        type_,
        pregrab,
        number,
        first,
        mutexes,
        inuse_start(item_size, item_num),
        length,
        control,
        control + CONTROL_HEADER_BYTES,
        redo,
        stride,
        redo + number * stride,
        align_up(redo + number * stride + TENANT_BYTES * item_num, PAGE_BYTES),
    )
