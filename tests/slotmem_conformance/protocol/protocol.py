"""The driver protocol: requests and responses, held to protocol.schema.json on both sides.

Interface:

- `request_fault(request)`, `response_fault(request, response)` give None, or one line that goes on
  after "expected".
- `encode(message)`, `decode(line)` turn a message to one line of JSON and back.
- `SLOT_OPERATIONS` are the operations on a segment; PROTOCOL.md explains them all.

The schema describes a message by itself. What it cannot say is checked here: requests and responses
in a batch are the same as outside except for the segment and the time stamps, there is one response
for each request, and its time stamps never go back.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from slotmem_conformance.protocol.schema import Check, Schema, compile_schema, short

VERSION = 1
SUCCESS = "APR_SUCCESS"

Message = dict[str, Any]


@cache
def schema() -> Schema:
    """Return the JSON Schema of the protocol."""
    text = resources.files("slotmem_conformance.protocol").joinpath("protocol.schema.json").read_text(encoding="utf-8")
    loaded: Schema = json.loads(text)
    return loaded


_DEFINITIONS: dict[str, Schema] = schema()["definitions"]
_REQUEST, _RESPONSE = "_request", "_response"
OPERATIONS: tuple[str, ...] = tuple(name.removesuffix(_REQUEST) for name in _DEFINITIONS if name.endswith(_REQUEST))
SLOT_OPERATIONS: tuple[str, ...] = tuple(
    _DEFINITIONS["batch_request"]["properties"]["requests"]["items"]["properties"]["op"]["enum"]
)


def encode(message: Message) -> bytes:
    """Return a message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Any:
    """Return what a line holds.

    Raises:
        ValueError: if it is not JSON in UTF-8.
    """
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg.lower()} at character {error.pos}") from None


def request_fault(request: Any) -> str | None:
    """Say in one line what is expected instead of a request, or return None if it is
    well-formed.
    """
    op = request.get("op") if isinstance(request, dict) else None
    if not isinstance(op, str):
        return f"an object with a string 'op', not {short(request)}"
    if op not in OPERATIONS:
        return f"one of the operations {', '.join(OPERATIONS)}, not {short(op)}"
    fault = _check(op + _REQUEST)(request)
    if fault is None and op == "batch":
        for index, each in enumerate(request["requests"]):
            fault = _batched(each["op"])(each)
            if fault is not None:
                return f"request.requests[{index}]{fault}"
    return None if fault is None else f"request{fault}"


def response_fault(request: Message, response: Any) -> str | None:
    """Say in one line what is expected instead of a response to a well-formed request. An error is
    a fault too.

    The response itself is not repeated: whoever shows the line shows what came back before it.
    """
    if isinstance(response, dict) and "error" in response:
        return "an answer, not an error"
    fault = _check(request["op"] + _RESPONSE)(response)
    if fault is None and request["op"] == "batch":
        fault = _batch_fault(request["requests"], response["responses"])
    return None if fault is None else f"response{fault}".removesuffix(f", unlike {short(response)}")


def error_fault(response: Any) -> str | None:
    """Say in one line why a response is not a well-formed error, or return None."""
    fault = _check("error_response")(response)
    return None if fault is None else f"response{fault}"


def _batch_fault(requests: list[Message], responses: list[Message]) -> str | None:
    if len(requests) != len(responses):
        return f".responses to be one for each of the {len(requests)} requests, not {len(responses)}"
    before = 0
    for index, (request, response) in enumerate(zip(requests, responses, strict=True)):
        fault = _stamped(request["op"])(response)
        if fault is not None:
            return f".responses[{index}]{fault}"
        start, end = response["start"], response["end"]
        if not before <= start <= end:
            return (
                f".responses[{index}] to have time stamps that never go back, not start {start} and end {end} "
                f"after an end at {before}"
            )
        before = end
    return None


@cache
def _check(definition: str) -> Check:
    return compile_schema(_DEFINITIONS[definition], _DEFINITIONS)


@cache
def _batched(op: str) -> Check:
    """Return the check of a request within a batch: it has no segment."""
    alone = _DEFINITIONS[op + _REQUEST]
    properties = {name: each for name, each in alone["properties"].items() if name != "segment"}
    required = [name for name in alone["required"] if name != "segment"]
    return compile_schema({**alone, "properties": properties, "required": required}, _DEFINITIONS)


@cache
def _stamped(op: str) -> Check:
    """Return the check of a response within a batch: it has a start and an end."""
    alone = _DEFINITIONS[op + _RESPONSE]
    stamps = _DEFINITIONS["batch_response"]["properties"]["responses"]["items"]
    properties = {**alone["properties"], **stamps["properties"]}
    required = [*alone["required"], *stamps["required"]]
    return compile_schema({**alone, "properties": properties, "required": required}, _DEFINITIONS)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
