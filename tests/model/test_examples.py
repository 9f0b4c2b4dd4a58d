"""The examples: what the checker says of each is pinned, by both engines, and each has a twin."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from slotmem_model.algorithms import catalogue
from slotmem_model.checker import naive, shortest
from slotmem_model.checker.exploration import Limits
from slotmem_model.checker.explored import explored
from slotmem_model.checker.model import compile_model
from slotmem_model.checker.progress.lasso import PROGRESS
from slotmem_model.checker.progress.reached import reach
from slotmem_model.commands.check_progress import judge
from slotmem_model.examples import specifications
from slotmem_model.examples.catalogue import EXAMPLES
from slotmem_model.program import Violated, check
from slotmem_model.programs.question import is_program
from slotmem_model.programs.values import settled
from tools import examples_page, pages

ALL = pytest.mark.parametrize("example", EXAMPLES.values(), ids=lambda each: each.name)


@ALL
def test_what_the_checker_says_is_pinned(example):
    """States, steps, what breaks and how soon; the same by the oracle."""
    model, fast = explored(example.configuration, example.algorithm)
    slow = naive.explore(model)
    assert (slow.states, slow.transitions, slow.violations) == (fast.states, fast.transitions, fast.violations)
    assert (fast.states, fast.transitions) == (example.states, example.transitions)
    assert bool(fast.violations) == bool(example.property)
    found = shortest.find(model)
    assert (found.broken, len(found.steps)) == (example.property, example.steps) if found else not example.property


@pytest.mark.parametrize(
    "example", [each for each in EXAMPLES.values() if each.ends is not None], ids=lambda each: each.name
)
def test_what_ends_is_pinned(example):
    """Of those whose words are bounded when processes go on for ever."""
    asked = replace(example.configuration, rounds=0, linearizable=False, crashes=0)

    def graph(values):
        reached = reach(compile_model(asked, example.algorithm, values=values), Limits())
        return reached, reached.outside

    reached = settled(graph)
    assert not reached.reason
    assert {name for name, lasso in judge(reached).items() if not lasso} == set(example.ends)
    assert example.ends <= set(PROGRESS)


def test_each_has_a_twin():
    """Each file has one that holds and one that does not."""
    for file, examples in groupby(EXAMPLES.values(), key=lambda each: each.algorithm.__module__):
        broken = {bool(each.property) or each.ends == frozenset() for each in examples}
        assert broken == {False, True}, file


def test_each_class_is_listed():
    """No program lies there unseen."""
    listed = {each.algorithm for each in EXAMPLES.values()}
    folder = Path(specifications.__file__).parent
    assert {each.algorithm.__module__.rpartition(".")[2] for each in EXAMPLES.values()} == {
        file.stem for file in folder.glob("*.py")
    } - {"__init__", "catalogue", "specifications"}
    for each in listed:
        module = vars(__import__(each.__module__, fromlist=["*"]))
        programs = {
            one
            for one in module.values()
            if isinstance(one, type) and one.__module__ == each.__module__ and is_program(one)
        }
        assert programs <= listed


def test_a_class_asks_the_same_by_itself():
    """What stands in the class is the question of the catalogue."""
    for name in ("peterson", "seqlock", "treiber-stack", "once"):
        assert check(EXAMPLES[name].algorithm).verdict == "held"
    for name in ("peterson-turn-first", "seqlock-reads-once", "treiber-stack-aba", "once-checks-once"):
        with pytest.raises(Violated):
            check(EXAMPLES[name].algorithm)


def test_the_command_asks_an_example(capsys):
    """By name, with the exit code of its verdict; a wrong name is told with all that there are."""
    assert pages.run("slotmem check example:dekker-polite")[0] == 1
    assert pages.run("slotmem check example:dekker-fenced")[0] == 0
    code, said = pages.run("slotmem check example:nothing")
    assert code == 2
    assert "there is no 'example:nothing'; example: has bakery, " in said
    with pytest.raises(ValueError, match="museum: has"):
        catalogue.find("museum:nothing")


def test_the_page_is_what_is_pinned():
    """model/EXAMPLES.md is made by tools.examples_page."""
    assert examples_page.PAGE.read_text(encoding="utf-8") == examples_page.text()
