"""Total store order, as on an x86: each process's stores wait in a buffer and drain in order; and
partial store order, where those to different words drain in any order.

Interface:

- `buffered(automaton, words, most, ordered)` returns the automaton of the same process behind a
  store buffer, of `most` stores or, as a process that ends needs no bound, any number.

A store goes into the buffer and is seen by nobody else. A load takes the newest buffered value of
its word, if there is one; else memory's. Locked operations (mutexes, compare-and-swap, add) and
fences wait until the buffer is empty. At any moment the oldest store may drain: that is the last
action of a local state. Without `ordered` there is a buffer for each word, and the oldest store of
each may drain.

This is x86-TSO (Sewell, Sarkar, Owens, Zappa Nardelli and Myreen, 2010), but for two things: a
locked operation is a single step here, so no global lock is modelled, and processes die. The other
is the PSO of the SPARC Architecture Manual, version 8 (1992), as Adve and Gharachorloo describe it
(1996), with two things that are stronger than there: a locked operation waits until all buffers are
empty, and the only fence is one that orders everything.

A death lets the buffer drain first: what a processor has retired reaches memory whatever becomes of
the process. "Dies, then drains" is seen by others exactly as "stops, drains, dies", so a process
dies only with an empty buffer.
"""

from __future__ import annotations

import math
from operator import itemgetter

from slotmem_model.automata.accesses import Access
from slotmem_model.automata.automaton import MAX_LOCALS, NEVER, Action, Automaton, Local, Move
from slotmem_model.automata.kind import TooLarge
from slotmem_model.automata.shared_words import Word

_FROM_BUFFER = {"load": "reread", "await": "reawait"}
_Store = tuple[int, int]
"""(word, value index)"""
_Place = tuple[int, tuple[_Store, ...]]


def buffered(
    automaton: Automaton, words: tuple[Word, ...], most: float = math.inf, *, ordered: bool = True
) -> Automaton:
    """Put a store buffer between a process and memory. most: when it holds so many stores, the next
    one waits until one has drained. ordered: whether stores to different words drain in order.

    Raises:
        TooLarge
    """
    numbers: dict[_Place, int] = {(0, ()): 0}
    waiting: list[_Place] = [(0, ())]
    bounds: set[str] = set()

    def number(local: int, buffer: tuple[_Store, ...]) -> int:
        # Where words drain in any order, only the order within each of them tells states apart.
        place = (local, buffer if ordered else tuple(sorted(buffer, key=itemgetter(0))))
        if place not in numbers:
            if len(numbers) >= MAX_LOCALS:
                raise TooLarge(
                    f"with its store buffer, process {automaton.process + 1} has more than {MAX_LOCALS:,} states; "
                    "take a shorter client"
                )
            numbers[place] = len(numbers)
            waiting.append(place)
        return numbers[place]

    def acted(action: Action, buffer: tuple[_Store, ...]) -> Action | None:
        """Return what an action becomes behind this buffer; None if it must wait for the drain."""
        kind, word = action.access.kind, action.access.word
        if kind == "store":
            move = next(move for move in action.moves if move and move != NEVER)
            if len(buffer) >= most:
                bounds.add(f"a store buffer holds {most} stores at most")
                return None
            is_outside = action.access.argument not in words[word].values
            after = buffer if is_outside else (*buffer, (word, move.value))
            return Action(Access("buffer", word, action.access.argument), (_to(move, number(move.target, after), 0),))
        if kind in ("load", "await"):
            newest = next((value for stored, value in reversed(buffer) if stored == word), None)
            if newest is not None:
                read = action.moves[newest]
                assert read != NEVER, action
                if read is None:  # it would try again and again, until its own store has drained
                    return None
                return Action(
                    Access(_FROM_BUFFER[kind], word, action.access.argument),
                    (_to(read, number(read.target, buffer), 0),),
                )
        elif (word >= 0 or kind == "fence") and buffer:
            return None
        moves = tuple(
            move if move is None or move == NEVER else move._replace(target=number(move.target, buffer))
            for move in action.moves
        )
        return Action(action.access, moves)

    def oldest(buffer: tuple[_Store, ...]) -> list[tuple[int, int]]:
        """Return the stores that may drain: the word, and where it stands."""
        found: dict[int, int] = {}
        for at, (word, _) in enumerate(buffer):
            found.setdefault(word, at)
        return list(found.items())[: 1 if ordered else None]

    locals_: list[Local] = []
    for at, buffer in waiting:  # grows while it is walked
        local = automaton.locals[at]
        actions = [done for action in local.actions if (done := acted(action, buffer))]
        for word, first in oldest(buffer):
            move = Move(number(at, (*buffer[:first], *buffer[first + 1 :])), buffer[first][1], 0)
            actions.append(Action(Access("drain", word), (move,) * len(words[word].values)))
        crash = None if buffer or local.crash is None else number(local.crash, ())
        # A process is not done, even after its last operation, before all has drained.
        end = "draining" if buffer and local.end == "done" else local.end
        locals_.append(
            local._replace(actions=tuple(actions), crash=crash, inside=local.inside or bool(buffer), end=end)
        )
    return Automaton(tuple(locals_), automaton.process, tuple(bounds))


def _to(move: Move, target: int, value: int) -> Move:
    return Move(target, value, move.event)
