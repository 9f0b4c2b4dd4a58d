"""Run an operation of the specification on a real instance, and name the clause that it breaks.

Interface:

- `perform(instance, operation)` does what `slotmem_model.spec.step` does, for real, and answers
  alike.
- `Pair` is an instance beside its specification: `Pair.do(operation)` does it on both and raises
  `Difference` if their answers differ.
- A `Difference` names the clause and prints the program so far, one operation a line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis.configuration import set_hypothesis_home_dir

from slotmem import Instance, SlotmemError
from slotmem_model import spec
from slotmem_model.spec import EINVAL, NOTFOUND, SUCCESS, Operation, Result, Slots

# What an operation shows, by the status that the specification expects of it.
_CLAUSES: dict[tuple[str, str], str] = {
    ("grab", SUCCESS): "GRAB-1",
    ("grab", EINVAL): "GRAB-4",
    ("fgrab", SUCCESS): "FGRAB-1",
    ("release", SUCCESS): "RELEASE-1",
    ("release", NOTFOUND): "RELEASE-3",
    ("get", SUCCESS): "GET-1",
    ("get", NOTFOUND): "GET-2",
    ("put", SUCCESS): "PUT-1",
    ("put", NOTFOUND): "PUT-2",
    ("num_free_slots", SUCCESS): "COUNT-2",
    ("num_slots", SUCCESS): "COUNT-1",
    ("slot_size", SUCCESS): "COUNT-1",
    ("slots", SUCCESS): "COUNT-2",
    ("doall", SUCCESS): "DOALL-2",
}

# What fgrab of a slot in use shows, and get and put of a free one without PREGRAB.
_SPECIAL = {"fgrab": "FGRAB-2", "get": "GET-4", "put": "PUT-4"}
_FAR = 2**20
"""An id of this size is far out of range (ID-3)."""

# What a wrong byte, or a wrong in-use flag, breaks, by the operation after which it was seen.
_CONTENTS = {"create": "CREATE-2", "grab": "GRAB-3", "release": "RELEASE-2", "put": "PUT-3"}
_MARKS = {
    "create": "CREATE-2",
    "grab": "GRAB-1",
    "fgrab": "FGRAB-1",
    "release": "RELEASE-1",
    "get": "GET-4",
    "put": "PUT-4",
}


@contextmanager
def hypothesis_in(folder: str) -> Iterator[None]:
    """Let Hypothesis keep its files in a folder, instead of where the user happens to be."""
    set_hypothesis_home_dir(os.path.join(folder, "hypothesis"))
    try:
        yield
    finally:
        set_hypothesis_home_dir(None)


class OutOfTime(BaseException):
    """The time for a search is used up.

    Not an Exception, so that Hypothesis does not take it for a failure.
    """


class Difference(AssertionError):
    """An implementation and the specification answered differently."""


def perform(instance: Instance, operation: Operation) -> Result:
    """Do an operation on a real instance; an error's status is an answer like any other."""
    name, *arguments = operation
    try:
        if name == "doall":
            return Result(SUCCESS, _walk(instance, *arguments))
        if name == "slots":
            return Result(SUCCESS, tuple(instance.slots()))
        return Result(SUCCESS, getattr(instance, name)(*arguments))
    except SlotmemError as error:
        return Result(error.status.name)


def clause_of(state: Slots, operation: Operation, expected: Result) -> str:
    """Return the id of the clause that asks for this answer."""
    name, *arguments = operation
    if expected.status == EINVAL and arguments:
        if not spec.is_slot(state, arguments[0]):
            return "ID-1" if 0 <= arguments[0] < _FAR else "ID-3"
        return "GET-5" if name == "get" else "PUT-5"
    if name == "doall" and all(state.inuse):
        return "DOALL-3" if arguments and any(arguments[0]) else "DOALL-1"
    if name == "grab" and state.inuse.count(False) > 1:
        return "GRAB-2"
    if expected.status == SUCCESS and name in _SPECIAL and state.inuse[arguments[0]] == (name == "fgrab"):
        return _SPECIAL[name]
    return _CLAUSES[name, expected.status]


class Pair:
    """An instance beside the state that the specification gives it."""

    def __init__(self, instance: Instance, state: Slots) -> None:
        self.instance = instance
        self.state = state
        self.program: list[Operation] = []

    def do(self, operation: Operation) -> Result:
        """Do an operation on both.

        Raises:
            Difference
        """
        before = self.state
        self.program.append(operation)
        self.state, expected = spec.step(before, operation)
        got = perform(self.instance, operation)
        if got != expected:
            self._differ(clause_of(before, operation, expected), f"{operation} gave {got}, must give {expected}")
        return got

    def look(self) -> None:
        """Compare everything that can be seen, without changing anything.

        Raises:
            Difference
        """
        last = self.program[-1][0] if self.program else "create"
        for item_id, data in enumerate(self.state.data):
            if (got_bytes := bytes(self.instance.dptr(item_id))) != data:
                clause = _CONTENTS.get(last, "DPTR-1")
                self._differ(clause, f"then slot {item_id} holds {got_bytes!r}, not {data!r}")
        for operation, clause in ((("slots",), _MARKS.get(last, "COUNT-2")), (("num_free_slots",), "COUNT-2")):
            _, expected = spec.step(self.state, operation)
            if (got := perform(self.instance, operation)) != expected:
                self._differ(clause, f"then {operation} gives {got}, not {expected}")

    def _differ(self, clause: str, what: str) -> None:
        shape = f"item_size {self.state.item_size}, item_num {len(self.state.inuse)}, pregrab {self.state.pregrab}"
        lines = "\n".join(f"  {operation}" for operation in self.program)
        raise Difference(f"clause {clause}: {what}\nthe program ({shape}):\n{lines}")


def _walk(instance: Instance, answers: tuple[int, ...] = ()) -> Any:
    seen: list[bytes] = []

    def callback(memory: memoryview, data: list[bytes]) -> int:
        data.append(bytes(memory))
        return answers[len(data) - 1] if len(data) <= len(answers) else 0

    return instance.doall(callback, seen), tuple(seen)
