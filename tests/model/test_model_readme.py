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
from slotmem_model.automata.recording import IMPOSSIBLE, Leaf, tabulate
from slotmem_model.checker import shortest
from slotmem_model.checker.model import Configuration, compile_model
from slotmem_model.checker.properties import ALWAYS, SOMETIMES
from slotmem_model.commands import check as check_command
from slotmem_model.counterexample import picture, wording
from slotmem_model.counterexample.explain import explain

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


@pytest.mark.parametrize("name", ["algorithm", "automaton", "always", "sometimes"])
def test_examples(name):
    """The algorithm, its automaton and the properties stand in the README as they are."""
    made = {
        "algorithm": algorithm,
        "automaton": automaton,
        "always": lambda: properties(ALWAYS),
        "sometimes": lambda: properties(SOMETIMES),
    }
    assert shown(name) == made[name]()


def test_output(capsys):
    """The output of the check stands in the README as it is, but for the seconds."""
    check()
    printed = capsys.readouterr().out.rstrip("\n").splitlines()

    def timeless(text):
        return re.sub(r"\b\d+\.\d\b", "0.0", text)

    assert timeless(shown("check")) == timeless(fenced(printed))


def test_picture():
    """The picture beside the README is the one that the checker draws."""
    model = compile_model(RACE, Httpd)
    found = shortest.find(model)
    assert (MODEL / "race.svg").read_text(encoding="utf-8") == picture.drawn(explain(model, found.broken, found.steps))


def test_links():
    """Every file that the README names is there."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert len(links) > 10
    assert all((MODEL / link).exists() for link in links)
