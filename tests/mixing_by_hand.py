"""What `theory mixing` says, worked out again by plain loops over dense matrices: no code shared with theory or sgpsim.

The rule: slow and obvious. Rounds are a list of arrays P[receiver, sender]; `repeats` says whether they come again.
"""

from __future__ import annotations

import math

import networkx as nx
import numpy as np

Rounds = list[np.ndarray]


def product(rounds: Rounds, start: int, length: int) -> np.ndarray:
    found = np.eye(len(rounds[0]))
    for step in range(start, start + length):
        found = rounds[step % len(rounds)] @ found
    return found


def window(rounds: Rounds, repeats: bool) -> int | None:
    """The smallest B such that the union of every aligned window of B rounds is strongly connected."""
    count = len(rounds)
    for length in range(1, (count if repeats else count // 2) + 1):
        windows = math.lcm(length, count) // length if repeats else count // length
        unions = [np.sum([rounds[(k * length + j) % count] > 0 for j in range(length)], axis=0) for k in range(windows)]
        if all(_strongly_connected(union) for union in unions):
            return length
    return None


def _strongly_connected(support: np.ndarray) -> bool:
    graph: nx.DiGraph = nx.DiGraph(list(zip(*np.nonzero(support), strict=True)))
    graph.add_nodes_from(range(len(support)))
    return nx.is_strongly_connected(graph)


def positivity_time(rounds: Rounds, repeats: bool, longest: int) -> int | None:
    """The smallest T such that every product of T consecutive rounds is positive."""
    supports = [(matrix > 0).astype(int) for matrix in rounds]
    found = [np.eye(len(rounds[0]), dtype=int)] * len(rounds)
    for length in range(1, longest + 1):
        if not repeats and length > len(rounds):
            return None
        starts = range(len(rounds) if repeats else len(rounds) - length + 1)
        found = [(supports[(start + length - 1) % len(rounds)] @ found[start] > 0).astype(int) for start in starts]
        if all(one.all() for one in found):
            return length
    return None


def smallest_entry(rounds: Rounds, repeats: bool, time: int) -> float:
    starts = len(rounds) if repeats else len(rounds) - time + 1
    return min(float(product(rounds, start, time).min()) for start in range(starts))


def gap(rounds: Rounds) -> float:
    """1 - |lambda_2|^(1/p), lambda_2 the largest eigenvalue of the product over a period once one 1 is taken away."""
    values = np.linalg.eigvals(product(rounds, 0, len(rounds))).astype(complex)
    others = np.delete(values, int(np.abs(values - 1).argmin()))
    return 1.0 - float(np.abs(others).max(initial=0.0)) ** (1.0 / len(rounds))


def second_singular_value(rounds: Rounds, repeats: bool, length: int) -> float:
    starts = len(rounds) if repeats else len(rounds) - length + 1
    if len(rounds[0]) == 1:
        return 0.0
    return max(float(np.linalg.svd(product(rounds, start, length))[1][1]) for start in range(starts))


def weights(rounds: Rounds, steps: int) -> np.ndarray:
    found = [np.ones(len(rounds[0]))]
    for step in range(steps):
        found.append(rounds[step % len(rounds)] @ found[-1])
    return np.array(found)


def away(rounds: Rounds, mass: np.ndarray, start: int, length: int) -> np.ndarray:
    """diag(w)^{-1} A - (1/n) 1 1' of the product that begins at `start`."""
    return product(rounds, start, length) / mass[start + length][:, None] - 1.0 / len(rounds[0])


def exact_from(rounds: Rounds, mass: np.ndarray, start: int, longest: int) -> int | None:
    """After how many rounds from `start` averaging is exact, all at once (a slow decay ends nowhere)."""
    before = math.inf
    for length in range(longest + 1):
        largest = float(np.abs(away(rounds, mass, start, length)).max())
        if largest < 3e-13:
            return length if length == 0 or before > 1e-7 else None
        before = largest
    return None
