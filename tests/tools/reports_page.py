"""The tables of slotmem/REPORTS.md, made from the schemas.

Interface: `filled(text)` is the page with what stands between its markers replaced; `python -m
tools.reports_page`, in the folder tests, writes it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from tools.schemas import ROOT, SCHEMAS, load

PAGE = ROOT / "slotmem" / "REPORTS.md"
_PLACE = re.compile(r"(<!-- schema: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """Return the page with its tables as the schemas say."""
    return _PLACE.sub(lambda found: found[1] + "\n".join(_lines(found[2])) + "\n" + found[3], text)


def _lines(name: str) -> Iterator[str]:
    path = SCHEMAS[name]
    yield f"Schema: [`{path.name}`]({os.path.relpath(path, PAGE.parent)})"
    definitions = load(path)["$defs"]
    for title, schema in definitions.items():
        if not _is_told(schema):
            continue
        yield from ("", f"**{title}**: {schema['description']}", "")
        if "enum" in schema:
            yield _kind(schema, {})
        if "$ref" in schema:
            yield f"The keys of {_kind(schema, {})}" + (", and:" if "properties" in schema else ".")
        if "properties" in schema:
            yield from ([""] if "$ref" in schema else [])
            yield from ("| key | is | meaning |", "|---|---|---|")
        for key, value in schema.get("properties", {}).items():
            missing = "" if key in schema.get("required", ()) else ", or missing"
            meaning = value.get("description") or _local(value, definitions).get("description", "")
            cells = (f"`{key}`", _kind(value, definitions) + missing, meaning)
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _is_told(schema: dict[str, Any]) -> bool:
    """Return whether a definition has a place of its own; others are described where they are
    used.
    """
    return any(key in schema for key in ("properties", "$ref", "enum"))


def _local(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the definition that a schema refers to, if it has no place of its own."""
    found = definitions.get(schema.get("$ref", "").removeprefix("#/$defs/"), {})
    return {} if _is_told(found) else found


def _kind(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Say in words what a value is."""
    if found := _local(schema, definitions):
        return _kind(found, definitions)
    if "$ref" in schema:
        return _target(schema["$ref"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(each, definitions) for each in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(map(_shown, schema.get("enum", [schema.get("const")])))
    if "type" not in schema:
        return "object"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(_WORDS.get(kind) or _compound(kind, schema, definitions) for kind in kinds)


_WORDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "null": "null"}


def _compound(kind: str, schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {_kind(values, definitions)}" if isinstance(values, dict) else "object"
    if "items" not in schema:
        return "list"
    return "list of pairs" if "prefixItems" in schema["items"] else f"list of {_kind(schema['items'], definitions)}"


def _target(reference: str) -> str:
    file, _, pointer = reference.partition("#")
    of = file.rpartition("/")[2].removesuffix(".schema.json")
    word = pointer.removesuffix("/items").rpartition("/")[2]
    return f"*{word}*" + (f" of {of}" if of not in ("", word) else "")


def _shown(value: Any) -> str:
    is_word = isinstance(value, str) and value and not value.startswith("slotmem ")
    return f"`{value}`" if is_word else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
