"""A conversation with a driver that notes what is wrong with each response, and goes on.

Interface:

- `Talk(...)` is a driver that was just started on a runtime directory; `open()` says hello and
  creates a segment.
- `ask`, `done`, `refused`, `error` send something and note a `Finding` if the answer is not the one
  required.
- `Over` ends a probe: what was noted makes the rest of it pointless. So does an `AdapterError`,
  which is noted.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple, Self

from slotmem_conformance.protocol import places, protocol
from slotmem_conformance.protocol.process_session import JSON_LINE, AdapterError, ended, shown
from slotmem_conformance.protocol.protocol import SUCCESS, Message
from slotmem_conformance.protocol.schema import short
from slotmem_conformance.protocol.session import start
from slotmem_stress.interrupts import without_interrupts

ITEM_SIZE, ITEM_NUM, GENERATION = 4, 3, 5
CREATE: Message = {"op": "create", "name": "w", "item_size": ITEM_SIZE, "item_num": ITEM_NUM, "type": ["PREGRAB"]}
_EXTRA_OUTPUT_WAIT_S = 0.05


class Finding(NamedTuple):
    """One mistake: what was sent, what came back, what was expected, and the last line of the
    driver's standard error.
    """

    sent: str
    got: str
    expected: str
    stderr: str = ""

    def __str__(self) -> str:
        said = f'; the last line of its standard error is "{self.stderr}"' if self.stderr else ""
        return f"sent {self.sent}, got {self.got}, expected {self.expected}{said}"


Findings = dict[tuple[str, str], Finding]
"""Each mistake once: by the operation, and by what was expected of which part of the response."""


class Over(Exception):
    """The rest of a probe is pointless."""


class Talk:
    """A driver that a probe talks to."""

    def __init__(self, spec: str, findings: Findings, timeout_s: float, folder: str) -> None:
        self.spec = spec
        self.findings = findings
        self.timeout_s = timeout_s
        self.folder = folder
        self.capabilities: list[str] = []
        self.opened = False
        self.segment = 0
        self._names: set[str] = set()
        self.session = start(spec, timeout_s=timeout_s)
        self.which = ""

    def another(self) -> Talk:
        """Start the same driver once more on the same runtime directory."""
        other = Talk(self.spec, self.findings, self.timeout_s, self.folder)
        other.which = " to a second driver with the same runtime_dir"
        return other

    def hello(self) -> None:
        """Say hello.

        Raises:
            Over
            AdapterError
        """
        hello = self.ask(
            {"op": "hello", "protocol": protocol.VERSION, "runtime_dir": self.folder, "generation": GENERATION}
        )
        if hello is None:
            raise Over
        extra = self.session.unread(_EXTRA_OUTPUT_WAIT_S)
        if extra:
            raise AdapterError(sent="nothing after hello", got=shown(extra), expected="no line without a request")
        self.capabilities = hello["capabilities"]

    def open(self) -> None:
        """Say hello and create a segment.

        Raises:
            Over
            AdapterError
        """
        self.hello()
        self.segment = self.create(CREATE)
        self.opened = True

    def ended(self, sent: str, *, quit: bool) -> None:
        """Ask the driver to end, and note if it does not, ends with another status than 0, or still
        says something.
        """
        status, said = self.session.finish(quit=quit)
        if said:
            self.note(sent, shown(said), "no response")
        if status != 0:
            got = f"no exit within {self.timeout_s:g} s" if status is None else ended(status)
            self.note(sent, got, "an exit with status 0", self.session.stderr())

    def create(self, request: Message) -> int:
        """Create a segment and return its number.

        Raises:
            Over
            AdapterError
        """
        created = self.done(request)
        if created is None:
            raise Over
        number: int = created["segment"]
        return number

    def slot(self, op: str, **arguments: Any) -> Message:
        """Return a slot operation on the segment."""
        return {"op": op, "segment": self.segment, **arguments}

    def raw(self, line: bytes, sent: Any) -> Any:
        """Return what comes back for a line.

        Raises:
            AdapterError: if nothing does, or it cannot be read.
        """
        if isinstance(sent, dict) and sent.get("op") == "create" and sent.get("name"):
            self._names.add(sent["name"])
        told = _told(sent)
        answer = self.session.exchange(line, told)
        extra = self.session.unread(0.0)
        if extra:
            got = f"{shown(answer)} and then {shown(extra)}"
            raise AdapterError(
                sent=told, got=got, expected="one line for one request, and nothing else on standard output"
            )
        try:
            return protocol.decode(answer)
        except ValueError as error:
            raise AdapterError(sent=told, got=shown(answer), expected=f"{JSON_LINE} ({error})") from None

    def ask(self, request: Message) -> Message | None:
        """Return the response if it is well-formed; if not, note what is wrong with it and return
        None.

        Raises:
            AdapterError
        """
        response = self.raw(protocol.encode(request), request)
        fault = protocol.response_fault(request, response)
        if fault is None:
            return dict(response)
        self.note(request, response, fault)
        return None

    def done(self, request: Message, **fields: Any) -> Message | None:
        """Ask for what every implementation can do; `fields` are what the response must contain.

        Raises:
            AdapterError
        """
        response = self.ask(request)
        if response is None:
            return None
        for name, value in {"status": SUCCESS, **fields}.items():
            if response[name] != value:
                self.note(request, response, f"response.{name} to be {short(value)}")
                return None
        return response

    def refused(self, request: Message) -> None:
        """Ask for what every implementation refuses.

        Raises:
            AdapterError
        """
        response = self.ask(request)
        if response is not None and response["status"] == SUCCESS:
            self.note(request, response, "response.status to be other than APR_SUCCESS")

    def error(self, line: bytes, sent: Any, why: str) -> None:
        """Send something that is not a request: the answer must be an error.

        Raises:
            AdapterError
        """
        response = self.raw(line, sent)
        if protocol.error_fault(response) is not None:
            self.note(sent, response, f'only {{"error":"..."}}, for {why}')

    def note(self, sent: Any, got: Any, expected: str, stderr: str = "") -> None:
        """Note a mistake, unless the same was noted before."""
        finding = Finding(_told(sent) + self.which, _told(got), expected, stderr.rpartition("\n")[2].strip())
        operation = sent["op"] if isinstance(sent, dict) and "op" in sent else finding.sent
        self.findings.setdefault((operation, expected.partition(", not ")[0]), finding)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """End the driver, and remove its objects. What ended the probe is noted, and not raised."""
        if isinstance(error, AdapterError):
            self.note(error.sent, error.got, error.expected, error.stderr)
        with without_interrupts():
            self.session.kill()
            places.remove_objects((name, self.folder, GENERATION) for name in self._names)
        return isinstance(error, AdapterError | Over)


def _told(message: Any) -> str:
    return message if isinstance(message, str) else short(message)
