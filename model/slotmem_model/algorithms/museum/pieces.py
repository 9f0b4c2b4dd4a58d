"""The museum: deliberately broken algorithms, each with a question that exposes it.

Interface:

- `MUSEUM` maps a name to its `Piece`; `museum:NAME` names it to the checker.
- `Piece.sentence` says what is wrong with it, `Piece.configuration` is the question.

A piece pins what the checker must say about it: the property that the shortest counterexample
breaks, the number of its steps, and how many states there are. It is shown on the smallest
configuration that was found to show it. The classes are in the modules beside this one: `httpd`,
`locks`, `crash`, `memory`. The source is httpd where its history or its code has had the mistake,
otherwise the idea of the design that is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from slotmem_model.algorithms.base import first_paragraph
from slotmem_model.algorithms.cas import Cas
from slotmem_model.algorithms.httpd import Httpd
from slotmem_model.algorithms.httpd_locked import HttpdLocked
from slotmem_model.algorithms.museum import crash, httpd, locks, memory
from slotmem_model.algorithms.plain_lock import PlainLock
from slotmem_model.algorithms.seqlock import Seqlock
from slotmem_model.algorithms.spin_lock import SpinLock
from slotmem_model.checker.model import Configuration


class Piece(NamedTuple):
    """One broken algorithm."""

    name: str
    algorithm: Callable[[Any], Any]
    source: str
    """httpd's code or history, or the idea that is left out."""
    property: str
    """The property that its shortest counterexample breaks."""
    steps: int
    """The number of steps of that counterexample."""
    states: int
    """The number of states in all."""
    configuration: Configuration
    sentence: str
    """What is wrong with it."""


def _piece(
    name: str,
    algorithm: Callable[[Any], Any],
    source: str,
    property_: str,
    steps: int,
    states: int,
    *clients: str,
    says: str = "",
    **others: Any,
) -> Piece:
    """Make a piece with a process for each client, or two that do the same; one slot by default.

    says: what is wrong; if empty, the class's docstring says it.
    """
    processes = len(clients) if len(clients) > 1 else others.pop("processes", 2)
    configuration = Configuration(f"museum:{name}", processes, others.pop("slots", 1), clients=clients, **others)
    sentence = says or first_paragraph(algorithm)
    return Piece(name, algorithm, source, property_, steps, states, configuration, sentence)


GRAB = "grab -> a"
GRAB_RELEASE = "grab -> a; release(a)"
PUT_ONE = "fgrab(0); put(0, 1)"
PUT_TWO = "fgrab(0); put(0, 1); put(0, 2)"
HISTORY, CODE = "httpd's history", "httpd's code"
LOCK, REDO, REPAIR, ROBUST = "a lock over all of it", "redo records", "repair after a death", "robust mutexes"
ATOMIC, SEQUENCE, FENCE = "atomic steps", "sequence numbers", "fences under tso"
SEMANTICS = "httpd's semantics"

# One piece a row: name, class, source; property, steps, states; clients; what else.
# fmt: off
PIECES = (
    # -- what an operation does --------------------------------------------------------------------
    _piece("release-free-counted", httpd.ReleaseFreeCounted, HISTORY, "counter", 6, 7, "release(0)", processes=1),
    _piece("release-free-allowed", httpd.ReleaseFreeAllowed, HISTORY, "linearizable", 5, 6, "release(0)", processes=1),
    _piece("release-uncounted", httpd.ReleaseUncounted, SEMANTICS, "counter", 10, 11, GRAB_RELEASE, processes=1),
    _piece("grab-unmarked", httpd.GrabUnmarked, HISTORY, "counter", 5, 6, GRAB, processes=1),
    _piece("grab-uncounted", httpd.GrabUncounted, SEMANTICS, "counter", 4, 5, GRAB, processes=1),
    _piece("grab-highest", httpd.GrabHighest, SEMANTICS, "linearizable", 7, 8, GRAB, processes=1, slots=2),
    _piece("grab-skips-last", httpd.GrabSkipsLast, SEMANTICS, "linearizable", 2, 3, GRAB, processes=1),
    _piece("grab-full-gives-last", httpd.GrabFullGivesLast, SEMANTICS, "held-once", 9, 30, GRAB),
    _piece("grab-full-counted", httpd.GrabFullCounted, SEMANTICS, "counter", 11, 12, GRAB, processes=1, rounds=2),
    _piece("grab-clears", httpd.GrabClears, SEMANTICS, "memory", 28, 29,
           PUT_ONE + "; release(0); grab -> a", processes=1),
    _piece("release-clears", httpd.ReleaseClears, SEMANTICS, "memory", 20, 21, PUT_ONE + "; release(0)", processes=1),
    _piece("fgrab-counts-twice", httpd.FgrabCountsTwice, SEMANTICS, "counter", 10, 11,
           "fgrab(0)", processes=1, rounds=2),
    _piece("fgrab-refuses", httpd.FgrabRefuses, SEMANTICS, "linearizable", 9, 10, "fgrab(0)", processes=1, rounds=2),
    _piece("get-unchecked", httpd.GetUnchecked, HISTORY, "linearizable", 2, 3, "get(0)", processes=1),
    _piece("put-unchecked", httpd.PutUnchecked, HISTORY, "linearizable", 2, 3, "put(0, 1)", processes=1),
    _piece("put-beyond", httpd.PutBeyond, HISTORY, "memory", 13, 14, PUT_ONE, processes=1, slots=2),
    _piece("get-beyond", httpd.GetBeyond, CODE, "linearizable", 13, 14, "fgrab(0); get(0)", processes=1, slots=2),
    _piece("put-short", httpd.PutShort, SEMANTICS, "memory", 11, 12, PUT_ONE, processes=1),
    _piece("put-drifts", HttpdLocked, CODE, "counter", 5, 6, "put(0, 1)", processes=1, pregrab=False,
           says="Without PREGRAB, put marks a free slot and does not count it."),
    _piece("get-unmarked", httpd.GetUnmarked, SEMANTICS, "memory", 2, 3, "get(0)", processes=1, pregrab=False),
    # -- locks left out, dropped early, confused ---------------------------------------------------
    _piece("grab-race", Httpd, CODE, "held-once", 8, 34, GRAB, linearizable=False,
           says="Two grabs find the same byte zero before either sets it."),
    _piece("counter-race", Httpd, CODE, "counter", 8, 34, "fgrab(0)", "fgrab(1)", slots=2,
           says="Of two changes of the counter at once, one is lost: each is a load and a store."),
    _piece("torn-get", Httpd, CODE, "nothing-torn", 11, 67, PUT_ONE, "get(0)", says="get copies while put copies."),
    _piece("put-undoes-release", Httpd, CODE, "counter", 8, 85, PUT_ONE, "release(0)",
           says="put sets the in-use byte again after it has looked: a release in between is undone."),
    _piece("get-marks-again", locks.GetMarksAgain, CODE, "counter", 18, 160, "fgrab(0); get(0)", "release(0)"),
    _piece("grab-drops-early", locks.GrabDropsEarly, HISTORY, "held-once", 12, 72, GRAB),
    _piece("grab-scans-unlocked", locks.GrabScansUnlocked, LOCK, "held-once", 12, 51, GRAB),
    _piece("grab-counts-unlocked", locks.GrabCountsUnlocked, LOCK, "counter", 13, 73, GRAB, slots=2),
    _piece("release-unlocked", locks.ReleaseUnlocked, HISTORY, "counter", 16, 282, GRAB_RELEASE, slots=2),
    _piece("fgrab-unlocked", locks.FgrabUnlocked, HISTORY, "counter", 8, 32, "fgrab(0)"),
    _piece("get-unlocked", locks.GetUnlocked, HISTORY, "nothing-torn", 16, 107, PUT_ONE, "get(0)"),
    _piece("put-unlocked", locks.PutUnlocked, HISTORY, "nothing-torn", 17, 170, PUT_ONE, "get(0)"),
    _piece("num-free-unlocked", locks.NumFreeUnlocked, LOCK, "linearizable", 9, 57, GRAB, "get(0); num_free_slots"),
    _piece("num-free-scans-unlocked", locks.NumFreeCountsUnlocked, LOCK, "linearizable", 17, 125,
           "fgrab(0); release(0); fgrab(1)", "num_free_slots", slots=2),
    _piece("slots-unlocked", locks.SlotsUnlocked, LOCK, "linearizable", 17, 120,
           "fgrab(0); release(0); fgrab(1)", "slots", slots=2),
    _piece("release-looks-early", locks.ReleaseLooksEarly, LOCK, "linearizable", 18, 104,
           "fgrab(0); release(0)", "release(0)"),
    _piece("fgrab-looks-early", locks.FgrabLooksEarly, LOCK, "counter", 12, 50, "fgrab(0)"),
    _piece("get-copies-late", locks.GetCopiesLate, LOCK, "nothing-torn", 18, 151, PUT_ONE, "get(0)"),
    _piece("put-copies-late", locks.PutCopiesLate, LOCK, "nothing-torn", 15, 97, PUT_ONE, "get(0)"),
    _piece("put-marks-unlocked", locks.PutMarksUnlocked, LOCK, "counter", 16, 90, "put(0, 1)", pregrab=False),
    _piece("get-wrong-stripe", locks.GetWrongStripe, LOCK, "nothing-torn", 18, 205, PUT_ONE, "get(0)", slots=2),
    _piece("shared-record", locks.SharedRecord, REDO, "nothing-torn", 36, 3529,
           PUT_ONE, "fgrab(1); put(1, 2); get(0)", slots=2, crashes=1),
    _piece("busy-is-success", locks.BusyIsSuccess, LOCK, "held-once", 11, 99, GRAB, linearizable=False),
    _piece("other-order", locks.OtherOrder, LOCK, "no-deadlock", 10, 135, PUT_ONE, "release(0)"),
    _piece("nested-lock", locks.NestedLock, LOCK, "held-once", 14, 85, GRAB),
    _piece("kept-when-full", locks.KeptWhenFull, LOCK, "no-deadlock", 9, 103, GRAB, processes=3),
    # -- deaths ------------------------------------------------------------------------------------
    _piece("no-record", crash.NoRecord, REDO, "nothing-torn", 16, 189, PUT_ONE, "get(0)", crashes=1),
    _piece("record-id-first", crash.RecordIdFirst, REDO, "nothing-torn", 24, 267, PUT_ONE, "get(0)", crashes=1),
    _piece("record-cleared-early", crash.RecordClearedEarly, REDO, "nothing-torn", 21, 257,
           PUT_ONE, "get(0)", crashes=1),
    _piece("record-kept", crash.RecordKept, REDO, "nothing-torn", 31, 502, PUT_TWO, "get(0)", crashes=1),
    _piece("record-kept-by-repair", crash.RecordKeptByRepair, REDO, "nothing-torn", 34, 6711,
           PUT_ONE, "put(0, 2)", "get(0)", crashes=2),
    _piece("record-after-copy", crash.RecordAfterCopy, REDO, "nothing-torn", 16, 250, PUT_ONE, "get(0)", crashes=1),
    _piece("repair-half", crash.RepairHalf, REPAIR, "nothing-torn", 23, 259, PUT_ONE, "get(0)", crashes=1),
    _piece("repair-clears-first", crash.RepairClearsFirst, REPAIR, "nothing-torn", 25, 3455,
           PUT_ONE, "get(0)", "get(0)", crashes=2),
    _piece("repair-wrong-stripe", crash.RepairWrongStripe, REPAIR, "nothing-torn", 20, 258,
           PUT_ONE, "get(0)", crashes=1, slots=2),
    _piece("repair-forgotten", crash.RepairForgotten, HISTORY, "counter", 7, 83, GRAB, crashes=1),
    _piece("nobody-repairs", HttpdLocked, CODE, "counter", 7, 83, GRAB, crashes=1,
           says="The caller's mutex passes to the next process after a death, and nobody repairs."),
    _piece("not-recounted", crash.NotRecounted, REPAIR, "counter", 7, 83, GRAB, crashes=1),
    _piece("repair-adds-one", crash.RepairAddsOne, REPAIR, "counter", 11, 113, GRAB, crashes=1),
    _piece("not-consistent", crash.NotConsistent, ROBUST, "nothing-raised", 10, 607, GRAB, processes=3, crashes=1),
    _piece("repair-after-unlock", crash.RepairAfterUnlock, REPAIR, "counter", 14, 1170,
           GRAB, "num_free_slots", "grab -> a", crashes=1, slots=2),
    _piece("death-is-success", crash.DeathIsSuccess, ROBUST, "nothing-raised", 6, 185,
           "num_free_slots; num_free_slots", crashes=1),
    _piece("death-is-failure", crash.DeathIsFailure, ROBUST, "linearizable", 3, 77, GRAB, crashes=1),
    _piece("death-while-waiting", crash.DeathWhileWaiting, ROBUST, "nothing-torn", 20, 273,
           PUT_ONE, "get(0)", crashes=1),
    _piece("two-sections", crash.TwoSections, REPAIR, "counter", 11, 226, GRAB_RELEASE, GRAB, crashes=1),
    _piece("stuck-for-ever", PlainLock, ROBUST, "no-deadlock", 3, 71, GRAB, crashes=1,
           says="A plain mutex stays locked when its owner dies."),
    _piece("cas-counter-lost", Cas, REPAIR, "counter", 2, 27, GRAB, "fgrab(0)", crashes=1,
           says="A death between the swap and the count leaves the counter wrong for ever."),
    _piece("seqlock-writer-dies", Seqlock, ROBUST, "counter", 4, 537, "put(0, 1)", "fgrab(0); get(0)", crashes=1,
           says="Nobody is told of a death, which leaves a table half changed, half a put, or an odd sequence."),
    # -- atomic steps, sequence numbers, store buffers ---------------------------------------------
    _piece("cas-not-lowest", Cas, ATOMIC, "linearizable", 11, 142,
           "fgrab(0); fgrab(1); release(0); release(1)", GRAB, slots=2,
           says="The scan passes slot 0, and takes slot 1 when that was never the lowest free one."),
    _piece("cas-counter-late", Cas, ATOMIC, "linearizable", 6, 20, GRAB, "get(0); num_free_slots",
           says="The counter still counts a slot that a get has shown in use."),
    _piece("cas-torn", Cas, ATOMIC, "nothing-torn", 7, 41, PUT_ONE, "get(0)",
           says="Nothing keeps the bytes of a slot together."),
    _piece("cas-counts-plainly", memory.CasCountsPlainly, ATOMIC, "counter", 9, 52, GRAB, slots=2),
    _piece("cas-checks-then-stores", memory.CasChecksThenStores, ATOMIC, "held-once", 8, 29, GRAB, linearizable=False),
    _piece("cas-not-checked", memory.CasNotChecked, ATOMIC, "held-once", 6, 20, GRAB),
    _piece("clear-before-count", Cas, HISTORY, "linearizable", 4, 29, GRAB_RELEASE, "fgrab(0); num_free_slots",
           says="release clears before it counts: a grab in between takes the counter below zero."),
    _piece("count-before-clear", memory.CasCountsFirst, HISTORY, "linearizable", 7, 46,
           GRAB_RELEASE, "num_free_slots; grab -> a"),
    _piece("cas-release-unfenced", memory.CasReleaseUnfenced, FENCE, "linearizable", 7, 47, GRAB_RELEASE, memory="tso"),
    _piece("seqlock-unfenced", memory.SeqlockUnfenced, FENCE, "linearizable", 21, 477, PUT_ONE, "get(0)", memory="tso"),
    _piece("seqlock-bumped-late", memory.SeqlockBumpedLate, SEQUENCE, "nothing-torn", 14, 224, PUT_ONE, "get(0)"),
    _piece("seqlock-bumped-early", memory.SeqlockBumpedEarly, SEQUENCE, "nothing-torn", 16, 280, PUT_ONE, "get(0)"),
    _piece("seqlock-odd-ignored", memory.SeqlockOddIgnored, SEQUENCE, "nothing-torn", 16, 353, PUT_ONE, "get(0)"),
    _piece("seqlock-read-once", memory.SeqlockReadOnce, SEQUENCE, "nothing-torn", 15, 139, PUT_ONE, "get(0)"),
    _piece("seqlock-short", memory.SeqlockShort, SEQUENCE, "nothing-torn", 27, 690, PUT_ONE + "; put(0, 0)", "get(0)"),
    _piece("seqlock-no-turns", memory.SeqlockNoTurns, SEQUENCE, "memory", 20, 781,
           "fgrab(0); put(0, 1); get(0)", "put(0, 0)"),
    _piece("spin-test-and-set", memory.SpinTestAndSet, ATOMIC, "held-once", 14, 104, GRAB),
    _piece("spin-bare-count", memory.SpinBareCount, FENCE, "linearizable", 7, 31, GRAB, "num_free_slots", memory="tso"),
    _piece("spin-freed-early", memory.SpinFreedEarly, LOCK, "counter", 15, 117, GRAB, slots=2),
    _piece("spin-owner-dies", SpinLock, ROBUST, "no-deadlock", 3, 71, GRAB, crashes=1,
           says="A spinlock tells nobody that its owner died: the others try for ever."),
    _piece("ticket-read", locks.TicketRead, ATOMIC, "no-deadlock", 10, 139, GRAB),
    _piece("one-store-unfenced", memory.OneStoreUnfenced, FENCE, "linearizable", 12, 47,
           PUT_ONE, "get(0)", memory="tso", slot_bytes=1),
)
# fmt: on

MUSEUM = {piece.name: piece for piece in PIECES}
