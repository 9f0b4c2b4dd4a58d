"""The algorithms of the model: each is accepted where it claims to be right, and refused where it
does not.
"""

import mmap
import random
from typing import NamedTuple

import pytest

from slotmem.memory.image import SharedImage
from slotmem.memory.layout import geometry
from slotmem.slots import Slots
from slotmem_model import spec
from slotmem_model.algorithms import catalogue
from slotmem_model.algorithms.base import TABLE, Refused
from slotmem_model.algorithms.httpd import Httpd
from slotmem_model.algorithms.httpd_locked import HttpdLocked
from slotmem_model.algorithms.museum.pieces import PIECES
from slotmem_model.algorithms.one_lock import OneLock
from slotmem_model.algorithms.plain_lock import PlainLock
from slotmem_model.algorithms.striped import Striped
from slotmem_model.automata.accesses import EBUSY, EOWNERDEAD
from slotmem_model.automata.slots_kind import run_operation
from slotmem_model.checker import naive
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.spec import NOTFOUND

HELD = "held"
PUT = "fgrab(0); put(0, 1)"
SHARED = ("fgrab(0); put(0, me); num_free_slots", "get(0); release(0)")


class Question(NamedTuple):
    """A configuration on which an algorithm must be accepted, and what must have happened there."""

    algorithm: str
    configuration: Configuration
    crashed_in: frozenset[str] = frozenset()
    full: bool = False
    waited: bool = True


def question(algorithm, *clients, crashed_in="", full=False, waited=True, **others):
    others.setdefault("processes", max(2, len(clients)))
    others.setdefault("slots", 1)
    if clients:
        others["clients"] = clients
    return Question(algorithm, Configuration(algorithm, **others), frozenset(crashed_in.split()), full, waited)


ALL = "grab put get release"
ACCEPTED = [
    question("httpd-locked", full=True),
    question("httpd-locked", *SHARED, memory="tso"),
    question("one-lock", slots=2),
    question("one-lock", full=True, crashes=1, crashed_in=ALL),
    question("one-lock", *SHARED, crashes=2, crashed_in="fgrab put get release num_free_slots"),
    question("one-lock", "put(0, me)", "get(0)", pregrab=False, crashes=1, crashed_in="put get"),
    question("one-lock", full=True, memory="tso"),
    question("plain-lock", slots=2),
    question("plain-lock", *SHARED, memory="tso"),
    question("plain-lock", "put(0, me)", "get(0); num_free_slots", pregrab=False),
    question("striped", slots=2),
    question("striped", full=True, crashes=2, crashed_in=ALL),
    question("striped", *SHARED, crashes=1, memory="tso", crashed_in="fgrab put get release num_free_slots"),
    question("striped", "fgrab(0); put(0, me)", "fgrab(1); get(1); get(0)", slots=2, stripes=1, crashes=1),
    question("cas", slots=2, full=False, waited=False),
    question("cas", slots=2, processes=3, full=True, waited=False, linearizable=False),
    question("cas", full=True, waited=False, memory="tso"),
    question("seqlock", "fgrab(0); put(0, 1); put(0, 0)", "get(0); release(0)"),
    question("seqlock", PUT, "get(0); get(0)", memory="tso", waited=False),
    question("spin-lock", *SHARED, memory="tso", waited=False),
    question("one-store", *SHARED, memory="tso", slot_bytes=1),
    question("one-store", *SHARED, crashes=1, slot_bytes=1, crashed_in="put get"),
]


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: str(case.configuration))
def test_a_right_design_is_accepted(case):
    """Nothing is found, all is explored, and what makes it hard has happened: the verdict is not
    vacuous.
    """
    outcome = naive.explore(compile_model(case.configuration, catalogue.find(case.algorithm)))
    assert (outcome.verdict, outcome.complete) == (HELD, True)
    seen = outcome.seen
    assert seen.two_inside
    assert seen.waited >= case.waited
    assert seen.full >= case.full
    assert seen.crashed_in >= case.crashed_in


class ConsistentFirst(Striped):
    """Declares the mutex consistent before it repairs; if it dies then, its heir is told all the
    same.
    """

    def recover(self, which):
        self.image.consistent(self.mutexes[which])
        self.repair(which)


class PutLooksEarly(Striped):
    """put looks at the in-use byte before it takes the lock; it then took effect when the slot was
    last in use.
    """

    def put(self, item_id, data):
        if not self.inuse[item_id]:
            raise Refused(NOTFOUND)
        with self.locked(self.stripe(item_id)):
            self.note(*self.record(self.stripe(item_id)), item_id, data)
            self.write(item_id, data)
            self.words[self.record(self.stripe(item_id))[0]] = 0


class CountsFirst(Striped):
    """Changes the counter before the in-use byte; nobody sees either without the lock."""

    def mark(self, item_id):
        self.count(-1)
        self.inuse[item_id] = 1

    def clear(self, item_id):
        self.count(1)
        self.inuse[item_id] = 0


class LooksAtCounter(Striped):
    """grab asks the counter, under the lock, whether a search is worth while."""

    def lowest_free(self):
        return super().lowest_free() if self.num_free[0] else -1


class BlocksAtOnce(Striped):
    """Waits for a mutex without trying it first."""

    def enter(self, which):
        if self.image.lock(self.mutexes[which]):
            self.recover(which)


class ReleaseUnderBoth(PlainLock):
    """release holds the table and then the stripe; as nobody takes them the other way round, nobody
    is stuck.
    """

    def release(self, item_id):
        with self.locked(TABLE), self.locked(self.stripe(item_id)):
            self.give_back(item_id)


@pytest.mark.parametrize(
    ("algorithm", "others"),
    [
        (ConsistentFirst, {"crashes": 2, "clients": (PUT, "get(0)", "get(0)"), "processes": 3}),
        (PutLooksEarly, {"crashes": 1, "clients": (PUT + "; get(0)", "release(0); fgrab(0); put(0, 2); get(0)")}),
        (CountsFirst, {"crashes": 1, "clients": SHARED}),
        (LooksAtCounter, {"crashes": 1, "clients": ("grab -> a; num_free_slots; release(a)",)}),
        (BlocksAtOnce, {"crashes": 2}),
        (ReleaseUnderBoth, {"clients": SHARED}),
    ],
)
def test_what_only_looks_wrong_is_not_accused(algorithm, others):
    """A change that breaks nothing is accepted, with deaths inside."""
    configuration = Configuration(slots=1, **others)
    outcome = naive.explore(compile_model(configuration, algorithm))
    assert (outcome.verdict, outcome.complete) == (HELD, True)
    assert outcome.seen.two_inside
    assert bool(outcome.seen.crashed_in) == bool(configuration.crashes)


class Marked(Striped):
    """Mark a mutex that is taken over from the dead; whoever finds the mark repairs."""

    def enter(self, which):
        mutex, marks = self.mutexes[which], self.image.marks
        status = self.image.trylock(mutex)
        if status == 0 and not marks[which]:
            return
        if status == EBUSY:
            status = self.image.lock(mutex)
        if status == EOWNERDEAD:
            marks[which] = 1
            self.image.consistent(mutex)
        elif not marks[which]:
            return
        self.repair(which)
        marks[which] = 0


@pytest.mark.parametrize(
    "configuration",
    [
        Configuration(slots=2),
        Configuration(slots=1, crashes=2),
        Configuration(
            slots=2, stripes=1, clients=("fgrab(0); put(0, me); get(1)", "fgrab(1); put(1, me); slots"), crashes=1
        ),
        Configuration(slots=1, clients=("put(0, me); num_free_slots", "get(0); release(0)"), pregrab=False, crashes=1),
        Configuration(slots=1, clients=SHARED, memory="tso"),
    ],
    ids=str,
)
def test_striped_with_marks_has_the_reference_s_steps(configuration):
    """The design written anew and the code that users run have the same number of states and
    transitions.
    """
    ours, reference = (naive.explore(compile_model(configuration, algorithm)) for algorithm in (Marked, Slots))
    assert (ours.states, ours.transitions, ours.depth) == (reference.states, reference.transitions, reference.depth)
    assert (ours.verdict, ours.seen) == (HELD, reference.seen)


def real_image(pregrab):
    """Map memory for three slots of two bytes, as a process that creates a segment does."""
    shape = geometry(2, 3, 4 if pregrab else 0, pregrab)
    memory = mmap.mmap(-1, shape.total)
    image = SharedImage(memory, shape)
    image.initialize()
    image.num_free[0] = 3
    return image


@pytest.mark.parametrize("pregrab", [True, False])
@pytest.mark.parametrize("algorithm", [Httpd, HttpdLocked, OneLock, PlainLock, Striped])
def test_an_algorithm_runs_on_real_memory(algorithm, pregrab):
    """A thousand operations on a real segment answer what the specification answers."""
    instance = algorithm(real_image(pregrab))
    state = spec.fresh(2, 3, pregrab)
    choose = random.Random(3)
    for _ in range(1000):
        item_id = choose.randrange(4)
        data = bytes([choose.randrange(3)] * choose.randrange(3))
        calls = (("put", item_id, data), *((name, item_id) for name in ("fgrab", "release", "get")))
        operation = choose.choice((*calls, ("grab",), ("slots",), ("num_free_slots",)))
        state, result = spec.step(state, operation)
        assert run_operation(instance, operation).result == result, operation


@pytest.mark.parametrize(
    "name", ["httpd", "httpd-locked", "one-lock", "plain-lock", "striped", "cas", "seqlock", "spin-lock"]
)
def test_an_algorithm_is_found_by_its_name(name, monkeypatch):
    """With and without installed metadata, the model's own names give its classes."""
    found = catalogue.find(name)
    monkeypatch.setattr(catalogue, "entry_points", lambda group: ())
    assert catalogue.find(name) is found
    assert name in catalogue.names()


def test_the_names_are_those_of_the_package(pytestconfig):
    """pyproject.toml announces each of the model's own, and the reference."""
    text = (pytestconfig.rootpath / "pyproject.toml").read_text()
    for name, place in {**catalogue.OWN, "reference": "slotmem.slots:Slots"}.items():
        assert f'\n{name} = "{place}"\n' in text


def test_pieces_and_classes_are_found_too():
    """museum:PIECE is a piece, module:Class whatever is on the path."""
    assert all(catalogue.find(piece.configuration.algorithm) is piece.algorithm for piece in PIECES)
    assert catalogue.find("slotmem.slots:Slots") is Slots


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("htpd", "there is no algorithm 'htpd'; known are cas, httpd, httpd-locked"),
        ("museum:dinosaur", "there is no 'museum:dinosaur'; museum: has "),
        ("nowhere:Class", "cannot be imported: No module named 'nowhere'"),
        ("slotmem_model.algorithms.cas:Ca", "cannot be imported: module"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(name, says):
    """A name that is not known is a ValueError that tells what is."""
    with pytest.raises(ValueError, match=says):
        catalogue.find(name)
