"""`slotmem conform`: its cases, verdicts, exit codes, reports and known failures."""

import argparse
import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from functools import partial

import pytest

import slotmem
from accused import unfit
from accused.miniature import Miniature
from accused.miniatures import FullIsNotFound
from slotmem.environment import Disturbed
from slotmem.memory import segment
from slotmem_conformance import runner, selection
from slotmem_conformance.cases.case import case, collect, program
from slotmem_conformance.commands import conform as conform_command
from slotmem_conformance.protocol import notation
from slotmem_conformance.protocol.session import AdapterError, ProcessSession, open_session
from slotmem_conformance.reports import expected, html_report, reports, verdicts
from slotmem_conformance.reports.verdicts import CaseResult, ClauseVerdict, SuiteReport
from slotmem_conformance.rig.oracle import Oracle
from slotmem_conformance.rig.rig import Rig
from slotmem_model.clauses import CLAUSES, PROFILES
from slotmem_model.verdict import Exit
from slotmem_stress.canary import Canary
from tools.asking import conform, outcomes_of


@pytest.fixture
def wrong(monkeypatch):
    """Let `conform` find an implementation whose full grab is answered APR_NOTFOUND."""
    monkeypatch.setattr(conform_command, "open_session", lambda spec, *, timeout_s, **where: FullIsNotFound(**where))


# -- cases -----------------------------------------------------------------------------------------


def test_every_clause_has_a_case():
    """Each clause that others are asked for is tried, and each case is of such a clause."""
    asked = {clause.id for clause in CLAUSES.values() if clause.profile in PROFILES}
    assert {each.clause.id for each in collect()} == asked


def test_cases_are_told_apart():
    """Ids begin with the clause, are used once, and every case says what it does."""
    ids = [each.id for each in collect()]
    assert len(ids) == len(set(ids)) > 200
    assert all(each.id.startswith(f"{each.clause.id}/") and len(each.sentence) > 20 for each in collect())


def test_the_oracle_answers_as_the_reference(tmp_path):
    """A program is answered by the specification and by the reference alike, segments restarted
    included.
    """
    text = "create w 4 2 PREGRAB; grab; put 0 AB; get 0 3; doall APR_EGENERAL; release 1; restart; grab; attach w; create - 1 1"
    with open_session("shm", runtime_dir=str(tmp_path)) as session:
        oracle = Oracle()
        for server, request in notation.parse(text):
            assert session.request(request) == oracle.answer(server, request)


@pytest.mark.parametrize("line", ["grab 1", "put 0", "jump", "create w 4"])
def test_the_notation_refuses_what_is_no_request(line):
    """A line that is no request is a mistake in a case, and says so."""
    with pytest.raises(ValueError, match=line):
        notation.parse(line)


# -- verdicts --------------------------------------------------------------------------------------


class Dying(Miniature):
    def grab(self, segment):
        raise AdapterError(sent="grab", got="its death by SIGSEGV", expected="an answer", ended=True)


class Silent(Miniature):
    def grab(self, segment):
        raise AdapterError(sent="grab", got="nothing within 10 s", expected="an answer", silent=True)


class Garbled(Miniature):
    def grab(self, segment):
        raise AdapterError(sent="grab", got="cheese", expected="an answer")


@pytest.mark.parametrize(
    ("opener", "verdict"),
    [
        (Miniature, ClauseVerdict.PASS),
        (Dying, ClauseVerdict.FAIL),
        (Silent, ClauseVerdict.FAIL),
        (Garbled, ClauseVerdict.ADAPTER_ERROR),
    ],
)
def test_a_crash_is_no_pass(opener, verdict):
    """A crash and a hang are failures, garbage is an adapter error, and the requests are shown."""
    outcome = outcomes_of("create w 4 1 PREGRAB; grab", opener)
    assert outcome.verdict is verdict
    assert ('"op": "grab"' in outcome.evidence) == (verdict is not ClauseVerdict.PASS)


@pytest.mark.parametrize("name", sorted(unfit.SAID))
def test_what_is_no_algorithm_is_told_so(name, capsys, tmp_path):
    """A class that lacks operations, or cannot be made, is refused in one line with exit code 2,
    and nothing is left behind.
    """
    code = conform(f"algorithm:accused.unfit:{name}", "--quick", "--runtime-dir", str(tmp_path))
    [line] = capsys.readouterr().err.splitlines()
    assert code == Exit.USAGE
    assert unfit.SAID[name] in line
    assert os.listdir(tmp_path) == []


def test_what_does_not_come_to_its_end_is_named(tmp_path, capsys):
    """A module that loops while it is imported is refused in one line that names its line."""
    (tmp_path / "endless.py").write_text("while True: pass\n")
    code = conform(f"algorithm:{tmp_path}/endless.py:Mine", "--quick", "--timeout-s", "20")
    [line] = capsys.readouterr().err.splitlines()
    assert code == Exit.USAGE
    assert "cannot be imported: line 1 of endless.py (while True: pass) has not come to its end in 16 s" in line


def test_a_lock_that_is_kept_is_a_verdict():
    """An algorithm that keeps a lock on an error's path lives in its own process, and what it
    raises is a failure; so is a crash of that process.
    """
    kept = outcomes_of(
        "create w 4 1 PREGRAB; grab; grab; grab", partial(open_session, "algorithm:museum:kept-when-full")
    )
    assert kept.verdict is ClauseVerdict.FAIL
    assert "held by this process already" in kept.reason
    [tour] = selection.chosen(collect(), ["STATE-2/1-slot-of-0-bytes"], [])
    batched = runner.run_case(tour, partial(open_session, "algorithm:museum:kept-when-full"))
    assert batched.verdict is ClauseVerdict.FAIL
    assert batched.reason.startswith('sent {"op":"grab","segment":0}')  # once more, one by one
    crashed = outcomes_of(
        "create w 4 1; fgrab 0", partial(open_session, "algorithm:accused.stress_accused:CrashesTheOwner")
    )
    assert crashed.verdict is ClauseVerdict.FAIL
    assert "SIGSEGV" in crashed.reason


def test_a_driver_that_crashes_is_started_again(tmp_path):
    """After a crash the next case has a new process, and is judged as if nothing had happened."""
    script = tmp_path / "crashing.py"
    script.write_text(
        "import json, os, sys\n"
        "from slotmem_conformance.protocol.answering import Answerer\n"
        "answerer = Answerer('shm')\n"
        "for line in sys.stdin:\n"
        "    request = json.loads(line)\n"
        "    if request['op'] == 'release':\n"
        "        os.abort()\n"
        "    answer = answerer.answer(request)\n"
        "    if answer is None:\n"
        "        break\n"
        "    print(json.dumps(answer), flush=True)\n"
    )
    opener = partial(open_session, f"exec:{sys.executable} {script}")
    tried = [program("RELEASE-1/a", "create w 4 1; fgrab 0; release 0"), program("GRAB-1/b", "create w 4 1; grab")]
    report = runner.run(tried, opener, provider="x", hello={}, seed=1)
    assert [each.verdict for each in report.outcomes] == [ClauseVerdict.FAIL, ClauseVerdict.PASS]
    assert "SIGABRT" in report.outcomes[0].reason


def test_a_skip_needs_a_reason_and_should_is_not_must():
    """What cannot be judged is skipped with its reason; a clause of level should gives non-strict,
    one of info never fails.
    """
    skipped = runner.run_case(program("GRAB-1/x", "create w 4 1", "shared"), Miniature)
    assert skipped.verdict is ClauseVerdict.SKIP
    assert "'shared'" in skipped.reason
    failing = {clause: case(f"{clause}/x")(lambda rig: rig.fail("no")) for clause in ("GRAB-1", "CREATE-10", "COUNT-3")}
    found = {clause: runner.run_case(each, Miniature).verdict for clause, each in failing.items()}
    assert found == {"GRAB-1": ClauseVerdict.FAIL, "CREATE-10": ClauseVerdict.NON_STRICT, "COUNT-3": ClauseVerdict.INFO}


def test_profiles_are_summed_up():
    """The worst case decides a clause, skipped clauses are counted apart, and info counts for
    nothing.
    """
    outcomes = [
        CaseResult("GRAB-1/a", ClauseVerdict.PASS),
        CaseResult("GRAB-1/b", ClauseVerdict.FAIL, "x"),
        CaseResult("GRAB-3/a", ClauseVerdict.PASS),
        CaseResult("GET-1/a", ClauseVerdict.SKIP, "x"),
        CaseResult("CREATE-10/a", ClauseVerdict.NON_STRICT, "x"),
        CaseResult("ATOMIC-1/a", ClauseVerdict.FAIL, "x"),
        CaseResult("ATOMIC-4/a", ClauseVerdict.INFO, "x"),
    ]
    said = {name: str(total) for name, total in verdicts.by_profile(outcomes).items()}
    assert said == {
        "core": "1 of 2 (1 skipped)",
        "httpd": "not tried",
        "safe": "yes",
        "atomic": "no",
        "robust": "not tried",
        "durable": "not tried",
        "python": "not tried",
    }


def test_random_programs_are_shrunk():
    """Of all programs that tell a wrong implementation from the specification the shortest is
    shown.
    """
    (each,) = selection.chosen(collect(), ["GRAB-2/random-programs"])
    outcome = runner.run_case(each, FullIsNotFound, seed=3)
    assert outcome.verdict is ClauseVerdict.FAIL
    assert (outcome.case, outcome.clause) == ("GRAB-2/random-programs", "GRAB-4")
    sent = [json.loads(line) for line in outcome.evidence.splitlines() if not line.startswith("  ->")]
    assert [request["op"] for request in sent] == ["create", "grab"]
    assert sent[0]["item_num"] == 0


def transcript_is_whole(told):
    """Whether each request's segment was opened before, under that number, in the same text."""
    opened, asked = set(), ""
    for line in told.splitlines():
        server = line.partition(": ")[0] if line[0].isdigit() else "0"
        if line.startswith("  -> "):
            response = json.loads(line.removeprefix("  -> "))
            opened |= {(asked, response["segment"])} if "segment" in response else set()
        elif not line.startswith("("):
            asked = server
            request = json.loads(line[line.index("{") :])
            if "segment" in request and (server, request["segment"]) not in opened:
                return False
    return True


def test_what_was_said_is_whole(tmp_path):
    """A transcript numbers segments in one way, and opens each segment that it speaks of, however
    long it is and however the driver numbers them.
    """

    class Numbering(Miniature):
        def request(self, request):
            got = super().request({**request, "segment": request["segment"] - 100} if "segment" in request else request)
            return {**got, "segment": got["segment"] + 100} if "segment" in got else got

    for openings in (1, 3, 60):
        rig = Rig(Numbering, base=str(tmp_path))
        for number in range(openings):
            rig.do(f"create w{number} 4 2 PREGRAB")
        rig.do("; ".join(["@0 num_free_slots"] * 50))
        told = rig.told()
        assert transcript_is_whole(told)
        assert told.startswith(f"({openings - 1 + 10} other requests before)")
        assert not transcript_is_whole(
            told.replace('"op": "create"', '"op": "grab"').replace("segment", "elsewhere", 1)
        )
        rig.close()


def test_nothing_is_left_behind(tmp_path):
    """A rig takes its folder and its shared objects with it, also those of names in several
    generations.
    """
    rig = Rig(partial(open_session, "shm"), base=str(tmp_path))
    rig.process(0)
    rig.must("create w 4 2; restart; create w 4 2")
    places = [rig.object("w", generation) for generation in (0, 1)]
    rig.kill(0)
    assert [place.exists() for place in places] == [False, True]
    rig.close()
    assert not any(place.exists() for place in places)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind_by_an_interrupted_end(tmp_path, monkeypatch):
    """Ctrl-C while a rig asks its servers to end leaves neither its folder nor a shared object."""

    def interrupted(session, **how):
        raise KeyboardInterrupt

    rig = Rig(partial(open_session, "shm"), base=str(tmp_path))
    rig.process(0, 1)
    rig.must("create w 4 2; 1: attach w")
    place = rig.object("w")
    assert place.exists()
    monkeypatch.setattr(ProcessSession, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rig.close()
    assert not place.exists()
    assert list(tmp_path.iterdir()) == []


# -- the machine -----------------------------------------------------------------------------------


@case("ATTACH-1/x")
def vanishing(rig):
    """A segment that somebody removes cannot be attached."""
    rig.do("create w 4 1")
    rig.object("w").unlink()
    rig.do("1: attach w")


def test_nobody_is_accused_of_what_was_removed_from_outside(tmp_path):
    """If the canary is gone too, something tidies up here; if not, the implementation is
    accused.
    """
    opener = partial(open_session, "shm")
    with Canary(str(tmp_path)) as canary:
        assert runner.run_case(vanishing, opener, canary=canary).verdict is ClauseVerdict.FAIL
        canary.close()
        with pytest.raises(Disturbed, match="something else on this machine removes files"):
            runner.run_case(vanishing, opener, canary=canary)
        holding = program("GRAB-1/x", "create w 4 1; grab")
        assert runner.run_case(holding, opener, canary=canary).verdict is ClauseVerdict.PASS


@pytest.mark.parametrize(
    ("wrong", "tries", "told"),
    [
        ({1}, 3, None),
        ({1, 3}, 3, ClauseVerdict.FAIL),
        ({1, 2}, 2, ClauseVerdict.FAIL),
        (set(), 1, ClauseVerdict.PASS),
    ],
)
def test_what_does_not_recur_accuses_nobody(wrong, tries, told, tmp_path):
    """A sequential case that fails once and then holds twice may have met something from outside:
    that is said. One that fails again is a failure, even if it held in between.
    """
    asked = []

    @case("GRAB-1/x")
    def interfered(rig):
        """Somebody is there, at times."""
        asked.append(rig)
        if len(asked) in wrong:
            rig.fail("somebody was here")

    with Canary(str(tmp_path)) as canary:
        ask = partial(runner.run, [interfered], Miniature, provider="x", hello={}, seed=1, canary=canary)
        if told is None:
            with pytest.raises(Disturbed, match=r"GRAB-1/x failed once, and held 2 times .*: somebody was here"):
                ask()
        else:
            assert [each.verdict for each in ask().outcomes] == [told]
    assert len(asked) == tries


class Ended(Miniature):
    def grab(self, segment):
        raise AdapterError(sent="grab", got="its death by SIGKILL", expected="an answer", ended=True)


def test_a_driver_that_somebody_ended():
    """A driver that got a SIGKILL which no case sent is not accused."""
    with pytest.raises(Disturbed, match="ended from outside"):
        outcomes_of("create w 4 1 PREGRAB; grab", Ended)


def test_a_place_for_segments_is_looked_for_first(wrong, tmp_path, monkeypatch, capsys):
    """Without one it is told at once, with exit code 2; who needs none is judged all the same."""
    monkeypatch.setattr(segment, "SHM_FOLDER", str(tmp_path / "nowhere"))
    assert conform("x", "--select", "GRAB-4") == 1
    monkeypatch.setattr(conform_command, "open_session", open_session)
    with pytest.raises(Disturbed, match=r"nowhere/.* cannot be used: No such file or directory"):
        conform("shm", "--select", "GRAB-4")
    capsys.readouterr()


# -- the command -----------------------------------------------------------------------------------


def test_the_reference_holds(tmp_path, capsys):
    """The sequential clauses hold, and nothing is left in the runtime directory."""
    assert conform("shm", "--select", "core,httpd,safe,RESTORE*", "--quick", "--runtime-dir", str(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "core     yes " in said
    assert "all as expected" in said
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_hold_is_told(wrong, capsys):
    """A failure is told with its clause, its requests and how to see it again; the exit code is 1,
    and 0 if it is not claimed.
    """
    assert conform("x", "--select", "GRAB-4") == 1
    said = capsys.readouterr().out
    assert "GRAB-4 asks: grab with every slot in use fails with APR_EINVAL." in said
    assert '{"op": "grab", "segment": 0}' in said
    assert "slotmem conform 'x' --reproduce GRAB-4/one --seed 1" in said
    assert conform("x", "--select", "GRAB-4", "--claim", "core") == 0


def test_known_failures(wrong, tmp_path, capsys):
    """A file that the command wrote makes it content; what passes in spite of it, and an id that
    there is not, do not.
    """
    known = tmp_path / "known.toml"
    assert conform("x", "--select", "GRAB", "--write-expected", str(known)) == 1
    assert 'id = "GRAB-4/full"' in known.read_text()
    assert conform("x", "--expected", str(known)) == 0
    known.write_text(known.read_text() + '\n[[known]]\nid = "GRAB-3/contents-stay"\nreason = "a \\"quoted\\" one"\n')
    assert conform("x", "--expected", str(known)) == 1
    assert "GRAB-3/contents-stay: pass, but 'fail' is expected" in capsys.readouterr().out
    known.write_text('[[known]]\nid = "NOSUCH-1/no"\n')
    assert conform("x", "--expected", str(known)) == 2
    assert "there is no case 'NOSUCH-1/no'" in capsys.readouterr().err
    for wrong_text, said in MISTAKES.items():
        known.write_text(wrong_text)
        capsys.readouterr()
        assert conform("x", "--expected", str(known)) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert said in line


EVIL = 'it answered "no"\\ \x7f \N{GRINNING FACE}'
MISTAKES = {
    "[[known]]\nid = 3 4": "line 2",
    "seed = 'one'": 'seed must be a whole number, not "one"',
    "quick = 1979-05-27": "quick must be true or false, not",
    "select = [1]": "select and skip must be lists of strings, and have 1",
    "deep = " + "[" * 9999: "nested too deeply",
    "known = 3": "expected each known failure as a table that begins with [[known]]",
    "seeds = 3": "there is no key 'seeds'; there are: version, seed, quick, select, skip",
    "[[known]]\nid = 'GRAB-4/full'\nreasons = ''": "the 1st [[known]]: there is no key 'reasons'; there are: id, verdict",
    "[[known]]\nid = ['GRAB-4/full']": 'the 1st [[known]]: id must be a string, not ["GRAB-4/full"]',
    "[[known]]\nreason = 'none'": "the 1st [[known]] has no id",
    "[[known]]\nid = 'GRAB-4/full'\nflaky = true": "there is no clause 'GRAB-4/full' (a flaky failure is of a clause)",
    "[[known]]\nid = 'GRAB-4/full'\nverdict = 'pass'": "has the verdict 'pass'; expected 'fail' or 'adapter error'",
}
NOTHING = SuiteReport("x", {}, 1, True)


def test_reasons_are_kept_when_written_again(tmp_path):
    """Writing the file of known failures keeps the reasons and links that somebody wrote
    into it.
    """
    report = SuiteReport("x", {}, 1, True, [CaseResult("GRAB-4/full", ClauseVerdict.FAIL, EVIL)])
    path = tmp_path / "known.toml"
    path.write_text(expected.written(report, expected.Expected()), encoding="utf-8")
    ids = [each.id for each in collect()]
    assert expected.load(path, ids).known["GRAB-4/full"].reason == EVIL
    kept = {"GRAB-4/full": expected.Known("GRAB-4/full", "fail", "ours", "https://example.org/1")}
    path.write_text(expected.written(report, expected.Expected(kept), ["GRAB"], ["GRAB-1"]))
    assert expected.load(path, ids) == expected.Expected(kept, slotmem.__version__, 1, True, ["GRAB"], ["GRAB-1"])


def outcomes_that_fail(*cases):
    return SuiteReport("x", {}, 1, True, [CaseResult(each, ClauseVerdict.FAIL, "x") for each in cases])


def test_where_luck_decides_a_clause_is_known_to_fail(tmp_path):
    """What several at once, deaths and random programs show is expected of the clause, whichever
    case shows it and whether one does; what always comes is expected of the case.
    """
    path, ids = tmp_path / "known.toml", [each.id for each in collect()]
    found = outcomes_that_fail("ATOMIC-1/mixed", "GRAB-2/random-programs", "GRAB-2/lowest-free-first")
    path.write_text(expected.written(found, expected.Expected()))
    known = expected.load(path, ids)
    assert {id: each.flaky for id, each in known.known.items()} == {
        "ATOMIC-1": True,
        "GRAB-2": True,
        "GRAB-2/lowest-free-first": False,
    }
    always = "GRAB-2/lowest-free-first"
    assert expected.surprises(found, known) == []
    assert expected.surprises(outcomes_that_fail("ATOMIC-1/table", always), known) == []
    assert [each.case for each, _ in expected.surprises(outcomes_that_fail("ATOMIC-2/full-speed"), known)] == [
        "ATOMIC-2/full-speed"
    ]
    assert expected.surprises(outcomes_that_fail("GRAB-2/lowest-after-release"), known)
    assert expected.surprises(SuiteReport("x", {}, 1, True, [CaseResult(always, ClauseVerdict.PASS)]), known)
    lucky = SuiteReport("x", {}, 2, True, [CaseResult("ATOMIC-1/mixed", ClauseVerdict.PASS)])
    path.write_text(expected.written(lucky, known))
    assert set(expected.load(path, ids).known) == {"ATOMIC-1", "GRAB-2"}


def test_what_held_by_luck_may_fail(tmp_path):
    """Where something of a profile of luck failed, what held of it is written as flaky: it may fail
    the next time. Nothing is of a profile that held, or of what luck does not decide.
    """
    path, ids = tmp_path / "known.toml", [each.id for each in collect()]
    held = [CaseResult(each, ClauseVerdict.PASS) for each in ("ATOMIC-1/mixed", "KILL-2/put", "GRAB-4/full")]
    failed = outcomes_that_fail("ATOMIC-2/full-speed", "GRAB-2/lowest-free-first").outcomes
    path.write_text(expected.written(SuiteReport("x", {}, 1, True, [*held, *failed]), expected.Expected()))
    known = expected.load(path, ids)
    assert {id for id, each in known.known.items() if each.flaky} == {"ATOMIC-1", "ATOMIC-2"}
    assert expected.surprises(outcomes_that_fail("ATOMIC-1/table"), known) == []
    assert len(expected.surprises(outcomes_that_fail("KILL-2/put", "GRAB-4/full"), known)) == 2


def test_what_is_expected_is_tried_again_with_the_same_choices(tmp_path, monkeypatch, capsys):
    """The file says with which seed, how quickly and what; arguments go before, and another version
    is told.
    """
    seen = []
    monkeypatch.setattr(
        runner, "run", lambda cases, opener, **how: seen.append((len(cases), how["seed"], how["quick"])) or NOTHING
    )
    known = tmp_path / "known.toml"
    known.write_text(f"version = '{slotmem.__version__}'\nseed = 77\nquick = true\nselect = ['GRAB-4/full']\n")
    for more in ([], ["--seed", "5"], ["--select", "GRAB-4"]):
        arguments = argparse.ArgumentParser()
        conform_command.configure(arguments)
        conform_command.run(arguments.parse_args(["plain", "--expected", str(known), *more]))
    assert seen[:2] == [(1, 77, True), (1, 5, True)]
    assert seen[2][0] > 1
    assert "was written by slotmem" not in capsys.readouterr().err
    known.write_text("version = '0.0.1'\n")
    conform("plain", "--expected", str(known))
    assert f"{known} was written by slotmem 0.0.1, this is {slotmem.__version__}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["shm", "--select", "NOSUCH-2"],
        ["shm", "--claim", "best"],
        ["nothing-of-the-kind"],
        ["exec:/no/such/driver"],
        ["--merge", "/no/such/file", "--html", "x"],
    ],
)
def test_mistakes_are_told_in_a_line(arguments, capsys):
    """A user's mistake is one line on standard error, and exit code 2."""
    assert conform(*arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_budget_that_ends(capsys):
    """Cases for which there was no time are skipped, and the exit code says that it is not
    decided.
    """
    assert conform("plain", "--select", "GRAB", "--budget-s", "0") == 3
    assert "the budget of 0 s was used up after 0 of" in capsys.readouterr().out


def test_the_list(capsys):
    """The cases are listed for people and for machines."""
    assert conform("--list", "--select", "GRAB-4") == 0
    assert capsys.readouterr().out.startswith("GRAB-4/full ")
    assert conform("--list", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == len(collect())


def test_reports(wrong, tmp_path, capsys):
    """Each report names the failing case; reports can be read back and merged into one page."""
    paths = {name: tmp_path / f"report.{name}" for name in ("xml", "md", "html")}
    written = ["--junit", str(paths["xml"]), "--markdown", str(paths["md"]), "--html", str(paths["html"])]
    assert conform("x", "--select", "GRAB", "--json", *written, "--badge", str(tmp_path / "badge.svg")) == 1
    given = json.loads(capsys.readouterr().out)
    assert given["clauses"]["GRAB-4"] == "fail"
    assert given["profiles"]["core"].startswith("yes")
    suites = ElementTree.parse(paths["xml"]).getroot()
    failed = [each.get("name") for each in suites.iter("testcase") if each.find("failure") is not None]
    assert "GRAB-4/full" in failed
    assert "## GRAB-4/one and 2 more: fail" in paths["md"].read_text()
    assert '<tr id="GRAB-4">' in paths["html"].read_text()
    ElementTree.fromstring((tmp_path / "badge.svg").read_text())
    assert json.loads((tmp_path / "badge.badge.json").read_text())["message"] == "core"
    report = tmp_path / "report.json"
    report.write_text(json.dumps(given))
    assert SuiteReport.from_json(given).to_json() == given
    assert conform("--merge", str(report), str(report), "--html", str(paths["html"])) == 0
    assert paths["html"].read_text().count('<th scope="col">x<small>miniature') == 2
    written = ["--junit", str(paths["xml"]), "--markdown", str(paths["md"]), "--badge", str(tmp_path / "both")]
    for path in paths.values():
        path.unlink()
    assert conform("--merge", str(report), str(report), *written) == 0
    assert not paths["html"].exists()
    assert paths["md"].read_text().count("## GRAB-4/one and 2 more: fail") == 2
    assert 'name="core of x"' in paths["xml"].read_text()
    ElementTree.parse(paths["xml"])
    badges = ("both-1.svg", "both-1.badge.json", "both-2.svg", "both-2.badge.json")
    assert all((tmp_path / name).exists() for name in badges)
    assert conform("--merge", str(report)) == 2
    report.write_text('{"format": "slotmem conformance 1"}')
    assert conform("--merge", str(report), "--html", str(paths["html"])) == 2


def test_what_is_shown_is_escaped():
    """What an implementation says cannot break a report."""
    evil = '<script>alert("1")</script>|\x00`'
    report = SuiteReport(
        "x", {"implementation": evil}, 1, True, [CaseResult("GRAB-1/a", ClauseVerdict.FAIL, evil, evil)]
    )
    assert "<script>" not in html_report.page([report])
    assert "<script>" not in reports.markdown(report).split("```")[0]
    ElementTree.fromstring(reports.junit(report))
