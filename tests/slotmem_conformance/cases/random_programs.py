"""Random programs beside the specification, shrunk by Hypothesis to the shortest that differs.

Every program has a segment of its own, made without a name, so that one session does for all; what
is shown at the end is that one program, which can be pasted into a driver.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from slotmem_conformance.cases.case import Case
from slotmem_conformance.machines.driving import clause_of
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.protocol.session import AdapterError
from slotmem_conformance.rig.oracle import agree, operation_of
from slotmem_conformance.rig.rig import Failed, Rig
from slotmem_conformance.rig.telling import kind_of, wrong_answer
from slotmem_model import spec

_CRASHES = 12  # each costs a new process; what is known by then is shrunk enough


class _Enough(BaseException):
    """Ends the search at once, without more shrinking."""


Ids = st.integers(0, 5)
Data = st.binary(max_size=9).map(bytes.hex)
_OPERATIONS: dict[str, st.SearchStrategy[Request]] = {
    "grab": st.just({"op": "grab"}),
    "fgrab": st.builds(lambda item_id: {"op": "fgrab", "id": item_id}, Ids),
    "release": st.builds(lambda item_id: {"op": "release", "id": item_id}, Ids),
    "put": st.builds(lambda item_id, data: {"op": "put", "id": item_id, "data": data}, Ids, Data),
    "get": st.builds(lambda item_id: {"op": "get", "id": item_id}, Ids),
    "get-part": st.builds(lambda item_id, nbytes: {"op": "get", "id": item_id, "len": nbytes}, Ids, st.integers(0, 8)),
    "get-too-much": st.builds(lambda item_id, more: {"op": "get", "id": item_id, "len": more}, Ids, st.integers(-3, 99)),
    "any-id": st.builds(
        lambda op, item_id: {"op": op, "id": item_id},
        st.sampled_from(["fgrab", "release", "get"]),
        st.integers(-(2**31), 2**32 - 1),
    ),
    "num_free_slots": st.just({"op": "num_free_slots"}),
    "doall": st.builds(
        lambda answers: {"op": "doall", "answers": answers},
        st.lists(st.sampled_from(["APR_SUCCESS", "APR_SUCCESS", "APR_EGENERAL"]), max_size=4),
    ),
}  # fmt: skip


def _programs(id: str, names: str, *, pregrab: bool, longest: int = 8) -> Case:
    """Make a case of random programs on segments of up to six slots of up to `longest` bytes."""
    operations = st.one_of([_OPERATIONS[name] for name in names.split()])

    def run(rig: Rig) -> None:
        if "doall" in names:
            rig.needs("doall")
        search = _Programs(rig, pregrab)
        test = given(st.integers(0, longest), st.integers(0, 6), st.lists(operations, max_size=25))(search.example)
        with suppress(Failed, AdapterError, _Enough, ExceptionGroup):  # noted by the search, the shortest of all
            seed(rig.choose.getrandbits(32))(settled(test, 40 if rig.quick else 150))()
        search.report()

    what = "with PREGRAB" if pregrab else "without PREGRAB"
    return Case(
        f"{id}/random-programs",
        run,
        f"random programs of {names.replace(' ', ', ')} {what} are answered as the specification does",
    )


def settled(test: Any, examples: int) -> Any:
    """Return a Hypothesis test that tries this many examples, and shrinks what fails."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )(test)


class Search:
    """What a search has found: the shortest example that failed, and how."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._found: tuple[Exception, str] | None = None
        self._length = 0

    def note(self, error: Exception) -> None:
        """Keep what was said so far, if it is the shortest that failed."""
        if self._found is None or len(self.rig.record) <= self._length:
            self._found, self._length = (error, self.rig.told()), len(self.rig.record)

    def report(self) -> None:
        """Raise what was found, if anything, with what was said as its evidence."""
        if self._found is not None:
            error, self.rig.evidence = self._found
            raise error


class _Programs(Search):
    """A search through programs."""

    def __init__(self, rig: Rig, pregrab: bool) -> None:
        super().__init__(rig)
        self.pregrab = pregrab
        self.crashes = 0

    def example(self, item_size: int, item_num: int, requests: list[Request]) -> None:
        """Run one program.

        Raises:
            Failed
            AdapterError
        """
        rig = self.rig
        rig.begin_anew()
        rig.forget_segments()
        flags = ["PREGRAB"] if self.pregrab else []
        try:
            rig.check(0, {"op": "create", "name": None, "item_size": item_size, "item_num": item_num, "type": flags})
            for request in requests:
                self._compare(_fitting({**request, "segment": 0}, item_size))
        except Failed as failed:
            self.note(failed)
            raise
        except AdapterError as error:
            self.note(error)
            self.crashes += 1
            rig.leave(0)
            if error.silent or self.crashes >= _CRASHES:
                raise _Enough from None
            raise

    def _compare(self, request: Request) -> None:
        state, operation = self.rig.oracle.slots(0), operation_of(request)
        expected = spec.step(state, operation)[1]
        got = self.rig.send(0, request)
        right = self.rig.oracle.answer(0, request, got=got)
        if not agree(got, right):
            clause = clause_of(state, operation, expected)
            self.rig.fail(wrong_answer(request, got, right), clause, kind_of(request, got, right))


def _fitting(request: Request, item_size: int) -> Request:
    """Keep lengths within a slot where too long ones are another clause's business."""
    if request["op"] == "put":
        return {**request, "data": request["data"][: 2 * item_size]}
    if request["op"] == "get" and 0 <= request.get("len", -1) <= 8:
        return {**request, "len": min(request["len"], item_size)}
    return request


PROGRAMS = (
    _programs("GRAB-2", "grab fgrab release num_free_slots", pregrab=True),
    _programs("GET-1", "fgrab put get get-part", pregrab=True),
    _programs("GET-4", "put get get-part grab release num_free_slots", pregrab=False),
    _programs("GET-5", "fgrab get-too-much get put num_free_slots", pregrab=True),
    _programs("ID-3", "any-id fgrab num_free_slots", pregrab=True),
    _programs("DOALL-2", "fgrab release put doall", pregrab=True),
    _programs("COUNT-2", "grab fgrab release put get doall num_free_slots", pregrab=True),
)
