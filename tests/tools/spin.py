"""Run Spin on a model written as Promela, and read what it found."""

import re
import shutil
import subprocess
from itertools import pairwise
from typing import NamedTuple

from slotmem_model.checker.promela import BROKEN, IMPOSSIBLE

TOOLS = ("spin", "cc")
PAN = ("-c0", "-m100000", "-w18")  # every error; a deep stack; a small hash table, which is quicker to set up


class Found(NamedTuple):
    """Spin's numbers, without what the judge process and the initial state add to the
    transitions.
    """

    states: int
    transitions: int
    violations: dict[str, int]


def missing() -> str:
    """Say what of Spin's tools this machine lacks, or nothing."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"not installed: {', '.join(lacking)} (Debian: spin, gcc)" if lacking else ""


def explore(text, directory, optimize="-O0"):
    """Let Spin explore a Promela text, every state and every violation, no reduction."""
    (directory / "model.pml").write_text(text)
    _run(["spin", "-a", "model.pml"], directory)
    _run(["cc", optimize, "-w", "-DSAFETY", "-DNOREDUCE", "-o", "pan", "pan.c"], directory)
    return read(_run(["./pan", *PAN], directory))


def breaks(text, directory, optimize="-O0"):
    """Let Spin look for a weakly fair run that a Promela text's claim accepts; return whether there
    is one.

    Raises:
        ValueError: if there is none, but not everything was explored.
    """
    (directory / "model.pml").write_text(text)
    _run(["spin", "-a", "model.pml"], directory)
    _run(["cc", optimize, "-w", "-DNOREDUCE", "-DNFAIR=3", "-o", "pan", "pan.c"], directory)
    report = _run(["./pan", "-a", "-f", "-m1000000", "-w18"], directory)
    if "acceptance cycle" in report:
        return True
    if "errors: 0" not in report or "Search not completed" in report or "max search depth too small" in report:
        raise ValueError(f"Spin has not explored everything:\n{report}")
    return False


def read(report):
    """Read pan's report.

    Raises:
        ValueError: if it did not explore everything.
    """
    if "Search not completed" in report or "max search depth too small" in report:
        raise ValueError(f"Spin has not explored everything:\n{report}")
    states, transitions, errors = (
        int(re.search(pattern, report)[1])
        for pattern in (r"(\d+) states, stored", r"(\d+) transitions", r"errors: (\d+)")
    )
    # Each message has the number of its error; one that repeats the message before is left out.
    told = re.findall(r"pan:(\d+): (.*) \(at depth", report)
    starts = [int(number) for number, _ in told] + [errors + 1]
    violations = {}
    for (_, message), (start, following) in zip(told, pairwise(starts), strict=True):
        known = re.fullmatch(r"assertion violated \(broken!=(\d+)\)", message)
        if known is None or BROKEN[int(known[1])] == IMPOSSIBLE:
            raise ValueError(f"Spin found an error that is not one of ours:\n{report}")
        name = BROKEN[int(known[1])]
        violations[name] = violations.get(name, 0) + following - start
    return Found(states, transitions - errors - 1, violations)


def _run(command, directory):
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.stdout
