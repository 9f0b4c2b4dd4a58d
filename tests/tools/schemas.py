"""The schemas of reports, as validators, and what is needed to distrust them.

Interface:

- `SCHEMAS` has the file of each schema by the name of what it describes.
- `fault(name, report)` is what a schema says against a report; empty, if it is right.
- `wrong(report, required)` yields variants of a report that no schema may accept, with what was
  done to each.
- `names(report)` and `described(name)` are the keys of a report, and those that a schema knows;
  `required(*names)` are those that may not be missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
_FILES = {
    path.name.removesuffix(".schema.json"): path
    for folder in ("slotmem", "model", "stress", "tests/slotmem_conformance")
    for path in sorted((ROOT / folder).rglob("*.schema.json"))
}
SCHEMAS = {name: path for name, path in _FILES.items() if name != "protocol"}
"""That of the protocol's messages has a test of its own."""


def load(path: Path) -> Any:
    """Return the JSON of a file."""
    return json.loads(path.read_text(encoding="utf-8"))


_REGISTRY: Registry[Any] = Registry().with_resources(
    (path.as_uri(), Resource.from_contents(load(path))) for path in _FILES.values()
)


def fault(name: str, report: Any) -> str:
    """Return the worst of what the schema says against a report."""
    whole = Draft202012Validator({"$ref": SCHEMAS[name].as_uri()}, registry=_REGISTRY)
    worst = best_match(whole.iter_errors(report))
    return "" if worst is None else f"{worst.json_path}: {worst.message[:300]}"


def wrong(report: Any, required: set[str]) -> Iterator[tuple[str, Any]]:
    """Yield the report with a key too many, with one of the required keys missing, and with a value
    of a wrong type, in each place once; of a list, only the first item is looked into.
    """
    for path in _places(report):
        at = ".".join(map(str, path)) or "the report"
        yield f"{at} is of a wrong type", _changed(report, path, {"No such type": 0.5})
        if isinstance(_at(report, path), dict):
            yield f"{at} has a key too many", _changed(report, (*path, "No such key"), "")
        if path and path[-1] in required:
            yield f"{at} is missing", _without(report, path)


def _places(report: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(report, dict):
        for key, value in report.items():
            yield from _places(value, (*path, key))
    elif isinstance(report, list) and report:
        yield from _places(report[0], (*path, 0))


def _at(report: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        report = report[key]
    return report


def _changed(report: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    made = deepcopy(report)
    _at(made, path[:-1])[path[-1]] = value
    return made


def _without(report: Any, path: tuple[Any, ...]) -> Any:
    made = deepcopy(report)
    del _at(made, path[:-1])[path[-1]]
    return made


def names(report: Any) -> set[str]:
    """Return every key in a report."""
    if isinstance(report, dict):
        return {*report, *(key for value in report.values() for key in names(value))}
    return {key for value in report for key in names(value)} if isinstance(report, list) else set()


def described(name: str) -> set[str]:
    """Return every key that the schema's own file knows."""
    return {key for each in _objects(load(SCHEMAS[name])) for key in each["properties"]}


def required(*names: str) -> set[str]:
    """Return the keys that some object of these schemas must have, and none may lack."""
    objects = [each for name in names for each in _objects(load(SCHEMAS[name]))]
    needed = {key for each in objects for key in each.get("required", ())}
    return needed - {key for each in objects for key in set(each["properties"]) - set(each.get("required", ()))}


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every schema of an object within a schema."""
    for value in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _objects(value)
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
        yield schema
