"""What is checked: an algorithm and its clients, compiled to automata and words.

Interface:

- `Configuration` says everything in a few plain values: it can be printed, stored and run again
  anywhere.
- `compile_model(configuration, algorithm)` returns the `Model` that the engines explore.
- A state of a model is (local state of each process, value index of each word, number of the
  monitor's set).
- `successors(state)` is the semantics: every step and every death that may come next. Engines that
  are faster must agree with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain
from typing import Any, NamedTuple

from slotmem_model.automata import client
from slotmem_model.automata.automaton import NEVER, Action, Automaton, Events, Move, build
from slotmem_model.automata.client import Statement
from slotmem_model.automata.graph import Graph
from slotmem_model.automata.kind import Kind, Place, Question
from slotmem_model.automata.ranks import ranks_of
from slotmem_model.automata.recording import tabulate, tabulated
from slotmem_model.automata.shared_words import DEAD, HELD, Map, Word
from slotmem_model.automata.slots_kind import SlotsKind
from slotmem_model.automata.store_buffer import buffered
from slotmem_model.checker.monitor import Monitor
from slotmem_model.checker.slots_question import slots_question
from slotmem_model.programs.question import is_program, program_question
from slotmem_model.programs.values import Values
from slotmem_model.spec import Operation

MEMORIES = ("sc", "tso", "pso")
CRASH_MODELS = ("durable", "strict")
STORES = 4
"""The stores in one buffer, if a process can go round: its stores have no end."""
_MOST = 1_000


@dataclass(frozen=True)
class Configuration:
    """One question to the checker."""

    algorithm: str = "reference"
    processes: int = 2
    slots: int = 2
    """0 for a program of one's own, which has none."""
    rounds: int = 1
    """How often each process repeats its client; 0: for ever."""
    clients: tuple[str, ...] = (client.DEFAULT,)
    """One client for all processes, or one for each."""
    crashes: int = 0
    """The number of processes that may die."""
    crash_model: str = "durable"
    """What may become of the operation inside which a process died: `durable`: it takes effect at
    any time, or never; `strict`: before the death, or never.
    """
    memory: str = "sc"
    slot_bytes: int = 2
    pregrab: bool = True
    stripes: int | None = None
    """The number of mutexes that guard slot bytes; None: one for each slot."""
    timeouts: bool = False
    """Whether a wait for a lock may end with APR_TIMEUP."""
    exceptions: bool = False
    """Whether an exception may end an operation at any access, and another one its way out; the
    process does nothing more then.
    """
    linearizable: bool = True
    """Whether the monitor runs along."""
    specification: str = ""
    """The class that says what a program of one's own must do, as module:Class or file.py:Class;
    empty: the one that it names itself, or else itself, run one operation at a time.
    """

    def __str__(self) -> str:
        counted = ((self.processes, "process", "es"), (self.slots, "slot", "s"), (self.rounds, "round", "s"))
        shown = [each for each in counted if each[0]]
        parts = [self.algorithm, *(f"{number} {noun}{plural * (number != 1)}" for number, noun, plural in shown)]
        if not self.rounds:
            parts.append("for ever")
        if self.crashes:
            parts.append(f"{self.crashes} crash" + "es" * (self.crashes > 1))
        if self.crash_model != "durable":
            parts.append(self.crash_model)
        if self.memory != "sc":
            parts.append(self.memory)
        if not self.pregrab:
            parts.append("no PREGRAB")
        if self.stripes is not None:
            parts.append(f"{self.stripes} stripe" + "s" * (self.stripes != 1))
        if self.slot_bytes != Configuration.slot_bytes:
            parts.append(f"slots of {self.slot_bytes} byte" + "s" * (self.slot_bytes != 1))
        if self.timeouts:
            parts.append("timeouts")
        if self.exceptions:
            parts.append("exceptions")
        if not self.linearizable:
            parts.append("no monitor")
        if self.specification:
            parts.append(f"specification {self.specification}")
        if self.clients != (client.DEFAULT,):
            parts.append(" | ".join(self.clients))
        return ", ".join(parts)


class State(NamedTuple):
    """One state of everything together."""

    locals: tuple[int, ...]
    words: tuple[int, ...]
    monitor: int


class Step(NamedTuple):
    """A step that may come next. action is the number of the action in the process's local state,
    or None for a death.
    """

    process: int
    action: int | None
    event: int
    state: State


@dataclass
class Model:
    """A configuration, compiled."""

    configuration: Configuration
    clients: tuple[tuple[Statement, ...], ...]
    processes: tuple[Automaton, ...]
    events: Events
    monitor: Monitor | None
    algorithm: Callable[[Any], Any] = field(repr=False)
    place: Place = field(repr=False)
    graph_of: Callable[[Operation], Graph] = field(repr=False)

    @property
    def kind(self) -> Kind:
        """The kind of program that it is."""
        return self.place.kind

    @property
    def words(self) -> tuple[Word, ...]:
        """Shared memory."""
        return self.place.kind.words

    @property
    def map(self) -> Map:
        """The words of slots; there are none in a model of another kind."""
        assert isinstance(self.kind, SlotsKind)
        return self.kind.map

    @property
    def initial(self) -> State:
        """The initial state."""
        words = tuple(word.values.index(word.initial) for word in self.words)
        return State((0,) * len(self.processes), words, self.monitor.initial if self.monitor else 1)

    def successors(self, state: State) -> Iterator[Step]:
        """Yield every step and every death that may come next."""
        dead = 0
        for process, automaton in enumerate(self.processes):
            local = automaton.locals[state.locals[process]]
            dead += local.end == "dead"
            for number, action in enumerate(local.actions):
                move = move_of(action, state.words)
                if move is not None:
                    yield self._stepped(state, process, number, action, move)
        if dead < self.configuration.crashes:
            for process, automaton in enumerate(self.processes):
                local = automaton.locals[state.locals[process]]
                if local.crash is not None:
                    words = list(state.words)
                    for mutex in local.held:
                        assert words[mutex] == HELD
                        words[mutex] = DEAD
                    locals_ = _replaced(state.locals, process, local.crash)
                    monitor = self._told(state.monitor, local.crash_event)
                    yield Step(process, None, local.crash_event, State(locals_, tuple(words), monitor))

    def _told(self, monitor: int, event: int) -> int:
        """Return the monitor's set after an event."""
        return self.monitor.advance(monitor, event) if self.monitor and event else monitor

    def _stepped(self, state: State, process: int, number: int, action: Action, move: Move) -> Step:
        words = state.words
        if action.access.touches:
            words = _replaced(words, action.access.word, move.value)
        monitor = self._told(state.monitor, move.event)
        return Step(process, number, move.event, State(_replaced(state.locals, process, move.target), words, monitor))


def move_of(action: Action, words: tuple[int, ...]) -> Move | None:
    """Return where an action leads, or None if it must wait."""
    move = action.moves[words[action.access.word] if action.access.touches else 0]
    assert move != NEVER, action
    return move


def _replaced(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at + 1 :])


def compile_model(
    configuration: Configuration,
    algorithm: Callable[[Any], Any],
    *,
    files: frozenset[str] = frozenset(),
    tick: Callable[[], None] = lambda: None,
    values: Values | None = None,
    shown: frozenset[str] = frozenset(),
    specification: Any = None,
) -> Model:
    """Compile a configuration. algorithm makes an instance from an image; the source lines of
    `files` that its steps run are noted. tick is called often meanwhile, and may end it by raising.
    values: those of a program's words; None: the initial ones. shown: files of functions whose line
    and local variables are kept with each step.
    specification: the class that the configuration names.

    Raises:
        ValueError: for a configuration that means nothing.
        BadClient, TooLarge, NotAFunction: kinds of ValueError.
    """
    check(configuration)
    values = values or Values()
    asked = _question(configuration, algorithm, values, specification)
    place, automata, events, graph_of = _automata(configuration, algorithm, asked, files, shown, tick, values)
    if configuration.memory != "sc":
        ordered = configuration.memory == "tso"
        automata = [
            buffered(each, place.kind.words, STORES if ranks_of(each) is None else math.inf, ordered=ordered)
            for each in automata
        ]
    monitor = Monitor(asked.initial, configuration.processes, events.table, asked.step)
    return Model(
        configuration,
        asked.clients,
        tuple(automata),
        events,
        monitor if configuration.linearizable else None,
        algorithm,
        place,
        graph_of,
    )


def _question(
    configuration: Configuration, algorithm: Callable[[Any], Any], values: Values, specification: Any
) -> Question:
    if is_program(algorithm):
        return program_question(
            algorithm,
            configuration.clients,
            processes=configuration.processes,
            values=values,
            specification=specification,
        )
    if configuration.slots < 1:
        raise ValueError(f"slots must be at least 1, got {configuration.slots}")
    return slots_question(
        algorithm,
        configuration.clients,
        processes=configuration.processes,
        slots=configuration.slots,
        slot_bytes=configuration.slot_bytes,
        pregrab=configuration.pregrab,
        stripes=configuration.stripes,
        rounds=configuration.rounds,
    )


def _automata(
    configuration: Configuration,
    algorithm: Callable[[Any], Any],
    asked: Question,
    files: frozenset[str],
    shown: frozenset[str],
    tick: Callable[[], None],
    values: Values,
) -> tuple[Place, list[Automaton], Events, Callable[[Operation], Graph]]:
    """Build the automata for the values that words can have, again and again until no step stores a
    new one.

    Registers are forgotten after each round, so one round does all that any round does; only the
    last building has all of them.
    """
    kind, possible = asked.kind, values.possible or [set(each) for each in asked.possible]
    values.possible = possible
    rounds = 1
    while True:
        place = Place(
            kind, tuple(map(frozenset, possible)), configuration.timeouts, configuration.exceptions, shown=shown
        )
        graph_of = cache(partial(tabulated, values.tables, algorithm, place, tick=tick))
        while True:
            events = Events()
            automata = [
                build(
                    statements,
                    rounds,
                    process,
                    kind,
                    graph_of,
                    events,
                    tells_crashes=configuration.crash_model == "strict",
                )
                for process, statements in enumerate(asked.clients)
            ]
            if _widen(possible, automata, configuration.crashes > 0):
                break
            if rounds == configuration.rounds:
                # Tracing lines is slow, so it is done only once, for what is asked afterwards.
                traced = place._replace(files=files)
                return traced, automata, events, cache(partial(tabulate, algorithm, traced)) if files else graph_of
            rounds = configuration.rounds


def _widen(possible: list[set[int]], automata: list[Automaton], may_die: bool) -> bool:
    """Add to the values of each word those that steps and deaths leave in it.

    Return whether any of them were new.
    """
    before = sum(map(len, possible))
    for local in chain.from_iterable(automaton.locals for automaton in automata):
        for action in local.actions:
            if action.access.touches:
                possible[action.access.word] |= {move.value for move in action.moves if move and move != NEVER}
        if may_die:
            for mutex in local.held:
                possible[mutex].add(DEAD)
    return sum(map(len, possible)) > before


def check(configuration: Configuration) -> None:
    """Refuse a configuration that means nothing.

    Raises:
        ValueError
    """
    for name, least in (
        ("processes", 1),
        ("slots", 0),
        ("rounds", 0),
        ("crashes", 0),
        ("slot_bytes", 1),
        ("stripes", 1),
    ):
        got = getattr(configuration, name)
        if got is None:
            continue
        if got < least:
            raise ValueError(f"{name.replace('_', ' ')} must be at least {least}, got {got}")
        if got > _MOST:
            raise ValueError(f"{name.replace('_', ' ')} may be {_MOST:,} at most, got {got:,}: more are never explored")
    if configuration.crashes > configuration.processes:
        raise ValueError(
            f"got {configuration.crashes} crashes for {configuration.processes} processes; expected at most as many"
        )
    if configuration.crash_model not in CRASH_MODELS:
        raise ValueError(f"crash model {configuration.crash_model!r} is not one of {', '.join(CRASH_MODELS)}")
    if configuration.memory not in MEMORIES:
        raise ValueError(f"memory model {configuration.memory!r} is not one of {', '.join(MEMORIES)}")
    if len(configuration.clients) not in (1, configuration.processes):
        raise ValueError(
            f"got {len(configuration.clients)} clients for {configuration.processes} processes; expected one for all, "
            "or one for each"
        )
