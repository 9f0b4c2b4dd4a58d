"""Cases of a slot that is read and written in one step: compare_and_put."""

from __future__ import annotations

from slotmem_conformance.cases.case import case, program
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import shown

_SERVERS = 4
_LOOK = "get 0; get 1; num_free_slots"

PROGRAMS = (
    program("UPDATE-1/equal-or-not", f"create w 4 2 PREGRAB; fgrab 0; fgrab 1; put 0 ABCD; compare_and_put 0 ABCD EFGH; {_LOOK}; compare_and_put 0 ABCD IJKL; {_LOOK}; compare_and_put 1 EFGH IJKL; {_LOOK}", "compare_and_put"),
    program("UPDATE-1/beginnings", f"create w 4 2 PREGRAB; fgrab 0; fgrab 1; put 0 ABCD; compare_and_put 0 AB X; {_LOOK}; compare_and_put 0 AB Y; compare_and_put 0 XBC 1234; {_LOOK}; compare_and_put 0 123 ''; {_LOOK}; compare_and_put 0 '' Z; {_LOOK}", "compare_and_put"),
    program("UPDATE-1/the-last-byte", f"create w 65 2 PREGRAB; fgrab 1; put 1 {'A' * 64}B; compare_and_put 1 {'A' * 65} C; get 1; compare_and_put 1 {'A' * 64}B {'D' * 64}E; get 1", "compare_and_put"),
    program("UPDATE-2/refused", f"create w 4 2 PREGRAB; fgrab 0; put 0 ABCD; compare_and_put 2 A B; compare_and_put -1 A B; compare_and_put 1 '' B; compare_and_put 0 ABCDE X; compare_and_put 0 ABCD VWXYZ; {_LOOK}", "compare_and_put"),
    program("UPDATE-2/marks-without-pregrab", f"create w 4 3; compare_and_put 0 A B; num_free_slots; compare_and_put 1 '' B; num_free_slots; {_LOOK}; grab", "compare_and_put"),
)  # fmt: skip


@case("UPDATE-3/one-wins")
def one_wins(rig: Rig) -> None:
    """Of several servers that expect what is there, and put at once, exactly one has its way."""
    rig.needs("shared", "compare_and_put")
    rig.process(*range(_SERVERS))
    rig.must("; ".join(("create w 8 1 PREGRAB; fgrab 0", *(f"{server}: attach w" for server in range(1, _SERVERS)))))
    present = bytes(8).hex()
    for turn in range(20 if rig.quick else 200):
        wanted = [(turn * _SERVERS + server + 1).to_bytes(8, "little").hex() for server in range(_SERVERS)]
        asked: list[tuple[int, Request]] = [
            (server, {"op": "compare_and_put", "segment": 0, "id": 0, "expected": present, "data": data})
            for server, data in enumerate(wanted)
        ]
        answers = rig.together(asked)
        won = [data for data, answer in zip(wanted, answers, strict=True) if answer.get("value")]
        got = rig.ask("get 0")
        if len(won) != 1 or got.get("data") != won[0]:
            rig.fail(
                f"{_SERVERS} servers that expected {present} put at once: {len(won)} were told that they had; "
                f"a get was answered {shown(got)}"
            )
        present = won[0]
