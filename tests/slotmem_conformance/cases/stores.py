"""Cases of storing: SIGKILL in the middle of it, and what is on disk when it is done."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

from slotmem_conformance.cases.case import case
from slotmem_conformance.protocol.session import AdapterError
from slotmem_conformance.rig import tracing
from slotmem_conformance.rig.rig import Rig

_SIZE, _MOST = 1 << 19, 64  # 32 MiB: that much is not written in an instant
_ROOM = 16  # times the segment: the old file, the new one, the segment, what the system wants besides
_CHANGES = (1, 1, 1, 0, 2, 20)  # how many changes of files are awaited before a kill; 0: a random moment
_END_S = 20.0


@case("STORE-4/killed")
def killed(rig: Rig) -> None:
    """SIGKILL during a store of up to 32 MiB, when a file was seen to change or at a random moment,
    leaves the old file or the new.
    """
    rig.needs("shared", "persist")
    number, name = _slots_for(rig), f"{rig.folder}/abs"
    create = f"create {name} {_SIZE} {number} PERSIST|PREGRAB"
    rig.process(0)
    rig.must(create)
    lasts_s = _seconds_of(rig, "close")
    old, kept = _file_of(rig, name), 0
    for server, changes in enumerate(_CHANGES[:4] if rig.quick else 2 * _CHANGES, start=1):
        letters = _fill(rig, server, create, number)
        before = _seen(rig.folder)
        wait = rig.begin(server, {"op": "restart"})
        if changes:
            _await_change(rig, before, changes)
            moment = "just when a file changed"
        else:
            rig.pause(rig.choose.random() * lasts_s)
            moment = "at a random moment"
        rig.kill(server)
        wait()
        new = _file_of(rig, name)
        kept += new == old
        if new != old and (wrong := _wrong(new, number, letters)):
            rig.evidence = f"SIGKILL {moment} of a store of {number * _SIZE:,} bytes: {wrong}"
            rig.fail(f"after SIGKILL during a store the file is neither the old nor the new one: {wrong}")
        old = new
    if not kept:
        rig.skip("no kill came before the end of a store, so that nothing was tried")


@case("STORE-5/killed")
def ends_killed(rig: Rig) -> None:
    """After SIGKILL at a random moment of a restart the segment is there, or the new file is."""
    rig.needs("shared", "persist")
    name = f"{rig.folder}/abs"
    number = max(2, _slots_for(rig) // 4)
    create = f"create {name} {_SIZE} {number} PERSIST|PREGRAB"
    rig.process(0)
    rig.must(create)
    lasts_s = _seconds_of(rig, "close")
    kept = 0
    for server in range(1, 5 if rig.quick else 21):
        letters = _fill(rig, server, create, number)
        there = rig.object(name).exists()  # where httpd would have it; elsewhere nothing can be said
        before = _seen(rig.folder)
        wait = rig.begin(server, {"op": "restart"})
        if server % 2:
            _await_change(rig, before, 1)
        rig.pause(rig.choose.random() * (lasts_s / 10 if server % 2 else lasts_s))
        rig.kill(server)
        wait()
        stored = not _wrong(_file_of(rig, name), number, letters)
        kept += not stored
        if there and not stored and not rig.object(name).exists():
            rig.fail("after SIGKILL during a restart the segment is gone, and what was in it is not in its file")
    if not kept:
        rig.skip("no kill came before the end of a store, so that nothing was tried")


@case("STORE-5/on-disk")
def on_disk(rig: Rig) -> None:
    """In the trace of its system calls (strace) file and name are synced before the segment's
    object is unlinked, or restart answers.
    """
    rig.needs("shared", "persist")
    if not (command := tracing.command(trace := Path(rig.folder) / "trace")):
        rig.inform("whether the file was on disk was not observed: strace is not installed (Debian: strace)")
    folder = Path(rig.folder) / "stored"
    folder.mkdir()
    name = f"{folder}/abs"
    rig.under[1] = command
    try:
        rig.process(1)
    except AdapterError as error:
        rig.inform(f"whether the file was on disk was not observed: strace cannot trace here ({error.stderr or error})")
    rig.must(f"1: create {name} 4096 4 PERSIST|PREGRAB; 1: fgrab 1; 1: put 1 ABCD; 1: restart")
    rig.leave(1)
    calls = tracing.calls(trace)
    finding = tracing.not_on_disk(calls, rig.path(name), rig.object(name))
    if finding.unknown:
        rig.inform(f"whether the file was on disk was not observed: {finding.unknown}")
    if finding.wrong:
        rig.evidence = "\n".join(finding.shown)
        rig.fail(finding.wrong)


def _seconds_of(rig: Rig, request: str) -> float:
    began = time.monotonic()
    rig.must(request)
    return time.monotonic() - began


def _fill(rig: Rig, server: int, create: str, number: int) -> str:
    """Create the segment and write new letters into its first and last slot."""
    letters = f"{server:04d}"
    rig.process(server)
    rig.must(f"{server}: {create}")
    for item_id in (0, number - 1):
        rig.must(f"{server}: fgrab {item_id}; {server}: put {item_id} {letters}")
    return letters


def _slots_for(rig: Rig) -> int:
    """Return how many slots a segment may have here, so that its files and memory fit."""
    free = min(shutil.disk_usage(place).free for place in (rig.folder, "/dev/shm") if os.path.isdir(place))
    return max(2, min(_MOST, free // (_ROOM * _SIZE)))


def _seen(folder: str) -> set[tuple[str, int, int, int]]:
    """Look at the files of a folder: which there are, how long, and when written."""
    found = set()
    for name in os.listdir(folder):
        try:
            state = os.stat(os.path.join(folder, name))
        except FileNotFoundError:  # renamed meanwhile
            continue
        found.add((name, state.st_ino, state.st_size, state.st_mtime_ns))
    return found


def _await_change(rig: Rig, before: set[tuple[str, int, int, int]], changes: int) -> None:
    """Look without a pause until the files of the folder have changed `changes` times, or have
    stopped changing.
    """
    ends = time.monotonic() + _END_S
    changed_s = 0.0
    while changes and time.monotonic() < ends:
        now = _seen(rig.folder)
        if now != before:
            before, changed_s = now, time.monotonic()
            changes -= 1
        elif changed_s and time.monotonic() - changed_s > 0.05:
            return


def _file_of(rig: Rig, name: str) -> bytes:
    """Read the persisted file.

    Raises:
        Failed: if there was one before and is none now.
    """
    try:
        return rig.path(name).read_bytes()
    except FileNotFoundError:
        rig.fail("the persisted file is gone")


def _wrong(data: bytes, number: int, letters: str) -> str:
    """Say why this is not the file of slots whose first and last begin with these letters; "" if it
    is.
    """
    payload = 8 + number * _SIZE + number
    if len(data) != payload + 32:
        return f"it has {len(data):,} bytes, not {payload + 32:,}"
    if hashlib.md5(memoryview(data)[:payload], usedforsecurity=False).digest() != data[payload : payload + 16]:
        return "its MD5 does not match its bytes"
    wanted = letters.encode()
    if any(data[at : at + len(wanted)] != wanted for at in (8, 8 + (number - 1) * _SIZE)):
        return "it holds an old slot"
    return ""
