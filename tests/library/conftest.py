"""Fixtures that several files of this room use."""

import json
import os
from contextlib import suppress

import pytest

from slotmem import command
from tools import schemas
from tools.crashing_calls import object_of


@pytest.fixture
def path(tmp_path):
    """The path of the shared object, cleaned up at the end whatever stands there."""
    place = object_of(tmp_path)
    yield place
    with suppress(FileNotFoundError):
        os.unlink(place) if not os.path.isdir(place) or os.path.islink(place) else os.rmdir(place)


@pytest.fixture
def look(tmp_path, capsys):
    """Run `slotmem inspect` on a runtime directory; gives the exit code and what was printed."""

    def run(*arguments):
        code = command.main(["inspect", "--runtime-dir", str(tmp_path), *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def examine(look):
    """Run it with --json; gives the exit code and the report, which is what its schema says."""

    def run(*arguments):
        code, said = look(*arguments, "--json")
        report = json.loads(said)
        assert schemas.fault("inspect", report) == ""
        return code, report

    return run
