"""Find a driver's mistakes in the protocol itself: `slotmem conform exec:... --check-adapter`.

Interface:

- `check_adapter(spec)` gives a list of `Finding`s, each one line; an empty list says that the
  driver speaks the protocol.

Each probe starts the driver anew, so that one mistake does not hide the next. The first says hello
and creates a segment; where that fails the others would only repeat it, and are left out. What an
implementation answers is judged only as far as PROTOCOL.md fixes it; what is right beyond that is
for the clauses to say.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable

from slotmem_conformance.adapter_check.talk import CREATE, GENERATION, ITEM_NUM, ITEM_SIZE, Finding, Findings, Talk
from slotmem_conformance.protocol import protocol
from slotmem_conformance.protocol.protocol import Message
from slotmem_conformance.protocol.session import TIMEOUT_S

LARGE_SLOT = 100_000
LARGE_BATCH = 10_000
NO_SLOT = ITEM_NUM + 96
DATA = "00ff7fa0"


def check_adapter(spec: str, *, timeout_s: float = TIMEOUT_S) -> list[Finding]:
    """Find what is wrong with a driver.

    Raises:
        ValueError: if the string names no command.
        AdapterError: if it does not start.
    """
    findings: Findings = {}
    for probe in PROBES:
        with (
            tempfile.TemporaryDirectory(prefix="slotmem-adapter-") as folder,
            Talk(spec, findings, timeout_s, folder) as talk,
        ):
            talk.open()
            probe(talk)
        if not talk.opened:
            break
    return list(findings.values())


def _operations(talk: Talk) -> None:
    """Each operation answers with its fields, and hexadecimal digits mean bytes."""
    talk.done(talk.slot("num_slots"), value=ITEM_NUM)
    talk.done(talk.slot("slot_size"), value=ITEM_SIZE)
    talk.done(talk.slot("fgrab", id=0))
    talk.done(talk.slot("num_free_slots"), value=ITEM_NUM - 1)
    talk.done(talk.slot("put", id=0, data=DATA))
    talk.done(talk.slot("put", id=0, data=""))
    talk.done(talk.slot("get", id=0), data=DATA)
    talk.done(talk.slot("get", id=0, len=2), data=DATA[:4])
    talk.done(talk.slot("get", id=0, len=0), data="")
    talk.done(talk.slot("grab"))
    talk.done(talk.slot("release", id=0))


def _pointers(talk: Talk) -> None:
    """`dptr` and `doall`, for a driver that has them."""
    talk.done(talk.slot("fgrab", id=0))
    talk.done(talk.slot("put", id=0, data=DATA))
    if "dptr" in talk.capabilities:
        talk.done(talk.slot("dptr", id=0), data=DATA)
        talk.done(talk.slot("dptr", id=0, data="1234"), data="1234" + DATA[4:])
        talk.error(*_line(talk.slot("dptr", id=0, data="00" * (ITEM_SIZE + 1))), "a pointer to fewer bytes")
    if "doall" in talk.capabilities:
        seen = "1234" + DATA[4:] if "dptr" in talk.capabilities else DATA
        talk.done(talk.slot("doall"), slots=[seen])
        talk.done(talk.slot("doall", answers=["APR_EGENERAL"]), status="APR_EGENERAL", slots=[seen])


def _refusals(talk: Talk) -> None:
    """A refusal has a status; it is not an error."""
    talk.refused(talk.slot("release", id=1))
    talk.refused(talk.slot("get", id=1))
    talk.refused(talk.slot("put", id=1, data=DATA))
    for op, arguments in (("fgrab", {}), ("release", {}), ("get", {}), ("get", {"len": 2}), ("put", {"data": DATA})):
        for item_id in (NO_SLOT, -1):
            talk.refused(talk.slot(op, id=item_id, **arguments))
    for _ in range(ITEM_NUM):
        talk.done(talk.slot("grab"))
    talk.refused(talk.slot("grab"))
    talk.refused({"op": "attach", "name": "nobody"})
    talk.refused({"op": "attach", "name": None})


def _errors(talk: Talk) -> None:
    """Whatever is not a request gets an error, and the driver goes on."""
    talk.error(*_line({"op": "dance"}), "an operation that does not exist")
    talk.error(b"this is not JSON\n", "'this is not JSON'", "a line that is not JSON")
    talk.error(b'{"op":"num_slots"\n', '\'{"op":"num_slots"\'', "half an object")
    talk.error(*_line({"op": "num_slots"}), "a request without its segment")
    talk.error(*_line({"op": "num_slots", "segment": talk.segment + 96}), "a segment number that was never given")
    talk.error(*_line(talk.slot("get")), "a request without its id")
    talk.error(*_line(talk.slot("get", id="0")), "an id that is a string")
    talk.error(*_line(talk.slot("put", id=0)), "a request without its data")
    talk.error(*_line({"op": "create", "name": "v"}), "a request without its fields")
    for capability, request in _OPTIONAL.items():
        if capability not in talk.capabilities:
            told = {**request, "segment": talk.segment} if "segment" in request else request
            talk.error(*_line(told), f"{capability}, which is not among its capabilities")
    talk.done(talk.slot("num_slots"), value=ITEM_NUM)


_OPTIONAL: dict[str, Message] = {
    "batch": {"op": "batch", "segment": 0, "requests": []},
    "restart": {"op": "restart"},
    "dptr": {"op": "dptr", "segment": 0, "id": 0},
    "doall": {"op": "doall", "segment": 0},
}


def _spelling(talk: Talk) -> None:
    """JSON is more than what one program happens to write: blanks, order, escapes, null, long
    lines.
    """
    request = {"segment": talk.segment, "op": "slot_size"}
    talk_line = json.dumps(request, separators=(" ,\t", " : ")).encode() + b"\n"
    response = talk.raw(talk_line, "the same with blanks and another order")
    if protocol.response_fault(request, response) is not None:
        talk.note(talk_line.decode().strip(), response, f'{{"status":"APR_SUCCESS","value":{ITEM_SIZE}}}')
    talk.create({**CREATE, "name": None})
    talk.create(
        {**CREATE, "name": 'a "name" with \\ and \t and \u00e9', "type": ["NOTMPSAFE", "CLEARINUSE", "PREGRAB"]}
    )
    talk.segment = talk.create({**CREATE, "name": "long", "item_size": LARGE_SLOT, "type": []})
    long = "5a" * LARGE_SLOT
    talk.done(talk.slot("put", id=0, data=long))
    talk.done(talk.slot("get", id=0), data=long)


def _batch(talk: Talk) -> None:
    """A batch has a response for each request, in order, stamped by the right clock."""
    if "batch" not in talk.capabilities:
        return
    talk.done(talk.slot("batch", requests=[]), responses=[])
    requests: list[Message] = [
        {"op": "fgrab", "id": 0},
        {"op": "put", "id": 0, "data": DATA},
        {"op": "get", "id": 0, "len": 2},
        {"op": "get", "id": NO_SLOT},
        {"op": "slot_size"},
    ]
    before = time.monotonic_ns()
    request = talk.slot("batch", requests=requests)
    response = talk.done(request)
    after = time.monotonic_ns()
    if response is None:
        return
    told = response["responses"]
    if not (before <= told[0]["start"] and told[-1]["end"] <= after):
        talk.note(request, response, f"time stamps of CLOCK_MONOTONIC in nanoseconds, from {before} to {after}")
    if told[2].get("data") != DATA[:4] or told[4].get("value") != ITEM_SIZE or told[3]["status"] == protocol.SUCCESS:
        talk.note(request, response, "the responses in the order of the requests, and a refusal that stops nothing")
    talk.error(
        *_line(talk.slot("batch", requests=[{"op": "restart"}])), "a batch with something other than a slot operation"
    )
    talk.done(talk.slot("batch", requests=[{"op": "num_slots"}] * LARGE_BATCH))


def _restart(talk: Talk) -> None:
    """`restart` counts on from the generation of hello, and no segment number is given twice."""
    if "restart" not in talk.capabilities:
        return
    talk.done({"op": "restart"}, generation=GENERATION + 1)
    talk.refused(talk.slot("num_slots"))
    number = talk.create(CREATE)
    if number == talk.segment:
        talk.note(
            CREATE, {"status": protocol.SUCCESS, "segment": number}, "a segment number that was never given before"
        )


def _attach(talk: Talk) -> None:
    """`attach` gives the shape; what another driver made can be attached, with the capability
    `shared`.
    """
    talk.done({"op": "attach", "name": "w"}, item_size=ITEM_SIZE, item_num=ITEM_NUM)
    if "unsafe" in talk.capabilities:
        talk.done({"op": "attach", "name": "w", "unsafe": True}, item_size=ITEM_SIZE, item_num=ITEM_NUM)
    if "timeout" in talk.capabilities:
        talk.done({"op": "attach", "name": "w", "timeout_ms": 1500}, item_size=ITEM_SIZE, item_num=ITEM_NUM)
    if "shared" in talk.capabilities:
        with talk.another() as other:
            other.hello()
            other.done({"op": "attach", "name": "w"}, item_size=ITEM_SIZE, item_num=ITEM_NUM)


def _close(talk: Talk) -> None:
    """After `close` everything is refused, and `quit` still ends the driver."""
    talk.done({"op": "close"})
    talk.refused(talk.slot("num_slots"))
    talk.refused({**CREATE, "name": "v"})
    _quit(talk)


def _quit(talk: Talk) -> None:
    """`quit` ends the driver with status 0, without a word."""
    talk.ended('{"op":"quit"}', quit=True)


def _end_of_input(talk: Talk) -> None:
    """The end of the input ends the driver too."""
    talk.ended("the end of its input", quit=False)


PROBES: tuple[Callable[[Talk], None], ...] = (
    _operations,
    _pointers,
    _refusals,
    _errors,
    _spelling,
    _batch,
    _restart,
    _attach,
    _close,
    _quit,
    _end_of_input,
)


def _line(request: Message) -> tuple[bytes, Message]:
    return protocol.encode(request), request
