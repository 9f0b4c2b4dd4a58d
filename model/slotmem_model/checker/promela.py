"""A model as Promela, so that Spin, which knows nothing of this project, can judge it too.

Interface:

- `to_promela(model)` returns the text: the same automata, words and deaths. `RUN` is how to check
  it. (Spin warns of a timeout in a d_step; it is the guard there, so all is well.)
- `BROKEN` are the properties that become assertions, by the number that `broken` has then.
  linearizable and memory need the monitor, which is not exported; invariant and final are methods
  of a program, which are not either.
- `Writer` is what `slotmem_model.checker.progress.promela` has in common with that.

Spin is Holzmann's model checker (The Spin Model Checker, 2003). Models are usually written for it
by hand; this one is generated from the automata, and so from the Python that users run.

How it is written. The state is one number for each process, its local state; one for each word, the
index of its value; and `broken`, which follows from the others. What the automata do is constant,
so it stands in C tables: a row for each local state, a row for each value of the word that it
accesses. A step is one d_step that looks its row up. A label for each local state was tried, and
tables in Promela: gcc took most of a minute for five hundred labels, or for a table of some ten
thousand numbers.

Spin stores exactly the states of a model that was compiled with `linearizable=False`. A state that
breaks a property is not expanded: processes run only while `broken` is 0. The process `judge` has a
single state, and fails one assertion in each such state. Each failure counts as a transition, and
Spin counts the initial state as one more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from slotmem_model.automata.automaton import NEVER, Action, Automaton, Local, Move
from slotmem_model.automata.shared_words import DEAD, LOST
from slotmem_model.automata.slots_kind import SlotsKind
from slotmem_model.checker.model import Model
from slotmem_model.checker.properties import OUTSIDE, fault_property, property_check

IMPOSSIBLE = "impossible"
"""Not a property: a word had a value that the automata hold to be impossible; a bug in the
checker.
"""
BROKEN = {
    1: "nothing-torn",
    2: "nothing-raised",
    3: "held-once",
    4: "counter",
    5: "no-deadlock",
    6: OUTSIDE,
    7: IMPOSSIBLE,
}
RUN = "spin -a model.pml && gcc -O2 -w -DSAFETY -DNOREDUCE -o pan pan.c && ./pan -c0 -m1000000"
_NUMBER = {name: number for number, name in BROKEN.items()}
_CHUNK = 256  # rows in one C array: Spin reads no more than 32 KiB of C at once
_WAITS: tuple[int, ...] = (-1, 0)
_Rows = tuple[tuple[int, ...], ...]
"""For each value of a word, what a move does that finds it."""

HEAD = """\
#define AT(table, row) table[(row) >> 8][(row) & 255]

c_decl {
struct local {
	int death;  /* the local state it is in when it dies here, or -1 */
	int broken;  /* the property that it breaks, or 0 */
	int inside, holds, ended, dead;  /* holds: bit i for slot i */
	int held[HELD];  /* the mutexes that it holds, or -1 */
	struct { int word, first; } action[ACTIONS];  /* the word it accesses; its first move, which is that for index 0 */
};
struct move { int next, value; };  /* the next local state, or -1: it must wait; what the word becomes */
}
"""


def to_promela(model: Model) -> str:
    """Write a model as Promela."""
    return "\n".join(Writer(model).lines()) + "\n"


class Writer:
    """Writes a model; `lines` yields the whole."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.crashes = model.configuration.crashes
        self.numbers = range(len(model.processes))
        map_ = model.map if isinstance(model.kind, SlotsKind) else None
        mutexes = map_.mutexes if map_ else ()
        self.mortal = [mutex for mutex in mutexes if model.place.possible[mutex] & {DEAD, LOST}]
        """Mutexes that a death can leave to be repaired."""
        locals_ = [local for automaton in model.processes for local in automaton.locals]
        self.actions = range(max(1, *(len(local.actions) for local in locals_)))
        self.held = range(max(1, *(len(local.held) for local in locals_)))
        accessed = {action.access.word for local in locals_ for action in local.actions if action.access.touches}
        judged = {*map_.inuse, map_.num_free, *self.mortal} if map_ else {0}
        words = sorted(accessed | judged)
        self.word = {word: number for number, word in enumerate(words)}
        """The number of each word that is accessed or judged."""

    def lines(self) -> Iterator[str]:
        """Yield the whole text."""
        yield comment(str(self.model.configuration))
        yield comment(RUN)
        yield f"#define HELD {len(self.held)}"
        yield f"#define ACTIONS {len(self.actions)}"
        yield HEAD
        for automaton in self.model.processes:
            yield from self.tables(automaton)
        yield from self.state()
        yield from self.judged()
        for process in self.numbers:
            yield from self.process(process)
        yield "active proctype judge() {"
        yield "end:\tdo"
        for number in BROKEN:
            yield f"\t:: d_step {{ broken == {number} -> assert(broken != {number}) }}"
        stuck, all_ended = _NUMBER["no-deadlock"], self.each("ENDED_{0}", " && ")
        yield f"\t:: d_step {{ timeout && !({all_ended}) -> broken = {stuck}; assert(broken != {stuck}); broken = 0 }}"
        yield "\tod"
        yield "}"

    def each(self, text: str, between: str) -> str:
        """Repeat a text for each process."""
        return between.join(text.format(process) for process in self.numbers)

    # -- the automata ------------------------------------------------------------------------------

    def tables(self, automaton: Automaton) -> Iterator[str]:
        """Write the tables of one process.

        Impossible values lead to one more local state at the end.
        """
        impossible = len(automaton.locals)
        moves: dict[_Rows, int] = {}
        move_rows: list[str] = []
        locals_: list[str] = []

        def first(rows: _Rows) -> int:
            if rows not in moves:
                moves[rows] = len(move_rows)
                move_rows.extend(f"{{{listed(row)}}}" for row in rows)
            return moves[rows]

        for number, local in enumerate(automaton.locals):
            actions = [self.action(each, impossible) if each else self.waiting() for each in self.columns(local)]
            held = [self.word[mutex] for mutex in local.held] + [-1] * (len(self.held) - len(local.held))
            numbers = (
                -1 if local.crash is None else local.crash,
                _NUMBER[fault_property(local.fault)] if local.fault else 0,
                int(local.inside),
                local.holds,
                int(local.end in ("done", "dead", "fault")),
                int(local.end == "dead"),
            )
            accesses = ", or ".join(self.described(action) for action in local.actions) or local.fault or local.end
            locals_.append(
                f"{{{listed(numbers)}, {{{listed(held)}}}, {{{listed(f'{{{word}, {first(rows)}}}' for word, rows in actions)}}}}}"
                f", {comment(f'{number}: {accesses}')}"
            )
        nothing = listed(f"{{{word}, {first(rows)}}}" for word, rows in [self.waiting()] * len(self.actions))
        locals_.append(
            f"{{-1, {_NUMBER[IMPOSSIBLE]}, 0, 0, 1, 0, {{{listed([-1] * len(self.held))}}}, {{{nothing}}}}},"
        )
        yield from _chunked("local", automaton.process, locals_)
        yield from _chunked("move", automaton.process, [row + "," for row in move_rows])

    def columns(self, local: Local) -> list[Action | None]:
        """Return the actions of a local state, as many as there are columns; None where it has no
        more.
        """
        return [*local.actions, *(None for _ in self.actions[len(local.actions) :])]

    def row(self, move: Move, value: int) -> tuple[int, ...]:
        """Return what a move does when it leaves this value."""
        return (move.target, value)

    def waiting(self) -> tuple[int, _Rows]:
        """Return an action that is never possible."""
        first = min(self.word)
        return self.word[first], (_WAITS,) * len(self.model.words[first].values)

    def action(self, action: Action, impossible: int) -> tuple[int, _Rows]:
        """Return the number of the word that an action accesses, and what it does for each of its
        values.
        """
        if not action.access.touches:  # any word will do, and stays as it is
            (move,), first = action.moves, min(self.word)
            assert move
            return self.word[first], tuple(
                self.row(move, index) for index in range(len(self.model.words[first].values))
            )
        rows = (
            _WAITS if move is None else (impossible, index) if move == NEVER else self.row(move, move.value)
            for index, move in enumerate(action.moves)
        )
        return self.word[action.access.word], tuple(rows)

    def described(self, action: Action) -> str:
        """Describe an action."""
        word = action.access.word
        return action.access.kind + (f" {self.model.words[word].name}" if word >= 0 else "")

    # -- the state ---------------------------------------------------------------------------------

    def state(self) -> Iterator[str]:
        """Declare the variables."""
        words = [self.model.words[word] for word in self.word]
        for number, word in enumerate(words):
            plain = word.values == tuple(range(len(word.values)))
            values = "" if plain else f": index of {', '.join(map(str, word.values))}"
            yield comment(f"word[{number}] is {word.name}{values}")
        sort = "byte" if max(len(word.values) for word in words) <= 256 else "short"
        initial = listed(word.values.index(word.initial) for word in words)
        yield f"{sort} word[{len(words)}] = {{{initial}}};"
        for automaton in self.model.processes:
            sort = "short" if len(automaton.locals) < 2**15 else "int"
            yield f"{sort} at_{automaton.process};"
        yield f"byte broken;  {comment(', '.join(f'{number}: {name}' for number, name in BROKEN.items()))}"
        yield "hidden int row;"
        yield ""

    def judged(self) -> Iterator[str]:
        """Define what follows from the state."""
        yield from self.standing()
        judged = self.judged_memory() if isinstance(self.model.kind, SlotsKind) else "0"
        yield f"#define FAULT ({self.each('BROKEN_{0}', ' + ')})  /* a fault ends everything, so there is one at most */"
        yield f"#define JUDGED (FAULT -> FAULT : {judged})"
        yield ""

    def standing(self) -> Iterator[str]:
        """Define where processes stand, and what they can do."""
        for process in self.numbers:
            yield f"#define LOCAL_{process} AT(local_{process}, now.at_{process})"
            for column in ("death", "broken", "inside", "holds", "ended", "dead"):
                yield f"#define {column.upper()}_{process} c_expr {{ LOCAL_{process}.{column} }}"
            for action in self.actions:
                place = f"LOCAL_{process}.action[{action}]"
                yield f"#define ROW_{process}_{action} {place}.first + now.word[{place}.word]"
                yield f"#define CAN_{process}_{action} c_expr {{ AT(move_{process}, ROW_{process}_{action}).next >= 0 }}"
        ways = (self.each(f"CAN_{{0}}_{action}", " || ") for action in self.actions)
        yield f"#define SOME_CAN_GO_ON ({' || '.join(ways)})"

    def judged_memory(self) -> str:
        """Return as an expression the number of the property of slots that a state breaks, or 0."""
        map_ = self.model.map
        free = " + ".join(f"(1 - word[{self.word[word]}])" for word in map_.inuse)
        quiet = [
            f"!({self.each('INSIDE_{0}', ' || ')})",
            *(f"word[{self.word[mutex]}] < {DEAD}" for mutex in self.mortal),
            *(f"!word[{self.word[mark]}]" for mark in map_.marks if mark in self.word),
        ]
        judged = f"({' && '.join(quiet)} && word[{self.word[map_.num_free]}] != {free} -> {_NUMBER['counter']} : 0)"
        if property_check(self.model).held_once and len(self.numbers) > 1:
            twice = " || ".join(
                f"(HOLDS_{process} & ({' | '.join(f'HOLDS_{other}' for other in range(process))}))"
                for process in self.numbers[1:]
            )
            judged = f"({twice} -> {_NUMBER['held-once']} : {judged})"
        return judged

    # -- the steps ---------------------------------------------------------------------------------

    def process(self, process: int) -> Iterator[str]:
        """Write one proctype."""
        yield f"active proctype process_{process}() provided (!broken) {{"
        yield "end:\tdo  /* what is stuck is found by judge */"
        for action in self.actions:
            yield f"\t:: d_step {{ CAN_{process}_{action} -> row = c_expr {{ ROW_{process}_{action} }};"
            yield f"\t\tword[c_expr {{ LOCAL_{process}.action[{action}].word }}] = c_expr {{ AT(move_{process}, row).value }};"
            yield f"\t\tat_{process} = c_expr {{ AT(move_{process}, row).next }}; broken = JUDGED }}"
        if self.crashes:
            # From a deadlock nothing follows, not even a death.
            guard = f"DEATH_{process} >= 0 && {self.each('DEAD_{0}', ' + ')} < {self.crashes} && SOME_CAN_GO_ON"
            yield f"\t:: d_step {{ {guard} ->"
            for number in self.held:
                held = f"c_expr {{ LOCAL_{process}.held[{number}] }}"
                yield f"\t\tif :: {held} >= 0 -> word[{held}] = {DEAD} :: else fi;"
            yield f"\t\tat_{process} = DEATH_{process}; broken = JUDGED }}"
        yield "\tod"
        yield "}"
        yield ""


def _chunked(kind: str, process: int, rows: Sequence[str]) -> Iterator[str]:
    """Write a C table in pieces that Spin can read."""
    names = []
    for start in range(0, len(rows), _CHUNK):
        names.append(f"{kind}_{process}_{start // _CHUNK}")
        yield "c_decl {"
        yield f"static const struct {kind} {names[-1]}[] = {{"
        yield from rows[start : start + _CHUNK]
        yield "};"
        yield "}"
    yield f"c_decl {{ static const struct {kind} *const {kind}_{process}[] = {{{listed(names)}}}; }}"
    yield ""


def listed(items: Iterator[object] | Sequence[object]) -> str:
    return ", ".join(map(str, items))


def comment(text: str) -> str:
    return f"/* {re.sub(r'[*]/', '* /', text)} */"
