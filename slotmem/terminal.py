"""What is printed for people, free of what a terminal could take for a command.

Others choose the names of segments and processes, paths, and what a driver says.

Interface:

- `printable(text)` shows control characters as escapes.
- `escaping()` does that to whatever is printed on standard output and standard error meanwhile.
  Of a piece of text, ends of lines and tabs stay, and so does what a line of progress needs: to go
  back to its beginning first, to erase the rest last.
- `unescaped(stream)` is the stream underneath, for who colours what is printable already.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

_KEPT = re.compile(r"(\A\r(?:\x1b\[2?K)?|\x1b\[2?K\Z|[\n\t])")


def printable(text: str) -> str:
    """Return the text with every character that cannot be seen as an escape."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


@contextmanager
def escaping() -> Iterator[None]:
    """Escape what is printed within."""
    before = sys.stdout, sys.stderr
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names may have characters that it cannot show
    sys.stdout, sys.stderr = (stream and _Escaping(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def unescaped(stream: Any) -> Any:
    """Return the stream that a stream of `escaping` writes to, or that stream itself."""
    return stream.stream if isinstance(stream, _Escaping) else stream


class _Escaping:
    """A stream that escapes what is written to it."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write the text, escaped; return how much of it was written: all."""
        self.stream.write("".join(part if _KEPT.fullmatch(part) else printable(part) for part in _KEPT.split(text)))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write one text after another."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
