"""Pages to step through: they show what the checker explored, and nothing else."""

import json
import re
from pathlib import Path

import pytest

from accused import programs as given
from slotmem.slots import Slots
from slotmem_model.algorithms.httpd import Httpd
from slotmem_model.automata.source_lines import files_of, function_at
from slotmem_model.checker import naive, shortest
from slotmem_model.checker.explored import explored
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.counterexample.explain import explain
from slotmem_model.stage import page
from slotmem_model.stage.data import stage_data
from slotmem_model.stage.walk import walk
from tools import pages
from tools.browser import needs_chromium, open_page

COUNTER = Configuration("counter", slots=0, clients=("increment",))
ASKED = {
    "httpd": (Configuration("httpd"), Httpd),
    "counter": (COUNTER, given.Counter),
    "tso": (Configuration("peterson", slots=0, clients=("enter(me); leave(me)",), memory="tso"), given.Peterson),
    "crashes": (Configuration("reference", slots=1, slot_bytes=1, crashes=1, clients=("put(0, me)",)), Slots),
}


def told_of(name):
    """Return the shortest counterexample of a question."""
    model, _ = explored(*ASKED[name])
    found = shortest.find(model)
    return explain(model, found.broken, found.steps)


def data_of(text):
    """Return the data of a page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])["models"][
        0
    ]


@pytest.mark.parametrize("name", ASKED)
def test_the_states_are_the_checkers(name):
    """As many states and steps, as many that break a property, and as far to the nearest."""
    model, fast = explored(*ASKED[name])
    found, slow = walk(model), naive.explore(model)
    assert found.is_whole
    assert (len(found.states), sum(map(len, found.steps))) == (slow.states, slow.transitions)
    assert {each: found.broken.count(each) for each in set(found.broken) - {""}} == fast.violations
    way = shortest.find(model)
    assert found.distances()[0] == (len(way.steps) if way else -1)


def test_a_distance_is_one_more_than_the_least_that_follows():
    """And 0 where a property is broken."""
    found = walk(explored(*ASKED["httpd"])[0])
    distances = found.distances()
    for at, steps in enumerate(found.steps):
        after = [distances[found.number[step.state]] for step in steps if distances[found.number[step.state]] >= 0]
        expected = 0 if found.broken[at] else min(after, default=-2) + 1
        assert distances[at] == expected


@pytest.mark.parametrize("name", ["httpd", "counter", "tso"])
def test_the_run_is_the_counterexample(name):
    """Its steps lead to a state that breaks the property, and say what the lanes say."""
    told = told_of(name)
    data = data_of(page.page_of(told))
    state, texts = 0, []
    for choice in data["run"]:
        step = data["steps"][state][choice]
        texts.append(data["texts"][step[3]])
        state = step[4]
    assert data["texts"][data["states"][state][3]] == told.broken
    assert len(texts) == len(told.happenings)
    for text, happening in zip(texts, told.happenings, strict=True):
        assert text == happening.text or text.endswith("(own buffer)")
    assert data["sentence"] == told.sentence


def test_lines_and_variables_are_those_of_the_run():
    """Before the store of a lost update, the counter's line is the store's, and what was read is in
    a variable.
    """
    data = data_of(page.page_of(told_of("counter")))
    after_first = data["states"][data["steps"][0][data["run"][0]][4]]
    local = data["locals"][after_first[0][0]]
    source, line = local["at"]
    assert data["sources"][source]["lines"][line - data["sources"][source]["first"]].strip() == "self.n[0] = value + 1"
    assert [(name, data["texts"][value]) for name, value in local["variables"]] == [("value", "0")]


def test_states_that_differ_in_a_variable_alone_are_told_apart():
    """Where nothing is shown they are one."""
    asked, algorithm = ASKED["crashes"]
    few, many = (compile_model(asked, algorithm, shown=shown) for shown in (frozenset(), files_of(algorithm)))
    assert len(few.processes[0].locals) < len(many.processes[0].locals)
    assert naive.explore(few).violations == naive.explore(many).violations == {}


def test_a_large_model_has_the_states_around_the_run():
    """What is not there is said to be not there, and no distance is known."""
    model = compile_model(Configuration("httpd", processes=3), Httpd)
    found = shortest.find(model)
    some = walk(model, found.steps, most=200)
    assert not some.is_whole
    assert all(step.state in some.number for step in found.steps)
    data = stage_data(some, found.steps)
    assert None in data["steps"]
    assert len(data["run"]) == len(found.steps)
    assert all(len(state) == 4 for state in data["states"])


def test_the_innermost_function_is_found():
    """Decorators belong to it; outside of all a line stands for itself."""
    file = given.__file__
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    line = lines.index("        self.n[0] = value + 1") + 1
    first, last = function_at(file, line)
    assert lines[first - 1].strip() == "@operation"
    assert lines[last - 1].strip() == "return value"
    assert function_at(file, 1) == (1, 1)


@needs_chromium
def test_a_browser_steps_along_the_run(tmp_path):
    """Forward to the end by keys: the sentence is told, and the address says which steps."""
    text = page.page_of(told_of("counter"))
    act = 'for (let each = 0; each < 4; each += 1) { dispatch("ArrowRight"); } await drawn();'
    keys = 'const dispatch = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));'
    document = open_page(text, tmp_path, act=keys + act)
    assert "increment() of process 1 returned 0" in document.of_id("news")
    assert document.given("html")["data-address"] == "#" + "".join(map(str, data_of(text)["run"]))
    assert document.of_id("where") == "step 4 of 4"
    assert document.of_class("here")
    back = open_page(
        text, tmp_path, "#" + "".join(map(str, data_of(text)["run"])), keys + 'dispatch("ArrowLeft"); await drawn();'
    )
    assert back.of_id("news") == "The nearest violation is 1 step away."


@needs_chromium
def test_a_browser_takes_another_way(tmp_path):
    """One process after the other: no violation can be reached any more, and that is said."""
    text = page.page_of(told_of("counter"))
    document = open_page(
        text,
        tmp_path,
        act='document.querySelector(".choices button").click(); document.querySelector(".choices button").click(); await drawn();',
    )
    assert document.of_id("news") == "From here no violation can be reached any more."
    assert "n1process 1" in document.of_id("memory")
    assert document.of_class("variables") == []
    assert document.given("again").get("hidden") is None


@needs_chromium
def test_a_browser_shows_store_buffers(tmp_path):
    """What was stored and has not drained, and a load from it."""
    text = page.page_of(told_of("tso"))
    data = data_of(text)
    run = data["run"]
    first = next(at for at, _ in enumerate(run) if "buffers" in data["texts"][step_of(data, run, at)[3]])
    document = open_page(text, tmp_path, "#" + "".join(map(str, run[: first + 1])))
    (buffer,) = document.of_class("buffer")
    assert buffer.startswith("store buffer, oldest first: flag[")


def step_of(data, run, number):
    """Return a step of the run."""
    state = 0
    for choice in run[:number]:
        state = data["steps"][state][choice][4]
    return data["steps"][state][run[number]]


@needs_chromium
def test_a_browser_shows_where_a_run_without_end_begins_again(tmp_path):
    """At its last step, in the words of the verdict; nothing is said of distances then."""
    file = tmp_path / "loop.html"
    assert pages.run(f"slotmem check example:try-both --progress --html {file}")[0] == 1
    text = file.read_text(encoding="utf-8")
    data = data_of(text)
    document = open_page(text, tmp_path, "#" + "".join(map(str, data["run"])))
    assert document.of_id("news") == (
        "And again from step 3, for ever: processes 1 and 2 go round for ever in a loop of 6 steps, and work(0) and work(1) "
        "never end."
    )


@needs_chromium
def test_an_address_that_does_not_fit_is_read_as_far_as_it_does(tmp_path):
    """Nonsense leads nowhere, without an error of a script."""
    document = open_page(page.page_of(told_of("counter")), tmp_path, "#0zz%22.999")
    assert document.of_id("where") == "step 1 of 1"


def test_what_holds_can_be_walked_through():
    """There is a page without a run, and it says that nothing is violated."""
    asked, algorithm = ASKED["crashes"]
    text = page.page_of_model(asked, algorithm)
    assert "Nothing is violated, whatever steps you choose." in text
    data = data_of(text)
    assert data["run"] == []
    assert any(data["texts"][step[1]] == "dies" for steps in data["steps"] for step in steps)
    assert all(not data["texts"][state[3]] for state in data["states"])
