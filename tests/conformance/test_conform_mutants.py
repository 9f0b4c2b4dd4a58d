"""The suite is tried on wrong implementations, each of which it must catch, and on right ones,
which it must not accuse.
"""

import logging
from functools import partial
from pathlib import Path

import pytest

from accused import faults, mutants, own_algorithms
from accused.miniature import Miniature
from accused.miniatures import GrabsLast, GrabsRoundRobin
from slotmem_conformance import runner
from slotmem_conformance.cases.case import collect
from slotmem_conformance.cases.lives import LIVES, SHAPES
from slotmem_conformance.cases.scale import LARGE
from slotmem_conformance.protocol.session import open_session
from slotmem_conformance.reports.verdicts import ClauseVerdict
from slotmem_model.clauses import CLAUSES
from tools import example_drivers

TRIES = 100  # races are up to the machine: until it is caught, but no longer
PAGE = Path(__file__).parents[1] / "slotmem_conformance" / "MUTANTS.md"
ALONE = [
    case for case in collect() if case.clause.profile in ("core", "httpd", "safe") or case.id.startswith("RESTORE")
]
PROGRAMS = [case for case in ALONE if case.clause.profile == "core" and case.program and len(case.program) < 120]


@pytest.fixture(autouse=True)
def quiet():
    """Files are spoiled on purpose: warnings about them are no news."""
    logging.getLogger("slotmem").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("slotmem").setLevel(logging.NOTSET)


def test_there_are_enough():
    """At least forty wrong implementations are tried, with names of their own, of clauses that
    there are.
    """
    assert len(mutants.MUTANTS) >= 40
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)
    assert {mutant.clause for mutant in mutants.MUTANTS + mutants.RACING + mutants.DEATHS} <= CLAUSES.keys()


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_every_wrong_one_is_caught(mutant):
    """A wrong implementation fails the clause that it breaks, and MUTANTS.md names the cases."""
    caught = mutant.failing()
    assert caught
    assert all(outcome.reason for outcome in caught)
    assert mutants.row(mutant, caught) in PAGE.read_text().splitlines()


@pytest.mark.parametrize("mutant", mutants.RACING, ids=lambda mutant: mutant.name)
def test_races_and_deaths_are_caught(mutant):
    """Real processes show what the model checker found in the same algorithm; a race may need
    several tries.
    """
    assert any(mutant.is_caught(seed) for seed in range(TRIES))


@pytest.mark.parametrize(
    "name",
    ["no-generation", "never-stores", "names-stay", "counter-not-restored", "flags-not-restored", "restores-anything"],
)
def test_random_lives_find_faults(name):
    """Random lives of servers alone find what is wrong with generations, names and files, and show
    a life of a few requests.
    """
    [fault] = [each for each in faults.FAULTS if each.name == name]
    with fault.patched():
        found = [runner.run_case(case, partial(open_session, "shm"), seed=1, quick=True) for case in (LIVES, SHAPES)]
    caught = [outcome for outcome in found if outcome.verdict is ClauseVerdict.FAIL]
    assert caught
    assert all(len(outcome.evidence.splitlines()) <= 20 for outcome in caught)  # request and answer


def test_the_printed_table_is_whole():
    """MUTANTS.md has the rows of all wrong implementations, in their order, and no other text."""
    header, rows = PAGE.read_text().split("|---|---|---|---|---|\n")
    assert header + "|---|---|---|---|---|" == mutants.HEADER
    named = [row.split(" | ")[0] for row in rows.splitlines()]
    assert named == [f"| {each.name}" for each in mutants.MUTANTS + mutants.RACING + mutants.DEATHS]
    by_chance = [mutants.row(each, None) for each in mutants.RACING + mutants.DEATHS]
    assert rows.splitlines()[len(mutants.MUTANTS) :] == by_chance


RIGHT = {
    "for threads": partial(open_session, "plain"),
    "coarse-locked": Miniature,
}


def with_pregrab(case):
    return case.program.count("create ") == case.program.count("PREGRAB")


def is_whole(algorithm):
    """Say whether an algorithm has every operation, and promises what the specification asks."""
    return getattr(algorithm, "lowest_first", True) and hasattr(algorithm, "put")


def accused(opener, name, cases=ALONE):
    """Return the outcomes that do not hold, of all cases for one server; most cases must have been
    judged.
    """
    report = runner.run(cases, opener, provider=name, hello={}, seed=1, quick=True)
    assert sum(each.verdict is ClauseVerdict.PASS for each in report.outcomes) > 90
    return [(each.case, each.reason) for each in report.outcomes if not each.verdict.holds]


@pytest.mark.parametrize("name", RIGHT)
def test_right_ones_are_not_accused(name):
    """Implementations that differ from the reference in everything but what they do fail no case,
    and most are judged.
    """
    assert accused(RIGHT[name], name) == []


@pytest.mark.parametrize("name", [each.__name__ for each in own_algorithms.RIGHT if is_whole(each)])
def test_right_designs_are_not_accused(name):
    """Nor do algorithms of many designs, in processes of their own: tickets, readers and a writer,
    one word that is swapped, a recounted counter, a lock for each slot, one for all.
    """
    spec = f"algorithm:accused.own_algorithms:{name}"
    needs_pregrab = "pregrab" in getattr(getattr(own_algorithms, name), "made_for", {})
    cases = [case for case in PROGRAMS if not needs_pregrab or with_pregrab(case)]
    report = runner.run(cases, partial(open_session, spec), provider=spec, hello={}, seed=1, quick=True)
    assert sum(each.verdict is ClauseVerdict.PASS for each in report.outcomes) > 20
    assert [(each.case, each.reason) for each in report.outcomes if not each.verdict.holds] == []


@pytest.mark.parametrize("grabs", [GrabsLast, GrabsRoundRobin])
def test_any_free_slot_is_right_but_for_one_clause(grabs):
    """Which of the free slots a grab gives is asked by GRAB-2 alone."""
    grabbing = [case for case in ALONE if case not in LARGE and ("grab" in case.program or "random" in case.id)]
    assert {case.partition("/")[0] for case, _ in accused(grabs, "any free", grabbing)} == {"GRAB-2"}


@pytest.mark.parametrize("language", ["c", "sh"])
def test_right_ones_in_other_languages_are_not_accused(language, tmp_path):
    """Nor does one that was written in another language, and is asked through the protocol. The
    shell is spared the programs of thousands of requests or bytes, and the tours.
    """
    spec = example_drivers.provider(language, tmp_path)
    cases = [
        case
        for case in ALONE
        if language != "sh" or (case not in LARGE and len(case.program) < 1500 and "STATE" not in case.id)
    ]
    assert accused(partial(open_session, spec, timeout_s=600), spec, cases) == []
