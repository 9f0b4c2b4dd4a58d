"""A property of progress for Spin: the model as Promela, with a claim about runs without end.

Interface: `progress_promela(model, name)` returns the text; `RUN` is how to check it.

Nothing of the graph search is used here, nor its definitions: they are said in another way. Spin
looks for runs that are weakly fair (`-f`: a process that can go on, for ever without interruption,
does). So

- waiting is a step that changes nothing: a process that can do no step of its own does that;
- that somebody may be stopped, for the properties that allow it, is a step after which a process
  does nothing; each may take it at any time;
- each store buffer is a process of its own, which nobody stops.

`who` did the last step (a buffer: nobody), and `ends` says whether an operation ended with it. The
claim accepts the runs that break the property: from some moment on, nothing ends that must end.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotmem_model.automata.automaton import Action, Local, Move
from slotmem_model.automata.shared_words import DEAD
from slotmem_model.checker.model import Model
from slotmem_model.checker.progress.lasso import (
    DEADLOCK_FREE,
    FAIR,
    LOCK_FREE,
    OBSTRUCTION_FREE,
    PROGRESS,
    STARVATION_FREE,
    WAIT_FREE,
)
from slotmem_model.checker.promela import HEAD, Writer, comment

RUN = "spin -a model.pml && gcc -O2 -w -DNOREDUCE -DNFAIR=3 -o pan pan.c && ./pan -a -f -m1000000"
_NOBODY = 255


def progress_promela(model: Model, name: str) -> str:
    """Write a model as Promela, and the claim that this property does not hold."""
    return "\n".join(_ProgressWriter(model, name).lines()) + "\n"


class _ProgressWriter(Writer):
    def __init__(self, model: Model, name: str) -> None:
        super().__init__(model)
        self.name = name
        buffers = range(len(self.actions), len(self.actions) + (model.configuration.memory == "tso"))
        self.own, self.buffers = self.actions, buffers
        self.actions = range(len(self.own) + len(buffers))

    def lines(self) -> Iterator[str]:
        yield comment(f"{self.model.configuration}: is it {self.name} ({PROGRESS[self.name]})?")
        yield comment(RUN)
        yield f"#define HELD {len(self.held)}"
        yield f"#define ACTIONS {len(self.actions)}"
        yield HEAD.replace("int next, value;", "int next, value, ends;")
        for automaton in self.model.processes:
            yield from self.tables(automaton)
        yield from self.state()
        yield f"byte who = {_NOBODY};"
        yield "bit ends;"
        if self.name not in FAIR:
            yield f"bit stopped[{len(self.numbers)}];"
        yield ""
        yield from self.standing()
        for process in self.numbers:
            can = " || ".join(f"CAN_{process}_{action}" for action in self.own)
            yield f"#define WAITS_{process} (!ENDED_{process} && !({can}))"
            yield f"#define GOES_ON_{process} (!ENDED_{process}{'' if self.name in FAIR else f' && !stopped[{process}]'})"
        yield ""
        for process in self.numbers:
            yield from self.process(process)
        yield from self.claim()

    def columns(self, local: Local) -> list[Action | None]:
        """Return the process's own actions, and last what its store buffer may do."""
        own = [each for each in local.actions if each.access.kind != "drain"]
        drains = [each for each in local.actions if each.access.kind == "drain"]
        return [*own, *(None for _ in self.own[len(own) :]), *drains, *(None for _ in self.buffers[len(drains) :])]

    def row(self, move: Move, value: int) -> tuple[int, ...]:
        """Return what a move does, and whether an operation ends with it."""
        ends = any(kind == "return" for kind, _, _ in self.model.events.table[move.event])
        return (move.target, value, int(ends))

    def process(self, process: int) -> Iterator[str]:
        """Write a process, and its store buffer."""
        yield f"active proctype process_{process}() {{"
        yield "end:\tdo"
        for action in self.own:
            yield from self.step(process, action, f"GOES_ON_{process} && ", str(process))
        yield f"\t:: d_step {{ GOES_ON_{process} && WAITS_{process} -> who = {process}; ends = 0 }}"
        if self.name not in FAIR:
            yield f"\t:: d_step {{ GOES_ON_{process} -> stopped[{process}] = 1; who = {_NOBODY}; ends = 0 }}"
        if self.crashes:
            dead = self.each("DEAD_{0}", " + ")
            yield (
                f"\t:: d_step {{ GOES_ON_{process} && DEATH_{process} >= 0 && {dead} < {self.crashes} && SOME_CAN_GO_ON ->"
            )
            for number in self.held:
                held = f"c_expr {{ LOCAL_{process}.held[{number}] }}"
                yield f"\t\tif :: {held} >= 0 -> word[{held}] = {DEAD} :: else fi;"
            yield f"\t\tat_{process} = DEATH_{process}; who = {_NOBODY}; ends = 0 }}"
        yield "\tod"
        yield "}"
        for action in self.buffers:
            yield f"active proctype buffer_{process}() {{"
            yield "end:\tdo"
            yield from self.step(process, action, "", str(_NOBODY))
            yield "\tod"
            yield "}"
        yield ""

    def step(self, process: int, action: int, guard: str, who: str) -> Iterator[str]:
        """Write one step of a process or of its buffer."""
        move = f"AT(move_{process}, row)"
        yield f"\t:: d_step {{ {guard}CAN_{process}_{action} -> row = c_expr {{ ROW_{process}_{action} }};"
        yield f"\t\tword[c_expr {{ LOCAL_{process}.action[{action}].word }}] = c_expr {{ {move}.value }};"
        yield f"\t\tat_{process} = c_expr {{ {move}.next }}; ends = c_expr {{ {move}.ends }}; who = {who} }}"

    def claim(self) -> Iterator[str]:
        """Write the claim: from some moment on, one of these conditions holds for ever."""
        found = list(self.conditions())
        yield "never {"
        yield "start:\tif"
        yield "\t:: true -> goto start"
        for number, condition in enumerate(found):
            yield f"\t:: {condition} -> goto accept_{number}"
        yield "\tfi;"
        for number, condition in enumerate(found):
            yield f"accept_{number}:"
            yield f"\tif :: {condition} -> goto accept_{number} fi;"
        yield "}"

    def conditions(self) -> Iterator[str]:
        """Yield the ways to break the property."""
        some_goes_on = f"({self.each('GOES_ON_{0}', ' || ')})"
        if self.name in (LOCK_FREE, DEADLOCK_FREE):
            yield f"(!ends && {some_goes_on})"
        for process in self.numbers:
            if self.name in (WAIT_FREE, STARVATION_FREE):
                yield f"(!(ends && who == {process}) && GOES_ON_{process})"
            if self.name == OBSTRUCTION_FREE:
                others = "".join(f" && !GOES_ON_{other}" for other in self.numbers if other != process)
                yield f"(!ends && GOES_ON_{process}{others})"
