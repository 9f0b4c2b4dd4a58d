"""What went wrong, in one sentence, and which operations and words it is about.

Interface: `blame(explanation)` returns (sentence, numbers of the intervals, words). Each property
has its own function.
"""

from __future__ import annotations

from slotmem_model.automata.shared_words import FREE, HELD
from slotmem_model.checker.model import State
from slotmem_model.checker.properties import SlotsCheck, fault_property
from slotmem_model.counterexample import wording
from slotmem_model.counterexample.story import Explanation
from slotmem_model.programs.kind import ProgramKind
from slotmem_model.spec import SUCCESS

Blamed = tuple[str, frozenset[int], frozenset[int]]


def blame(told: Explanation) -> Blamed:
    """Return a sentence that says why the last state breaks its property, and what it is about."""
    return {
        "held-once": _held_twice,
        "nothing-torn": _torn,
        "counter": _counter,
        "memory": _memory,
        "no-deadlock": _deadlock,
        "linearizable": _unexplained,
        "invariant": _said,
        "final": _said,
    }.get(told.broken, _fault)(told)


def _held_twice(told: Explanation) -> Blamed:
    model, last = told.model, told.states[-1]
    holders: dict[int, list[int]] = {}
    for process, automaton in enumerate(model.processes):
        for slot in range(model.configuration.slots):
            if automaton.locals[last.locals[process]].holds >> slot & 1:
                holders.setdefault(slot, []).append(process)
    slot, both = next((slot, processes) for slot, processes in holders.items() if len(processes) > 1)
    grabs = frozenset(
        max(
            number
            for number, interval in enumerate(told.intervals)
            if interval.process == process and interval.operation[0] == "grab" and interval.result == (SUCCESS, slot)
        )
        for process in both
    )
    who = wording.listed(process + 1 for process in both)
    return f"processes {who} were both given slot {slot}", grabs, frozenset({model.map.inuse[slot]})


def _torn(told: Explanation) -> Blamed:
    number, torn = next((number, each) for number, each in enumerate(told.intervals) if each.fault)
    map_ = told.model.map
    words = {*map_.inuse, *(word for slot in map_.slot_bytes for word in slot)}
    asked = map_.slot_bytes[torn.operation[1]]
    reads = [
        at
        for at, each in enumerate(told.happenings)
        if each.interval == number
        and each.access
        and each.access.kind in ("load", "reread", "await", "reawait")
        and each.word in words
    ][-len(bytes.fromhex(torn.answer)) :]
    culprits, parts = {number}, []
    for byte, read in enumerate(reads):
        name = f"byte {byte}"
        if told.happenings[read].word not in asked:  # it read beyond the slot
            name += f", which is {map_.words[told.happenings[read].word].name},"
        writer = _writer(told, read)
        if writer is None:
            parts.append(f"{name} is from before any put")
            continue
        culprits.add(writer)
        is_repair = told.happenings[read].word in asked and told.intervals[writer].operation[0] != "put"
        parts.append(f"{name} is from {'the repair in ' if is_repair else ''}{told.intervals[writer]}")
    sentence = f"{torn} returned {torn.answer}, which nobody put: {wording.listed(parts)}"
    return sentence, frozenset(culprits), frozenset(told.happenings[read].word for read in reads)


def _writer(told: Explanation, read: int) -> int | None:
    """Return the operation that wrote what a step read; None if nobody did."""
    reader = told.happenings[read]
    # A process sees its own store before memory has it.
    own = reader.access is not None and reader.access.kind in ("reread", "reawait")
    writers = [
        each.interval
        for each in told.happenings[:read]
        if each.word == reader.word
        and each.access
        and (each.access.kind == "buffer" and each.process == reader.process if own else each.writes)
    ]
    return writers[-1] if writers else None


def _counter(told: Explanation) -> Blamed:
    map_, words = told.model.map, told.states[-1].words
    free = [slot for slot, word in enumerate(map_.inuse) if words[word] == 0]
    says = map_.words[map_.num_free].shown(words[map_.num_free])
    are = f"{len(free)} slot is" if len(free) == 1 else f"{len(free)} slots are"
    return (
        f"num_free says {says}, but {are} free and {_nobody(told)}",
        _died(told) or _writers(told, {map_.num_free}),
        frozenset({map_.num_free}),
    )


def _nobody(told: Explanation) -> str:
    return "nobody alive is inside an operation" if _died(told) else "nobody is inside an operation"


def _died(told: Explanation) -> frozenset[int]:
    return frozenset(number for number, interval in enumerate(told.intervals) if interval.died)


def _memory(told: Explanation) -> Blamed:
    model, last = told.model, told.states[-1]
    assert model.monitor is not None
    inuse = tuple(last.words[word] == 1 for word in model.map.inuse)
    data = SlotsCheck.bytes_of(model, last.words)
    allowed = model.monitor.states(last.monitor)

    def differences(flags: tuple[bool, ...], contents: tuple[bytes, ...]) -> int:
        return sum(map(bool.__ne__, flags, inuse)) + sum(a != b for a, b in zip(contents, data, strict=True))

    nearest = min(allowed, key=lambda state: (differences(state.inuse, state.data), state))
    words: set[int] = set()
    parts: list[str] = []
    for slot, used in enumerate(inuse):
        if used != nearest.inuse[slot]:
            words.add(model.map.inuse[slot])
            parts.append(f"slot {slot} is {_marked(used)} and should be {_marked(not used)}")
        if data[slot] != nearest.data[slot]:
            words |= set(model.map.slot_bytes[slot])
            parts.append(
                f"slot {slot} holds {wording.hexed(data[slot])} and should hold {wording.hexed(nearest.data[slot])}"
            )
    return f"{_nobody(told)}, but {wording.listed(parts)}", _writers(told, words) | _died(told), frozenset(words)


def _marked(used: bool) -> str:
    return "in use" if used else "free"


def _deadlock(told: Explanation) -> Blamed:
    model, last = told.model, told.states[-1]
    stuck = [
        (process, automaton.locals[last.locals[process]].actions[0].access.word)
        for process, automaton in enumerate(model.processes)
        if automaton.locals[last.locals[process]].actions
    ]
    words = {word for _, word in stuck}
    ongoing = {number for number, interval in enumerate(told.intervals) if interval.last is None}
    sentence = "; ".join(waiting_for(told, process, last) for process, _ in stuck)
    return sentence, frozenset(ongoing | _writers(told, words)), frozenset(words)


def waiting_for(told: Explanation, process: int, state: State, *, for_ever: bool = True) -> str:
    """Say what a process waits for in a state."""
    model = told.model
    word = model.processes[process].locals[state.locals[process]].actions[0].access.word
    if model.words[word].kind == "mutex":
        what = f"the {model.words[word].name}, {_holder(told, word, state)}"
    else:
        what = f"{model.words[word].name} to change: it is {model.words[word].shown(state.words[word])}"
    return f"{wording.process(process)} waits {'for ever ' * for_ever}for {what}"


def _holder(told: Explanation, word: int, state: State) -> str:
    """Describe who holds a mutex in a state: a clause to follow its name."""
    values = told.model.words[word].values
    before = told.happenings[: told.states.index(state)]
    takers = [each for each in before if each.word == word and each.writes and values[each.after] in (HELD, FREE)]
    if not takers or values[takers[-1].after] != HELD:
        return "which nobody holds"
    taker = takers[-1]
    who = wording.process(taker.process)
    local = told.model.processes[taker.process].locals[state.locals[taker.process]]
    if local.end == "dead":
        return f"which {who} held when it died"
    interval = None if taker.interval is None else told.intervals[taker.interval]
    if interval is not None and interval.last is not None:
        return f"which {who} took in {interval.call} and never unlocked"
    return f"which {who} holds"


def _unexplained(told: Explanation) -> Blamed:
    model = told.model
    assert model.monitor is not None
    last = len(told.happenings) - 1
    number = next(number for number, each in enumerate(told.intervals) if each.last == last)
    interval = told.intervals[number]
    event = _event(told)
    allowed = sorted(interval.said(result) for result in model.monitor.allowed(told.states[-2].monitor, event))
    could = f"it could have returned {wording.listed(allowed, 'or')}" if allowed else "it could not have returned yet"
    sentence = f"{interval} returned {interval.answer}, and no order of the operations explains that: {could}"
    return sentence, frozenset({number}), frozenset()


def _said(told: Explanation) -> Blamed:
    """Tell what a program's own method says of the last state, and who wrote last."""
    kind, words = told.model.kind, told.states[-1].words
    assert isinstance(kind, ProgramKind)
    shown = [f"{word.name} is {word.shown(value)}" for word, value in zip(kind.words, words, strict=True)]
    writers = [each.interval for each in told.happenings if each.writes and each.interval is not None]
    when = " when all processes are done" if told.broken == "final" else ""
    sentence = f"{kind.failing(told.broken, words)}{when}: {wording.listed(shown)}"
    return sentence, frozenset(writers[-2:]), frozenset(range(len(words)))


def _event(told: Explanation) -> int:
    """Return the event of the last step."""
    before, after = told.states[-2:]
    return next(step.event for step in told.model.successors(before) if step.state == after)


def _fault(told: Explanation) -> Blamed:
    number, interval = next((number, each) for number, each in enumerate(told.intervals) if each.fault)
    verb = interval.fault if fault_property(interval.fault) == "nothing-raised" else f"did a {interval.fault}"
    return f"{interval} {verb}", frozenset({number}), frozenset()


def _writers(told: Explanation, words: set[int]) -> frozenset[int]:
    """Return the operations that wrote some of these words."""
    return frozenset(
        each.interval for each in told.happenings if each.word in words and each.writes and each.interval is not None
    )
