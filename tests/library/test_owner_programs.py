"""Random programs of several processes beside the specification: who has each slot (OWNER-1,
OWNER-2, REAP-1).
"""

import mmap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slotmem import SlotmemError, Type
from slotmem.memory import control
from slotmem.memory.image import SharedImage
from slotmem.slots import Slots
from slotmem_model import spec
from slotmem_model.spec import SUCCESS, As, Result

SLOTS, PROCESSES = 3, 3
IDS = st.integers(0, SLOTS - 1)
OPERATIONS = st.one_of(
    st.just(("grab",)),
    st.tuples(st.sampled_from(["fgrab", "release", "get", "tenant"]), IDS),
    st.tuples(st.just("put"), IDS, st.binary(max_size=4)),
    st.tuples(st.just("reclaim"), IDS, st.integers(1, PROCESSES)),
)
PROGRAMS = st.lists(st.tuples(st.integers(1, PROCESSES), OPERATIONS), max_size=30)


def answer(slots, operation):
    """Do it, and answer as the specification does."""
    name, *arguments = operation
    try:
        return Result(SUCCESS, getattr(slots, name)(*arguments))
    except SlotmemError as error:
        return Result(error.status.name)


def difference(pregrab, program, algorithm):
    """Return the first answer that is not the specification's, with what it should be."""
    shape = control.shape_of(4, SLOTS, Type.PREGRAB if pregrab else Type(0))
    memory = mmap.mmap(-1, shape.total)
    control.write_header(memory, shape)
    image = SharedImage(memory, shape)
    image.initialize()
    each = [algorithm(image) for _ in range(PROCESSES)]
    for number, slots in enumerate(each, 1):
        slots.me = [number]
    state = spec.fresh(4, SLOTS, pregrab)._replace(tenants=(None,) * SLOTS)
    for process, operation in program:
        state, expected = spec.step(state, (*operation, As(process)))
        asked = [operation, *(("tenant", item_id) for item_id in range(SLOTS))]
        right = [expected, *(Result(SUCCESS, tenant) for tenant in state.tenants)]
        for question, due in zip(asked, right, strict=True):
            got = answer(each[process - 1], question)
            if got != due:
                return question, got, due
    return None


@pytest.mark.parametrize("pregrab", [True, False])
@given(program=PROGRAMS)
@settings(deadline=None, derandomize=True)
def test_owners_are_the_specifications(pregrab, program):
    """After each operation every slot has the tenant that the specification gives it."""
    assert difference(pregrab, program, Slots) is None


class FgrabTakesOver(Slots):
    """fgrab makes the caller owner of a slot in use, too."""

    def fgrab(self, item_id):
        super().fgrab(item_id)
        self.tenants[item_id] = self.me[0]


class ReleaseOnlyMine(Slots):
    """release leaves a slot of another process."""

    def release(self, item_id):
        if self.tenants[item_id] in (0, self.me[0]):
            super().release(item_id)


@pytest.mark.parametrize(
    ("algorithm", "program"),
    [
        (FgrabTakesOver, [(1, ("grab",)), (2, ("fgrab", 0))]),
        (ReleaseOnlyMine, [(1, ("grab",)), (2, ("release", 0))]),
    ],
)
def test_a_wrong_owner_is_a_difference(algorithm, program):
    """The comparison accuses who gives slots to the wrong process."""
    assert difference(True, program, algorithm) is not None
