"""Recorded histories judged: what `slotmem judge` and every stress run ask of the judge.

Interface:

- `judge_path(path, budget_s, memory_mb)` judges a folder or a file of JSON lines and gives a `Judged`, which is plain data.
- `JudgeProcess` does so in a process of its own: memory comes back when it ends, and the run goes on meanwhile.
"""

from __future__ import annotations

import multiprocessing
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from slotmem_model import linearizability
from slotmem_model.judge.slots.judge import judge
from slotmem_model.verdict import HELD, UNDECIDED, VIOLATED
from slotmem_stress.history.reading import Recorded, read, to_columns, to_object
from slotmem_stress.history.records import HEAD, INVOKED, PUT, RETURNED, SECOND, STATUS_SHIFT, TORN, VALUE
from slotmem_stress.interrupts import die_with_parent, starting_a_child

_WORDS = {linearizability.LINEARIZABLE: HELD, linearizability.VIOLATION: VIOLATED, linearizability.UNKNOWN: UNDECIDED}
EXCERPT_OPERATIONS = 400


@dataclass
class Judged:
    """What was found. Operations are objects of the JSON lines of `history_files`, oldest first."""

    path: str
    verdict: str
    reason: str
    operations: int
    pending: int
    seconds: float
    configurations: int
    window: list[dict[str, Any]] = field(default_factory=list)
    """The operations that contradict one another; the one that cannot be explained has the key `unexplained`."""
    before: list[dict[str, Any]] = field(default_factory=list)
    """The states that the window contradicts: slots in use, values; none given: it contradicts itself."""
    is_whole: bool = True
    """Whether the window is a contradiction by itself. If not, it has one operation, and far too many stand against it."""
    excerpt: list[dict[str, Any]] = field(default_factory=list)
    """What ran at the time of the window, which is included; if that is much, what ran longest and the puts that were mixed."""


def judge_path(path: str, budget_s: float | None, memory_mb: float | None) -> Judged:
    """Judge a history. Raises: BadHistory; OSError."""
    began = time.monotonic()
    recorded = read(path)
    history = to_columns(recorded)
    verdict = judge(history, budget_s=budget_s, memory_mb=memory_mb)
    judged = Judged(
        path,
        _WORDS[verdict.name],
        verdict.reason,
        len(history),
        recorded.pending,
        round(time.monotonic() - began, 3),
        verdict.configurations,
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
    """Give rows whose time overlaps the window's: the longest, the puts that were mixed, and always the window's own."""
    invoked, returned = recorded.records[:, INVOKED], recorded.records[:, RETURNED]
    ends = np.where(returned == 0, np.iinfo(np.uint64).max, returned)
    begin = invoked[rows].min()
    end = max(returned[rows].max(), invoked[rows].max())
    found = np.flatnonzero((invoked <= end) & (ends >= begin))
    torn = [row for row in rows if recorded.records[row, HEAD] >> STATUS_SHIFT & 0xFF == TORN]
    head, value = recorded.records[found, HEAD], recorded.records[found, VALUE]
    is_mixed = (head & 0xFF == PUT) & np.isin(value, recorded.records[torn][:, [VALUE, SECOND]])
    found = found[np.lexsort((ends[found] - invoked[found], is_mixed))][-EXCERPT_OPERATIONS:]
    return sorted({*found.tolist(), *rows}, key=lambda row: int(invoked[row]))


def _objects(recorded: Recorded, rows: list[int], unexplained: int) -> list[dict[str, Any]]:
    return [
        to_object(int(recorded.clients[row]), recorded.records[row].tolist())
        | ({"unexplained": True} if row == unexplained else {})
        for row in rows
    ]


def _is_whole(state: Any) -> bool:
    """Say whether a state is that of all slots; the window may have been found by looking at one only."""
    return isinstance(state, tuple) and len(state) == 2 and isinstance(state[0], int) and isinstance(state[1], tuple)


def _state(state: tuple[int, tuple[int, ...]], item_num: int) -> dict[str, Any]:
    mask, values = state
    return {"inuse": [slot for slot in range(item_num) if mask >> slot & 1], "values": list(values)}


class JudgeProcess:
    """A process that judges one history after the other."""

    def __init__(self, budget_s: float | None, memory_mb: float | None) -> None:
        self._budget = (budget_s, memory_mb)
        self.waiting: list[str] = []
        """The histories that are not judged yet, oldest first."""
        self._start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return int(self._process.pid)

    def submit(self, path: str) -> None:
        """Ask for a history to be judged."""
        self.waiting.append(path)
        with suppress(BrokenPipeError):  # that it died is found out by poll, which starts another one
            self._pipe.send(path)

    def poll(self, timeout_s: float = 0.0) -> Judged | None:
        """Give what was judged since, one at a time; None if there is nothing. A judge that died leaves its history undecided."""
        if not self.waiting or not self._pipe.poll(timeout_s):
            return None
        try:
            answer = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            dead = self._process
            dead.join()
            reason = f"the judge's process ended with status {dead.exitcode}"
            unjudged = Judged(self.waiting.pop(0), UNDECIDED, reason, 0, 0, 0.0, 0)
            self.close()
            self._start()
            return unjudged
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Judged)
        self.waiting.remove(answer.path)
        return answer

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        process: Any = context.Process(target=_serve, args=(theirs, *self._budget), daemon=True)
        with starting_a_child():
            process.start()
        self._process = process
        theirs.close()
        for path in self.waiting:
            self._pipe.send(path)


def _serve(pipe: Connection, budget_s: float | None, memory_mb: float | None) -> None:
    die_with_parent()
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(judge_path(path, budget_s, memory_mb))
        except (OSError, ValueError) as error:
            pipe.send(error)
