"""The suite's README: the first driver fails and is mended as it says there, and each command does
what it says.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import slotmem_conformance
from slotmem_conformance.vectors import vectors
from tools import example_drivers, pages

README = Path(slotmem_conformance.__file__).with_name("README.md")
TEXT = README.read_text(encoding="utf-8")
(FIRST,) = pages.fenced(TEXT, "python")
FAILS, HOLDS = pages.fenced(TEXT, "")
CONFORM, *COMMANDS = [shown.line for shown in pages.commands(TEXT)]


def timeless(text):
    """Leave out what differs from run to run."""
    return re.sub(r"cases? in [\d.]+ s", "cases in 0.0 s", text.rstrip())


def test_the_first_driver(tmp_path, monkeypatch):
    """It has 30 lines, its first failure is the one that is shown, and the one word mends it."""
    assert len(FIRST.splitlines()) == 30
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "first.py"
    asked = shlex.split(CONFORM)
    assert asked[:2] == ["slotmem", "conform"]
    for source, shown, code in (
        (FIRST, FAILS, 1),
        (FIRST.replace("APR_NOTFOUND", "APR_EINVAL"), HOLDS, 0),
    ):
        script.write_text(source)
        done = subprocess.run([sys.executable, "-m", *asked], capture_output=True, text=True)
        assert (timeless(done.stdout), done.returncode) == (timeless(shown), code), done.stderr


def less(line):
    """Return more arguments for a command that takes long: other tests run it whole."""
    if line.startswith("pytest"):
        return ["-q", "-p", "no:cacheprovider", "-k", "FGRAB-1"]
    if line.startswith("slotmem verify"):
        return ["--quick", "--budget-s", "1"]
    if "exec:" not in line or "--check-adapter" in line:
        return []
    return [
        "--quick",
        *(
            ["--skip", "STORE,RE*,NAME,GET,PUT,CREATE,STATE,ATTACH,DOALL"]
            if "--select" in line
            else ["--select", "FGRAB-1"]
        ),
    ]


def test_the_commands_do_what_they_say(tmp_path, monkeypatch):
    """With a right driver each of them holds, and writes the files that it names."""
    monkeypatch.chdir(tmp_path)
    driver = tmp_path / "my-driver"
    driver.write_text(f"#!{sys.executable}\n{(example_drivers.FOLDER / 'driver.py').read_text()}")
    driver.chmod(0o755)
    for line in COMMANDS:
        code, said = pages.run(line, *less(line))
        assert code in ((0, 3) if "verify" in line else (0,)), (line, said)  # a second may not be enough for all
    written = {"my-driver", "known.toml", "mine.json", "matrix.html", "DIR"}
    assert {path.name for path in tmp_path.iterdir()} >= written
    assert (tmp_path / "DIR" / vectors.MANIFEST).exists()
