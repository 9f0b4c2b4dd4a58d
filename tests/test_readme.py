"""The README's examples do what they show."""

import doctest
import re
import tempfile
from pathlib import Path

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
