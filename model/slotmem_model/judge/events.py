"""Recorded histories: who asked for what, what was answered, and in which order.

Interface:

- `Invoke`, `Return` and `Crash` are the events; a history is an iterable of them in time order.
- `History.from_events(events)` pairs them into `Call`s, and refuses what no recorder can have seen.

A call that has no return is pending for ever: it may have taken effect at any time after its
invocation, or not at all. That is so for a crashed process, and for what was still running when the
recording ended.

This module judges nothing; that is `slotmem_model.judge.search`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple


class Invoke(NamedTuple):
    """A process asks for an operation."""

    process: Hashable
    operation: Any


class Return(NamedTuple):
    """A process gets the result of the operation it asked for."""

    process: Hashable
    result: Any


class Crash(NamedTuple):
    """A process dies.

    What it had asked for may or may not happen; if it comes back, it has a new name.
    """

    process: Hashable


Event = Invoke | Return | Crash


class MalformedHistory(ValueError):
    """The events cannot be those of processes that do one operation after the other.

    `rows` are those of the two operations that overlap, the later one first, if the history came in
    columns.
    """

    def __init__(self, message: str, rows: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.rows = rows


class Call(NamedTuple):
    """One operation: asked for at event `invoked`, answered at event `returned` (None if it never
    was).
    """

    process: Hashable
    operation: Any
    result: Any
    invoked: int
    returned: int | None

    @property
    def is_pending(self) -> bool:
        """Whether the call never returned."""
        return self.returned is None


@dataclass(frozen=True)
class History:
    """The calls of a history, in the order of their invocations.

    `moments` says what came when: for each event that matters, twice the number of its call, plus
    one for a return.
    """

    calls: tuple[Call, ...]
    moments: tuple[int, ...]

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> History:
        """Pair the events of each process.

        Raises:
            MalformedHistory: if they cannot be paired.
        """
        calls: list[Call] = []
        moments: list[int] = []
        open_calls: dict[Hashable, int] = {}
        dead: set[Hashable] = set()
        for number, event in enumerate(events):
            if not isinstance(event, Invoke | Return | Crash):
                raise MalformedHistory(f"event {number} is {event!r}; expected an Invoke, a Return or a Crash")
            process = event.process
            if process in dead:
                raise MalformedHistory(
                    f"event {number}: {event!r} of process {process!r}, which has crashed; a process that comes back needs a new name"
                )
            if isinstance(event, Invoke):
                if process in open_calls:
                    asked = calls[open_calls[process]].operation
                    raise MalformedHistory(
                        f"event {number}: process {process!r} invokes {event.operation!r} before {asked!r} has returned"
                    )
                open_calls[process] = len(calls)
                moments.append(2 * len(calls))
                calls.append(Call(process, event.operation, None, number, None))
            elif isinstance(event, Return):
                if process not in open_calls:
                    raise MalformedHistory(
                        f"event {number}: process {process!r} returns without having invoked anything"
                    )
                call = open_calls.pop(process)
                moments.append(2 * call + 1)
                calls[call] = calls[call]._replace(result=event.result, returned=number)
            else:
                open_calls.pop(process, None)
                dead.add(process)
        return cls(tuple(calls), tuple(moments))

    def to_events(self, wanted: Iterable[int]) -> tuple[Event, ...]:
        """Return the events of some of the calls, in time order; a pending call ends in a crash."""
        chosen = set(wanted)
        events: list[Event] = []
        for moment in self.moments:
            call = self.calls[moment >> 1]
            if moment >> 1 in chosen:
                events.append(Return(call.process, call.result) if moment & 1 else Invoke(call.process, call.operation))
        events += [Crash(self.calls[number].process) for number in sorted(chosen) if self.calls[number].is_pending]
        return tuple(events)
