"""APACHE.md: what it says of Apache's module names the clauses as they are."""

from pathlib import Path

import slotmem_conformance
from slotmem_model.clauses import CLAUSES, PROFILES

PAGE = Path(slotmem_conformance.__file__).with_name("APACHE.md")


def test_the_table_of_apaches_module_names_the_clauses_as_they_are():
    """Each clause stands once in the tables of APACHE.md, with its own sentence; what is skipped or
    only told of stands in none.
    """
    page = PAGE.read_text(encoding="utf-8")
    table = page.split("<!-- slotmem verify httpd: begin -->")[1].split("<!-- slotmem verify httpd: end -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")]
    profiles = {row[0]: row for row in rows if len(row) == 4 and row[0] in PROFILES}
    broken = dict(row[0].split(": ", 1) for row in rows if len(row) == 2 and ": " in row[0])
    assert profiles.keys() == PROFILES.keys()
    assert all(CLAUSES[id].sentence == sentence for id, sentence in broken.items())
    for name, (_, asks, verdict, holds) in profiles.items():
        binding = {id for id, clause in CLAUSES.items() if clause.profile == name and clause.level != "info"}
        if verdict == "not tried":
            assert not holding(holds)
            continue
        held = len(holding(holds))
        assert asks == PROFILES[name]
        assert not holding(holds) & broken.keys()
        assert holding(holds) | (broken.keys() & binding) <= binding
        skipped = int(verdict.partition("(")[2].partition(" ")[0] or 0)
        assert held + len(broken.keys() & binding) + skipped == len(binding)
        assert verdict.startswith("yes" if held + skipped == len(binding) else "no" if not held else f"{held} of ")


def holding(text):
    """Read `GRAB-1 to GRAB-3, GET-1 (non-strict)` as a set of ids."""
    found = set()
    for part in filter(None, text.replace(" (non-strict)", "").split(", ")):
        first, _, last = part.partition(" to ")
        stem, _, number = first.rpartition("-")
        end = int((last or first).rpartition("-")[2])
        found |= {f"{stem}-{each}" for each in range(int(number), end + 1)}
    return found
