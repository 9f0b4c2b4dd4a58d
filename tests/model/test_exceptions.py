"""An exception instead of a death, at every access and on the way out."""

import inspect

import pytest

from slotmem import slots
from slotmem.slots import Slots
from slotmem_model.algorithms.striped import Striped
from slotmem_model.checker import naive, shortest
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.sweep import engine as sweep
from slotmem_model.counterexample import trace
from slotmem_model.verdict import HELD

SMALL = {"slots": 1, "exceptions": True, "crashes": 1}
QUESTIONS = [
    Configuration(slot_bytes=1, clients=("grab -> a; release(a)", "num_free_slots"), **SMALL),
    Configuration(clients=("fgrab(0); put(0, 1)", "put(0, 1); get(0)"), **SMALL),
    Configuration(slot_bytes=1, pregrab=False, clients=("put(0, 1)", "get(0)"), **SMALL),
]
INNER = """\
            except BaseException:
                self.dirty[{which}] = 1
                self.consistent(mutex)
                unlock(mutex if status != EDEADLK and self.owners[{which}] != GIVEN_UP else self.nobody)
                raise
"""
OUTER = """\
        except BaseException:
            self.dirty[{which}] = 1
            unlock(mutex if status != EDEADLK and self.owners[{which}] != GIVEN_UP else self.nobody)
            raise
"""


def changed(part, change):
    """Return the reference with a part of it changed wherever it stands."""
    text = inspect.getsource(slots)
    for which in ("TABLE", "which"):
        was = part.format(which=which)
        assert text.count(was) > 1
        text = text.replace(was, change(was))
    names = {"__name__": slots.__name__}
    exec(compile(text, slots.__file__, "exec"), names)
    return names["Slots"]


def without(line):
    """Leave out the lines that begin so."""
    return lambda was: "".join(each for each in was.splitlines(True) if not each.strip().startswith(line))


def swapped(was):
    """Unlock, and mark then."""
    lines = was.splitlines(True)
    mark = next(at for at, line in enumerate(lines) if "dirty" in line)
    unlock = next(at for at, line in enumerate(lines) if " unlock(" in line)
    lines[mark], lines[unlock] = lines[unlock], lines[mark]
    return "".join(lines)


WRONG = {
    "only errors": changed(INNER + OUTER, lambda was: was.replace("BaseException", "Exception")),
    "no mark": changed(INNER + OUTER, without("self.dirty")),
    "no mark on the second way out": changed(OUTER, without("self.dirty")),
    "no unlock": changed(INNER + OUTER, without("unlock")),
    "no unlock on the second way out": changed(OUTER, without("unlock")),
    "unlocked, then marked": changed(INNER, swapped),
}


@pytest.mark.parametrize("configuration", QUESTIONS, ids=str)
def test_the_reference_survives_exceptions(configuration):
    """Both engines explore them, and see the same."""
    slow = naive.explore(compile_model(configuration, Slots))
    fast = sweep.explore(compile_model(configuration, Slots))
    assert (slow.verdict, slow.complete) == (HELD, True)
    assert (slow.states, slow.transitions) == (fast.states, fast.transitions)
    assert slow.seen == fast.seen


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_way_out_is_found(name):
    """Some question is violated, and without exceptions none is. The counterexample can be run
    again, and names the exception.
    """
    found = []
    for configuration in QUESTIONS:
        model = compile_model(configuration, WRONG[name])
        counterexample = shortest.find(model)
        if counterexample:
            kept = trace.record(model, counterexample.broken, "", counterexample.steps)
            assert trace.follow(model, trace.load(trace.dumped(kept))) == tuple(counterexample.steps)
            found.append([move.does for move in kept.interleaving])
    assert found
    assert any("exception" in each for does in found for each in does)


def test_whoever_never_thought_of_exceptions_is_violated():
    """`with` gives the lock back and says nothing of what was left half done."""
    configuration = Configuration(slot_bytes=1, clients=("grab -> a; release(a)", "num_free_slots"), **SMALL)
    assert naive.explore(compile_model(configuration, Striped)).violations
