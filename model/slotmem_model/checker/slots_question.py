"""What is compiled of a question about slots: a segment, its clients and the specification.

Interface: `slots_question(...)` returns it; `slotmem_model.programs.question` has the one for
programs of a user's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from slotmem_model import spec
from slotmem_model.automata import client
from slotmem_model.automata.kind import Question
from slotmem_model.automata.shared_words import geometry, words_of
from slotmem_model.automata.slots_kind import SlotsKind
from slotmem_model.spec import Operation, Slots, Stepped


def slots_question(
    algorithm: Callable[[Any], Any],
    texts: tuple[str, ...],
    *,
    processes: int,
    slots: int,
    slot_bytes: int,
    pregrab: bool,
    stripes: int | None,
    rounds: int,
) -> Question:
    """Return what is compiled. texts: one client for all processes, or one for each.

    Raises:
        BadClient
    """
    clients = [client.parse(text, slots) for text in texts]
    clients = clients if len(clients) > 1 else clients * processes
    values = 1 + max(client.largest_value(statements, process) for process, statements in enumerate(clients))
    shape = geometry(slot_bytes, slots, pregrab, stripes)
    # Each process is at most one count ahead or behind in each round; one that goes on for ever may
    # drift further, which is reported as a value that the model does not have.
    tenants = processes if client.asks_for_tenants(clients) else 0
    extra = getattr(algorithm, "extra_words", ())
    map_ = words_of(shape, values, slack=processes * max(rounds, 1), extra=extra, tenants=tenants)
    possible = [frozenset({word.values.index(word.initial)}) for word in map_.words]
    possible[map_.num_free] = frozenset(range(slots + 1))
    initial = spec.fresh(slot_bytes, slots, pregrab)
    if tenants:
        initial = initial._replace(tenants=(None,) * slots)
    return Question(
        SlotsKind(shape, map_, getattr(algorithm, "robust", True)),
        tuple(clients),
        tuple(possible),
        initial,
        partial(_stepped, getattr(algorithm, "lowest_first", True)),
    )


def _stepped(lowest_first: bool, state: Slots, operation: Operation, _process: int) -> tuple[Stepped, ...]:
    """Return what the specification of slots allows: whoever asks, it is the same."""
    return spec.steps(state, operation, lowest_first=lowest_first)
