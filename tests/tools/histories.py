"""Histories of slots with known answers: linearizable by construction, or with one fault put in.

Each process invokes an operation, it takes effect on the specification at an instant that the dice
choose, and returns. A crashed process stops before or after that instant, and another one with a
new name goes on in its place.
"""

import argparse
import heapq
import random

import numpy as np

from slotmem_model import spec
from slotmem_model.judge.events import Crash, Invoke, Return
from slotmem_model.judge.slots import history as columns
from slotmem_model.judge.slots.history import SlotHistory

MIX = {"grab": 2, "put": 3, "get": 3, "release": 2, "num_free_slots": 1, "fgrab": 0.3}


def make_events(
    dice, initial, *, processes, operations, values=None, crashes=0.0, mix=MIX, stop=0.0, crowd=0.0, lowest_first=True
):
    """Return the events of a linearizable history; `values` is the number of different ones, None
    for one of its own each put.

    The higher `crowd`, the more operations overlap.
    """
    state = initial
    names = list(range(processes))
    running = [None] * processes  # [operation, result or None]
    events, started, fresh_name = [], 0, processes
    while True:
        idle = [process for process in range(processes) if running[process] is None]
        at = dice.choice(idle) if idle and dice.random() < crowd and started < operations else dice.randrange(processes)
        if running[at] is None:
            if started == operations:
                if all(call is None for call in running) or dice.random() < stop:
                    return events
                continue
            operation = _choose(dice, mix, len(initial.inuse), initial.item_size, values, started)
            started += 1
            running[at] = [operation, None]
            events.append(Invoke(names[at], operation))
            continue
        if dice.random() < crashes:
            events.append(Crash(names[at]))
            names[at], running[at] = fresh_name, None
            fresh_name += 1
        elif running[at][1] is None:
            allowed = spec.steps(state, running[at][0], lowest_first=lowest_first)
            state, running[at][1] = allowed[0] if lowest_first else dice.choice(allowed)
        else:
            events.append(Return(names[at], running[at][1]))
            running[at] = None


def _choose(dice, mix, item_num, item_size, values, number):
    name = dice.choices(list(mix), list(mix.values()))[0]
    if name in ("grab", "num_free_slots"):
        return (name,)
    slot = dice.randrange(item_num)
    if name == "put":
        value = number + 1 if values is None else dice.randrange(values)
        return name, slot, value.to_bytes(item_size, "little")
    return name, slot


def spoil(dice, events, item_num):
    """Return the events with one result replaced by another of the same operation; it may still be
    linearizable.
    """
    events = list(events)
    at = dice.choice([number for number, event in enumerate(events) if isinstance(event, Return)] or [None])
    if at is None:
        return events
    process = events[at].process
    name = next(event.operation[0] for event in reversed(events[:at]) if event.process == process)
    seen = [event.operation[2] for event in events if isinstance(event, Invoke) and event.operation[0] == "put"]
    ok = spec.Result(spec.SUCCESS)
    choices = {
        "grab": [spec.Result(spec.EINVAL)] + [spec.Result(spec.SUCCESS, slot) for slot in range(item_num)],
        "num_free_slots": [spec.Result(spec.SUCCESS, count) for count in range(item_num + 1)],
        "get": [spec.Result(spec.NOTFOUND)] + [spec.Result(spec.SUCCESS, data) for data in [*seen, b"\0\0"]],
        "put": [ok, spec.Result(spec.NOTFOUND)],
        "release": [ok, spec.Result(spec.NOTFOUND)],
        "fgrab": [ok],
    }[name]
    events[at] = Return(process, dice.choice(choices))
    return events


class World:
    """What is really so: marks and contents, as the specification has them."""

    def __init__(self, item_num, mask=0):
        self.item_num = item_num
        self.mask = mask
        self.values = [0] * item_num

    def take_effect(self, kind, slot, value):
        """Do an operation; return outcome, slot and value of its row."""
        if kind == columns.GRAB:
            lowest = ~self.mask & (self.mask + 1) & ((1 << self.item_num) - 1)
            self.mask |= lowest
            return (columns.OK, lowest.bit_length() - 1, value) if lowest else (columns.EINVAL, -1, value)
        if kind == columns.COUNT:
            return columns.OK, slot, self.item_num - self.mask.bit_count()
        if kind == columns.FGRAB:
            self.mask |= 1 << slot
        elif not self.mask >> slot & 1:
            return columns.NOTFOUND, slot, value
        elif kind == columns.RELEASE:
            self.mask &= ~(1 << slot)
        elif kind == columns.GET:
            return columns.OK, slot, self.values[slot]
        else:
            self.values[slot] = value
        return columns.OK, slot, value


TORN = 2**40
MINE = 2**41  # values that the faulty process puts


def _grab(world):
    return world.take_effect(columns.GRAB, -1, -1)


# What one more process does, step by step: kind, slot (None: the one it grabbed first), value, and
# the lie instead of the effect.
FAULTS = {
    "none": [(columns.GRAB, None, -1, None), (columns.PUT, None, MINE, None), (columns.GET, None, -1, None)],
    "double grab": [
        (columns.GRAB, None, -1, None),
        (columns.GRAB, None, -1, lambda world, slot: (columns.OK, slot, -1)),
    ],
    "stale get": [
        (columns.GRAB, None, -1, None),
        (columns.PUT, None, MINE, None),
        (columns.PUT, None, MINE + 1, None),
        (columns.GET, None, -1, lambda world, slot: (columns.OK, slot, MINE)),
    ],
    "torn get": [
        (columns.GRAB, None, -1, None),
        (columns.GET, None, -1, lambda world, slot: (columns.OK, slot, TORN)),
    ],
    "lost put": [
        (columns.GRAB, None, -1, None),
        (columns.PUT, None, MINE, None),
        (columns.PUT, None, MINE + 1, lambda world, slot: (columns.OK, slot, MINE + 1)),
        (columns.GET, None, -1, None),
    ],
    "lost release": [
        (columns.GRAB, None, -1, None),
        (columns.RELEASE, None, -1, lambda world, slot: (columns.OK, slot, -1)),
        (columns.GRAB, None, -1, None),
    ],
    "wrong counter": [
        (columns.COUNT, None, -1, lambda world, slot: (columns.OK, -1, world.item_num - world.mask.bit_count() - 1))
    ],
    "resurrected slot": [
        (columns.GRAB, None, -1, None),
        (columns.PUT, None, MINE, None),
        (columns.RELEASE, None, -1, None),
        (columns.GET, None, -1, lambda world, slot: (columns.OK, slot, MINE)),
    ],
}
TABLE = (columns.GRAB, columns.FGRAB, columns.RELEASE, columns.COUNT)


def make_history(
    seed,
    *,
    processes,
    item_num,
    operations,
    stray=0.1,
    values=None,
    crashed=0,
    weights=None,
    hot=False,
    fault=None,
):
    """Return a large history in columns, with its witness; linearizable except for the fault, if
    one is given.

    A process grabs slots and works on them; with probability `stray` a put or get goes to any slot.
    With `hot` all put and get in one slot. `crashed` operations never return; half of them take
    effect. A fault is put in when half of the operations are over, by one more process. While it is
    at work the others only put and get in slots of their own, so that nothing can excuse the fault.
    """
    dice = random.Random(seed)
    world = World(item_num, 1 if hot else 0)
    weights = weights or {"grab": 1, "put": 3, "get": 3, "release": 1}
    names, ways = list(weights), list(weights.values())
    last_crash = set(dice.sample(range(operations), crashed))
    held = [[] for _ in range(processes)]
    name = list(range(processes))
    rows, instants, table_running = [], [], 0
    queue = [(dice.random(), process, 0, -1) for process in range(processes)]
    heapq.heapify(queue)
    tick, order = 0, 0
    script, step, own_slot = FAULTS.get(fault, []), 0, None
    liar = processes
    while queue:
        time, process, phase, number = heapq.heappop(queue)
        tick += 1
        is_quiet = step < len(script) and len(rows) >= operations // 2
        if phase == 0 and process != liar:
            if is_quiet and not any(entry[1] == liar for entry in queue):
                heapq.heappush(queue, (time, liar, 0, -1))
            if len(rows) >= operations:
                continue
            asked = _ask(dice, names, ways, held[process], item_num, 0 if is_quiet else stray, hot, is_quiet)
            if asked is None:
                heapq.heappush(queue, (time + dice.random(), process, 0, -1))
                continue
            kind, slot, value = asked
            number = len(rows)
            if kind == columns.PUT:
                value = number + 1 if values is None else 1 + dice.randrange(values)
            rows.append([name[process], kind, columns.PENDING, slot, value, tick, -1])
            instants.append(-1)
            table_running += kind in TABLE
            if number in last_crash:
                table_running -= kind in TABLE
                if dice.random() < 0.5:
                    heapq.heappush(queue, (time + dice.random(), process, 3, number))
                else:
                    _replace(dice, queue, process, processes + 1 + number, name, held, time)
                continue
            heapq.heappush(queue, (time + dice.random(), process, 1, number))
        elif phase == 0:
            if table_running:
                heapq.heappush(queue, (time + dice.random(), liar, 0, -1))
                continue
            kind, slot, value, _ = script[step]
            number = len(rows)
            rows.append([liar, kind, columns.PENDING, own_slot if slot is None else slot, value, tick, -1])
            instants.append(-1)
            heapq.heappush(queue, (time + dice.random(), liar, 1, number))
        elif phase in (1, 3):
            row = rows[number]
            lie = script[step][3] if process == liar else None
            did = world.take_effect(row[1], row[3], row[4]) if lie is None else lie(world, own_slot)
            instants[number], order = order, order + 1
            if phase == 3:
                _replace(dice, queue, process, processes + 1 + number, name, held, time)
                continue
            row[2:5] = did
            if process == liar:
                if own_slot is None:
                    own_slot = row[3]
            elif did[0] == columns.OK and row[1] == columns.GRAB:
                held[process].append(row[3])
            heapq.heappush(queue, (time + dice.random(), process, 2, number))
        else:
            rows[number][6] = tick
            if process == liar:
                step += 1
                if step == len(script):
                    continue
            else:
                table_running -= rows[number][1] in TABLE
            heapq.heappush(queue, (time + dice.random(), process, 0, -1))
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 7)
    return SlotHistory(item_num, *table.T.copy(), witness=np.array(instants), inuse=1 if hot else 0)


def _replace(dice, queue, process, new_name, name, held, time):
    name[process], held[process] = new_name, []
    heapq.heappush(queue, (time + dice.random(), process, 0, -1))


def _ask(dice, names, ways, held, item_num, stray, hot, is_quiet):
    kind = columns.KINDS[dice.choices(names, ways)[0]]
    if hot:
        return (columns.PUT if dice.random() < 0.5 else columns.GET), 0, -1
    if is_quiet:
        return ((columns.PUT if dice.random() < 0.5 else columns.GET), dice.choice(held), -1) if held else None
    if kind in (columns.GRAB, columns.COUNT):
        if kind == columns.GRAB and len(held) >= 3:
            return columns.RELEASE, held.pop(dice.randrange(len(held))), -1
        return kind, -1, -1
    if dice.random() < stray:
        return (columns.GET if kind == columns.RELEASE else kind), dice.randrange(item_num), -1
    if not held:
        return columns.GRAB, -1, -1
    if kind == columns.RELEASE:
        return kind, held.pop(dice.randrange(len(held))), -1
    return kind, dice.choice(held), -1


def operation(client, op, begin, end=None, **given):
    """Return an operation of a history; OK if it returned."""
    done = {"client": client, "op": op, **given, "invoke_ns": begin}
    return done if end is None else done | {"status": given.get("status", "OK"), "return_ns": end}


def parsed(command, arguments):
    """Return a command's arguments."""
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return parser.parse_args(arguments)
