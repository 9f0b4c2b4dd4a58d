"""The README's examples do what they show."""

import doctest
from pathlib import Path

import slotmem

ROOT = Path(__file__).parents[1]


def test_examples(tmp_path, monkeypatch):
    """Each Python example of the README and of the package's docstring prints what stands there."""
    monkeypatch.setenv("SLOTMEM_RUNTIME_DIR", str(tmp_path))
    readme = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    package = doctest.testmod(slotmem)
    assert (readme.failed, package.failed) == (0, 0)
    assert readme.attempted >= 10
    assert package.attempted >= 2
