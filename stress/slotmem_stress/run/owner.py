"""The owner of the segment in a stress run: it makes it, looks at it when all are still, restarts, and closes it.

Interface: `Owner(settings, runtime_dir)` makes the segment; `look(folder, client)`, `restart(folder, clients)` and `close()` never raise what
the provider raises: that is added to `findings`, sentences each of which is a violation. `seen` is what the owner saw last, which
is what the next round begins with.
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
    """The process that made the segment: this one."""

    def __init__(self, settings: Settings, runtime_dir: str) -> None:
        """Make the segment. Raises: SlotmemError: the provider cannot do this at all."""
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
        """Look at every slot, all clients being still, and record it. Gives whether that was possible."""
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
        """Restart while everybody works; what was restored is recorded, a client a slot. Gives whether that was possible."""
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
        """Let go of the segment. Idempotent."""
        self.instance = None
        try:
            self._provider.close()
        except SlotmemError as error:
            self._find("close", error)

    def _create(self) -> Any:
        return self._provider.create(NAME, self._settings.slot_bytes, self._settings.slots, self._type)

    def _find(self, what: str, error: SlotmemError) -> None:
        self.findings.append(f"clause KILL-3: the owner could not {what}: {type(error).__name__}: {error}")
