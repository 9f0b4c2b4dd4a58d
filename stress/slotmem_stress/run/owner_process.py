"""The owner of the segment in a stress run, as its supervisor sees it: a process that may hang or
die.

Interface: `OwnerProcess(...)` starts it; `opened` waits for the segment; `look`, `restart` and
`close` have it do that, see `slotmem_stress.run.owner.Owner`. `begin` and `finish` are a round of
clients that are threads of it. None of them raises what the provider did: each such thing becomes a
sentence in `findings`, and a violation. `seen` is the last observation, with which the next round
begins.

What the accused does with its memory and its mutexes it does there: it can hang or crash the owner,
and never the judge.
"""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import suppress
from typing import Any

from slotmem import InvalidArgument, SlotmemError
from slotmem.environment import Disturbed
from slotmem_stress.interrupts import end, starting_a_child, without_interrupts
from slotmem_stress.run import leaks
from slotmem_stress.run.observing import Observation
from slotmem_stress.run.owner import Opening, Refused, Told, Unwell, main
from slotmem_stress.run.worker import FROM_OUTSIDE, Broken, Round, RoundDone

PATIENCE_S = 30.0
_START_S = 60.0


class OwnerProcess:
    """A process with an `Owner`."""

    def __init__(self, board_path: str, opening: Opening) -> None:
        self.findings: list[str] = []
        self.leaks: list[str] = []
        """What the provider left in the owner's process when it was closed."""
        self.seen = Observation((), (0,) * opening.settings.slots)
        self.generation = 0
        self.lowest_first = False
        self._opening = opening
        self._patience_s = opening.settings.timeout_s + PATIENCE_S
        self._is_there = True
        context: Any = multiprocessing.get_context(opening.settings.start)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs, board_path, opening), daemon=True)
        with starting_a_child():
            self._process.start()
        theirs.close()

    def opened(self) -> None:
        """Wait until the segment is there.

        Raises:
            SlotmemError: if the provider cannot create it.
        """
        self._heard("create the segment", _START_S)
        if not self._is_there:
            raise SlotmemError(self.findings[-1].removeprefix("clause KILL-3: "))

    def look(self, folder: str, client: int) -> bool:
        """Observe and record every slot; return whether that succeeded."""
        return bool(self._asked("look", folder, client))

    def restart(self, folder: str, clients: tuple[int, ...]) -> bool:
        """Go to the next generation; return whether that succeeded."""
        return bool(self._asked("restart", folder, clients))

    def begin(self, order: Round) -> None:
        """Start a round of its threads."""
        self._tell("work", order)

    def finish(self, timeout_s: float) -> Broken | RoundDone | None:
        """Wait for the end of the round; None if it does not come."""
        ended: Broken | RoundDone | None = self._heard("end the threads' operations", timeout_s)
        return ended

    def close(self) -> None:
        """Have it close the provider, and end it. Idempotent."""
        if self._process is None:
            return
        with without_interrupts():
            try:
                self.leaks = self._asked("close") or []
            finally:
                if not self._is_there:  # it did not come to that
                    leaks.remove_objects(self._opening.runtime_dir, range(self.generation + 2))
                end(self._process)
                self._process = None
                self._pipe.close()

    def _asked(self, *order: Any) -> Any:
        self._tell(*order)
        return self._heard(order[0], self._patience_s)

    def _tell(self, *order: Any) -> None:
        with suppress(BrokenPipeError):  # that it died is noticed when it is heard
            self._pipe.send(order)

    def _heard(self, what: str, timeout_s: float) -> Any:
        """Return its next answer; None if there is none, which is a finding the first time.

        Raises:
            InvalidArgument: it could not create the segment.
            Disturbed: the surroundings are to blame.
        """
        if not self._is_there:
            return None
        try:
            if not self._pipe.poll(timeout_s):
                return self._lost(f"did not {what} within {timeout_s:.1f} s")
            told: Told | Refused | Unwell = self._pipe.recv()
        except (EOFError, ConnectionError):
            with without_interrupts():
                self._process.join()
            code = self._process.exitcode
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            if -code in FROM_OUTSIDE:
                self._is_there = False
                raise Disturbed(
                    f"the owner was ended by {how}, which this run did not send; was there too little memory?"
                ) from None
            return self._lost(f"could not {what}: it died with {how}")
        if isinstance(told, Refused):
            raise InvalidArgument(told.why)
        if isinstance(told, Unwell):
            raise Disturbed(told.why)
        self.findings += told.findings
        self.seen, self.generation, self.lowest_first = told.seen, told.generation, told.lowest_first
        return told.answer

    def _lost(self, how: str) -> None:
        self._is_there = False
        self.findings.append(f"clause KILL-3: the owner {how}")
