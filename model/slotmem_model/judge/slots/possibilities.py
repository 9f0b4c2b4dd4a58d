"""The possibilities of a history of slots, event by event: `judge.search` on a compact state.

Interface: `SlotPossibilities(history, budget)`; `run()` goes through the history and returns the
operation at which nothing is left that explains it.

`closure` finds what a return needs; the shortcuts here are for what nothing overlaps, which is most
of a good history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from slotmem_model.judge.budget import Budget
from slotmem_model.judge.slots.closure import close
from slotmem_model.judge.slots.dominated import drop_dominated
from slotmem_model.judge.slots.doomed import drop_doomed
from slotmem_model.judge.slots.effects import settle
from slotmem_model.judge.slots.future import Future
from slotmem_model.judge.slots.history import SlotHistory
from slotmem_model.judge.slots.pending import Pending, Possibility, Tables
from slotmem_model.judge.slots.step import State
from slotmem_model.judge.slots.timeline import GET, GRAB, NEVER, PUT, Timeline

_CHUNK = 1 << 16


class SlotPossibilities:
    """The possibilities that explain a history of slots so far."""

    def __init__(self, history: SlotHistory, budget: Budget) -> None:
        """Begin where the history does."""
        self.seen: dict[int, list[State]] = {}
        self._watched: list[tuple[int, int]] = []  # positions and numbers, the last one first
        self.timeline = Timeline.compile(history)
        self._future = Future(self.timeline)
        self.tables = Tables(history.item_num, history.lowest_first)
        self.held = [Possibility(history.inuse, 0, history.first_values())]
        self.most = 1
        self._budget = budget
        self._pending: dict[int, Pending] = {}
        self._settled: set[int] = set()  # gets that have taken effect in every possibility
        self._free_bits: list[int] = []

    def watch(self, numbers: Iterable[int]) -> None:
        """Have `run` note in `seen`, by their numbers, which states are possible before these
        operations are invoked, as far as it gets.
        """
        self._watched = sorted(((int(self.timeline.invoked[number]), number) for number in numbers), reverse=True)

    def run(self) -> int | None:
        """Go through the whole history. Return the operation at which nothing is left that explains
        it, None if there is none. What later operations return plays a part in that.

        Raises:
            Exhausted: when the budget is used up.
        """
        tables, pending, settled = self.tables, self._pending, self._settled
        due = self._note(-1)
        for position, event, action, slot, value, is_alone in self._events():
            number = event >> 1
            if position >= due:
                due = self._note(position)
            if event & 1:
                if number in settled:
                    settled.remove(number)
                    continue
                tables.now = position
                if action == NEVER or not self._return(pending.pop(number)):
                    return number
            elif action == GET:
                for at in self.held:
                    if at.values[slot] != value or not at.mask >> slot & 1:
                        break
                else:
                    if not is_alone:
                        settled.add(number)
                    continue
                if not is_alone:
                    self._invoke(position, number, action, slot, value)
                elif not self._read_alone(slot, value):
                    return number
            elif action == PUT and is_alone:
                if not self._write_alone(slot, value):
                    return number
            elif action != NEVER:
                self._invoke(position, number, action, slot, value)
        self._note(len(self.timeline.invoked) * 2)
        return None

    def _note(self, position: int) -> int:
        """Note the states for what is invoked up to here; return the position at which to do so
        again.
        """
        watched = self._watched
        if watched and watched[-1][0] <= position:
            states = list({(at.mask, tuple(at.values)) for at in self.held})
            while watched and watched[-1][0] <= position:
                self.seen[watched.pop()[1]] = states
        return watched[-1][0] if watched else 2 * len(self.timeline.invoked) + 1

    def _events(self) -> Iterator[tuple[int, int, int, int, int, bool]]:
        """Yield position, event, action, slot, value and whether it is alone; in chunks, since
        Python's numbers are large.
        """
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
        """Let a put happen that nothing on its slot overlaps: all that could matter there has
        happened.
        """
        self.held = [at for at in self.held if at.mask >> slot & 1]
        for at in self.held:
            at.values[slot] = value
        return bool(self.held)

    def _read_alone(self, slot: int, value: int) -> bool:
        """Let a get happen that nothing on its slot overlaps."""
        self.held = [at for at in self.held if at.mask >> slot & 1 and at.values[slot] == value]
        return bool(self.held)

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
            for at in self.held:
                if tables.is_seen(at, added):
                    at.done |= bit
        elif action == GRAB or action > GET:
            for at in self.held:
                settle(tables, at)

    def _return(self, pending: Pending) -> bool:
        """Let an action return, and say whether anything explains that."""
        bit, budget, tables = pending.bit, self._budget, self.tables
        explained: list[Possibility] = []
        for tables.future in (self._future, None):  # None: unasked, so that a violation shows where it happens
            for at in self.held:
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
            if len(explained) > 1:
                explained = drop_dominated(explained, tables)
            if len(explained) > 1:
                explained = drop_doomed(explained, tables, self._future)
            self.most = max(self.most, len(explained))
            budget.spend()
        self.held = explained
        if tables.crashed_bits and explained:
            self._forget_crashed()
        return bool(explained)

    def _forget_crashed(self) -> None:
        """Drop the crashed actions that have taken effect in every possibility."""
        common = self.tables.crashed_bits
        for at in self.held:
            common &= at.done
        if common:
            for pending in [pending for pending in self._pending.values() if pending.bit & common]:
                del self._pending[pending.number]
                self.tables.remove(pending)
                self._free_bits.append(pending.bit)
            for at in self.held:
                at.done &= ~common
