"""What the concurrent, crash and store cases catch, and how they are told from one another: real
processes, real deaths.
"""

import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

import slotmem
from accused import deaths, wrong_stores
from slotmem_conformance import runner
from slotmem_conformance.adapters import compiling, httpd
from slotmem_conformance.cases.case import collect
from slotmem_conformance.protocol.session import open_session
from slotmem_conformance.reports.verdicts import ClauseVerdict
from slotmem_conformance.rig import tracing

CASES = {each.id: each for each in collect()}
TRIES = 50  # races and deaths are up to the machine: until one shows it, but no more than these


def outcome_of(spec, case, seed=1, quick=True):
    return runner.run_case(CASES[case], partial(open_session, spec), seed=seed, quick=quick)


# -- stores ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mistake", wrong_stores.MISTAKES)
def test_wrong_stores_are_caught(mistake):
    """A driver that stores wrongly, or begins wrongly, fails the case that is about it; a death may
    need several tries.
    """
    case, said = wrong_stores.MISTAKES[mistake]
    if case == "STORE-5/on-disk" and not shutil.which("strace"):
        pytest.skip("strace is not installed (Debian: strace)")
    spec = f"exec:{sys.executable} {wrong_stores.__file__} '{mistake}'"
    failed = next(each for seed in range(TRIES) if not (each := outcome_of(spec, case, seed)).verdict.holds)
    assert failed.verdict is ClauseVerdict.FAIL
    assert said in failed.reason


@pytest.mark.parametrize("case", ["STORE-4/killed", "STORE-5/killed", "STORE-5/on-disk", "STORE-6/one-instant"])
def test_the_right_store_is_not_accused(case):
    """STORE-4 to STORE-6: the reference behind a driver stores well, and what could not be seen is
    no pass.
    """
    outcome = outcome_of(f"exec:{sys.executable} {wrong_stores.__file__} none", case)
    unseen = case == "STORE-5/on-disk" and not shutil.which("strace")
    assert (outcome.verdict, outcome.reason) == (ClauseVerdict.PASS, "") or (
        unseen and outcome.verdict is ClauseVerdict.INFO
    )


def test_without_strace_nothing_is_said_of_the_disk(monkeypatch):
    """STORE-5: where no system call can be seen the verdict is no pass, and says why."""
    monkeypatch.setattr(tracing.shutil, "which", lambda name: None)
    outcome = outcome_of("shm", "STORE-5/on-disk")
    assert outcome.verdict is ClauseVerdict.INFO
    assert "strace is not installed" in outcome.reason


FILE, OBJECT = Path("/r/w.persist"), Path("/dev/shm/ShM.1")
OPEN = 'openat(AT_FDCWD</>, "/r/w.new", O_WRONLY|O_CREAT, 0600) = 3</r/w.new>'
WRITE, SYNC, NAME = (
    'write(3</r/w.new>, ""..., 9) = 9',
    "fsync(3</r/w.new>) = 0",
    'rename("/r/w.new", "/r/w.persist") = 0',
)
FOLDER, END, ALL = "fsync(4</r>) = 0", 'unlink("/dev/shm/ShM.1") = 0', "sync() = 0"


@pytest.mark.parametrize(
    ("said", "trace"),
    [
        ("", [OPEN, WRITE, SYNC, NAME, FOLDER, END]),
        ("", [OPEN, WRITE, NAME, ALL, END]),
        ("", [OPEN, WRITE, SYNC, NAME, FOLDER]),
        ("", [OPEN, WRITE, "fsync(3</r/w.new> <unfinished ...>", "<... fsync resumed>) = 0", NAME, FOLDER, END]),
        ("last write", [OPEN, WRITE, NAME, FOLDER, END]),
        ("last write", [OPEN, WRITE, SYNC, WRITE, NAME, FOLDER, END]),
        ("last write", [OPEN, WRITE, NAME, END, ALL]),
        ("last write", [OPEN, WRITE, "fsync(3</r/w.new>) = -1 EIO (Input/output error)", NAME, FOLDER, END]),
        ("last write", [OPEN, WRITE, "fsync(5</r/other>) = 0", NAME, FOLDER, END]),
        ("folder", [OPEN, WRITE, SYNC, NAME, END, FOLDER]),
        ("folder", [OPEN, WRITE, SYNC, FOLDER, NAME, END]),
    ],
)
def test_traces_are_judged(said, trace, tmp_path):
    """STORE-5: bytes and name must be synced after the last change and before the segment ends."""
    path = tmp_path / "trace"
    path.write_text("".join(f"77    {line}\n" for line in trace))
    finding = tracing.not_on_disk(tracing.calls(path), FILE, OBJECT)
    assert finding.unknown == ""
    assert said in finding.wrong
    assert bool(finding.wrong) == bool(said)


def test_a_trace_without_writes_says_nothing(tmp_path):
    """STORE-5: a file that is written through a mapping leaves the question open."""
    path = tmp_path / "trace"
    path.write_text(f"77    {NAME}\n77    {END}\n")
    assert "no write" in tracing.not_on_disk(tracing.calls(path), FILE, OBJECT).unknown


# -- threads ---------------------------------------------------------------------------------------

LIBRARY = Path(__file__).parents[1] / "tools" / "abi_slots.c"
SPEED = ("ATOMIC-2/full-speed", "ATOMIC-3/full-speed")


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler (Debian: gcc libc6-dev)")
@pytest.mark.parametrize("case", SPEED)
def test_a_library_is_tried_from_threads(case):
    """ATOMIC-2, ATOMIC-3: where no other process sees the memory, threads race: without its lock a
    library is accused, with it it passes, and so do our own slots for threads.
    """
    wrong, right = (f"abi:{compiling.shared_library(LIBRARY, *flags)}" for flags in (("-DWRONG_LOCK",), ()))
    failed = next(each for seed in range(TRIES) if not (each := outcome_of(wrong, case, seed)).verdict.holds)
    assert failed.verdict is ClauseVerdict.FAIL
    for spec in (right, "plain"):
        outcome = outcome_of(spec, case)
        assert (outcome.verdict, outcome.reason) == (ClauseVerdict.PASS, "")


# -- deaths ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler (Debian: gcc libc6-dev)")
@pytest.mark.parametrize("wrong", deaths.FOUND_BY, ids=lambda wrong: wrong.__name__)
def test_deaths_handled_wrongly_are_found(wrong):
    """KILL-2 to KILL-4: whichever operation mishandles a death is, sooner or later, the first after
    one, and found out.
    """
    spec, case = f"algorithm:accused.deaths:{wrong.__name__}", deaths.FOUND_BY[wrong]
    failed = next(each for seed in range(TRIES) if not (each := outcome_of(spec, case, seed)).verdict.holds)
    assert failed.verdict is ClauseVerdict.FAIL
    assert "after" in failed.reason


# -- Apache's module -------------------------------------------------------------------------------

APACHES = {
    "KILL-2/put": "is torn",
    "KILL-4/grab-and-release": "num_free_slots is",
    "STORE-4/killed": "neither the old nor the new",
    "STORE-5/on-disk": "no fsync",
}


@pytest.mark.parametrize("case", APACHES)
def test_apaches_module_fails(case):
    """ATOMIC, KILL, STORE: what Apache's module is known to lack is shown by the binary itself."""
    try:
        httpd.find_module()
    except slotmem.Unsupported as missing:
        pytest.skip(str(missing))
    if not shutil.which("cc") or (case == "STORE-5/on-disk" and not shutil.which("strace")):
        pytest.skip("a C compiler and strace are needed (Debian: gcc libc6-dev strace)")
    failed = next(each for seed in range(TRIES) if not (each := outcome_of("httpd", case, seed)).verdict.holds)
    assert APACHES[case] in failed.reason
    assert failed.evidence
