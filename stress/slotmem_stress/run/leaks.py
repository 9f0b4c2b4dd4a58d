"""What a run left behind that it should not have: objects, files, descriptors, child processes.

Interface: `Inventory.take()` before a run, `find(before, ...)` after it; each leak is a sentence.

Only what can be this run's is looked at: the shared objects of its segment's names, its runtime folder, this process's own
descriptors and children. Others may be at work on the machine.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_stress.run.settings import NAME

_TRACKER = b"resource_tracker"  # multiprocessing's own helper, which stays until this process ends


class Inventory(NamedTuple):
    """What there was before."""

    descriptors: frozenset[tuple[int, str]]
    children: frozenset[int]
    files: frozenset[str]

    @classmethod
    def take(cls, runtime_dir: str) -> Inventory:
        """Look now."""
        return cls(_descriptors(), _children(), _files(runtime_dir))


def find(before: Inventory, runtime_dir: str, generations: range, expected_files: frozenset[str]) -> list[str]:
    """Give what has come to be since, and is not expected."""
    leaks = []
    for generation in generations:
        names = resolve(NAME, runtime_dir, generation)
        if names is not None and os.path.lexists(object_path(names)):
            leaks.append(f"the shared object {object_path(names)} (generation {generation})")
    leaks += [
        f"the file {os.path.join(runtime_dir, name)}"
        for name in sorted(_files(runtime_dir) - before.files - expected_files)
    ]
    leaks += [f"descriptor {fd}, open on {target}" for fd, target in sorted(_descriptors() - before.descriptors)]
    leaks += [f"child process {pid} ({_command(pid)})" for pid in sorted(_children() - before.children)]
    return leaks


def _files(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _descriptors() -> frozenset[tuple[int, str]]:
    found = set()
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # that of the listing itself
                target = os.readlink(f"/proc/self/fd/{name}")
                if not target.startswith("/proc/") and not _is_trackers(target):
                    found.add((int(name), target))
    return frozenset(found)


def _is_trackers(target: str) -> bool:
    """Say whether this is the pipe to multiprocessing's helper, which is made once and kept."""
    from multiprocessing import resource_tracker

    fd = getattr(resource_tracker._resource_tracker, "_fd", None)
    with suppress(OSError):
        return fd is not None and os.readlink(f"/proc/self/fd/{fd}") == target
    return False


def _children() -> frozenset[int]:
    found = set()
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit() and _parent(int(name)) == os.getpid() and _TRACKER not in _raw_command(int(name)):
                found.add(int(name))
    return frozenset(found)


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _raw_command(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _command(pid: int) -> str:
    return _raw_command(pid).replace(b"\0", b" ").decode(errors="replace").strip() or "ended, not waited for"
