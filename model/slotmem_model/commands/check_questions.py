"""What `slotmem check` asks: the standard configurations, a piece's own, or one question.

Interface: `questions(arguments)` is a `Questions`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, fields
from typing import Any

from slotmem_model.algorithms import catalogue
from slotmem_model.automata.kind import BadProgram
from slotmem_model.checker.model import Configuration
from slotmem_model.checker.standard import STANDARD, Standard, standard_of
from slotmem_model.programs.clients import defaults
from slotmem_model.programs.declared import declarations
from slotmem_model.programs.question import is_program


@dataclass
class Questions:
    """The configurations to explore, in order."""

    asked: list[Standard] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """What is not asked, and why."""
    standard: set[str] = field(default_factory=set)
    """The algorithms that are asked all standard configurations, and must leave nothing out."""


def questions(arguments: argparse.Namespace) -> Questions:
    """Return the configurations to explore.

    Raises:
        ValueError: if they contradict one another, or an algorithm is not known.
    """
    asked = {
        each.name: value
        for each in fields(Configuration)
        if each.name != "algorithm" and (value := getattr(arguments, each.name)) is not None
    }
    if arguments.engine == "naive" and (arguments.symmetry or arguments.por):
        raise ValueError("the engine naive has no reductions; leave out --symmetry and --por, or take --engine sweep")
    if "clients" in asked:
        asked["clients"] = tuple(asked["clients"])
        if len(asked["clients"]) > 1:
            asked.setdefault("processes", len(asked["clients"]))
    found = Questions()
    if not arguments.algorithms and not asked:
        found.asked += STANDARD
        found.standard.add("reference")
        return found
    for name in arguments.algorithms or ["reference"]:
        algorithm = catalogue.find(name, arguments.budget_s)
        if isinstance(algorithm, type) and declarations(algorithm) and not is_program(algorithm):
            raise BadProgram(f"{name} has shared words and no operation; mark what processes call with @operation")
        piece = catalogue.piece_of(name)
        if piece is not None and not asked:
            found.asked.append(Standard(piece.configuration, ""))
        elif is_program(algorithm):
            found.asked += [Standard(each, "") for each in _of_program(name, algorithm, asked)]
            if not asked:
                found.standard.add(name)
        elif asked or arguments.promela:
            found.asked.append(Standard(Configuration(name, **asked), ""))
        else:
            standard = standard_of(name, algorithm)
            found.asked += [each._replace(expected="") for each in standard.questions]
            found.left_out += standard.left_out
            found.standard.add(name)
    return found


_OF_SLOTS = ("slots", "slot_bytes", "pregrab", "stripes", "timeouts", "exceptions")
"""What can be asked of slots alone."""


def _of_program(name: str, algorithm: Any, asked: dict[str, Any]) -> list[Configuration]:
    """Return the configurations of a program: its own clients, or those asked.

    Raises:
        ValueError: if an option is about slots.
    """
    catalogue.specification(asked.get("specification", ""))  # a wrong name is told first
    if wrong := [key for key in _OF_SLOTS if key in asked]:
        options = ", ".join(f"--{key.replace('_', '-')}" for key in wrong)
        raise ValueError(f"{options}: that can be asked of slots, and {name} is a program of its own; leave it out")
    each = [asked["clients"]] if "clients" in asked else defaults(algorithm, asked.get("processes", 2))
    return [
        Configuration(name, **{"slots": 0, "processes": max(2, len(clients)), **asked, "clients": tuple(clients)})
        for clients in each
    ]
