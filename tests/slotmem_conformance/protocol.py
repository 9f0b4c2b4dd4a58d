"""The driver protocol: what a request and a response must look like, held to protocol.schema.json on both sides.

Interface:

- `request_fault(request)`, `response_fault(request, response)` give None, or one line that says what is wrong.
- `encode(message)`, `decode(line)` turn a message to one line of JSON and back.
- `SLOT_OPERATIONS` are the operations on a segment; PROTOCOL.md explains them all.

The schema describes a message by itself. What it cannot say is checked here: a batch has one response for each request,
and its time stamps never go back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

import fastjsonschema

VERSION = 1
SUCCESS = "APR_SUCCESS"

Message = dict[str, Any]


@cache
def schema() -> dict[str, Any]:
    """Give the JSON Schema of the protocol."""
    text = resources.files(__package__).joinpath("protocol.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


SLOT_OPERATIONS: tuple[str, ...] = tuple(
    schema()["definitions"]["batch_request"]["properties"]["requests"]["items"]["properties"]["op"]["enum"]
)
_SUFFIX = "_request"
OPERATIONS: tuple[str, ...] = tuple(
    name.removesuffix(_SUFFIX) for name in schema()["definitions"] if name.endswith(_SUFFIX)
)


def encode(message: Message) -> bytes:
    """Give a message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Any:
    """Give what a line holds. Raises: ValueError: it is not JSON in UTF-8."""
    return json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)


def request_fault(request: Any) -> str | None:
    """Say in a line what is wrong with a request, or nothing."""
    if not isinstance(request, dict) or not isinstance(request.get("op"), str):
        return f"expected an object with a string 'op', got {short(request)}"
    op = request["op"]
    if op not in OPERATIONS:
        return f"there is no operation {op!r}; known are {', '.join(OPERATIONS)}"
    fault = _fault(f"{op}_request", request)
    if fault is None and op == "batch":
        for index, each in enumerate(request["requests"]):
            inner = request_fault({**each, "segment": request["segment"]})
            if inner is not None:
                return f"requests[{index}]: {inner}"
    return fault


def response_fault(request: Message, response: Any) -> str | None:
    """Say in a line what is wrong with the response to a well-formed request, or nothing. An error is a fault too."""
    if isinstance(response, dict) and "error" in response:
        return f"expected an answer, got the error {short(response['error'])}"
    fault = _fault(f"{request['op']}_response", response)
    if fault is None and request["op"] == "batch":
        return _batch_fault(request["requests"], response["responses"])
    return fault


def is_error(response: Any) -> bool:
    """Tell whether a response is a well-formed error."""
    return _fault("error_response", response) is None


def short(value: Any, limit: int = 200) -> str:
    """Give a value as JSON, cut where it is long."""
    text = json.dumps(value, separators=(",", ":"))
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _batch_fault(requests: list[Message], responses: list[Message]) -> str | None:
    if len(requests) != len(responses):
        return f"responses: expected one for each of the {len(requests)} requests, got {len(responses)}"
    before = 0
    for index, (request, stamped) in enumerate(zip(requests, responses, strict=True)):
        start, end = stamped["start"], stamped["end"]
        if not before <= start <= end:
            return (
                f"responses[{index}]: time stamps go back: the one before ended at {before}, "
                f"this one has start {start} and end {end}"
            )
        before = end
        response = stamped.copy()
        del response["start"], response["end"]
        fault = response_fault(request, response)
        if fault is not None:
            return f"responses[{index}]: {fault}"
    return None


@cache
def _validator(definition: str) -> Callable[[Any], Any]:
    whole = schema()
    part = {"$schema": whole["$schema"], "$ref": f"#/definitions/{definition}", "definitions": whole["definitions"]}
    compiled: Callable[[Any], Any] = fastjsonschema.compile(part, use_default=False)
    return compiled


def _fault(definition: str, message: Any) -> str | None:
    try:
        _validator(definition)(message)
    except fastjsonschema.JsonSchemaValueException as error:
        where = str(error.name).removeprefix("data").removeprefix(".") or "the object"
        told = error.definition.get("description") if isinstance(error.definition, dict) else None
        asked = f"expected {told}" if told else str(error.message).removeprefix(f"{error.name} ")
        return f"{where}: {asked}, got {short(error.value)}"
    return None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
