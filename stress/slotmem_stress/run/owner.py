"""The owner of the segment in a stress run: creates, observes, restarts and closes it.

Interface: `Owner(settings, runtime_dir)` creates the segment. `look`, `restart` and `close` never
raise the provider's errors: each becomes a sentence in `findings`, and a violation. `seen` is the
last observation, with which the next round begins.
"""

from __future__ import annotations

import time
from typing import Any

from slotmem import SlotmemError, Type
from slotmem_stress.history.records import Recorder
from slotmem_stress.run.observing import Observation, observe, record_observation
from slotmem_stress.run.settings import NAME, Settings
from slotmem_stress.run.worker import open_provider


class Owner:
    """The creator of the segment, in the supervisor's process."""

    def __init__(self, settings: Settings, runtime_dir: str) -> None:
        """Create the segment.

        Raises:
            SlotmemError: if the provider cannot do that.
        """
        self.findings: list[str] = []
        self.seen = Observation((), (0,) * settings.slots)
        self._settings = settings
        self._type = Type.PREGRAB | (Type.PERSIST if settings.plan.restarts else Type(0))
        self._provider = open_provider(settings.provider, runtime_dir, 0, settings.timeout_s)
        try:
            self.instance = self._create()
        except BaseException:
            self._provider.close()
            raise

    @property
    def generation(self) -> int:
        """The provider's generation."""
        return int(self._provider.generation)

    def look(self, folder: str, client: int) -> bool:
        """Observe and record every slot while no client works; return whether that succeeded."""
        recorder = Recorder(folder, client, chunk_records=512)
        try:
            self.seen = observe(self.instance, self._settings.slots, recorder)
        except SlotmemError as error:
            self._find("look", error)
            return False
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
            self.instance = self._create()
            if not self.instance.restored:
                self.findings.append(f"clause RESTORE-1: nothing was restored: {self.instance.restored!r}")
            done_ns = time.monotonic_ns()
            self.seen = observe(self.instance, self._settings.slots, None)
        except SlotmemError as error:
            self._find("restart", error)
            return False
        record_observation(folder, self.seen, clients, begun_ns, done_ns)
        return True

    def close(self) -> None:
        """Close the provider, which destroys the segment. Idempotent."""
        self.instance = None
        try:
            self._provider.close()
        except SlotmemError as error:
            self._find("close", error)

    def _create(self) -> Any:
        return self._provider.create(NAME, self._settings.slot_bytes, self._settings.slots, self._type)

    def _find(self, what: str, error: SlotmemError) -> None:
        self.findings.append(f"clause KILL-3: the owner could not {what}: {type(error).__name__}: {error}")
