"""Judges recorded histories, for `slotmem judge` and for every stress run.

Interface:

- `judge_path(path, budget_s, memory_mb)` judges a folder or a file of JSON lines and returns a
  `Judged`, which is plain data. `lowest_first`: a grab must give the lowest free slot, not any.
- `JudgeProcess` does so in a process of its own: the run goes on meanwhile, and the judge's memory
  is given back when it ends.

The judge itself is `slotmem_model.judge.slots.judge`.
"""

from __future__ import annotations

import multiprocessing
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from slotmem_model import linearizability
from slotmem_model.judge.slots.judge import judge
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED
from slotmem_stress.history.reading import read, to_columns
from slotmem_stress.history.recorded import Recorded
from slotmem_stress.history.records import HEAD, INVOKED, PUT, RETURNED, SECOND, STATUS_SHIFT, TORN, VALUE
from slotmem_stress.interrupts import die_with_parent, end, starting_a_child, without_interrupts

_WORDS = {linearizability.LINEARIZABLE: HELD, linearizability.VIOLATION: VIOLATED, linearizability.UNKNOWN: UNDECIDED}
EXCERPT_OPERATIONS = 400


_WORSE = (HELD, UNDECIDED, VIOLATED)


@dataclass
class Judged:
    """What the judge found. Operations are objects of the JSON lines of `reading`, oldest first."""

    path: str
    verdict: str
    """held (the history is linearizable), violated or undecided."""
    reason: str
    operations: int
    pending: int
    seconds: float
    configurations: int
    window: list[dict[str, Any]] = field(default_factory=list)
    """The operations that contradict one another; one of them has the key `unexplained`."""
    before: list[dict[str, Any]] = field(default_factory=list)
    """The states that the window contradicts, each {inuse, values}; none: it contradicts itself."""
    is_whole: bool = True
    """Whether the window alone is a contradiction. If not, it is the unexplained operation alone:
    those that contradict it are too many to list.
    """
    notes: list[str] = field(default_factory=list)
    """What was not judged, such as a line that is cut off."""
    excerpt: list[dict[str, Any]] = field(default_factory=list)
    """The window and what ran at the same time; of too many, those that ran longest and the puts
    that a torn get mixed.
    """

    def __add__(self, more: Judged) -> Judged:
        """Return the judgement of two histories, the worse of both with the sums of both."""
        worse = max(self, more, key=lambda each: _WORSE.index(each.verdict))
        names = ("operations", "pending", "seconds", "configurations")
        return replace(worse, **{name: getattr(self, name) + getattr(more, name) for name in names})


def judge_path(path: str, budget_s: float | None, memory_mb: float | None, *, lowest_first: bool = True) -> Judged:
    """Judge the history at `path`; a budget of None is no bound.

    Raises:
        BadHistory: if it is no history.
        OSError: if it cannot be read.
    """
    began = time.monotonic()
    recorded = read(path)
    history = replace(to_columns(recorded), lowest_first=lowest_first)
    verdict = judge(history, budget_s=budget_s, memory_mb=memory_mb)
    judged = Judged(
        path,
        _WORDS[verdict.name],
        verdict.reason,
        len(history),
        int(recorded.is_pending.sum()),
        round(time.monotonic() - began, 3),
        verdict.possibilities,
        notes=recorded.notes,
    )
    if judged.verdict == VIOLATED:
        rows = sorted(verdict.numbers, key=lambda row: int(recorded.records[row, INVOKED]))
        judged.window, judged.excerpt = (
            _objects(recorded, each, verdict.numbers[0]) for each in (rows, _around(recorded, rows))
        )
        judged.is_whole = verdict.is_whole
        judged.before = [_state(state, history.item_num) for state in verdict.before if _is_whole(state)]
    return judged


def _around(recorded: Recorded, rows: list[int]) -> list[int]:
    """Return the rows that make up the excerpt around the window's rows."""
    invoked, returned = recorded.records[:, INVOKED], recorded.records[:, RETURNED]
    ends = np.where(recorded.is_pending, np.iinfo(np.uint64).max, returned)
    begin = invoked[rows].min()
    end = max(returned[rows].max(), invoked[rows].max())
    found = np.flatnonzero((invoked <= end) & (ends >= begin))
    torn = [row for row in rows if recorded.records[row, HEAD] >> STATUS_SHIFT & 0xFF == TORN]
    head, value = recorded.records[found, HEAD], recorded.records[found, VALUE]
    is_mixed = (head & 0xFF == PUT) & np.isin(value, recorded.records[torn][:, [VALUE, SECOND]])
    found = found[np.lexsort((ends[found] - invoked[found], is_mixed))][-EXCERPT_OPERATIONS:]
    return sorted({*found.tolist(), *rows}, key=lambda row: int(invoked[row]))


def _objects(recorded: Recorded, rows: list[int], unexplained: int) -> list[dict[str, Any]]:
    return [recorded.to_object(row) | ({"unexplained": True} if row == unexplained else {}) for row in rows]


def _is_whole(state: Any) -> bool:
    """Return whether the state is of all slots: some windows are found by looking at one."""
    return isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], int) and isinstance(state[1], tuple)


def _state(state: tuple[int, tuple[int, ...]], item_num: int) -> dict[str, Any]:
    mask, values = state
    return {
        "inuse": [slot for slot in range(item_num) if mask >> slot & 1],
        "values": [value % 2**64 for value in values],
    }


class JudgeProcess:
    """A process that judges one history after another; one that dies is replaced."""

    def __init__(self, budget_s: float | None, memory_mb: float | None, *, lowest_first: bool = True) -> None:
        self._asked = (budget_s, memory_mb, lowest_first)
        self.waiting: list[str] = []
        """The histories not judged yet, oldest first."""
        self._start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return int(self._process.pid)

    def submit(self, path: str) -> None:
        """Queue a history for judgement."""
        self.waiting.append(path)
        with suppress(BrokenPipeError):  # poll notices that the process died, and starts another
            self._pipe.send(path)

    def poll(self, timeout_s: float = 0.0) -> Judged | None:
        """Return the next judgement, or None if there is none within the time.

        If the process died, the history it was at is undecided.

        Raises:
            BadHistory: if a history could not be judged.
            OSError: if one could not be read.
        """
        if not self.waiting or not self._pipe.poll(timeout_s):
            return None
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            with without_interrupts():
                self._process.join()
                reason = f"the judge's process ended with exit code {self._process.exitcode}"
                self.close()
                unjudged = Judged(self.waiting.pop(0), UNDECIDED, reason, 0, 0, 0.0, 0)
                self._start()
            return unjudged
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Judged)
        self.waiting.remove(answer.path)
        return answer

    def close(self) -> None:
        """Kill the process, whatever it is doing."""
        end(self._process)
        self._pipe.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        process: Any = context.Process(target=_serve, args=(theirs, *self._asked), daemon=True)
        with starting_a_child():
            process.start()
        self._process = process
        theirs.close()
        for path in self.waiting:
            self._pipe.send(path)


def _serve(pipe: Connection, budget_s: float | None, memory_mb: float | None, lowest_first: bool) -> None:
    die_with_parent()
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(judge_path(path, budget_s, memory_mb, lowest_first=lowest_first))
        except (OSError, ValueError) as error:
            pipe.send(error)
