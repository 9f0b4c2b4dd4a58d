"""What `slotmem check` asks: the standard configurations, a piece's own, or one question.

Interface: `questions(arguments)` is a `Questions`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, fields

from slotmem_model.algorithms import catalogue
from slotmem_model.algorithms.museum.pieces import MUSEUM
from slotmem_model.checker.model import Configuration
from slotmem_model.checker.standard import STANDARD, Standard, standard_of


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
        piece = MUSEUM.get(name.removeprefix(catalogue.MUSEUM_PREFIX)) if ":" in name else None
        if asked or (arguments.promela and piece is None):
            found.asked.append(Standard(Configuration(name, **asked), ""))
        elif piece is not None and name.startswith(catalogue.MUSEUM_PREFIX):
            found.asked.append(Standard(piece.configuration, ""))
        else:
            standard = standard_of(name, algorithm)
            found.asked += [each._replace(expected="") for each in standard.questions]
            found.left_out += standard.left_out
            found.standard.add(name)
    return found
