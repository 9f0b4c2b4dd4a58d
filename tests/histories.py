"""Histories of slots with known answers: linearizable by construction, or with one fault put in.

Each process invokes an operation, it takes effect on the specification at an instant that the dice choose, and returns. A crashed process
stops before or after that instant, and another one with a new name goes on in its place.
"""

import heapq
import random

import numpy as np

from slotmem_model import slot_history as columns
from slotmem_model import spec
from slotmem_model.events import Crash, Invoke, Return
from slotmem_model.slot_history import SlotHistory

MIX = {"grab": 2, "put": 3, "get": 3, "release": 2, "num_free_slots": 1, "fgrab": 0.3}


def make_events(dice, *, processes, item_num, operations, values=None, crashes=0.0, item_size=2, mix=MIX, stop=0.0):
    """Give the events of a linearizable history; `values` is the number of different ones, None for one of its own each put."""
    state = spec.fresh(item_size, item_num, True)
    names = list(range(processes))
    running = [None] * processes  # [operation, result or None]
    events, started, fresh_name = [], 0, processes
    while True:
        at = dice.randrange(processes)
        if running[at] is None:
            if started == operations:
                if all(call is None for call in running) or dice.random() < stop:
                    return events
                continue
            operation = _choose(dice, mix, item_num, item_size, values, started)
            started += 1
            running[at] = [operation, None]
            events.append(Invoke(names[at], operation))
            continue
        if dice.random() < crashes:
            events.append(Crash(names[at]))
            names[at], running[at] = fresh_name, None
            fresh_name += 1
        elif running[at][1] is None:
            state, running[at][1] = spec.step(state, running[at][0])
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
    """Give the events with one result replaced by another of the same operation; it may still be linearizable."""
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
    overlap=1.0,
):
    """Give a large linearizable history in columns, with its witness.

    A process grabs slots and works on them; with probability `stray` an operation goes to any slot. With `hot` there is one slot only that
    matters, and all put and get there. `crashed` operations never return; half of them take effect. `overlap` stretches the operations.
    """
    dice = random.Random(seed)
    state, mask, full = [0] * item_num, 0, (1 << item_num) - 1
    if hot:
        mask = 1
    start_mask = mask
    weights = weights or {"grab": 1, "put": 3, "get": 3, "release": 1}
    names, ways = list(weights), list(weights.values())
    last_crash = set(dice.sample(range(operations), crashed))
    held = [[] for _ in range(processes)]
    name = list(range(processes))
    rows, instants = [], []
    queue = [(dice.random(), process, 0, -1) for process in range(processes)]
    heapq.heapify(queue)
    tick, order = 0, 0
    while queue:
        time, process, phase, number = heapq.heappop(queue)
        tick += 1
        if phase == 0:
            if len(rows) == operations:
                continue
            kind, slot, value = _ask(dice, names, ways, held[process], item_num, stray, hot)
            number = len(rows)
            if kind == columns.PUT:
                value = number + 1 if values is None else 1 + dice.randrange(values)
            rows.append([name[process], kind, columns.PENDING, slot, value, tick, -1])
            instants.append(-1)
            if number in last_crash:
                if dice.random() < 0.5:
                    heapq.heappush(queue, (time + dice.random() * overlap, process, 3, number))
                else:
                    _replace(dice, queue, process, processes + number, name, held, time)
                continue
            heapq.heappush(queue, (time + dice.random() * overlap, process, 1, number))
        elif phase in (1, 3):
            row = rows[number]
            mask, outcome = _take_effect(row, state, mask, full, item_num)
            instants[number], order = order, order + 1
            if phase == 3:
                if row[1] == columns.GRAB:
                    row[3] = -1
                elif row[1] in (columns.GET, columns.COUNT):
                    row[4] = -1
                _replace(dice, queue, process, processes + number, name, held, time)
                continue
            row[2] = outcome
            if outcome == columns.OK and row[1] == columns.GRAB:
                held[process].append(row[3])
            heapq.heappush(queue, (time + dice.random() * overlap, process, 2, number))
        else:
            rows[number][6] = tick
            heapq.heappush(queue, (time + dice.random(), process, 0, -1))
    table = np.array(rows, dtype=np.int64).reshape(len(rows), 7)
    return SlotHistory(item_num, *table.T.copy(), witness=np.array(instants), inuse=start_mask)


def _replace(dice, queue, process, new_name, name, held, time):
    name[process], held[process] = new_name, []
    heapq.heappush(queue, (time + dice.random(), process, 0, -1))


def _ask(dice, names, ways, held, item_num, stray, hot):
    kind = columns.KINDS[dice.choices(names, ways)[0]]
    if hot:
        return (columns.PUT if dice.random() < 0.5 else columns.GET), 0, -1
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


def _take_effect(row, state, mask, full, item_num):
    kind, slot = row[1], row[3]
    if kind == columns.GRAB:
        lowest = ~mask & (mask + 1) & full
        if not lowest:
            return mask, columns.EINVAL
        row[3] = lowest.bit_length() - 1
        return mask | lowest, columns.OK
    if kind == columns.COUNT:
        row[4] = item_num - mask.bit_count()
        return mask, columns.OK
    if kind == columns.FGRAB:
        return mask | 1 << slot, columns.OK
    if not mask >> slot & 1:
        return mask, columns.NOTFOUND
    if kind == columns.RELEASE:
        return mask & ~(1 << slot), columns.OK
    if kind == columns.GET:
        row[4] = state[slot]
    else:
        state[slot] = row[4]
    return mask, columns.OK
