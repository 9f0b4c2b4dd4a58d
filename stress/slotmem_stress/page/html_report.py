"""A history or a stress run as one page for a browser: a time line that zooms, with a lane per
process as in ShiViz's diagrams; the specification's state at each instant; the violation.

Interface: `of_run(report)` and `of_history(judged)` return the page, `write(path, page)` writes it.

The page is put together from the files in this folder. It contains all it needs, loads nothing and
works from file: addresses. What there is to say about a run is in it as text; scripts draw the time
line from the data of `slotmem_stress.page.timeline`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from importlib import resources
from typing import Any

from slotmem_model.stage.page import to_script
from slotmem_stress.history.judging import Judged
from slotmem_stress.history.reading import read
from slotmem_stress.history.records import BadHistory
from slotmem_stress.page.timeline import to_timeline
from slotmem_stress.run.report import RunReport, counted, faults

NOTHING: dict[str, Any] = {"operations": []}
"""The data of a page without a time line."""
_NO_TIME_LINE = (
    "There is no time line, because only the history of a violation is kept. --keep FOLDER keeps all of "
    "them, and slotmem judge FOLDER/round-1 --html FILE then draws one."
)
_SCRIPTS = ("view.js", "drawing.js", "state.js", "hands.js")

Figures = Iterable[tuple[str, str]]


def of_run(report: RunReport) -> str:
    """Return the page of a stress run, with a time line if it kept the history of a violation."""
    settings = report.settings
    rate = report.operations / report.seconds if report.seconds else 0.0
    figures = [
        ("operations", f"{report.operations:,}"),
        ("a second", f"{rate:,.0f}"),
        ("seconds", f"{report.seconds:.1f}"),
        ("processes", f"{settings.processes}" + (f" of {settings.threads} threads" if settings.threads > 1 else "")),
        ("slots", f"{settings.slots} of {settings.slot_bytes} bytes"),
        ("faults", faults(report)),
        ("never returned", f"{report.pending:,}"),
        ("judged", f"{counted(report.segments, 'round')} in {report.judge_s:.1f} s"),
        ("leaks", f"{len(report.leaks)}" if report.leaks else "none"),
        ("seed", f"{settings.seed}"),
    ]
    sentences = [("sentence violated", text) for text in (*report.findings, *report.leaks)]
    sentences += [("sentence undecided", text) for text in report.undecided]
    data = NOTHING
    if report.history:
        try:
            data = to_timeline(read(report.history), report.window, report.before, report.is_whole)
        except (BadHistory, OSError) as error:
            sentences.append(
                ("sentence undecided", f"there is no time line, because the history cannot be read: {error}")
            )
    else:
        sentences.append(("hint", _NO_TIME_LINE))
    return _page(f"slotmem stress {settings.provider}", report.verdict, sentences, figures, data)


def of_history(judged: Judged) -> str:
    """Return the page of a judged history.

    Raises:
        BadHistory, OSError: if it cannot be read again.
    """
    figures = [
        ("operations", f"{judged.operations:,}"),
        ("never returned", f"{judged.pending:,}"),
        ("judged in", f"{judged.seconds:.1f} s"),
    ]
    sentences = (
        [("sentence violated" if judged.window else "sentence undecided", judged.reason)] if judged.reason else []
    )
    data = to_timeline(read(judged.path), judged.window, judged.before, judged.is_whole)
    return _page(f"slotmem judge {judged.path}", judged.verdict, sentences, figures, data)


def write(path: str, page: str) -> None:
    """Write a page to a file.

    Raises:
        OSError: if the file cannot be written.
    """
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(page)


def _page(
    title: str, verdict: str, sentences: Iterable[tuple[str, str]], figures: Figures, data: dict[str, Any]
) -> str:
    """Put the page together. All text from outside is escaped here."""
    filled = {
        "title": escape(title),
        "verdict": escape(verdict),
        "sentences": "\n".join(f'<p class="{kind}">{escape(text)}</p>' for kind, text in sentences),
        "figures": "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in figures),
        "style": _file("page.css"),
        "script": "\n".join(map(_file, _SCRIPTS)),
        "data": to_script(data),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: filled[match[1]], _file("page.html"))


def _file(name: str) -> str:
    return resources.files("slotmem_stress.page").joinpath(name).read_text(encoding="utf-8")
