"""A driver in Python. It wraps an implementation: the library slotmem, shared memory and persisted files included.

Run: slotmem conform exec:"python driver.py"
"""

import json
import sys
import time
from typing import Any

import slotmem

INTEGERS = {"segment", "id", "len", "item_size", "item_num", "generation"}
FIELDS: dict[str, tuple[str, ...]] = {
    "hello": ("runtime_dir", "generation"), "create": ("name", "item_size", "item_num", "type"), "attach": ("name",),
    "batch": ("segment", "requests"), "restart": (), "close": (), "grab": ("segment",), "fgrab": ("segment", "id"),
    "release": ("segment", "id"), "get": ("segment", "id"), "put": ("segment", "id", "data"), "num_slots": ("segment",),
    "num_free_slots": ("segment",), "slot_size": ("segment",),
}  # fmt: skip
provider: Any = None
segments: list[Any] = []


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Give the response; whatever raises without a status is an error."""
    global provider
    op = request["op"]
    fields = [request[name] for name in FIELDS[op]]
    if any(type(value) is not int for name, value in request.items() if name in INTEGERS):
        raise TypeError(f"an integer must be an integer: {request}")
    try:
        if op == "hello":
            provider = slotmem.provider("shm", runtime_dir=fields[0], generation=fields[1])
            identity = {"implementation": "slotmem, by the example driver", "version": slotmem.__version__}
            return {
                "protocol": 1,
                **identity,
                "language": "Python",
                "capabilities": ["batch", "restart", "shared", "persist"],
            }
        if op in ("create", "attach"):
            flags = sum(slotmem.Type[name] for name in fields.pop()) if op == "create" else 0
            made = provider.create(*fields, slotmem.Type(flags)) if op == "create" else provider.attach(*fields)
            segments.append(made)
            shape = {"item_size": made.slot_size(), "item_num": made.num_slots()} if op == "attach" else {}
            return {"status": "APR_SUCCESS", "segment": len(segments) - 1, **shape}
        if op == "batch":
            return {
                "status": "APR_SUCCESS",
                "responses": [stamped({**each, "segment": fields[0]}) for each in fields[1]],
            }
        if op in ("restart", "close"):
            getattr(provider, op)()
            return {"status": "APR_SUCCESS", **({"generation": provider.generation} if op == "restart" else {})}
        if op == "put":
            fields[2] = bytes.fromhex(fields[2])
        value = getattr(segments[fields[0]], op)(*fields[1:], *([request["len"]] if "len" in request else []))
        key = {"grab": "id", "get": "data"}.get(op, "value")
        return {"status": "APR_SUCCESS", **({} if value is None else {key: value.hex() if op == "get" else value})}
    except slotmem.SlotmemError as error:
        return {"status": error.status.name}


def stamped(request: dict[str, Any]) -> dict[str, Any]:
    """Give the response to an operation of a batch."""
    if request["op"] in ("hello", "create", "attach", "batch", "restart", "close"):
        raise ValueError("a batch has slot operations only")
    start = time.monotonic_ns()
    return {**answer(request), "start": start, "end": time.monotonic_ns()}


for line in sys.stdin:
    try:
        asked = json.loads(line)
        if asked["op"] == "quit":
            break
        response = answer(asked)
    except Exception as error:
        response = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(response), flush=True)
if provider:
    provider.close()
