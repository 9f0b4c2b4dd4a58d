"""`algorithm:NAME`: the model's algorithms on real shared memory do what they do on simulated
memory.
"""

import ctypes
import multiprocessing
import os
import sys

import pytest

import slotmem
from slotmem import Type
from slotmem_model import spec
from slotmem_model.algorithms import catalogue
from slotmem_model.algorithms.museum.pieces import MUSEUM
from slotmem_stress.provider import real_image
from slotmem_stress.provider.algorithm_provider import AlgorithmProvider

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")

SLOTS, SLOT_BYTES = 3, 16
PROGRAM = [
    ("num_free_slots",),
    ("get", 0),
    ("grab",),
    ("put", 0, b"a" * 16),
    ("get", 0),
    ("grab",),
    ("release", 0),
    ("release", 0),
    ("fgrab", 2),
    ("put", 2, b"b" * 16),
    ("grab",),
    ("grab",),
    ("get", 0),
    ("get", 2, 4),
    ("num_free_slots",),
    ("release", 2),
    ("put", 2, b"c" * 16),
    ("num_free_slots",),
]


@pytest.fixture
def opened(tmp_path):
    """A provider of an algorithm as a function of its name, closed at the end."""
    providers = []

    def do(name, **options):
        providers.append(AlgorithmProvider.from_spec(name, runtime_dir=tmp_path, **options))
        return providers[-1]

    yield do
    for provider in reversed(providers):
        provider.close()


def answer(instance, operation):
    """Perform an operation; return its result as the specification has it."""
    name, *arguments = operation
    try:
        return spec.Result(spec.SUCCESS, getattr(instance, name)(*arguments))
    except Exception as error:
        return spec.Result(error.status.name)


@pytest.mark.parametrize("name", sorted(catalogue.OWN))
def test_the_models_algorithms_do_as_the_specification_says(opened, name):
    """One process alone: every algorithm that is meant to be right gives the specification's
    results, with PREGRAB.
    """
    instance = opened(name).create("segment", SLOT_BYTES, SLOTS, Type.PREGRAB)
    state = spec.fresh(SLOT_BYTES, SLOTS, True)
    for operation in PROGRAM:
        state, expected = spec.step(state, operation)
        assert answer(instance, operation) == expected, operation


@pytest.mark.parametrize("name", sorted(MUSEUM))
def test_every_piece_of_the_museum_runs_on_real_memory(opened, name):
    """A broken algorithm can be watched too: it finds whatever it asks its image for."""
    pregrab = MUSEUM[name].configuration.pregrab
    provider = opened(f"museum:{name}", timeout_s=0.2)
    instance = provider.create("segment", SLOT_BYTES, SLOTS, Type.PREGRAB if pregrab else Type(0))
    for operation in [("grab",), ("put", 0, b"a" * 16), ("get", 0), ("release", 0), ("num_free_slots",)]:
        try:
            getattr(instance, operation[0])(*operation[1:])
        except Exception as error:
            assert hasattr(error, "status") or type(error).__name__ == "Unrecoverable", error  # noqa: PT017


def test_two_attachers_see_one_segment(opened):
    """What one puts the other gets, and the extra words are shared too."""
    one = opened("seqlock").create("segment", SLOT_BYTES, SLOTS, Type.PREGRAB)
    other = opened("seqlock").attach("segment")
    one.put(one.grab(), b"x" * 16)
    assert other.get(0) == b"x" * 16
    images = [instance.algorithm().image for instance in (one, other)]
    images[0].extra["sequence"][0] = 5
    assert images[1].extra["sequence"][0] == 5


def test_the_extra_words_lie_where_nothing_else_does(opened):
    """The control header stays readable: a later attach accepts the segment."""
    instance = opened("seqlock").create("segment", SLOT_BYTES, SLOTS, Type.PREGRAB)
    for view in instance.algorithm().image.extra.values():
        view[0] = 0xFFFFFFFF
    with AlgorithmProvider.from_spec("seqlock", runtime_dir=opened("httpd").runtime_dir) as another:
        assert another.attach("segment").num_free_slots() == SLOTS


def add(runtime_dir, times):
    """Add to the counter of a segment, so many times."""
    with AlgorithmProvider.from_spec("cas", runtime_dir=runtime_dir) as provider:
        image = provider.attach("segment").algorithm().image
        cell = image.cell(image.num_free, 0)
        for _ in range(times):
            image.fetch_add(cell, 3)
            image.fetch_add(cell, -1)


def test_no_addition_of_two_processes_is_lost(opened, tmp_path):
    """fetch_add is one step: the sum is exact."""
    image = opened("cas").create("segment", SLOT_BYTES, SLOTS, Type.PREGRAB).algorithm().image
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=add, args=(str(tmp_path), 3000)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert image.num_free[0] == SLOTS + 2 * 3000 * 2


@pytest.mark.parametrize("words", ["inuse", "num_free", "words"])
def test_compare_and_swap_changes_only_what_is_as_expected(opened, words):
    """Bytes, 32-bit and 64-bit words: it says whether it did, and touches no neighbour."""
    image = opened("cas").create("segment", SLOT_BYTES, SLOTS, Type.PREGRAB).algorithm().image
    view = getattr(image, words)
    at = {"inuse": 1, "num_free": 0, "words": image.redo_start // 8}[words]
    around = bytes(image.memory)
    cell = image.cell(view, at)
    was = view[at]
    assert not image.compare_and_swap(cell, was + 1, 7)
    assert bytes(image.memory) == around
    assert image.compare_and_swap(cell, was, 9)
    assert view[at] == 9
    assert image.fetch_add(cell, -2) == 9
    assert view[at] == 7
    view[at] = was
    assert bytes(image.memory) == around
    image.fence()


def test_a_counter_goes_round_as_in_c(opened):
    """Subtracting from 0 gives the largest number."""
    image = opened("cas").create("segment", SLOT_BYTES, SLOTS, Type.PREGRAB).algorithm().image
    cell = image.cell(image.num_free, 0)
    assert image.fetch_add(cell, -4) == 3
    assert image.num_free[0] == 2**32 - 1


def lock_and_die(runtime_dir, name):
    """Take the table's mutex and end without giving it back."""
    provider = AlgorithmProvider.from_spec(name, runtime_dir=runtime_dir)
    image = provider.attach("segment").algorithm().image
    image.trylock(image.mutexes[0])
    os._exit(0)


@pytest.mark.parametrize(("name", "dies_well"), [("plain-lock", False), ("one-lock", True)])
def test_only_robust_mutexes_tell_of_a_death(opened, tmp_path, name, dies_well):
    """An algorithm that says `robust = False` gets mutexes that stay locked; others are told and go
    on.
    """
    instance = opened(name, timeout_s=0.3).create("segment", SLOT_BYTES, SLOTS, Type.PREGRAB)
    process = multiprocessing.get_context("spawn").Process(target=lock_and_die, args=(str(tmp_path), name))
    process.start()
    process.join()
    if dies_well:
        assert instance.grab() == 0
    else:
        with pytest.raises(slotmem.LockTimeout):
            instance.grab()


def test_a_spinning_operation_gives_up(opened):
    """A spinlock whose owner is gone ends in the same error as a mutex."""
    instance = opened("spin-lock", timeout_s=0.2).create("segment", SLOT_BYTES, SLOTS, Type.PREGRAB)
    instance.algorithm().image.extra["lock"][0] = 1
    with pytest.raises(slotmem.LockTimeout, match="retrying the operation"):
        instance.grab()
    instance.algorithm().image.extra["lock"][0] = 0
    assert instance.grab() == 0


def test_without_libatomic_there_is_a_clear_error(opened, monkeypatch):
    """Algorithms that need locked operations say what is missing; others run."""
    real_image._atomic.cache_clear()

    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "PyDLL", missing)
    instance = opened("cas").create("segment", SLOT_BYTES, SLOTS, Type.PREGRAB)
    with pytest.raises(slotmem.Unsupported, match="libatomic"):
        instance.grab()
    monkeypatch.undo()
    assert instance.grab() == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [("no-such", "known are"), ("museum:no-such", "museum: has"), ("slotmem:attach", "is a class")],
)
def test_what_is_no_algorithm_is_refused(opened, name, says):
    """The error lists what there is."""
    with pytest.raises(slotmem.InvalidArgument, match=says):
        opened(name)


def test_what_is_persistent_is_stored(opened):
    """A restart stores an algorithm's segment and restores it, as any other's."""
    provider = opened("httpd")
    given = ("segment", SLOT_BYTES, SLOTS, Type.PREGRAB | Type.PERSIST)
    instance = provider.create(*given)
    instance.put(instance.grab(), b"kept")
    provider.restart()
    assert provider.create(*given).get(0, 4) == b"kept"
