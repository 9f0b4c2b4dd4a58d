"""Find what was left on this machine: segments, locks, files; say who uses it and what may go.

Looked at are the shared memory folder (segments and locks of ours, httpd's segments, those of
multiprocessing.shared_memory) and the runtime directory (persisted files, what killed servers were
writing, bad files that were set aside). Nothing is removed without --remove, and then only what
nobody uses at that moment, judged under the locks that create takes.

examples:
  slotmem doctor                                 everything, with what may go and why
  slotmem doctor --runtime-dir /run/app          another runtime directory
  slotmem doctor --remove                        remove what may go
  slotmem doctor --json                          as JSON

exit codes: 0 looked at everything, 2 usage, or something could not be looked at or removed
"""

from __future__ import annotations

import argparse
import json
import pwd
import sys
import time
from typing import Any

from slotmem.arguments import RUNTIME_DIR_VARIABLE, runtime_dir_path
from slotmem.doctor.remains import Item, Remains, look, remove
from slotmem.exit_codes import HELD, USAGE
from slotmem.status import SlotmemError, Unsupported

SYNONYMS = ("clean", "cleanup", "rm", "remove", "leftovers", "prune", "gc", "ipcs", "ipcrm", "list", "ls", "ps")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--runtime-dir",
        metavar="DIR",
        help=f"where files are (default: ${RUNTIME_DIR_VARIABLE}, else a folder of yours)",
    )
    parser.add_argument("--remove", action="store_true", help="remove what may go")
    parser.add_argument("--json", action="store_true", help="print a JSON report")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    if not sys.platform.startswith("linux"):
        raise Unsupported(f"slotmem doctor reads /proc, which {sys.platform} does not have")
    runtime_dir = runtime_dir_path(arguments.runtime_dir)
    tick = _Progress()
    found = look(runtime_dir, tick)
    tick.end()
    failed = [failure for item in found.items if arguments.remove and item.may_go and (failure := _removed(item))]
    if arguments.json:
        print(json.dumps(document(found, runtime_dir), indent=2))
    else:
        for line in text(found, runtime_dir):
            print(line)
    for failure in (*failed, *(f"cannot look into {each}" for each in found.unreadable)):
        print(f"slotmem doctor: {failure}", file=sys.stderr)
    return USAGE if failed or found.unreadable else HELD


def _removed(item: Item) -> str:
    """Remove an item; return what went wrong, if anything did."""
    try:
        remove(item)
    except FileNotFoundError:
        item.why = "gone by now"
    except (OSError, SlotmemError) as error:
        return f"{item.path} cannot be removed: {error}"
    return ""


def document(found: Remains, runtime_dir: str) -> dict[str, Any]:
    """Return the report as JSON has it."""
    items = [
        {
            "kind": item.kind,
            "path": item.path,
            "user": item.user,
            "size": item.nbytes,
            "alive": item.alive,
            "used_by": [user._asdict() for user in item.users],
            "may_go": item.may_go,
            "why": item.why,
            "removed": item.removed,
        }
        for item in found.items
    ]
    return {"runtime_dir": runtime_dir, "items": items, "not_asked": found.not_asked, "unreadable": found.unreadable}


def text(found: Remains, runtime_dir: str) -> list[str]:
    """Return the report for people: a line for each item, and one with what it is about."""
    lines = []
    for item in found.items:
        verdict = "removed" if item.removed else "may go" if item.may_go else "stays"
        lines.append(f"{verdict:7}  {item.path}")
        lines.append(f"         {item.kind} of {_user(item.user)}, {_size(item.nbytes)}: {item.why}{_used_by(item)}")
    may_go = [item for item in found.items if item.may_go and not item.removed]
    gone = [item for item in found.items if item.removed]
    lines.append(f"{_counted(len(found.items), 'thing')} in the shared memory folder and {runtime_dir}")
    if gone:
        lines.append(f"removed: {len(gone)}, {_size(sum(item.nbytes for item in gone))}")
    if may_go:
        size = _size(sum(item.nbytes for item in may_go))
        lines.append(f"may go: {len(may_go)}, {size}; slotmem doctor --remove does it")
    if found.not_asked:
        lines.append(f"{_counted(found.not_asked, 'process', 'es')} of other users cannot be asked what they use")
    return lines


def _used_by(item: Item) -> str:
    shown = [f"{user.pid} ({user.command})" for user in item.users[:5]]
    more = [f"and {len(item.users) - 5} more"] if len(item.users) > 5 else []
    return f", by {', '.join([*shown, *more])}" if shown else ""


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _size(nbytes: int) -> str:
    value, unit = float(nbytes), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 10 else f"{value:.1f} {_UNITS[unit]}"


def _counted(number: int, noun: str, plural: str = "s") -> str:
    return f"{number:,} {noun}{plural if number != 1 else ''}"


class _Progress:
    """A line on a terminal, from the second second on."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 2
        self._shown = False

    def __call__(self, judged: int) -> None:
        if time.monotonic() >= self._next:
            self._next, self._shown = time.monotonic() + 1, True
            print(f"\r{judged:,} looked at", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            print(file=sys.stderr)
