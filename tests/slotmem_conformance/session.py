"""Sessions: everything that is held to the clauses answers requests of the protocol. (A stand-in until PROTOCOL.md is there.)"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any, Protocol

import slotmem
from slotmem import Status, Type


class AdapterError(Exception):
    """The driver did not answer as the protocol says; `kind` is garbage, died or hang."""

    def __init__(self, what: str, kind: str = "garbage") -> None:
        super().__init__(what)
        self.kind = kind


class Session(Protocol):
    """One implementation that answers requests."""

    hello: dict[str, Any]
    killable: bool

    def request(self, request: dict[str, Any]) -> dict[str, Any]: ...
    def kill(self) -> None: ...
    def close(self) -> None: ...


class ProviderSession:
    """A slotmem provider in this process."""

    killable = False

    def __init__(self, provider: Any, name: str) -> None:
        self.provider = provider
        self.segments: list[Any] = []
        capabilities = ["batch", "restart", "unsafe"]
        if name != "plain":
            capabilities += ["shared", "persist"]
        self.hello = {"protocol": 1, "implementation": name, "version": "0", "language": "Python", "capabilities": capabilities}

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"status": "APR_SUCCESS", **self._do(request)}
        except slotmem.SlotmemError as error:
            return {"status": error.status.name}

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        op = request["op"]
        if op == "create":
            flags = Type(0)
            for name in request["type"]:
                flags |= Type[name]
            self.segments.append(self.provider.create(request["name"], request["item_size"], request["item_num"], flags))
            return {"segment": len(self.segments) - 1}
        if op == "attach":
            unsafe = {"unsafe": True} if request.get("unsafe") else {}
            found = self.provider.attach(request["name"], **unsafe)
            self.segments.append(found)
            return {"segment": len(self.segments) - 1, "item_size": found.slot_size(), "item_num": found.num_slots()}
        if op == "restart":
            self.provider.restart()
            return {"generation": self.provider.generation}
        if op == "close":
            self.provider.close()
            return {}
        if op == "batch":
            responses = []
            for each in request["requests"]:
                start = time.monotonic_ns()
                got = self.request({**each, "segment": request["segment"]})
                responses.append({**got, "start": start, "end": time.monotonic_ns()})
            return {"responses": responses}
        found = self.segments[request["segment"]]
        if op == "grab":
            return {"id": found.grab()}
        if op in ("fgrab", "release"):
            getattr(found, op)(request["id"])
            return {}
        if op == "get":
            return {"data": found.get(request["id"], request.get("len")).hex()}
        if op == "put":
            found.put(request["id"], bytes.fromhex(request["data"]))
            return {}
        if op == "dptr":
            memory = found.dptr(request["id"])
            data = bytes.fromhex(request.get("data", ""))
            memory[: len(data)] = data
            return {"data": bytes(memory).hex()}
        if op == "doall":
            answers, seen = iter(request.get("answers", ())), []

            def visit(memory: memoryview, _: Any) -> int:
                seen.append(bytes(memory).hex())
                return int(Status[next(answers, "APR_SUCCESS")])

            return {"status": Status(found.doall(visit)).name, "slots": seen}
        return {"value": getattr(found, op)()}

    def kill(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.provider.close()


class ProcessSession:
    """A driver in a process of its own."""

    killable = True

    def __init__(self, command: list[str], hello: dict[str, Any], timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.hello = self.request({"op": "hello", "protocol": 1, **hello})

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
        except (OSError, ValueError):
            raise AdapterError("the driver died", "died") from None
        line = b""
        ends = time.monotonic() + self.timeout_s
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, ends - time.monotonic()))
            if not ready:
                raise AdapterError(f"no answer to {request['op']} in {self.timeout_s} s", "hang")
            more = os.read(self.process.stdout.fileno(), 1 << 20)
            if not more:
                raise AdapterError(f"the driver died when it was sent {request['op']}", "died")
            line += more
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        with suppress(OSError, ValueError):
            self.process.stdin.close()  # type: ignore[union-attr]
        try:
            self.process.wait(self.timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def open_session(
    spec: str, *, runtime_dir: str, generation: int = 0, timeout_s: float = 10.0, process: bool = False
) -> Session:
    """Open a session on any provider string."""
    if spec.startswith("exec:"):
        return ProcessSession(spec[5:].split(), {"runtime_dir": runtime_dir, "generation": generation}, timeout_s)
    if process and spec != "plain":
        command = [sys.executable, "-m", "slotmem_conformance.session", spec]
        return ProcessSession(command, {"runtime_dir": runtime_dir, "generation": generation}, timeout_s)
    return ProviderSession(slotmem.provider(spec, runtime_dir=runtime_dir, generation=generation), spec)


if __name__ == "__main__":
    hello = json.loads(sys.stdin.readline())
    served = open_session(sys.argv[1], runtime_dir=hello["runtime_dir"], generation=hello["generation"])
    print(json.dumps(served.hello), flush=True)
    for asked in sys.stdin:
        print(json.dumps(served.request(json.loads(asked))), flush=True)
    served.close()
