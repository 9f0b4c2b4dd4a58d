"""Show a live segment or a persisted file, and what is wrong with it; change nothing."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("what", metavar="NAME|FILE", help="name of a segment, or path of a persisted file or object")


def run(arguments: argparse.Namespace) -> int:
    """Do it. Gives the exit code."""
    raise NotImplementedError(arguments.what)
