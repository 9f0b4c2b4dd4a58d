"""slotmem/README.md: the tutorial runs as it stands there, and the table of errors is the
library's.
"""

import builtins
import doctest
import inspect
import tempfile
from pathlib import Path

from slotmem import status

PLAIN = (object, BaseException, Exception)
README = Path(status.__file__).with_name("README.md")


def test_the_tutorial_runs(tmp_path, monkeypatch):
    """Each example prints what stands there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = doctest.testfile(str(README), module_relative=False)
    assert done.failed == 0
    assert done.attempted > 20


def test_the_table_of_errors():
    """Each exception stands in the table once, with its status, its built-in base, and its own
    sentence.
    """
    errors = [each for each in vars(status).values() if inspect.isclass(each) and issubclass(each, status.SlotmemError)]
    lines = README.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        (each.__name__, each.status.name, " ".join(inspect.getdoc(each).split())) for each in errors
    ]
    for each, row in zip(errors, rows, strict=True):
        special = [base for base in each.__mro__ if base.__module__ == "builtins" and base not in PLAIN]
        assert getattr(builtins, row[2]) in special if special else row[2] == "", each
        assert row[4], each
