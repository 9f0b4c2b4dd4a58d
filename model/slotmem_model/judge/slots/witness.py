"""The fast way to accept a history of slots: replay it in the order that its operations claim.

Interface: `is_accepted(history)`. True is a proof that the history is linearizable: the witness's
order respects real time, and the specification, run in this order, gives every result. False proves
nothing, since a witness may be wrong where the history is right.

A pending operation without a witness did not happen; if one that returned has none, the history is
not accepted. Equal witnesses are taken in the order of the columns.

A get or put looks at a slot's mark without the mutex that guards the marks. So its witness may be
on the wrong side of a grab or release of its slot, if one of the two was held up inside. Such an
order is corrected (`_mend`) and tried again. However an order came about, it is accepted only if
all of it agrees with real time and the specification.
"""

from __future__ import annotations

import numpy as np

from slotmem_model.judge.slots.history import PENDING, Column, SlotHistory
from slotmem_model.judge.slots.timeline import (
    COUNT,
    FGRAB,
    GET,
    GRAB,
    LOST_FGRAB,
    LOST_GRAB,
    LOST_PUT,
    LOST_RELEASE,
    NEVER,
    NOTHING,
    PUT,
    RELEASE,
    SEES_FREE,
    SEES_FULL,
    Flags,
    compute_actions,
    is_one_of,
)

_MOST_MENDED = 1000  # in one slot


def is_accepted(history: SlotHistory) -> bool:
    """Return whether the witness explains the history."""
    if history.witness is None:
        return False
    action = compute_actions(history)
    seen = history.witness >= 0
    if (~seen & (history.outcome != PENDING) & (action != NOTHING)).any():
        return False
    took_part = np.flatnonzero(seen & (action != NOTHING))
    order = took_part[np.argsort(history.witness[took_part], kind="stable")]
    if not history.pregrab:
        return _is_in_real_time(history, order) and _replay_touches(history, action, order)
    if _is_in_real_time(history, order) and _replay(history, action, order):
        return True
    mended = _mend(history, history.witness[order], action, order)
    return mended is not None and _is_in_real_time(history, mended) and _replay(history, action, mended)


def _is_in_real_time(history: SlotHistory, order: Column) -> bool:
    """Return whether no operation comes after one that began when it was already over."""
    returned = np.where(history.outcome == PENDING, np.iinfo(np.int64).max, history.returned)[order]
    latest = np.maximum.accumulate(history.invoked[order])
    return bool((returned[1:] >= latest[:-1]).all())


def _replay(history: SlotHistory, action: Column, order: Column) -> bool:
    """Run the specification in this order: first the marks one after the other, then the contents
    all at once.
    """
    action, slot, value = action[order], history.slot[order].copy(), history.value[order]
    is_mark = ~is_one_of(action, PUT, GET, LOST_PUT, SEES_FREE)
    marks = np.flatnonzero(is_mark)
    taken = _replay_marks(history, action[marks].tolist(), slot[marks].tolist(), value[marks].tolist())
    if taken is None:
        return False
    slot[marks] = taken
    is_set, is_clear = is_one_of(action, GRAB, LOST_GRAB, FGRAB, LOST_FGRAB), is_one_of(action, RELEASE, LOST_RELEASE)
    by_slot = np.flatnonzero((~is_mark | is_set | is_clear) & (slot >= 0))
    narrow = np.min_scalar_type(history.item_num)  # numbers of 16 bits are sorted by their digits, which is much faster
    by_slot = by_slot[np.argsort(slot[by_slot].astype(narrow), kind="stable")]
    action, slot, value = action[by_slot], slot[by_slot], value[by_slot]
    is_set, is_clear = is_set[by_slot], is_clear[by_slot]
    mask = np.frombuffer(history.inuse.to_bytes(history.item_num // 8 + 1, "little"), dtype=np.uint8)
    first_used = np.unpackbits(mask, bitorder="little")[: history.item_num].astype(np.int64)
    used = _last(is_set | is_clear, is_set.astype(np.int64), slot, first_used) == 1
    if (used & (action == SEES_FREE)).any() or (~used & ((action == PUT) | (action == GET))).any():
        return False
    writes = (action == PUT) | ((action == LOST_PUT) & used)
    contents = _last(writes, value, slot, np.array(history.first_values(), dtype=np.int64))
    return bool((contents == value)[action == GET].all())


def _mend(history: SlotHistory, stamps: Column, action: Column, order: Column) -> Column | None:
    """Return the order with each get and put that saw another mark than the last one moved to where
    it may have seen it; None if there are too many.

    Either the get or put was held up after its look: then it comes before the last change of the
    mark, and nobody has been in the slot since. Or the process that changed the mark was held up
    before it took its witness: then the next change, if no other mark comes before it, comes before
    the get or put. Or the witness was a guess, and the get or put comes after that change.
    """
    acts = action[order]
    is_mark = ~is_one_of(acts, PUT, GET, LOST_PUT, SEES_FREE)
    slot = history.slot[order].copy()
    marks = np.flatnonzero(is_mark)
    taken = _replay_marks(history, *(column[order][marks].tolist() for column in (action, history.slot, history.value)))
    if taken is None:
        return None
    slot[marks] = taken
    is_set = is_one_of(acts, GRAB, LOST_GRAB, FGRAB, LOST_FGRAB)
    changes = np.flatnonzero(is_set | is_one_of(acts, RELEASE, LOST_RELEASE))
    keys = np.arange(len(order), dtype=np.float64)
    seen = np.flatnonzero(is_one_of(acts, PUT, GET, SEES_FREE))
    for each in range(history.item_num):
        here, looks = changes[slot[changes] == each], seen[slot[seen] == each]
        behind = np.searchsorted(here, looks)  # the change that follows each look
        used = np.concatenate(([history.inuse >> each & 1], is_set[here]))[behind] == 1
        wrong = np.flatnonzero(used != (acts[looks] != SEES_FREE))
        if len(wrong) > _MOST_MENDED:
            return None
        for at, following in zip(wrong.tolist(), behind[wrong].tolist(), strict=True):
            look = int(looks[at])
            is_alone = at == 0 or behind[at - 1] < following  # nobody else was in the slot since that change
            if following > 0 and is_alone and stamps[here[following - 1]] > history.invoked[order[look]]:
                keys[look] = here[following - 1] - 0.5
            elif following < len(here):
                change = int(here[following])
                is_next = marks[np.searchsorted(marks, look)] == change
                if is_next and history.invoked[order[change]] < stamps[look]:
                    keys[change] = min(keys[change], look - 0.5)
                else:
                    keys[look] = change + 0.5
    return order[np.argsort(keys, kind="stable")]


def _replay_marks(history: SlotHistory, actions: list[int], slots: list[int], values: list[int]) -> list[int] | None:
    """Return the slot that each operation marks, -1 for none; None if a result is not what the
    specification gives.
    """
    item_num, mask = history.item_num, history.inuse
    full = (1 << item_num) - 1
    taken = slots
    for index, action in enumerate(actions):
        slot = slots[index]
        if action == GRAB:
            bit = 1 << slot
            if ~mask & (mask + 1) != bit:
                return None
            mask |= bit
        elif action == RELEASE:
            if not mask >> slot & 1:
                return None
            mask ^= 1 << slot
        elif action == COUNT:
            if item_num - mask.bit_count() != values[index]:
                return None
        elif action == SEES_FULL:
            if mask != full:
                return None
        elif action == LOST_GRAB:
            bit = ~mask & (mask + 1) & full
            mask |= bit
            taken[index] = bit.bit_length() - 1
        elif action in (FGRAB, LOST_FGRAB):
            mask |= 1 << slot
        elif action == LOST_RELEASE:
            mask &= ~(1 << slot)
        else:
            return None
    return taken


def _replay_touches(history: SlotHistory, action: Column, order: Column) -> bool:
    """Run the specification without PREGRAB in this order: a get or put marks its slot too."""
    mask, contents, full = history.inuse, history.first_values(), (1 << history.item_num) - 1
    columns = (action[order].tolist(), history.slot[order].tolist(), history.value[order].tolist())
    for act, slot, value in zip(*columns, strict=True):
        if act in (GET, PUT, LOST_PUT, FGRAB, LOST_FGRAB):
            if act == GET and contents[slot] != value:
                return False
            if act in (PUT, LOST_PUT):
                contents[slot] = value
            mask |= 1 << slot
        elif act in (RELEASE, LOST_RELEASE):
            if act == RELEASE and not mask >> slot & 1:
                return False
            mask &= ~(1 << slot)
        elif act in (GRAB, LOST_GRAB):
            lowest = ~mask & (mask + 1) & full
            if act == GRAB and lowest != 1 << slot:
                return False
            mask |= lowest
        elif (
            (act == COUNT and history.item_num - mask.bit_count() != value)
            or (act == SEES_FULL and mask != full)
            or (act == SEES_FREE and mask >> slot & 1)
            or act == NEVER
        ):
            return False
    return True


def _last(changes: Flags, to: Column, slot: Column, at_first: Column) -> Column:
    """Return for each entry, sorted by slot, what the last change before it in its slot changed to;
    initially what `at_first` says.
    """
    index = np.arange(len(slot))
    behind = np.maximum.accumulate(np.where(changes, index, -1))
    before = np.concatenate(([-1], behind[:-1])) if len(slot) else behind
    found = before >= np.searchsorted(slot, np.arange(len(at_first)))[slot]
    return np.where(found, to[before], at_first[slot])
