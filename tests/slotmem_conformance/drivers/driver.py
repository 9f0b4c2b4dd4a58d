"""A driver in Python, for the library slotmem with its shared memory and persisted files.

Run: slotmem conform exec:"python driver.py". To try your own, change what the operations call.
"""

import json
import sys
from time import monotonic_ns as now
from typing import Any

import slotmem

HELLO = {"protocol": 1, "implementation": "slotmem, wrapped", "version": slotmem.__version__, "language": "Python"}
CAPABILITIES = ["batch", "restart", "dptr", "doall", "shared", "persist", "unsafe"]
provider: Any  # made at the bottom, when hello has come
segments: dict[int, Any] = {}  # by the number that the suite knows them by


def create(name: str | None, item_size: int, item_num: int, type: list[str]) -> dict[str, Any]:
    flags = slotmem.Type(sum(slotmem.Type[each] for each in type))
    segments[len(segments)] = provider.create(name, item_size, item_num, flags)
    return {"segment": len(segments) - 1}


def attach(name: str | None, unsafe: bool = False) -> dict[str, Any]:
    made = segments[len(segments)] = provider.attach(name, unsafe=unsafe)
    return {"segment": len(segments) - 1, "item_size": made.slot_size(), "item_num": made.num_slots()}


def batch(segment: int, requests: list[dict[str, Any]]) -> dict[str, Any]:
    return {"responses": [{"start": now(), **respond(segment=segment, **each), "end": now()} for each in requests]}


def dptr(segment: int, id: int, data: str = "") -> dict[str, Any]:
    memory, written = segments[segment].dptr(id), bytes.fromhex(data)
    memory[: len(written)] = written
    return {"data": memory.hex()}


def doall(segment: int, answers: tuple[str, ...] = ()) -> dict[str, Any]:
    slots: list[str] = []

    def callback(memory: memoryview, _: Any) -> int:
        slots.append(memory.hex())
        return slotmem.Status[answers[len(slots) - 1]] if len(slots) <= len(answers) else 0

    return {"status": slotmem.Status(segments[segment].doall(callback)).name, "slots": slots}


# A field that is missing, or one too many, is a wrong argument: Python raises, so it is an error.
OPERATIONS: dict[str, Any] = {
    **{each.__name__: each for each in (create, attach, batch, dptr, doall)},
    "restart": lambda: provider.restart() or {"generation": provider.generation},
    "close": lambda: provider.close(),
    "grab": lambda segment: {"id": segments[segment].grab()},
    "fgrab": lambda segment, id: segments[segment].fgrab(id),
    "release": lambda segment, id: segments[segment].release(id),
    "get": lambda segment, id, len=None: {"data": segments[segment].get(id, len).hex()},
    "put": lambda segment, id, data: segments[segment].put(id, bytes.fromhex(data)),
    "num_slots": lambda segment: {"value": segments[segment].num_slots()},
    "num_free_slots": lambda segment: {"value": segments[segment].num_free_slots()},
    "slot_size": lambda segment: {"value": segments[segment].slot_size()},
}


def respond(op: str, **fields: Any) -> dict[str, Any]:
    try:
        return {"status": "APR_SUCCESS", **(OPERATIONS[op](**fields) or {})}
    except slotmem.SlotmemError as error:
        if isinstance(error, TypeError):  # the request is malformed: that is not a refusal
            raise
        return {"status": error.status.name}


hello = json.loads(sys.stdin.readline())
with slotmem.provider("shm", runtime_dir=hello["runtime_dir"], generation=hello["generation"]) as provider:
    print(json.dumps(HELLO | {"capabilities": CAPABILITIES}), flush=True)
    for line in sys.stdin:
        try:
            request = json.loads(line)
            if request["op"] == "quit":
                break
            response = respond(**request)
        except Exception as error:
            response = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(response), flush=True)
