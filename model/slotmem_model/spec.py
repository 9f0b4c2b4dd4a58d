"""The specification of one segment: a sequential state machine of pure functions.

Interface:

- `Slots` is a state; `fresh(...)` the first one.
- Each operation is a function `(state, arguments) -> (state, Result)`. An error is a `Result` too,
  and changes nothing.
- `step(state, operation)` does the operation that a tuple describes: `("grab",)`, `("put", 2,
  b"abc")`, ...; `steps` gives everything that it may do where GRAB-2 is not required.

Names, files, restarts and crashes are one level up, in `slotmem_model.server_spec`. Concurrency is
not this module's business: `slotmem_model.judge.search` asks whether what happened can be explained
by these functions in some order.

Clause ids refer to `slotmem_model.clauses`. STATE-1 to STATE-3 require that all of this holds in
every state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

SUCCESS = "APR_SUCCESS"
EINVAL = "APR_EINVAL"
NOTFOUND = "APR_NOTFOUND"


class Result(NamedTuple):
    """What an operation answers: the name of an APR status, and a value where there is one."""

    status: str
    value: Any = None


class Tenant(NamedTuple):
    """Who marked a slot in use, and whether it was put since."""

    process: int
    has_put: bool


class As(NamedTuple):
    """The last argument of an operation that says who asks; processes are numbered from 1."""

    process: int


class Slots(NamedTuple):
    """The state of a segment.

    `inuse` and `data` have one entry a slot; each entry of data has item_size bytes.
    """

    item_size: int
    pregrab: bool
    inuse: tuple[bool, ...]
    data: tuple[bytes, ...]
    tenants: tuple[Tenant | None, ...] = ()
    """Who has each slot, as far as operations say who asks (`As`)."""


Operation = tuple[Any, ...]
Stepped = tuple[Slots, Result]
OK = Result(SUCCESS)
PUTS = ("put", "compare_and_put", "update")
"""The operations that write to a slot."""


def fresh(item_size: int, item_num: int, pregrab: bool) -> Slots:
    """Return the state of a segment just made: every slot free, every byte zero (CREATE-2)."""
    return Slots(item_size, pregrab, (False,) * item_num, (bytes(item_size),) * item_num)


def is_slot(state: Slots, item_id: int) -> bool:
    """Return whether the segment has this slot (ID-1, ID-3)."""
    return 0 <= item_id < len(state.inuse)


def is_usable(state: Slots, item_id: int) -> bool:
    """Return whether get and put may touch this slot (GET-2, PUT-2)."""
    return state.inuse[item_id] or not state.pregrab


def compute_marked(state: Slots, item_id: int, used: bool) -> Slots:
    """Return the state with one slot marked in use or free."""
    return state._replace(inuse=(*state.inuse[:item_id], used, *state.inuse[item_id + 1 :]))


def compute_written(state: Slots, item_id: int, data: bytes) -> Slots:
    """Return the state with the first bytes of one slot replaced; the rest stays (PUT-3)."""
    written = data + state.data[item_id][len(data) :]
    return state._replace(data=(*state.data[:item_id], written, *state.data[item_id + 1 :]))


def grab(state: Slots) -> Stepped:
    """Take the lowest free slot (GRAB-1, GRAB-2); contents stay (GRAB-3); none free is an error
    (GRAB-4).
    """
    if all(state.inuse):
        return state, Result(EINVAL)
    item_id = state.inuse.index(False)
    return compute_marked(state, item_id, True), Result(SUCCESS, item_id)


def fgrab(state: Slots, item_id: int) -> Stepped:
    """Mark this very slot (FGRAB-1); no change if it is marked (FGRAB-2)."""
    if not is_slot(state, item_id):
        return state, Result(EINVAL)
    return compute_marked(state, item_id, True), OK


def release(state: Slots, item_id: int) -> Stepped:
    """Mark a slot free (RELEASE-1); contents stay (RELEASE-2); a free one fails (RELEASE-3)."""
    if not is_slot(state, item_id):
        return state, Result(EINVAL)
    if not state.inuse[item_id]:
        return state, Result(NOTFOUND)
    return compute_marked(state, item_id, False), OK


def get(state: Slots, item_id: int, nbytes: int | None = None) -> Stepped:
    """Read the first bytes of a slot (GET-1, GET-3); without PREGRAB that marks it (GET-4)."""
    nbytes = state.item_size if nbytes is None else nbytes
    if not is_slot(state, item_id) or not 0 <= nbytes <= state.item_size:
        return state, Result(EINVAL)
    if not is_usable(state, item_id):
        return state, Result(NOTFOUND)
    return compute_marked(state, item_id, True), Result(SUCCESS, state.data[item_id][:nbytes])


def put(state: Slots, item_id: int, data: bytes) -> Stepped:
    """Write the first bytes of a slot (PUT-1, PUT-3); without PREGRAB that marks it (PUT-4)."""
    if not is_slot(state, item_id) or len(data) > state.item_size:
        return state, Result(EINVAL)
    if not is_usable(state, item_id):
        return state, Result(NOTFOUND)
    return compute_written(compute_marked(state, item_id, True), item_id, data), OK


def compare_and_put(state: Slots, item_id: int, expected: bytes, new: bytes) -> Stepped:
    """Write the first bytes of a slot if it begins with what is expected, and say whether it did
    (UPDATE-1); without PREGRAB that marks it, as get and put do (UPDATE-2).
    """
    if not is_slot(state, item_id) or max(len(expected), len(new)) > state.item_size:
        return state, Result(EINVAL)
    if not is_usable(state, item_id):
        return state, Result(NOTFOUND)
    state, is_equal = compute_marked(state, item_id, True), state.data[item_id].startswith(expected)
    return (compute_written(state, item_id, new) if is_equal else state), Result(SUCCESS, is_equal)


def update(state: Slots, item_id: int, function: Callable[[bytes], bytes]) -> Stepped:
    """Write to a slot what a function makes of its bytes; what is too long changes nothing."""
    if not is_slot(state, item_id):
        return state, Result(EINVAL)
    if not is_usable(state, item_id):
        return state, Result(NOTFOUND)
    data = function(state.data[item_id])
    if len(data) > state.item_size:
        return state, Result(EINVAL)
    return compute_written(compute_marked(state, item_id, True), item_id, data), Result(SUCCESS, data)


def num_free_slots(state: Slots) -> Stepped:
    """Count the slots that are not in use (COUNT-2)."""
    return state, Result(SUCCESS, state.inuse.count(False))


def num_slots(state: Slots) -> Stepped:
    """Return item_num (COUNT-1)."""
    return state, Result(SUCCESS, len(state.inuse))


def slot_size(state: Slots) -> Stepped:
    """Return item_size (COUNT-1)."""
    return state, Result(SUCCESS, state.item_size)


def slots(state: Slots) -> Stepped:
    """List the ids in use, ascending."""
    return state, Result(SUCCESS, tuple(item_id for item_id, used in enumerate(state.inuse) if used))


def tenant(state: Slots, item_id: int) -> Stepped:
    """Tell who has a slot, and whether it was put since; nobody has a free one (OWNER-1)."""
    if not is_slot(state, item_id):
        return state, Result(EINVAL)
    return state, Result(SUCCESS, state.tenants[item_id])


def reclaim(state: Slots, item_id: int, process: int) -> Stepped:
    """Release a slot if this process has it, and tell whether it did (REAP-1)."""
    if not is_slot(state, item_id):
        return state, Result(EINVAL)
    found = state.tenants[item_id]
    if found is None or found.process != process:
        return state, Result(SUCCESS, False)
    return compute_marked(state, item_id, False), Result(SUCCESS, True)


def compute_tenants(before: Slots, after: Slots, operation: Operation, result: Result) -> tuple[Tenant | None, ...]:
    """Return who has each slot after an operation: who marked it in use (OWNER-1).

    A put counts if it took effect since (OWNER-2).
    """
    asking = operation[-1].process
    puts = operation[0] in PUTS and result.value is not False
    tenants: list[Tenant | None] = []
    for item_id, used in enumerate(after.inuse):
        had = before.tenants[item_id] if before.inuse[item_id] else Tenant(asking, has_put=False)
        is_put = puts and operation[1] == item_id
        tenants.append((had and had._replace(has_put=True) if is_put else had) if used else None)
    return tuple(tenants)


def doall(state: Slots, answers: tuple[int, ...] = ()) -> Stepped:
    """Walk over the slots in order (DOALL-1, DOALL-2), until the callback answers other than 0
    (DOALL-3).

    `answers` are the statuses that the callback returns, one after the other; after the last, 0.
    The value is the last status and the contents that the callback saw.
    """
    seen: list[bytes] = []
    for item_id, data in enumerate(state.data):
        if is_usable(state, item_id):
            status = answers[len(seen)] if len(seen) < len(answers) else 0
            seen.append(data)
            if status != 0:
                return state, Result(SUCCESS, (status, tuple(seen)))
    return state, Result(SUCCESS, (0, tuple(seen)))


def compute_stored(state: Slots, clearinuse: bool) -> Slots:
    """Return the state that a restart stores: itself, or with CLEARINUSE with every slot free
    (STORE-3).
    """
    return state._replace(inuse=(False,) * len(state.inuse)) if clearinuse else state


OPERATIONS: dict[str, Callable[..., Stepped]] = {
    function.__name__: function
    for function in (
        *(grab, fgrab, release, get, put, compare_and_put, update),
        *(num_free_slots, num_slots, slot_size, slots, doall, tenant, reclaim),
    )
}


def step(state: Slots, operation: Operation) -> Stepped:
    """Do the operation that a tuple names: its name, then its arguments, and at last who asks, if
    that matters.
    """
    if not isinstance(operation[-1], As):
        return OPERATIONS[operation[0]](state, *operation[1:])
    after, result = step(state, operation[:-1])
    if result.status == SUCCESS:
        after = after._replace(tenants=compute_tenants(state, after, operation, result))
    return after, result


def steps(state: Slots, operation: Operation, *, lowest_first: bool) -> tuple[Stepped, ...]:
    """Return everything that an operation may do.

    There is one way, but for two operations. A grab that need not give the lowest free slot
    (GRAB-2) may give any free one; the lowest comes first. A put into the slot of another process
    may not count as put since (OWNER-2): it may have begun before that process grabbed it.
    """
    if operation[0] in PUTS and isinstance(operation[-1], As):
        after, result = step(state, operation)
        item_id, asking = operation[1], operation[-1].process
        had = state.tenants[item_id] if is_slot(state, item_id) else None
        if had is None or had.process == asking or result.status != SUCCESS:
            return ((after, result),)
        return (after, result), (after._replace(tenants=state.tenants), result)
    if operation[0] != "grab" or lowest_first or all(state.inuse):
        return (step(state, operation),)
    free = (item_id for item_id, used in enumerate(state.inuse) if not used)
    return tuple((compute_marked(state, item_id, True), Result(SUCCESS, item_id)) for item_id in free)
