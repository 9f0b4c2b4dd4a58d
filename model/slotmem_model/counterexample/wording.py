"""How operations, results, accesses and processes are named in text, pictures and traces.

Processes are numbered from 1 for people, so that the client `put(a, me)` of process 1 stores ones;
slots from 0, as in Apache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slotmem_model.automata.accesses import Access
from slotmem_model.automata.shared_words import LOST, Word
from slotmem_model.checker.progress.lasso import PROGRESS
from slotmem_model.checker.properties import ALWAYS
from slotmem_model.spec import SUCCESS, As, Operation, Result


def property_(name: str) -> str:
    """Return the sentence of a property; empty for what is none."""
    return {**ALWAYS, **PROGRESS}.get(name, "")


def process(number: int) -> str:
    """Name a process, given its number in the model."""
    return f"process {number + 1}"


def hexed(data: bytes) -> str:
    """Show bytes: 01 02."""
    return data.hex(" ") or "nothing"


def operation(what: Operation) -> str:
    """Show an operation as a call: put(0, 01 01)."""
    name, *given = what
    arguments = [each for each in given if not isinstance(each, As)]  # its lane says who asks
    return f"{name}({', '.join(hexed(each) if isinstance(each, bytes) else str(each) for each in arguments)})"


def call(what: Operation) -> str:
    """Show an operation of a program as a call: push(1)."""
    name, *arguments = what
    return f"{name}({', '.join(map(repr, arguments))})"


def result(name: str, what: Result) -> str:
    """Show what an operation of this name answered."""
    if what.status != SUCCESS:
        return what.status
    if name == "grab":
        return f"slot {what.value}"
    if isinstance(what.value, bytes):
        return hexed(what.value)
    if name == "tenant":
        return (
            f"{process(what.value[0] - 1)}, {'put' if what.value[1] else 'not put'} since" if what.value else "nobody"
        )
    if isinstance(what.value, tuple):
        return f"slots {listed(what.value)}" if what.value else "no slots"
    return "ok" if what.value is None else str(what.value)


def listed(items: Iterable[object], last: str = "and") -> str:
    """Join words as in prose: a, b and c."""
    words = [str(item) for item in items]
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def access(what: Access | None, words: Sequence[Word]) -> str:
    """Name what a step does, whatever value it finds: the form in which traces keep it."""
    if what is None:
        return "dies"
    if what.word < 0 or what.kind == "exception":
        return what.kind
    word, argument = words[what.word], what.argument
    parts = [what.kind, word.name]
    if what.raises:
        parts.append("and gets an exception")
    if what.kind == "unlock":
        parts += ["not recoverable"] if argument == LOST else []
    elif what.kind == "cas":
        parts += [f"{word.said(argument[0])} -> {word.said(argument[1])}"]
    elif what.kind in ("store", "buffer"):
        parts += [word.said(argument)]
    elif argument is not None:
        parts += [str(argument)]
    return " ".join(parts)


def change(what: Access, words: Sequence[Word], before: int, after: int) -> str:
    """Describe what a step did to its word, given the indexes of the values before and after."""
    if what.raises:
        return f"{change(what._replace(raises=False), words, before, after)}, and gets an exception"
    if what.word < 0 or what.kind == "exception":
        return {"begin": "accesses nothing", "exception": "gets an exception", "fence": "fence"}[what.kind]
    word = words[what.word]
    old, new = word.shown(before), word.shown(after)
    changed = f"{word.name}: {old} -> {new}"
    match what.kind:
        case "load":
            return f"reads {word.name}: {old}"
        case "await":
            return f"has waited for {word.name}: {old}"
        case "reread" | "reawait":
            return f"reads {word.name}: {new} (own buffer)"
        case "buffer":
            return f"buffers {word.name}: {new}"
        case "drain":
            return f"{changed} (drains)"
        case "timeout":
            return f"times out waiting for {word.name}"
        case "trylock" | "lock" if before == after:
            return f"{word.name} is {old}"
        case "cas":
            return f"{changed} (cas)" if before != after else f"cas {word.name}: {old}, not {what.argument[0]}"
        case "add":
            return f"{changed} (add)"
    return changed
