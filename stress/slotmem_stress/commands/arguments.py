"""Arguments that several commands of this package have in common.

Interface: `check_writable` checks a path, `add_json` adds `--json`, and `in_words` puts an
operating system error into words.
"""

from __future__ import annotations

import argparse
import os

from slotmem import InvalidArgument, environment


def add_json(parser: argparse.ArgumentParser, instead_of: str) -> None:
    """Add --json; its value is None if not given, `-` for standard output, else a path."""
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        default=None,
        metavar="FILE",
        help=f"write a JSON report, to FILE or instead of the {instead_of}",
    )


def check_writable(path: str | None) -> None:
    """Refuse a path that cannot be written to, before any work is done; None and `-` are no paths.

    Raises:
        InvalidArgument: if the file could not be written.
    """
    if path in (None, "-"):
        return
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise InvalidArgument(f"{path} cannot be written: there is no such folder")
    if os.path.isdir(path):
        raise InvalidArgument(f"{path} cannot be written: it is a folder")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise InvalidArgument(f"{path} cannot be written: permission denied")


def in_words(error: OSError) -> str:
    """Return what the operating system refused: the file, the reason, and what to do, if known."""
    said = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    return environment.explains(error) or said
