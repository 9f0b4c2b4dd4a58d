"""Killing a server at each system call that changes something, and judging what it left behind.

Interface:

- `SCENARIOS` names what a server may be doing when it dies: creating, replacing, restoring,
  storing.
- `crash_calls(scenario, folder)` kills it before each call in turn (half-way through, for a write)
  and gives a `Campaign`.
- `recorded_calls()` notes the calls instead; `order_findings(...)` says what is wrong with their
  order.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import slotmem
from slotmem import NoSegment, SlotmemError, Type
from slotmem.memory.names import resolve
from slotmem.memory.segment import object_path
from slotmem_model import spec
from slotmem_model.stored_bytes import persisted
from tools.crashing import Campaign, Watch, exercise

NAME = "table"
FLAGS = Type.PERSIST | Type.PREGRAB
OLD = spec.Slots(4, True, (True, False, True), (b"old0", b"old1", b"old2"))
NEW = spec.Slots(4, True, (True, True, False), (b"new0", b"new1", b"new2"))
FRESH = spec.fresh(4, 3, True)
BAD = b"not a persisted file"

WATCHED: dict[Any, tuple[str, ...]] = {
    os: (
        "open",
        "close",
        "fchmod",
        "posix_fallocate",
        "link",
        "unlink",
        "rename",
        "fsync",
        "ftruncate",
        "mkdir",
        "write",
    ),
    fcntl: ("flock", "fcntl"),
    mmap: ("mmap",),
}


class Scenario(NamedTuple):
    """A server in a situation, and how it goes on."""

    before: bytes | None
    """The persisted file that it finds."""
    prepare: Callable[[Any], None]
    act: Callable[[Any], None]
    states: tuple[spec.Slots, ...]
    """What the next server may find in the file's segment."""


def create(provider: Any, **options: Any) -> Any:
    return provider.create(NAME, 4, 3, FLAGS, **options)


def write(instance: Any, state: spec.Slots) -> None:
    """Bring an instance into a state."""
    for item_id, data in enumerate(state.data):
        instance.fgrab(item_id)
        instance.put(item_id, data)
        if not state.inuse[item_id]:
            instance.release(item_id)


def _create_new(provider: Any) -> None:
    write(create(provider), NEW)


def _leave_remainder(provider: Any) -> None:
    """Let a server of its own be killed while it has the segment."""
    child = os.fork()
    if child == 0:
        create(slotmem.provider("shm", runtime_dir=provider.runtime_dir))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def _nothing(provider: Any) -> None:
    return


SCENARIOS = {
    "create": Scenario(None, _nothing, create, (FRESH,)),
    "create beside a remainder": Scenario(None, _leave_remainder, create, (FRESH,)),
    "create over one's own": Scenario(
        None, _leave_remainder, lambda provider: create(provider, replace=True), (FRESH,)
    ),
    "restore": Scenario(persisted(OLD, FLAGS), _nothing, create, (OLD,)),
    "set aside": Scenario(BAD, _nothing, create, (FRESH,)),
    "first store": Scenario(None, _create_new, lambda provider: provider.close(), (FRESH, NEW)),
    "store": Scenario(persisted(OLD, FLAGS), _create_new, lambda provider: provider.restart(), (OLD, NEW)),
}


def watch_calls(watch: Watch) -> None:
    """Make every watched call of this process, which must be a forked child, a step; a write is
    two.
    """
    for module, names in WATCHED.items():
        for name in names:
            setattr(module, name, _watched(getattr(module, name), watch, halves=name == "write"))


def _watched(call: Any, watch: Watch, halves: bool) -> Any:
    def step_and_call(*arguments: Any, **options: Any) -> Any:
        watch.step()
        if not halves:
            return call(*arguments, **options)
        descriptor, data = arguments
        if len(data) < 2:
            return call(descriptor, data)
        done: int = call(descriptor, data[: len(data) // 2])
        watch.step()
        return done  # a short write: the caller goes on with the rest

    return step_and_call


def crash_calls(scenario: Scenario, folder: Path) -> Campaign:
    """Kill a server at each of its calls in turn; the next server finds all in order."""
    campaign = Campaign()
    dies = True
    while dies:
        here = folder / f"run-{campaign.deaths}"
        try:
            dies = _kill_at(scenario, here, campaign.deaths + 1)
            if dies:
                campaign.deaths += 1
                campaign.note(_judge(scenario, here), "killed at call", campaign.deaths)
        finally:
            with suppress(FileNotFoundError):  # of a broken variant, or of the last server, which ended without closing
                os.unlink(object_of(here))
    return campaign


def _kill_at(scenario: Scenario, folder: Path, fatal: int) -> bool:
    if scenario.before is not None:
        folder.mkdir(0o700)
        file_of(folder).write_bytes(scenario.before)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            watch = Watch(fatal)
            prepared = slotmem.provider("shm", runtime_dir=folder) if scenario.prepare is not _nothing else None
            scenario.prepare(prepared)
            watch_calls(watch)
            scenario.act(prepared or slotmem.provider("shm", runtime_dir=folder))
            watch.step()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status not in (0, signal.SIGKILL):
        raise RuntimeError(f"the child ended with status {status}")
    return status == signal.SIGKILL


def file_of(folder: Path) -> Path:
    return folder / f"slotmem-shm-{NAME}.shm.persist"


def object_of(folder: Path) -> str:
    names = resolve(NAME, str(folder), 0)
    assert names is not None
    return object_path(names)


def _judge(scenario: Scenario, folder: Path) -> str:
    """Look at what is left, as the next server; "" if all is in order."""
    file = file_of(folder)
    whole = {persisted(state, FLAGS) for state in scenario.states} | {scenario.before, None}
    had_object = os.path.exists(object_of(folder))
    found = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
    names = {suffix: f"{file.name}{suffix}" for suffix in ("", ".new", ".bad-1")}
    names["owner"] = f"slotmem-shm-{NAME}_0.shm.owner"
    if found.keys() - names.values():
        return f"files were left behind: {sorted(found)}"
    if found.get(file.name) not in whole:
        return f"the file is neither the old nor the new one: {found.get(file.name)!r}"
    if scenario.before == BAD and BAD not in (found.get(file.name), found.get(names[".bad-1"])):
        return "the bad file is lost"
    if scenario.before not in (None, BAD) and file.name not in found:
        return "the old file is lost"
    if NEW in scenario.states and not had_object and found.get(file.name) != persisted(NEW, FLAGS):
        return "the segment was destroyed before it was stored"
    try:
        with slotmem.provider("shm", runtime_dir=folder) as server:
            attached = _attach(server, had_object)
            if attached is not None:
                attached.close()
            instance = create(server)
            if not _is_one_of(instance, scenario.states):
                return f"the next server finds {bytes(instance.algorithm().snapshot())!r}"
            if problem := exercise(instance.algorithm()):
                return problem
            write(instance, NEW)
    except SlotmemError as error:
        return f"{type(error).__name__}: {error}"
    left = sorted(path.name for path in folder.iterdir())
    if file.read_bytes() != persisted(NEW, FLAGS) or left != [file.name] + [names[".bad-1"]] * (scenario.before == BAD):
        return f"the next server leaves {left}"
    return "the next server leaves its segment" if os.path.exists(object_of(folder)) else ""


def _attach(server: Any, had_object: bool) -> Any:
    try:
        return server.attach(NAME)  # its header and control block are checked: complete
    except NoSegment:
        if had_object:
            raise
        return None


def _is_one_of(instance: Any, states: tuple[spec.Slots, ...]) -> bool:
    seen = instance.algorithm().snapshot()
    return any(seen == persisted(state, FLAGS)[: len(seen)] for state in states)


@contextmanager
def recorded_calls(patch: Any) -> Iterator[list[tuple[Any, ...]]]:
    """Note the watched calls of this process: their names, arguments and results."""
    log: list[tuple[Any, ...]] = []

    def noted(name: str, call: Any) -> Any:
        def note_and_call(*arguments: Any, **options: Any) -> Any:
            result = call(*arguments, **options)
            log.append((name, *arguments, result))
            return result

        return note_and_call

    with patch.context() as patched:
        for module, names in WATCHED.items():
            for name in names:
                patched.setattr(module, name, noted(name, getattr(module, name)))
        yield log


def order_findings(log: list[tuple[Any, ...]], file: str, shared_object: str) -> list[str]:
    """Say what is wrong with the order in which a server stored a file and destroyed its
    segment.
    """
    position = dict.fromkeys(("written", "on disk", "renamed", "name on disk", "destroyed"), -1)
    opened: dict[int, str] = {}
    for at, (name, *arguments) in enumerate(log):
        if name == "open":
            opened[arguments[-1]] = arguments[0]
        elif name == "write" and opened.get(arguments[0], "").startswith(file):
            position["written"] = at
        elif name == "fsync" and opened.get(arguments[0], "").startswith(file):
            position["on disk"] = at
        elif name == "rename" and arguments[1] == file:
            position["renamed"] = at
        elif name == "fsync" and opened.get(arguments[0]) == os.path.dirname(file):
            position["name on disk"] = at
        elif name == "unlink" and arguments[0] == shared_object:
            position["destroyed"] = at
    happened = list(position.items())
    return [f"never {what}" for what, at in happened if at < 0] + [
        f"{later} before {earlier}" for (earlier, first), (later, then) in pairwise(happened) if 0 <= then < first
    ]
