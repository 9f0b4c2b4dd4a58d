"""Cases of death while a server stores, and of what is on disk when it says that it has stored."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from slotmem_conformance.cases import case
from slotmem_conformance.rig import Rig

_ITEM_SIZE, _SLOTS = 8 << 20, 4  # so much that writing it takes a while
_STORE_S = 10.0
_TRACE_S = 5.0
_SYNCS = {"fsync", "fdatasync", "sync", "syncfs"}
_CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|\?)")


@case("STORE-4/killed-when-the-file-changes")
def killed_at_the_change(rig: Rig) -> None:
    """After SIGKILL at the moment at which the file is seen to change it is the old one or the new one."""

    def wait(path: Path) -> None:
        before, ends = _look(path), time.monotonic() + _STORE_S
        while _look(path) == before and time.monotonic() < ends:
            pass

    _kill_stores(rig, wait, _whole)


@case("STORE-4/killed")
def killed(rig: Rig) -> None:
    """After SIGKILL at a random moment of a store the file is the old one or the new one."""
    _kill_stores(rig, lambda _: rig.pause(rig.choose.random() * 0.1), _whole)


@case("STORE-5/killed")
def killed_before_the_end(rig: Rig) -> None:
    """After SIGKILL during a restart the segment is there, or the new file is."""
    _kill_stores(rig, lambda _: rig.pause(rig.choose.random() * 0.1), _there)


@case("STORE-5/on-disk")
def on_disk(rig: Rig) -> None:
    """The system calls of a restart: file and folder are synchronised before the segment's object is unlinked (strace)."""
    rig.needs("shared", "persist", "restart")
    strace = shutil.which("strace")
    if strace is None:
        rig.inform("whether the file is on disk shows in system calls only, and strace is not installed: not observed")
    rig.process(0)
    rig.must("create w 4 2 PERSIST|PREGRAB; fgrab 0; put 0 ABCD")
    trace = Path(rig.folder) / "trace"
    command = [strace, "-f", "-y", "-o", str(trace), "-p", str(getattr(rig.session(), "pid", 0))]
    tracer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    try:
        assert tracer.stderr is not None
        said = tracer.stderr.readline().decode(errors="replace")
        if "attached" not in said:
            rig.inform(
                f"strace could not attach to the process, so that its system calls were not observed: {said.strip()}"
            )
        rig.must("restart")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(tracer.pid, signal.SIGINT)  # it lets go, and the process lives on
        tracer.communicate(timeout=_TRACE_S)
    calls = [found for line in trace.read_text(errors="replace").splitlines() if (found := _CALL.match(line))]
    _judge_calls(rig, calls, str(rig.path("w")), str(rig.object("w")))


def _judge_calls(rig: Rig, calls: list[re.Match[str]], file: str, segment: str) -> None:
    """See that the file, under whatever name it was written, and its folder are synchronised before the segment goes."""
    folder = os.path.dirname(file)
    gone = next(
        (at for at, call in enumerate(calls) if "unlink" in call["name"] and segment in call["arguments"]), None
    )
    if gone is None:
        rig.inform("no system call was seen that removes the segment's object, and so not what came before it")
    before = calls[:gone]
    rig.evidence = "\n".join(call[0] for call in before if folder in call["arguments"] or call["name"] in _SYNCS)[
        -2000:
    ]
    synced = [call for call in before if call["name"] in _SYNCS and call["result"] == "0"]
    whole = any(call["name"] in ("sync", "syncfs") for call in synced)
    through = any("SYNC" in call["arguments"] for call in before if call["name"] in ("open", "openat", "msync"))
    if not whole and not through and not any(f"<{folder}/" in call["arguments"] for call in synced):
        rig.fail("the segment's object is removed before its file was synchronised (fsync) with the disk")
    if not whole and not any(f"<{folder}>" in call["arguments"] for call in synced):
        rig.fail("the segment's object is removed before the folder of its file was synchronised (fsync) with the disk")


def _kill_stores(rig: Rig, wait: Callable[[Path], None], judge: Callable[[Rig, str, bytes, bytes, int], None]) -> None:
    """Kill servers while they store, each after a wait, and judge the old file and the one that is there then."""
    rig.needs("shared", "persist", "restart")
    name = f"{rig.folder}/abs"
    rig.must(f"create {name} {_ITEM_SIZE} {_SLOTS} PERSIST|PREGRAB; restart")
    rig.leave(0)
    old = rig.path(name).read_bytes()
    tried = False
    for server in range(1, 4 if rig.quick else 11):
        rig.process(server)
        rig.must(
            f"{server}: create {name} {_ITEM_SIZE} {_SLOTS} PERSIST|PREGRAB; {server}: fgrab 1; {server}: put 1 {server:08}"
        )
        answered = rig.begin(server, {"op": "restart"})
        wait(rig.path(name))
        rig.kill(server)
        tried |= not answered()
        new = rig.path(name).read_bytes()
        judge(rig, name, old, new, server)
        old = new
    if not tried:
        rig.skip("no kill came before the end of a store, so that nothing was tried")


def _whole(rig: Rig, name: str, old: bytes, new: bytes, server: int) -> None:
    if new != old and not _is_new(new, server):
        rig.fail(
            f"after SIGKILL during a store the file of {len(new)} bytes is neither the old nor the new one of {len(old)}"
        )


def _there(rig: Rig, name: str, old: bytes, new: bytes, server: int) -> None:
    if not _is_new(new, server) and not rig.object(name).exists():
        rig.fail("the segment is gone, and what was in it is not in its file")


def _is_new(data: bytes, server: int) -> bool:
    payload = data[: 4 + 4 + _SLOTS * _ITEM_SIZE + _SLOTS]
    md5 = hashlib.md5(payload, usedforsecurity=False).digest()
    content = payload[8 + _ITEM_SIZE : 8 + _ITEM_SIZE + 8]
    return (
        len(data) == len(payload) + 32 and data[len(payload) : len(payload) + 16] == md5 and content == b"%08d" % server
    )


def _look(path: Path) -> tuple[int, int, int] | None:
    """Give what changes when a file is written or another takes its place; None while there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
