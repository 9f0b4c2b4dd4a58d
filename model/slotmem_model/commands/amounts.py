"""The numbers that arguments of commands stand for; what is no such number argparse refuses.

Interface: `amount` is a type of argument, for seconds, rates and megabytes; `positive` is that
without 0; `count(least)` is one for whole numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

_MOST = 1e6
_LARGEST = 2**31


def amount(text: str) -> float:
    """Return a number from 0 up to a million.

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to a million")
    return number


def positive(text: str) -> float:
    """Return a number above 0, up to a million.

    Raises:
        argparse.ArgumentTypeError: it is no such number.
    """
    number = amount(text)
    if number == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def count(least: int) -> Callable[[str], int]:
    """Return the type of an argument that is a whole number of at least so much."""

    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) < _LARGEST):
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer of {least} or more, and less than 2^31")
        return int(text)

    return number
