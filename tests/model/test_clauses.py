"""The clause table is well-formed, in print, and cited by code and tests."""

import re
from pathlib import Path

import pytest

from slotmem_model import clauses

ROOT = Path(__file__).parents[2]
CITATION = re.compile(r"\b([A-Z]{2,8}-\d+)(?: to ([A-Z]{2,8}-\d+))?")


def cited(*folders: str) -> set[str]:
    """Collect the clause ids that the code below some folders cites, ranges included."""
    found = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            if path.name not in ("clauses.py", "test_clauses.py"):
                for first, last in CITATION.findall(path.read_text()):
                    stem, low = first.rsplit("-", 1)
                    high = last.rsplit("-", 1)[1] if last else low
                    found |= {f"{stem}-{number}" for number in range(int(low), int(high) + 1)}
    return found


def stems() -> set[str]:
    return {id.rsplit("-", 1)[0] for id in clauses.CLAUSES}


def test_the_table_is_well_formed():
    """Every clause has an id, a sentence, a profile, a level and a source."""
    clauses.check_table()
    assert len(clauses.CLAUSES) > 60


@pytest.mark.parametrize(
    "change", [{"sentence": "no full stop"}, {"level": "perhaps"}, {"profile": "best"}, {"source": "rumour"}]
)
def test_a_malformed_row_is_refused(change, monkeypatch):
    """A clause without full stop, or of an unknown level, profile or source, does not pass."""
    monkeypatch.setitem(clauses.CLAUSES, "GRAB-1", clauses.CLAUSES["GRAB-1"]._replace(**change))
    with pytest.raises(ValueError, match="GRAB-1"):
        clauses.check_table()


def test_the_printed_table_is_up_to_date():
    """model/CLAUSES.md is what `python -m slotmem_model.clauses` prints."""
    assert (ROOT / "model" / "CLAUSES.md").read_text() == clauses.to_markdown()


def test_only_clauses_that_exist_are_cited():
    """Every id cited in code and tests is in the table."""
    ids = {id for id in cited("slotmem", "model", "stress", "tests") if id.rsplit("-", 1)[0] in stems()}
    assert ids - clauses.CLAUSES.keys() == set()


def test_every_binding_clause_is_cited_by_a_test():
    """Each clause that binds is named by a test or by the conformance suite."""
    binding = {clause.id for clause in clauses.CLAUSES.values() if clause.level != "info"}
    assert binding - cited("tests") == set()


def test_every_specified_clause_is_cited_by_the_specification_or_the_implementation():
    """Each clause that binds is named where it is specified or implemented."""
    binding = {clause.id for clause in clauses.CLAUSES.values() if clause.level != "info"}
    assert binding - cited("model", "slotmem") == set()
