"""A counterexample as a picture (SVG): lanes over time, shared memory beneath.

Interface: `drawn(explanation)` returns the SVG as text. It needs nothing from outside: no fonts, no
style sheets, no scripts.

Time runs to the right, one column for each step. A bar is an operation from its first step to its
last; a ring is a read, a disc a write, a cross a death. A line leads from each to the word that it
touches, whose row shows which process gave it each value. What the sentence is about is red; the
loop of a run without end has a ground of its own. At the foot are the source lines that did the
steps.
"""

from __future__ import annotations

import textwrap
from itertools import pairwise
from xml.sax.saxutils import escape

from slotmem_model.counterexample import wording
from slotmem_model.counterexample.lanes import endless_note, used_words
from slotmem_model.counterexample.story import Explanation, Happening, Interval

# Okabe and Ito's palette, which colour-blind people can tell apart too.
_COLOURS = ("#0072b2", "#c77c02", "#007a5a", "#a8457f", "#2a93c9", "#6b6b00")
_RED, _INK, _GREY, _FAINT, _PAPER = "#c8102e", "#1d2433", "#6b7280", "#e8eaee", "#ffffff"
_LOOP = "#e69f00"
_SANS = "Helvetica, Arial, 'Liberation Sans', sans-serif"
_MONO = "Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_MONO_WIDTH = 0.61  # of a character, in font sizes
_SHORT = {"its owner died": "dead", "not recoverable": "lost"}
_LEFT, _RIGHT, _TOP = 172, 36, 96
_LABEL, _BAR, _UNDER = 19, 30, 40  # heights within a lane: a row of calls, the bar, the values beneath
_ROW, _GAP = 30, 34


def drawn(told: Explanation) -> str:
    """Return the picture of a counterexample."""
    return _Picture(told).svg()


class _Picture:
    def __init__(self, told: Explanation) -> None:
        self.told = told
        self.words = told.model.words
        count = max(1, len(told.happenings))
        shown = max((len(self.value(each)) for each in told.happenings), default=1)
        self.column = max(44.0, min(shown * 7.2 + 12, 100.0), min(150.0, 900 / count))
        self.right = _LEFT + self.column * count
        self.width = max(self.right + _RIGHT, 860)
        self.rows = used_words(told)
        self.labels = [self.placed(process) for process in range(len(told.model.processes))]
        self.lanes: list[float] = []
        """The top of the bars of each process."""
        y = float(_TOP + 22)
        for rows in self.labels:
            y += max(1, max(rows.values(), default=0) + 1) * _LABEL
            self.lanes.append(y)
            y += _BAR + _UNDER
        self.memory = y + 30
        self.bottom = self.memory + len(self.rows) * _ROW
        self.parts: list[str] = []

    # -- where things are --------------------------------------------------------------------------

    def x(self, step: int) -> float:
        """Return the middle of a step's column."""
        return _LEFT + self.column * (step + 0.5)

    def span(self, interval: Interval) -> tuple[float, float]:
        """Return the left and right edge of an operation's bar."""
        end = len(self.told.happenings) - 1 if interval.last is None else interval.last
        if interval.died:
            end = next(
                number
                for number, each in enumerate(self.told.happenings)
                if each.process == interval.process and each.access is None
            )
        half = self.column / 2 - 3
        return self.x(interval.first) - half, self.x(end) + (0 if interval.died else half)

    def placed(self, process: int) -> dict[int, int]:
        """Return the row above the bars for each operation's label, so that none runs into the
        next.
        """
        ends: list[float] = []
        rows: dict[int, int] = {}
        for number, interval in enumerate(self.told.intervals):
            if interval.process != process:
                continue
            left = self.span(interval)[0]
            row = next((row for row, end in enumerate(ends) if end <= left), len(ends))
            ends[row : row + 1] = [left + len(_label(interval)) * 13 * _MONO_WIDTH + 10]
            rows[number] = row
        return rows

    # -- pieces ------------------------------------------------------------------------------------

    def text(self, x: float, y: float, what: str, size: float = 12, colour: str = _INK, **more: str) -> None:
        family = _MONO if more.pop("mono", "") else _SANS
        # A halo keeps it readable where a line passes behind it.
        halo = f'paint-order="stroke" stroke="{_PAPER}" stroke-width="3.5"' if more.pop("halo", "") else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-family="{family}" font-size="{size}" fill="{colour}"{_attributes(more)} {halo}>'
            f"{escape(what)}</text>"
        )

    def box(self, x: float, y: float, width: float, height: float, fill: str, stroke: str, **more: str) -> None:
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" '
            f'stroke="{stroke}"{_attributes(more)}/>'
        )

    def line(self, x: float, y: float, x2: float, y2: float, colour: str, **more: str) -> None:
        self.parts.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{_attributes(more)}/>'
        )

    def value(self, happening: Happening) -> str:
        """Return in a few characters what a step found or left."""
        if happening.word < 0 or happening.access is None:
            return ""
        old, new = self.shown(happening.word, happening.before), self.shown(happening.word, happening.after)
        if happening.access.kind == "buffer":
            return f"({new})"
        is_read = happening.access.kind in ("load", "reread", "await", "reawait") or (
            happening.before == happening.after and not happening.stores
        )
        return old if is_read else f"{old} → {new}"

    def shown(self, word: int, index: int) -> str:
        """Return a value in few characters."""
        said = self.words[word].shown(index)
        return _SHORT.get(said, said)

    # -- the whole ---------------------------------------------------------------------------------

    def svg(self) -> str:
        self.heading()
        self.ground()
        for number, happening in enumerate(self.told.happenings):
            self.connection(number, happening)
        for number, word in enumerate(self.rows):
            self.row(number, word)
        for number, interval in enumerate(self.told.intervals):
            self.bar(number, interval)
        for number, happening in enumerate(self.told.happenings):
            self.mark(number, happening)
        lines = self.caption()
        sources = self.sources(self.bottom + _GAP + 22 + lines * 30)
        width, height = self.width, self.bottom + _GAP + 22 + lines * 30 + sources * 17 + (14 if sources else 0)
        title = escape(self.told.sentence or str(self.told.model.configuration))
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
                f"<title>{title}</title>",
                f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
                *self.parts,
                "</svg>\n",
            ]
        )

    def heading(self) -> None:
        configuration = str(self.told.model.configuration)
        size = min(20.0, (self.width - 56) / len(configuration) / 0.65)
        self.text(28, 40, configuration, round(size, 1), font_weight="bold")
        if self.told.broken:
            self.text(28, 64, f"{self.told.broken}: {wording.property_(self.told.broken)}", 13.5, _GREY)
        for number in range(len(self.told.happenings)):
            self.text(self.x(number), _TOP + 4, str(number + 1), 11, _GREY, text_anchor="middle")

    def ground(self) -> None:
        """Draw what lies beneath everything: time lines of the processes, the last step, names."""
        if self.told.loop is not None:
            left = self.x(self.told.loop) - self.column / 2
            width = max(self.right - left, 6.0)  # one line, where nothing repeats
            self.box(left, _TOP - 10, width, self.bottom - _TOP + 16, _LOOP, "none", opacity="0.16", rx="6")
            self.text(self.right, 84, endless_note(self.told), 12, _INK, text_anchor="end")
        elif self.told.broken:
            x = self.x(len(self.told.happenings) - 1)
            self.box(
                x - self.column / 2,
                _TOP - 10,
                self.column,
                self.bottom - _TOP + 16,
                _RED,
                "none",
                opacity="0.07",
                rx="6",
            )
        for process, y in enumerate(self.lanes):
            colour = _colour(process)
            self.text(28, y + 20, wording.process(process), 15, colour, font_weight="bold")
            deaths = (
                number
                for number, each in enumerate(self.told.happenings)
                if each.process == process and each.access is None
            )
            end = next((self.x(number) for number in deaths), self.right)
            self.line(_LEFT, y + _BAR / 2, end, y + _BAR / 2, colour, stroke_width="1.5", opacity="0.35")
        self.text(28, self.memory - 12, "shared memory", 13.5, _GREY, font_weight="bold")

    def connection(self, number: int, happening: Happening) -> None:
        """Draw the line from a step to its word."""
        if happening.word < 0 or happening.access is None or not happening.access.touches:
            return
        y = self.lanes[happening.process] + _BAR / 2
        to = self.memory + self.rows.index(happening.word) * _ROW + _ROW / 2 - 3
        self.line(
            self.x(number), y, self.x(number), to, _colour(happening.process),
            stroke_width="1.4", opacity="0.45", **({} if happening.stores else {"stroke_dasharray": "2 3"}),
        )  # fmt: skip

    def row(self, number: int, word: int) -> None:
        """Draw one word of memory: its values over time, each in the colour of its writer."""
        y = self.memory + number * _ROW
        blamed = word in self.told.words
        self.text(
            _LEFT - 14, y + 17, self.words[word].name, 12.5, _RED if blamed else _INK,
            mono="yes", text_anchor="end", **({"font_weight": "bold"} if blamed else {}),
        )  # fmt: skip
        history = [state.words[word] for state in self.told.states]
        changes = [at for at, (before, after) in enumerate(pairwise(history)) if before != after]
        starts = [float(_LEFT), *(self.x(at) for at in changes)]
        values = [history[0], *(history[at + 1] for at in changes)]
        by = [self.told.happenings[at] for at in changes]
        colours = ["", *(_colour(each.process) if each.access else _RED for each in by)]
        for start, end, value, colour in zip(starts, [*starts[1:], self.right], values, colours, strict=True):
            self.box(start, y, end - start, _ROW - 6, colour or _FAINT, _PAPER, stroke_width="1")
            shown = self.shown(word, value)
            if end - start >= len(shown) * 7 + 12:
                self.text(start + 9, y + 16.5, shown, 12, _PAPER if colour else _INK, mono="yes")
        for at, each in enumerate(self.told.happenings):
            if each.word == word and each.access and each.access.touches and not each.writes:
                colour = _colour(each.process)
                fill, edge = (colour, _PAPER) if each.stores else (_PAPER, colour)
                self.disc(self.x(at), y + _ROW / 2 - 3, 4, fill, edge)

    def bar(self, number: int, interval: Interval) -> None:
        """Draw an operation."""
        colour, culprit = _colour(interval.process), number in self.told.culprits
        y = self.lanes[interval.process]
        left, right = self.span(interval)
        self.box(left, y, right - left, _BAR, _tint(colour), _RED if culprit else colour, rx="8",
                 stroke_width="2.6" if culprit else "1.2")  # fmt: skip
        above = y - 6 - self.labels[interval.process][number] * _LABEL
        self.text(left + 2, above, _label(interval), 13, _RED if culprit else _INK, mono="yes", halo="yes",
                  **({"font_weight": "bold"} if culprit else {}))  # fmt: skip

    def mark(self, number: int, happening: Happening) -> None:
        """Draw a step on its lane, with its value and source line beneath."""
        x, y, colour = self.x(number), self.lanes[happening.process] + _BAR / 2, _colour(happening.process)
        if happening.access is None:
            for slant in (-8, 8):
                self.line(x - 8, y - slant, x + 8, y + slant, _RED, stroke_width="4", stroke_linecap="round")
            self.text(x, y + _BAR / 2 + 16, "dies", 12, _RED, halo="yes", text_anchor="middle", font_weight="bold")
            return
        buffers = happening.access.kind == "buffer"
        fill = colour if happening.stores else _tint(colour, 2) if buffers else _PAPER
        self.disc(x, y, 6, fill, colour)
        self.text(x, y + _BAR / 2 + 15, self.value(happening), 11.5, mono="yes", halo="yes", text_anchor="middle")
        if happening.source:
            self.text(
                x, y + _BAR / 2 + 28, f"line {happening.source.line}", 9.5, _GREY, halo="yes", text_anchor="middle"
            )

    def disc(self, x: float, y: float, radius: float, fill: str, stroke: str) -> None:
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{stroke}" stroke-width="2.2"/>'
        )

    def caption(self) -> int:
        """Write the legend and the sentence; return how many lines the sentence has."""
        y = self.bottom + _GAP
        files = sorted({each.source.file for each in self.told.happenings if each.source})
        legend = f"ring: reads · disc: writes · bar: an operation · lines are those of {wording.listed(files)}"
        if self.told.model.configuration.memory != "sc":
            legend += " · (1): into its own store buffer"
        self.text(28, y - 4, legend, 11.5, _GREY)
        sentence = self.told.sentence
        if sentence.partition(" ")[0].isalpha():  # not the name of a word or an operation
            sentence = sentence[0].upper() + sentence[1:]
        lines = textwrap.wrap(sentence, int((self.width - 56) / 13.6))
        for number, each in enumerate(lines):
            self.text(28, y + 34 + number * 30, each, 21, _RED, font_weight="bold")
        return len(lines)

    def sources(self, y: float) -> int:
        """Write the source lines of the steps, from y downwards; return how many there are."""
        found = sorted({each.source for each in self.told.happenings if each.source})
        width = max((len(str(each)) for each in found), default=0)
        for number, each in enumerate(found):
            said = f"{each!s:<{width}}  {each.text}".replace(" ", "\u00a0")  # which no viewer folds
            self.text(28, y + 14 + number * 17, said, 12, _INK, mono="yes")
        return len(found)


def _attributes(given: dict[str, str]) -> str:
    return "".join(f' {key.replace("_", "-")}="{value}"' for key, value in given.items())


def _label(interval: Interval) -> str:
    if interval.answer:
        return f"{interval.call} → {interval.answer}"
    return interval.call + ("" if interval.died else " …")


def _colour(process: int) -> str:
    return _COLOURS[process % len(_COLOURS)]


def _tint(colour: str, parts: int = 7) -> str:
    """Return a colour mixed with white, one part in `parts`."""
    red, green, blue = (255 - (255 - int(colour[at : at + 2], 16)) // parts for at in (1, 3, 5))
    return f"#{red:02x}{green:02x}{blue:02x}"
