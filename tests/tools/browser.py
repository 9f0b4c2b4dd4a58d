"""A headless browser for tests: `open_page(page, folder)` gives the document as it is after its
scripts have run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

# A browser that shows nothing to anybody draws frames when it likes; here they come at once.
_WATCH = """<script>
window.requestAnimationFrame = (draw) => setTimeout(draw, 0);
addEventListener("error", (event) => { document.documentElement.dataset.error = event.message; });
</script>"""
_ACT = """<script>
(async () => {
  const drawn = () => new Promise((done) => setTimeout(done, 50));
  %s
  document.documentElement.dataset.address = location.hash;
})();
</script>"""


class Document(HTMLParser):
    """The elements of a document: (tag, attributes, text in it)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Note an element."""
        element = (tag, dict(attributes), [])
        self.elements.append(element)
        self._open.append(element)

    def handle_endtag(self, tag):
        """End the last element of this name."""
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        """Add text to whatever is open."""
        for _, _, text in self._open:
            text.append(data)

    def of_class(self, name: str) -> list[str]:
        """Return the text of each element of a class."""
        return ["".join(text) for _, given, text in self.elements if name in (given.get("class") or "").split()]

    def of_id(self, name: str) -> str:
        """Return the text of an element."""
        return next("".join(text) for _, given, text in self.elements if given.get("id") == name)

    def given(self, name: str) -> dict[str, str | None]:
        """Return the attributes of an element by its id, or of the first of its tag."""
        return next(given for tag, given, _ in self.elements if name in (given.get("id"), tag))


def open_page(page: str, folder: Path, address: str = "", act: str = "") -> Document:
    """Open a page from a file, do something as a user would (JavaScript), and return the document.
    It fails if a script did.
    """
    path = folder / "page.html"
    watched = page.replace("<head>", f"<head>{_WATCH}", 1)
    path.write_text(watched.replace("</body>", f"{_ACT % act}</body>") if act else watched, encoding="utf-8")
    assert CHROMIUM is not None
    # The sandbox needs rights that a container does not give; what is opened is our own.
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--window-size=1400,1000",
            "--virtual-time-budget=3000",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            f"file://{path}{address}",
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
        env={**os.environ, **dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(folder / "profile"))},
    )
    document = Document(done.stdout)
    assert document.given("html").get("data-error") is None
    return document
