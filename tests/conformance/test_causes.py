"""What did not hold is told once: what failures have in common, what they show, and what was left
out.
"""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from accused.miniature import Miniature
from accused.miniatures import FullIsNotFound
from slotmem_conformance import runner, selection
from slotmem_conformance.cases.case import collect
from slotmem_conformance.commands import conform as conform_command
from slotmem_conformance.protocol import protocol
from slotmem_conformance.protocol.session import AdapterError
from slotmem_conformance.reports import reports, verdicts
from slotmem_conformance.reports.verdicts import CaseResult, ClauseVerdict, SuiteReport
from slotmem_conformance.rig import telling
from tools.asking import conform, outcomes_of


class Miscounting(Miniature):
    def num_free_slots(self, segment):
        return {"status": "APR_SUCCESS", "value": -1}


def test_a_wrong_counter_is_a_failure_of_count_2():
    """Whoever counts below 0 speaks the protocol and breaks a clause."""
    asked, answered = {"op": "num_free_slots", "segment": 0}, {"status": "APR_SUCCESS", "value": -1}
    assert protocol.response_fault(asked, answered) is None
    (each,) = selection.chosen(collect(), ["GRAB-2/random-programs"])
    outcome = runner.run_case(each, Miscounting)
    assert (outcome.verdict, outcome.clause) == (ClauseVerdict.FAIL, "COUNT-2")


def test_one_cause_is_told_once(tmp_path, monkeypatch, capsys):
    """Cases that fail with the same answer, random programs that were shrunk to it included, are
    one finding in every report, shown by one of them.
    """
    monkeypatch.setattr(conform_command, "open_session", lambda spec, *, timeout_s, **where: FullIsNotFound(**where))
    paths = {name: tmp_path / f"report.{name}" for name in ("junit", "markdown", "html")}
    written = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    assert conform("x", "--select", "GRAB-4,GRAB-2/random-programs", *written) == 1
    said = capsys.readouterr().out
    assert said.count("\n  again: ") == 1
    assert 'GRAB-4/one and 2 more: fail: {"op": "grab"} answered' in said
    assert "  likewise: GRAB-2/random-programs, GRAB-4/full" in said
    assert "3 not as expected, with 1 cause" in said
    assert paths["markdown"].read_text().count("\n## ") == 1
    assert "Likewise: GRAB-2/random-programs, GRAB-4/full" in paths["markdown"].read_text()
    failures = list(ElementTree.parse(paths["junit"]).iter("failure"))
    assert len(failures) == 3
    assert sum("The cause is that of GRAB-4/one." in each.text for each in failures) == 2
    assert paths["html"].read_text().count("<pre>") == 1


class ReleasesTheFirstOnly(Miniature):
    def release(self, segment, item_id):
        return super().release(segment, item_id) if item_id == 0 else {"status": "APR_SUCCESS"}


def test_one_mistake_is_one_cause():
    """Whatever clause, shape and numbers are, an answer that is wrong in the same way is one
    finding, shown by a case of a clause about that operation if one failed.
    """
    asked = (
        *("RELEASE-1/without-pregrab", "FGRAB-2/in-use-already", "COUNT-2/up-and-down"),
        *("STATE-1/2-slots-of-0-bytes", "STATE-2/2-slots-of-0-bytes"),
    )
    tried = selection.chosen(collect(), asked)
    report = runner.run(tried, ReleasesTheFirstOnly, provider="x", hello={}, seed=1, quick=True)
    failed = [each for each in report.outcomes if not each.verdict.holds]
    assert {each.clause for each in failed} == {"RELEASE-1", "FGRAB-2", "COUNT-2", "STATE-1", "STATE-2"}
    assert [(each.shown.kind, each.shown.clause) for each in verdicts.by_cause(failed)] == [
        ("num_free_slots: wrong value", "COUNT-2"),
        ("grab: APR_EINVAL for APR_SUCCESS", "STATE-2"),
    ]


class RaisesBehindAHundred(Miniature):
    def create(self, *arguments, **named):
        self.segments += [None] * 100
        return super().create(*arguments, **named)

    def request(self, request):
        if request["op"] == "grab":
            got = '{"error":"OverflowError: no"}'
            raise AdapterError(sent=json.dumps(request), got=got, expected="an answer", raised="OverflowError: no")
        return super().request(request)


def test_headline_and_transcript_have_the_same_numbers():
    """A segment has the same number in the reason as in what was said, whatever the driver calls
    it, so that the same failure is the same sentence.
    """
    for text in ("create w 4 1; grab", "create w 4 1; create v 4 2; @0 grab"):
        outcome = outcomes_of(text, RaisesBehindAHundred)
        assert outcome.reason.startswith('sent {"op":"grab","segment":0}, got')
        assert outcome.evidence.endswith('{"op": "grab", "segment": 0}')
        assert outcome.kind == "OverflowError: no"


class LastByteLost(Miniature):
    def get(self, segment, item_id, len=None):
        got = super().get(segment, item_id, len)
        return got | {"data": got["data"][:-2] + "00"}


def test_where_long_answers_differ():
    """Of answers too long to be shown it is said from which byte on they differ, in what, and how
    long they are.
    """
    outcome = outcomes_of(f"create w 600 1; put 0 {'a' * 600}; get 0", LastByteLost)
    around = "61" * 4
    assert outcome.reason == (
        f'{{"op": "get", "id": 0}} answered data that differs from byte 599 on: bytes 595 and following are {around}00, '
        f"must be {around}61 (600 bytes)"
    )
    assert telling.first_difference(b"abc", b"abcd").endswith("616263, must be 61626364 (3 bytes, must be 4)")
    walk = [{"status": "APR_SUCCESS", "slots": ["61" * 300, each * 300]} for each in ("62", "63")]
    assert "answered slots[1] that differs from byte 0 on" in telling.wrong_answer({"op": "doall"}, *walk)


def test_a_transcript_that_is_cut_says_so(capsys):
    """What is printed of a long conversation begins with a request, and says how much went
    before.
    """
    evidence = "\n".join(f'{{"op": "grab", "id": {number}}}\n  -> {{}}' for number in range(40))
    for text in (evidence, evidence + "\n{}"):
        conform_command._print_evidence(CaseResult("GRAB-1/x", ClauseVerdict.FAIL, "no", text))
        first, second, *rest = capsys.readouterr().out.splitlines()
        left = len(text.splitlines()) - len(rest) - 1
        assert (first, second.strip()[0]) == (f"    ... {left} lines before, which --json and --html show", "{")


def test_other_causes_are_told_apart():
    """Another answer, and the same words where another clause asks, are another finding."""
    said = [("GRAB-1/a", "x"), ("GRAB-1/b", "y"), ("GRAB-2/a", "x"), ("GRAB-1/c", "x")]
    causes = verdicts.by_cause(CaseResult(case, ClauseVerdict.FAIL, reason) for case, reason in said)
    assert [(each.shown.case, each.others) for each in causes] == [
        ("GRAB-1/a", ["GRAB-1/c"]),
        ("GRAB-1/b", []),
        ("GRAB-2/a", []),
    ]


@pytest.mark.parametrize("given", ["--timeout-s 0", "--timeout-s nan", "--budget-s -1", "--budget-s 1e9"])
def test_seconds_that_mean_nothing(given, capsys):
    """Without time for an answer every answer would be late, and nobody else's fault."""
    with pytest.raises(SystemExit) as refused:
        conform("shm", *given.split())
    assert refused.value.code == 2
    assert f"argument {given.split()[0]}: " in capsys.readouterr().err


def test_skips_are_summed_up():
    """A line says how many cases were skipped, and why, the most frequent reason first."""
    why = ["a", "b", "b", "c", "d", "e", "f", "g"]
    report = SuiteReport("x", {}, 1, True, [CaseResult("GRAB-1/x", ClauseVerdict.SKIP, each) for each in why])
    assert reports.skips(report) == [
        "8 cases skipped: 2 because b; 1 because a; 1 because c; 1 because d; 1 because e; 2 for other reasons"
    ]
    assert reports.skips(SuiteReport("x", {}, 1, True, [CaseResult("GRAB-1/x", ClauseVerdict.PASS)])) == []
