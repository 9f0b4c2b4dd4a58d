"""Stress runs: they hold what is right under every fault, and accuse what is wrong."""

import os
import re
import sys
from contextlib import suppress

import pytest

import slotmem
from accused import own_algorithms, unfit
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED
from slotmem_stress.history.judging import judge_path
from slotmem_stress.history.records import KINDS
from slotmem_stress.run import owner_process
from slotmem_stress.run.pace import MOST_LOST
from slotmem_stress.run.report import to_text
from slotmem_stress.run.settings import NAME, Plan

BOUND_S = 600  # a bound for what ends much sooner, also on a busy machine
ATTEMPTS = 40  # how many runs there may be until something has happened

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the provider 'shm' is for Linux")


def assert_held(report):
    """A run did all it was asked to do, and nothing was wrong with it."""
    assert report.findings == []
    assert report.undecided == []
    assert report.leaks == []
    assert report.verdict == HELD
    assert report.operations >= (report.settings.operations or 1)
    assert report.segments > 0


def is_whole(algorithm):
    """Say whether an algorithm has every operation, and promises the lowest free slot."""
    return getattr(algorithm, "lowest_first", True) and hasattr(algorithm, "put")


def held_until(happened, stress, **settings):
    """Run until something has happened, every run holding; return the report of the last."""
    for _ in range(ATTEMPTS):
        report = stress(seconds=1.5, operations=None, **settings)
        assert_held(report)
        if happened(report):
            return report
    return pytest.fail(f"it did not happen in {ATTEMPTS} runs: {to_text(report)}")


def accused_until(says, stress, *provider, **settings):
    """Run until a violation is shown at a glance and begins as it should; return the report.

    Every run must find one. That no order is found that shows less is the judge's luck, and which
    fault of several is met first is the algorithm's.
    """
    for _ in range(ATTEMPTS):
        report = stress(*provider, operations=None, seconds=BOUND_S, **settings)
        assert report.verdict == VIOLATED
        if report.is_clear and re.sub(r"\d+", "N", report.sentence).startswith(says):
            return report
    return pytest.fail(f"no violation in {ATTEMPTS} runs begins {says!r} and is clear: {to_text(report)}")


# -- what is right holds ---------------------------------------------------------------------------


@linux
def test_a_grab_from_the_top_holds_where_it_does_not_promise_the_lowest(stress):
    """Which of the free slots is given is asked of those that promise the lowest alone."""
    mix = (("grab", 2), ("release", 1), ("num_free_slots", 1))
    assert_held(stress("algorithm:accused.own_algorithms:HighestFirst", operations=3_000, processes=2, mix=mix))
    assert stress("algorithm:museum:grab-highest", operations=3_000, processes=2, mix=mix).verdict == VIOLATED


@linux
def test_the_reference_holds_while_workers_are_killed_and_paused(stress):
    """SIGKILL and SIGSTOP anywhere: the history remains linearizable."""
    report = held_until(
        lambda report: report.kills and report.pauses, stress, plan=Plan(kills=10, pauses=10), processes=3
    )
    assert report.clients == 3 + report.kills
    assert report.kills <= MOST_LOST * report.segments  # more would make a round too hard to judge


@linux
def test_the_reference_holds_over_restarts_with_newcomers_and_little_memory(stress):
    """What a restart restores was there at one instant of it, and newcomers disturb nobody."""
    plan = Plan(restarts=4, attach_storm=True, pressure_mb=8)
    held_until(lambda report: report.restarts and report.attaches, stress, plan=plan, processes=2)


@linux
def test_without_pregrab_the_reference_holds_while_workers_are_killed(stress):
    """Gets and puts mark slots: every round is explained by the witness, deaths or not."""
    report = held_until(
        lambda report: report.kills, stress, plan=Plan(kills=20), processes=3, pregrab=False, start="fork"
    )
    assert report.operations > 0


@linux
def test_forked_processes_with_threads_hold(stress):
    """Two threads in each of two forked processes, a full mix, slots of several cache lines."""
    mix = (("grab", 2), ("put", 2), ("get", 2), ("release", 2), ("num_free_slots", 1))
    report = stress(processes=2, threads=2, start="fork", mix=mix, slot_bytes=256, slots=5)
    assert_held(report)
    assert report.clients == 4


def test_threads_of_one_process_hold(stress):
    """`plain` needs no other process."""
    assert_held(stress("plain", processes=1, threads=3))


@linux
def test_right_algorithms_on_real_memory_are_not_accused(stress):
    """The reference by way of the model's door, and httpd's under its caller's lock."""
    assert_held(stress("algorithm:accused.stress_accused:Right", processes=2))
    assert_held(stress("algorithm:httpd-locked", processes=2))


@linux
@pytest.mark.parametrize("name", [each.__name__ for each in own_algorithms.RIGHT if is_whole(each)])
def test_right_designs_are_not_accused(stress, name):
    """Algorithms of many designs hold: tickets, readers and a writer, one word that is swapped, a
    recounted counter, a lock for each slot, one for all.
    """
    assert_held(stress(f"algorithm:accused.own_algorithms:{name}", processes=2, operations=10_000))


@linux
def test_slots_of_the_dead_are_told_and_are_no_violation(stress):
    """With nobody releasing what others hold, the slots of the killed stay in use."""
    given = {"plan": Plan(kills=20), "processes": 2, "mix": (("grab", 1), ("get", 1)), "slots": 6}
    report = held_until(lambda report: report.held_by_the_dead, stress, **given)
    assert report.kills > 0
    assert set(report.held_by_the_dead) <= set(range(6))


# -- what is wrong is accused ----------------------------------------------------------------------


@linux
def test_httpds_algorithm_is_accused_with_a_small_window(stress):
    """Without locks a slot is given twice, sooner or later; the few operations shown contradict
    each other.
    """
    report = accused_until("", stress, "algorithm:httpd", processes=4)
    assert len(report.findings) == 1
    assert report.findings[0] in to_text(report)
    bare = [{name: value for name, value in done.items() if name != "unexplained"} for done in report.window]
    excerpt = [{name: value for name, value in done.items() if name != "unexplained"} for done in report.excerpt]
    assert all(done in excerpt for done in bare)
    assert judge_path(report.history, None, None).verdict == VIOLATED


@linux
@pytest.mark.parametrize(
    ("mix", "given", "says"),
    [
        (
            "grab:1,release:3",
            {"slots": 64},
            # Whoever was given a slot twice is seen as it is, or when it is released twice.
            (
                "grab by process N returned slot N, which process N had grabbed",
                "release by process N succeeded on slot N",
            ),
        ),
        (
            "fgrab:1,put:3,get:3",
            {"slot_bytes": 4096},
            "get by process N returned value N mixed with N of slot N, which no put",
        ),
        (
            "fgrab:1,release:1,num_free_slots:1",
            {},
            "num_free_slots by process N returned N, which was not the number",
        ),
    ],
)
def test_each_of_httpds_three_faults_is_found_by_itself(stress, mix, given, says):
    """Double grab, torn get and counter drift, on real memory: the mix decides which comes."""
    mixed = tuple((name, int(weight)) for name, weight in (part.split(":") for part in mix.split(",")))
    report = accused_until(says, stress, "algorithm:httpd", mix=mixed, **given)
    if not mix.startswith("grab"):
        assert len(report.window) == 1


@linux
@pytest.mark.parametrize("name", ["LosesPuts", "TearsPuts", "MarksNothing", "Miscounts", "Resurrects"])
def test_an_algorithm_that_errs_once_in_a_while_is_accused(stress, name):
    """One operation in five hundred is wrong, and one process is enough to see it."""
    mix = tuple((kind, 2) for kind in KINDS if kind != "fgrab")
    report = accused_until("", stress, f"algorithm:accused.stress_accused:{name}", processes=1, mix=mix)
    assert report.window


@linux
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Dies", "died with exit code 3"),
        ("Fails", "RuntimeError: I have had enough"),
        ("KeepsTheLock", "Reentered"),
        ("Hangs", "LockTimeout"),
        ("Hangs", "did not end its operation"),
    ],
)
def test_a_client_that_cannot_go_on_is_a_finding(stress, name, says):
    """An unknown error, a process that ends by itself, and a lock that never comes free are
    violations.

    Which of several findings comes first is chance, so it is tried until it is the one.
    """
    for _ in range(ATTEMPTS):
        provider = f"algorithm:accused.stress_accused:{name}"
        report = stress(provider, processes=2, timeout_s=0.5, seconds=BOUND_S, operations=None)
        assert report.verdict == VIOLATED
        assert "KILL-3" in to_text(report)
        if any(says in finding for finding in report.findings):
            return
    pytest.fail(f"in {ATTEMPTS} runs no finding says {says!r}; the last says {report.findings}")


@linux
@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("GetNeverRepairs", {"slots": 8}),
        ("GetInconsistent", {"slots": 8}),
        ("OwnSlotOnly", {"slots": 64}),  # two of them share a lock
        ("GrabLosesASlot", {"mix": (("grab", 2), ("release", 2), ("num_free_slots", 1)), "slot_bytes": 8}),
        ("NoRecount", {"mix": (("put", 3), ("release", 3), ("num_free_slots", 1)), "pregrab": False}),
    ],
)
def test_deaths_handled_wrongly_are_found(stress, name, given):
    """Whatever an operation leaves undone after a death shows in what others see."""
    settings = {
        "slot_bytes": 16384,
        "processes": 3,
        "start": "fork",
        "plan": Plan(kills=100),
        "timeout_s": 20.0,
    } | given
    report = stress(f"algorithm:accused.deaths:{name}", seconds=BOUND_S, operations=None, **settings)
    assert report.verdict == VIOLATED
    assert report.kills > 0


@linux
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("KeepsTheLockOfTheDead", "the owner could not look"),
        ("ShortGets", "it gave 32 bytes of a slot that has 64"),
        ("CrashesTheOwner", "the owner could not look: it died with SIGSEGV"),
        ("HangsTheOwner", "the owner did not look within"),
    ],
)
def test_what_happens_to_the_owner_is_a_finding(stress, name, says, monkeypatch):
    """The accused's memory and mutexes are in processes of their own: it can crash or hang these,
    and the run ends with a verdict and leaves nothing behind.
    """
    monkeypatch.setattr(owner_process, "PATIENCE_S", 2.0)
    provider = f"algorithm:accused.stress_accused:{name}"
    report = stress(provider, processes=2, timeout_s=0.5, seconds=BOUND_S, operations=None, plan=Plan(pauses=20))
    assert report.verdict == VIOLATED
    assert any(says in finding for finding in report.findings)
    assert report.leaks == []


@linux
@pytest.mark.parametrize("name", sorted(unfit.SAID))
def test_what_is_no_algorithm_is_told_so(stress, name):
    """A class that lacks operations, or cannot be made, is refused in a line; nothing is left."""
    with pytest.raises(slotmem.SlotmemError) as refused:
        stress(f"algorithm:accused.unfit:{name}", processes=1)
    assert unfit.SAID[name] in str(refused.value)
    assert "\n" not in str(refused.value)


@linux
def test_a_segment_that_somebody_writes_to_is_accused(stress):
    """A value that no client put is found by whoever gets it."""

    def write(progress, runtime_dir):
        if progress.operations:
            with slotmem.provider("shm", runtime_dir=runtime_dir) as provider:
                instance = provider.attach(NAME)
                for slot in range(8):
                    with suppress(slotmem.NotInUse):
                        instance.put(slot, b"spoiled!" * 8)

    report = stress(seconds=BOUND_S, operations=None, processes=2, tell=write)
    assert report.verdict == VIOLATED
    assert "which nobody had put there" in report.findings[0]


@linux
def test_a_provider_that_loses_what_it_stored_is_accused(stress, monkeypatch):
    """A restart that restores another slot's bytes contradicts the history of the round it
    ended.
    """
    from slotmem.memory import files

    whole = files.encode

    def spoiled(shape, payload):
        bad = b"spoiled!" * (shape.item_size * shape.item_num // 8)
        right = b"".join(payload)
        return whole(shape, [right[:8] + bad + right[shape.inuse_start - 24 :]])

    monkeypatch.setattr(files, "encode", spoiled)
    report = stress(seconds=BOUND_S, operations=None, processes=2, plan=Plan(restarts=3), start="fork")
    assert report.verdict == VIOLATED
    assert report.restarts > 0


@linux
def test_a_leak_makes_a_run_fail(stress, monkeypatch):
    """A provider that does not remove the segment's name at the end is violated; the object is
    named.
    """
    from slotmem.memory.segment import Segment

    monkeypatch.setattr(Segment, "unlink", lambda segment, timeout_s: None)
    report = stress(processes=1, operations=2000, start="fork")
    for leak in report.leaks:
        os.unlink(leak.removeprefix("the shared object "))
    assert report.verdict == VIOLATED
    assert report.findings == []
    assert any(leak.startswith("the shared object") for leak in report.leaks)


# -- nothing is said where nothing is known --------------------------------------------------------


def test_a_run_that_did_nothing_is_undecided(stress):
    """No operation recorded is no success."""
    assert stress("plain", seconds=0, operations=None).verdict == UNDECIDED


def test_a_used_up_budget_is_undecided(stress):
    """The judge says that it does not know, where no witness saves it the work."""
    report = stress("algorithm:spin-lock", processes=1, threads=2, budget_s=0.0)
    assert report.verdict == UNDECIDED
    assert "budget" in to_text(report)
