"""Counting double grabs and torn gets: what is wrong is counted, what is right is not accused."""

import multiprocessing
import os
import shutil
import time
from contextlib import suppress
from functools import partial

import pytest

import slotmem
from accused import wrong_racers
from slotmem_conformance.adapters import httpd
from slotmem_conformance.rig import apart, racing, working

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler (Debian: gcc libc6-dev)")
ATTEMPTS = 200  # races are up to the machine: until one shows it, but no more than these


@pytest.fixture
def apache(tmp_path):
    """Open Apache's module on the test's folder, in whatever process."""
    try:
        httpd.find_module()
    except slotmem.Unsupported as missing:
        pytest.skip(str(missing))
    return partial(httpd.HttpdProvider.from_spec, "", runtime_dir=tmp_path)


def test_the_reference_is_not_accused(tmp_path):
    """ATOMIC-2, ATOMIC-3: the reference gives no slot twice, tears no get, and counts right at the
    end.
    """
    make = partial(slotmem.provider, "shm", runtime_dir=tmp_path)
    grabs = next(run for run in (racing.double_grabs(make, seconds=0.3) for _ in range(ATTEMPTS)) if run.grabs)
    assert (grabs.doubled, grabs.share, grabs.first, grabs.num_free_at_end) == (0, 0, None, grabs.num_slots)
    gets = next(run for run in (racing.torn_gets(make, 4096, seconds=0.3) for _ in range(ATTEMPTS)) if run.gets)
    assert (gets.torn, gets.share, gets.example) == (0, 0, ())
    assert os.listdir(tmp_path) == []


def test_a_slot_given_twice_is_counted(tmp_path):
    """ATOMIC-2: a grab that gives one slot to all is a double grab whenever somebody holds it."""
    make = partial(wrong_racers.Provider, wrong_racers.TwiceGiven, tmp_path)
    runs = (racing.double_grabs(make, processes=1, slots=4, seconds=0.1) for _ in range(ATTEMPTS))
    seen = next(run for run in runs if run.grabs > 1)
    assert seen.doubled == seen.grabs - 1  # only the first found nobody
    assert seen.first.item_id == seen.first.holder == seen.first.grabber == 0
    assert 0 < seen.first.held_since <= seen.first.grab_start <= seen.first.grab_end


def test_a_torn_get_is_counted(tmp_path):
    """ATOMIC-3: a get that mixes two puts is torn, and one is kept to show."""
    make = partial(wrong_racers.Provider, wrong_racers.Torn, tmp_path)
    runs = (racing.torn_gets(make, 8, writers=1, readers=1, seconds=0.1) for _ in range(ATTEMPTS))
    seen = next(run for run in runs if run.gets)
    assert seen.torn == seen.gets
    assert seen.example == ((3, 1), (5, 2))


def test_a_crash_in_a_race_is_told(tmp_path, monkeypatch):
    """A process that dies in a race is named by its signal, and nobody is left waiting for it."""
    make = partial(wrong_racers.Provider, wrong_racers.Crashing, tmp_path)
    for patience_s in (2, 20, 200):  # a busy machine may need longer to start them
        monkeypatch.setattr(racing, "_PATIENCE_S", patience_s)
        with pytest.raises(racing.Died) as died:
            racing.double_grabs(make, processes=1, seconds=0.1)
        if "SIGSEGV" in str(died.value):
            return
    pytest.fail(str(died.value))


def test_apaches_module_gives_slots_twice(apache):
    """ATOMIC-2: without a lock around it Apache's module gives one slot to two processes; the
    meeting is the proof.
    """
    runs = (racing.double_grabs(apache, seconds=0.5) for _ in range(ATTEMPTS))
    seen = next(run for run in runs if run.first)
    assert 0 < seen.doubled <= seen.grabs
    assert 0 <= seen.first.item_id < 8


def test_apaches_module_tears_gets(apache):
    """ATOMIC-3: a get of a large slot from Apache's module mixes puts."""
    runs = (racing.torn_gets(apache, 65536, seconds=0.3) for _ in range(ATTEMPTS))
    seen = next(run for run in runs if run.torn)
    assert sum(length for length, _ in seen.example) == 65536
    assert len(seen.example) > 1


def test_calls_apart():
    """Functions in processes of their own answer, raise, die or are ended when their time is up,
    each for itself.
    """
    calls = [partial(divmod, 7, 2), partial(divmod, 7, 0), partial(os.abort), partial(os._exit, 3)]
    answers = apart.call_apart(calls, timeout_s=600)
    assert answers[0] == apart.Ended((3, 1))
    assert answers[1].death.startswith("ZeroDivisionError: ")
    assert [each.death for each in answers[2:]] == ["SIGABRT", "exit code 3"]
    for timeout_s in (0.5, 5, 50, 500):  # until it was long enough to begin
        with suppress(apart.NotStarted):
            [slept] = apart.call_apart([partial(time.sleep, 600)], timeout_s=timeout_s)
            break
    assert slept.death == "did not come back in time"


def test_a_nursery_that_nobody_waits_for(capfd):
    """A nursery whose other side is gone before it has begun, as after Ctrl-C, ends without
    a word.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    ours.close()
    nurse = context.Process(target=working._nurse, args=(theirs, dict, "w"))
    nurse.start()
    nurse.join()
    assert (nurse.exitcode, capfd.readouterr()) == (0, ("", ""))


def test_shapes_that_cannot_show_it_are_refused(tmp_path):
    """A slot too small for the badge, or more processes than slots, is the caller's mistake."""
    make = partial(slotmem.provider, "shm", runtime_dir=tmp_path)
    for wrong in ({"item_size": 16}, {"item_size": 36}, {"processes": 9}, {"processes": 0}):
        with pytest.raises(ValueError, match="expected a slot for each process"):
            racing.double_grabs(make, **wrong)
    with pytest.raises(ValueError, match="expected 1 to 15 writers"):
        racing.torn_gets(make, 0)
