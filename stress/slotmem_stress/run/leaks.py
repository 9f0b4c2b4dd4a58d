"""What a run left behind and should not have: shared objects, files, descriptors, child processes.

Interface: `Inventory.take()` before a run, `find(before, ...)` after it; each leak is a sentence.
`of_process` is the part of it that another process can tell of itself.
`object_of(runtime_dir, generation)` is where the segment's object lies.

Others may be at work on the machine, so only what can be this run's counts: shared objects of its
segment's names, files in its runtime folder, this process's own descriptors and children.
"""

from __future__ import annotations

import os
from contextlib import suppress
from multiprocessing import resource_tracker
from typing import NamedTuple

from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_stress import descendants
from slotmem_stress.run.settings import NAME

_TRACKER = b"resource_tracker"  # multiprocessing's helper process, which stays until we end


class Inventory(NamedTuple):
    """What there is at one time."""

    descriptors: frozenset[tuple[int, str]]
    children: frozenset[int]
    files: frozenset[str]

    @classmethod
    def take(cls, runtime_dir: str) -> Inventory:
        """Look at what there is now."""
        return cls(_descriptors(), _children(), _files(runtime_dir))


def find(before: Inventory, runtime_dir: str, generations: range, expected_files: frozenset[str]) -> list[str]:
    """Return a sentence for everything that is here now, was not before, and is not expected."""
    leaks = [f"the shared object {path}" for path in _objects(runtime_dir, generations) if os.path.lexists(path)]
    files = sorted(_files(runtime_dir) - before.files - expected_files)
    return [*leaks, *(f"the file {os.path.join(runtime_dir, name)}" for name in files), *of_process(before)]


def of_process(before: Inventory) -> list[str]:
    """Return a sentence for each descriptor and child that this process has now and had not
    before.
    """
    descriptors, children = _descriptors() - before.descriptors, _children() - before.children
    leaks = [f"descriptor {fd}, open on {target}" for fd, target in sorted(descriptors)]
    return leaks + [f"child process {pid} ({_command(pid)})" for pid in sorted(children)]


def remove_objects(runtime_dir: str, generations: range) -> None:
    """Remove the shared objects of a segment whose owner died before it could."""
    for path in _objects(runtime_dir, generations):
        with suppress(FileNotFoundError):
            os.unlink(path)


def _objects(runtime_dir: str, generations: range) -> list[str]:
    return [object_of(runtime_dir, generation) for generation in generations]


def object_of(runtime_dir: str, generation: int) -> str:
    """Return the path that the shared object of the run's segment has."""
    names = resolve(NAME, runtime_dir, generation)
    assert names is not None
    return object_path(names)


def _files(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _descriptors() -> frozenset[tuple[int, str]]:
    found = {int(name): _target(name) for name in _files("/proc/self/fd")}
    tracker = _target(getattr(resource_tracker._resource_tracker, "_fd", None))  # made once, and kept
    return frozenset(
        (fd, target) for fd, target in found.items() if not target.startswith("/proc/") and target != tracker
    )


def _target(fd: object) -> str:
    """Return what a descriptor is open on; of one that is closed, a path in /proc."""
    path = f"/proc/self/fd/{fd}"
    with suppress(OSError):  # the listing of the folder had a descriptor of its own
        return os.readlink(path)
    return path


def _children() -> frozenset[int]:
    return frozenset(pid for pid in descendants.children() if _TRACKER not in _read(pid, "cmdline"))


def _read(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _command(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip() or "ended, not waited for"
