"""The judge of recorded histories of slots: the monitor of `slotmem_model.judge.search` with a compact state.

Interface:

- `judge(history)` judges columns (`slotmem_model.judge.slots.history`); `check_slots(events, initial)` judges events, and passes those that
  do not fit into columns to the judge of any specification. Both give a `Verdict`.
- A history with a witness is first replayed in the witness's order. Accepted, it is linearizable; else the full judging follows.

How fast it is depends on the values: with a value of its own for every put it hardly ever has to follow more than a few configurations.
With repeated values it is right too, but may need more than its budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from slotmem_model import spec
from slotmem_model.judge.budget import Budget, Effort, Exhausted
from slotmem_model.judge.events import Event
from slotmem_model.judge.search import LINEARIZABLE, UNKNOWN, VIOLATION, Verdict, check
from slotmem_model.judge.slots.closure import close
from slotmem_model.judge.slots.configurations import Configuration, Pending, Tables
from slotmem_model.judge.slots.future import Future
from slotmem_model.judge.slots.history import PENDING, SlotHistory, Unsuited, from_events
from slotmem_model.judge.slots.sentences import describe, to_events
from slotmem_model.judge.slots.timeline import GET, GRAB, NEVER, PUT, Timeline
from slotmem_model.judge.slots.window import State, Window, find_window
from slotmem_model.judge.slots.witness import is_accepted

_CHUNK = 1 << 16
_LOOK_FURTHER_S = 2.0


class SlotMonitor:
    """The configurations that explain a history of slots so far."""

    def __init__(self, history: SlotHistory, budget: Budget, watched: Iterable[int] = ()) -> None:
        """Begin; before the events at the watched positions the states that are possible are noted in `seen`."""
        self.seen: dict[int, list[State]] = {position: [] for position in watched}
        self.timeline = Timeline.compile(history)
        self._future = Future(self.timeline)
        self.tables = Tables(history.item_num, self._future)
        self.configurations = [Configuration(history.inuse, 0, history.first_values())]
        self.most = 1
        self._budget = budget
        self._pending: dict[int, Pending] = {}
        self._settled: set[int] = set()  # gets that have taken effect in every configuration
        self._free_bits: list[int] = []

    def run(self) -> tuple[int, int] | None:
        """Go through the whole history. Gives the first event that cannot be explained, and its operation; None if there is none.

        Raises: Exhausted when the budget is used up.
        """
        tables, pending, settled = self.tables, self._pending, self._settled
        seen = self.seen
        for position, event, action, slot, value, is_alone in self._events():
            number = event >> 1
            if position in seen:
                seen[position] = self.states()
            if event & 1:
                if number in settled:
                    settled.remove(number)
                    continue
                tables.now = position
                if action == NEVER or not self._return(pending.pop(number)):
                    return position, number
            elif action == GET:
                for at in self.configurations:
                    if at.values[slot] != value or not at.mask >> slot & 1:
                        break
                else:
                    if not is_alone:
                        settled.add(number)
                    continue
                if not is_alone:
                    self._invoke(position, number, action, slot, value)
                elif not self._read_alone(slot, value):
                    return position, number
            elif action == PUT and is_alone:
                if not self._write_alone(slot, value):
                    return position, number
            elif action != NEVER:
                self._invoke(position, number, action, slot, value)
        return None

    def states(self) -> list[State]:
        """Give the states that are possible now."""
        return list({(at.mask, tuple(at.values)) for at in self.configurations})

    def _events(self) -> Iterator[tuple[int, int, int, int, int, bool]]:
        """Give position, event, action, slot, value and whether it is alone; in chunks, since Python's numbers are large."""
        line = self.timeline
        for start in range(0, len(line.events), _CHUNK):
            self._budget.look()
            events = line.events[start : start + _CHUNK]
            calls = events >> 1
            yield from zip(
                line.positions[start : start + _CHUNK].tolist(),
                events.tolist(),
                line.action[calls].tolist(),
                line.slot[calls].tolist(),
                line.value[calls].tolist(),
                line.is_alone[calls].tolist(),
                strict=True,
            )

    def _write_alone(self, slot: int, value: int) -> bool:
        """Let a put happen that nothing on its slot overlaps: all that could matter there has happened."""
        self.configurations = [at for at in self.configurations if at.mask >> slot & 1]
        for at in self.configurations:
            at.values[slot] = value
        return bool(self.configurations)

    def _read_alone(self, slot: int, value: int) -> bool:
        """The same for a get."""
        self.configurations = [at for at in self.configurations if at.mask >> slot & 1 and at.values[slot] == value]
        return bool(self.configurations)

    def _invoke(self, position: int, number: int, action: int, slot: int, value: int) -> None:
        tables, line = self.tables, self.timeline
        tables.now = position
        bit = self._free_bits.pop() if self._free_bits else 1 << len(self._pending)
        added = Pending(
            number,
            action,
            slot,
            value,
            line.returned.item(number),
            bit,
            line.last_read.item(number),
            line.is_only.item(number),
            line.is_eager.item(number),
        )
        self._pending[number] = added
        tables.add(added)
        if action == GET:
            for at in self.configurations:
                if tables.is_seen(at, added):
                    at.done |= bit
        elif action == GRAB or action > GET:
            for at in self.configurations:
                tables.settle(at)

    def _return(self, pending: Pending) -> bool:
        """Let an action return. Gives False if nothing explains that."""
        bit, budget, tables = pending.bit, self._budget, self.tables
        explained: list[Configuration] = []
        for tables.asks_future in (True, False):
            for at in self.configurations:
                if at.done & bit:
                    explained.append(at)
                else:
                    explained += close(tables, at, pending, budget)
            if explained:
                break
        tables.remove(pending)
        self._free_bits.append(bit)
        for at in explained:
            at.done &= ~bit
        if len(explained) > 1:
            explained = list({at.key(): at for at in explained}.values())
            if tables.crashed_bits:
                explained = _drop_dominated(explained, tables.crashed_bits)
            if len(explained) > 1:
                explained = self._future.drop_doomed(explained, tables)
            self.most = max(self.most, len(explained))
            budget.spend()
        self.configurations = explained
        if tables.crashed_bits and explained:
            self._forget_crashed()
        return bool(explained)

    def _forget_crashed(self) -> None:
        """Drop the crashed actions that have taken effect in every configuration."""
        common = self.tables.crashed_bits
        for at in self.configurations:
            common &= at.done
        if common:
            for pending in [pending for pending in self._pending.values() if pending.bit & common]:
                del self._pending[pending.number]
                self.tables.remove(pending)
                self._free_bits.append(pending.bit)
            for at in self.configurations:
                at.done &= ~common


def _drop_dominated(configurations: list[Configuration], crashed: int) -> list[Configuration]:
    """Drop each configuration that another one equals but for having used fewer crashed actions."""
    groups: dict[tuple[int, int, tuple[int, ...]], list[Configuration]] = {}
    for at in sorted(configurations, key=lambda at: (at.done & crashed).bit_count()):
        kept = groups.setdefault((at.mask, at.done & ~crashed, tuple(at.values)), [])
        if not any(other.done & at.done == other.done for other in kept):
            kept.append(at)
    return [at for kept in groups.values() for at in kept]


def judge(history: SlotHistory, *, budget_s: float | None = None, memory_mb: float | None = 1024) -> Verdict:
    """Judge a history of slots with PREGRAB."""
    if is_accepted(history):
        return Verdict(LINEARIZABLE, judged=len(history), configurations=1)
    budget = Budget(budget_s, memory_mb)
    try:
        monitor = SlotMonitor(history, budget)
        failed = monitor.run()
    except Exhausted as exhausted:
        return Verdict(UNKNOWN, str(exhausted))
    if failed is None:
        return Verdict(LINEARIZABLE, judged=len(history), configurations=monitor.most)
    judged = int((monitor.timeline.invoked <= monitor.timeline.returned[failed[1]]).sum())
    number, window = _find_clearest(history, monitor.timeline, failed, budget)
    reason = describe(history, window.numbers, number)
    numbers = (number, *(other for other in window.numbers if other != number))
    return Verdict(
        VIOLATION,
        reason,
        to_events(history, window.numbers),
        tuple(window.states),
        judged,
        monitor.most,
        numbers,
        window.is_whole,
    )


def _find_clearest(
    history: SlotHistory, timeline: Timeline, failed: tuple[int, int], budget: Budget
) -> tuple[int, Window]:
    """Give the first operation that cannot be explained and has a clear window; if there is none soon, the clearest there is.

    An operation that very many contradict is taken for one that did not return. That allows more, so what cannot be
    explained then is a violation by itself.
    """
    number, window = best = failed[1], _find_window(history, timeline, *failed, budget)
    effort = Effort(budget.remaining_s(_LOOK_FURTHER_S))
    while not best[1].is_clear and effort.remaining_s(1.0):
        history = without_return(history, number)
        try:
            monitor = SlotMonitor(history, budget)
            another = monitor.run()
        except Exhausted:
            break
        if another is None:
            break
        number, window = another[1], _find_window(history, monitor.timeline, *another, budget)
        best = min(best, (number, window), key=lambda found: (not found[1].is_whole, len(found[1].numbers)))
    return best


def without_return(history: SlotHistory, number: int) -> SlotHistory:
    """Give the history in which an operation did not return; who did it goes on under another name."""
    outcome, process = history.outcome.copy(), history.process.copy()
    outcome[number] = PENDING
    process[number] = history.process.max() + 1
    return replace(history, outcome=outcome, process=process)


def _find_window(history: SlotHistory, timeline: Timeline, position: int, number: int, budget: Budget) -> Window:
    """Give the window of a violation; one that is not whole if there is no time for it."""

    def states_at(positions: list[int]) -> dict[int, list[State]]:
        monitor = SlotMonitor(history, budget, positions)
        monitor.run()
        return monitor.seen

    try:
        return find_window(timeline, history.item_num, number, position, states_at, budget)
    except Exhausted:
        return Window([number], [], is_whole=False)


def check_slots(
    events: Iterable[Event],
    initial: spec.Slots,
    *,
    budget_s: float | None = None,
    memory_mb: float | None = 1024,
) -> Verdict:
    """Judge a history of the operations of `slotmem_model.spec`, beginning in the given state.

    Raises: MalformedHistory, a ValueError, if the events are not those of processes that do one operation after the other.
    """
    events = list(events)
    try:
        history = from_events(events, initial)
    except Unsuited:
        step = lambda state, operation: (spec.step(state, operation),)  # noqa: E731
        return check(events, initial, step, budget_s=budget_s, memory_mb=memory_mb)
    return judge(history, budget_s=budget_s, memory_mb=memory_mb)
