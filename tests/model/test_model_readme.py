"""model/README.md shows what the checker really does: its examples are made here again, and
compared.
"""

import argparse
import inspect
import re
import textwrap
from pathlib import Path

import pytest

from slotmem_model.algorithms.httpd import Httpd
from slotmem_model.automata.graph import IMPOSSIBLE
from slotmem_model.automata.kind import Leaf
from slotmem_model.automata.recording import tabulate
from slotmem_model.checker import shortest
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.progress.lasso import PROGRESS
from slotmem_model.checker.properties import ALWAYS, SOMETIMES
from slotmem_model.commands import check as check_command
from slotmem_model.counterexample import picture, wording
from slotmem_model.counterexample.explain import explain
from slotmem_model.judge.budget import Budget
from slotmem_model.judge.events import History, Invoke, Return
from slotmem_model.judge.search import Possibilities

MODEL = Path(__file__).parents[2] / "model"
README = (MODEL / "README.md").read_text(encoding="utf-8")
RACE = Configuration("httpd", slots=1, clients=("grab -> a",))


def algorithm():
    """Return httpd's grab, and what it is made of."""
    parts = (Httpd.grab, Httpd.take, Httpd.lowest_free, Httpd.mark, Httpd.count)
    return "```python\n" + "\n\n".join(textwrap.dedent(inspect.getsource(part)) for part in parts) + "```"


def automaton():
    """Draw the automaton of grab, one line for each node."""
    model = compile_model(RACE, Httpd)
    graph, words = tabulate(model.algorithm, model.place, ("grab",)), model.map.words
    order = [graph.root]
    lines = []
    for at in order:
        node = graph.nodes[at]
        if isinstance(node, Leaf):
            lines.append(f"{order.index(at)}  returns {wording.result('grab', node.result)}")
            continue
        word = words[node.access.word]
        leads = {}
        for value, move in zip(word.values, node.moves, strict=True):
            if value <= 1 and move != IMPOSSIBLE:
                order += [move[1]] if move[1] not in order else []
                leads.setdefault(order.index(move[1]), []).append(word.said(value))
        if node.access.kind == "store":
            (to,) = leads
            answers = f"then {to}"
        else:
            answers = ", ".join(f"{' or '.join(values)}: then {to}" for to, values in leads.items())
        lines.append(f"{order.index(at)}  {wording.access(node.access, words):<18}  {answers}")
    return fenced(lines)


def check():
    """Return what `slotmem check` prints about the race."""
    parser = argparse.ArgumentParser()
    check_command.configure(parser)
    assert check_command.run(parser.parse_args(["httpd", "--slots", "1", "--client", "grab -> a"])) == 1


def check_progress():
    """Return what `slotmem check --progress` prints about a spinlock."""
    parser = argparse.ArgumentParser()
    check_command.configure(parser)
    given = ["spin-lock", "--client", "num_free_slots", "--progress", "starvation-free"]
    assert check_command.run(parser.parse_args(given)) == 1


def check_program(folder):
    """Return what `slotmem check` prints about the README's program."""
    program = README.partition("<!-- counter.py -->\n```python\n")[2].partition("```")[0]
    (folder / "counter.py").write_text(program, encoding="utf-8")
    parser = argparse.ArgumentParser()
    check_command.configure(parser)
    assert check_command.run(parser.parse_args(["counter.py"])) == 1


def judge():
    """Draw a history of one slot, with the possibilities that the judge holds after each event."""

    def step(value, operation):
        yield (value, value) if operation == "get" else (int(operation[4]), None)

    def lane(call):
        said = f" {call.operation}{'' if call.result is None else f': {call.result}'} "
        bar = f"├{said:─^{9 * (call.returned - call.invoked) - 1}}┤"
        return f"process {call.process}  {' ' * 9 * call.invoked}{bar}"

    history = History.from_events(
        [
            *(Invoke(1, "put(1)"), Invoke(2, "put(2)"), Return(1, None), Return(2, None)),
            *(Invoke(3, "get"), Return(3, 1), Invoke(4, "get"), Return(4, 2)),
        ]
    )
    lines = [f"event      {''.join(f'{number:<9}' for number in range(1, 9))}".rstrip(), *map(lane, history.calls), ""]
    so_far = Possibilities(history.calls, [0], step, Budget(None, None))
    for number, moment in enumerate(history.moments, 1):
        call = history.calls[moment >> 1]
        so_far.return_(moment >> 1) if moment & 1 else so_far.invoke(moment >> 1)
        held = [f"{each.state}{' after put(2)' if each.done else ''}" for each in sorted(so_far.held)]
        happens = f"process {call.process} {'returns' if moment & 1 else 'calls'}"
        lines.append(f"{number}  {happens:<18} {', or '.join(held) or 'nothing is possible'}")
    return fenced(lines)


def fenced(lines):
    """Put a fence around lines."""
    return "\n".join(["```", *lines, "```"])


def properties(given):
    """List properties as Markdown."""
    return "\n".join(f"- `{name}`: {sentence}" for name, sentence in given.items())


def shown(name):
    """Return what the README has behind a marker: a fenced block, or a list."""
    rest = README.partition(f"<!-- generated: {name} -->\n")[2]
    if rest.startswith("```"):
        return re.match(r"```.*?\n```(?=\n)", rest, re.S)[0]
    return rest.partition("\n\n")[0]


@pytest.mark.parametrize("name", ["algorithm", "automaton", "always", "sometimes", "progress", "judge"])
def test_examples(name):
    """The algorithm, its automaton and the properties stand in the README as they are."""
    made = {
        "algorithm": algorithm,
        "automaton": automaton,
        "judge": judge,
        "always": lambda: properties(ALWAYS),
        "sometimes": lambda: properties(SOMETIMES),
        "progress": lambda: properties(PROGRESS),
    }
    assert shown(name) == made[name]()


@pytest.mark.parametrize("name", ["check", "program", "endless"])
def test_output(name, capsys, tmp_path, monkeypatch):
    """The output of the check stands in the README as it is, but for the seconds."""
    monkeypatch.chdir(tmp_path)
    if name == "check":
        check()
    elif name == "endless":
        check_progress()
    else:
        check_program(tmp_path)
    printed = capsys.readouterr().out.rstrip("\n").splitlines()

    def timeless(text):
        return re.sub(r"\b\d+\.\d\b", "0.0", text)

    assert timeless(shown(name)) == timeless(fenced(printed))


def test_picture():
    """The picture beside the README is the one that the checker draws."""
    model = compile_model(RACE, Httpd)
    found = shortest.find(model)
    assert (MODEL / "race.svg").read_text(encoding="utf-8") == picture.drawn(explain(model, found.broken, found.steps))
