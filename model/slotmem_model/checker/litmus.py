"""Litmus tests: tiny programs whose possible outcomes tell one memory model from another.

Interface:

- `LITMUS` maps a name to a `Litmus`: what each process does, and the outcomes that each memory
  model allows.
- `outcomes(test, memory)` explores every interleaving, by the same steps and store buffers as any
  other check, and returns the outcomes that can be reached. They must be those that are listed.

A program is a few statements: `x = 1` stores, `a = y` loads a shared variable into a register,
`fence` waits until all stores are seen by everybody, `lock x += 1` adds in one step. Variables are
x, y and z; every other name is a register, a word that one process writes and nobody reads. All
are initially 0. An outcome is the values of the registers, in order of their names, and after them
the variables that the test asks for.

Source: P. Sewell et al., x86-TSO: a rigorous and usable programmer's model for x86 multiprocessors,
CACM 53(7), 2010; for partial store order S. V. Adve and K. Gharachorloo, Shared memory consistency
models: a tutorial, IEEE Computer 29(12), 1996; the names are the field's.
"""

from __future__ import annotations

import re
from functools import cache, partial
from typing import Any, NamedTuple

from slotmem_model.automata.automaton import Events, build
from slotmem_model.automata.client import Statement
from slotmem_model.automata.kind import Place
from slotmem_model.automata.recording import tabulate
from slotmem_model.automata.shared_words import ExtraWord, geometry, words_of
from slotmem_model.automata.slots_kind import SlotsKind
from slotmem_model.automata.store_buffer import buffered
from slotmem_model.checker.model import MEMORIES, Configuration, Model

VALUES = 3
VARIABLES = ("x", "y", "z")
Outcome = tuple[int, ...]
_STATEMENT = re.compile(r"(?P<lock>lock )?(?P<left>[a-z]) (?P<sign>\+?)= (?P<right>[a-z0-9])$")


class Litmus(NamedTuple):
    """One test."""

    name: str
    sentence: str
    processes: tuple[str, ...]
    sc: frozenset[Outcome]
    """What sequentially consistent memory allows."""
    tso_more: frozenset[Outcome]
    """What store buffers allow beyond that."""
    pso_more: frozenset[Outcome] = frozenset()
    """What a buffer for each word allows beyond both."""
    finally_: tuple[str, ...] = ()
    """Variables whose last value belongs to the outcome."""

    @property
    def shown(self) -> tuple[str, ...]:
        """The names of the values in an outcome."""
        names = re.findall(r"[a-z]\b", " ".join(self.processes).replace("lock", "").replace("fence", ""))
        return (*sorted({*names} - {*VARIABLES}), *self.finally_)

    def allowed(self, memory: str) -> frozenset[Outcome]:
        """Return the outcomes that a memory model allows."""
        more = {"sc": frozenset[Outcome](), "tso": self.tso_more, "pso": self.tso_more | self.pso_more}
        return self.sc | more[memory]


class Program:
    """The processes of a test as an algorithm: operation `run(p)` is what process p does."""

    def __init__(self, test: Litmus, image: Any) -> None:
        self.test = test
        self.image = image

    def run(self, process: int) -> None:
        """Do the statements of a process.

        Raises:
            ValueError: for a statement that cannot be read.
        """
        for text in self.test.processes[process].split("; "):
            if text == "fence":
                self.image.fence()
                continue
            match = _STATEMENT.match(text)
            if match is None:
                raise ValueError(f"litmus statement {text!r} is not like 'x = 1', 'a = x', 'fence' or 'lock x += 1'")
            left, right = self.image.extra[match["left"]], match["right"]
            if match["lock"]:
                self.image.fetch_add(self.image.cell(left, 0), int(right))
            else:
                left[0] = int(right) if right.isdigit() else self.image.extra[right][0]


def compile_litmus(test: Litmus, memory: str) -> Model:
    """Compile a test to the automata of its processes.

    Raises:
        ValueError
    """
    if memory not in MEMORIES:
        raise ValueError(f"memory model {memory!r} is not one of {', '.join(MEMORIES)}")
    shape = geometry(item_size=1, item_num=1)
    names = dict.fromkeys((*VARIABLES, *test.shown))
    map_ = words_of(shape, values=1, slack=0, extra=tuple(ExtraWord(name, VALUES) for name in names))
    kind = SlotsKind(shape, map_)
    place = Place(kind, tuple(frozenset(range(len(word.values))) for word in map_.words))
    algorithm = partial(Program, test)
    graph_of = cache(partial(tabulate, algorithm, place))
    events = Events()
    clients = tuple((Statement("run", (process,)),) for process in range(len(test.processes)))
    automata = [build(client, 1, process, kind, graph_of, events) for process, client in enumerate(clients)]
    if memory != "sc":
        automata = [buffered(automaton, map_.words, ordered=memory == "tso") for automaton in automata]
    configuration = Configuration(f"litmus {test.name}", len(clients), 1, memory=memory, linearizable=False)
    return Model(configuration, clients, tuple(automata), events, None, algorithm, place, graph_of)


def outcomes(test: Litmus, memory: str) -> frozenset[Outcome]:
    """Explore every interleaving of a test; return the outcomes that can be reached."""
    model = compile_litmus(test, memory)
    shown = [model.map.extra[name] for name in test.shown]
    found, waiting = {model.initial}, [model.initial]
    ends = set()
    while waiting:
        state = waiting.pop()
        after = [step.state for step in model.successors(state)]
        if not after:
            ends.add(tuple(state.words[word] for word in shown))
        waiting += set(after) - found
        found.update(after)
    return frozenset(ends)


def _outcomes(text: str) -> frozenset[Outcome]:
    return frozenset(tuple(map(int, outcome)) for outcome in text.split())


def _litmus(
    name: str, sentence: str, *processes: str, sc: str, more: str = "", pso: str = "", finally_: str = ""
) -> Litmus:
    return Litmus(name, sentence, processes, _outcomes(sc), _outcomes(more), _outcomes(pso), tuple(finally_))


_TESTS = (
    _litmus(
        "SB",
        "Store buffering: each stores its own and loads the other's; with store buffers both may see nothing.",
        "x = 1; a = y",
        "y = 1; b = x",
        sc="01 10 11",
        more="00",
    ),
    _litmus(
        "SB+fences",
        "Store buffering with a fence between store and load: somebody sees the other's store.",
        "x = 1; fence; a = y",
        "y = 1; fence; b = x",
        sc="01 10 11",
    ),
    _litmus(
        "SB+fence",
        "Store buffering with one fence of two: not enough.",
        "x = 1; fence; a = y",
        "y = 1; b = x",
        sc="01 10 11",
        more="00",
    ),
    _litmus(
        "SB+locks",
        "Store buffering with locked additions as stores: they wait for the buffer, and go past it.",
        "lock x += 1; a = y",
        "lock y += 1; b = x",
        sc="01 10 11",
    ),
    _litmus(
        "SB+own",
        "Each also loads its own store, at once from the buffer: that does not drain it.",
        "x = 1; a = x; b = y",
        "y = 1; c = y; d = x",
        sc="1011 1110 1111",
        more="1010",
    ),
    _litmus(
        "MP",
        "Message passing: a process that sees the flag sees the message, if stores drain in order.",
        "x = 1; y = 1",
        "a = y; b = x",
        sc="00 01 11",
        pso="10",
    ),
    _litmus(
        "MP+fence",
        "Message passing with a fence between the two stores: the message is there before the flag.",
        "x = 1; fence; y = 1",
        "a = y; b = x",
        sc="00 01 11",
    ),
    _litmus(
        "S",
        "A store that comes after a load of the flag is the last one, if stores drain in order.",
        "x = 2; y = 1",
        "a = y; x = 1",
        sc="01 02 11",
        pso="12",
        finally_="x",
    ),
    _litmus(
        "LB",
        "Load buffering: no load sees a store that comes after another's load.",
        "a = x; y = 1",
        "b = y; x = 1",
        sc="00 01 10",
    ),
    _litmus(
        "CoRR",
        "Coherence: two loads of one variable never see its values in the wrong order.",
        "x = 1",
        "a = x; b = x",
        sc="00 01 11",
    ),
    _litmus(
        "CoRW",
        "Coherence: a load does not see a store of its own process that comes after it.",
        "a = x; x = 1",
        "x = 2",
        sc="01 02 21",
        finally_="x",
    ),
    _litmus(
        "2+2W",
        "Two stores each, crosswise: the last values are not both the first stores, if stores drain in order.",
        "x = 1; y = 2",
        "y = 1; x = 2",
        sc="12 21 22",
        pso="11",
        finally_="xy",
    ),
    _litmus(
        "R",
        "A store is overtaken in the buffer by the load that follows it.",
        "x = 1; y = 1",
        "y = 2; a = x",
        sc="01 11 12",
        more="02",
        finally_="y",
    ),
    _litmus(
        "n6",
        "A process sees its own store while another's store to the same variable is the last one.",
        "x = 1; a = x; b = y",
        "y = 2; x = 2",
        sc="102 121 122 222",
        more="101",
        pso="202",
        finally_="x",
    ),
    _litmus(
        "WRC",
        "Write-to-read causality: what the second has seen and passed on, the third sees.",
        "x = 1",
        "a = x; y = 1",
        "b = y; c = x",
        sc="000 001 010 011 100 101 111",
    ),
    _litmus(
        "IRIW",
        "Independent reads of independent writes: two readers never disagree about the order of two stores.",
        "x = 1",
        "y = 1",
        "a = x; b = y",
        "c = y; d = x",
        sc="0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1011 1100 1101 1110 1111",
    ),
)
LITMUS = {test.name: test for test in _TESTS}
