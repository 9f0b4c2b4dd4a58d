"""Vectors: the sequential suite as plain files, for implementers who have no Python.

Interface:

- `generate()` gives file names and their texts, the same byte for byte every time; `MANIFEST` names
  the one that lists the others.
- `vector_files/`, beside this module, has what this version generates; `slotmem vectors DIR` writes
  it anywhere.
- `replay(text, opener)` runs one file on an implementation and gives what differs.

A file holds the cases of one clause. A case is a list of steps: who sends which request of the
protocol, and the response that is expected. Segments are numbered in the order in which their
server opened them. `$DIR` in a name stands for the runtime directory. `needs` are capabilities
without which a case says nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from slotmem import __version__
from slotmem_conformance.cases.case import Case, collect
from slotmem_conformance.protocol import notation
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig.oracle import Oracle, agree
from slotmem_conformance.rig.rig import Failed, Opener, Rig, Skipped
from slotmem_model.clauses import CLAUSES

FORMAT = "slotmem vectors 1"
MANIFEST = "manifest.json"


def generate() -> dict[str, str]:
    """Return the text of each file by its name, the manifest's included."""
    files: dict[str, str] = {}
    rows = []
    for clause in CLAUSES.values():
        cases = [case for case in collect() if case.clause is clause and case.program]
        if cases:
            name = f"{clause.id}.json"
            files[name] = _dumped({"format": FORMAT, **clause._asdict(), "cases": [_vector(case) for case in cases]})
            digest = hashlib.sha256(files[name].encode()).hexdigest()
            rows.append({"file": name, "clause": clause.id, "cases": len(cases), "sha256": digest})
    return files | {MANIFEST: _dumped({"format": FORMAT, "version": __version__, "files": rows})}


def replay(text: str, opener: Opener, *, base: str | None = None) -> Iterator[tuple[str, str]]:
    """Run the cases of a file; yield the id of each with one line that says what differs or that it
    was skipped, "" if all is right.
    """
    for case in json.loads(text)["cases"]:
        rig = Rig(opener, base=base)
        try:
            rig.needs(*case["needs"])
            for step in case["steps"]:
                request = _in_folder(step["request"], rig.folder)
                got = rig.send(step["server"], request)
                if not agree(got, step["response"]):
                    rig.fail(
                        f"{json.dumps(request)} answered {json.dumps(got)}, must answer {json.dumps(step['response'])}"
                    )
            yield case["id"], ""
        except Failed as failed:
            yield case["id"], str(failed)
        except Skipped as skipped:
            yield case["id"], f"skipped: {skipped}"
        finally:
            rig.close()


def _vector(case: Case) -> dict[str, Any]:
    oracle = Oracle()
    steps: list[dict[str, Any]] = []
    for server, request in notation.parse(case.program):
        response = oracle.answer(server, request)
        steps.append({"server": server, "request": request, "response": response})
    ops = {step["request"]["op"] for step in steps}
    needs = sorted({*case.needs, *(ops & {"restart", "dptr", "doall"})})
    return {"id": case.id, "needs": needs, "steps": steps}


def _in_folder(request: Request, folder: str) -> Request:
    name = request.get("name")
    return {**request, "name": name.replace("$DIR", folder)} if name else request


def _dumped(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1) + "\n"
