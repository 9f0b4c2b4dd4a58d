"""Batches of several processes at once, and the history that their time stamps make.

Interface: `together(rig, batches)` sends one batch to each server at the same time and gives the
answers; `events(...)` makes the history of `slotmem_model.judge.events` that the judge reads;
`evidence(verdict)` shows the window of a violation; `runs(data)` and `told(runs)` say what a torn
slot holds.

A stamp stands for a whole tick of the clock: two operations that meet in one tick overlap, so that
nobody is accused because of a coarse clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig.oracle import operation_of, result_of
from slotmem_conformance.rig.rig import Rig
from slotmem_model.judge.events import Event, Invoke, Return
from slotmem_model.linearizability import Verdict

Done = tuple[int, Request, dict[str, Any]]
"""Who, what was asked, and the answer with its stamps."""


def together(rig: Rig, batches: Sequence[tuple[int, Sequence[Request]]]) -> list[Done]:
    """Let servers do batches on their first segment at the same time.

    Raises:
        Failed: if one is not answered as a whole.
    """
    wanted = [(server, {"op": "batch", "segment": 0, "requests": list(requests)}) for server, requests in batches]
    done: list[Done] = []
    for (server, requests), answer in zip(batches, rig.together(wanted), strict=True):
        if answer.get("status") != "APR_SUCCESS" or len(answer["responses"]) != len(requests):
            rig.fail(f"a batch of {len(requests)} operations of server {server} was not answered as a whole")
        done += [(server, *pair) for pair in zip(requests, answer["responses"], strict=True)]
    return done


def overlap(done: Iterable[Done]) -> bool:
    """Return whether operations of two servers were under way at the same time; otherwise nothing
    was tried.
    """
    latest: dict[int, int] = {}
    for server, _, answer in sorted(done, key=lambda each: int(each[2]["start"])):
        if any(end > answer["start"] for other, end in latest.items() if other != server):
            return True
        latest[server] = max(latest.get(server, 0), answer["end"])
    return False


def events(done: Iterable[Done]) -> list[Event]:
    """Return the history of the operations, in time order."""
    timed: list[tuple[int, int, Event]] = []
    last: dict[int, int] = {}
    for number, (server, request, answer) in enumerate(done):
        plain = {name: value for name, value in answer.items() if name not in ("start", "end")}
        begins = max(2 * answer["start"], last.get(server, 0) + 1)
        ends = last[server] = max(2 * answer["end"] + 1, begins + 1)
        timed.append((begins, 2 * number, Invoke(server, operation_of(request))))
        timed.append((ends, 2 * number + 1, Return(server, result_of(request["op"], plain))))
    return [event for _, _, event in sorted(timed, key=lambda each: each[:2])]


def evidence(verdict: Verdict) -> str:
    """Show the shortest window of a violation."""
    lines = [shortened(verdict.reason)]
    for event in verdict.window:
        what = event.operation if isinstance(event, Invoke) else event.result if isinstance(event, Return) else "dies"
        lines.append(
            f"  server {event.process} {'asks' if isinstance(event, Invoke) else 'gets'} {shortened(repr(what))}"
        )
    return "\n".join(lines)


def runs(data: bytes) -> str:
    """Describe what was read from a slot that each put fills with one byte."""
    return told([(len(list(run)), byte) for byte, run in groupby(data)])


def told(found: Sequence[tuple[int, int]]) -> str:
    """Describe the first of some runs of bytes: how many, and which."""
    first = ", then ".join(f"{count:,} bytes of {byte:02x}" for count, byte in found[:3])
    return first + (f", and {len(found) - 3:,} more runs" if len(found) > 3 else "")


def shortened(text: str) -> str:
    """Cut the long values in a text."""
    return re.sub(r"(b'[^']{60})[^']+'", r"\1...'", text)
