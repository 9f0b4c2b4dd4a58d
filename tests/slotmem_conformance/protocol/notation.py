"""Programs in short: one line a request, so that a table of cases can be read.

    create w 4 3 PERSIST|PREGRAB     attach w        (the name - is null, '' is empty)
    grab    fgrab 1    release 1     num_slots    num_free_slots    slot_size
    get 0    get 0 2    put 0 ABCD   dptr 0    dptr 0 ABCD
    doall    doall APR_SUCCESS APR_EGENERAL
    restart    close

Data are written as they are, and sent in hexadecimal. `1: grab` is a request of the second server
(the first is number 0), `@1 grab` one to the second segment that its server opened; where nothing
is said, the first is meant. `$DIR` stands for the runtime directory, so that a program has absolute
names.

Interface: `parse(text)` gives the steps of a program, lines or `;` between them; `Step.request` is
an object of the protocol.
"""

from __future__ import annotations

import shlex
from typing import Any, NamedTuple

Request = dict[str, Any]
FLAGS = {"PERSIST": 1, "NOTMPSAFE": 2, "PREGRAB": 4, "CLEARINUSE": 8}


class Step(NamedTuple):
    """One request of a program, and who sends it."""

    server: int
    request: Request


def parse(text: str) -> list[Step]:
    """Read a program.

    Raises:
        ValueError: if a line is not a request.
    """
    lines = (line.strip() for line in text.replace(";", "\n").splitlines())
    return [_step(line) for line in lines if line]


def _step(line: str) -> Step:
    server, segment = 0, 0
    words = shlex.split(line)
    if words[0].endswith(":"):
        server = int(words.pop(0)[:-1])
    if words[0].startswith("@"):
        segment = int(words.pop(0)[1:])
    return Step(server, _request(line, segment, *words))


def _request(line: str, segment: int, op: str, *words: str) -> Request:
    match op, words:
        case "create", (name, item_size, item_num, *flags):
            given = {"name": _name(name), "item_size": int(item_size), "item_num": int(item_num)}
            return {"op": op, **given, "type": flags[0].split("|") if flags else []}
        case "attach", (name,):
            return {"op": op, "name": _name(name)}
        case (("restart" | "close"), ()):
            return {"op": op}
        case (("grab" | "num_slots" | "num_free_slots" | "slot_size"), ()):
            return {"op": op, "segment": segment}
        case (("fgrab" | "release" | "get" | "dptr"), (item_id,)):
            return {"op": op, "segment": segment, "id": int(item_id)}
        case "get", (item_id, nbytes):
            return {"op": op, "segment": segment, "id": int(item_id), "len": int(nbytes)}
        case (("put" | "dptr"), (item_id, data)):
            return {"op": op, "segment": segment, "id": int(item_id), "data": data.encode().hex()}
        case "compare_and_put", (item_id, expected, data):
            hexed = {"expected": expected.encode().hex(), "data": data.encode().hex()}
            return {"op": op, "segment": segment, "id": int(item_id), **hexed}
        case "doall", answers:
            return {"op": op, "segment": segment, **({"answers": list(answers)} if answers else {})}
    raise ValueError(f"not a request in this notation: {line!r}")


def _name(word: str) -> str | None:
    return None if word == "-" else word
