"""The tables of stress/BENCHMARK.md, measured.

Interface: `filled(text, name, table)` is the page with the table between the markers of that name
replaced; `python -m tools.benchmark_page`, in the folder tests, measures both tables on this
machine, in some six minutes, and writes them. `TABLES` has the command of each.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "stress" / "BENCHMARK.md"
TABLES = {"bench": ["bench"], "bench --kill": ["bench", "--kill"]}


def filled(text: str, name: str, table: str) -> str:
    """Return the page with another table."""
    place = re.compile(
        rf"(<!-- slotmem {name}: begin -->\n\n```\n).*?(\n```\n\n<!-- slotmem {name}: end -->)", re.DOTALL
    )
    return place.sub(lambda found: found[1] + table.rstrip("\n") + found[2], text)


if __name__ == "__main__":
    for name, given in TABLES.items():
        command = [sys.executable, "-m", "slotmem.command", *given]
        table = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), name, table), encoding="utf-8")
