"""What is proved of the specification: contracts over every segment of three slots of two bytes.

Each function does one thing with the specification and returns what came out; its `post:` lines
say what must hold of that, for every value of its arguments that `pre:` admits. CrossHair proves
them over all paths; nothing here is ever called otherwise. Three slots are enough to have a lowest
free slot with a used one below and a free one above.
"""

from __future__ import annotations

from slotmem_model.spec import (  # noqa: F401  # the contracts, which are docstrings, use the constants
    EINVAL,
    NOTFOUND,
    SUCCESS,
    As,
    Result,
    Slots,
    Stepped,
    Tenant,
    compute_stored,
    compute_written,
    doall,
    fgrab,
    get,
    grab,
    num_free_slots,
    put,
    reclaim,
    release,
    step,
)

Flags = tuple[bool, bool, bool]

_DATA = (b"ab", b"cd", b"ef")
_OUTSIDE = (-2, -1, 3, 4)


def _segment(pregrab: bool, inuse: Flags) -> Slots:
    return Slots(2, pregrab, inuse, _DATA)


def _owned(inuse: Flags) -> Slots:
    return _segment(True, inuse)._replace(tenants=tuple(Tenant(1, False) if used else None for used in inuse))


def grabbing(pregrab: bool, inuse: Flags) -> Stepped:
    """Grab (GRAB-1 to GRAB-4).

    post: __return__[1].status == (EINVAL if all(inuse) else SUCCESS)
    post: all(inuse) or not inuse[__return__[1].value]
    post: all(inuse) or all(inuse[:__return__[1].value])
    post: all(inuse) or __return__[0].inuse[__return__[1].value]
    post: sum(__return__[0].inuse) == min(3, sum(inuse) + 1)
    post: __return__[0].data == _DATA
    """
    return grab(_segment(pregrab, inuse))


def fgrabbing(pregrab: bool, inuse: Flags, item_id: int) -> Stepped:
    """Take a given slot (FGRAB-1, FGRAB-2).

    pre: 0 <= item_id < 3
    post: __return__[1] == Result(SUCCESS)
    post: __return__[0].inuse[item_id]
    post: sum(__return__[0].inuse) == sum(inuse) + (not inuse[item_id])
    post: __return__[0].data == _DATA
    """
    return fgrab(_segment(pregrab, inuse), item_id)


def releasing(pregrab: bool, inuse: Flags, item_id: int) -> Stepped:
    """Release (RELEASE-1 to RELEASE-3).

    pre: 0 <= item_id < 3
    post: __return__[1].status == (SUCCESS if inuse[item_id] else NOTFOUND)
    post: not __return__[0].inuse[item_id]
    post: sum(__return__[0].inuse) == sum(inuse) - inuse[item_id]
    post: __return__[0].data == _DATA
    """
    return release(_segment(pregrab, inuse), item_id)


def getting(pregrab: bool, inuse: Flags, item_id: int, nbytes: int) -> Stepped:
    """Get (GET-1 to GET-5).

    pre: 0 <= item_id < 3 and -1 <= nbytes <= 3
    post: (__return__[1].status == EINVAL) == (not 0 <= nbytes <= 2)
    post: (__return__[1].status == NOTFOUND) == (0 <= nbytes <= 2 and pregrab and not inuse[item_id])
    post: __return__[1].status != SUCCESS or __return__[1].value == _DATA[item_id][:nbytes]
    post: __return__[1].status != SUCCESS or __return__[0].inuse[item_id]
    post: __return__[1].status == SUCCESS or __return__[0].inuse == inuse
    post: __return__[0].data == _DATA
    """
    return get(_segment(pregrab, inuse), item_id, nbytes)


def putting(pregrab: bool, inuse: Flags, item_id: int, nbytes: int) -> Stepped:
    """Put (PUT-1 to PUT-5).

    pre: 0 <= item_id < 3 and 0 <= nbytes <= 3
    post: (__return__[1].status == EINVAL) == (nbytes > 2)
    post: (__return__[1].status == NOTFOUND) == (nbytes <= 2 and pregrab and not inuse[item_id])
    post: __return__[1].status == SUCCESS or __return__[0] == _segment(pregrab, inuse)
    post: __return__[1].status != SUCCESS or __return__[0].data[item_id] == b"xyz"[:nbytes] + _DATA[item_id][nbytes:]
    post: all(__return__[0].data[other] == _DATA[other] for other in range(3) if other != item_id)
    """
    return put(_segment(pregrab, inuse), item_id, b"xyz"[:nbytes])


def outside(pregrab: bool, inuse: Flags, item_id: int) -> list[Stepped]:
    """Use an id that is out of range (ID-1).

    pre: item_id in _OUTSIDE
    post: all(stepped == (_segment(pregrab, inuse), Result(EINVAL)) for stepped in __return__)
    """
    state = _segment(pregrab, inuse)
    return [fgrab(state, item_id), release(state, item_id), get(state, item_id), put(state, item_id, b"x")]


def put_then_get(pregrab: bool, inuse: Flags, item_id: int) -> tuple[Stepped, Stepped]:
    """Read what was just written (GET-1, PUT-1).

    pre: 0 <= item_id < 3 and (inuse[item_id] or not pregrab)
    post: __return__[1][1] == Result(SUCCESS, b"xy")
    post: __return__[1][0] == __return__[0][0]
    """
    written = put(_segment(pregrab, inuse), item_id, b"xy")
    return written, get(written[0], item_id)


def grab_then_release(pregrab: bool, inuse: Flags) -> Slots:
    """Release what was just grabbed (GRAB-3, RELEASE-2).

    pre: not all(inuse)
    post: __return__ == _segment(pregrab, inuse)
    """
    state, result = grab(_segment(pregrab, inuse))
    return release(state, result.value)[0]


def owning(inuse: Flags, asking: int) -> Stepped:
    """Grab, and have the slot; process 1 keeps its own (OWNER-1).

    post: all(inuse) or __return__[0].tenants[__return__[1].value] == (asking, False)
    post: all(__return__[0].tenants[item_id] == (1, False) for item_id in range(3) if inuse[item_id])
    """
    return step(_owned(inuse), ("grab", As(asking)))


def reclaiming(inuse: Flags, item_id: int, process: int) -> Stepped:
    """Take a slot back from a process, if it has it (REAP-1).

    pre: 0 <= item_id < 3
    post: __return__[1].value == (inuse[item_id] and process == 1)
    post: sum(__return__[0].inuse) == sum(inuse) - (1 if __return__[1].value else 0)
    post: __return__[0].data == _DATA
    """
    return reclaim(_owned(inuse), item_id, process)


def counting(pregrab: bool, inuse: Flags) -> Stepped:
    """Count (COUNT-2).

    post: __return__ == (_segment(pregrab, inuse), Result(SUCCESS, 3 - sum(inuse)))
    """
    return num_free_slots(_segment(pregrab, inuse))


def walking(pregrab: bool, inuse: Flags, stop_at: int) -> Stepped:
    """Walk, the callback asking to stop at one of its calls, or never (DOALL-1 to DOALL-3).

    pre: 0 <= stop_at <= 3
    post: __return__[0] == _segment(pregrab, inuse)
    post: list(__return__[1].value[1]) == [d for d, used in zip(_DATA, inuse) if used or not pregrab][: stop_at + 1]
    post: (__return__[1].value[0] == 7) == (stop_at < (sum(inuse) if pregrab else 3))
    """
    return doall(_segment(pregrab, inuse), (0,) * stop_at + (7,))


def storing(pregrab: bool, inuse: Flags, clearinuse: bool) -> Slots:
    """Store (STORE-3).

    post: __return__.inuse == ((False, False, False) if clearinuse else inuse)
    post: __return__.data == _DATA
    """
    return compute_stored(_segment(pregrab, inuse), clearinuse)


def writing(item_id: int, nbytes: int) -> Slots:
    """Write a part of a slot (PUT-3): its size never changes.

    pre: 0 <= item_id < 3 and 0 <= nbytes <= 2
    post: all(len(data) == 2 for data in __return__.data)
    """
    return compute_written(_segment(True, (True, True, True)), item_id, b"xy"[:nbytes])
