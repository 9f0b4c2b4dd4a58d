"""Draws a grid of bar charts as SVG, sized for a slide.

`draw` takes rows of panels of bars. The panels of a row have one scale, which begins at 0; the
first bar of each is drawn in a strong colour. The module does not know what the bars mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 1280, 720
_MARGIN, _TOP, _BOTTOM = 40, 124, 40
_ROW_NAME, _BAR_NAME, _TEXT = 130, 150, 130  # widths: names on the left, text behind a bar
_STRONG, _WEAK, _INK, _FAINT = "#0b5cad", "#b9c3cd", "#1b2733", "#5a6875"


class Bar(NamedTuple):
    """A bar: its name, its length, and the text behind it."""

    name: str
    value: float
    text: str


class ChartRow(NamedTuple):
    """A row of panels, each a sequence of bars with the same names."""

    name: str
    panels: Sequence[Sequence[Bar]]


def draw(title: str, subtitle: str, columns: Sequence[str], rows: Sequence[ChartRow], footer: str) -> str:
    """Return the SVG of one or more rows; each has a panel of one or more bars for every column."""
    left = _MARGIN + _ROW_NAME + _BAR_NAME
    panel_width = (WIDTH - _MARGIN - left) / len(columns)
    row_height = (HEIGHT - _TOP - _BOTTOM) / len(rows)
    pitch = row_height * 0.86 / len(rows[0].panels[0])
    size = min(13.0, pitch * 0.78)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="Helvetica, Arial, sans-serif" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        _text(_MARGIN, 50, 28, title, weight="bold"),
        _text(_MARGIN, 76, 15, subtitle, fill=_FAINT),
        _text(_MARGIN, HEIGHT - 16, 12, footer, fill=_FAINT),
    ]
    for column, heading in enumerate(columns):
        parts.append(_text(left + column * panel_width, _TOP - 10, 15, heading, weight="bold"))
    for which, row in enumerate(rows):
        top = _TOP + which * row_height
        longest = max(bar.value for panel in row.panels for bar in panel) or 1.0
        parts.append(f'<path d="M{_MARGIN} {top:.1f}H{WIDTH - _MARGIN}" stroke="#e3e8ed"/>')
        parts.append(_text(_MARGIN, top + row_height / 2, 15, row.name, weight="bold"))
        for column, panel in enumerate(row.panels):
            start = left + column * panel_width
            for number, bar in enumerate(panel):
                y = top + row_height * 0.07 + number * pitch
                base = y + pitch / 2 + size * 0.36
                weight, fill, ink = ("bold", _STRONG, _STRONG) if number == 0 else ("normal", _WEAK, _INK)
                width = max(1.0, bar.value / longest * (panel_width - _TEXT))
                parts.append(
                    f'<rect x="{start:.1f}" y="{y + pitch * 0.1:.1f}" width="{width:.1f}" height="{pitch * 0.8:.1f}" '
                    f'fill="{fill}"/>'
                )
                parts.append(_text(start + width + 5, base, size, bar.text, fill=ink, weight=weight))
                if column == 0:
                    parts.append(_text(left - 8, base, size, bar.name, fill=ink, weight=weight, anchor="end"))
    return "\n".join([*parts, "</svg>"])


def _text(
    x: float, y: float, size: float, text: str, fill: str = _INK, weight: str = "normal", anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" fill="{fill}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
