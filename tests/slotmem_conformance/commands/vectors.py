"""Write the sequential suite as JSON files, for implementations that are tested without Python.

examples:
  slotmem vectors vectors/            write the files and manifest.json, which has their SHA-256
  slotmem vectors vectors/ --check    say whether the files there are those that this version writes

exit codes: 0 written, or the same; 1 they differ; 2 usage or environment
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from slotmem_conformance.vectors import vectors
from slotmem_model.given_files import read_text
from slotmem_model.verdict import Exit

SYNONYMS = ("generate", "export", "fixtures")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="where to write them; created if it does not exist")
    parser.add_argument("--check", action="store_true", help="write nothing; compare what is there")


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    files = vectors.generate()
    try:
        if arguments.check:
            return _check(arguments.folder, files)
        arguments.folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (arguments.folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"slotmem vectors: {error.filename}: {error.strerror}", file=sys.stderr)
        return Exit.USAGE
    print(f"{len(files) - 1} files and {vectors.MANIFEST} in {arguments.folder}")
    return Exit.HELD


def _check(folder: Path, files: dict[str, str]) -> int:
    there = {path.name: read_text(path) for path in folder.glob("*.json")}
    wrong = sorted(name for name in files.keys() | there.keys() if files.get(name) != there.get(name))
    for name in wrong:
        print(f"{name}: {'missing' if name not in there else 'not one of ours' if name not in files else 'differs'}")
    return Exit.VIOLATED if wrong else Exit.HELD
