"""The standard configurations: what `slotmem check` explores when no question is asked.

Interface:

- `STANDARD` lists each configuration with the verdict that it must have. Each reaches something
  that the others do not.
- `standard_of(name, algorithm)` returns the same questions for another algorithm, as far as they
  can be put to it, and says what is left out.

An algorithm says what it is made for with class attributes:

- `survives_deaths = True`: a process may be killed at any moment; otherwise nobody dies.
- `survives_exceptions = True`: an exception may end an operation at any access, and another one its
  way out; otherwise none does.
- `checks_lengths = True`: a get or put of more bytes than a slot has is refused (GET-5, PUT-5).
- `made_for = {"pregrab": True, "slot_bytes": 1}`: these values of a configuration, and no others.
- `lowest_first = False`: grab takes any free slot, not the lowest (GRAB-2 is not promised).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from slotmem_model.automata import client
from slotmem_model.automata.client import Statement
from slotmem_model.checker.model import Configuration
from slotmem_model.verdict import HELD, VIOLATED


class Standard(NamedTuple):
    """A configuration and its expected verdict."""

    configuration: Configuration
    expected: str = HELD


_MIXED = (
    "grab -> a; put(a, me); get(a); release(a)",
    "fgrab(0); put(0, me); release(0)",
    "num_free_slots; get(0); slots",
)
_ALONE = (
    "grab -> a; put(a, 1); get(a); get(a, 1); fgrab(a); grab -> b; get(b); release(b); get(a); grab -> c; grab -> d"
)
_ALONE += "; num_free_slots; slots; release(a); release(a); put(a, 2); get(a); fgrab(a); get(a); release(1); slots"
_BAD_IDS = "fgrab(2); release(2); get(2); put(2, 1); fgrab(-1); release(-1); get(-1); put(-1, 1); num_free_slots"
_BAD_LENGTHS = "get(0, 3); get(0, -1); put(0, 1, 3)"
"""Lengths belong to the profile safe, so only algorithms that check them are asked."""

_OF_TENANTS = (
    Configuration(slots=1, clients=("grab -> a; put(a, me); tenant(a); release(a)",), crashes=2),
    Configuration(slots=1, clients=("fgrab(0); put(0, 1); release(0); grab -> a; tenant(a)", "tenant(0)"), crashes=1),
    Configuration(
        processes=3,
        slots=1,
        crashes=1,
        timeouts=True,
        clients=("grab -> a", "reclaim(0, 1); grab -> a; tenant(0)", "reclaim(0, 1)"),
    ),
    # A put that its death cut short is finished, but does not count for who has the slot now.
    Configuration(
        processes=3,
        slots=1,
        crashes=1,
        clients=("grab -> a; put(a, 1)", "reclaim(0, 1); grab -> a; tenant(0)", "get(0)"),
    ),
    Configuration(
        pregrab=False,
        slots=1,
        slot_bytes=1,
        crashes=1,
        clients=("put(0, 1)", "get(0); tenant(0)"),
    ),
)
"""Only algorithms that know tenants are asked."""

_QUESTIONS = (
    Configuration(),
    # One process alone: what each operation answers, and leaves behind, in any state.
    Configuration(processes=1, clients=(_ALONE,)),
    Configuration(clients=("fgrab(0); put(0, 1)", _BAD_IDS)),
    Configuration(clients=("fgrab(0); put(0, 1)", _BAD_LENGTHS)),
    Configuration(crashes=2),
    Configuration(rounds=2, crashes=1),
    # More processes than slots: grabs that find the table full.
    Configuration(processes=3, crashes=1),
    Configuration(processes=3, slots=3),
    Configuration(processes=2, slots=1, rounds=3, crashes=1),
    # All slots' bytes under one mutex, and waits that time out.
    Configuration(stripes=1, timeouts=True, crashes=1),
    # All operations at once; fgrab and release by number, so nobody owns anything.
    Configuration(processes=3, clients=_MIXED, crashes=1),
    # The same slot: everything that changes it beside everything that does.
    Configuration(clients=("fgrab(0); put(0, me); get(0); release(0)",), timeouts=True, crashes=1),
    Configuration(clients=("fgrab(0); put(0, 1); put(0, 0)", "put(0, 2); get(0); get(0)"), crashes=1),
    Configuration(
        timeouts=True,
        clients=("fgrab(0); release(0); fgrab(1)", "num_free_slots; slots; grab -> a; num_free_slots"),
    ),
    Configuration(processes=3, clients=("fgrab(0); release(0)", "release(0); grab -> a", "fgrab(1); grab -> a")),
    # Slots 0 and 2 share a stripe.
    Configuration(
        slots=3, stripes=2, clients=("fgrab(0); put(0, 1); get(2)", "fgrab(2); put(2, 2); get(0)"), crashes=1
    ),
    # A signal handler or a trace function raises, at any access, and again on the way out.
    Configuration(
        processes=3,
        slots=1,
        slot_bytes=1,
        exceptions=True,
        clients=("grab -> a; release(a)", "fgrab(0)", "num_free_slots"),
        crashes=1,
    ),
    Configuration(slots=1, exceptions=True, clients=("fgrab(0); put(0, 1)", "put(0, 1); get(0)"), crashes=1),
    Configuration(
        slots=1,
        slot_bytes=1,
        exceptions=True,
        pregrab=False,
        clients=("put(0, 1)",),
        crashes=1,
    ),
    # Read and written under one lock.
    *(
        Configuration(
            clients=(
                "fgrab(0); compare_and_put(0, 0, 1); get(0)",
                "compare_and_put(0, 0, 2); put(0, 0); compare_and_put(2, 0, 0)",
            ),
            crashes=1,
            **how,
        )
        for how in ({}, {"pregrab": False, "slot_bytes": 1}, {"memory": "tso", "slot_bytes": 1})
    ),
    Configuration(
        slots=1, exceptions=True, clients=("fgrab(0); compare_and_put(0, 0, 1)", "compare_and_put(0, 0, 1)"), crashes=1
    ),
    # Without PREGRAB get and put mark slots, under the table's mutex.
    Configuration(pregrab=False, clients=("put(0, me); get(0); release(0)",), slot_bytes=1, crashes=1),
    Configuration(
        pregrab=False,
        clients=("put(0, 1); get(1); num_free_slots", "grab -> a; get(0); release(0); slots"),
        slot_bytes=1,
        crashes=1,
    ),
    # Who has a slot, beside deaths, and beside who takes slots back.
    *_OF_TENANTS,
    # Store buffers, as an x86 has them.
    Configuration(memory="tso", rounds=2),
    Configuration(memory="tso", crashes=1),
    Configuration(
        memory="tso", clients=("fgrab(0); put(0, 1); release(0)", "get(0); num_free_slots; grab -> a; get(0)")
    ),
)

STANDARD = (
    *(Standard(configuration) for configuration in _QUESTIONS),
    # Apache's own algorithm takes no lock: the checker must find that.
    Standard(Configuration("httpd"), VIOLATED),
)


class Asked(NamedTuple):
    """The standard configurations of one algorithm."""

    questions: tuple[Standard, ...]
    left_out: tuple[str, ...]
    """What is not asked, and why, one sentence each."""


def standard_of(name: str, algorithm: Callable[[Any], Any]) -> Asked:
    """Return the standard configurations that can be put to an algorithm."""
    left_out = []
    survives = getattr(algorithm, "survives_deaths", False)
    if not survives:
        left_out.append(f"deaths: {name} does not say `survives_deaths = True`")
    excepts = getattr(algorithm, "survives_exceptions", False)
    if not excepts:
        left_out.append(f"exceptions: {name} does not say `survives_exceptions = True`")
    lengths = getattr(algorithm, "checks_lengths", False)
    if not lengths:
        left_out.append(f"lengths that do not fit: {name} does not say `checks_lengths = True`")
    made_for: dict[str, Any] = getattr(algorithm, "made_for", {})
    left_out += [f"other values of {key}: {name} is made for {value!r}" for key, value in made_for.items()]
    missing = [operation for operation in client.ARGUMENTS if not hasattr(algorithm, operation)]
    if isinstance(algorithm, type) and missing:
        left_out.append(f"{', '.join(missing)}: {name} does not have them")
    else:
        missing = []
    absent = [operation for operation in client.ADDED if not hasattr(algorithm, operation)]
    found: dict[Configuration, None] = {}
    for question in _QUESTIONS:
        if question in _OF_TENANTS and not hasattr(algorithm, "tenant"):
            continue
        if made_for.get("pregrab", question.pregrab) != question.pregrab or (
            _BAD_LENGTHS in question.clients and not lengths
        ):
            continue
        if any(each in text for each in absent for text in question.clients):
            continue  # beyond Apache's interface; nobody need have it
        clients = tuple(filter(None, (_without(text, question.slots, missing) for text in question.clients)))
        if clients:
            processes = len(clients) if len(question.clients) > 1 else question.processes
            asked = replace(question, algorithm=name, processes=processes, clients=clients, **made_for)
            asked = replace(asked, crashes=asked.crashes if survives else 0, exceptions=asked.exceptions and excepts)
            found[asked] = None
    return Asked(tuple(map(Standard, found)), tuple(left_out))


def _without(text: str, slots: int, missing: list[str]) -> str:
    """Return a client without the operations that are missing, and those that need their slots."""
    if not missing:
        return text
    kept: list[Statement] = []
    for statement in client.parse(text, slots):
        registers = {each.register for each in kept}
        needed = {each for each in statement.arguments if isinstance(each, str) and each != client.ME}
        if statement.name not in missing and needed <= registers:
            kept.append(statement)
    return "; ".join(map(str, kept))
