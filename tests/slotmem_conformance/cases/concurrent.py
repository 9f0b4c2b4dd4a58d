"""Cases of several processes at work at once: the history that their time stamps make is judged."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable

from slotmem_conformance.cases.case import case
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.rig import batches
from slotmem_conformance.rig.rig import Rig
from slotmem_conformance.rig.telling import shown
from slotmem_model import spec
from slotmem_model.judge.slots.judge import check_slots
from slotmem_model.linearizability import UNKNOWN, VIOLATION

_SERVERS = 4
_JUDGE_S = 20.0


@case("ATOMIC-1/mixed")
def mixed(rig: Rig) -> None:
    """Random operations of four processes on three slots of 256 bytes are linearizable."""
    _judge(rig, 3, 256, {"grab": 3, "release": 3, "put": 3, "get": 3, "fgrab": 1, "num_free_slots": 1})


@case("ATOMIC-1/table")
def table(rig: Rig) -> None:
    """Grabs, releases and counts of four processes on two slots are linearizable."""
    _judge(rig, 2, 8, {"grab": 4, "release": 4, "fgrab": 1, "num_free_slots": 2})


@case("ATOMIC-1/bytes")
def slot_bytes(rig: Rig) -> None:
    """Gets and puts of four processes on two slots of 4 KiB are linearizable."""
    _judge(rig, 2, 4096, {"put": 1, "get": 1}, grabbed=True)


@case("ATOMIC-2/all-different")
def all_different(rig: Rig) -> None:
    """Four processes that grab at once, with nobody releasing, get different slots, and all there
    are.
    """

    def once(length: int) -> list[batches.Done]:
        number = _SERVERS * length
        _open(rig, 4, number)
        grabs: list[Request] = [{"op": "grab"}] * length
        done = batches.together(rig, [(server, grabs) for server in range(_SERVERS)])
        owners: dict[int, list[int]] = {}
        for server, _, answer in done:
            if answer["status"] != "APR_SUCCESS":
                rig.fail(f"a grab was answered {answer['status']} while there were free slots")
            owners.setdefault(answer["id"], []).append(server)
        twice = {item_id: servers for item_id, servers in owners.items() if len(servers) > 1}
        if twice:
            item_id = min(twice)
            rig.evidence = _grabs_of(done, item_id)
            rig.fail(
                f"{len(twice)} of {number} slots were given more than once though nobody released any; "
                f"slot {item_id} to servers {twice[item_id]}"
            )
        if (free := rig.value("num_free_slots", "value")) != 0:
            rig.fail(f"all {number} slots are grabbed, and num_free_slots is {free}")
        return done

    _rounds(rig, once, 2 if rig.quick else 5, length=1000, most=8000)


@case("ATOMIC-2/held-while-used")
def held_while_used(rig: Rig) -> None:
    """In a mixture of grabs and releases each slot is given and released by turns, and never given
    twice.
    """

    def once(length: int) -> list[batches.Done]:
        _open(rig, 4, 64)
        plans: list[tuple[int, list[Request]]] = []
        for server in range(_SERVERS):
            # Nobody else uses its sixteen slots; only the table is shared.
            own = (range(server * 16, server * 16 + 16)[number % 16] for number in range(length // 3))
            plans.append((server, [request for item_id in own for request in _use(item_id)]))
        done = batches.together(rig, plans)
        for server, request, answer in done:
            if answer["status"] != "APR_SUCCESS":
                what = f"{request['op']} was answered {answer['status']}"
                rig.fail(f"server {server} alone uses slot {request['id']}, and its {what}")
        if (free := rig.value("num_free_slots", "value")) != 64:
            rig.fail(f"every slot is released, and num_free_slots is {free} of 64")
        return done

    _rounds(rig, once, 2 if rig.quick else 4, length=1500, most=12000)


@case("ATOMIC-3/whole-or-not")
def whole_or_not(rig: Rig) -> None:
    """Two processes put patterns into a slot of 2 KiB; what two others get is one of the patterns,
    whole.
    """
    size = 2048
    between: list[Request] = [{"op": "num_free_slots"}] * 8  # so that it lasts, within a line of a million characters

    def once(length: int) -> list[batches.Done]:
        _open(rig, size, 1, grabbed=True)
        writers: list[list[Request]] = [
            [
                request
                for number in range(length)
                for request in ({"op": "put", "id": 0, "data": f"{16 * server + number % 15 + 1:02x}" * size}, *between)
            ]
            for server in (1, 2)
        ]
        readers: list[Request] = [{"op": "get", "id": 0}, *between] * length
        done = batches.together(rig, list(enumerate([*writers, readers, readers])))
        for _, request, answer in done:
            if request["op"] == "get" and answer["data"] != answer["data"][:2] * size:
                rig.evidence = f"one get read {batches.runs(bytes.fromhex(answer['data']))}"
                rig.fail(f"a get of {size:,} bytes saw parts of several puts")
        return done

    _rounds(rig, once, 3 if rig.quick else 8, length=180, most=180)


@case("ATOMIC-4/walk-is-not-one-instant")
def walk(rig: Rig) -> None:
    """A walk looks at one slot after the other; nothing is required of it as a whole."""
    rig.inform("doall was tried in order (DOALL-1 to DOALL-3); as a whole it does not happen at one instant")


@case("ATOMIC-5/pointers-take-no-lock")
def pointers(rig: Rig) -> None:
    """Reads and writes through dptr are memory accesses."""
    rig.inform("dptr was tried alone (DPTR-1); reads and writes through it take no lock")


@case("CREATE-7/one-wins")
def one_wins(rig: Rig) -> None:
    """Four processes create a name at once: one succeeds, the others are told APR_EEXIST and can
    attach.
    """
    rig.needs("shared")
    rig.process(*range(_SERVERS))
    for number in range(5 if rig.quick else 25):
        name = f"w{number}"
        request = {"op": "create", "name": name, "item_size": 64, "item_num": 8, "type": ["PREGRAB"]}
        answers = rig.together((server, request) for server in range(_SERVERS))
        statuses = [answer["status"] for answer in answers]
        if sorted(statuses) != ["APR_EEXIST"] * (_SERVERS - 1) + ["APR_SUCCESS"]:
            rig.fail(f"four creates of one name at once were answered {', '.join(statuses)}")
        for server, status in enumerate(statuses):
            if status == "APR_EEXIST" and (got := rig.ask(f"{server}: attach {name}"))["status"] != "APR_SUCCESS":
                rig.fail(f"one of those that lost could not attach: {shown(got)}")


@case("CREATE-8/complete-or-none")
def complete_or_none(rig: Rig) -> None:
    """While a name is created and ended again and again, whoever attaches finds all of the segment
    or nothing.
    """
    rig.needs("shared")
    rig.process(*range(_SERVERS))
    name = f"{rig.folder}/abs"
    create = {"op": "create", "name": name, "item_size": 4096, "item_num": 16, "type": ["PREGRAB"]}
    found = 0
    for _ in range(40 if rig.quick else 200):
        attach = {"op": "attach", "name": name}
        made, *opened = rig.together([(0, create), *((server, attach) for server in range(1, _SERVERS))])
        if made["status"] != "APR_SUCCESS":
            rig.fail(f"create was answered {made} though the last segment of this name had ended")
        for got in opened:
            if got["status"] == "APR_SUCCESS":
                found += 1
                if (got["item_size"], got["item_num"]) != (4096, 16):
                    rig.fail(f"attach gave {got['item_num']} slots of {got['item_size']} bytes: a segment half made")
            elif got["status"] not in ("APR_ENOENT", "APR_EEXIST"):
                rig.fail(f"attach to a name that was being created was answered {shown(got)}")
        for server in reversed(range(_SERVERS)):
            rig.must(f"{server}: restart")
        rig.forget_segments()
    if not found:
        rig.skip("no attach came between a create and its end, so that nothing was tried")


@case("STORE-6/one-instant")
def one_instant(rig: Rig) -> None:
    """What is stored while another process grabs a slot, puts to two others and releases it is the
    state of one instant: bytes, marks and counter.
    """
    rig.needs("shared", "persist")
    rig.process(0, 1)
    size = 1024
    for number in range(3 if rig.quick else 12):
        name = f"{rig.folder}/abs{number}"
        rig.must(f"create {name} {size} 3 PERSIST|PREGRAB; fgrab 0; fgrab 1; 1: attach {name}")
        work: list[Request] = []
        for count in range(1, 200):  # in a line of less than a million characters
            puts = [{"op": "put", "id": item_id, "data": f"{count:04x}" * (size // 2)} for item_id in (0, 1)]
            work += [{"op": "fgrab", "id": 2}, *puts, {"op": "release", "id": 2}]
        wait = rig.begin(1, {"op": "batch", "segment": 0, "requests": work})
        rig.await_change("get 2 1", "APR_NOTFOUND")  # reading and parsing the batch takes its time
        rig.pause(rig.choose.random() * 0.005)
        rig.must("restart")
        wait()
        data = rig.path(name).read_bytes()
        payload = data[: 8 + 3 * size + 3]
        free, marks = int.from_bytes(payload[:4], sys.byteorder), payload[-3:]
        first, second = payload[8 : 8 + size], payload[8 + size : 8 + 2 * size]
        if hashlib.md5(payload, usedforsecurity=False).digest() != data[len(payload) : len(payload) + 16]:
            rig.fail("the MD5 of what was stored while another process wrote does not match its bytes")
        if first != first[:2] * (size // 2) or second != second[:2] * (size // 2):
            rig.fail("a part of a put was stored")
        if not 0 <= int.from_bytes(first[:2], "big") - int.from_bytes(second[:2], "big") <= 1:
            rig.fail(
                f"slot 0 was stored after put {first[:2].hex()}, slot 1 after put {second[:2].hex()}: no instant had both"
            )
        if marks.count(0) != free or (first != second and not marks[2]):
            rig.fail(
                f"{free} slots were stored as free and the marks {marks.hex()}, while the first two slots "
                f"{'differed' if first != second else 'were the same'}: no instant had all that"
            )
        rig.ask("1: restart")
        rig.forget_segments()


def _open(rig: Rig, item_size: int, item_num: int, *, grabbed: bool = False) -> None:
    rig.needs("shared", "batch")
    rig.process(*range(_SERVERS))
    rig.must(f"create w {item_size} {item_num} PREGRAB")
    for item_id in range(item_num if grabbed else 0):
        rig.must(f"fgrab {item_id}")
    for server in range(1, _SERVERS):
        rig.must(f"{server}: attach w")


def _close(rig: Rig) -> None:
    """End the segment, so that the next round has a fresh one."""
    for server in reversed(range(_SERVERS)):
        rig.must(f"{server}: restart")
    rig.forget_segments()


def _judge(rig: Rig, item_num: int, item_size: int, weights: dict[str, int], *, grabbed: bool = False) -> None:
    """Let the servers do random operations, and judge the history."""

    def once(length: int) -> list[batches.Done]:
        _open(rig, item_size, item_num, grabbed=grabbed)
        plans = [(server, _plan(rig, server, length, item_num, item_size, weights)) for server in range(_SERVERS)]
        done = batches.together(rig, plans)
        initial = spec.fresh(item_size, item_num, True)
        if grabbed:
            initial = initial._replace(inuse=(True,) * item_num)
        verdict = check_slots(batches.events(done), initial, lowest_first=False, budget_s=_JUDGE_S)
        if verdict.name == VIOLATION:
            rig.evidence = batches.evidence(verdict)
            rig.fail(f"the history is not linearizable: {batches.shortened(verdict.reason)}")
        if verdict.name == UNKNOWN:
            rig.skip(f"the judge could not decide: {verdict.reason}")
        return done

    # Longer ones would make lines of more than a million characters.
    length, most = (200, 200) if item_size > 1000 else (1000, 4000)
    _rounds(rig, once, 2 if rig.quick else 5, length=length, most=most)


def _rounds(rig: Rig, once: Callable[[int], list[batches.Done]], rounds: int, *, length: int, most: int) -> None:
    """Do rounds until `rounds` of them had operations of several servers under way at once; batches
    grow until they have.
    """
    met = 0
    for _ in range(rounds + 4):
        if batches.overlap(once(length)):
            met += 1
        else:
            length = min(2 * length, most)
        _close(rig)
        if met == rounds:
            return
    if not met:
        rig.skip("no two operations were under way at the same time, so that nothing was tried")


def _use(item_id: int) -> list[Request]:
    return [{"op": "fgrab", "id": item_id}, {"op": "num_free_slots"}, {"op": "release", "id": item_id}]


def _plan(rig: Rig, server: int, length: int, item_num: int, item_size: int, weights: dict[str, int]) -> list[Request]:
    """Choose operations; each put has a value of its own."""
    plan: list[Request] = []
    for number, op in enumerate(rig.choose.choices(list(weights), list(weights.values()), k=length)):
        request: Request = {"op": op}
        if op not in ("grab", "num_free_slots"):
            request["id"] = rig.choose.randrange(item_num)
        if op == "put":
            request["data"] = ((server + 1 << 32) + number).to_bytes(8, "big").hex() * (item_size // 8)
        plan.append(request)
    return plan


def _grabs_of(done: list[batches.Done], item_id: int) -> str:
    """Show the grabs that gave one slot, with their times."""
    grabs = sorted(
        (answer["start"], answer["end"], server) for server, _, answer in done if answer.get("id") == item_id
    )
    first = grabs[0][0]
    return "\n".join(
        f"server {server}: grab gave slot {item_id}, from {start - first} to {end - first} ns"
        for start, end, server in grabs
    )
