"""What a page of documentation shows, taken from it for a test: blocks, and the commands in them.

    for shown in pages.commands(text):
        assert pages.run(shown.line, "--quick")[0] == shown.code

Interface:

- `fenced(text, language)` has the contents of all blocks in a language.
- `commands(text)` has every command line of the `sh` and `console` blocks, with the exit code that
  its comment promises (`# exit code 1: ...`; 0 if it says nothing).
- `inline(text)` has the commands that stand between backticks in a sentence.
- `understand(line)` fails if the subcommand does not exist or does not take these arguments.
- `run(line)` runs a `slotmem` command in this process, `> FILE` included, and any other program in
  a process of its own; more arguments make it short where it takes long.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from slotmem import command

_PLACEHOLDER = re.compile(r"^[A-Z]+$")


class Shown(NamedTuple):
    """A command of a page."""

    line: str
    code: int = 0


def fenced(text: str, language: str) -> list[str]:
    """Return the contents of the blocks in a language; blocks without one have the language ''."""
    return [block for kind, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M) if kind == language]


def commands(text: str) -> list[Shown]:
    """Return the commands of the blocks; in a `console` block, those after a prompt."""
    lines = [line for block in fenced(text, "sh") for line in block.splitlines()]
    console = [line for block in fenced(text, "console") for line in block.splitlines()]
    lines += [line.removeprefix("$ ") for line in console if line.startswith("$ ")]
    return [_shown(line) for line in lines if line.strip()]


def _shown(line: str) -> Shown:
    line, _, told = line.partition(" #")
    code = re.match(r" exit code (\d+)", told)
    return Shown(line.strip(), int(code[1]) if code else 0)


def inline(text: str) -> list[str]:
    """Return the commands that stand in sentences and tables: `slotmem check httpd`."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    return [" ".join(line.split()) for line in re.findall(r"`(slotmem [a-z][^`]*)`", prose)]


def understand(line: str) -> None:
    """Parse a `slotmem` command without running it.

    Raises:
        AssertionError: if its subcommand does not exist or does not take these arguments.
    """
    name, *given = _words(line)[0][1:]
    if name == "COMMAND":
        return
    module = command._load(name)
    parser = argparse.ArgumentParser(line, exit_on_error=False)
    module.configure(parser)
    # What a sentence leaves out (`slotmem check --explain`) or stands for anything (DIR) is not a
    # mistake; an option that does not exist is.
    options = {option for action in parser._actions for option in action.option_strings}
    unknown = {word.partition("=")[0] for word in given if word.startswith("--")} - options
    assert not unknown, f"{line}: slotmem {name} has no {', '.join(sorted(unknown))}"
    if given and not given[-1].startswith("--") and not any(map(_PLACEHOLDER.match, given)):
        parser.parse_args(given)


def run(line: str, *more: str) -> tuple[int, str]:
    """Run a command with more arguments; return its exit code and what it printed."""
    words, target = _words(line)
    words += more
    if words[0] != "slotmem":
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout + done.stderr
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command.main(words[1:])
    if target:
        Path(target).write_text(out.getvalue(), encoding="utf-8")
    return code, out.getvalue() + err.getvalue()


def _words(line: str) -> tuple[list[str], str]:
    """Return the words of a command, and the file that its output goes to."""
    line, _, target = line.partition(" > ")
    return shlex.split(line), target.strip()
