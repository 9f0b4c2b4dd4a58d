"""Vectors: the same byte for byte every time, complete, and answered by the implementations as they
say.
"""

import argparse
import hashlib
import json
from functools import partial
from pathlib import Path

import pytest

from accused.miniature import Miniature
from accused.miniatures import FullIsNotFound
from slotmem_conformance import runner
from slotmem_conformance.cases.case import collect
from slotmem_conformance.commands import vectors as vectors_command
from slotmem_conformance.protocol.session import open_session
from slotmem_conformance.rig.oracle import Oracle
from slotmem_conformance.vectors import vectors
from slotmem_model.clauses import CLAUSES


def write(*arguments):
    parser = argparse.ArgumentParser()
    vectors_command.configure(parser)
    return vectors_command.run(parser.parse_args(arguments))


def replayed(opener, *profiles):
    texts = [text for name, text in vectors.generate().items() if name != vectors.MANIFEST]
    chosen = [text for text in texts if not profiles or json.loads(text)["profile"] in profiles]
    return dict(pair for text in chosen for pair in vectors.replay(text, opener))


def test_the_manifest_lists_every_file():
    """The manifest has each file's clause and SHA-256, and every sequence of the suite is in one of
    the files.
    """
    files = vectors.generate()
    manifest = json.loads(files.pop(vectors.MANIFEST))
    listed = {row["file"]: row["sha256"] for row in manifest["files"]}
    assert listed == {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    assert {row["clause"] for row in manifest["files"]} <= CLAUSES.keys()
    ids = [each["id"] for text in files.values() for each in json.loads(text)["cases"]]
    assert sorted(ids) == sorted(case.id for case in collect() if case.program)


def test_only_one_clause_asks_for_the_lowest_slot():
    """Where a vector of another clause than GRAB-2 grabs, one slot at the most is free, so that
    there is one right answer.
    """
    for name, text in vectors.generate().items():
        if name not in (vectors.MANIFEST, "GRAB-2.json"):
            for case in json.loads(text)["cases"]:
                free = grabbed_from(case["steps"])
                assert max(free, default=0) <= 1, case["id"]


def grabbed_from(steps):
    """Return how many slots are free at each grab."""
    oracle = Oracle()
    for step in steps:
        server, request = step["server"], step["request"]
        if request["op"] == "grab" and step["response"]["status"] == "APR_SUCCESS":
            yield oracle.slots(server, request["segment"]).inuse.count(False)
        oracle.answer(server, request)


def test_they_are_reproducible(tmp_path, capsys):
    """Two runs write the same bytes; a change of one is noticed."""
    assert write(str(tmp_path / "a")) == write(str(tmp_path / "b")) == 0
    texts = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab"]
    assert texts[0] == texts[1]
    assert write(str(tmp_path / "a"), "--check") == 0
    (tmp_path / "a" / "GRAB-2.json").write_text("{}")
    assert write(str(tmp_path / "a"), "--check") == 1
    assert "GRAB-2.json: differs" in capsys.readouterr().out


def test_the_files_that_ship_are_up_to_date():
    """The vectors in the package are what `slotmem vectors` writes."""
    assert write(str(Path(vectors.__file__).with_name("files")), "--check") == 0


@pytest.mark.parametrize(("provider", "most_skipped"), [("shm", 0), ("plain", 30)])
def test_the_providers_answer_as_the_vectors_say(provider, most_skipped):
    """Every vector holds; only what a provider says it cannot do is skipped."""
    found = replayed(partial(open_session, provider))
    assert {id: what for id, what in found.items() if what and not what.startswith("skipped: ")} == {}
    assert sum(what.startswith("skipped: ") for what in found.values()) <= most_skipped


def test_apache_answers_as_the_vectors_of_its_profiles_say(tmp_path):
    """Apache's own module, as installed here, answers every vector of the profiles core and httpd
    as it says.
    """
    opener = partial(open_session, "httpd")
    try:
        runner.greet(opener, str(tmp_path))
    except runner.Unusable as error:
        pytest.skip(str(error))
    found = replayed(opener, "core", "httpd")
    assert {id: what for id, what in found.items() if what} == {}
    assert len(found) > 90


def test_a_wrong_answer_is_noticed():
    """A miniature holds, and one that answers a full grab differently does not."""
    assert not any(what and not what.startswith("skipped") for what in replayed(Miniature).values())
    assert "APR_NOTFOUND" in replayed(FullIsNotFound)["GRAB-4/full"]
