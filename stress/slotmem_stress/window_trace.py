"""The window of a violation as a trace, the JSON that the checker's counterexamples are written in.

Interface: `to_trace(settings, window, sentence)`.

A trace of a stress run has no interleaving: nobody saw the single accesses. It says which clients did what and what they were told, so
that the checker can be asked whether the algorithm can do that at all. Clients are numbered from 1 in the order of their first operation, values
are numbered too and have as many bytes as the checker's slots, two.
"""

from __future__ import annotations

from typing import Any

from slotmem_stress.stress_report import Settings

FORMAT = "slotmem trace 1"
_SLOT_BYTES = 2
_STATUSES = {"OK": "APR_SUCCESS", "TORN": "APR_SUCCESS", "NOTFOUND": "APR_NOTFOUND", "EINVAL": "APR_EINVAL"}


def to_trace(settings: Settings, window: list[dict[str, Any]], sentence: str) -> dict[str, Any]:
    """Give the trace of a window."""
    processes: dict[int, int] = {}
    values: dict[int, int] = {0: 0}
    operations = []
    for done in window:
        process = processes.setdefault(done["client"], len(processes) + 1)
        request = {"op": done["op"]}
        if done["op"] not in ("grab", "num_free_slots"):
            request["id"] = done["slot"]
        if done["op"] == "put":
            request["data"] = _data(values, done["value"])
        operation: dict[str, Any] = {"process": process, "request": request}
        if "return_ns" in done:
            operation["result"] = _result(values, done)
        operations.append(operation)
    name = settings.provider.partition(":")[2] or "reference"
    used = [done["slot"] for done in window if "slot" in done]
    return {
        "format": FORMAT,
        "configuration": {
            "algorithm": name,
            "processes": max(1, len(processes)),
            "slots": max(used, default=0) + 1,
            "slot_bytes": _SLOT_BYTES,
        },
        "breaks": "linearizable",
        "sentence": sentence,
        "operations": operations,
        "interleaving": [],
    }


def _result(values: dict[int, int], done: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"status": _STATUSES[done["status"]]}
    if done["status"] == "TORN":
        mixed = (_data(values, done["value"]), _data(values, done["second"]))
        result["data"] = mixed[0][:_SLOT_BYTES] + mixed[1][_SLOT_BYTES:]
    elif done["status"] == "OK" and done["op"] == "get":
        result["data"] = _data(values, done["value"])
    elif done["status"] == "OK" and done["op"] in ("grab", "num_free_slots"):
        result["value"] = done["slot" if done["op"] == "grab" else "value"]
    return result


def _data(values: dict[int, int], value: int) -> str:
    return f"{values.setdefault(value, len(values)) % 256:02x}" * _SLOT_BYTES
