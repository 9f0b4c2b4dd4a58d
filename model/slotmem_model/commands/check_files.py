"""The files that `slotmem check` writes beside its report.

Interface: `write(arguments, told, held)`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from slotmem_model.algorithms import catalogue
from slotmem_model.checker.model import Configuration
from slotmem_model.commands.check_report import traced
from slotmem_model.counterexample import picture, trace
from slotmem_model.counterexample.story import Explanation
from slotmem_model.stage import page

KINDS: tuple[tuple[str, Callable[[Explanation], str]], ...] = (
    ("trace", lambda told: trace.dumped(traced(told))),
    ("svg", picture.drawn),
    ("html", page.page_of),
)


def write(arguments: argparse.Namespace, told: Explanation | None, held: Sequence[Configuration]) -> None:
    """Write what was asked for of a counterexample; without one, a page of the first configuration
    that held.

    Raises:
        OSError
    """
    for name, drawn in KINDS:
        path: Path | None = getattr(arguments, name)
        if path is None:
            continue
        if told is not None:
            path.write_text(drawn(told), encoding="utf-8")
        elif name == "html" and held:
            first = held[0]
            path.write_text(page.page_of_model(first, catalogue.find(first.algorithm)), encoding="utf-8")
        else:
            print(f"nothing was violated, so {path} was not written", file=sys.stderr)
