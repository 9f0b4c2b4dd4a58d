"""SIGKILL at every system call that changes something: files and names are old or new, whole, and
nothing leaks.
"""

import pytest

import slotmem
from tools.crashing_calls import SCENARIOS, crash_calls, create, file_of, object_of, order_findings, recorded_calls


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_system_call(name, tmp_path, record_property):
    """STORE-4, STORE-5, CREATE-6, CREATE-8: a server killed at any call leaves the old or the new,
    and the next one works.
    """
    campaign = crash_calls(SCENARIOS[name], tmp_path)
    record_property("system calls died at", campaign.deaths)
    assert campaign.findings == []
    assert campaign.deaths >= 10


def test_the_order_of_storing(tmp_path, monkeypatch):
    """STORE-5: the file is on disk before it gets its name, its name is before the segment is
    destroyed.
    """
    provider = slotmem.provider("shm", runtime_dir=tmp_path)
    create(provider)
    with recorded_calls(monkeypatch) as log:
        provider.close()
    assert order_findings(log, str(file_of(tmp_path)), object_of(tmp_path)) == []
