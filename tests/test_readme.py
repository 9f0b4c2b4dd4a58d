"""The pages do what they show: examples, commands, links, and the names in the journeys.

What the pages of one room show is run by the tests of that room: `test_..._readme.py`.
"""

import doctest
import keyword
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

import slotmem
from slotmem import command
from tools import pages

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
    """ARCHITECTURE.md: every folder is there; a linked file defines every name of a journey."""
    page = ROOT / ".github" / "ARCHITECTURE.md"
    text = page.read_text(encoding="utf-8")
    top, folders = "", []
    for line in pages.fenced(text, "")[0].splitlines():
        names = re.match(r"(?:[\w/]+/ +)*", line.strip() + " ")[0].split()
        top = names.pop(0) if not line.startswith(" ") else top
        folders += [top, *(top + name for name in names)]
    assert len(folders) > 25
    assert [name for name in folders if not (ROOT / name).is_dir()] == []
    journeys = text.partition("## Journey 1")[2]
    links = re.findall(r"\]\(([^)]+\.py)\)", journeys)
    assert len(links) > 20
    sources = "".join((page.parent / link).read_text(encoding="utf-8") for link in links)
    defined = set(re.findall(r"^\s*(?:def|class) (\w+)", sources, re.MULTILINE))
    told = [word for word in re.findall(r"`([\w.()]+)`", journeys) if not word.endswith(".py")]
    parts = {part for word in told for part in word.removesuffix("()").split(".")}
    assert parts - defined - set(keyword.kwlist) == set()


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_commands(page):
    """Each `slotmem` command of a page, also within a sentence, has options that are there."""
    text = page.read_text(encoding="utf-8")
    shown = [each.line for each in pages.commands(text) if each.line.startswith("slotmem ")]
    for line in [*shown, *pages.inline(text)]:
        pages.understand(line)


@pytest.mark.parametrize("name", sorted(command._find()))
def test_examples_in_the_help(name):
    """The help of each command has examples, a line each, that its parser takes."""
    text = command._load(name).__doc__
    lines = text.partition("examples:\n")[2].partition("\n\n")[0].splitlines()
    assert lines
    for line in lines:
        assert line.startswith("  slotmem "), line
        pages.understand(re.split(" {2,}", line.strip())[0])


@pytest.mark.parametrize("page", ["README.md", ".github/CONTRIBUTING.md"])
def test_first_commands(page):
    """What a newcomer types first installs an extra that is there, and starts what it says."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for line in (part for shown in pages.commands((ROOT / page).read_text()) for part in shown.line.split(" && ")):
        words = shlex.split(line.removeprefix(".venv/bin/"))
        if words[0] == "pip":
            assert re.fullmatch(r"\.\[(\w+)\]", words[-1])[1] in extras
        elif words[0] == "pytest":
            # Of all tests, a file that has tests of both kinds; and each worker would collect.
            where = [] if words[-1].startswith("tests") else ["tests/conformance/test_drivers.py"]
            found = subprocess.run(
                [sys.executable, "-m", *words, *where, "--collect-only", "-q", "-n", "0"],
                capture_output=True,
                text=True,
                cwd=ROOT,
            )
            assert found.returncode == 0, found.stdout + found.stderr
        elif words[0] == "slotmem":
            pages.understand(shlex.join(words))  # tests/conformance/test_verify.py runs it
        elif words[0] == ".ci/run":
            assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
        else:
            assert line == "python3 -m venv .venv" or shlex.join(words).removesuffix(" --check .") in ci


def test_words_are_explained():
    """Every README links to the glossary."""
    for page in ROOT.rglob("README.md"):
        if not page.relative_to(ROOT).parts[0].startswith("."):
            assert "GLOSSARY.md" in page.read_text(encoding="utf-8"), page
