"""A stress run and its command as functions. No run is cut short by a clock unless its test
asks.
"""

import argparse
import math

import pytest

from slotmem_stress.commands import stress as stress_command
from slotmem_stress.run.runner import run
from slotmem_stress.run.settings import Plan, Settings


@pytest.fixture
def stress(tmp_path):
    """A run as a function of its settings; the judge may take its time, and so may who waits for a
    lock.
    """
    numbers = iter(range(100))

    def do(provider="shm", operations=30_000, plan=Plan(), tell=None, **settings):
        here = tmp_path / f"run-{next(numbers)}"
        (here / "runtime").mkdir(parents=True)
        (here / "histories").mkdir()
        given = {"seconds": math.inf, "budget_s": None, "timeout_s": 300.0} | settings
        more = {} if tell is None else {"tell": lambda progress: tell(progress, str(here / "runtime"))}
        settings = Settings(provider, operations=operations, plan=plan, **given)
        return run(settings, str(here / "histories"), str(here / "runtime"), keep=True, **more)

    return do


@pytest.fixture
def command(tmp_path, monkeypatch):
    """`slotmem stress` as a function of its arguments; what it remembers is this test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parser = argparse.ArgumentParser()
    stress_command.configure(parser)
    return lambda *given: stress_command.run(parser.parse_args(given))
