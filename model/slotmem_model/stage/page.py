"""A run of a small model as one page for a browser: step forward and back, see who can step next
and what would happen, take another way.

Interface: `page_of(told)` returns the page of a counterexample, `page_of_model(...)` that of a
configuration in which nothing was violated.

The page contains all that it needs, loads nothing, and works from file: addresses. It knows nothing
of the semantics: it has the states and steps that `slotmem_model.stage.walk` found with the
checker's own `Model.successors`.
"""

from __future__ import annotations

import json
import re
from html import escape
from importlib import resources
from typing import Any

from slotmem_model.algorithms import catalogue
from slotmem_model.automata.source_lines import files_of
from slotmem_model.checker.model import Configuration, Step, compile_model
from slotmem_model.checker.properties import ALWAYS
from slotmem_model.counterexample import trace, wording
from slotmem_model.counterexample.story import Explanation
from slotmem_model.programs.values import Values, settled
from slotmem_model.stage.data import stage_data
from slotmem_model.stage.walk import Walk, walk
from slotmem_model.verdict import HELD, VIOLATED


def page_of(told: Explanation) -> str:
    """Return the page of a counterexample."""
    configuration = told.model.configuration
    kept = trace.record(told.model, told.broken, told.sentence, told.steps, told.loop)
    found, run = _walked(configuration, told.model.algorithm, kept)
    given = {"sentence": told.sentence} | ({} if told.loop is None else {"loop": told.loop})
    broken = wording.property_(told.broken)
    sentences = [f"breaks {told.broken}: {broken}" if broken else f"breaks {told.broken}", f"{told.sentence}."]
    return _page(str(configuration), VIOLATED, sentences, found, run, given)


def page_of_model(configuration: Configuration, algorithm: Any) -> str:
    """Return the page of a configuration in which nothing was violated."""
    found, run = _walked(configuration, algorithm, None)
    return _page(str(configuration), HELD, ["Nothing is violated, whatever steps you choose."], found, run, {})


def _walked(configuration: Configuration, algorithm: Any, kept: trace.Trace | None) -> tuple[Walk, tuple[Step, ...]]:
    """Return the states around a run of the model whose steps keep lines and variables."""
    specification = catalogue.specification(configuration.specification)

    def ask(values: Values) -> tuple[tuple[Walk, tuple[Step, ...]], set[str]]:
        model = compile_model(
            configuration, algorithm, values=values, shown=files_of(algorithm), specification=specification
        )
        try:
            run = trace.follow(model, kept) if kept else ()
        except trace.Diverged as error:
            if not error.outside:
                raise
            return (walk(model), ()), error.outside
        found = walk(model, run)
        return (found, run), found.outside

    return settled(ask)


def _page(
    title: str, verdict: str, sentences: list[str], found: Walk, run: tuple[Step, ...], given: dict[str, Any]
) -> str:
    model = {**stage_data(found, run), **given}
    data = {"models": [model], "properties": ALWAYS, "format": trace.FORMAT}
    filled = {
        "title": escape(f"slotmem check: {title}"),
        "verdict": verdict,
        "sentences": "\n  ".join(f'<p class="sentence">{escape(each)}</p>' for each in sentences),
        "style": _file("page.css"),
        "script": _file("page.js"),
        "data": to_script(data),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: filled[match[1]], _file("page.html"))


def to_script(data: Any) -> str:
    """Return JSON that is safe in a script element: without `<`, nothing in it ends the script."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
