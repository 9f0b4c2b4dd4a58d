"""A trace: one run of a configuration, step by step, as JSON that can be stored and run again.

    {"format": "slotmem trace 1",
     "configuration": {"algorithm": "httpd", "processes": 2, "slots": 2, ...},
     "breaks": "held-once",
     "sentence": "processes 1 and 2 were both given slot 0",
     "operations": [{"process": 1, "request": {"op": "grab"},
                     "result": {"status": "APR_SUCCESS", "value": 0}}, ...],
     "interleaving": [{"process": 1, "does": "load inuse[0]"}, {"process": 2, "does": "dies"}, ...]}

- `configuration`: the fields of `slotmem_model.checker.model.Configuration`; one left out has its
  default.
- `operations`: in the order of their first steps. A request is `{"op": "put", "id": 0, "data":
  "0101"}`: bytes are hexadecimal; of a program of one's own, `{"op": "push", "arguments": [1]}`.
  One that never returned has no result.
- `interleaving`: who did which access, in order. Values are not kept: running it finds them again.
- `loop`: of a run without end that breaks a property of progress, the number of the step with which
  its loop begins, counted from 1; one more than there are steps if all wait from there on.
- Processes are numbered from 1.

The window of a stress run is a trace too. Nobody saw its interleaving, which is empty;
`slotmem_model.counterexample.observed` looks for one. It may say

- `time` of an operation: [when it was invoked, when it returned], in any count that is the same for
  all; one that never returned has one number.
- `before`: the states that the operations may have begun in, [{"inuse": [0, 2], "data": {"2":
  "0303"}}, ...]; what a slot that is not listed holds is unknown. Without it, everything is.
- `around`: operations, with their times, that ran then and do not belong to the window; one or two
  of them may have had a part in it.

Interface: `record` makes a trace of a counterexample, `follow` returns its steps on a model,
`dumped` and `load` go to and from JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from slotmem_model.checker.model import Configuration, Model, State, Step, check
from slotmem_model.checker.progress.lasso import PROGRESS
from slotmem_model.checker.properties import faults
from slotmem_model.counterexample import wording
from slotmem_model.json_words import KINDS, shortened
from slotmem_model.spec import As, Operation, Result

FORMAT = "slotmem trace 1"
_ARGUMENTS = {
    "put": ("id", "data"),
    "compare_and_put": ("id", "expected", "data"),
    "get": ("id", "nbytes"),
    "release": ("id",),
    "fgrab": ("id",),
    "tenant": ("id",),
    "reclaim": ("id", "tenant"),
}


class BadTrace(ValueError):
    """What was given is not a trace; the message says where and why."""


class Diverged(Exception):
    """The algorithm does something other than the trace says. outside: what steps there store that
    words do not have in the model, as their faults say.
    """

    def __init__(self, said: str, outside: set[str]) -> None:
        super().__init__(said)
        self.outside = outside


class Done(NamedTuple):
    """An operation of a process, and its result if it returned."""

    process: int
    operation: Operation
    result: Result | None = None
    time: tuple[int, ...] = ()


class Move(NamedTuple):
    """One step of the interleaving."""

    process: int
    does: str


class Before(NamedTuple):
    """A state that a window may have begun in: the slots in use, and what some of them hold."""

    inuse: tuple[int, ...]
    data: tuple[tuple[int, bytes], ...] = ()


class Trace(NamedTuple):
    """See the header. Processes are numbered from 0 here, as in the model."""

    configuration: Configuration
    breaks: str
    sentence: str
    operations: tuple[Done, ...]
    interleaving: tuple[Move, ...]
    before: tuple[Before, ...] = ()
    around: tuple[Done, ...] = ()
    loop: int | None = None
    """The moves from this number on repeat for ever."""


def record(model: Model, broken: str, sentence: str, steps: Sequence[Step], loop: int | None = None) -> Trace:
    """Make a trace of the steps that lead to a violation. loop: see `Trace`."""
    done: list[Done] = []
    open_: dict[int, int] = {}
    moves: list[Move] = []
    state = model.initial
    for step in steps:
        moves.append(Move(step.process, name_of(model, state, step)))
        for kind, process, what in model.events.table[step.event]:
            if kind == "invoke":
                open_[process] = len(done)
                done.append(Done(process, what))
            elif kind == "return":
                assert isinstance(what, Result)
                done[open_[process]] = done[open_[process]]._replace(result=what)
        state = step.state
    return Trace(model.configuration, broken, sentence, tuple(done), tuple(moves), loop=loop)


def name_of(model: Model, state: State, step: Step) -> str:
    """Name what a step from a state does."""
    local = model.processes[step.process].locals[state.locals[step.process]]
    return wording.access(None if step.action is None else local.actions[step.action].access, model.words)


def follow(model: Model, trace: Trace) -> tuple[Step, ...]:
    """Run a trace on a model, and return the steps.

    Raises:
        Diverged: says at which step that fails, and what could be done instead.
    """
    steps: list[Step] = []
    state = model.initial
    for number, move in enumerate(trace.interleaving, 1):
        possible = {
            name_of(model, state, step): step for step in model.successors(state) if step.process == move.process
        }
        if move.does not in possible:
            # Dying is always on offer where crashes are: it says nothing about the algorithm.
            instead = wording.listed([repr(name) for name in possible if name != "dies"], "or")
            raise Diverged(
                f"step {number}: the trace says that {wording.process(move.process)} does {move.does!r}, "
                f"but here {f'it would do {instead}' if instead else 'it can do nothing'}",
                faults(model, state).union(*(faults(model, step.state) for step in possible.values())),
            )
        steps.append(possible[move.does])
        state = steps[-1].state
    return tuple(steps)


def dumped(trace: Trace) -> str:
    """Return the JSON of a trace."""
    given: dict[str, Any] = {
        "format": FORMAT,
        "configuration": asdict(trace.configuration),
        "breaks": trace.breaks,
        "sentence": trace.sentence,
        "operations": [_dumped(done, of_slots=bool(trace.configuration.slots)) for done in trace.operations],
        "interleaving": [{"process": move.process + 1, "does": move.does} for move in trace.interleaving],
    }
    if trace.loop is not None:
        given["loop"] = trace.loop + 1
    if trace.before:
        given["before"] = [
            {"inuse": list(state.inuse), "data": {str(slot): data.hex() for slot, data in state.data}}
            for state in trace.before
        ]
    if trace.around:
        given["around"] = [_dumped(done) for done in trace.around]
    return "{" + ",".join(f"\n {json.dumps(key)}: {_folded(value)}" for key, value in given.items()) + "\n}\n"


def _dumped(done: Done, *, of_slots: bool = True) -> dict[str, Any]:
    given = {"process": done.process + 1, "request": request(done.operation, of_slots=of_slots)}
    given |= {} if done.result is None else {"result": answer(done.result, of_slots=of_slots)}
    return given | ({"time": list(done.time)} if done.time else {})


def _folded(value: Any) -> str:
    """Return JSON with one line for each item of a list."""
    if not isinstance(value, list) or not value:
        return json.dumps(value)
    return "[" + ",".join(f"\n  {json.dumps(item)}" for item in value) + "]"


def request(operation: Operation, *, of_slots: bool = True) -> dict[str, Any]:
    """Return an operation as a request object: {"op": "put", "id": 0, "data": "0101"}; of a program
    {"op": "push", "arguments": [1]}.
    """
    name, *arguments = (part for part in operation if not isinstance(part, As))  # the process stands beside it
    if not of_slots:
        return {"op": name, "arguments": [_plain(each) for each in arguments]}
    named = zip(_ARGUMENTS.get(name, ()), arguments, strict=False)  # a length may be left out
    return {"op": name} | {key: value.hex() if isinstance(value, bytes) else value for key, value in named}


def _plain(value: Any) -> Any:
    """Return a value of a program as JSON has it: what JSON does not have, as Python writes it."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | str) else repr(value)


def answer(result: Result, *, of_slots: bool = True) -> dict[str, Any]:
    """Return a result as an object: {"status": "APR_SUCCESS", "value": 0}; bytes are "data" in
    hexadecimal.
    """
    if not of_slots:
        return {"status": result.status, "value": _plain(result.value)}
    if isinstance(result.value, bytes):
        return {"status": result.status, "data": result.value.hex()}
    return {"status": result.status} | ({} if result.value is None else {"value": result.value})


def load(text: str) -> Trace:
    """Read a trace.

    Raises:
        BadTrace
    """
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadTrace(f"it is not JSON: {error}") from None
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        is_missing = isinstance(given, dict) and "format" not in given
        got = "missing" if is_missing else shortened(given["format"] if isinstance(given, dict) else given)
        raise BadTrace(f"its format is {got}; expected an object with the format {shortened(FORMAT)}")
    configuration = _configuration(_get(given, "configuration", dict, "the trace"))
    done = tuple(_done(each, f"operation {number}") for number, each in _items(given, "operations"))
    moves: list[Move] = []
    for number, each in _items(given, "interleaving"):
        where = f"step {number}"
        moves.append(Move(_process(each, where, configuration.processes), _get(each, "does", str, where)))
    return Trace(
        configuration,
        _get(given, "breaks", str, "the trace"),
        _get(given, "sentence", str, "the trace"),
        done,
        tuple(moves),
        tuple(_before(each) for _, each in _items(given, "before")) if "before" in given else (),
        tuple(_done(each, f"operation {number} of around") for number, each in _items(given, "around"))
        if "around" in given
        else (),
        _loop(given, len(moves)) if "loop" in given else None,
    )


def _loop(given: dict[str, Any], moves: int) -> int:
    number: int = _get(given, "loop", int, "the trace")
    if not 1 <= number <= moves + 1:
        raise BadTrace(f"its loop begins at step {number}; expected 1 to {moves + 1}: it has {moves} steps")
    if given["breaks"] not in PROGRESS:
        raise BadTrace(f"it has a loop, and breaks {shortened(given['breaks'])}; expected one of {', '.join(PROGRESS)}")
    return number - 1


def _configuration(given: dict[str, Any]) -> Configuration:
    known = {field.name: field.default for field in fields(Configuration)}
    for name, value in given.items():
        if name not in known:
            raise BadTrace(f"its configuration has {name!r}, which is not one of {', '.join(known)}")
        if name == "clients":
            is_right = isinstance(value, list) and all(isinstance(each, str) for each in value)
        else:
            is_right = (type(value) is int or value is None) if name == "stripes" else type(value) is type(known[name])
        if not is_right:
            raise BadTrace(
                f"its configuration has {shortened(value)} as {name}; expected such as {shortened(known[name])}"
            )
    configuration = Configuration(**{**given, **({"clients": tuple(given["clients"])} if "clients" in given else {})})
    try:
        check(configuration)
    except ValueError as error:
        raise BadTrace(str(error)) from None
    return configuration


def _items(given: dict[str, Any], key: str) -> list[tuple[int, Any]]:
    return list(enumerate(_get(given, key, list, "the trace"), 1))


def _done(given: Any, where: str) -> Done:
    asked = _get(given, "request", dict, where)
    name = _get(asked, "op", str, where)
    given_as = _get(asked, "arguments", list, where) if "arguments" in asked else []
    arguments = [
        _data(asked, where, key) if key in ("data", "expected") else _get(asked, key, int, where)
        for key in (() if "arguments" in asked else _ARGUMENTS.get(name, ()))
        if key != "nbytes" or key in asked
    ]
    operation = (name, *arguments, *given_as)
    time = _numbers(given, "time", where) if "time" in given else ()
    if time and len(time) != 1 + ("result" in given):
        raise BadTrace(
            f"{where} has {list(time)} as time; expected when it was invoked, and when it returned if it did"
        )
    if "result" not in given:
        return Done(_process(given, where), operation, None, time)
    answered = _get(given, "result", dict, where)
    value = _data(answered, where) if "data" in answered else answered.get("value")
    value = tuple(value) if isinstance(value, list) else value
    return Done(_process(given, where), operation, Result(_get(answered, "status", str, where), value), time)


def _before(given: Any) -> Before:
    where = "a state in before"
    data = _get(given, "data", dict, where)
    slots = [slot for slot in data if not slot.isdecimal()]
    if slots:
        raise BadTrace(f"{where} has data of {slots[0]!r}; expected numbers of slots")
    return Before(_numbers(given, "inuse", where), tuple((int(slot), _data(data, where, slot)) for slot in data))


def _numbers(given: dict[str, Any], key: str, where: str) -> tuple[int, ...]:
    numbers = _get(given, key, list, where)
    if not all(type(number) is int for number in numbers):
        raise BadTrace(f"{where} has {shortened(numbers)} as {key}; expected a list of numbers")
    return tuple(numbers)


def _data(given: dict[str, Any], where: str, key: str = "data") -> bytes:
    text = _get(given, key, str, where)
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise BadTrace(f"{where} has {shortened(text)} as data; expected hexadecimal digits, two a byte") from None


def _process(given: Any, where: str, most: int | None = None) -> int:
    number: int = _get(given, "process", int, where)
    if number < 1 or (most is not None and number > most):
        raise BadTrace(f"{where} names process {number}; expected 1 to {most or 'the number in the configuration'}")
    return number - 1


def _get(given: Any, key: str, kind: type, where: str) -> Any:
    if not isinstance(given, dict) or key not in given or type(given[key]) is not kind:
        missing = isinstance(given, dict) and key not in given
        got = "none" if missing else shortened(given[key] if isinstance(given, dict) else given)
        raise BadTrace(f"{where} needs {key!r}, {KINDS[kind]}; got {got}")
    return given[key]
