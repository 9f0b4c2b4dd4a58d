"""The specification one level up: names, generations, attachers, files, restarts, crashes.

Interface:

- `World` is a state: the memory that exists, the names that lead to it, the persisted files, the
  servers.
- A *server* is one provider object; it is known by a number. `start`, `create`, `attach`,
  `restart`, `close`, `kill` are what can happen to it; `operate` does a slot operation
  (`slotmem_model.spec`) on a segment; `damage` changes a file's bytes.
- Each is a pure function `(world, arguments) -> (world, Result)`; the value of create and attach is
  an `Opened`.

Memory that lost its name lives on for those who have it open (ATTACH-8), or they are told that it
has ended (ATTACH-9), so segments are known by a key, not by their name. Maps are dictionaries that
are never changed in place.
"""

from __future__ import annotations

from typing import NamedTuple

from slotmem_model import spec
from slotmem_model.spec import SUCCESS, Operation, Result, Slots

PERSIST, NOTMPSAFE, PREGRAB, CLEARINUSE = 1, 2, 4, 8

ENOENT = "APR_ENOENT"
EEXIST = "APR_EEXIST"
ENOSHMAVAIL = "APR_ENOSHMAVAIL"


class Segment(NamedTuple):
    """A piece of memory; `users` are the servers that have it open. If it has `ended`, its server
    has closed it: whoever is attached may be told so (ATTACH-9).
    """

    slots: Slots
    type: int
    users: frozenset[int]
    ended: bool = False


class File(NamedTuple):
    """A persisted file: what it holds, and whether its bytes are as they were stored."""

    slots: Slots
    type: int
    intact: bool = True


class Server(NamedTuple):
    """One lifetime: its generation, and the segments it created, by segment name."""

    generation: int
    created: tuple[tuple[str, int], ...] = ()


class Opened(NamedTuple):
    """What create and attach answer: the segment's key, and what became of a persisted file."""

    key: int
    restored: str


class World(NamedTuple):
    """Everything that outlives a call."""

    segments: dict[int, Segment]
    names: dict[str, int]
    files: dict[str, File]
    aside: tuple[File, ...]
    servers: dict[int, Server]
    next_key: int = 0


Stepped = tuple[World, Result]
EMPTY = World({}, {}, {}, (), {})


def is_anonymous(name: str | None) -> bool:
    """Return whether a name means memory without a name (NAME-1)."""
    return name is None or name.lower() in ("", "none")


def compute_segment_name(name: str, generation: int) -> str:
    """Return a relative name with its generation, an absolute one as it is (NAME-2, NAME-3)."""
    return name if name.startswith("/") else f"{name}_{generation:x}"


def start(world: World, server: int, generation: int = 0) -> Stepped:
    """Begin a server lifetime."""
    return world._replace(servers={**world.servers, server: Server(generation)}), Result(SUCCESS)


def create(world: World, server: int, name: str | None, item_size: int, item_num: int, type: int) -> Stepped:
    """Make a segment, restoring what was stored under its name (CREATE-1 to CREATE-6, RESTORE-1 to
    RESTORE-3).
    """
    slots = spec.fresh(item_size, item_num, bool(type & PREGRAB))
    if name is None or is_anonymous(name):
        return _add(world, server, None, Segment(slots, type, frozenset([server])), "not persistent")
    segment_name = compute_segment_name(name, world.servers[server].generation)
    created = dict(world.servers[server].created)
    if segment_name in created:
        return world, Result(SUCCESS, Opened(created[segment_name], "the same"))
    if segment_name in world.names and world.segments[world.names[segment_name]].users:
        return world, Result(EEXIST)
    restored = "not persistent"
    if type & PERSIST:
        file = world.files.get(name)
        if file is None:
            restored = "no file"
        elif is_restorable(file, slots, type):
            restored, slots = "restored", file.slots
        else:
            restored = "set aside"
            files = {other: kept for other, kept in world.files.items() if other != name}
            world = world._replace(files=files, aside=(*world.aside, file))
    return _add(world, server, segment_name, Segment(slots, type, frozenset([server])), restored)


def is_restorable(file: File, slots: Slots, type: int) -> bool:
    """Return whether a file is intact and was stored with these sizes and flags (RESTORE-2)."""
    same_shape = (file.slots.item_size, len(file.slots.inuse)) == (slots.item_size, len(slots.inuse))
    return file.intact and same_shape and file.type == type


def attach(world: World, server: int, name: str | None) -> Stepped:
    """Open the segment of a name (ATTACH-1 to ATTACH-4)."""
    if name is None or is_anonymous(name):
        return world, Result(ENOSHMAVAIL)
    segment_name = compute_segment_name(name, world.servers[server].generation)
    created = dict(world.servers[server].created)
    if segment_name in created:
        return world, Result(SUCCESS, Opened(created[segment_name], "the same"))
    if segment_name not in world.names:
        return world, Result(ENOENT)
    key = world.names[segment_name]
    segment = world.segments[key]
    opened = {key: segment._replace(users=segment.users | {server})}
    return world._replace(segments={**world.segments, **opened}), Result(SUCCESS, Opened(key, "attached"))


def operate(world: World, key: int, operation: Operation) -> Stepped:
    """Do a slot operation on a segment."""
    segment = world.segments[key]
    slots, result = spec.step(segment.slots, operation)
    return world._replace(segments={**world.segments, key: segment._replace(slots=slots)}), result


def restart(world: World, server: int) -> Stepped:
    """Store and end everything the server created, and begin its next generation (RESTART-1 to
    RESTART-3).
    """
    world = _end(world, server)
    generation = world.servers[server].generation + 1
    return world._replace(servers={**world.servers, server: Server(generation)}), Result(SUCCESS)


def close(world: World, server: int) -> Stepped:
    """Store and end everything the server created, and the server (RESTART-1, RESTART-2)."""
    world = _let_go(_end(world, server), server)
    return world._replace(servers=_without(world.servers, server)), Result(SUCCESS)


def kill(world: World, server: int) -> Stepped:
    """End a server by SIGKILL: nothing is stored, its segments keep their names (KILL-1)."""
    world = _let_go(world, server)
    return world._replace(servers=_without(world.servers, server)), Result(SUCCESS)


def find_dead(world: World, name: str) -> list[str]:
    """Return the segment names of a slotmem, of any generation, whose memory nobody has open."""
    return [
        segment_name
        for segment_name, key in world.names.items()
        if segment_name.rpartition("_")[0] == name and not world.segments[key].users
    ]


def clear(world: World, segment_names: list[str]) -> Stepped:
    """Take the names of dead segments away, as a create may do with those of its name in any
    generation (KILL-1).
    """
    names = {other: key for other, key in world.names.items() if other not in segment_names}
    return world._replace(names=names), Result(SUCCESS)


def damage(world: World, name: str) -> Stepped:
    """Change the bytes of a persisted file behind everybody's back."""
    files = {**world.files, name: world.files[name]._replace(intact=False)}
    return world._replace(files=files), Result(SUCCESS)


def _add(world: World, server: int, segment_name: str | None, segment: Segment, restored: str) -> Stepped:
    key = world.next_key
    world = world._replace(segments={**world.segments, key: segment}, next_key=key + 1)
    if segment_name is not None:
        record = world.servers[server]
        record = record._replace(created=(*record.created, (segment_name, key)))
        world = world._replace(names={**world.names, segment_name: key}, servers={**world.servers, server: record})
    return world, Result(SUCCESS, Opened(key, restored))


def _end(world: World, server: int) -> World:
    """Store each persistent segment of a server, then take its name away (STORE-1, STORE-2,
    RESTART-2).
    """
    files, names, segments = dict(world.files), dict(world.names), dict(world.segments)
    for segment_name, key in world.servers[server].created:
        segment = world.segments[key]
        if segment.type & PERSIST:
            stored = spec.compute_stored(segment.slots, bool(segment.type & CLEARINUSE))
            generation = world.servers[server].generation
            name = segment_name if segment_name.startswith("/") else segment_name.removesuffix(f"_{generation:x}")
            files[name] = File(stored, segment.type)
        if names.get(segment_name) == key:
            del names[segment_name]
        segments[key] = segment._replace(ended=True)
    return _let_go(world._replace(segments=segments, files=files, names=names), server)


def _let_go(world: World, server: int) -> World:
    segments = {key: each._replace(users=each.users - {server}) for key, each in world.segments.items()}
    return world._replace(segments=segments)


def _without(servers: dict[int, Server], server: int) -> dict[int, Server]:
    return {other: record for other, record in servers.items() if other != server}
