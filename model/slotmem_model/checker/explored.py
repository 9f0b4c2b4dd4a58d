"""A configuration compiled with all the values that its words need, and explored.

Interface: `explored(configuration, algorithm, ...)`. Words of slots have their values from the
beginning; those of a program are found on the way (`slotmem_model.programs.values`).
"""

from __future__ import annotations

from typing import Any

from slotmem_model.checker.exploration import Exploration, Limits
from slotmem_model.checker.model import Configuration, Model, compile_model
from slotmem_model.checker.sweep import engine
from slotmem_model.programs.values import Values, settled


def explored(
    configuration: Configuration, algorithm: Any, *, specification: Any = None, limits: Limits | None = None
) -> tuple[Model, Exploration]:
    """Return the model, and what the exploration found.

    Raises:
        ValueError: as `compile_model`.
    """

    def ask(values: Values) -> tuple[tuple[Model, Exploration], set[str]]:
        model = compile_model(configuration, algorithm, values=values, specification=specification)
        found = engine.explore(model, limits)
        return (model, found), set() if found.reason else found.outside

    return settled(ask)
