"""The properties: what must always hold, and what must sometimes happen for that to mean anything.

Interface:

- `ALWAYS` and `SOMETIMES` describe them in one sentence each.
- `PropertyCheck(model)` says which property a state breaks; the state in which one breaks is not
  explored further.
- `Seen` collects what has happened somewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from slotmem_model.automata.client import Statement
from slotmem_model.automata.shared_words import DEAD, LOST
from slotmem_model.checker.model import Model, State
from slotmem_model.programs.kind import ProgramKind
from slotmem_model.spec import EINVAL, Slots

ALWAYS = {
    "linearizable": "what the operations returned can be explained by the specification in some order (ATOMIC-1)",
    "held-once": "no slot is given to a process while another holds it (ATOMIC-2)",
    "nothing-torn": "no get returns parts of two puts (ATOMIC-3)",
    "nothing-raised": "no operation ends with an exception, other than for one of APR's errors",
    "counter": "num_free is the number of free slots whenever nobody is inside an operation (KILL-4)",
    "memory": "in-use flags and slot bytes are the specification's whenever nobody is inside an operation (KILL-2)",
    "no-deadlock": "some process can go on until all are done: no lock stays with the dead (KILL-3)",
    "invariant": "each invariant of a program holds in every state",
    "final": "what a program says of its end holds when all processes are done",
}
OF_SLOTS = frozenset({"held-once", "nothing-torn", "counter", "memory"})
"""Properties that only slots have."""
OF_PROGRAMS = frozenset({"invariant", "final"})
"""Properties that only a class of one's own may have."""
SOMETIMES = {
    "two-inside": "two processes are inside operations at once",
    "full": "a grab finds every slot in use",
    "waited": "a process finds a lock taken",
    "crash": "a process dies inside each of the operations",
    "sometimes": "what a program says must happen somewhere",
}
OUTSIDE = "outside"
"""Not a property: a word got a value that the model does not have, so nothing more can be said."""


@dataclass
class Seen:
    """What happened somewhere in the exploration."""

    two_inside: bool = False
    full: bool = False
    waited: bool = False
    crashed_in: set[str] = field(default_factory=set)
    met: set[str] = field(default_factory=set)
    """The `sometimes` methods of a program that held."""

    def happened(self, name: str) -> bool:
        """Return whether something of `Put.sometimes` has happened."""
        kind, _, what = name.partition(" ")
        if kind == "crash":
            return what.removeprefix("in ") in self.crashed_in
        return what in self.met if kind == "sometimes" else bool(getattr(self, name.replace("-", "_")))


class Put(NamedTuple):
    """What is put to a model: the properties asked, and what must happen somewhere."""

    properties: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()
    """What was cut short."""


def put_to(model: Model) -> Put:
    """Return what is put to a model."""
    kind, configuration = model.kind, model.configuration
    left = set() if configuration.linearizable else {"linearizable", "memory"}
    sometimes = ["two-inside", "full", "waited"]
    if isinstance(kind, ProgramKind):
        left |= {*OF_SLOTS, *(role for role in OF_PROGRAMS if not kind.has(role))}
        sometimes = ["two-inside"] if configuration.processes > 1 else []
        sometimes += [f"sometimes {name}" for name in kind.has("sometimes")]
    else:
        left |= OF_PROGRAMS
        if not is_owned(model.clients):  # then nobody holds anything, and held-once says nothing
            left |= {"held-once"}
    if configuration.crashes:
        names = dict.fromkeys(statement.name for statements in model.clients for statement in statements)
        sometimes += [f"crash in {name}" for name in names]
    bounds = dict.fromkeys(bound for automaton in model.processes for bound in automaton.bounds)
    return Put(tuple(name for name in ALWAYS if name not in left), tuple(sometimes), tuple(bounds))


class PropertyCheck:
    """Judge states of one model: what every kind of program has in common."""

    held_once = False
    """Whether slots that processes hold are compared."""
    everywhere = False
    """Whether memory is judged in every state, not only where nobody is inside an operation."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.met: set[str] = set()
        """Like `Seen.met`."""

    def violated(self, state: State, *, can_go_on: bool) -> str:
        """Return the property that a state breaks, or the empty string. can_go_on: whether some
        process can do a step.
        """
        locals_ = [
            automaton.locals[number] for automaton, number in zip(self.model.processes, state.locals, strict=True)
        ]
        for local in locals_:
            if local.fault:
                return fault_property(local.fault)
        if self.held_once:
            held = 0
            for local in locals_:
                if held & local.holds:
                    return "held-once"
                held |= local.holds
        if state.monitor == 0:
            return "linearizable"
        is_quiet = not any(local.inside for local in locals_)
        if is_quiet or self.everywhere:
            is_over = all(local.end and local.end != "draining" for local in locals_)
            broken = self.memory(state.words, state.monitor, quiet=is_quiet, over=is_over)
            if broken:
                return broken
        if not can_go_on and any(not local.end or local.end == "draining" for local in locals_):
            return "no-deadlock"
        return ""

    def memory(self, words: tuple[int, ...], monitor: int, *, quiet: bool, over: bool) -> str:
        """Return the property that memory breaks, or the empty string. quiet: nobody is inside an
        operation; over: all processes are done or dead.
        """
        raise NotImplementedError


class SlotsCheck(PropertyCheck):
    """Judge states of a model of slots."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.held_once = is_owned(model.clients)
        """Whether clients release only what they were given; only then are holders compared."""
        self._allowed: dict[int, frozenset[tuple[tuple[bool, ...], tuple[bytes, ...]]]] = {}

    def memory(self, words: tuple[int, ...], monitor: int, *, quiet: bool, over: bool) -> str:
        """Judge the counter, the in-use flags and the slots' bytes when nobody is inside an
        operation. While a lock waits for the repair after a death, or after an exception, memory is
        not judged.
        """
        del quiet, over
        map_ = self.model.map
        if any(words[mark] for mark in map_.marks) or any(
            map_.words[mutex].values[words[mutex]] in (DEAD, LOST) for mutex in map_.mutexes
        ):
            return ""
        inuse = tuple(words[word] == 1 for word in map_.inuse)
        if map_.words[map_.num_free].values[words[map_.num_free]] != inuse.count(False):
            return "counter"
        if self.model.monitor and (inuse, self.bytes_of(self.model, words)) not in self._states(monitor):
            return "memory"
        return ""

    @staticmethod
    def bytes_of(model: Model, words: tuple[int, ...]) -> tuple[bytes, ...]:
        """Return the contents of each slot."""
        return tuple(bytes(words[word] for word in slot) for slot in model.map.slot_bytes)

    def _states(self, monitor: int) -> frozenset[tuple[tuple[bool, ...], tuple[bytes, ...]]]:
        if monitor not in self._allowed:
            assert self.model.monitor
            states: frozenset[Slots] = self.model.monitor.states(monitor)
            self._allowed[monitor] = frozenset((state.inuse, state.data) for state in states)
        return self._allowed[monitor]


class ProgramCheck(PropertyCheck):
    """Judge states of a program: its invariants everywhere, what must hold at the end there."""

    everywhere = True

    def __init__(self, model: Model, kind: ProgramKind) -> None:
        super().__init__(model)
        self.kind = kind

    def memory(self, words: tuple[int, ...], monitor: int, *, quiet: bool, over: bool) -> str:
        """Return `invariant` or `final` if a method says that it does not hold."""
        del monitor, quiet
        self.met |= self.kind.met(words)
        if self.kind.failing("invariant", words):
            return "invariant"
        return "final" if over and self.kind.failing("final", words) else ""


def property_check(model: Model) -> PropertyCheck:
    """Return who judges the states of a model."""
    return ProgramCheck(model, model.kind) if isinstance(model.kind, ProgramKind) else SlotsCheck(model)


def is_owned(clients: Iterable[tuple[Statement, ...]]) -> bool:
    """Return whether clients take slots by grab alone, and release only those."""
    return all(
        statement.name not in ("fgrab", "reclaim")
        and not (statement.name == "release" and isinstance(statement.arguments[0], int))
        for statements in clients
        for statement in statements
    )


def fault_property(fault: str) -> str:
    """Return the property that a fault of an operation breaks."""
    if fault.startswith("torn"):
        return "nothing-torn"
    return "nothing-raised" if fault.startswith("raised") else OUTSIDE


def faults(model: Model, state: State) -> set[str]:
    """Return what went wrong in the step before, as local states say it."""
    locals_ = (automaton.locals[number] for automaton, number in zip(model.processes, state.locals, strict=True))
    return {local.fault for local in locals_ if local.fault}


def full_events(model: Model) -> frozenset[int]:
    """Return the numbers of the events in which a grab finds every slot in use."""
    return frozenset(
        number
        for number, events in enumerate(model.events.table)
        if any(kind == "return" and what == (EINVAL, None) for kind, _, what in events)
    )
