"""Recorded operations in words: `describe` an operation, `window_title` and `window_lines` a
violation.

Operations are objects of the JSON lines of `slotmem_stress.history.reading`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def window_title(window: list[dict[str, Any]], is_whole: bool) -> str:
    """Return the heading of a window's lines."""
    if not is_whole:
        return "the operation that no order explains; those that contradict it are too many to show (times in us):"
    if len(window) == 1:
        return "the operation that no order explains (times in us):"
    return f"the {len(window)} operations that contradict one another (times in us since the first):"


def window_lines(window: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each operation of a window."""
    first = window[0]["invoke_ns"]
    for done in window:
        begin = (done["invoke_ns"] - first) / 1000
        end = f"{(done['return_ns'] - first) / 1000:.1f}" if "return_ns" in done else "never"
        yield f"    process {done['client']:<6} {begin:>9.1f} .. {end:>9}  {describe(done)}"


def describe(done: dict[str, Any]) -> str:
    """Return an operation as a call with its result: `put(4, 17) -> OK`."""
    arguments = [done["slot"]] if "slot" in done and done["op"] != "grab" else []
    arguments += [done["value"]] if done["op"] == "put" else []
    given = f"{done['op']}({', '.join(map(str, arguments))})"
    if "return_ns" not in done:
        return given
    result: Any = done["status"]
    if result in ("OK", "TORN"):
        result = {"grab": done.get("slot"), "get": done.get("value"), "num_free_slots": done.get("value")}.get(
            done["op"], "OK"
        )
    mixed = f" mixed with {done['second']}" if done["status"] == "TORN" else ""
    return f"{given} -> {result}{mixed}"
