"""A counterexample as text: one lane per process, time downwards.

Interface: `drawn(explanation)` returns the lines; with `verbose`, memory after each step as well.

    step  process 1            process 2            where
          ┌ grab()
       1  │ reads inuse[0]: 0                       mine.py:31 grab  if not inuse[0]:
          │                    ┌ grab()
       2  │                    │ reads inuse[0]: 0  mine.py:31 grab  if not inuse[0]:
       3  │ inuse[0]: 0 -> 1                        mine.py:32 grab  inuse[0] = 1
          └ slot 0             │

A bar runs along a lane from an operation's first step to its last; a cross is a death. On the right
are the line that did the step, its function, and the line's text, as far as there is room. Of a run
without end a line says where its loop begins, and a last one that it goes on for ever.
"""

from __future__ import annotations

import textwrap

from slotmem_model.checker.model import State
from slotmem_model.counterexample import wording
from slotmem_model.counterexample.story import Explanation, Happening, Interval

WIDTH = 120
_NARROWEST, _WIDEST = 20, 44
_STEP = 4
_TEXT = 36
"""The fewest columns that a source line's text gets."""
ASCII = str.maketrans({"┌": ".", "│": "|", "└": "'", "✗": "X", "─": "-", "·": ";", "→": ">", "…": "~"})
"""For terminals that cannot show lines."""


def drawn(told: Explanation, *, verbose: bool = False) -> list[str]:
    """Return the lines, at most 120 columns wide and 22 more for each process after the second."""
    drawing = _Drawing(told)
    for number, happening in enumerate(told.happenings):
        if number == told.loop:
            drawing.note(f"the loop begins: steps {number + 1} to {len(told.happenings)} repeat for ever")
        drawing.step(number, happening)
        if verbose:
            drawing.memory(told.states[number + 1])
    if told.loop is not None:
        drawing.note(endless_note(told))
    return [line.rstrip() for line in drawing.lines]


def endless_note(told: Explanation) -> str:
    """Say how a run goes on that has no end, and which operations never end."""
    assert told.loop is not None
    count = len(told.happenings)
    again = "so it stays" if told.loop == count else f"and again from step {told.loop + 1}"
    return f"{again}, for ever: {wording.listed(told.starves)} never end{'s' * (len(told.starves) == 1)}"


class _Drawing:
    def __init__(self, told: Explanation) -> None:
        self.told = told
        count = len(told.model.processes)
        self.where = max((len(_where(each)) for each in told.happenings), default=0)
        room = (WIDTH - _STEP - 4 - self.where - _TEXT) // count - 2
        widest = max((len(each.text) for each in told.happenings), default=0) + 2
        self.width = max(_NARROWEST, min(room, max(widest, 14), _WIDEST))
        self.inside = [False] * count
        self.lines: list[str] = []
        titles = [wording.process(process) for process in range(count)]
        self.text = max(_TEXT, WIDTH - _STEP - 4 - (self.width + 2) * count - self.where)
        self.line("step", titles, "where")
        self.line("─" * _STEP, ["─" * self.width] * count, "─" * self.where)

    def line(self, step: str, cells: list[str], where: str = "") -> None:
        lanes = "  ".join(cell.ljust(self.width) for cell in cells)
        self.lines.append(f"{step:>{_STEP}}  {lanes}  {where}")

    def cell(self, process: int, text: str, step: str = "", where: str = "") -> None:
        """Write into one lane; the bars of the others go on."""
        for part in textwrap.wrap(text, self.width - 2, break_long_words=False) or [""]:
            cells = ["│" if inside else "" for inside in self.inside]
            cells[process] = f"{cells[process] or ' '} {part}"
            self.line(step, cells, where)
            step = where = ""

    def edge(self, process: int, edge: str, text: str, step: str = "") -> None:
        """Open or close a bar."""
        first, *rest = textwrap.wrap(text, self.width - 2, break_long_words=False) or [""]
        cells = ["│" if inside else "" for inside in self.inside]
        cells[process] = f"{edge} {first}"
        self.line(step, cells)
        self.inside[process] = edge == "┌"
        for part in rest:
            self.cell(process, part)

    def step(self, number: int, happening: Happening) -> None:
        process = happening.process
        interval = None if happening.interval is None else self.told.intervals[happening.interval]
        if interval is not None and interval.first == number and happening.access is not None:
            self.edge(process, "┌", interval.call)
        if happening.access is None:
            self.edge(process, "✗", happening.text, str(number + 1))
            return
        self.cell(process, happening.text, str(number + 1), self.source(happening))
        if interval is not None and interval.last == number:
            self.edge(process, "└", _ending(interval))

    def note(self, text: str) -> None:
        """Write a line across all lanes."""
        for part in textwrap.wrap(f"── {text} ──", WIDTH - _STEP - 2):
            self.lines.append(f"{'':{_STEP}}  {part}")

    def source(self, happening: Happening) -> str:
        """Return where a step is in the source, and what its line says."""
        if happening.source is None:
            return ""
        text = happening.source.text
        text = text if len(text) <= self.text else f"{text[: self.text - 1]}…"
        return f"{_where(happening):<{self.where}}  {text}"

    def memory(self, state: State) -> None:
        """Write the words that the run uses, and what they hold."""
        words = self.told.model.words
        shown = [f"{words[word].name} {words[word].shown(state.words[word])}" for word in used_words(self.told)]
        for part in textwrap.wrap(" · ".join(shown), WIDTH - _STEP - 4) or []:
            self.lines.append(f"{'':{_STEP}}    {part}")


def used_words(told: Explanation) -> list[int]:
    """Return the words that some step of a run touches, in memory's order."""
    return sorted({each.word for each in told.happenings if each.word >= 0} | told.words)


def _where(happening: Happening) -> str:
    return f"{happening.source} {happening.source.function.rpartition('.')[2]}" if happening.source else ""


def _ending(interval: Interval) -> str:
    return f"{'' if interval.fault.startswith('raised') else 'returns '}{interval.answer}"
