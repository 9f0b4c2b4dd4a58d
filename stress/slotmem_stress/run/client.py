"""One client of a stress run: it hammers the segment, by rules that make every result telling, and
records what it does.

Interface:

- `Rules` are the same for all clients of a run. `Client(number, rules, seat)` makes its choices by
  the rules' seed and its own number.
- `Client.work(instance, recorder, goes_on)` performs batches of 64 operations until told to stop.
- `Stuck` is raised for an outcome that no operation may have, such as a lock that never comes free.

The rules: every put writes a value of its own, repeated to fill the slot. put, get and release
mostly go to a slot that the client holds. One get in four goes to any slot. So does one release in
sixteen, or else what a dead client held would stay taken for ever.

*Seats* number the clients of one moment; a client's *own* slots are those that belong to its seat,
and fgrab takes one of them. With fgrab in the mix and no grab, a client holds and releases only its
own slots. No two clients then meet in one, so that only the counter and the slots' contents can go
wrong.

Nothing is allocated or called that an operation does not need: recording costs about 0.7
microseconds an operation, most of it for reading the clock.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from slotmem import Ended
from slotmem_stress.history.records import (
    COUNT,
    EINVAL,
    FGRAB,
    GET,
    GRAB,
    INVOKED,
    KINDS,
    NOTFOUND,
    PUT,
    RECORD_WORDS,
    RELEASE,
    RETURNED,
    SECOND,
    SLOT_SHIFT,
    STATUS_SHIFT,
    TORN,
    VALUE,
    Recorder,
    values_of,
)
from slotmem_stress.run.witness import stamped

BATCH = 64

VALUE_BITS = 40
"""A put's value is client << 40 | the number of the client's put."""

_ANY_GET = 64  # of 256
_ANY_RELEASE = 16
_ANY_RELEASE_OF_TOUCHED = 128
_STATUSES = {"APR_NOTFOUND": NOTFOUND << STATUS_SHIFT, "APR_EINVAL": EINVAL << STATUS_SHIFT}
_TORN = TORN << STATUS_SHIFT


class Rules(NamedTuple):
    """What all clients of a run have in common."""

    slots: int
    slot_bytes: int
    """A multiple of 8."""
    mix: tuple[tuple[str, int], ...]
    seed: int
    seats: int = 1
    """How many clients there are at a time; with fgrab in the mix, at most as many as slots."""
    pregrab: bool = True
    """Without, gets and puts take slots that nobody holds, and any client releases them."""


class Stuck(Exception):
    """An operation ended as the specification never allows; the message says which, and how."""


class Client:
    """One client: a process, or one of its threads."""

    def __init__(self, number: int, rules: Rules, seat: int = 0) -> None:
        self.number = number
        self.held: list[int] = []
        self.counter = 0
        self._rules = rules
        self._random = random.Random(f"{rules.seed}/{number}")
        self._kinds = _spread(rules.mix)
        self._own = range(seat, rules.slots, rules.seats)
        keeps_to_own = FGRAB in self._kinds and GRAB not in self._kinds
        any_release = _ANY_RELEASE if rules.pregrab else _ANY_RELEASE_OF_TOUCHED
        self._take, self._any_release = (FGRAB, 0) if keeps_to_own else (GRAB, any_release)

    def work(self, instance: Any, recorder: Recorder, goes_on: Callable[[int], bool]) -> None:
        """Perform batches of operations while `goes_on(operations per batch)` is true.

        Raises:
            Stuck: if an operation ends as the specification never allows.
            OSError: if the disk is full.
        """
        try:
            at = recorder.at
            instance = stamped(instance, recorder)
            while goes_on(BATCH):
                at = self._batch(instance, recorder, recorder.room(at, BATCH))
        finally:
            recorder.close()

    def _batch(self, instance: Any, recorder: Recorder, at: int) -> int:
        """Perform a batch of operations; return the word at which the next record begins."""
        grab, fgrab, put, get = instance.grab, instance.fgrab, instance.put, instance.get
        release, count = instance.release, instance.num_free_slots
        own, take, any_release = self._own, self._take, self._any_release
        slots, repeats = self._rules.slots, self._rules.slot_bytes // 8
        kinds, held, words, now = self._kinds, self.held, recorder.words, time.monotonic_ns
        choices = memoryview(self._random.randbytes(4 * BATCH)).cast("H")
        counter = self.number << VALUE_BITS | self.counter
        slot = 0
        for choice in range(0, 2 * BATCH, 2):
            kind, dice = kinds[choices[choice] & 0xFF], choices[choice] >> 8
            if not held and (kind == PUT or (kind == RELEASE and dice >= any_release)):
                kind = take
            recorder.at = at  # the witness is stored in this record
            try:
                if kind == PUT:
                    slot = held[choices[choice + 1] % len(held)]
                    counter += 1
                    data = counter.to_bytes(8, "little") * repeats
                    words[at + VALUE] = counter
                    words[at] = head = PUT | slot << SLOT_SHIFT
                    words[at + INVOKED] = now()
                    put(slot, data)
                    words[at + RETURNED] = now()
                elif kind == GET:
                    if held and dice >= _ANY_GET:
                        slot = held[choices[choice + 1] % len(held)]
                    else:
                        slot = choices[choice + 1] % slots
                    words[at] = head = GET | slot << SLOT_SHIFT
                    words[at + INVOKED] = now()
                    data = get(slot)
                    returned = now()
                    first = data[:8]
                    words[at + VALUE] = int.from_bytes(first, "little")
                    if data != first * repeats:
                        words[at] = head | _TORN
                        words[at + SECOND] = values_of(data, 8 * repeats)[1]
                    words[at + RETURNED] = returned
                elif kind == GRAB:
                    words[at] = head = GRAB
                    words[at + INVOKED] = now()
                    slot = grab()
                    returned = now()
                    words[at] = GRAB | slot << SLOT_SHIFT
                    words[at + RETURNED] = returned
                    held.append(slot)
                elif kind == RELEASE:
                    if held and dice >= any_release:
                        slot = held.pop(choices[choice + 1] % len(held))
                    else:
                        slot = choices[choice + 1] % slots
                    words[at] = head = RELEASE | slot << SLOT_SHIFT
                    words[at + INVOKED] = now()
                    release(slot)
                    words[at + RETURNED] = now()
                elif kind == FGRAB:
                    slot = own[choices[choice + 1] % len(own)]
                    words[at] = head = FGRAB | slot << SLOT_SHIFT
                    words[at + INVOKED] = now()
                    fgrab(slot)
                    words[at + RETURNED] = now()
                    if slot not in held:
                        held.append(slot)
                else:
                    words[at] = head = COUNT
                    words[at + INVOKED] = now()
                    free = count()
                    returned = now()
                    words[at + VALUE] = free
                    words[at + RETURNED] = returned
            except Ended:  # the owner was restarted: the round is over, and this operation has not happened
                words[at] = words[at + INVOKED] = 0
                break
            except Exception as error:
                returned = now()
                status = _STATUSES.get(getattr(getattr(error, "status", None), "name", ""))
                if status is None:
                    of_slot = "" if kind in (GRAB, COUNT) else f" of slot {slot}"
                    raise Stuck(f"{KINDS[kind]}{of_slot}: {type(error).__name__}: {error}") from error
                words[at] = head | status
                words[at + RETURNED] = returned
                if kind in (PUT, GET) and slot in held:
                    held.remove(slot)  # another client released it
            at += RECORD_WORDS
        self.counter = counter & (1 << VALUE_BITS) - 1
        return at


def _spread(mix: tuple[tuple[str, int], ...]) -> list[int]:
    """Return 256 kinds, each as often as its weight in the mix demands."""
    total = sum(weight for _, weight in mix)
    kinds: list[int] = []
    reached = 0
    for name, weight in mix:
        reached += weight
        kinds += [KINDS.index(name)] * (round(256 * reached / total) - len(kinds))
    return kinds
