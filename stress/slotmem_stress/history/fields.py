"""The fields of a history's JSON: which there are, which belong together, and what each may be.

Interface:

- `load(text)` reads JSON and refuses what Python's reader lets pass: a key given twice, NaN,
  numbers too long to be read, nesting without end.
- `to_description(given)` and `to_operation(given)` refuse every object that is not one.
- `SHAPES[op, status]` are the fields of an operation, `DESCRIPTION` those of the first line.

What is wrong is said in one sentence that names the field. What an implementation may have answered
is never refused, however wrong it is: that is for the judge.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from slotmem_model.json_words import shortened
from slotmem_stress.history.records import FORMAT, KINDS, MOST_SLOTS, STATUSES, BadHistory, Description

MOST_BYTES = 2**25
"""No line, and no history.json, is longer: this is room for the values of `MOST_SLOTS` slots."""
MOST_TIME = 2**62


class Kind(NamedTuple):
    """What a field may be: a test, and the same in words."""

    is_valid: Callable[[Any], bool]
    expected: str


def _whole(least: int, most: int) -> Kind:
    return Kind(
        lambda given: type(given) is int and least <= given <= most, f"must be an integer from {least} to {most}"
    )


def _one_of(*words: str) -> Kind:
    return Kind(lambda given: type(given) is str and given in words, f"must be {' or '.join(words)}")


def _list_of(kind: Kind) -> Kind:
    return Kind(
        lambda given: type(given) is list and all(map(kind.is_valid, given)),
        f"must be a list, and each entry {kind.expected}",
    )


_VALUE = _whole(0, 2**64 - 1)
_NUMBER = _whole(0, 2**63 - 1)
_CLIENT = Kind(
    lambda given: _NUMBER.is_valid(given) or (type(given) is str and 0 < len(given) <= 100 and given.isprintable()),
    f"{_NUMBER.expected}, or a name of 1 to 100 characters that can be printed",
)
_SLOT = _whole(0, 2**32 - 1)
_TIME = _whole(0, MOST_TIME)

DESCRIPTION = {
    "format": _one_of(FORMAT),
    "slots": _whole(1, MOST_SLOTS),
    "slot_bytes": _whole(1, 2**32 - 1),
    "pregrab": Kind(lambda given: type(given) is bool, "must be true or false"),
    "inuse": _list_of(_NUMBER),
    "values": _list_of(_VALUE),
}
_NEEDED = {"format", "slots"}


def _shape(op: str, status: str | None) -> dict[str, Kind]:
    """Return the fields of an operation that returned so; status None: it did not return."""
    has_result = status in ("OK", "TORN")
    has_slot = op not in ("grab", "num_free_slots") or (op == "grab" and has_result)
    has_value = op == "put" or (op in ("get", "num_free_slots") and has_result)
    return {
        "client": _CLIENT,
        "op": _one_of(*KINDS),
        **({"slot": _SLOT} if has_slot else {}),
        **({"value": _VALUE} if has_value else {}),
        **({"second": _VALUE} if status == "TORN" else {}),
        **({"status": _one_of(*STATUSES)} if status else {}),
        "invoke_ns": _TIME,
        **({"return_ns": _TIME} if status else {}),
    }


SHAPES: Mapping[tuple[str, str | None], dict[str, Kind]] = {
    (op, status): _shape(op, status) for op in KINDS for status in (*STATUSES, None) if status != "TORN" or op == "get"
}
_SYNONYMS = {"SUCCESS": "OK", **{f"APR_{status}": status for status in STATUSES}, "APR_SUCCESS": "OK"}


def load(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        BadHistory: if it is none, or none that can be relied upon.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadHistory(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise BadHistory("the JSON is nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    given = dict(pairs)
    if len(given) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadHistory(f"{shortened(twice)} is given twice")
    return given


def _integer(digits: str) -> int:
    if len(digits) > 100:
        raise BadHistory(f"a number of {len(digits)} digits; none has more than 20")
    return int(digits)


def _refuse(constant: str) -> Any:
    raise BadHistory(f"{constant} is no number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer, parse_constant=_refuse)


def to_description(given: Any) -> Description:
    """Return the description that an object says.

    Raises:
        BadHistory: if it is not one.
    """
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        raise BadHistory(f'the description must be an object with "format": "{FORMAT}", got {shortened(given)}')
    _check(given, {key: kind for key, kind in DESCRIPTION.items() if key in given or key in _NEEDED}, "a description")
    inuse, values, slots = given.get("inuse", []), given.get("values", []), given["slots"]
    beyond = next((slot for slot in inuse if slot >= slots), None)
    if beyond is not None:
        raise BadHistory(f"inuse must list slots from 0 to {slots - 1}, got {beyond}")
    if len(set(inuse)) < len(inuse):
        raise BadHistory("inuse lists a slot twice")
    if len(values) not in (0, slots):
        raise BadHistory(f"values must be empty or list one for each of the {slots} slots, got {len(values)} of them")
    description = Description(
        slots, given.get("slot_bytes", 8), tuple(inuse), tuple(values), given.get("pregrab", True)
    )
    for value in values:
        _check_fits("values", value, description)
    return description


def to_operation(given: Any, description: Description) -> dict[str, Any]:
    """Return the operation that an object says: with no field that does not belong to it, and with
    a status of ours.

    Raises:
        BadHistory: if it is not one.
    """
    if not isinstance(given, dict):
        raise BadHistory(f"an operation must be an object, got {shortened(given)}")
    done: dict[str, Any] = dict(given)
    op, status = done.get("op"), done.get("status")
    if type(op) is not str or op not in KINDS:
        raise BadHistory(f"op must be {' or '.join(KINDS)}, got {shortened(op)}")
    if "status" in done or "return_ns" in done:
        status = _SYNONYMS.get(status, status) if type(status) is str else status
        if type(status) is not str or (op, status) not in SHAPES:
            raise BadHistory(f"status must be {' or '.join(STATUSES)} (TORN only of a get), got {shortened(status)}")
        done["status"] = status
    if "nbytes" in done and op in ("get", "put"):
        nbytes = done.pop("nbytes")
        if type(nbytes) is not int or nbytes != description.slot_bytes:
            raise BadHistory(
                f"nbytes must be {description.slot_bytes}, for only gets and puts of whole slots can be judged, "
                f"got {shortened(nbytes)}"
            )
    _check(done, SHAPES[op, status], f"{op} that returned {status}" if status else f"{op} that did not return")
    if status and done["return_ns"] < done["invoke_ns"]:
        raise BadHistory(f"return_ns must not be less than invoke_ns, {given['invoke_ns']}, got {given['return_ns']}")
    if op in ("get", "put") and "value" in done:
        _check_fits("value", done["value"], description)
    return done


def _check_fits(key: str, value: int, description: Description) -> None:
    if value >> 8 * min(description.slot_bytes, 8):
        raise BadHistory(f"{key} must fit into slots of {description.slot_bytes} bytes, got {value}")


def _check(given: dict[str, Any], kinds: dict[str, Kind], what: str) -> None:
    for key, kind in kinds.items():
        if key not in given:
            raise BadHistory(f"{key} is missing; it {kind.expected}")
        if not kind.is_valid(given[key]):
            raise BadHistory(f"{key} {kind.expected}, got {shortened(given[key])}")
    if len(given) > len(kinds):
        other = next(key for key in given if key not in kinds)
        raise BadHistory(f"{shortened(other)} is no field of {what}; there are {', '.join(kinds)}")
