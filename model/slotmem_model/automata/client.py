"""What a process does: a short list of operations with registers, repeated for some rounds.

    grab -> a; put(a, me); get(a); release(a)

Operations are those of `slotmem_model.spec`. A register is set by `-> name` and used by its name;
an operation whose register was not set (the grab found nothing) is skipped. The second argument of
put is one small number that fills the slot; `me` is the process's own number, counted from 1. So
are what compare_and_put expects and what it puts.
A further argument is a length, as with get: `get(a, 1)`, `put(a, me, 3)`. A put of a part of a slot
is refused, for what it leaves would look torn; one that is too long, or empty, may be asked. So may
the nearest ids that a segment does not have: -1 and the number of its slots. Registers are
forgotten at the end of a round.

`tenant(a)` asks which process has a slot, and `reclaim(a, 2)` releases it if process 2 has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from slotmem_model.spec import Operation

DEFAULT = "grab -> a; put(a, me); get(a); release(a)"
ARGUMENTS = {"grab": 0, "fgrab": 1, "release": 1, "get": 1, "put": 2, "num_free_slots": 0, "slots": 0}
"""The operations, and how many arguments each must have; get and put may have a length as well."""
ADDED = {"compare_and_put": 3}
"""Operations that Apache's interface does not have; an algorithm may do without."""
OF_TENANTS = {"tenant": 1, "reclaim": 2}
"""Further ones, about who has a slot; see `asks_for_tenants`."""
_NEEDED = ARGUMENTS | ADDED | OF_TENANTS
_VALUES = {"put": (1,), "compare_and_put": (1, 2)}
"""Which arguments are values, by operation."""
_WITH_LENGTH = ("get", "put")
_CALL = re.compile(r"(?P<name>[a-z_]+)\s*(?:\((?P<arguments>[^()]*)\))?\s*(?:->\s*(?P<register>[a-z]\w*))?$")
ME = "me"


class Statement(NamedTuple):
    """One operation of a client: arguments are ints or names of registers; `register` is where its
    value goes.
    """

    name: str
    arguments: tuple[int | str, ...]
    register: str = ""

    def __str__(self) -> str:
        arguments = f"({', '.join(map(str, self.arguments))})" if self.arguments else ""
        return self.name + arguments + (f" -> {self.register}" if self.register else "")


class BadClient(ValueError):
    """A client that cannot be read, or that asks for what the model does not have."""


def parse(text: str, slots: int) -> tuple[Statement, ...]:
    """Read a client.

    Raises:
        BadClient: says which statement is wrong, and why.
    """
    statements: list[Statement] = []
    registers: set[str] = set()
    for part in filter(None, (part.strip() for part in text.split(";"))):
        match = _CALL.match(part)
        if match is None or match["name"] not in _NEEDED:
            known = ", ".join(_NEEDED)
            raise BadClient(f"client statement {part!r} is not one of {known}; expected e.g. {DEFAULT!r}")
        given = [word.strip() for word in (match["arguments"] or "").split(",") if word.strip()]
        needed = _NEEDED[match["name"]]
        if len(given) != needed and not (match["name"] in _WITH_LENGTH and len(given) == needed + 1):
            raise BadClient(f"{match['name']} takes {needed} arguments, got {len(given)} in {part!r}")
        if match["register"] and match["name"] != "grab":
            raise BadClient(f"only grab returns a slot that a register can keep, got {part!r}")
        arguments = tuple(int(word) if word.removeprefix("-").isdigit() else word for word in given)
        for at, argument in enumerate(arguments):
            is_value = at in _VALUES.get(match["name"], ())
            if match["name"] == "reclaim" and at == 1 and isinstance(argument, int):
                continue  # a process
            if at == needed:
                if not isinstance(argument, int):
                    raise BadClient(f"the length in {part!r} is not a number")
                continue
            if is_value and isinstance(argument, int) and argument < 0:
                raise BadClient(f"the value in {part!r} must be at least 0")
            if isinstance(argument, int) and not is_value and not -1 <= argument <= slots:
                raise BadClient(f"slot {argument} in {part!r} is out of range: there are {slots} (0..{slots - 1})")
            if isinstance(argument, str) and argument not in ({ME} if is_value else registers):
                what = "a number or 'me'" if is_value else "a slot number or a register set before"
                raise BadClient(f"{argument!r} in {part!r} is not {what}")
        statements.append(Statement(match["name"], arguments, match["register"] or ""))
        registers |= {match["register"]} if match["register"] else set()
    if not statements:
        raise BadClient(f"the client is empty; expected e.g. {DEFAULT!r}")
    return tuple(statements)


def asks_for_tenants(clients: Iterable[tuple[Statement, ...]]) -> bool:
    """Return whether clients ask who has a slot; only then does anybody have one in the model."""
    return any(statement.name in OF_TENANTS for statements in clients for statement in statements)


def largest_value(statements: tuple[Statement, ...], process: int) -> int:
    """Return the largest number that a process puts into a slot."""
    puts = [each.arguments[at] for each in statements for at in _VALUES.get(each.name, ())]
    return max((process + 1 if value == ME else int(value) for value in puts), default=0)


def bind(statement: Statement, registers: dict[str, int | None], process: int, item_size: int) -> Operation | None:
    """Return the operation of the specification that a statement stands for now; None if its
    register is not set.
    """
    values: list[int | bytes] = []
    for at, argument in enumerate(statement.arguments):
        if at in _VALUES.get(statement.name, ()):
            number = process + 1 if argument == ME else int(argument)
            nbytes = (
                int(statement.arguments[2]) if statement.name == "put" and len(statement.arguments) > 2 else item_size
            )
            if 0 < nbytes < item_size:
                raise BadClient(
                    f"{statement} fills {nbytes} of {item_size} bytes, and the slot would look torn; fill all of it"
                )
            values.append(bytes([number]) * nbytes)
        elif statement.name == "put" and at > 1:
            continue
        elif isinstance(argument, int):
            values.append(argument)
        else:
            slot = registers[argument]
            if slot is None:
                return None
            values.append(slot)
    return (statement.name, *values)
