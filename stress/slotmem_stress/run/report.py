"""What a stress run did and found: plain data, as JSON and as a page of text.

Interface: `RunReport` collects it; `to_text(report)` is the page. The settings in it are all it
takes to repeat the run.
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

_NOTHING = "no operation was recorded and judged, so nothing was tried"


@dataclass
class RunReport:
    """What a run did and found."""

    settings: Settings
    verdict: str = HELD
    """held, violated or undecided."""
    seconds: float = 0.0
    """How long the clients have worked."""
    operations: int = 0
    """Recorded and judged."""
    pending: int = 0
    """How many of them never returned."""
    clients: int = 0
    next_client: int = 1
    """The number of the next client, for a soak that is resumed."""
    segments: int = 0
    """Rounds judged."""
    kills: int = 0
    pauses: int = 0
    restarts: int = 0
    attaches: int = 0
    judge_s: float = 0.0
    findings: list[str] = field(default_factory=list)
    """What is wrong, a sentence each."""
    undecided: list[str] = field(default_factory=list)
    """Why the judge gave up."""
    leaks: list[str] = field(default_factory=list)
    held_by_the_dead: list[int] = field(default_factory=list)
    """Slots in use at the end that no living client holds. That is no fault: nobody releases what
    the dead had grabbed.
    """
    interrupted: bool = False
    window: list[dict[str, Any]] = field(default_factory=list)
    """This and the next three fields are those of `slotmem_stress.history.judging.Judged`."""
    is_whole: bool = False
    before: list[dict[str, Any]] = field(default_factory=list)
    excerpt: list[dict[str, Any]] = field(default_factory=list)
    sentence: str = ""
    """What the window shows, one of the findings."""
    history: str = ""
    """The folder of the violation's history, if it is kept."""

    def __add__(self, more: RunReport) -> RunReport:
        """Return the report of two runs, this one first, as if they were one."""
        summed = ("seconds", "operations", "pending", "clients", "segments", "kills", "pauses", "restarts", "attaches")
        sums = {name: getattr(self, name) + getattr(more, name) for name in (*summed, "judge_s")}
        listed = {name: getattr(self, name) + getattr(more, name) for name in ("findings", "undecided", "leaks")}
        total = replace(more, settings=self.settings, **sums, **listed)
        total.conclude()
        return total

    def note(self, judged: Judged) -> None:
        """Add the judgement of a round."""
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
        """Whether a window shows at a glance what is wrong."""
        return bool(self.window) and self.is_whole and len(self.window) <= FEW

    def conclude(self) -> None:
        """Set the verdict."""
        self.undecided = [each for each in self.undecided if each != _NOTHING]  # of one part of a soak
        if self.operations == 0:
            self.undecided.append(_NOTHING)
        self.verdict = VIOLATED if self.findings or self.leaks else UNDECIDED if self.undecided else HELD

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return asdict(self)


def _clarity(found: RunReport | Judged) -> tuple[bool, bool, int]:
    """Return a key that sorts windows: some before none, whole before not, small before large."""
    return not found.window, not found.is_whole, len(found.window)


def to_text(report: RunReport) -> str:
    """Return the report as a page of text."""
    return "\n".join(_lines(report))


def _lines(report: RunReport) -> Iterator[str]:
    settings = report.settings
    many = counted(settings.processes, "process") + (f" of {settings.threads} threads" if settings.threads > 1 else "")
    many = counted(settings.threads * settings.processes, "thread") if settings.provider in THREADS_ONLY else many
    yield f"slotmem stress {settings.provider}: {many} on {settings.slots} slots of {settings.slot_bytes} bytes"
    yield ""
    rate = report.operations / report.seconds if report.seconds else 0.0
    by = counted(report.clients, "client")
    yield f"  operations  {report.operations:,} in {report.seconds:.1f} s ({rate:,.0f} a second) by {by}"
    yield f"  mix         {', '.join(f'{name} {weight}' for name, weight in settings.mix)}"
    yield f"  faults      {faults(report)}"
    rounds, pending = counted(report.segments, "round"), counted(report.pending, "operation")
    yield f"  judged      {rounds} in {report.judge_s:.1f} s; {pending} never returned"
    if report.held_by_the_dead:
        yield f"  dead hold   {'slot' if len(report.held_by_the_dead) == 1 else 'slots'} {', '.join(map(str, report.held_by_the_dead))}: grabbed by killed clients, released by nobody"
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
    found = report.verdict == VIOLATED
    proviso = "" if found else "; a run that finds nothing proves nothing about what it did not try"
    yield f"verdict: {report.verdict}{end} (seed {settings.seed}{proviso})"


def faults(report: RunReport) -> str:
    """Return how many faults of each kind there were, in words."""
    plan = report.settings.plan
    said = [counted(report.kills, "kill")] if plan.kills else []
    said += [counted(report.pauses, "pause")] if plan.pauses else []
    said += [counted(report.restarts, "restart")] if plan.restarts else []
    said += [counted(report.attaches, "newcomer")] if plan.attach_storm else []
    said += [f"{plan.pressure_mb} MB of memory pressure"] if plan.pressure_mb else []
    return ", ".join(said) or "none"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 process, 1,000 processes."""
    return f"{count:,} {noun}" + ("" if count == 1 else "es" if noun.endswith("s") else "s")
