"""Strongly connected components: the states that steps lead back to, and so the loops.

Interface: `components(first, target, kept)` numbers them.

This is Tarjan's algorithm (1972), with a stack of its own instead of recursion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def components(first: NDArray[np.int64], target: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of each node's component. Edges first[i] to first[i + 1] lead from node i
    to their targets; those that are not kept do not count.

    A component has a higher number than those that edges lead to from it.
    """
    nodes = len(first) - 1
    before = np.concatenate(([0], np.cumsum(kept)))
    starts: list[int] = before[first].tolist()
    targets: list[int] = target[kept].tolist()
    found = [-1] * nodes
    index, low = [-1] * nodes, [0] * nodes
    next_edge = starts[:-1]
    stack: list[int] = []
    count = number = 0
    for root in range(nodes):
        if index[root] >= 0:
            continue
        path = [root]
        while path:
            at = path[-1]
            if index[at] < 0:
                index[at] = low[at] = count
                count += 1
                stack.append(at)
            edge, end = next_edge[at], starts[at + 1]
            lowest = low[at]
            while edge < end:
                to = targets[edge]
                if index[to] < 0:
                    break  # and look at this edge again when `to` is done
                if found[to] < 0:
                    lowest = min(lowest, low[to])
                edge += 1
            next_edge[at], low[at] = edge, lowest
            if edge < end:
                path.append(targets[edge])
                continue
            path.pop()
            if lowest == index[at]:
                while True:
                    member = stack.pop()
                    found[member] = number
                    if member == at:
                        break
                number += 1
    return np.asarray(found, np.int64)
