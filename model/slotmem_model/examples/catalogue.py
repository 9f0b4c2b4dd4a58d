"""The examples by name: `slotmem check example:peterson` asks the question that is pinned here.

Interface: `EXAMPLES` maps a name to its `Example`, which is a piece like those of the museum: a
class, a question, and what the checker must say.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from slotmem_model.algorithms.base import first_paragraph
from slotmem_model.checker.model import Configuration
from slotmem_model.examples.bakery import Bakery, SilentBakery
from slotmem_model.examples.barrier import Barrier, SetsBackLate, WaitsForCount
from slotmem_model.examples.dekker import Dekker, FencedDekker, PoliteDekker
from slotmem_model.examples.lost_update import CompareAndSwap, FetchAndAdd, Locked, LostUpdate
from slotmem_model.examples.mcs_lock import HastyMcsLock, McsLock
from slotmem_model.examples.michael_scott_queue import LinksPlainly, MichaelScottQueue
from slotmem_model.examples.once import ChecksOnce, FencedOnce, FlagFirst, Once
from slotmem_model.examples.owner_death import NoRecord, RedoRecord, StuckForEver
from slotmem_model.examples.peterson import FencedPeterson, Peterson, TurnFirst
from slotmem_model.examples.readers_writer import LooksThenCounts, ReadersWriter
from slotmem_model.examples.ring_buffer import RingBuffer, SaysSoFirst
from slotmem_model.examples.seqlock import ReadsOnce, Seqlock
from slotmem_model.examples.test_and_set import TestAndSet, TestThenSet
from slotmem_model.examples.ticket_lock import SameTicket, TicketLock
from slotmem_model.examples.treiber_stack import AbaStack, TreiberStack
from slotmem_model.examples.try_both import InOrder, TryBoth
from slotmem_model.examples.two_locks import Crosswise, TwoLocks


class Example(NamedTuple):
    """One program and one question about it."""

    name: str
    algorithm: type
    configuration: Configuration
    property: str
    """The property that its shortest counterexample breaks; empty: it holds."""
    steps: int
    """The steps of that counterexample."""
    states: int
    transitions: int
    ends: frozenset[str] | None
    """The properties of progress that hold if its processes go on for ever (`--progress`); None
    where that is not asked, because a word is counted up.
    """
    sentence: str
    """What it is, or what is wrong with it."""


def _example(
    name: str,
    algorithm: type,
    clients: str,
    states: int,
    transitions: int,
    breaks: str = "",
    steps: int = 0,
    ends: str | None = None,
    **others: Any,
) -> Example:
    """Make an example. clients: of all processes, or of each, with a bar between; ends: words."""
    texts = tuple(each.strip() for each in clients.split("|"))
    asked = Configuration(f"example:{name}", max(2, len(texts)), slots=0, clients=texts, **others)
    known = None if ends is None else frozenset(ends.split())
    return Example(name, algorithm, asked, breaks, steps, states, transitions, known, first_paragraph(algorithm))


TWICE = "increment; increment"
TURNS, TURN = "enter; leave; enter; leave", "enter; leave"
LINEARIZABLE = "linearizable"

# One example a row: name, class, clients; states, transitions; what breaks, steps; what else.
# fmt: off
_ALL = (
    _example("lost-update", LostUpdate, TWICE, 52, 64, LINEARIZABLE, 4),
    _example("fetch-and-add", FetchAndAdd, TWICE, 9, 12),
    _example("compare-and-swap", CompareAndSwap, TWICE, 53, 84),
    _example("locked", Locked, TWICE, 45, 48),
    _example("dekker", Dekker, TURN, 43, 66, ends="starvation-free deadlock-free"),
    _example("dekker-on-tso", Dekker, TURN, 283, 673, LINEARIZABLE, 4, memory="tso", ends="starvation-free deadlock-free"),
    _example("dekker-fenced", FencedDekker, TURN, 129, 243, memory="tso", ends="starvation-free deadlock-free"),
    _example("dekker-polite", PoliteDekker, TURN, 22, 26, "no-deadlock", 2, ends=""),
    _example("peterson", Peterson, TURNS, 138, 248, ends="starvation-free deadlock-free"),
    _example("peterson-on-tso", Peterson, TURNS, 2135, 6312, LINEARIZABLE, 6, memory="tso", ends="starvation-free deadlock-free"),
    _example("peterson-fenced", FencedPeterson, TURNS, 553, 1216, memory="tso", ends="starvation-free deadlock-free"),
    _example("peterson-turn-first", TurnFirst, TURNS, 205, 352, LINEARIZABLE, 7, ends="starvation-free deadlock-free"),
    _example("bakery", Bakery, TURN, 168, 283),
    _example("bakery-silent", SilentBakery, TURN, 135, 233, LINEARIZABLE, 12),
    _example("test-and-set", TestAndSet, TURNS, 21, 24, ends="deadlock-free"),
    _example("test-then-set", TestThenSet, TURNS, 49, 68, LINEARIZABLE, 4, ends="deadlock-free"),
    _example("ticket-lock", TicketLock, TURNS, 69, 96),
    _example("ticket-lock-same-ticket", SameTicket, TURNS, 395, 594, LINEARIZABLE, 6),
    _example("mcs-lock", McsLock, TURN, 51, 68, ends="starvation-free deadlock-free"),
    _example("mcs-lock-hasty", HastyMcsLock, TURN, 49, 64, "no-deadlock", 8, ends=""),
    _example("readers-writer", ReadersWriter, "read_lock; read_unlock | write_lock; write_unlock", 13, 15, ends="deadlock-free"),
    _example("readers-writer-looks-first", LooksThenCounts, "read_lock; read_unlock | write_lock; write_unlock", 12, 13, LINEARIZABLE, 3),
    _example("seqlock", Seqlock, "write((1, 1)); write((2, 2)) | read", 175, 285),
    _example("seqlock-reads-once", ReadsOnce, "write((1, 1)); write((2, 2)) | read", 82, 118, LINEARIZABLE, 6),
    _example("treiber-stack", TreiberStack, "pop; pop | pop -> a; pop -> b; push(a)", 133, 215),
    _example("treiber-stack-aba", AbaStack, "pop; pop | pop -> a; pop -> b; push(a)", 132, 214, LINEARIZABLE, 15),
    _example("michael-scott-queue", MichaelScottQueue, "put(me); get", 853, 1518),
    _example("michael-scott-queue-plain-link", LinksPlainly, "put(me); get", 1537, 2642, LINEARIZABLE, 20),
    _example("ring-buffer", RingBuffer, "put(1); put(2); put(3) | get; get; get", 397, 687),
    _example("ring-buffer-says-so-first", SaysSoFirst, "put(1); put(2); put(3) | get; get; get", 697, 1173, LINEARIZABLE, 10),
    _example("once", Once, "get; get", 84, 138),
    _example("once-on-pso", Once, "get; get", 104, 174, LINEARIZABLE, 9, memory="pso"),
    _example("once-fenced", FencedOnce, "get; get", 96, 156, memory="pso"),
    _example("once-flag-first", FlagFirst, "get; get", 88, 142, LINEARIZABLE, 7),
    _example("once-checks-once", ChecksOnce, "get; get", 88, 132, "invariant", 9),
    _example("barrier", Barrier, "cross; cross", 87, 140, linearizable=False),
    _example("barrier-waits-for-count", WaitsForCount, "cross; cross", 81, 130, "no-deadlock", 12, linearizable=False),
    _example("barrier-sets-back-late", SetsBackLate, "cross; cross", 118, 188, "no-deadlock", 20, linearizable=False),
    _example("two-locks", TwoLocks, "give | take", 32, 32),
    _example("two-locks-crosswise", Crosswise, "give | take", 49, 52, "no-deadlock", 2),
    _example("owner-death", RedoRecord, "transfer; balance", 321, 412, crashes=1),
    _example("owner-death-no-record", NoRecord, "transfer; balance", 309, 392, LINEARIZABLE, 18, crashes=1),
    _example("owner-death-stuck", StuckForEver, "transfer; balance", 289, 368, "nothing-raised", 11, crashes=1),
    _example("try-both", TryBoth, "work", 37, 56, linearizable=False, ends=""),
    _example("try-both-in-order", InOrder, "work", 21, 25, linearizable=False, ends="deadlock-free"),
)
# fmt: on
EXAMPLES = {each.name: each for each in _ALL}
