"""The owner of the segment in a stress run: creates, observes, restarts and closes it, in a process
of its own.

Interface: `main(pipe, board_path, opening)` is the process. It answers `Told` when the segment is
there, or `Refused`. Then the supervisor (`slotmem_stress.run.owner_process`) sends the name of a
method of `Owner` with its arguments, and gets `Told` when that has ended.

Whatever the provider does wrong becomes a sentence in `Told.findings`, and a violation. Where no
other process can see the memory, the clients are threads of this one.
"""

from __future__ import annotations

import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from slotmem import SlotmemError, Type, environment
from slotmem.environment import Disturbed
from slotmem_stress.history.records import Recorder
from slotmem_stress.interrupts import die_with_parent
from slotmem_stress.run import leaks
from slotmem_stress.run.client import Client, Rules
from slotmem_stress.run.observing import Observation, observe, record_observation
from slotmem_stress.run.settings import NAME, Settings
from slotmem_stress.run.worker import Broken, Round, RoundDone, held_by, map_board, open_provider, work_round


class Opening(NamedTuple):
    """What the owner is given when it starts."""

    settings: Settings
    runtime_dir: str
    rules: Rules
    threads: tuple[int, ...]
    """The numbers of the clients that are its threads."""


class Told(NamedTuple):
    """Answer: what a method returned, and how things stand since."""

    answer: Any
    findings: tuple[str, ...]
    """New ones."""
    seen: Observation
    generation: int
    lowest_first: bool
    """Whether the provider says that grab gives the lowest free slot."""


class Refused(NamedTuple):
    """Answer: the provider cannot create the segment, and why."""

    why: str


class Unwell(NamedTuple):
    """Answer: what the surroundings did, such as a full disk, stood in the way."""

    why: str


def main(pipe: Connection, board_path: str, opening: Opening) -> None:
    """Be the owner until told to close, or until the supervisor is gone."""
    die_with_parent()
    with suppress(EOFError, ConnectionError):  # the supervisor is gone
        try:
            owner = Owner(board_path, opening)
        except Exception as error:
            pipe.send(Refused(str(error) if isinstance(error, SlotmemError) else f"{type(error).__name__}: {error}"))
            return
        pipe.send(owner.told(None))
        name = ""
        while name != "close":
            name, *arguments = pipe.recv()
            try:
                told: Told | Unwell = owner.told(getattr(owner, name)(*arguments))
            except (Disturbed, OSError) as error:
                told = Unwell(getattr(error, "strerror", None) or str(error))
            pipe.send(told)


class Owner:
    """The creator of the segment."""

    def __init__(self, board_path: str, opening: Opening) -> None:
        self._findings: list[str] = []
        self._seen = Observation((), (0,) * opening.settings.slots)
        settings = self._settings = opening.settings
        self._board = map_board(board_path)
        self._before = leaks.Inventory.take(opening.runtime_dir)
        self._clients = [Client(number, opening.rules, seat) for seat, number in enumerate(opening.threads)]
        self._type = Type.PERSIST if settings.plan.restarts else Type(0)
        self._type |= Type.PREGRAB if settings.pregrab else Type(0)
        self._provider = open_provider(settings.provider, opening.runtime_dir, 0, settings.timeout_s)
        try:
            self._instance = self._create()
        except BaseException:
            self._provider.close()
            raise

    def told(self, answer: Any) -> Told:
        """Return an answer with what is to be known besides."""
        found, self._findings = tuple(self._findings), []
        lowest_first = bool(getattr(self._provider, "lowest_first", False))
        return Told(answer, found, self._seen, int(self._provider.generation), lowest_first)

    def look(self, folder: str, client: int) -> bool:
        """Observe and record every slot while no client works; return whether that succeeded."""
        recorder = Recorder(folder, client, chunk_records=512)
        try:
            self._seen = observe(self._instance, self._settings.slots, recorder, self._settings.pregrab)
        except Exception as error:
            return self._found("look", error)
        finally:
            recorder.close()
        return True

    def restart(self, folder: str, clients: tuple[int, ...]) -> bool:
        """Restart while the clients work; return whether that succeeded.

        What was restored is recorded as gets, one for each of `clients` and slots.
        """
        begun_ns = time.monotonic_ns()
        try:
            self._provider.restart()
            self._instance = self._create()
            if not self._instance.restored:
                self._findings.append(f"clause RESTORE-1: nothing was restored: {self._instance.restored!r}")
            done_ns = time.monotonic_ns()
            self._seen = observe(self._instance, self._settings.slots, None)
        except Exception as error:
            return self._found("restart", error)
        record_observation(folder, self._seen, clients, begun_ns, done_ns)
        return True

    def work(self, order: Round) -> Broken | RoundDone:
        """Let the clients that are threads of this process work until the round is over."""
        broken = work_round(self._instance, self._clients, tuple(range(len(self._clients))), self._board, order)
        return broken or RoundDone(order.number, held_by(self._clients))

    def close(self) -> list[str]:
        """Close the provider, which destroys the segment; return what it left in this process."""
        self._instance = None
        try:
            self._provider.close()
        except Exception as error:
            self._found("close", error)
        return leaks.of_process(self._before)

    def _create(self) -> Any:
        return self._provider.create(NAME, self._settings.slot_bytes, self._settings.slots, self._type)

    def _found(self, what: str, error: Exception) -> bool:
        """Note what the provider raised; what the machine did, and an error of the system that has
        no status, is raised on.
        """
        if environment.explains(error):
            raise Disturbed(f"the owner could not {what}: {error}") from error
        if isinstance(error, OSError) and not isinstance(error, SlotmemError):
            raise error
        self._findings.append(f"clause KILL-3: the owner could not {what}: {type(error).__name__}: {error}")
        return False
