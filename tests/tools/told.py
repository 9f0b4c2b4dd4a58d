"""Is what the judge says about a violation true? Every order of a tiny history is tried.

Interface:

- `Told(history, number)` knows everything that may have happened until operation `number` returned,
  except for that operation itself. `Told.supports(sentence)` says whether what a sentence claims
  about the operation was so in every order.
- `explain(history, rows, state)` says whether any order of some operations explains them.
- `make_wrong(dice)` returns a tiny history with answers that the dice chose.

It shares nothing with the judge but the columns.
"""

import re
from functools import cached_property

import numpy as np

from slotmem_model.judge.slots import history as columns
from slotmem_model.judge.slots.history import COUNT, EINVAL, FGRAB, GET, GRAB, NOTFOUND, OK, PENDING, PUT, RELEASE, TORN

FOREVER = 10**9


def perform(state, kind, slot, value, item_num):
    """Do an operation; return the state after it, outcome, slot and value."""
    mask, values = state
    if kind == COUNT:
        return state, (OK, slot, item_num - mask.bit_count())
    if kind == GRAB:
        free = [each for each in range(item_num) if not mask >> each & 1]
        return ((mask | 1 << free[0], values), (OK, free[0], value)) if free else (state, (EINVAL, slot, value))
    if not 0 <= slot < item_num:
        return state, (EINVAL, slot, value)
    if kind == FGRAB:
        return (mask | 1 << slot, values), (OK, slot, value)
    if not mask >> slot & 1:
        return state, (NOTFOUND, slot, value)
    if kind == RELEASE:
        return (mask & ~(1 << slot), values), (OK, slot, value)
    if kind == GET:
        return state, (OK, slot, values[slot])
    return (mask, (*values[:slot], value, *values[slot + 1 :])), (OK, slot, value)


def shown(row, did):
    """Return slot and value of an operation, as it showed them where it shows them."""
    kind, outcome, slot, value = row
    shows_slot, shows_value = kind == GRAB and outcome == OK, kind in (GET, COUNT) and outcome == OK
    return slot if shows_slot else did[1], value if shows_value else did[2]


def explain(history, rows, state, relaxed=()):
    """Return whether some order of these operations, beginning in a state, explains what they
    returned; what relaxed ones returned is not known.
    """
    told = {
        row: tuple(int(getattr(history, name)[row]) for name in ("kind", "outcome", "slot", "value")) for row in rows
    }
    ends = {row: FOREVER if row in relaxed or told[row][1] == PENDING else int(history.returned[row]) for row in rows}

    def can_go_on(state, left):
        for row in left:
            if any(ends[other] < history.invoked[row] for other in left if other != row):
                continue
            kind, outcome, slot, value = told[row]
            after, did = perform(state, kind, slot, value, history.item_num)
            if (ends[row] == FOREVER or did == (outcome, *shown(told[row], did))) and can_go_on(after, left - {row}):
                return True
        return all(ends[row] == FOREVER for row in left)

    return can_go_on(state, frozenset(rows))


class Told:
    """What may have happened until an operation returned, in every order."""

    def __init__(self, history, number):
        self.history, self.number = history, number
        self.item_num = history.item_num
        self.rows = list(
            zip(*(getattr(history, name).tolist() for name in ("kind", "outcome", "slot", "value")), strict=True)
        )
        self.invoked = history.invoked.tolist()
        self.returned = [
            FOREVER if outcome == PENDING else end
            for outcome, end in zip(history.outcome.tolist(), history.returned.tolist(), strict=True)
        ]

    @cached_property
    def ways(self):
        """Every order that explains what had returned before this operation did: what happened, and
        the states that the operation may have met. It may not have happened, or have happened with
        another answer; then the order ends with what came before it.
        """
        return self._orders(self.returned[self.number])

    def is_explained(self):
        """Return whether there is an order that explains what this operation returned too."""
        return bool(self._orders(self.returned[self.number] + 1))

    def _orders(self, end):
        """Return the orders that explain what returned before an instant."""
        numbers = [row for row in range(len(self.rows)) if self.invoked[row] < self.returned[self.number]]
        before = {row for row in numbers if self.returned[row] < self.invoked[self.number]}
        found = []

        def go_on(state, left, order, states, met):
            if met is None and not before & left:
                states = [*states, state]
            if all(self.returned[row] >= end for row in left):
                found.append(met or (order, states))
            for row in left:
                if any(self.returned[other] < self.invoked[row] for other in left if other != row):
                    continue
                kind, outcome, slot, value = self.rows[row]
                after, did = perform(state, kind, slot, value, self.item_num)
                if self.returned[row] >= end or did == (outcome, *shown(self.rows[row], did)):
                    so_far = (order, [state]) if row == self.number else met
                    go_on(after, left - {row}, [*order, row], states, so_far)

        go_on((self.history.inuse, tuple(self.history.first_values())), frozenset(numbers), [], [], None)
        return found

    def at_any_time(self, is_so):
        """Return whether something was so at any time while it ran, in any order."""
        return any(is_so(*state) for _, states in self.ways for state in states)

    def done(self, process, kinds, slot=None, value=None):
        """Return the operations of a process that succeeded and were over before this one."""
        return [
            row
            for row, (kind, outcome, where, what) in enumerate(self.rows)
            if str(self.history.name(row)) == process
            and kind in kinds
            and outcome == OK
            and slot in (None, where)
            and value in (None, what)
        ]

    def is_over(self, row):
        """Return whether an operation had returned when this one was invoked."""
        return self.returned[row] < self.invoked[self.number]

    def follows(self, first, is_second):
        """Return whether, in any order, an operation like the second comes after the first."""
        return any(
            first in order and any(is_second(*self.rows[row]) for row in order[order.index(first) + 1 :])
            for order, _ in self.ways
        )

    def supports(self, sentence):
        """Return whether everything that a sentence claims is true; an unknown sentence is not."""
        begin = f"{columns.NAMES[self.rows[self.number][0]]} by process {self.history.name(self.number)} "
        if not sentence.startswith(begin):
            return False
        found = ((re.fullmatch(pattern, sentence[len(begin) :]), is_true) for pattern, is_true in CLAIMS.items())
        claims = [is_true(self, *match.groups()[1:]) and self.said(match[1]) for match, is_true in found if match]
        return bool(claims) and all(claims)

    # What a sentence may begin with: is that what was recorded?

    def said(self, words):
        """Return whether an operation returned what the first half of a sentence says."""
        kind, outcome, slot, value = self.rows[self.number]
        if outcome == TORN:
            return words == f"returned value {value} of slot {slot}"
        if outcome == NOTFOUND and kind in (GET, PUT, RELEASE):
            return words == f"was told that slot {slot} is not in use"
        if outcome == EINVAL and kind == GRAB:
            return words == "found no free slot"
        if outcome != OK:
            return words == f"was refused with APR_{ {NOTFOUND: 'NOTFOUND', EINVAL: 'EINVAL'}[outcome] }"
        return words == {
            GET: f"returned value {value} of slot {slot}",
            COUNT: f"returned {value}",
            GRAB: f"returned slot {slot}",
        }.get(kind, f"succeeded on slot {slot}")


def _slot(told):
    return told.rows[told.number][2]


def _value(told):
    return told.rows[told.number][3]


def _is_free(slot):
    return lambda mask, values: not mask >> slot & 1


def _is_used(slot):
    return lambda mask, values: mask >> slot & 1


def _lowest(mask, item_num):
    return next((slot for slot in range(item_num) if not mask >> slot & 1), None)


def _puts(told, value):
    return [
        row for row, (kind, _, slot, what) in enumerate(told.rows) if (kind, slot, what) == (PUT, _slot(told), value)
    ]


def _may_put(told):
    return [row for row in _puts(told, _value(told)) if told.rows[row][1] in (OK, PENDING)]


def _is_unput(told):
    return not _may_put(told) and told.history.first_values()[_slot(told)] != _value(told)


def _comes_later(told):
    is_at_first = told.history.first_values()[_slot(told)] == _value(told)
    return not is_at_first and all(told.invoked[row] > told.returned[told.number] for row in _may_put(told))


def _is_overwritten(told, by):
    puts = [row for row in _puts(told, int(by)) if told.rows[row][1] == OK and told.is_over(row)]
    back = lambda kind, outcome, slot, value: (kind, slot, value) == (PUT, _slot(told), _value(told))  # noqa: E731
    return int(by) != _value(told) and any(not told.follows(row, back) for row in puts)


def _was_released(told, slot, process):
    over = [row for row in told.done(process, [RELEASE], int(slot)) if told.is_over(row)]
    return bool(over) and not told.at_any_time(_is_used(int(slot)))


def _was_released_below(told, slot, process):
    is_full = told.rows[told.number][1] == EINVAL
    return (is_full or int(slot) < _slot(told)) and _was_released(told, slot, process)


def _releases(slot):
    return lambda kind, outcome, where, value: (kind, where) == (RELEASE, slot)


def _was_grabbed(told, name, process):
    kinds = {"grab": [GRAB], "fgrab": [FGRAB]}[name]
    over = [row for row in told.done(process, kinds, _slot(told)) if told.is_over(row)]
    return any(not told.follows(row, _releases(_slot(told))) for row in over)


def _is_grabbed_twice(told, process):
    rows = [row for row in told.done(process, [GRAB, FGRAB], _slot(told)) if row != told.number]
    return any(not told.follows(row, _releases(_slot(told))) for row in rows)


def _is_recorded(told, when, name, slot, process, gave):
    for row, (kind, outcome, where, value) in enumerate(told.rows):
        shown = {OK: {GRAB: f"slot {where}", COUNT: str(value), GET: f"value {value}"}.get(kind, "APR_SUCCESS")}
        shown |= {NOTFOUND: "APR_NOTFOUND", EINVAL: "APR_EINVAL"}
        if (
            (columns.NAMES[kind], str(told.history.name(row))) == (name, process)
            and (slot is None) == (kind in (GRAB, COUNT))
            and slot in (None, str(where))
            and shown.get(outcome) == gave
            and told.returned[row] <= told.returned[told.number]
            and (when == "before") == told.is_over(row)
        ):
            return True
    return False


def _is_beyond(told):
    return not 0 <= _slot(told) < told.item_num


def _is_no_answer(told):
    kind, outcome, slot, value = told.rows[told.number]
    states = [(mask, (0,) * told.item_num) for mask in range(1 << told.item_num)]
    return all(perform(state, kind, slot, value, told.item_num)[1][0] != outcome for state in states)


def _is_not(condition):
    """Return the claim that this was not so at any time while it ran."""
    return lambda told: not told.at_any_time(condition(told))


CLAIMS = {
    r"(.*), which no put had written": lambda told: told.rows[told.number][1] == TORN,
    r"(.*), which the segment does not have": _is_beyond,
    r"(.*), although the segment has no such slot": _is_beyond,
    r"(.*), which no state explains": _is_no_answer,
    r"(.*), which no order explains": lambda told: True,
    r"(.*), which nobody had put there": _is_unput,
    r"(.*) before its put was invoked": _comes_later,
    r"(.*) after the put of (\d+) that overwrote it had returned": _is_overwritten,
    r"(.*), which could not be read there at any time while it ran": _is_not(
        lambda told: lambda mask, values: mask >> _slot(told) & 1 and values[_slot(told)] == _value(told)
    ),
    r"(.*), which was not the number of free slots at any time while it ran": _is_not(
        lambda told: lambda mask, _: told.item_num - mask.bit_count() == _value(told)
    ),
    r"(.*), which was not in use at any time while it ran": _is_not(lambda told: _is_used(_slot(told))),
    r"(.*), although it was in use all the while": _is_not(lambda told: _is_free(_slot(told))),
    r"(.*), although the release of the slot by process (\w+) had returned": lambda told, process: _was_released(
        told, _slot(told), process
    ),
    r"(.*), although the release of slot (\d+) by process (\w+) had returned": _was_released_below,
    r"(.*) after the (f?grab) by process (\w+) had returned, with no release after it": _was_grabbed,
    r"(.*), which process (\w+) had grabbed, with no release in between": _is_grabbed_twice,
    r"(.*), which was not the lowest free one at any time while it ran": _is_not(
        lambda told: lambda mask, _: _lowest(mask, told.item_num) == _slot(told)
    ),
    r"(.*), although there was one all the while": _is_not(
        lambda told: lambda mask, _: _lowest(mask, told.item_num) is None
    ),
    r"(.*), although (before|while it ran) (\w+)(?: of slot (\d+))? by process (\w+) returned (.*)": _is_recorded,
    r"(.*), and no order of the \d+ operations of the window explains that": lambda told: True,
}


_KINDS = [GRAB, GRAB, RELEASE, RELEASE, GET, GET, PUT, PUT, FGRAB, COUNT]
_OF_CONTENTS = [GET, GET, PUT, PUT, GRAB, RELEASE]


def make_wrong(dice, most=5):
    """Return a tiny history in columns, most often with answers that are wrong.

    Each operation takes effect at an instant that the dice choose; then they choose other answers,
    for one or two operations or for all.
    """
    item_num, kinds = dice.choice([1, 1, 2, 2, 3]), dice.choice([_KINDS, _OF_CONTENTS])
    operations, clients = dice.randint(1, most), dice.randint(1, 4)
    first = dice.randrange(1 << item_num), tuple(dice.randrange(3) for _ in range(item_num))
    rows, running, state = [], {}, first
    for now in range(1, 100 * operations):
        client = dice.randrange(clients)
        if client not in running:
            if len(rows) < operations:
                running[client] = len(rows)
                slot = dice.randrange(item_num) if dice.random() < 0.98 else 99
                rows.append([client, dice.choice(kinds), PENDING, slot, dice.randrange(4), now, -1])
            elif not running or dice.random() < 0.1:
                break
            continue
        row = rows[running[client]]
        if row[2] == PENDING:
            state, row[2:5] = perform(state, row[1], row[3], row[4], item_num)
        else:
            row[6] = now
            del running[client]
    for row in rows:
        row[2] = row[2] if row[6] > 0 else PENDING  # it may have taken effect
    returned = [row for row in rows if row[6] > 0]
    for row in dice.sample(returned, min(len(returned), dice.choice([1, 1, 2, most]))):
        row[2:5] = _answer(dice, row[1], row[3], row[4], item_num)
    return columns.SlotHistory(item_num, *np.array(rows, dtype=np.int64).T.copy(), inuse=first[0], values=first[1])


def _answer(dice, kind, slot, value, item_num):
    """Return an outcome, slot and value that an operation might answer."""
    if dice.random() < 0.04:
        return dice.choice([OK, NOTFOUND, EINVAL, *([TORN] * (kind == GET))]), slot, value
    if kind == GRAB:
        return dice.choice([(OK, dice.randrange(item_num), value)] * 3 + [(EINVAL, slot, value)])
    if kind == COUNT:
        return OK, slot, dice.randrange(item_num + 1)
    if kind == GET:
        return dice.choice([(OK, slot, dice.randrange(4))] * 2 + [(NOTFOUND, slot, value)])
    return OK if kind == FGRAB else dice.choice([OK, NOTFOUND]), slot, value
