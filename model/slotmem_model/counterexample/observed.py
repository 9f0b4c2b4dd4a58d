"""The questions that a window of a recorded history asks the model: can it do what was observed?

Interface:

- `questions(trace, algorithm)` yields a `Question` for each state that the operations may have
  begun in.
- `is_explained(question)` tells whether the specification allows that: then it says nothing about
  an algorithm.

A trace says which process did what, what it was told, and perhaps when. Nobody saw the single
steps. The model keeps as little of it as it can:

- Slots that no operation names are left out: those in use change nothing. Where grabs ran, as many
  of the lowest free ones stay as there are grabs.
- Values are numbered; all that counts is which are equal.
- An operation that had returned when another one was invoked comes before it. One that never
  returned may have done any part of its work.
- The state at the start is made by one more process, the last, which ends before any other begins.
  Where the trace does not say what it was, every state is tried: each slot free or in use, and with
  any value that a get of it returned.

A window may lack an operation that had its part in it: for the judge it is enough that the others
contradict one another. So a trace may list what else ran at the time; `variants(trace)` yields the
window alone, with one of these, with two.

`slotmem_model.counterexample.observed_search` looks for the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

from slotmem_model import spec
from slotmem_model.automata import client
from slotmem_model.automata.client import ARGUMENTS
from slotmem_model.checker.model import Configuration
from slotmem_model.counterexample.trace import BadTrace, Done, Trace
from slotmem_model.spec import Result

MOST_OPERATIONS = 40


class Asked(NamedTuple):
    """An operation of the model, and what it must return; None: anything, or never."""

    text: str
    result: Result | None
    after: tuple[tuple[int, int], ...]
    """(process, how many of its operations must have returned before this one begins)."""


class Question(NamedTuple):
    """A configuration, and what each process was told.

    `setting` describes what the processes find.
    """

    configuration: Configuration
    asked: tuple[tuple[Asked, ...], ...]
    setting: str


def questions(trace: Trace, algorithm: str) -> Iterator[Question]:
    """Yield the questions, the simplest states first.

    Raises:
        BadTrace: for what the model cannot do.
    """
    _check(trace)
    if not trace.before:
        counts = any(done.operation[0] == "num_free_slots" for done in trace.operations)
        named = _named(trace)
        kept = list(range(trace.configuration.slots)) if counts else named
        yield from _from(trace, algorithm, kept, [(False, True)] * len(kept), {}, 0)
    seen: set[Question] = set()
    for before in trace.before:
        grabs = sum(done.operation[0] == "grab" for done in trace.operations)
        named = _named(trace)
        free = [slot for slot in range(trace.configuration.slots) if slot not in (*named, *before.inuse)]
        kept = sorted([*named, *free[:grabs]])
        used = [(slot in before.inuse,) for slot in kept]
        for question in _from(trace, algorithm, kept, used, dict(before.data), len(free) - len(free[:grabs])):
            if question not in seen:
                seen.add(question)
                yield question


def variants(trace: Trace) -> Iterator[Trace]:
    """Yield the trace with none, with one, and with two of the operations that ran around the
    window.
    """
    for many in range(3):
        for chosen in combinations(trace.around, many):
            together = [*trace.operations, *chosen]
            yield trace._replace(operations=tuple(sorted(together, key=lambda done: done.time) if chosen else together))


def _check(trace: Trace) -> None:
    """Refuse what the model cannot do.

    Raises:
        BadTrace
    """
    if not 0 < len(trace.operations) <= MOST_OPERATIONS:
        raise BadTrace(f"it has {len(trace.operations)} operations; from 1 to {MOST_OPERATIONS} can be explained")
    slots, size = trace.configuration.slots, trace.configuration.slot_bytes
    for slot, data in (each for state in trace.before for each in state.data):
        if not 0 <= slot < slots or len(data) != size or len(set(data)) != 1:
            raise BadTrace(f"before has {data.hex()!r} in slot {slot}; expected {size} equal bytes in 0 to {slots - 1}")
    for number, done in enumerate(trace.operations, 1):
        name, *arguments = done.operation
        if name not in ARGUMENTS or name == "slots":
            raise BadTrace(f"operation {number} is {name!r}, which cannot be explained")
        named = [*arguments[:1], *([done.result.value] if name == "grab" and done.result else [])]
        if not all(slot is None or (type(slot) is int and 0 <= slot < slots) for slot in named):
            raise BadTrace(f"operation {number} names slot {named[0]!r}; the configuration has {slots} slots")
        told: object = arguments[1] if name == "put" else done.result.value if name == "get" and done.result else None
        if told is not None and (not isinstance(told, bytes) or len(told) != size):
            raise BadTrace(f"operation {number} has data of another length; expected {size} bytes")
        if name == "put" and len(set(arguments[1])) != 1:
            raise BadTrace(f"operation {number} puts {arguments[1].hex()}; a put fills its slot with one byte")


def _named(trace: Trace) -> list[int]:
    """Return the slots that operations name."""
    given = [done.operation[1] for done in trace.operations if len(done.operation) > 1]
    got = [done.result.value for done in trace.operations if done.operation[0] == "grab" and done.result]
    return sorted({slot for slot in given + got if slot is not None}) or [0]


def _from(
    trace: Trace,
    algorithm: str,
    kept: list[int],
    used: Sequence[tuple[bool, ...]],
    data: dict[int, bytes],
    free_elsewhere: int,
) -> Iterator[Question]:
    """Yield the questions for every choice of which slots are in use and what they hold, as far as
    that is unknown.
    """
    numbers = {0: 0}
    for done in trace.operations:
        for part in (*done.operation[2:], done.result.value if done.result else None):
            for byte in part if isinstance(part, bytes) else b"":
                numbers.setdefault(byte, len(numbers))
    contents = []
    for slot in kept:
        # A value that nobody ever gets is as good as 0.
        got = {
            byte
            for done in trace.operations
            if done.operation[:2] == ("get", slot) and done.result and isinstance(done.result.value, bytes)
            for byte in done.result.value
        }
        known = data.get(slot)
        contents.append(sorted({0, *got}) if known is None else [known[0] if known[0] in got else 0])
    states = product(product(*used), product(*contents))
    for inuse, values in sorted(states, key=lambda state: (sum(map(bool, state[1])), sum(state[0]))):
        yield _question(trace, algorithm, kept, inuse, [numbers[value] for value in values], numbers, free_elsewhere)


def _question(
    trace: Trace,
    algorithm: str,
    kept: list[int],
    inuse: tuple[bool, ...],
    values: list[int],
    numbers: dict[int, int],
    free_elsewhere: int,
) -> Question:
    setting: list[str] = []
    for at, (is_used, value) in enumerate(zip(inuse, values, strict=True)):
        setting += [f"fgrab({at})"] if is_used or value else []
        setting += [f"put({at}, {value})"] if value else []
        setting += [f"release({at})"] if value and not is_used else []
    lanes = _lanes(trace.operations)
    place = {number: (lane, at) for lane, mine in enumerate(lanes) for at, number in enumerate(mine)}
    asked = []
    for lane, mine in enumerate(lanes):
        told = []
        for at, number in enumerate(mine):
            done = trace.operations[number]
            before = {
                place[other] for other in range(len(trace.operations)) if _is_before(trace.operations, other, number)
            }
            after = [(other, count + 1) for other, count in before if other != lane]
            after += [(len(lanes), len(setting))] * (at == 0 and bool(setting))
            told.append(_asked(done, kept, numbers, free_elsewhere, tuple(sorted(after))))
        asked.append(tuple(told))
    if setting:
        asked.append(tuple(Asked(text, Result(spec.SUCCESS), ()) for text in setting))
    configuration = Configuration(
        algorithm,
        processes=len(asked),
        slots=len(kept),
        clients=tuple("; ".join(each.text for each in lane) for lane in asked),
        crashes=sum(lane[-1].result is None for lane in asked),
        memory=trace.configuration.memory,
        slot_bytes=trace.configuration.slot_bytes,
        linearizable=False,
    )
    return Question(configuration, tuple(asked), _in_words(kept, inuse, values, numbers))


def _lanes(operations: Sequence[Done]) -> list[list[int]]:
    """Return the operations of each process.

    In the model a process ends with a torn get: what comes later has its own lane.
    """
    lanes: dict[int, list[list[int]]] = {}
    for number, done in enumerate(operations):
        mine = lanes.setdefault(done.process, [[]])
        mine[-1].append(number)
        if done.result and isinstance(done.result.value, bytes) and len(set(done.result.value)) > 1:
            mine.append([])
    first = [mine[0] for _, mine in sorted(lanes.items())]
    return first + [lane for _, mine in sorted(lanes.items()) for lane in mine[1:] if lane]


def _is_before(operations: Sequence[Done], one: int, other: int) -> bool:
    """Return whether the trace says that an operation had returned when another was invoked."""
    first, second = operations[one], operations[other]
    if first.result is None:
        return False
    if first.process == second.process:
        return one < other
    return bool(first.time and second.time) and first.time[1] < second.time[0]


def _asked(
    done: Done, kept: list[int], numbers: dict[int, int], free_elsewhere: int, after: tuple[tuple[int, int], ...]
) -> Asked:
    """Translate an operation into small numbers."""
    name, *arguments = done.operation
    small = [str(kept.index(slot)) for slot in arguments[:1]] + [str(numbers[data[0]]) for data in arguments[1:]]
    text = f"{name}({', '.join(small)})" if small else name
    if done.result is None:
        return Asked(text, None, after)
    value = done.result.value
    if isinstance(value, bytes):
        value = bytes(numbers[byte] for byte in value)
    elif value is not None:
        value = kept.index(value) if name == "grab" else value - free_elsewhere
    return Asked(text, Result(done.result.status, value), after)


def _in_words(kept: list[int], inuse: tuple[bool, ...], values: list[int], numbers: dict[int, int]) -> str:
    """Describe what the operations find, and which numbers stand for which values."""
    said = [
        f"slot {slot}{f' ({at} here)' if slot != at else ''} {'in use' if inuse[at] else 'free'}"
        + (f" with value {values[at]}" if values[at] else "")
        for at, slot in enumerate(kept)
    ]
    renamed = ", ".join(f"{small} for {byte:02x}" for byte, small in numbers.items() if byte != small)
    return ", ".join(said) + (f"; values: {renamed}" if renamed else "")


def is_explained(question: Question) -> bool:
    """Return whether the specification can give these results, in some order that keeps what came
    before what.
    """
    configuration = question.configuration
    operations = [
        [
            client.bind(statement, {}, lane, configuration.slot_bytes)
            for statement in client.parse(text, configuration.slots)
        ]
        for lane, text in enumerate(configuration.clients)
    ]
    waiting = [(spec.fresh(configuration.slot_bytes, configuration.slots, pregrab=True), (0,) * len(question.asked))]
    seen = set(waiting)
    while waiting:
        state, done = waiting.pop()
        left = [lane[count:] for lane, count in zip(question.asked, done, strict=True)]
        if all(each.result is None for lane in left for each in lane):
            return True
        for process, lane in enumerate(left):
            operation = operations[process][done[process]] if lane else None
            if operation is None or any(done[other] < least for other, least in lane[0].after):
                continue
            after, result = spec.step(state, operation)
            following = (after, (*done[:process], done[process] + 1, *done[process + 1 :]))
            if lane[0].result in (None, result) and following not in seen:
                seen.add(following)
                waiting.append(following)
    return False
