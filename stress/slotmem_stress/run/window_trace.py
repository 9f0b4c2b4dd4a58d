"""The window of a violation as a trace, the JSON in which the checker writes its counterexamples.

Interface: `to_trace(settings, window, before, excerpt, sentence)`, with the fields of
`slotmem_stress.history.judging.Judged`.

A trace of a stress run has no interleaving, since nobody saw the single accesses. It says which
client did what, when and with what result, and which states of the slots the window contradicts;
the checker can then be asked whether the algorithm is able to do that. Clients are numbered from 1
in the order of their first operation. Values are numbered too, and have as many bytes as the
checker's slots: two. The sentence uses the same numbers. Times are ranks.

The window need not contain the cause: a torn get does not say who wrote what it mixes. So
operations on the window's slots that ran at the same time are listed too, the longest ones: a
process that stood still inside one is likely to have been involved.
"""

from __future__ import annotations

import re
from typing import Any

from slotmem_stress.run.settings import Settings

FORMAT = "slotmem trace 1"
_SLOT_BYTES = 2
_MOST = 16
_STATUSES = {"OK": "APR_SUCCESS", "TORN": "APR_SUCCESS", "NOTFOUND": "APR_NOTFOUND", "EINVAL": "APR_EINVAL"}


def to_trace(
    settings: Settings,
    window: list[dict[str, Any]],
    before: list[dict[str, Any]],
    excerpt: list[dict[str, Any]],
    sentence: str,
) -> dict[str, Any]:
    """Return the trace of a window."""
    others = _others(window, excerpt)
    instants = sorted({done[key] for done in [*window, *others] for key in ("invoke_ns", "return_ns") if key in done})
    ranks = {instant: rank for rank, instant in enumerate(instants)}
    processes: dict[int, int] = {}
    values: dict[int, int] = {0: 0}
    operations, around = ([_operation(done, processes, values, ranks) for done in each] for each in (window, others))
    trace = {
        "format": FORMAT,
        "configuration": {
            "algorithm": _algorithm(settings.provider),
            "processes": max(1, len(processes)),
            "slots": settings.slots,
            "slot_bytes": _SLOT_BYTES,
            "pregrab": settings.pregrab,
        },
        "breaks": "linearizable",
        "sentence": _renumbered(sentence, processes, values),
        "operations": operations,
        "interleaving": [],
    }
    named = sorted({done["slot"] for done in window if "slot" in done})
    states = [
        {
            "inuse": state["inuse"],
            "data": {str(slot): _data(values, state["values"][slot]) for slot in named if state["values"]},
        }
        for state in before
        if not any(done.get("status") == "TORN" for done in window)  # it contradicts every state
    ]
    return trace | ({"before": states} if states else {}) | ({"around": around} if around else {})


def _algorithm(provider: str) -> str:
    """Return the algorithm to ask about; for a provider whose code is unknown, the reference."""
    kind, _, name = provider.partition(":")
    return {"algorithm": name, "httpd": "httpd"}.get(kind, "reference")


def _renumbered(sentence: str, processes: dict[int, int], values: dict[int, int]) -> str:
    """Return the sentence with the trace's numbers for processes and values, where it has them."""

    def renumbered(match: re.Match[str]) -> str:
        said, number = match[1], int(match[2])
        if said == "process ":
            return f"{said}{processes.get(number, number)}"
        return f"{said}{_data(values, number) if number in values else number}"

    return re.sub(r"(process |value |put of |mixed with )(\d+)", renumbered, sentence)


def _others(window: list[dict[str, Any]], excerpt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return other operations on the window's slots: the puts of mixed values, then the longest."""
    known = {(done["client"], done["invoke_ns"]) for done in window}
    slots = {done.get("slot") for done in window}
    mixed = {done[key] for done in window if done.get("status") == "TORN" for key in ("value", "second")}
    found = [
        done
        for done in excerpt
        if (done["client"], done["invoke_ns"]) not in known
        and (done.get("slot") in slots or "slot" not in done)
        and done["op"] != "num_free_slots"
        and done.get("status") != "TORN"
    ]
    return sorted(found, key=lambda done: (not (done["op"] == "put" and done["value"] in mixed), -_length(done)))[
        :_MOST
    ]


def _length(done: dict[str, Any]) -> float:
    length: float = done.get("return_ns", float("inf")) - done["invoke_ns"]
    return length


def _operation(
    done: dict[str, Any], processes: dict[int, int], values: dict[int, int], ranks: dict[int, int]
) -> dict[str, Any]:
    process = processes.setdefault(done["client"], len(processes) + 1)
    request = {"op": done["op"]}
    if done["op"] not in ("grab", "num_free_slots"):
        request["id"] = done["slot"]
    if done["op"] == "put":
        request["data"] = _data(values, done["value"])
    operation: dict[str, Any] = {"process": process, "request": request}
    if "return_ns" in done:
        operation["result"] = _result(values, done)
    return operation | {"time": [ranks[done[key]] for key in ("invoke_ns", "return_ns") if key in done]}


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
