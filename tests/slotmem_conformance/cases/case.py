"""The cases: what is done to hold an implementation to a clause. Each belongs to exactly one.

Interface:

- `Case`: an id (`GRAB-2/lowest-free-first`: the clause, what is tried) and a function of a `Rig`.
- `program(id, text)` is a case that is a sequence of requests (`notation`) and whose answers are
  the oracle's.
- `collect()` gives all cases, in the order of the clause table.

The other modules of this folder hold them, by what they need: one server, several, files,
concurrent processes, death.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from slotmem_conformance.rig.rig import Rig
from slotmem_model.clauses import CLAUSES, Clause

MODULES = (
    "sequences",
    "scale",
    "tours",
    "server_tours",
    "shared",
    "files",
    "hostile",
    "nearly_right",
    "updates",
    "speed",
    "concurrent",
    "crash",
    "deaths",
    "stores",
    "random_programs",
    "lives",
    "fates",
)


@dataclass(frozen=True)
class Case:
    """One thing that is tried."""

    id: str
    run: Callable[[Rig], None]
    sentence: str
    """What is done, in words."""
    program: str = ""
    """The requests, if the case is a sequence of them."""
    needs: tuple[str, ...] = ()
    """The capabilities without which a sequence says nothing; a function asks the rig itself."""

    @property
    def clause(self) -> Clause:
        """The clause that it is about."""
        return CLAUSES[self.id.partition("/")[0]]


def program(id: str, text: str, *needs: str) -> Case:
    """Make a case from a sequence of requests, for implementations that have these capabilities."""

    def run(rig: Rig) -> None:
        rig.needs(*needs)
        rig.do(text)

    return Case(id, run, f"answers the requests as the specification does: {_short(text)}", text, needs)


def case(id: str) -> Callable[[Callable[[Rig], None]], Case]:
    """Make a case from a function; its docstring is the sentence."""

    def made(function: Callable[[Rig], None]) -> Case:
        return Case(id, function, " ".join((function.__doc__ or "").split()))

    return made


@cache
def collect() -> tuple[Case, ...]:
    """Return all cases.

    Raises:
        ValueError: if an id occurs twice, or its clause does not exist.
    """
    found: dict[str, Case] = {}
    for name in MODULES:
        module = import_module(f"slotmem_conformance.cases.{name}")
        for each in (*vars(module).values(), *getattr(module, "PROGRAMS", ()), *getattr(module, "LARGE", ())):
            if isinstance(each, Case):
                if each.id in found or each.id.partition("/")[0] not in CLAUSES:
                    raise ValueError(f"the case {each.id} exists twice, or its clause does not exist")
                found[each.id] = each
    order = list(CLAUSES)
    return tuple(sorted(found.values(), key=lambda each: order.index(each.clause.id)))


def _short(text: str) -> str:
    return "; ".join(line.strip() for line in text.replace(";", "\n").splitlines() if line.strip())
