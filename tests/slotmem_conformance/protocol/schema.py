"""A validator for the JSON Schema that protocol.schema.json uses, fast and with one-line errors.

Interface:

- `compile_schema(schema, definitions)` gives a check; `check(value)` gives None, or the rest of a
  line that begins with "expected" and a name for the value: `.id to be an integer, not "0"`.
- A keyword that is not known here is refused when the schema is compiled, never skipped.

Two things are stricter than in JSON Schema: an integer is written without a fraction, and patterns
match the whole string. A library would do, but the well-maintained ones take some 5 (compiled) to
100 microseconds for what takes one here, and a batch has ten thousand responses. The project's
tests compare the verdicts with those of the library `jsonschema`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]
Check = Callable[[Any], str | None]

_ANNOTATIONS = {"description", "$ref"}
_TYPES: dict[str, tuple[type, str]] = {
    "object": (dict, "an object"),
    "array": (list, "an array"),
    "string": (str, "a string"),
    "integer": (int, "an integer"),
    "boolean": (bool, "true or false"),
    "null": (type(None), "null"),
}


def compile_schema(schema: Schema | bool, definitions: dict[str, Schema]) -> Check:
    """Return the check of a schema.

    Raises:
        ValueError: if it has a keyword that is not known.
    """
    if schema is False:
        return lambda value: f" to be absent, not {short(value)}"
    assert isinstance(schema, dict)
    if "$ref" in schema:
        return compile_schema(definitions[schema["$ref"].removeprefix("#/definitions/")], definitions)
    if "const" in schema or "enum" in schema:
        return _one_of(schema)
    if "type" not in schema:
        raise ValueError(f"a schema without a type: {schema}")
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    compilers = {"string": _string, "integer": _integer, "array": _array, "object": _object}
    if len(names) == 1 and names[0] in compilers:
        return compilers[names[0]](schema, definitions)
    _refuse_unknown(schema, {"type"})
    kinds = [_TYPES[each] for each in names]
    types = frozenset(each for each, _ in kinds)
    expected = " or ".join(words for _, words in kinds)
    return lambda value: None if type(value) in types else f" to be {expected}, not {short(value)}"


def short(value: Any, limit: int = 200) -> str:
    """Return a value as JSON, cut if it is long."""
    text = json.dumps(value, separators=(",", ":"))
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def _one_of(schema: Schema) -> Check:
    _refuse_unknown(schema, {"const", "enum"})
    values = schema.get("enum", [schema.get("const")])
    # 1 and true are equal in Python, and different in JSON
    allowed = frozenset((type(each), each) for each in values)
    words = schema.get("description") or " or ".join(json.dumps(each) for each in values)

    def check(value: Any) -> str | None:
        if isinstance(value, (dict, list)) or (type(value), value) not in allowed:
            return f" to be {words}, not {short(value)}"
        return None

    return check


def _string(schema: Schema, _: Any) -> Check:
    _refuse_unknown(schema, {"type", "pattern", "minLength"})
    pattern = schema.get("pattern", "^(?s:.*)$")
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise ValueError(f"a pattern must be between ^ and $: {pattern}")
    match = re.compile(f"(?:{pattern[1:-1]})").fullmatch
    least = schema.get("minLength", 0)
    words = schema.get("description") or ("a string that is not empty" if least else "a string")

    def check(value: Any) -> str | None:
        if type(value) is str and match(value) and len(value) >= least:
            return None
        return f" to be {words}, not {short(value)}"

    return check


def _integer(schema: Schema, _: Any) -> Check:
    _refuse_unknown(schema, {"type", "minimum", "maximum"})
    least, most = schema["minimum"], schema.get("maximum", float("inf"))
    limits = f"from {least} to {most}" if "maximum" in schema else f"of at least {least}"
    words = f"{schema['description']}, " if "description" in schema else ""

    def check(value: Any) -> str | None:
        if type(value) is int and least <= value <= most:
            return None
        return f" to be {words}an integer {limits}, not {short(value)}"

    return check


def _array(schema: Schema, definitions: dict[str, Schema]) -> Check:
    _refuse_unknown(schema, {"type", "items", "uniqueItems"})
    item_check = compile_schema(schema["items"], definitions)
    unique = schema.get("uniqueItems", False)

    def check(value: Any) -> str | None:
        if type(value) is not list:
            return f" to be an array, not {short(value)}"
        for index, item in enumerate(value):
            fault = item_check(item)
            if fault is not None:
                return f"[{index}]{fault}"
        if unique and len(set(value)) < len(value):
            return f" to have each value once, not {short(value)}"
        return None

    return check


def _object(schema: Schema, definitions: dict[str, Schema]) -> Check:
    _refuse_unknown(schema, {"type", "properties", "required", "additionalProperties", "if", "then"})
    checks = {name: compile_schema(each, definitions) for name, each in schema.get("properties", {}).items()}
    required = frozenset(schema["required"])
    is_open = schema.get("additionalProperties", True)
    key, value_then, required_then = _condition(schema)

    def check(value: Any) -> str | None:
        if type(value) is not dict:
            return f" to be an object, not {short(value)}"
        keys = value.keys()
        needed = required_then if key in value and value[key] == value_then else required
        if not needed <= keys:
            missing = " and ".join(repr(each) for each in sorted(needed - keys))
            return f" to have {missing}, unlike {short(value)}"
        for name, each in value.items():
            if name not in checks:
                if is_open:
                    continue
                return f" to have no {name!r}, unlike {short(value)}"
            fault = checks[name](each)
            if fault is not None:
                return f".{name}{fault}"
        return None

    return check


def _condition(schema: Schema) -> tuple[str | None, Any, frozenset[str]]:
    """Return the property and the value of an if, and what is required then: the only form of
    condition that is known.
    """
    if "if" not in schema:
        return None, None, frozenset()
    ((key, asked),) = schema["if"]["properties"].items()
    if schema["if"].keys() != {"properties"} or asked.keys() != {"const"} or schema["then"].keys() != {"required"}:
        raise ValueError(f"a condition that is not known: {schema['if']} then {schema['then']}")
    return key, asked["const"], frozenset(schema["required"]) | frozenset(schema["then"]["required"])


def _refuse_unknown(schema: Schema, known: set[str]) -> None:
    unknown = schema.keys() - known - _ANNOTATIONS
    if unknown:
        raise ValueError(f"keywords that are not known here: {', '.join(sorted(unknown))}")
