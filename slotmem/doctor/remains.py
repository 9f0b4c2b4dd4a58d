"""What is there, who uses it, and whether it may go.

Interface:

- `look(runtime_dir)` returns a `Remains`: objects in the shared memory folder and files in the
  runtime directory, each with a judgement.
- `remove(item)` removes one that may go, if it still may.

What nobody can want any more may go: an object of ours whose lock nobody holds, for the next create
would replace it; what a killed server was writing; the file of an owner that has ended. An object
that is not ours may go if no process has it open or mapped, and every process could be asked.
Persisted files, and bad ones that were set aside, are somebody's data, and stay.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from slotmem.doctor.processes import File, User, users_of
from slotmem.memory.descriptor import opened
from slotmem.memory.judged import judge
from slotmem.memory.names import Names
from slotmem.memory.segment import SHM_FOLDER, make_way
from slotmem.status import SlotmemError

if sys.platform != "win32":
    import fcntl

_OBJECT = re.compile(r"ShM\.[0-9a-f]{1,8}H[0-9a-f]{1,8}")
_FILE = re.compile(
    r".+\.persist(?P<suffix>|\.new(-[0-9a-f]{5})?|\.bad-\d+)|slotmem-shm-.+_[0-9a-f]+\.shm(?P<owner>\.owner)", re.S
)
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass
class Item:
    """Something that was found."""

    kind: str
    path: str
    user: int
    nbytes: int
    file: File
    users: list[User] = field(default_factory=list)
    alive: bool | None = None
    """Whether anybody uses it; None if that cannot be told."""
    may_go: bool = False
    why: str = ""
    removed: bool = False


class Remains(NamedTuple):
    """All that was found."""

    items: list[Item]
    not_asked: int
    """Processes that do not show what they use."""
    unreadable: list[str]
    """Folders that could not be looked into, and why."""


def look(runtime_dir: str, tick: Callable[[int], None] = lambda _: None) -> Remains:
    """Find and judge everything. tick is called with the number of things judged so far."""
    unreadable: list[str] = []
    items = [*_listed(SHM_FOLDER, _object_kind, unreadable), *_listed(runtime_dir, _file_kind, unreadable)]
    users = users_of([item.file for item in items])
    for number, item in enumerate(items):
        tick(number)
        item.users = users.of.get(item.file, [])
        _judge(item, users.not_asked)
    return Remains(items, users.not_asked, unreadable)


def _listed(folder: str, kind_of: Callable[[str], str], unreadable: list[str]) -> list[Item]:
    found = []
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        unreadable.append(f"{folder}: {error.strerror}")
        return []
    for name in names:
        path = os.path.join(folder, name)
        with suppress(OSError):
            if kind := kind_of(name):
                info = os.lstat(path)
                if stat.S_ISREG(info.st_mode):
                    found.append(Item(kind, path, info.st_uid, info.st_size, (info.st_dev, info.st_ino)))
    return found


def _object_kind(name: str) -> str:
    if name.startswith("psm_"):
        return "multiprocessing"
    return "object" if _OBJECT.fullmatch(name) else ""


_SUFFIXES = {"": "persisted file", ".owner": "owner's file", ".new": "unfinished file", ".bad": "bad file"}


def _file_kind(name: str) -> str:
    match = _FILE.fullmatch(name)
    return _SUFFIXES[(match["owner"] or match["suffix"]).partition("-")[0]] if match else ""


def _judge(item: Item, not_asked: int) -> None:
    """Say what an item is, whether it is used, and whether it may go."""
    if item.kind == "object":
        item.kind = _made_by(item.path)
    match item.kind:
        case "persisted file":
            item.why = "data: the next create of its name restores it"
        case "bad file":
            item.why = "could not be restored, and was set aside: look at it, and remove it by hand"
        case "segment" | "owner's file" | "unfinished file" | "unreadable object":
            _judge_by_lock(item)
        case _:
            _judge_by_users(item, not_asked)


def _made_by(path: str) -> str:
    """Return whose object it is: a segment (or lock) of ours, httpd's, or nobody can tell."""
    try:
        with opened(path, _OPEN) as file:
            return "segment" if judge(file.fileno(), path).ours else "httpd's segment"
    except OSError:
        return "unreadable object"
    except SlotmemError:
        return "damaged object"


def _judge_by_lock(item: Item) -> None:
    """Judge what whoever uses it holds the flock of."""
    try:
        with opened(item.path, _OPEN) as file:
            item.alive = not _is_free(file.fileno())
    except (OSError, SlotmemError) as error:
        item.why = f"cannot be looked into: {getattr(error, 'strerror', None) or error}"
        return
    item.may_go = not item.alive
    what = {"segment": "segment", "owner's file": "owner", "unfinished file": "store"}[item.kind]
    if item.alive:
        item.why = "in use" if item.users else "in use by a process that does not show it"
    else:
        item.why = {"segment": "nobody uses it: its server was killed"}.get(item.kind, f"left by a killed {what}")


def _judge_by_users(item: Item, not_asked: int) -> None:
    """Judge what tells nobody whether it is used, except by being open or mapped."""
    item.alive = True if item.users else None if not_asked else False
    item.may_go = item.alive is False
    if item.users:
        item.why = "in use"
    elif not_asked:
        others = "1 process" if not_asked == 1 else f"{not_asked:,} processes"
        item.why = f"nobody is seen to use it, but {others} cannot be asked: run as root, outside of containers"
    else:
        item.why = "no process of this machine has it open; one in a container of its own might"


def _is_free(fd: int) -> bool:
    """Return whether nobody holds the flock."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True


def remove(item: Item) -> None:
    """Remove an item that may go, unless somebody uses it by now; `removed` and `why` say it.

    Raises:
        SlotmemError
        OSError
    """
    if item.kind == "segment":
        make_way(Names(item.path, item.path, f"/{os.path.basename(item.path)}", ""))  # under the lock creators take
        item.removed = not os.path.lexists(item.path)
    elif item.kind in ("owner's file", "unfinished file"):
        with opened(item.path, _OPEN) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                item.why = "in use by now"
                return
            _unlink(item)
    elif users_of([item.file]).of:
        item.why = "in use by now"
    else:
        _unlink(item)


def _unlink(item: Item) -> None:
    info = os.lstat(item.path)
    if (info.st_dev, info.st_ino) == item.file:
        os.unlink(item.path)
        item.removed = True
    else:
        item.why = "another one by now"
