"""What was said to an implementation, in words: requests, answers, and in what an answer is wrong.

Interface:

- `shown(message)` is a message as JSON, cut where it is long.
- `told(record)` is a conversation, request by request, as it can be pasted into a driver.
- `wrong_answer(request, got, expected)` says what was answered instead of what; `kind_of(...)` says
  it without the values, which cases that fail for one reason have in common.
- `first_difference(got, expected)` says from where on bytes are not as they must be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig.oracle import Response

Record = Sequence[tuple[int, Request, Response | None]]
"""Who was asked what, and the answer if one came."""

_SHOWN = 40  # the last requests of a long program; what went before is counted
_LONG = 400
_BEFORE, _BEHIND = 4, 12  # so many bytes around the first that differs


def shown(what: Any) -> str:
    """Return a message as JSON, cut where it is long."""
    text = json.dumps(what)
    return text if len(text) <= _LONG else f"{text[: _LONG - 20]}... ({len(text)} characters)"


def told(record: Record) -> str:
    """Return what was said; `->` begins an answer.

    Of a long conversation it is the last requests, and those that opened the segments they are for.
    """
    lines = []
    several = len({server for server, _, _ in record}) > 1
    begins = max(0, len(record) - _SHOWN)
    told = [*_openings(record, begins), *range(begins, len(record))]
    for server, request, response in (record[number] for number in told):
        who = f"{server}: " if several else ""
        lines.append(f"{who}{shown(request)}")
        if response is not None:
            lines.append(f"  -> {shown(response)}")
    left_out = len(record) - len(told)
    return "\n".join(([f"({left_out} other requests before)"] if left_out > 0 else []) + lines)


def wrong_answer(request: Request, got: Response, expected: Response) -> str:
    """Say what was answered instead of what; of long answers, in what they differ."""
    asked = shown({name: value for name, value in request.items() if name != "segment"})
    if max(len(json.dumps(each)) for each in (got, expected)) <= _LONG:
        return f"{asked} answered {shown(got)}, must answer {shown(expected)}"
    for name, value, right in _fields(got, expected):
        if value != right and None not in (value, right):
            return f"{asked} answered {name} that differs {_long_difference(value, right)}"
    return f"{asked} answered {shown(got)}, must answer {shown(expected)}"


def kind_of(request: Request, got: Response, expected: Response) -> str:
    """Say in what way an answer is wrong, whatever the numbers and bytes are."""
    statuses = got.get("status"), expected.get("status")
    if statuses[0] != statuses[1]:
        return f"{request['op']}: {statuses[0]} for {statuses[1]}"
    return f"{request['op']}: wrong {' and '.join(name for name in expected if got.get(name) != expected[name])}"


def first_difference(got: bytes, expected: bytes) -> str:
    """Say where bytes differ: from which on, a few around that one, and how many there are."""
    at = next((at for at, (one, other) in enumerate(zip(got, expected, strict=False)) if one != other), None)
    at = min(len(got), len(expected)) if at is None else at
    begin = max(0, at - _BEFORE)
    one, other = (each[begin : at + _BEHIND].hex() or "nothing" for each in (got, expected))
    lengths = f"{len(got):,} bytes" + (f", must be {len(expected):,}" if len(got) != len(expected) else "")
    return f"from byte {at:,} on: bytes {begin:,} and following are {one}, must be {other} ({lengths})"


def _fields(got: Response, expected: Response) -> list[tuple[str, Any, Any]]:
    """Return what can differ, each slot of a walk by itself."""
    fields: list[tuple[str, Any, Any]] = []
    for name in {**expected, **got}:
        one, other = got.get(name), expected.get(name)
        if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            fields += [(f"{name}[{at}]", *pair) for at, pair in enumerate(zip(one, other, strict=True))]
        else:
            fields.append((name, one, other))
    return fields


def _long_difference(value: Any, right: Any) -> str:
    if isinstance(value, str) and isinstance(right, str):
        try:
            return first_difference(bytes.fromhex(value), bytes.fromhex(right))
        except ValueError:
            pass
    if isinstance(value, list) and isinstance(right, list):
        return f"in its length: {len(value):,} slots, must be {len(right):,}"
    return f"({shown(value)}, must be {shown(right)})"


def _openings(record: Record, begins: int) -> list[int]:
    """Return where, before a place in the record, the segments were opened that it speaks of from
    there on.
    """
    opened: dict[tuple[int, int], int] = {}
    for number, (server, request, response) in enumerate(record[:begins]):
        if request["op"] in ("create", "attach") and response and "segment" in response:
            opened[server, response["segment"]] = number
    meant = {(server, request["segment"]) for server, request, _ in record[begins:] if "segment" in request}
    return sorted(number for opening, number in opened.items() if opening in meant)
