"""Tiny random histories of slots, right and wrong ones, to be compared with trying every order."""

from slotmem_model import spec
from tools import histories

OK = spec.Result(spec.SUCCESS)


def step(state, operation):
    """Yield the one thing that the specification allows."""
    yield spec.step(state, operation)


THEMES = {
    "all": histories.MIX,
    "contents": {"put": 4, "get": 4, "grab": 0.3, "release": 0.3},
    "contents and marks": {"put": 2, "get": 2, "grab": 1, "release": 1},
    "marks": {"grab": 3, "release": 3, "num_free_slots": 0.5},
    "counts": {"grab": 2, "release": 2, "num_free_slots": 2},
}


def make_tiny(dice, operations=9, *, lowest_first=True):
    """Return a tiny history, most often with results that were changed, and the state it
    begins in.
    """
    item_num = dice.choice([1, 1, 2, 2, 3, 4])
    initial = spec.fresh(2, item_num, True)
    if dice.random() < 0.7:
        initial = initial._replace(inuse=tuple(dice.random() < 0.7 for _ in range(item_num)))
    mix = THEMES[dice.choice(list(THEMES))]
    events = histories.make_events(
        dice,
        initial,
        processes=dice.choice([2, 3, 4, 6]),
        operations=dice.randint(2, operations),
        values=dice.choice([None, None, 1, 2, 3]),
        crashes=dice.choice([0, 0, 0.05, 0.15]),
        mix=mix,
        stop=dice.choice([0, 0.2]),
        crowd=dice.choice([0, 0.4, 0.8]),
        lowest_first=lowest_first,
    )
    for _ in range(dice.choice([0, 0, 1, 1, 2])):
        events = histories.spoil(dice, events, item_num)
    return events, initial


CRASHING = (
    {"grab": 3, "release": 3},
    {"grab": 3, "release": 2, "get": 1},
    {"grab": 2, "release": 3, "put": 1, "get": 2},
    {"grab": 2, "release": 2, "num_free_slots": 0.4, "fgrab": 0.3},
    {"grab": 4, "release": 3, "fgrab": 0.5, "get": 0.7},
)


def make_crashing(dice, operations=9, *, lowest_first=True):
    """Return a tiny history in which much overlaps and many crash, most of them in a grab or a
    release.
    """
    item_num = dice.choice([2, 3, 3, 4, 4, 5])
    initial = spec.fresh(2, item_num, True)._replace(inuse=tuple(dice.random() < 0.6 for _ in range(item_num)))
    events = histories.make_events(
        dice,
        initial,
        processes=dice.choice([3, 4, 5, 6]),
        operations=dice.randint(4, operations),
        values=dice.choice([None, None, 2]),
        crashes=dice.choice([0.1, 0.2, 0.3]),
        mix=dice.choice(CRASHING),
        stop=dice.choice([0, 0.2]),
        crowd=dice.choice([0.2, 0.5, 0.8, 0.9]),
        lowest_first=lowest_first,
    )
    for _ in range(dice.choice([0, 0, 1, 1, 2])):
        events = histories.spoil(dice, events, item_num)
    return events, initial


def make_hot(dice, operations=9, *, lowest_first=True):
    """Return a tiny history of one slot in use, to which many put two or three values at once."""
    initial = spec.fresh(2, 1, True)._replace(inuse=(True,))
    events = histories.make_events(
        dice,
        initial,
        processes=dice.choice([4, 5, 6]),
        operations=dice.randint(5, operations),
        values=dice.choice([2, 3]),
        crashes=dice.choice([0, 0, 0.1]),
        mix={"put": 3, "get": 3, "release": dice.choice([0, 0, 0.3]), "grab": 0.1},
        stop=dice.choice([0, 0.2]),
        crowd=dice.choice([0.5, 0.8, 0.95]),
        lowest_first=lowest_first,
    )
    for _ in range(dice.choice([0, 1, 1, 2])):
        events = histories.spoil(dice, events, 1)
    return events, initial
