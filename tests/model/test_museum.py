"""Every piece of the museum is found out, by the property and in the number of steps that
it pins.
"""

import inspect
from dataclasses import replace

import pytest

from slotmem_model.algorithms.museum import crash, httpd, locks, memory
from slotmem_model.algorithms.museum.pieces import MUSEUM, PIECES
from slotmem_model.checker import naive, shortest
from slotmem_model.checker.model import compile_model
from slotmem_model.checker.properties import ALWAYS, OF_PROGRAMS
from slotmem_model.checker.sweep import engine as sweep

ROOMS = (httpd, locks, crash, memory)


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_a_piece_is_found_out(piece):
    """The exploration ends in violations; the shortest is as long as pinned, and so many states
    there are.

    The fast engine finds the same, in the same numbers, and with its reductions the same properties
    broken.
    """
    model = compile_model(piece.configuration, piece.algorithm)
    outcome = naive.explore(model)
    assert outcome.verdict == "violated"
    assert outcome.violations.keys() <= ALWAYS.keys()
    broken, steps = shortest.find(model)
    assert (broken, len(steps), outcome.states) == (piece.property, piece.steps, piece.states)

    fast = sweep.explore(model)
    assert (fast.states, fast.transitions, fast.seen) == (outcome.states, outcome.transitions, outcome.seen)
    assert fast.violations == outcome.violations
    for reductions in ({"por": True}, {"symmetry": True}, {"symmetry": True, "por": True}):
        if "symmetry" not in reductions or len(set(model.clients)) == 1:
            reduced = sweep.explore(model, **reductions)
            assert reduced.violations.keys() == outcome.violations.keys()
            assert reduced.states <= outcome.states


@pytest.mark.parametrize(
    "piece", [piece for piece in PIECES if piece.configuration.crashes], ids=lambda piece: piece.name
)
def test_a_piece_of_the_crash_room_is_right_if_nobody_dies(piece):
    """Without a death the same client finds nothing wrong: it is the death that shows it."""
    outcome = naive.explore(compile_model(replace(piece.configuration, crashes=0), piece.algorithm))
    assert (outcome.verdict, outcome.complete) == ("held", True)


@pytest.mark.parametrize(
    "piece", [piece for piece in PIECES if piece.configuration.memory == "tso"], ids=lambda piece: piece.name
)
def test_a_missing_fence_shows_only_with_a_store_buffer(piece):
    """On sequentially consistent memory the same client finds nothing wrong."""
    outcome = naive.explore(compile_model(replace(piece.configuration, memory="sc"), piece.algorithm))
    assert (outcome.verdict, outcome.complete) == ("held", True)


@pytest.mark.parametrize(
    "piece", [piece for piece in PIECES if piece.source == "a lock over all of it"], ids=lambda piece: piece.name
)
def test_a_piece_of_the_lock_room_is_right_in_one_process(piece):
    """The first client alone finds nothing wrong: it takes two."""
    alone = replace(piece.configuration, processes=1, clients=piece.configuration.clients[:1], crashes=0)
    assert naive.explore(compile_model(alone, piece.algorithm)).verdict == "held"


def test_the_museum_is_large_and_well_labelled():
    """There are more than 80 pieces; names and sentences are different; each property is broken by
    some piece.
    """
    assert len(PIECES) == len(MUSEUM) > 80
    assert all(piece.sentence.endswith(".") for piece in PIECES)
    assert len({piece.sentence for piece in PIECES}) == len(PIECES)
    assert {piece.property for piece in PIECES} == ALWAYS.keys() - OF_PROGRAMS


def test_nothing_is_kept_in_the_cellar():
    """Every class of the four rooms is shown."""
    classes = {
        value
        for room in ROOMS
        for value in vars(room).values()
        if inspect.isclass(value) and value.__module__ == room.__name__
    }
    rooms = {room.__name__ for room in ROOMS}
    assert classes == {piece.algorithm for piece in PIECES if piece.algorithm.__module__ in rooms}
