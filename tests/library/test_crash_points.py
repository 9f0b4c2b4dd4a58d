"""SIGKILL at every single access to shared memory (KILL-2 to KILL-4): each operation has happened
or not, nothing is stuck.
"""

import pytest

from tools.crashing import OPERATIONS, crash_pairs, crash_points, crash_repairs, step

CHANGING = [case for case in OPERATIONS if step(*case)[0] != case.state]


@pytest.mark.parametrize("case", OPERATIONS, ids=str)
def test_every_crash_point(case, record_property):
    """KILL-2, KILL-3, KILL-4: killed before any access, an operation has happened or not, and
    everything works after.
    """
    campaign = crash_points(case)
    record_property("crash points", campaign.deaths)
    assert campaign.findings == []
    assert campaign.deaths >= 4  # trylock, one access, unlock, and after it


@pytest.mark.parametrize("case", OPERATIONS, ids=str)
def test_every_crash_point_with_every_repairer(case, record_property):
    """KILL-2, KILL-3: whatever operation comes first after the death answers as if the dead one had
    happened or not.
    """
    campaign = crash_pairs(case)
    record_property("pairs of crash point and repairer", campaign.deaths)
    assert campaign.findings == []
    assert campaign.deaths >= 4 * 9


@pytest.mark.parametrize("case", CHANGING, ids=str)
def test_every_crash_point_of_the_repair(case, record_property):
    """KILL-2, KILL-3: the repairer may die too, before any of its accesses, and the next one
    finishes the work.
    """
    campaign = crash_repairs(case, ("snapshot",))
    record_property("crash points in repairs", campaign.deaths)
    assert campaign.findings == []
    assert campaign.deaths >= 4 * 4
