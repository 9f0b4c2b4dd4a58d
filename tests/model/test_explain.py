"""Counterexamples: the shortest way, told step by step, with the right words, lines and
sentence.
"""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from inspect import getsourcelines
from itertools import pairwise

import pytest

from slotmem.slots import Slots
from slotmem_model.algorithms.httpd import Httpd
from slotmem_model.algorithms.museum.pieces import MUSEUM
from slotmem_model.checker import naive, shortest
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.properties import property_check
from slotmem_model.counterexample import lanes, picture, trace
from slotmem_model.counterexample.explain import explain

HTTPD = Configuration("httpd")


def told(configuration, algorithm, broken=""):
    """Return the explanation of the nearest counterexample."""
    model = compile_model(configuration, algorithm)
    found = shortest.find(model, broken)
    assert found is not None
    return explain(model, found.broken, found.steps)


def piece(name):
    """Return the explanation of a museum piece."""
    return told(MUSEUM[name].configuration, MUSEUM[name].algorithm)


class Forgetful(Slots):
    """Count nothing anew after an owner's death."""

    def repair(self, which):
        return


def depths(model, broken):
    """Return the depths of all states that break a property, by the oracle's own walk."""
    level, seen, found, depth = [model.initial], {model.initial}, [], 0
    judge = property_check(model)
    while level:
        following = []
        for state in level:
            steps = list(model.successors(state))
            breaks = judge.violated(state, can_go_on=any(step.action is not None for step in steps))
            if breaks == broken:
                found.append(depth)
            if breaks:
                continue
            for step in steps:
                if step.state not in seen:
                    seen.add(step.state)
                    following.append(step.state)
        level, depth = following, depth + 1
    return found


@pytest.mark.parametrize("broken", ["held-once", "counter", "linearizable", "memory"])
def test_shortest(broken):
    """No state that breaks the property is nearer than the counterexample's last, and each step
    leads to the next.
    """
    model = compile_model(HTTPD, Httpd)
    found = shortest.find(model, broken)
    assert found.broken == broken
    assert len(found.steps) == min(depths(model, broken))
    state = model.initial
    for step in found.steps:
        assert step in list(model.successors(state))
        state = step.state


def test_nothing_to_find():
    """What holds has no counterexample; a property that holds has none though others are broken."""
    assert shortest.find(compile_model(Configuration(crashes=1), Slots)) is None
    assert shortest.find(compile_model(HTTPD, Httpd), "no-deadlock") is None


def test_few_changes():
    """Of equally short ways one with few changes between processes is told: the race needs two."""
    model = compile_model(HTTPD, Httpd)
    order = [step.process for step in shortest.find(model, "held-once").steps]
    assert sum(one != other for one, other in pairwise(order)) == 2


def test_race():
    """httpd's race: who was given what, which words it is about, and what each step did to
    which.
    """
    race = told(HTTPD, Httpd)
    assert race.sentence == "processes 1 and 2 were both given slot 0"
    assert [str(race.intervals[number]) for number in sorted(race.culprits)] == [
        "grab() of process 1",
        "grab() of process 2",
    ]
    assert [race.model.map.words[word].name for word in race.words] == ["inuse[0]"]
    assert [(each.process, each.text) for each in race.happenings] == [
        (0, "reads inuse[0]: 0"),
        (1, "reads inuse[0]: 0"),
        (1, "inuse[0]: 0 -> 1"),
        (1, "reads num_free: 2"),
        (1, "num_free: 2 -> 1"),
        (0, "inuse[0]: 1 -> 1"),
        (0, "reads num_free: 1"),
        (0, "num_free: 1 -> 0"),
    ]
    assert [interval.answer for interval in race.intervals] == ["slot 0", "slot 0"]


def test_sources():
    """Each step names the very line of the algorithm that did it, and each line does what the step
    says.
    """
    race = told(HTTPD, Httpd, "memory")
    for each in race.happenings:
        assert each.source.file == "slotmem_model/algorithms/base.py" or each.source.file.endswith("httpd.py")
        name = each.source.function.rpartition(".")[2]
        lines, first = getsourcelines(getattr(Httpd, name))
        line = lines[each.source.line - first]
        word = race.model.map.words[each.word].name
        array = "inuse|memory.find" if word.startswith("inuse") else "memory" if word.startswith("slot") else word
        assert re.search(array, line), (each, line)
        assert "=" in line or not each.writes


def test_sources_of_the_reference():
    """The reference's steps are lines of slotmem/slots.py, and of slotmem/recovery.py after a
    death.
    """
    dead = told(Configuration("forgetful", crashes=1), Forgetful)
    assert {each.source.file for each in dead.happenings if each.source} == {"slotmem/slots.py", "slotmem/recovery.py"}
    assert dead.sentence == "num_free says 1, but 0 slots are free and nobody alive is inside an operation"
    assert [each.text for each in dead.happenings if each.access is None] == [
        "dies; table mutex: held -> its owner died"
    ]


SENTENCES = {
    "grab-uncounted": "num_free says 1, but 0 slots are free and nobody is inside an operation",
    "release-clears": "nobody is inside an operation, but slot 0 holds 00 00 and should hold 01 01",
    "get-unmarked": "nobody is inside an operation, but slot 0 is free and should be in use",
    "torn-get": "get(0) of process 2 returned 01 00, which nobody put: byte 0 is from put(0, 01 01) of process 1 and byte 1 is "
    "from before any put",
    "get-beyond": "get(0) of process 1 returned 00 00 00, and no order of the operations explains that: it could have returned "
    "00 00",
    "repair-half": "get(0) of process 2 returned 01 00, which nobody put: byte 0 is from the repair in get(0) of process 2 and "
    "byte 1 is from before any put",
    "fgrab-refuses": "fgrab(0) of process 1 returned APR_EINVAL, and no order of the operations explains that: it could have "
    "returned ok",
    "num-free-unlocked": "num_free_slots() of process 2 returned 1, and no order of the operations explains that: it could "
    "have returned 0",
    "other-order": "process 1 waits for ever for the table mutex, which process 2 holds; process 2 waits for ever for the "
    "stripe 0 mutex, which process 1 holds",
    "kept-when-full": "process 3 waits for ever for the table mutex, which process 2 took in grab() and never unlocked",
    "not-consistent": "grab() of process 3 raised Unrecoverable: mutex 0 was unlocked by an owner that did not make it "
    "consistent",
}


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences(name):
    """One sentence says what went wrong, in the words of who was given, holds, waits or answered
    what.
    """
    assert piece(name).sentence == SENTENCES[name]


def test_beyond_the_slot():
    """A torn get that read beyond its slot: the sentence names the word that it came by there."""
    beyond = told(Configuration(processes=1, slots=1, clients=("fgrab(0); get(0)",)), MUSEUM["get-beyond"].algorithm)
    assert beyond.sentence == (
        "get(0) of process 1 returned 00 00 01, which nobody put: byte 0 is from before any put, byte 1 is from before any put "
        "and byte 2, which is inuse[0], is from fgrab(0) of process 1"
    )


@pytest.mark.parametrize("name", sorted(MUSEUM))
def test_every_piece_can_be_told(name):
    """Every museum piece's counterexample has a sentence, lanes of bounded width, a picture, and a
    trace that runs again.
    """
    broken = piece(name)
    assert broken.sentence
    assert all(each.source for each in broken.happenings if each.access is not None)
    width = lanes.WIDTH + 22 * max(0, len(broken.model.processes) - 2)
    assert max(map(len, lanes.drawn(broken, verbose=True))) <= width
    ElementTree.fromstring(picture.drawn(broken))
    recorded = trace.record(broken.model, broken.broken, broken.sentence, broken.steps)
    assert trace.load(trace.dumped(recorded)) == recorded
    assert trace.follow(broken.model, recorded) == broken.steps


def test_store_buffers():
    """Under tso a store is shown entering the buffer and leaving it, by the same line; own stores
    are read back.
    """
    torn = told(replace(HTTPD, memory="tso", linearizable=False), Httpd, "nothing-torn")
    buffered = [each for each in torn.happenings if each.access.kind == "buffer"]
    drained = [each for each in torn.happenings if each.access.kind == "drain"]
    assert drained
    assert {each.source for each in drained} <= {each.source for each in buffered}
    assert all(each.text.startswith("buffers ") for each in buffered)
    assert any("(own buffer)" in each.text for each in torn.happenings)


def test_dead_holder():
    """A mutex that is not robust stays with the dead, and the sentence says whose it was."""

    class Plain(Slots):
        robust = False

    stuck = told(Configuration("plain", crashes=1, clients=("grab -> a",)), Plain, "no-deadlock")
    assert stuck.sentence == "process 2 waits for ever for the table mutex, which process 1 held when it died"


def test_lanes():
    """The race as text: bars run from an operation's first step to its last, the answer stands at
    the end; beside each step its line of the source, and what that says.
    """
    race = told(HTTPD, Httpd)
    bare = [re.sub(r"  +\S+\.py:\d+ \w+  .+$", "", line) for line in lanes.drawn(race)]
    assert all(len(line) <= lanes.WIDTH for line in lanes.drawn(race))
    assert bare[2:] == [
        "      ┌ grab()",
        "   1  │ reads inuse[0]: 0",
        "      │                     ┌ grab()",
        "   2  │                     │ reads inuse[0]: 0",
        "   3  │                     │ inuse[0]: 0 -> 1",
        "   4  │                     │ reads num_free: 2",
        "   5  │                     │ num_free: 2 -> 1",
        "      │                     └ returns slot 0",
        "   6  │ inuse[0]: 1 -> 1",
        "   7  │ reads num_free: 1",
        "   8  │ num_free: 1 -> 0",
        "      └ returns slot 0",
    ]


def test_verbose_lanes():
    """With verbose, memory stands after each step, as the states have it."""
    race = told(HTTPD, Httpd)
    memory = [line.strip() for line in lanes.drawn(race, verbose=True) if " · " in line]
    assert len(memory) == 8
    assert memory[0] == "inuse[0] 0 · num_free 2"
    assert memory[-1] == "inuse[0] 1 · num_free 0"


def test_picture():
    """The picture stands alone, shows each step, the answers and the sentence, and marks the
    culprits.
    """
    race = told(HTTPD, Httpd)
    drawn = picture.drawn(race)
    root = ElementTree.fromstring(drawn)
    texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert "Processes 1 and 2 were both given slot 0" in texts
    assert texts.count("grab() → slot 0") == 2
    assert {"process 1", "process 2", "inuse[0]", "num_free", "0 → 1", "2 → 1", "1 → 0"} <= set(texts)
    assert "base.py:80  self.inuse[item_id] = 1".replace(" ", "\N{NO-BREAK SPACE}") in texts
    assert not re.search(r"href|url\(|<style|<script|@import", drawn)
    red = [element for element in root.iter() if element.get("stroke") == "#c8102e" and element.tag.endswith("}rect")]
    assert len(red) == 2


def test_the_oracle_agrees():
    """The counterexample's property is one that the oracle counted, and its last state
    breaks it.
    """
    model = compile_model(HTTPD, Httpd)
    found = shortest.find(model)
    assert naive.explore(model).violations[found.broken]
    assert property_check(model).violated(found.steps[-1].state, can_go_on=True) == found.broken


BAD = {
    "it is not JSON": lambda given: "{",
    "its format is missing": lambda given: json.dumps({}),
    "its format is []": lambda given: json.dumps([]),
    "which is not one of": lambda given: changed(given, configuration={"colour": 1}),
    "as processes": lambda given: changed(given, configuration={"processes": "two"}),
    "processes must be at least 1": lambda given: changed(given, configuration={"processes": 0}),
    "step 1 names process 7": lambda given: changed(given, interleaving=[{"process": 7, "does": "dies"}]),
    "step 1 needs 'does'": lambda given: changed(given, interleaving=[{"process": 1}]),
    "expected when it was invoked": lambda given: changed(
        given, operations=[{"process": 1, "request": {"op": "grab"}, "time": [1, 2]}]
    ),
    "expected a list of numbers": lambda given: changed(given, before=[{"inuse": ["x"], "data": {}}]),
    "expected numbers of slots": lambda given: changed(given, before=[{"inuse": [], "data": {"x": "00"}}]),
    "operation 1 of around needs 'process'": lambda given: changed(given, around=[{"request": {"op": "grab"}}]),
    "operation 1 needs 'op'": lambda given: changed(given, operations=[{"process": 1, "request": {}}]),
    "expected hexadecimal": lambda given: changed(
        given, operations=[{"process": 1, "request": {"op": "put", "id": 0, "data": "xy"}}]
    ),
}


def changed(given, **parts):
    return json.dumps({**json.loads(given), **parts})


@pytest.mark.parametrize("message", BAD)
def test_bad_traces(message):
    """What is no trace is refused, and the message says where it is wrong."""
    race = told(HTTPD, Httpd)
    good = trace.dumped(trace.record(race.model, race.broken, race.sentence, race.steps))
    with pytest.raises(trace.BadTrace, match=re.escape(message)):
        trace.load(BAD[message](good))


def test_requests():
    """Requests and answers in a trace are plain objects; bytes are hexadecimal."""
    race = told(HTTPD, Httpd, "memory")
    given = json.loads(trace.dumped(trace.record(race.model, race.broken, race.sentence, race.steps)))
    assert {
        "process": 1,
        "request": {"op": "put", "id": 0, "data": "0101"},
        "result": {"status": "APR_SUCCESS"},
    } in given["operations"]
    assert given["operations"][0]["request"] == {"op": "grab"}
    assert given["operations"][0]["result"] == {"status": "APR_SUCCESS", "value": 0}
