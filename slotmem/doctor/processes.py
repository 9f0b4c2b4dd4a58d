"""Which processes use which files: one look at all of /proc, for any number of files.

Interface: `users_of(files)` returns a `Users`; a file is its (device, inode).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

File = tuple[int, int]
"""Device and inode."""


class User(NamedTuple):
    """A process that has a file open or mapped."""

    pid: int
    command: str


class Users(NamedTuple):
    """Who uses what."""

    of: dict[File, list[User]]
    not_asked: int
    """Processes of other users, which do not show what they use."""


def users_of(files: Collection[File]) -> Users:
    """Look through the descriptors and maps of every process; this one does not count."""
    wanted, found, hidden = set(files), dict[File, list[User]](), 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            used = _files_of(entry) & wanted
        except PermissionError:
            hidden += 1
            continue
        except OSError:  # it has ended
            continue
        for file in used:
            found.setdefault(file, []).append(User(int(entry), _command(entry)))
    return Users(found, hidden)


def _files_of(pid: str) -> set[File]:
    """Return what a process has open or mapped.

    Raises:
        OSError
    """
    found: set[File] = set()
    with os.scandir(f"/proc/{pid}/fd") as descriptors:
        for each in descriptors:
            with suppress(FileNotFoundError):
                info = each.stat()
                found.add((info.st_dev, info.st_ino))
    with open(f"/proc/{pid}/maps", "rb") as maps:
        for line in maps:
            _, _, _, device, inode, *_ = line.split(maxsplit=5)
            if inode != b"0":
                major, minor = (int(part, 16) for part in device.split(b":"))
                found.add((os.makedev(major, minor), int(inode)))
    return found


def _command(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""
