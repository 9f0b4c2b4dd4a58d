"""Answering requests with a slotmem provider, in this process or in the bundled driver.

Interface:

- `Answerer(spec).answer(request)` gives the response to one request, and None to `quit`.
- A malformed request, and one that is not allowed at this moment, gives an error object and changes
  nothing.
- A provider's attribute `hello`, if it has one, overrides fields of the answer to hello.
- An exception with an APR status is a refusal; any other is an error object that names it.
"""

from __future__ import annotations

import platform
import time
from pkgutil import resolve_name
from typing import Any

import slotmem
from slotmem import Type
from slotmem.shm import ShmProvider
from slotmem_conformance.protocol import protocol
from slotmem_conformance.protocol.protocol import SUCCESS, Message

# Ours are known without installed metadata: a driver also works when the packages are merely on the
# path. Only the one that is asked for is imported: a driver is started for every server of every
# case.
_OWN = {
    "abi": "slotmem_conformance.adapters.abi:AbiProvider",
    "algorithm": "slotmem_stress.provider.algorithm_provider:AlgorithmProvider",
    "httpd": "slotmem_conformance.adapters.httpd:HttpdProvider",
}
CAPABILITIES = ("batch", "restart", "dptr", "doall", "compare_and_put")
SHARED_CAPABILITIES = (*CAPABILITIES, "shared", "persist", "unsafe", "timeout")
_OTHER_STATUS = 1_000_000  # a walk's answers are numbers of ours: this one and those after it


def open_provider(spec: str, *, runtime_dir: str, generation: int) -> Any:
    """Make the provider that a string names.

    Raises:
        slotmem.SlotmemError: if it is not known, or cannot work here.
    """
    name, _, argument = spec.partition(":")
    if name in _OWN:
        return resolve_name(_OWN[name]).from_spec(argument, runtime_dir=runtime_dir, generation=generation)
    return slotmem.provider(spec, runtime_dir=runtime_dir, generation=generation)


class Answerer:
    """One provider and its segments, asked by requests."""

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.provider: Any = None
        self.instances: list[Any] = []

    def answer(self, request: Any) -> Message | None:
        """Return the response; None to `quit`."""
        fault = protocol.request_fault(request)
        if fault is None:
            fault = self._untimely(request)
        if fault is not None:
            return {"error": f"expected {fault}"}
        op = request["op"]
        try:
            if op in protocol.SLOT_OPERATIONS:
                return _operate(self.instances[request["segment"]], request)
            response: Message | None = getattr(self, f"_{op}")(request)
        except Exception as error:
            return _refusal(error)
        return response

    def close(self) -> None:
        """End the provider cleanly."""
        if self.provider is not None:
            self.provider.close()

    def _untimely(self, request: Message) -> str | None:
        op = request["op"]
        if (op == "hello") != (self.provider is None) and op != "quit":
            return "hello first" if op != "hello" else "hello once"
        if "segment" in request and request["segment"] >= len(self.instances):
            return f"one of the {len(self.instances)} segments that were opened, not {request['segment']}"
        return None

    def _hello(self, request: Message) -> Message:
        try:
            self.provider = open_provider(
                self.spec, runtime_dir=request["runtime_dir"], generation=request["generation"]
            )
        except slotmem.SlotmemError as error:  # hello has no status: without a provider nothing can be asked
            return {"error": str(error)}
        capabilities = SHARED_CAPABILITIES if isinstance(self.provider, ShmProvider) else CAPABILITIES
        beyond = () if getattr(self.provider, "has_updates", False) else ("compare_and_put",)
        told = {
            "protocol": protocol.VERSION,
            "implementation": f"slotmem {self.spec}",
            "version": slotmem.__version__,
            "language": f"Python {platform.python_version()}",
            "capabilities": [each for each in capabilities if each not in beyond],
        }
        return told | getattr(self.provider, "hello", {})

    def _create(self, request: Message) -> Message:
        flags = Type(0)
        for name in request["type"]:
            flags |= Type[name]
        instance = self.provider.create(request["name"], request["item_size"], request["item_num"], flags)
        return {"status": SUCCESS, "segment": self._number(instance)}

    def _attach(self, request: Message) -> Message:
        options = {"unsafe": True} if request.get("unsafe") else {}
        if "timeout_ms" in request:
            self.provider.timeout_s = request["timeout_ms"] / 1000
        instance = self.provider.attach(request["name"], **options)
        # A library's attach reports the shape itself, and may report a wrong one.
        item_size, item_num = getattr(instance, "attached", None) or (instance.slot_size(), instance.num_slots())
        shape = {"item_size": item_size, "item_num": item_num}
        return {"status": SUCCESS, "segment": self._number(instance), **shape}

    def _batch(self, request: Message) -> Message:
        instance = self.instances[request["segment"]]
        return {"status": SUCCESS, "responses": [_stamped(instance, each) for each in request["requests"]]}

    def _restart(self, request: Message) -> Message:
        self.provider.restart()
        return {"status": SUCCESS, "generation": self.provider.generation}

    def _close(self, request: Message) -> Message:
        self.provider.close()
        return {"status": SUCCESS}

    def _quit(self, request: Message) -> None:
        self.close()

    def _number(self, instance: Any) -> int:
        """Return the number of an instance, the old one if it is known: create and attach may give
        the same again.
        """
        for number, known in enumerate(self.instances):
            if known is instance:
                return number
        self.instances.append(instance)
        return len(self.instances) - 1


def _stamped(instance: Any, request: Message) -> Message:
    start = time.monotonic_ns()
    response = _operate(instance, request)
    end = time.monotonic_ns()
    response["start"] = start
    response["end"] = end
    return response


def _operate(instance: Any, request: Message) -> Message:
    try:
        return _OPERATIONS[request["op"]](instance, request)
    except Exception as error:
        return _refusal(error)


def _grab(instance: Any, request: Message) -> Message:
    return {"status": SUCCESS, "id": instance.grab()}


def _fgrab(instance: Any, request: Message) -> Message:
    instance.fgrab(request["id"])
    return {"status": SUCCESS}


def _release(instance: Any, request: Message) -> Message:
    instance.release(request["id"])
    return {"status": SUCCESS}


def _get(instance: Any, request: Message) -> Message:
    return {"status": SUCCESS, "data": instance.get(request["id"], request.get("len")).hex()}


def _put(instance: Any, request: Message) -> Message:
    instance.put(request["id"], bytes.fromhex(request["data"]))
    return {"status": SUCCESS}


def _compare_and_put(instance: Any, request: Message) -> Message:
    expected, data = bytes.fromhex(request["expected"]), bytes.fromhex(request["data"])
    return {"status": SUCCESS, "value": instance.compare_and_put(request["id"], expected, data)}


def _dptr(instance: Any, request: Message) -> Message:
    memory = instance.dptr(request["id"])
    if "data" in request:
        data = bytes.fromhex(request["data"])
        if len(data) > len(memory):
            return {"error": f"a pointer to {len(memory)} bytes cannot take {len(data)}"}
        memory[: len(data)] = data
    return {"status": SUCCESS, "data": bytes(memory).hex()}


def _doall(instance: Any, request: Message) -> Message:
    answers = request.get("answers", [])
    seen: list[str] = []

    def callback(memory: memoryview, _: Any) -> int:
        seen.append(bytes(memory).hex())
        at = len(seen) - 1
        return 0 if at >= len(answers) or answers[at] == SUCCESS else _OTHER_STATUS + at

    stopped = instance.doall(callback)
    return {"status": answers[stopped - _OTHER_STATUS] if stopped else SUCCESS, "slots": seen}


def _num_slots(instance: Any, request: Message) -> Message:
    return {"status": SUCCESS, "value": instance.num_slots()}


def _num_free_slots(instance: Any, request: Message) -> Message:
    return {"status": SUCCESS, "value": instance.num_free_slots()}


def _slot_size(instance: Any, request: Message) -> Message:
    return {"status": SUCCESS, "value": instance.slot_size()}


_OPERATIONS = {
    "grab": _grab,
    "fgrab": _fgrab,
    "release": _release,
    "get": _get,
    "put": _put,
    "compare_and_put": _compare_and_put,
    "dptr": _dptr,
    "doall": _doall,
    "num_slots": _num_slots,
    "num_free_slots": _num_free_slots,
    "slot_size": _slot_size,
}


def _refusal(error: Exception) -> Message:
    """Return the response to a call that raised: a status if it has one.

    Of several errors the first counts.
    """
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    name = getattr(getattr(error, "status", None), "name", None)
    if name is None:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"status": name}
