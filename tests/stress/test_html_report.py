"""The page of a history: what it shows is right, it works in a browser, and nothing that is told of
in it can break it.
"""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slotmem import InvalidArgument
from slotmem_model.verdict import HELD, VIOLATED
from slotmem_stress.commands import judge as judge_command
from slotmem_stress.history.judging import judge_path
from slotmem_stress.page import html_report, timeline, timeline_order
from slotmem_stress.run.report import RunReport
from slotmem_stress.run.settings import Settings
from tools.browser import Document, needs_chromium, open_page
from tools.histories import operation, parsed

DESCRIPTION = {"format": "slotmem history 1", "slots": 4, "slot_bytes": 8, "inuse": [0], "values": [9, 0, 0, 2**63 + 1]}


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """The search for an order may take as long as a busy machine needs."""
    monkeypatch.setattr(timeline_order, "_ORDER_S", 600.0)


def busy(rounds, client=1, start=0):
    """Return operations of one client: 4 a round, 40 ns long, without a fault."""
    done = []
    for number in range(rounds):
        at = 1 + start + number * 200
        done += [
            operation(client, "grab", at, at + 40, slot=1),
            operation(client, "put", at + 50, at + 90, slot=1, value=100 + number),
            operation(client, "get", at + 100, at + 140, slot=1, value=100 + number),
            operation(client, "release", at + 150, at + 190, slot=1),
        ]
    return done


def double_grab(at):
    """Return the two grabs of one slot that overlap."""
    return [operation(2, "grab", at, at + 100, slot=1), operation(3, "grab", at + 20, at + 90, slot=1)]


def write(folder, operations, description=DESCRIPTION):
    """Write a history as JSON lines; return its path."""
    path = folder / "history.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in [description, *operations]), encoding="utf-8")
    return str(path)


def data_of(page):
    """Return the data in a page."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def judged_page(folder, operations):
    """Judge a history; return its page."""
    return html_report.of_history(judge_path(write(folder, operations), None, None))


# -- what it shows ---------------------------------------------------------------------------------


def test_a_violation_is_shown_with_what_explains_the_rest(tmp_path):
    """The window's operations have their roles, all before them take effect, and it is said until
    when an order explains it.
    """
    data = data_of(judged_page(tmp_path, busy(10) + double_grab(5001)))
    window = [data["operations"][number] for number in data["window"]]
    assert sorted((each["client"], each["role"]) for each in window) == [(2, 2), (3, 1)]
    assert data["explained_ns"] == 5100
    assert len(data["placed"]) == 41
    assert [each["at"] is None for each in data["operations"]] == [False] * 40 + [True, False]
    assert data["first"] == {"inuse": [0], "values": ["9", "0", "0", str(2**63 + 1)]}
    assert data["placed"][-1] | {"at": 0} == {"operation": 41, "at": 0, "slot": 1, "used": True, "value": "109"}
    assert data["clients"] == [1, 2, 3]
    assert data["left_out"] == "All 42 operations are shown."


def test_instants_are_in_the_intervals_and_in_order(tmp_path):
    """Each operation takes effect between its begin and its end, none before the one that is before
    it in the order.
    """
    operations = busy(20) + [operation(2, "get", 30 + 100 * n, 120 + 100 * n, slot=0, value=9) for n in range(30)]
    data = data_of(judged_page(tmp_path, operations))
    instants = [each["at"] for each in data["placed"]]
    assert instants == sorted(instants)
    assert len(instants) == len(operations)
    for placed in data["placed"]:
        done = data["operations"][placed["operation"]]
        assert done["begin"] <= placed["at"] <= done["end"]
        assert done["at"] == placed["at"]
    assert data["explained_ns"] is None


def test_a_torn_get_is_what_cannot_be_explained(tmp_path):
    """A get of mixed values ends the explained part; its text names both."""
    torn = operation(2, "get", 900, 950, slot=0, value=9, second=7, status="TORN")
    data = data_of(judged_page(tmp_path, [*busy(2), torn]))
    assert [data["operations"][number]["text"] for number in data["window"]] == ["get(0) → 9 mixed with 7"]
    assert data["explained_ns"] == 949


@pytest.mark.parametrize("looked_at", [20_000, 0])
def test_of_a_long_history_what_is_near_the_violation_is_shown(tmp_path, monkeypatch, looked_at):
    """No more than so many operations are in the page, it says how many are not, and the state at
    the left is still right.

    It is right whether the order is looked for from the beginning on, or from where the page
    begins.
    """
    monkeypatch.setattr(timeline, "MOST_LOOKED_AT", looked_at)
    data = data_of(judged_page(tmp_path, busy(2000) + double_grab(400_021) + busy(1000, start=400_200)))
    assert len(data["operations"]) == timeline.MOST
    assert data["left_out"] == "Left out of 12,002 operations: 3,502 earlier and 3,500 later ones."
    assert len(data["window"]) == 2
    assert data["first"]["inuse"] == ([0, 1] if 3502 % 4 in (1, 2, 3) else [0])
    assert data["first"]["values"][1] == str(100 + 3502 // 4)
    assert len(data["placed"]) == 4499
    assert data["note"] == ""


@pytest.mark.parametrize("looked_at", [20_000, 0])
def test_what_was_killed_takes_effect_if_something_shows_that(tmp_path, monkeypatch, looked_at):
    """Of three operations that never returned, the grab and the release have happened, the put has
    not.
    """
    monkeypatch.setattr(timeline, "MOST_LOOKED_AT", looked_at)
    killed = [
        operation(5, "release", 3, slot=0),
        operation(6, "put", 4, slot=0, value=5),
        operation(7, "grab", 5),
    ]
    told = [
        operation(2, "get", 100_001, 100_011, slot=0, status="NOTFOUND"),
        operation(2, "fgrab", 100_021, 100_031, slot=0),
        operation(2, "get", 100_041, 100_051, slot=0, value=9),
        operation(2, "grab", 100_061, 100_071, slot=2),
        *double_grab(100_101),
    ]
    monkeypatch.setattr(timeline, "MOST", 40)
    monkeypatch.setattr(timeline, "BEHIND", 0)
    data = data_of(judged_page(tmp_path, [*killed, *busy(20), *told]))
    assert data["note"] == ""
    happened = {each["client"]: each["at"] is not None for each in data["operations"] if each["end"] is None}
    assert happened == {5: True, 6: False, 7: True}
    assert data["explained_ns"] + data["operations"][0]["begin"] > 0


def test_what_ran_when_the_page_begins_may_have_taken_effect_before(tmp_path, monkeypatch):
    """A put that ran for long was seen before what is shown begins; the order that is shown does
    without it.
    """
    monkeypatch.setattr(timeline, "MOST_LOOKED_AT", 0)
    monkeypatch.setattr(timeline, "MOST", 20)
    monkeypatch.setattr(timeline, "BEHIND", 0)
    slow = operation(5, "put", 3, 90_000, slot=0, value=55)
    seen = operation(6, "get", 101, 111, slot=0, value=55)
    over = operation(6, "put", 121, 131, slot=0, value=9)
    told = operation(6, "get", 90_101, 90_111, slot=0, value=9)
    data = data_of(judged_page(tmp_path, [slow, seen, over, *busy(20, start=200), told, *double_grab(100_101)]))
    assert data["note"] == ""
    assert data["first"]["values"][0] == "9"
    assert [each["at"] for each in data["operations"] if each["client"] == 5] == [None]
    assert data["explained_ns"] is not None


def test_the_first_operations_of_a_long_history_that_holds_are_shown(tmp_path):
    """What returned after the last that is shown may have been told of what is not: it is no
    violation.
    """
    overtaken = operation(2, "get", 5, 10**7, slot=1, value=100 + 1800)
    data = data_of(judged_page(tmp_path, [*busy(2000), overtaken]))
    assert data["left_out"] == "Left out of 8,001 operations: 3,001 later ones."
    assert data["explained_ns"] is None
    assert len(data["placed"]) in (timeline.MOST - 1, timeline.MOST)


def test_an_empty_history_has_a_page(tmp_path):
    """There is nothing to show, and nothing breaks."""
    data = data_of(judged_page(tmp_path, []))
    assert (data["operations"], data["placed"], data["left_out"]) == ([], [], "All 0 operations are shown.")


def test_a_grab_that_never_returned_shows_the_slot_that_it_took(tmp_path):
    """Its result is not known, but its effect is."""
    operations = [
        operation(1, "grab", 5),
        operation(2, "num_free_slots", 15, 25, value=2),
        operation(3, "get", 20, slot=0),
    ]
    data = data_of(judged_page(tmp_path, operations))
    assert [(each["operation"], each["slot"], each["used"]) for each in data["placed"]] == [
        (0, 1, True),
        (1, -1, False),
    ]


def test_a_page_without_states_says_why(tmp_path, monkeypatch):
    """Where there is no time for an order, the time line is there all the same."""
    monkeypatch.setattr(timeline_order, "_ORDER_S", 0.0)
    data = data_of(judged_page(tmp_path, busy(100)))
    assert (data["first"], data["placed"]) == (None, [])
    assert data["note"].startswith("The states are not shown: the budget of 0 s is used up")


def test_the_page_loads_nothing(tmp_path):
    """No address but a namespace's is in it."""
    page = judged_page(tmp_path, busy(3))
    assert set(re.findall(r"\w+://[^\s\"']+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\s(src|href|action)\s*=|@import|url\(", page)


def test_a_run_that_held_has_figures_and_no_time_line():
    """Histories of what held are not kept, so there is nothing to draw."""
    page = html_report.of_run(RunReport(Settings(seed=17), operations=12_345, seconds=2.0))
    document = Document(page)
    assert document.of_class("verdict") == ["held"]
    assert ("dd", {}, ["12,345"]) in document.elements
    assert data_of(page) == {"operations": []}


def test_a_run_whose_history_is_gone_says_so(tmp_path):
    """What cannot be read is told, the rest stands."""
    report = RunReport(Settings(), verdict="violated", findings=["x < y"], history=str(tmp_path / "gone"))
    sentences = Document(html_report.of_run(report)).of_class("sentence")
    assert sentences[0] == "x < y"
    assert sentences[1].startswith("there is no time line, because the history cannot be read: ")


def test_the_command_writes_it(tmp_path, capsys):
    """`slotmem judge FILE --html OUT` writes the page and judges as ever."""
    out = tmp_path / "out.html"
    arguments = parsed(judge_command, [write(tmp_path, busy(2) + double_grab(901)), "--html", str(out)])
    assert judge_command.run(arguments) == 1
    assert VIOLATED in capsys.readouterr().out
    assert len(data_of(out.read_text(encoding="utf-8"))["window"]) == 2


def test_a_page_that_cannot_be_written_is_an_error(tmp_path):
    """A folder that is not there is a usage error, found before anything is judged."""
    arguments = parsed(judge_command, [write(tmp_path, busy(1)), "--html", str(tmp_path / "no" / "x.html")])
    with pytest.raises(InvalidArgument, match="no such folder"):
        judge_command.run(arguments)


# -- nothing can break it --------------------------------------------------------------------------

NASTY = st.text(st.sampled_from("<>&\"'/!-{}\\ \n\u2028\u2029\x00`$sctip") | st.characters(codec="utf-8"), max_size=40)
NASTY |= st.sampled_from(
    ["</script>", "<!--<script>", "{{data}}", "]]>", "<img src=x onerror=alert(1)>", "\\g<0>", "\\u003c"]
)


@settings(deadline=None)
@given(NASTY, NASTY)
def test_no_text_can_leave_its_place(provider, finding):
    """Whatever a run's texts are, the page has the same elements, and the same texts in them."""
    plain = Document(html_report.of_run(RunReport(Settings(provider="x"), findings=["x"])))
    document = Document(html_report.of_run(RunReport(Settings(provider=provider), findings=[finding])))
    assert [element[:2] for element in document.elements] == [element[:2] for element in plain.elements]
    assert document.of_class("sentence") == [finding]


@settings(deadline=None)
@given(st.recursive(NASTY | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(NASTY, inner)))
def test_data_comes_out_as_it_went_in(given_data):
    """No string ends the script that holds the data, or is changed by it."""
    text = html_report.to_script(given_data)
    assert not set(text) & set("<>&")
    document = Document(f'<script type="application/json" id="data">{text}</script>')
    assert json.loads(document.of_id("data")) == given_data


# -- in a browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a history with a double grab and a pending operation."""
    killed = operation(7, "put", 4500, slot=0, value=77)
    return judged_page(tmp_path_factory.mktemp("history"), [*busy(20), killed, *double_grab(5001)])


def view_of(document):
    """Return what is shown, from the page's address."""
    return tuple(int(number) for number in re.findall(r"=(-?\d+)", document.given("html")["data-address"]))


@needs_chromium
def test_a_browser_shows_lanes_the_violation_and_the_state(page, tmp_path):
    """Without an error of a script: a lane a process, the sentence, the operation that cannot be
    explained, the slots.
    """
    document = open_page(page, tmp_path)
    names = document.of_class("name")
    assert [name for name in names if name.startswith("process")] == [
        "process 1",
        "process 2",
        "process 3",
        "process 7",
    ]
    assert document.of_class("sentence") == [
        "grab by process 2 returned slot 1, which process 3 had grabbed, with no release in between"
    ]
    assert [name for name, given, text in document.elements if "culprit" in given.get("class", "") and text] == [
        "g",
        "tr",
    ]
    assert "".join(document.of_class("culprit")).count("grab() → 1") == 2  # its bar and its row
    assert document.of_class("end-text") == ["explained up to here"]
    assert len(document.of_class("slot")) == 4
    assert document.of_class("changed") == ["slot 1119"]
    assert "From here on no order explains what was seen." in document.of_id("told")
    assert document.of_class("pending")


@needs_chromium
def test_the_wheel_zooms_about_the_pointer(page, tmp_path):
    """Turning the wheel shows less, what is under the pointer stays there, and labels appear."""
    act = """
      const chart = document.getElementById("chart"), box = chart.getBoundingClientRect();
      document.documentElement.dataset.before = document.querySelectorAll("#chart .op text").length;
      const middle = 92 + (box.width - 92) / 2;
      for (let turn = 0; turn < 2; turn += 1)
        chart.dispatchEvent(new WheelEvent("wheel", { deltaY: -300, clientX: box.left + middle, clientY: box.top + 40, cancelable: true }));
      await drawn();
    """
    document = open_page(page, tmp_path, "#from=1000&to=3000&at=0", act)
    begin, end, _ = view_of(document)
    assert 400 < end - begin < 500
    assert abs((begin + end) / 2 - 2000) < 5
    assert document.given("html")["data-before"] == "0"
    assert set(document.of_class("op")) >= {"grab() → 1", "release"}
    assert int(document.given("chart")["data-drawn"]) < 15


@needs_chromium
def test_dragging_moves_the_view(page, tmp_path):
    """What is dragged to the left by a tenth shows a tenth more on the right."""
    act = """
      const chart = document.getElementById("chart"), box = chart.getBoundingClientRect();
      chart.setPointerCapture = () => {};
      const send = (name, x) => chart.dispatchEvent(new PointerEvent(name, { clientX: x, clientY: box.top + 40, button: 0 }));
      send("pointerdown", 900);
      send("pointermove", 900 - (box.width - 92) / 10);
      send("pointerup", 700);
      await drawn();
    """
    begin, end, _ = view_of(open_page(page, tmp_path, "#from=1000&to=2000&at=0", act))
    assert (begin, end) == (1100, 2100)


@needs_chromium
def test_scrubbing_shows_the_state_of_that_instant(page, tmp_path):
    """At an instant given in the address, and at the next one after a key, the slots are what the
    specification has them.
    """
    data = data_of(page)
    put = data["placed"][13]  # the put of the fourth round
    act = 'dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" })); dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" })); await drawn();'
    address = f"#from=0&to=2000&at={put['at']}"
    document = open_page(page, tmp_path, address)
    assert document.of_class("used") == ["slot 09", "slot 1103"]
    assert "after 14 of 81 explained" in document.of_id("when")
    moved = open_page(page, tmp_path, address, act)
    assert moved.of_class("used") == ["slot 09"]
    assert "release(1)" in moved.of_id("told")


@needs_chromium
def test_the_tooltip_tells_everything_of_an_operation(page, tmp_path):
    """Over a bar the tooltip has arguments, result, who, when, and that it cannot be explained."""
    act = """
      const bar = document.querySelector(".culprit .body"), box = bar.getBoundingClientRect();
      bar.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + 2, clientY: box.top + 2, bubbles: true }));
      await drawn();
    """
    tip = open_page(page, tmp_path, act=act).of_id("tip")
    assert tip == "grab() → 1\nprocess 2\n0 µs to 0.1 µs, which is 100 ns\ncannot be explained"


@needs_chromium
def test_a_browser_copes_with_as_many_operations_as_there_may_be(tmp_path):
    """All of 5,000 operations on the screen, and what cannot be told apart is not drawn twice."""
    page = judged_page(tmp_path, busy(2000) + double_grab(400_021) + busy(1000, start=400_200))
    document = open_page(page, tmp_path, "#from=-1000&to=9999999&at=0")
    assert 1000 < int(document.given("chart")["data-drawn"]) <= timeline.MOST


@needs_chromium
def test_a_browser_runs_nothing_that_a_text_contains(tmp_path):
    """Markup in a finding, a path, a value is shown as text."""
    nasty = "</script><img src=x onerror=\"document.documentElement.dataset.error='ran'\"><script>throw 1</script>"
    judged = judge_path(write(tmp_path, busy(2) + double_grab(901)), None, None)
    judged.reason = nasty
    page = html_report.of_history(judged)
    data = data_of(page)
    data["operations"][0] |= {"text": nasty, "kind": nasty, "client": nasty}
    data |= {"clients": [nasty, 2, 3], "left_out": nasty, "before": nasty, "note": nasty}
    broken = html_report._page(nasty, nasty, [("sentence violated", nasty)], [(nasty, nasty)], data)
    document = open_page(broken, tmp_path, "#from=0&to=1500&at=0")
    assert document.of_class("sentence") == [nasty]
    assert f"process {nasty}" in document.of_class("name")
    assert "img" not in [tag for tag, _, _ in document.elements]


def test_what_holds_is_explained_to_the_end(tmp_path):
    """The verdict of the page is the judge's."""
    judged = judge_path(write(tmp_path, busy(5)), None, None)
    assert judged.verdict == HELD
    document = Document(html_report.of_history(judged))
    assert document.of_class("verdict") == [HELD]
    assert judged.window == []
