"""What a case works with: a runtime directory, sessions, a record of what was said, a clean end.

Interface:

- `do(text)` sends a program and compares every answer with the specification's; `ask(text)` sends
  it and gives the last answer, compared with nothing. A case uses one or the other on a segment:
  the oracle does not know what is only asked.
- `session(server)` is the session of a server, opened on first use: in this process if the
  implementation can run there, in a process of its own if `processes` is set or `process(server)`
  was asked for.
- `kill(server)` ends one by SIGKILL.
- `fail(what)` ends the case; `skip(why)` says that it cannot be judged; `inform(what)` says what
  was seen, and judges nothing.
- `path(name)`, `object(name)`: the persisted file and the shared object of a name.

At the end the sessions are closed and their shared objects and files removed, whatever happened.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

from slotmem_conformance.protocol import notation, places
from slotmem_conformance.protocol.answering import open_provider
from slotmem_conformance.protocol.notation import Request
from slotmem_conformance.protocol.session import AdapterError, Session
from slotmem_conformance.rig import racing
from slotmem_conformance.rig.oracle import Oracle, Response, agree
from slotmem_conformance.rig.telling import kind_of, shown, told, wrong_answer
from slotmem_stress.interrupts import without_interrupts

_OPTIONAL = ("restart", "dptr", "doall", "batch", "compare_and_put")
_CHANGE_S = 10.0
_SENDING_S = 0.02  # until requests of some tens of kilobytes are in the pipes of drivers that are stopped


class Failed(Exception):
    """The implementation did not do what the clause asks, or what another one does."""

    def __init__(self, what: str, clause: str = "", kind: str = "") -> None:
        super().__init__(what)
        self.clause = clause
        """The other one, if it is not the case's own."""
        self.kind = kind
        """In what way an answer was wrong, if one was; see `telling.kind_of`."""


class Skipped(Exception):
    """The case cannot be judged here; the message says why."""


class Informed(Exception):
    """What an implementation does where nothing is required."""


class Opener(Protocol):
    """Opens a session on the implementation in question: `session.open_session` with all but these
    settled.
    """

    def __call__(self, *, runtime_dir: str, generation: int = 0, process: bool = False, **how: Any) -> Session: ...


class Rig:
    """What one case works with; see the header."""

    def __init__(
        self,
        opener: Opener,
        *,
        seed: int = 0,
        quick: bool = False,
        base: str | None = None,
        lowest_first: bool = True,
    ) -> None:
        self._opener = opener
        self.folder = tempfile.mkdtemp(prefix="slotmem-conform-", dir=base)
        self.choose = random.Random(seed)
        self.quick = quick
        self.oracle = Oracle(lowest_first=lowest_first)
        self.record: list[tuple[int, Request, Response | None]] = []
        self._sessions: dict[int, Session] = {}
        self._handles: dict[int, list[int]] = {}
        self._names: set[tuple[str, str, int]] = set()
        self.folders: dict[int, str] = {}
        self.generations: dict[int, int] = {}
        self.processes: set[int] = set()
        self.under: dict[int, list[str]] = {}  # the commands that run drivers, such as a tracer's
        self.evidence = ""  # what a case shows instead of the requests, if it has something better

    # -- sessions ----------------------------------------------------------------------------------

    def session(self, server: int = 0) -> Session:
        """Return the session of a server."""
        if server not in self._sessions:
            folder, generation = self.folders.get(server, self.folder), self.generations.get(server, 0)
            how = {"under": self.under[server]} if server in self.under else {}
            process = server in self.processes
            self._sessions[server] = self._opener(runtime_dir=folder, generation=generation, process=process, **how)
            self._handles[server] = []
        return self._sessions[server]

    def process(self, *servers: int) -> None:
        """Let servers have processes of their own from now on, so that they can be killed and work
        at the same time.
        """
        for server in set(servers) - self.processes:
            self.leave(server)  # one that was opened to ask for its capabilities
        self.processes |= set(servers)
        for server in servers:
            if not self.session(server).killable:
                self.skip("it cannot be run in a process of its own")

    def work_in_memory(self, *servers: int) -> None:
        """Let servers that have not begun work in a folder in memory, if there is one: what is
        stored a thousand times need not survive a power cut.
        """
        if places.SHM_FOLDER.is_dir():
            folder = tempfile.mkdtemp(prefix="slotmem-conform-", dir=places.SHM_FOLDER)
            self.folders |= dict.fromkeys(servers, folder)

    def needs(self, *capabilities: str) -> None:
        """Skip the case if the implementation does not say that it can do this."""
        for capability in capabilities:
            if capability not in self.session().hello["capabilities"]:
                self.skip(f"the implementation does not have the capability {capability!r}")

    def make_provider(self) -> Callable[[], Any]:
        """Return what opens the implementation itself, in any process, on the rig's folder; skip
        the case if it is a driver.
        """
        provider = getattr(self.session(), "provider", "")
        if not provider:
            self.skip("a driver can only be asked through the protocol, and that takes most of the time")
        self._names.add((racing.NAME, self.folder, 0))  # whoever makes it may be killed in a race
        return partial(open_provider, provider, runtime_dir=self.folder, generation=0)

    def kill(self, server: int) -> None:
        """End a server by SIGKILL."""
        session = self._sessions.pop(server)
        session.kill()
        self.record.append((server, {"op": "SIGKILL"}, None))
        self.oracle.kill(server)

    def leave(self, server: int) -> None:
        """End the session of a server, if it has one, and forget it."""
        session = self._sessions.pop(server, None)
        if session is not None:
            with suppress(AdapterError):
                session.close()

    # -- requests ----------------------------------------------------------------------------------

    def do(self, text: str) -> Response:
        """Send a program, compare each answer with the oracle's, and return the last.

        Raises:
            Failed
        """
        got: Response = {}
        for server, request in notation.parse(text.replace("$DIR", self.folder)):
            got = self.check(server, request)
        return got

    def check(self, server: int, request: Request) -> Response:
        """Send one request and compare the answer with the oracle's.

        Raises:
            Failed
        """
        generation = self.generations.get(server, 0)
        got = self.send(server, request)
        expected = self.oracle.answer(server, request, generation, got)
        if not agree(got, expected):
            others = "" if self.oracle.lowest_first or "id" not in expected else ", or the id of another free slot"
            self.fail(wrong_answer(request, got, expected) + others, kind=kind_of(request, got, expected))
        return got

    def ask(self, text: str) -> Response:
        """Send a program and return the last answer, whatever it is."""
        got: Response = {}
        for server, request in notation.parse(text.replace("$DIR", self.folder)):
            got = self.send(server, request)
        return got

    def value(self, text: str, field: str) -> Any:
        """Send a program and return a field of the last answer.

        Raises:
            Failed: if it was refused.
        """
        got = self.ask(text)
        if field not in got:
            self.fail(f"{text} answered {shown(got)}, must succeed")
        return got[field]

    def must(self, text: str, status: str = "APR_SUCCESS") -> Response:
        """Send a program whose every answer must have this status; return the last.

        Raises:
            Failed
        """
        got: Response = {}
        for server, request in notation.parse(text.replace("$DIR", self.folder)):
            got = self.send(server, request)
            if got["status"] != status:
                self.fail(f"{request['op']} answered {shown(got)}, must answer {status}")
        return got

    def send(self, server: int, request: Request) -> Response:
        """Send one request; its segment is numbered in the order in which its server opened
        them.
        """
        session = self.session(server)
        if request["op"] in _OPTIONAL and request["op"] not in session.hello["capabilities"]:
            self.skip(f"the implementation does not have the capability {request['op']!r}")
        self._name(server, request)
        self.record.append((server, request, None))
        number = len(self.record) - 1
        try:
            got = session.request(self.translated(server, request))
        except AdapterError as error:
            raise error.about(request) from None  # with our number of the segment, as the record has it
        self.record[number] = (server, request, got)
        if request["op"] in ("create", "attach") and got["status"] == "APR_SUCCESS":
            self._handles[server].append(got["segment"])
            ours = len(self._handles[server]) - 1  # as later requests of the record have it
            self.record[number] = (server, request, {**got, "segment": ours})
        if request["op"] == "close":
            self._sessions.pop(server).close()
        return got

    def translated(self, server: int, request: Request) -> Request:
        """Put the driver's own number of a segment in place of ours."""
        if "segment" not in request:
            return request
        handles = self._handles.get(server, [])
        if request["segment"] >= len(handles):
            self.fail(f"the segment that {shown(request)} is meant for could not be opened")
        return {**request, "segment": handles[request["segment"]]}

    def together(self, requests: Iterable[tuple[int, Request]]) -> list[Response]:
        """Send one request to each of several servers at the same time, and return the answers in
        order.

        Drivers are stopped until all have something to read: otherwise the first is often done
        before the last is asked.
        """
        wanted = list(requests)
        got: list[Response | None] = [None] * len(wanted)
        broken: list[AdapterError] = []

        def work(number: int, server: int, request: Request) -> None:
            try:
                got[number] = self._sessions[server].request(self.translated(server, request))
            except AdapterError as error:
                broken.append(error)

        crew = [threading.Thread(target=work, args=(number, *each)) for number, each in enumerate(wanted)]
        for server, request in wanted:
            self.session(server)
            self._name(server, request)
        groups = [pid for server, _ in wanted if (pid := getattr(self._sessions[server], "pid", None))]
        _signal(groups, signal.SIGSTOP)
        try:
            for thread in crew:
                thread.start()
            self.pause(_SENDING_S if groups else 0.0)
        finally:
            _signal(groups, signal.SIGCONT)
        for thread in crew:
            thread.join()
        if broken:
            raise broken[0]
        return [answer or {} for answer in got]

    def begin(self, server: int, request: Request, *, times: int = 1) -> Callable[[], bool]:
        """Send a request `times` times and do not wait; return a function that waits for the end,
        and says whether all were answered.

        The session may be killed meanwhile.
        """
        session, wanted = self.session(server), self.translated(server, request)
        self.record.append((server, request, None))
        answers: list[Response] = []

        def work() -> None:
            with suppress(AdapterError, OSError, ValueError):
                answers.extend(session.request(wanted) for _ in range(times))

        def wait() -> bool:
            thread.join()
            return len(answers) == times

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return wait

    def begin_anew(self) -> None:
        """Forget all that was said: the next request is the first of a new world."""
        self.record.clear()
        self.oracle = Oracle(lowest_first=self.oracle.lowest_first)

    def await_change(self, text: str, status: str) -> None:
        """Send a program again and again until its last answer has another status: others have
        begun.
        """
        ends = time.monotonic() + _CHANGE_S
        while self.ask(text)["status"] == status and time.monotonic() < ends:
            pass

    def forget_segments(self) -> None:
        """Count the segments of every server from 0 again."""
        for handles in self._handles.values():
            handles.clear()

    def pause(self, seconds: float) -> None:
        """Let others work for a while."""
        time.sleep(seconds)

    # -- verdicts ----------------------------------------------------------------------------------

    def fail(self, what: str, clause: str = "", kind: str = "") -> NoReturn:
        """End the case: the implementation is wrong, in what another clause asks if one is named,
        and in what way if an answer is.
        """
        raise Failed(what, clause, kind)

    def skip(self, why: str) -> NoReturn:
        """End the case: it cannot be judged."""
        raise Skipped(why)

    def inform(self, what: str) -> NoReturn:
        """End the case: this is what was seen."""
        raise Informed(what)

    def told(self) -> str:
        """Return what was said, request by request."""
        return told(self.record)

    # -- files -------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        """Return the path of a persisted file."""
        return places.persisted_path(name, self.folder)

    def object(self, name: str, generation: int = 0) -> Path:
        """Return the path of a shared object; it is removed at the end."""
        self._names.add((name, self.folder, generation))
        return places.object_path(name, self.folder, generation)

    def close(self) -> None:
        """End everything and leave nothing behind, even if Ctrl-C comes while sessions close."""
        with ExitStack() as stack:
            stack.callback(self._remove)
            for server in list(self._sessions):
                stack.callback(self.leave, server)

    def _remove(self) -> None:
        with without_interrupts():
            places.remove_objects(self._names)
            for folder in {self.folder, *self.folders.values()}:
                shutil.rmtree(folder, ignore_errors=True)

    def _name(self, server: int, request: Request) -> None:
        if request["op"] == "create" and request["name"]:
            folder = self.folders.get(server, self.folder)
            self._names.add((request["name"], folder, self.generations.get(server, 0)))


def _signal(groups: list[int], number: int) -> None:
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
