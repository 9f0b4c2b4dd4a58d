"""The suite's README: the first driver fails and is mended as it says there, and its commands are
commands.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import slotmem_conformance
from slotmem import command

README = Path(slotmem_conformance.__file__).with_name("README.md")
TEXT = README.read_text(encoding="utf-8")
BLOCKS = dict.fromkeys(re.findall(r"```(\w*)\n(.*?)\n```", TEXT, re.S))
FIRST, FAILS, HOLDS = (text for kind, text in BLOCKS if kind != "sh")
COMMANDS = [line.partition("  #")[0] for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]


def timeless(text):
    """Leave out what differs from run to run."""
    return re.sub(r"cases? in [\d.]+ s", "cases in 0.0 s", text.rstrip())


def test_the_first_driver(tmp_path, monkeypatch):
    """It has 30 lines, its first failure is the one that is shown, and the one word mends it."""
    assert len(FIRST.splitlines()) == 30
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "first.py"
    asked = shlex.split(COMMANDS[0])
    assert asked[:2] == ["slotmem", "conform"]
    for source, shown, code in (
        (FIRST, FAILS, 1),
        (FIRST.replace("APR_NOTFOUND", "APR_EINVAL"), HOLDS, 0),
    ):
        script.write_text(source)
        done = subprocess.run([sys.executable, "-m", *asked], capture_output=True, text=True)
        assert (timeless(done.stdout), done.returncode) == (timeless(shown), code), done.stderr


@pytest.mark.parametrize("line", COMMANDS[1:])
def test_the_commands_are_commands(line):
    """Each line of the page is understood: its subcommand is there, and takes these arguments."""
    words = shlex.split(line)
    if words[0] == "pytest":
        assert words[1:] == ["--pyargs", "slotmem_conformance", "--provider", "exec:./my-driver"]
        return
    assert words[0] == "slotmem"
    module = command._load(words[1])
    parser = argparse.ArgumentParser()
    module.configure(parser)
    parser.parse_args([word for word in words[2:] if word not in (">", "mine.json")] if ">" in words else words[2:])
