"""From what a user names to what is there: a segment's object or a persisted file.

In this order: the segment of a name; its persisted file; a path, where an object in the shared
memory folder is taken for a segment and any other plain file for a persisted file.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from slotmem.memory import names
from slotmem.memory.names import Names
from slotmem.memory.segment import SHM_FOLDER, object_path
from slotmem.status import AccessDenied, InvalidName, NoSegment

GENERATIONS = 64  # how many are tried if none is given; each has an object name of its own


class Found(NamedTuple):
    """What is to be inspected."""

    name: str
    is_segment: bool
    path: str
    names: Names | None
    """None if it was found by its path."""
    generation: int | None
    """None where there are no generations: absolute names, and paths."""
    notes: tuple[str, ...] = ()


def find(given: str, runtime_dir: str, generation: int | None) -> Found:
    """Find what a name or a path stands for.

    Raises:
        NoSegment: says what was looked for.
        InvalidName
        AccessDenied
    """
    try:
        resolved = names.resolve(given, runtime_dir, generation or 0)
    except InvalidName:
        if "\0" in given or not os.path.lexists(given):
            raise
        resolved = None  # a path such as ../x
    looked = []
    if resolved is not None:
        absolute = given.startswith("/")
        if (found := _find_segment(given, runtime_dir, None if absolute else generation, absolute)) is not None:
            return found
        looked.append(f"the segment {resolved.segment} (object {object_path(resolved)})")
        if not absolute and generation is None:
            looked[-1] += f" and generations up to {GENERATIONS - 1:x}"
        if os.path.lexists(resolved.persisted):
            note = "there is no live segment of this name: this is its persisted file"
            return Found(given, False, resolved.persisted, resolved, None, (note,))
        looked.append(f"the persisted file {resolved.persisted}")
    if given and (mode := _mode(given)) is not None:
        path = os.path.abspath(given)
        if not stat.S_ISREG(mode):
            raise AccessDenied(f"{path} is not a plain file; give the name of a segment, or the path of a file")
        return Found(given, os.path.dirname(os.path.realpath(path)) == SHM_FOLDER, path, None, None)
    if not looked:
        raise InvalidName(f"the name {given!r} means anonymous memory, which cannot be found by name; give another")
    looked.append(f"the file {os.path.abspath(given)}")
    raise NoSegment(f"there is nothing called {given!r}; looked for: {', '.join(looked)}")


def _mode(path: str) -> int | None:
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):
        return None


def _find_segment(given: str, runtime_dir: str, generation: int | None, absolute: bool) -> Found | None:
    """Find the object of a name; without a generation, that of the first that has one, with notes
    about the others.
    """
    generations = range(1 if absolute else GENERATIONS) if generation is None else [generation]
    there = []
    for number in generations:
        resolved = names.resolve(given, runtime_dir, number)
        if resolved is not None and os.path.lexists(object_path(resolved)):
            there.append((number, resolved))
    if not there:
        return None
    first, resolved = there[0]
    notes = tuple(f"there is also a segment of generation {number}: --generation {number}" for number, _ in there[1:])
    return Found(given, True, object_path(resolved), resolved, None if absolute else first, notes)
