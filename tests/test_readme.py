"""The README's examples do what they show."""

import doctest
import re
import tempfile
from pathlib import Path

import pytest

import slotmem

ROOT = Path(__file__).parents[1]


def test_examples(tmp_path, monkeypatch):
    """Each Python example of the README and of the package's docstring prints what stands there."""
    monkeypatch.setenv("SLOTMEM_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the examples make folders there
    readme = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    package = doctest.testmod(slotmem)
    assert (readme.failed, package.failed) == (0, 0)
    assert readme.attempted >= 6
    assert package.attempted >= 2


def test_the_first_page_is_short():
    """README.md has at most 150 lines, and every file that it names is there."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert link.startswith("http") or (ROOT / link).exists(), link


def test_the_journeys_name_what_there_is():
    """ARCHITECTURE.md: each linked file is there, and defines the names told of just before the link."""
    page = ROOT / ".github" / "ARCHITECTURE.md"
    text = page.read_text(encoding="utf-8")
    links = list(re.finditer(r"\]\(([^)]+\.py)\)", text))
    assert len(links) > 15
    before = 0
    for link in links:
        source = (page.parent / link[1]).read_text(encoding="utf-8")
        told = re.findall(r"`(?:\w+\.)?(\w+)`", text[before : link.start()])
        defined = [name for name in told if re.search(rf"^\s*(?:def|class) {name}\b", source, re.MULTILINE)]
        assert not told or defined or link[1].endswith(("naive.py", "engine.py")), link[0]
        before = link.end()
    folders = re.findall(r"^ *((?:\w+/)+)", text.partition("```")[2].partition("```")[0], re.MULTILINE)
    assert len(folders) > 15


PAGES = [
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") and part != ".github" for part in path.relative_to(ROOT).parts)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    """Every file that a page links to is there."""
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), link
