"""Random programs on one segment: all flags, sizes 0 to 70, partial lengths, bad ids.

`run(make_provider, ...)` lets Hypothesis search for a program that tells the two apart, and raises
`Difference` with the shortest it found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from slotmem import Type
from slotmem_conformance.machines.driving import Pair
from slotmem_model import spec
from slotmem_stress.interrupts import without_interrupts

ITEM_IDS = st.integers(-2, 7)
TYPES = st.integers(0, 15).map(Type)


class SlotsMachine(RuleBasedStateMachine):
    """One instance and its specification. Subclasses give `make_provider`."""

    make_provider: Callable[[], Any]

    def __init__(self) -> None:
        super().__init__()
        self.provider = type(self).make_provider()
        self.pair: Pair | None = None

    def _do(self, *operation: Any) -> None:
        assert self.pair is not None
        self.pair.do(operation)

    @initialize(item_size=st.integers(0, 70), item_num=st.integers(0, 6), flags=TYPES, named=st.booleans())
    def create(self, item_size: int, item_num: int, flags: Type, named: bool) -> None:
        """Begin with a fresh segment."""
        with without_interrupts():  # or it might exist without the provider knowing it yet
            instance = self.provider.create("machine" if named else None, item_size, item_num, flags & ~Type.PERSIST)
        self.pair = Pair(instance, spec.fresh(item_size, item_num, bool(flags & Type.PREGRAB)))

    @rule()
    def grab(self) -> None:
        """Grab the lowest free slot."""
        self._do("grab")

    @rule(item_id=ITEM_IDS)
    def fgrab(self, item_id: int) -> None:
        """Take one slot, or an id that does not exist."""
        self._do("fgrab", item_id)

    @rule(item_id=ITEM_IDS)
    def release(self, item_id: int) -> None:
        """Release one slot, or an id that does not exist."""
        self._do("release", item_id)

    @rule(item_id=ITEM_IDS, nbytes=st.none() | st.integers(-1, 72))
    def get(self, item_id: int, nbytes: int | None) -> None:
        """Get all of a slot, a part of it, or too much."""
        self._do("get", item_id, nbytes)

    @rule(item_id=ITEM_IDS, data=st.binary(max_size=72))
    def put(self, item_id: int, data: bytes) -> None:
        """Put all of a slot, a part of it, or too much."""
        self._do("put", item_id, data)

    @precondition(lambda self: self.pair is not None and self.pair.state.item_size > 0)
    @rule(item_id=ITEM_IDS, data=st.data())
    def put_whole(self, item_id: int, data: Any) -> None:
        """Put exactly a slot, which random lengths seldom do."""
        assert self.pair is not None
        size = self.pair.state.item_size
        self._do("put", item_id, data.draw(st.binary(min_size=size, max_size=size)))

    @rule(answers=st.lists(st.sampled_from([0, 0, 0, 7, 70015]), max_size=4).map(tuple))
    def doall(self, answers: tuple[int, ...]) -> None:
        """Walk over the slots, stopping early or not."""
        self._do("doall", answers)

    @rule()
    def counters(self) -> None:
        """Ask for the shape."""
        self._do("num_slots")
        self._do("slot_size")

    @invariant()
    def everything_agrees(self) -> None:
        """Compare all that can be seen."""
        if self.pair is not None:
            self.pair.look()

    def teardown(self) -> None:
        """End the server."""
        with without_interrupts():
            self.provider.close()


def run(
    make_provider: Callable[[], Any],
    *,
    examples: int,
    steps: int = 30,
    seed: int | None = None,
    tell: Callable[[], None] = lambda: None,
) -> None:
    """Search for a program that tells provider and specification apart.

    `tell` is called before each program, and may raise OutOfTime.

    Raises:
        Difference
    """
    traits = {"make_provider": staticmethod(make_provider)}
    run_machine(type("SlotsMachine", (SlotsMachine,), traits), examples, steps, seed, tell)


def run_machine(
    machine: type[RuleBasedStateMachine], examples: int, steps: int, seed: int | None, tell: Callable[[], None]
) -> None:
    """Run a state machine: bounded, reproducible by its seed, leaving no files behind."""

    class Told(machine):  # type: ignore[valid-type, misc]
        def __init__(self) -> None:
            tell()
            super().__init__()

    Told.__name__ = machine.__name__
    machine = Told
    if seed is not None:
        machine._hypothesis_internal_use_seed = seed  # what @seed sets on a test
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=seed is None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
        ),
    )
