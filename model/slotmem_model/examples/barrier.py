"""A barrier that is used again and again: nobody goes on before all have come.

D. Hensgen, R. Finkel and U. Manber, "Two algorithms for barrier synchronization" (1988), after
E. D. Brooks: the last one to come reverses the sense, and all others wait for that, not for the
counter, which may be counted up again already.
"""

from slotmem_model.program import PROCESSES, Words, operation


class Barrier:
    """Counts those that have come; the last one starts the next phase."""

    phase = Words(PROCESSES, initial=0)
    came = Words(1, initial=0)
    sense = Words(1, initial=0)
    clients = ("cross; cross",)

    @operation
    def cross(self, me: int) -> None:
        """Come to the end of a phase, and begin the next one with all others."""
        phase = self.phase[me] + 1
        self.phase[me] = phase
        self.meet(phase)
        for other in range(len(self.phase)):
            assert self.phase[other] >= phase, f"process {other + 1} has not come yet"

    def meet(self, phase: int) -> None:
        """Wait until everybody is in this phase."""
        if self.came.fetch_add(0, 1) == len(self.phase) - 1:
            self.came[0] = 0
            self.sense[0] = phase % 2
        while self.sense[0] != phase % 2:
            pass


class WaitsForCount(Barrier):
    """Waits for the counter, which the last one sets back: who looks too late waits for ever."""

    def meet(self, phase: int) -> None:
        """Wait until the counter says that all are there."""
        if self.came.fetch_add(0, 1) == len(self.phase) - 1:
            self.came[0] = 0
            return
        while self.came[0]:
            pass
        del phase


class SetsBackLate(Barrier):
    """Lets the others go before it sets the counter back: one that is quick is not counted."""

    def meet(self, phase: int) -> None:
        """Two lines in the wrong order."""
        if self.came.fetch_add(0, 1) == len(self.phase) - 1:
            self.sense[0] = phase % 2
            self.came[0] = 0
        while self.sense[0] != phase % 2:
            pass
