"""Histories on disk: what is written is read back, whatever the writer's end; and judged the same
in either form.
"""

import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slotmem
from slotmem_model.judge.slots import history as slot_history
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED
from slotmem_stress.commands import judge as judge_command
from slotmem_stress.history import lines as lines_module
from slotmem_stress.history.judging import JudgeProcess, judge_path
from slotmem_stress.history.lines import export, parse
from slotmem_stress.history.reading import read, read_records, to_columns
from slotmem_stress.history.records import (
    COUNT,
    EINVAL,
    FGRAB,
    GET,
    GRAB,
    HEAD,
    INVOKED,
    KINDS,
    NOTFOUND,
    OK,
    PUT,
    RECORD_BYTES,
    RECORD_WORDS,
    RELEASE,
    RETURNED,
    SECOND,
    SLOT_SHIFT,
    TORN,
    VALUE,
    BadHistory,
    Description,
    Recorder,
    values_of,
)

DESCRIPTION = Description(4, 16, (1, 3), (0, 7, 0, 9))


@st.composite
def operations(draw):
    """Draw one operation as it is written: kind, status, slot, value, second, how long it took
    (None: pending).
    """
    kind = draw(st.sampled_from(range(len(KINDS))))
    lasted = draw(st.none() | st.integers(1, 1000))
    status = draw(st.sampled_from([OK, NOTFOUND, EINVAL, *([TORN] * (kind == GET))])) if lasted else OK
    shows = kind == PUT or (lasted and kind in (GET, COUNT) and status in (OK, TORN))
    has_slot = kind not in (GRAB, COUNT) or (kind == GRAB and lasted and status == OK)
    slot = draw(st.integers(0, 3)) if has_slot else 0
    value = draw(st.integers(0, 2**62)) if shows else 0
    return kind, status, slot, value, draw(st.integers(0, 2**64 - 1)) if status == TORN else 0, lasted


def write(folder, client, done, began=1000):
    """Write operations, one after the other; only the last may be pending."""
    recorder = Recorder(str(folder), client, chunk_records=512)
    now = began
    for kind, status, slot, value, second, lasted in done:
        recorder.write(kind, status, slot, value, now, now + lasted if lasted else 0, second)
        now += (lasted or 0) + 1
        if not lasted:
            break
    recorder.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(operations(), max_size=12), min_size=1, max_size=4))
def test_json_lines_say_the_same_as_the_records(tmp_path_factory, clients):
    """A folder exported and parsed has the same clients, words and description."""
    folder = tmp_path_factory.mktemp("history")
    DESCRIPTION.write(str(folder))
    for number, done in enumerate(clients):
        write(folder, number, done, 1000 + number)
    recorded = read(str(folder))
    again = parse(f"{line}\n".encode() for line in export(recorded))
    order = np.argsort(recorded.records[:, INVOKED], kind="stable")
    assert again.description == recorded.description == DESCRIPTION
    assert (again.clients == recorded.clients[order]).all()
    assert (again.records == recorded.records[order]).all()
    assert len(to_columns(again)) == len(recorded.records)


def test_the_columns_say_what_was_recorded(tmp_path):
    """Kind, outcome, slot, value and times reach the judge; a pending operation has no return, a
    torn value is nobody's.
    """
    DESCRIPTION.write(str(tmp_path))
    write(
        tmp_path,
        5,
        [(PUT, OK, 3, 77, 0, 9), (GET, TORN, 3, 77, 9, 5), (RELEASE, NOTFOUND, 2, 0, 0, 4), (GRAB, OK, 0, 0, 0, None)],
    )
    columns = to_columns(read(str(tmp_path)))
    assert columns.kind.tolist() == [PUT, GET, RELEASE, GRAB]
    assert columns.outcome.tolist() == [0, slot_history.TORN, 1, slot_history.PENDING]
    assert columns.slot.tolist()[:3] == [3, 3, 2]
    assert columns.value[0] == 77
    assert columns.value[1] < 0
    assert columns.value_names[int(columns.value[1])] == "77 mixed with 9"
    assert columns.invoked.tolist() == [1000, 1010, 1016, 1021]
    assert columns.returned.tolist() == [1009, 1015, 1020, -1]
    assert columns.process.tolist() == [5] * 4
    assert columns.inuse == 0b1010
    assert columns.values == (0, 7, 0, 9)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_file_may_end_anywhere(tmp_path_factory, data):
    """Cut at any byte, a file gives the records that were whole, and perhaps one more that lacks
    its return.
    """
    folder = tmp_path_factory.mktemp("cut")
    write(folder, 2, [(PUT, OK, 1, 5, 0, 3), (GET, OK, 1, 5, 0, 3), (RELEASE, OK, 1, 0, 0, 3)])
    path = folder / "2.ops"
    whole = read_records(str(path))[1]
    cut = data.draw(st.integers(0, (len(whole) + 1) * RECORD_BYTES))
    with open(path, "r+b") as file:
        file.truncate(cut)
    _, records = read_records(str(path))
    finished = max(0, cut // RECORD_BYTES - 1)
    assert finished <= len(records) <= finished + 1
    assert (records[:finished] == whole[:finished]).all()
    for rest in records[finished:]:
        assert rest[HEAD] == whole[finished][HEAD]
        assert rest[VALUE] == whole[finished][VALUE]
        assert rest[INVOKED] == whole[finished][INVOKED]
        assert rest[RETURNED] == 0


def die_inside(folder, pipe):
    """Record a put that returned and one that did not, and be killed."""
    recorder = Recorder(folder, 9, chunk_records=512)
    recorder.write(PUT, OK, 1, 5, 10, 20)
    at = recorder.at
    recorder.words[at + VALUE] = 6
    recorder.words[at + HEAD] = PUT | 1 << SLOT_SHIFT
    recorder.words[at + INVOKED] = 30
    pipe.send("now")
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_record_of_a_killed_writer_is_there_and_pending(tmp_path):
    """After SIGKILL the file has every stored word: the operation under way has its invocation and
    no return.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=die_inside, args=(str(tmp_path), theirs))
    process.start()
    process.join()
    ours.close()
    theirs.close()
    assert process.exitcode == -signal.SIGKILL
    client, records = read_records(str(tmp_path / "9.ops"))
    assert client == 9
    assert records[:, [VALUE, INVOKED, RETURNED]].tolist() == [[5, 10, 20], [6, 30, 0]]


def test_a_writer_that_fills_a_chunk_goes_on_in_the_next(tmp_path):
    """Nothing is lost or doubled where one mapping ends and the next begins."""
    DESCRIPTION.write(str(tmp_path))
    write(tmp_path, 1, [(PUT, OK, 1, number, 0, 3) for number in range(1300)])
    assert read(str(tmp_path)).records[:, VALUE].tolist() == list(range(1300))


def test_a_writer_in_a_hurry_gets_room_for_all_it_asked_for(tmp_path):
    """`room` never gives a place with fewer records behind it; what stays unused is no record."""
    recorder = Recorder(str(tmp_path), 1, chunk_records=512)
    at, number = recorder.at, 0
    for _ in range(30):
        at = recorder.room(at, 100)
        for _ in range(100):
            number += 1
            recorder.words[at + INVOKED] = number
            at += RECORD_WORDS
    recorder.close()
    assert read_records(str(tmp_path / "1.ops"))[1][:, INVOKED].tolist() == list(range(1, 3001))


def test_a_pattern_shows_who_was_mixed():
    """A whole slot has one value, a torn one several, in their order."""
    one, other = (value.to_bytes(8, "little") for value in (17, 21))
    assert values_of(8 * one, 64) == (17,)
    assert values_of(3 * one + 5 * other, 64) == (17, 21)


FIRST = {"format": "slotmem history 1", "slots": 8, "slot_bytes": 8}
GRABBED = {"client": 1, "op": "grab", "slot": 0, "status": "OK", "invoke_ns": 1, "return_ns": 2}
PUT_ONE = {"client": 1, "op": "put", "slot": 1, "value": 2, "status": "OK", "invoke_ns": 1, "return_ns": 2}
PENDING_GET = {"client": 1, "op": "get", "slot": 1, "invoke_ns": 1}


def first(**changed):
    """Return a first line with other fields."""
    return [json.dumps(FIRST | changed)]


def second(done, **changed):
    """Return two lines, the second of an operation with other fields; None: without the field."""
    return [*first(), json.dumps({key: value for key, value in (done | changed).items() if value is not None})]


REFUSED = {
    "nothing": ([], "line 1: it is empty"),
    "half an object": (["{"], "line 1: not JSON"),
    "a list": (["[]"], "line 1: the description"),
    "another format": (first(format="slotmem history 2"), "line 1: the description"),
    "no slots": (['{"format": "slotmem history 1"}'], "line 1: slots is missing"),
    "slots: true": (first(slots=True), "line 1: slots must be an integer from 1 to 1048576, got true"),
    "slots: 8.0": (first(slots=8.0), "line 1: slots"),
    "slots: text": (first(slots="8"), "line 1: slots"),
    "no slot": (first(slots=0), "line 1: slots"),
    "a thousand million slots": (first(slots=10**9), "line 1: slots"),
    "slots without bytes": (first(slot_bytes=0), "line 1: slot_bytes"),
    "inuse twice": (first(inuse=[0, 0]), "line 1: inuse lists a slot twice"),
    "inuse beyond": (first(inuse=[99]), "line 1: inuse must list slots from 0 to 7, got 99"),
    "inuse below": (first(inuse=[-1]), "line 1: inuse"),
    "inuse: true": (first(inuse=[True]), "line 1: inuse"),
    "inuse: 3": (first(inuse=3), "line 1: inuse"),
    "too few values": (first(values=[1, 2]), "line 1: values"),
    "a value too large": (first(values=[2**64] * 8), "line 1: values"),
    "a value too large for its slot": (first(slot_bytes=1, values=[256] * 8), "line 1: values must fit"),
    "an unknown field of the first line": (first(slot=8), 'line 1: "slot" is no field of a description'),
    "a key twice": (['{"format": "slotmem history 1", "slots": 2, "slots": 3}'], 'line 1: "slots" is given twice'),
    "NaN": (['{"format": "slotmem history 1", "slots": NaN}'], "line 1: NaN"),
    "a number": ([*first(), "3"], "line 2: an operation must be an object"),
    "an unknown operation": (second(GRABBED, op="drop"), "line 2: op must be"),
    "an operation that is a list": (second(GRABBED, op=["grab"]), "line 2: op must be"),
    "no client": (second(GRABBED, client=None), "line 2: client is missing"),
    "client: true": (second(GRABBED, client=True), "line 2: client must be"),
    "client: 1.0": (second(GRABBED, client=1.0), "line 2: client must be"),
    "client: nobody": (second(GRABBED, client=""), "line 2: client must be"),
    "client: two lines": (second(GRABBED, client="a\nb"), "line 2: client must be"),
    "a negative slot": (second(PENDING_GET, slot=-1), "line 2: slot"),
    "a slot of a grab that gave none": (second(GRABBED, status="EINVAL"), 'line 2: "slot" is no field of grab'),
    "a put of a float": (second(PUT_ONE, value=2.0), "line 2: value"),
    "a put of too much": (second(PUT_ONE, value=2**64), "line 2: value"),
    "a torn put": (second(PUT_ONE, status="TORN"), "line 2: status"),
    "a status that is no text": (second(PUT_ONE, status=0), "line 2: status"),
    "a status without a return": (second(PUT_ONE, return_ns=None), "line 2: return_ns is missing"),
    "a return without a status": (second(PUT_ONE, status=None), "line 2: status"),
    "times reversed": (second(PUT_ONE, invoke_ns=3), "line 2: return_ns must not be less than invoke_ns, 3, got 2"),
    "a time before all": (second(PUT_ONE, invoke_ns=-1), "line 2: invoke_ns"),
    "a time beyond all": (second(PUT_ONE, return_ns=2**63), "line 2: return_ns"),
    "a part of a slot": (second(PUT_ONE, nbytes=1), "line 2: nbytes must be 8"),
    "an unknown field": (second(PUT_ONE, thread=1), 'line 2: "thread" is no field of put'),
    "what a get did not return": (second(PENDING_GET, value=1), 'line 2: "value" is no field of get'),
    "deep": ([*first(), "[" * 100_000], "line 2: "),
    "a number of ten thousand digits": ([*first(), "9" * 10_000], "line 2: a number of 10000 digits"),
    "what no text has": ([*first(), "\0\0"], "line 2: not JSON"),
}


@pytest.mark.parametrize(("lines", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_history_is_refused_with_line_and_field(tmp_path, capsys, run_judge, lines, says):
    """Exit code 2, and one line that names the file, the line and the field."""
    path = tmp_path / "history.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    assert run_judge(str(path)) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"slotmem judge: {path} cannot be judged: {says}")
    assert said.count("\n") == 1


def test_what_the_refused_histories_are_made_of_is_taken(tmp_path, run_judge):
    """It is what was changed that was refused. What is said besides, rightly, is taken too."""
    path = tmp_path / "history.jsonl"
    for done in (
        GRABBED,
        PUT_ONE | {"status": "NOTFOUND", "nbytes": 8},
        PENDING_GET,
        GRABBED | {"status": "APR_SUCCESS"},
    ):
        path.write_text("\n".join([*first(pregrab=True, inuse=[], values=[]), json.dumps(done)]))
        assert run_judge(str(path)) == 0


def test_a_line_without_end_is_not_read_to_its_end(tmp_path, monkeypatch):
    """A file of one endless line is refused as soon as the line is too long."""
    monkeypatch.setattr(lines_module, "MOST_BYTES", 1000)
    path = tmp_path / "history.jsonl"
    path.write_bytes(b" " * 1001)
    with pytest.raises(BadHistory, match="line 1: a line has more than 1000 bytes"):
        read(str(path))


def test_a_folder_is_refused_in_the_same_way(tmp_path):
    """The field and the file are named."""
    (tmp_path / "history.json").write_text(json.dumps(FIRST | {"inuse": [1, 1]}))
    with pytest.raises(BadHistory, match="inuse lists a slot twice"):
        read(str(tmp_path))


@pytest.mark.parametrize("value", [2**63 - 1, 2**63, 2**64 - 1, 2**64 - 2**62])
def test_values_of_64_bits(tmp_path, value):
    """One that was there at first is read back; one that was not is named by its own number."""
    get = call(1, "get", 1, 2, slot=0, value=value)
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join(map(json.dumps, (FIRST | {"slots": 1, "inuse": [0], "values": [value]}, get))))
    assert judge_path(str(path), None, None).verdict == HELD
    torn = call(2, "get", 3, 4, "TORN", slot=0, value=value, second=1)
    path.write_text("\n".join(map(json.dumps, (FIRST | {"slots": 1, "inuse": [0], "values": [value]}, torn))))
    assert f"{value} mixed with 1" in judge_path(str(path), None, None).reason
    path.write_text("\n".join(map(json.dumps, (FIRST | {"slots": 1, "inuse": [0]}, get))))
    judged = judge_path(str(path), None, None)
    assert f"returned value {value} of slot 0, which nobody had put there" in judged.reason


def test_a_counter_below_zero_is_named_as_recorded(tmp_path):
    """It is a violation, and no other number."""
    path = tmp_path / "history.jsonl"
    path.write_text(history(call(1, "num_free_slots", 1, 2, value=2**64 - 1)))
    judged = judge_path(str(path), None, None)
    assert f"returned {2**64 - 1}, which" in judged.reason


def test_a_million_slots_can_be_judged(tmp_path, run_judge):
    """The most slots that a history may have, all in use, are read and judged."""
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join([*first(slots=2**20, inuse=list(range(2**20))), json.dumps(PENDING_GET)]))
    assert run_judge(str(path)) == 0


# Logs as other tools write them.


def test_clients_may_have_names(tmp_path, capsys, run_judge):
    """They are told by them, beside others that have numbers."""
    path = tmp_path / "history.jsonl"
    path.write_text(history(call("web-1", "grab", 1, 5, slot=0), call(7, "grab", 2, 6, slot=0)))
    assert run_judge(str(path), "--html", str(tmp_path / "page.html")) == 1
    said = capsys.readouterr().out
    assert "by process web-1" in said or "process web-1 had" in said
    assert "process 7 " in said
    assert '"clients":[7,"web-1"]' in (tmp_path / "page.html").read_text()


def test_time_may_begin_at_0_and_operations_take_none(tmp_path, run_judge):
    """Time 0 is a time like others; so is a return at it."""
    path = tmp_path / "history.jsonl"
    done = [call(1, "grab", 0, 0, slot=0), call(2, "put", 0, 0, slot=0, value=5), call(3, "get", 1, 1, slot=0, value=5)]
    path.write_text(history(*done))
    assert run_judge(str(path)) == 0
    assert [json.loads(line) for line in export(read(str(path)))][1:] == done


def test_operations_of_a_client_may_touch(tmp_path, run_judge):
    """One begins at the instant at which the last one returned: it comes behind it."""
    path = tmp_path / "history.jsonl"
    puts = [
        call(1, "grab", 0, 5, slot=0),
        call(1, "put", 5, 9, slot=0, value=1),
        call(1, "put", 9, 12, slot=0, value=2),
    ]
    for value, code in ((2, 0), (1, 1)):
        path.write_text(history(*puts, call(1, "get", 12, 14, slot=0, value=value)))
        assert run_judge(str(path), "--html", str(tmp_path / "page.html")) == code


def test_where_operations_overlap_both_lines_are_named(tmp_path, capsys, run_judge):
    """And what to do where the first of them never returned."""
    path = tmp_path / "history.jsonl"
    path.write_text(history(call(1, "grab", 1), call(1, "grab", 2, 5, slot=0)))
    assert run_judge(str(path)) == 2
    said = capsys.readouterr().err
    assert (
        "line 3: invoke_ns must not be less than the return_ns of the same client's last operation, in line 2;" in said
    )
    assert "goes on under another name" in said


def test_a_byte_order_mark_and_other_ends_of_lines(tmp_path, run_judge):
    """They are no part of the text; but what is not UTF-8 is refused."""
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + history(*GOOD).replace("\n", "\r\n\r\n").encode())
    assert run_judge(str(path)) == 0
    path.write_bytes(history(*GOOD).encode() + b"\xff\n")
    with pytest.raises(BadHistory, match="line 8: not UTF-8"):
        read(str(path))


def test_a_last_line_that_is_cut_off_is_left_out(tmp_path, capsys, run_judge):
    """Cut anywhere, the rest is judged, and a note says so; with its end it would be refused."""
    path = tmp_path / "history.jsonl"
    whole = history(*GOOD[:-1], call("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "grab", 50, 51, slot=1)).encode()
    start = whole[:-1].rindex(b"\n") + 1
    for cut in range(start + 1, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert run_judge(str(path)) == 0
        assert "note: line 7, the last, is cut off and was left out" in capsys.readouterr().out
    path.write_bytes(whole[:-1])
    assert run_judge(str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []
    path.write_bytes(whole[:-5] + b"\n")
    assert run_judge(str(path)) == 2


def test_a_file_of_something_else_is_refused(tmp_path):
    """Bytes that do not begin with the mark are no records."""
    path = tmp_path / "1.ops"
    path.write_bytes(b"something else entirely, and long enough to be a record")
    with pytest.raises(BadHistory, match="magic"):
        read_records(str(path))


def history(*done):
    """Return JSON lines of a segment of two free slots."""
    return "\n".join([json.dumps(Description(2, 8).to_json()), *map(json.dumps, done)]) + "\n"


def call(client, op, begin, end=None, status="OK", **what):
    """Return one operation as an object."""
    returned = {} if end is None else {"status": status, "return_ns": end}
    return {"client": client, "op": op, "invoke_ns": begin, **returned, **what}


GOOD = [
    call(1, "grab", 1, 5, slot=0),
    call(1, "put", 6, 9, slot=0, value=17),
    call(2, "get", 7, 12, slot=0, value=17),
    call(2, "grab", 13),
    call(3, "get", 20, 25, slot=1, status="NOTFOUND"),
    call(3, "get", 30, 35, slot=1, value=0),
]
DOUBLE = [call(1, "grab", 1, 5, slot=0), call(2, "grab", 2, 6, slot=0)]
STALE = [*GOOD[:2], call(2, "put", 10, 14, slot=0, value=21), call(3, "get", 15, 19, slot=0, value=17)]


@pytest.mark.parametrize(("done", "verdict", "code"), [(GOOD, HELD, 0), (DOUBLE, VIOLATED, 1), (STALE, VIOLATED, 1)])
def test_the_history_of_another_tool_is_judged(tmp_path, capsys, run_judge, done, verdict, code):
    """`slotmem judge` takes JSON lines; a grab that never returned may explain what others see."""
    path = tmp_path / "history.jsonl"
    path.write_text(history(*done))
    assert run_judge(str(path)) == code
    assert capsys.readouterr().out.startswith(f"{verdict}: {len(done)} operations")
    assert run_judge(str(path), "--json") == code
    assert json.loads(capsys.readouterr().out)["verdict"] == verdict


def test_a_violation_has_its_sentence_and_its_window(tmp_path, capsys, run_judge):
    """The stale get is explained in words, and only what contradicts is shown."""
    path = tmp_path / "history.jsonl"
    path.write_text(history(*STALE))
    run_judge(str(path))
    said = capsys.readouterr().out
    assert "get by process 3 returned value 17 of slot 0 after the put of 21 that overwrote it had returned" in said
    assert "get(0) -> 17" in said
    assert "grab" not in said.split("contradict")[1]


def test_a_folder_exported_is_judged_the_same(tmp_path, capsys, run_judge):
    """--export writes JSON lines with the folder's verdict."""
    folder = tmp_path / "folder"
    folder.mkdir()
    Description(2, 8).write(str(folder))
    write(folder, 1, [(GRAB, OK, 0, 0, 0, 5)], 10)
    write(folder, 2, [(GRAB, OK, 0, 0, 0, 5), (FGRAB, OK, 1, 0, 0, 2)], 12)
    exported = tmp_path / "out.jsonl"
    assert run_judge(str(folder), "--export", str(exported)) == 1
    assert judge_path(str(exported), None, None).reason == judge_path(str(folder), None, None).reason
    assert "grab by process" in capsys.readouterr().out


def kept(folder, *rounds):
    """Write the rounds of a run as `stress --keep` does, each with so many grabs of slot 0."""
    for number, grabs in rounds:
        (folder / f"round-{number}").mkdir(parents=True)
        Description(2, 8).write(str(folder / f"round-{number}"))
        for client in range(grabs):
            write(folder / f"round-{number}", client + 1, [(GRAB, OK, 0, 0, 0, 5)], 10 * client + 1)
    (folder / "board").write_bytes(b"")
    return str(folder)


def test_a_run_that_was_kept_is_judged_round_by_round(tmp_path, capsys, run_judge):
    """All rounds in order, up to the first violation, summed up; a page is of one round."""
    right = kept(tmp_path / "right", (1, 1), (2, 0), (10, 1))
    assert run_judge(right, "--json") == 0
    judged = json.loads(capsys.readouterr().out)
    assert (judged["verdict"], judged["operations"], judged["path"]) == ("held", 2, right)
    wrong = kept(tmp_path / "wrong", (1, 1), (2, 2), (10, 3))
    assert run_judge(wrong) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"violated: 3 operations, 0 of them pending, judged in 0.0 s\nin {wrong}/round-2:\n")
    assert run_judge(right, "--budget-s", "0") == 3
    with pytest.raises(slotmem.InvalidArgument, match=r"holds 3 rounds; name one of them, such as .*/round-1$"):
        run_judge(right, "--html", str(tmp_path / "page.html"))


@pytest.mark.parametrize("name", ["none", "empty.jsonl", "overlapping.jsonl"])
def test_what_cannot_be_judged_is_an_error_of_usage(tmp_path, capsys, run_judge, name):
    """A missing file, one without a description, and operations of one client that overlap: exit
    code 2 and a sentence.
    """
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "overlapping.jsonl").write_text(history(call(1, "grab", 1, 5, slot=0), call(1, "grab", 3, 7, slot=1)))
    assert run_judge(str(tmp_path / name)) == 2
    assert capsys.readouterr().err.startswith("slotmem judge: ")


@pytest.fixture
def run_judge():
    """`slotmem judge` as a function of its arguments."""
    import argparse

    parser = argparse.ArgumentParser()
    judge_command.configure(parser)
    return lambda *given: judge_command.run(parser.parse_args(given))


def test_the_header_is_no_record(tmp_path):
    """Record 0 names the client and its process."""
    write(tmp_path, 3, [])
    words = np.fromfile(tmp_path / "3.ops", dtype=np.uint64)[:RECORD_WORDS]
    assert words[VALUE] == 3
    assert words[SECOND] == os.getpid()
    assert len(read_records(str(tmp_path / "3.ops"))[1]) == 0


def test_a_judge_that_dies_is_replaced_and_leaves_its_history_undecided(tmp_path):
    """What it was at is undecided, what comes later is judged."""
    good, endless = tmp_path / "good", tmp_path / "endless"
    for folder in (good, endless):
        folder.mkdir()
    Description(2, 8).write(str(good))
    os.mkfifo(endless / "history.json")  # nobody writes to it: reading it never ends
    judge = JudgeProcess(None, None)
    try:
        judge.submit(str(endless))
        judge.submit(str(good))
        os.kill(judge.pid, signal.SIGKILL)
        judged = [judge.poll(600.0) for _ in range(2)]
    finally:
        judge.close()
    assert [(each.path, each.verdict) for each in judged] == [(str(endless), UNDECIDED), (str(good), HELD)]


def test_the_description_alone_is_a_history_without_operations():
    """It is read as such, and no error."""
    assert len(parse([json.dumps(Description(2, 8).to_json()).encode()]).records) == 0
