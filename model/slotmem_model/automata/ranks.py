"""How far a process has come: a number that grows with each step, if no step leads back.

Interface: `ranks_of(automaton)`.
"""

from __future__ import annotations

from slotmem_model.automata.automaton import NEVER, Automaton


def ranks_of(automaton: Automaton) -> list[int] | None:
    """Return the length of the longest path to each local state; None if there is a cycle.

    The dead come after everything else, so every step and every death leads to a higher rank.
    """
    edges = [
        {move.target for action in local.actions for move in action.moves if move and move != NEVER}
        for local in automaton.locals
    ]
    incoming = [0] * len(edges)
    for targets in edges:
        for target in targets:
            incoming[target] += 1
    rank = [0] * len(edges)
    ready = [at for at, number in enumerate(incoming) if number == 0]
    done = 0
    for at in ready:  # grows while it is walked
        done += 1
        for target in edges[at]:
            rank[target] = max(rank[target], rank[at] + 1)
            incoming[target] -= 1
            if incoming[target] == 0:
                ready.append(target)
    if done < len(edges):
        return None
    last = max(rank) + 1
    return [last if local.end == "dead" else rank[at] for at, local in enumerate(automaton.locals)]
