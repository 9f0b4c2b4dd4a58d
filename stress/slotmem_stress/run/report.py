"""What a stress run is told to do, and what it found: plain data, as JSON and as a page of text.

Interface: `Settings` go in, a `RunReport` comes out; `to_text(report)` is the page.

A report alone is enough to do the run again: the seed fixes every choice of every client and every fault. It does not fix how the
operating system lets the processes take turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from slotmem_model import clauses
from slotmem_model.judge.slots.window import FEW
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED
from slotmem_stress.history.judging import Judged
from slotmem_stress.history.wording import window_lines, window_title
from slotmem_stress.run.settings import THREADS_ONLY, Settings


@dataclass
class RunReport:
    """What was done and found."""

    settings: Settings
    verdict: str = HELD
    """held, violated or undecided."""
    seconds: float = 0.0
    """How long the clients worked."""
    operations: int = 0
    """Recorded and judged."""
    pending: int = 0
    """Of them, those that never returned."""
    clients: int = 0
    next_client: int = 1
    """The number of the next client, for a run that goes on."""
    segments: int = 0
    kills: int = 0
    pauses: int = 0
    restarts: int = 0
    attaches: int = 0
    judge_s: float = 0.0
    findings: list[str] = field(default_factory=list)
    """What is wrong, each a sentence."""
    undecided: list[str] = field(default_factory=list)
    """Why the judge gave up."""
    leaks: list[str] = field(default_factory=list)
    held_by_the_dead: list[int] = field(default_factory=list)
    """Slots in use at the end that no living client holds. That is as it should be: nobody releases what the dead grabbed."""
    interrupted: bool = False
    window: list[dict[str, Any]] = field(default_factory=list)
    """The operations that contradict one another; see `slotmem_stress.history.judging.Judged`, also for the next three."""
    is_whole: bool = False
    before: list[dict[str, Any]] = field(default_factory=list)
    excerpt: list[dict[str, Any]] = field(default_factory=list)
    sentence: str = ""
    """What the window shows."""
    history: str = ""
    """Where the history of the violation is kept, if it is."""

    def __add__(self, more: RunReport) -> RunReport:
        """Give the report of two runs, one after the other, as one: what is counted is added, the rest is the second's."""
        counted = ("seconds", "operations", "pending", "clients", "segments", "kills", "pauses", "restarts", "attaches")
        sums = {name: getattr(self, name) + getattr(more, name) for name in (*counted, "judge_s")}
        listed = {name: getattr(self, name) + getattr(more, name) for name in ("findings", "undecided", "leaks")}
        total = replace(more, settings=self.settings, **sums, **listed)
        total.conclude()
        return total

    def note(self, judged: Judged) -> None:
        """Add what was judged."""
        self.segments += 1
        self.operations += judged.operations
        self.pending += judged.pending
        self.judge_s = round(self.judge_s + judged.seconds, 3)
        if judged.verdict == VIOLATED and not self.is_clear and _clarity(judged) < _clarity(self):
            self.findings = [finding for finding in self.findings if finding != self.sentence] + [judged.reason]
            self.window, self.before, self.excerpt = judged.window, judged.before, judged.excerpt
            self.is_whole, self.sentence, self.history = judged.is_whole, judged.reason, judged.path
        elif judged.verdict == UNDECIDED and judged.reason not in self.undecided:
            self.undecided.append(judged.reason)

    @property
    def is_clear(self) -> bool:
        """Whether the window shows at a glance what is wrong."""
        return bool(self.window) and self.is_whole and len(self.window) <= FEW

    def conclude(self) -> None:
        """Set the verdict to what the findings say."""
        if self.operations == 0 and not self.interrupted:
            self.undecided.append("no operation was recorded and judged, so that nothing was tried")
        self.verdict = VIOLATED if self.findings or self.leaks else UNDECIDED if self.undecided else HELD

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)


def _clarity(found: RunReport | Judged) -> tuple[bool, bool, int]:
    """Give what is less for a window that shows more at a glance: there is one, it is whole, it is small."""
    return not found.window, not found.is_whole, len(found.window)


def to_text(report: RunReport) -> str:
    """Give the page."""
    return "\n".join(_lines(report))


def _lines(report: RunReport) -> Iterator[str]:
    settings = report.settings
    many = f"{settings.processes} processes" + (f" of {settings.threads} threads" if settings.threads > 1 else "")
    many = f"{settings.threads * settings.processes} threads" if settings.provider in THREADS_ONLY else many
    yield f"slotmem stress {settings.provider}: {many} on {settings.slots} slots of {settings.slot_bytes} bytes"
    yield ""
    rate = report.operations / report.seconds if report.seconds else 0.0
    yield f"  operations  {report.operations:,} in {report.seconds:.1f} s ({rate:,.0f} a second) by {report.clients} clients"
    yield f"  mix         {', '.join(f'{name} {weight}' for name, weight in settings.mix)}"
    yield f"  faults      {faults(report)}"
    yield f"  judged      {report.segments} segments in {report.judge_s:.1f} s; {report.pending} operations never returned"
    if report.held_by_the_dead:
        yield f"  dead hold   {_slots(report.held_by_the_dead)}: grabbed by clients that were killed, and nobody has released"
    yield f"  leaks       {'none' if not report.leaks else ''}"
    yield from (f"    {leak}" for leak in report.leaks)
    for finding in report.findings:
        yield f"\n  VIOLATION: {finding}"
        yield from (
            f"    {clause.id}: {clause.sentence}"
            for clause in clauses.CLAUSES.values()
            if f"{clause.id}:" in finding or f"{clause.id} " in finding
        )
    if report.window:
        yield f"\n  {window_title(report.window, report.is_whole)}"
        yield from window_lines(report.window)
    if report.before and len(report.before) == 1:
        yield f"  beginning with slots {report.before[0]['inuse']} in use"
    if report.history:
        yield f"  the whole history is kept in {report.history}"
    yield from (f"\n  UNDECIDED: {reason}" for reason in report.undecided)
    yield ""
    end = ", interrupted" if report.interrupted else ""
    yield (
        f"verdict: {report.verdict}{end} (seed {settings.seed}; a run that finds nothing proves nothing about what it "
        "did not try)"
    )


def faults(report: RunReport) -> str:
    """Say how many faults of each kind there were."""
    plan = report.settings.plan
    said = [f"{report.kills} kills"] if plan.kills else []
    said += [f"{report.pauses} pauses"] if plan.pauses else []
    said += [f"{report.restarts} restarts"] if plan.restarts else []
    said += [f"{report.attaches:,} newcomers"] if plan.attach_storm else []
    said += [f"{plan.pressure_mb} MB of memory pressure"] if plan.pressure_mb else []
    return ", ".join(said) or "none"


def _slots(slots: list[int]) -> str:
    return f"slot{'s' if len(slots) > 1 else ''} {', '.join(map(str, slots))}"
