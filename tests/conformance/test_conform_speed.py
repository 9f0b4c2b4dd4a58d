"""Cases at full speed: they find out Apache's module, do not accuse the reference, and say what
they could not see.
"""

import shutil
from functools import partial
from pathlib import Path

import pytest

import slotmem
from slotmem_conformance import runner
from slotmem_conformance.adapters import httpd
from slotmem_conformance.cases import speed as cases_speed
from slotmem_conformance.cases import updates as cases_updates
from slotmem_conformance.protocol.session import open_session
from slotmem_conformance.reports.verdicts import ClauseVerdict
from slotmem_conformance.rig import working
from slotmem_conformance.rig.apart import NotStarted
from slotmem_conformance.rig.rig import Failed

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler (Debian: gcc libc6-dev)")
ATTEMPTS = 40  # how many runs there may be until Apache has been seen to fail


def outcome_of(case, provider="shm", seed=0):
    return runner.run_case(case, partial(open_session, provider), seed=seed, quick=True)


@pytest.fixture
def apache():
    """Skip where Apache's module is not installed."""
    try:
        httpd.find_module()
    except slotmem.Unsupported as missing:
        pytest.skip(str(missing))


BROKEN = {
    cases_speed.given_twice: "gave a slot that somebody still held",
    cases_speed.torn: "mixed two puts",
    cases_speed.stored_meanwhile: "stored",
}


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_apaches_module_is_found_out(apache, case):
    """Each fault of Apache's own binary is found, and told with evidence."""
    seen = (outcome_of(case, "httpd", seed) for seed in range(ATTEMPTS))
    found = next(each for each in seen if each.verdict is ClauseVerdict.FAIL)
    assert BROKEN[case] in found.reason
    assert found.evidence


@pytest.mark.parametrize("case", [*BROKEN, cases_speed.stopped_holder], ids=lambda case: case.id)
def test_the_reference_is_not_accused(case):
    """The reference passes each of them; none is skipped."""
    outcome = outcome_of(case)
    assert (outcome.verdict, outcome.reason) == (ClauseVerdict.PASS, "")


def test_a_driver_is_not_asked_at_full_speed():
    """What can only be asked through the protocol is skipped, with the reason."""
    session = partial(open_session, "shm", process=True)
    outcome = runner.run_case(
        cases_speed.torn, lambda **options: unnamed(session(**{**options, "process": True})), quick=True
    )
    assert outcome.verdict is ClauseVerdict.SKIP
    assert "protocol" in outcome.reason


def unnamed(session):
    session.provider = ""
    return session


def test_what_cannot_be_started_accuses_nobody(monkeypatch):
    """A process that never came to our code says nothing about the implementation."""

    def nobody(*_):
        raise NotStarted("no process")

    monkeypatch.setattr(working, "await_start", nobody)
    outcome = outcome_of(cases_speed.stored_meanwhile)
    assert (outcome.verdict, outcome.reason) == (ClauseVerdict.SKIP, "no process")


def raise_error(instance, nanoseconds):
    raise ValueError("a worker that ends by itself")


def test_a_worker_that_ends_by_itself_is_told(tmp_path, capfd):
    """Whoever works on the segment and dies before it is killed is a failure, with its exit
    status.
    """
    make = partial(slotmem.provider, "shm", runtime_dir=tmp_path)
    with make() as provider:
        provider.create("w", 64, 1)
        with working.nursery(make, "w") as at_work:
            with pytest.raises(Failed, match="ended by itself, with status 1"), at_work([raise_error]) as [pid]:
                await_end(pid)
            with at_work([]):
                pass


def await_end(pid):
    """Wait until a process that is not our child is a zombie."""
    while ") Z " not in Path(f"/proc/{pid}/stat").read_text():
        pass


def test_a_put_after_a_look_is_found_out():
    """UPDATE-3: whoever compares, gives up the lock and puts is met by another in between."""
    provider = "algorithm:accused.wrong_algorithms:LooksFirst"
    seen = (outcome_of(cases_updates.one_wins, provider, seed) for seed in range(ATTEMPTS))
    found = next(each for each in seen if each.verdict is ClauseVerdict.FAIL)
    assert "servers that expected" in found.reason
