"""Primitivity: whether products of rounds that repeat become positive, for any start, and by when at the latest.

The rule: decided from who sends to whom, exactly, without forming a product. Rounds are matrices P[receiver, sender] of
one period with entries of at least 0; nodes need not keep a share of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import block_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra


def primitive(rounds: Sequence[csr_array]) -> bool:
    """Whether every long enough product of consecutive rounds is positive, wherever it starts.

    Looked at in the graph of (step, node): one arc per share from a step to the next, the last step to the first.
    Products become positive exactly if that graph is strongly connected and its cycles' lengths have no common divisor
    beyond the number of steps (theory of nonnegative matrices, applied to the block matrix of one period).
    """
    length = len(rounds)
    arcs = [(matrix > 0.0).astype(np.float64).T.tocsr() for matrix in rounds]
    blocks: list[list[csr_array | None]] = [[None] * length for _ in range(length)]
    for step, arc in enumerate(arcs):
        blocks[step][(step + 1) % length] = arc
    graph = csr_array(block_array(blocks, format="csr")) if length > 1 else arcs[0]
    parts, _ = connected_components(graph, connection="strong")
    if parts > 1:
        return False
    levels = np.asarray(dijkstra(graph, indices=[0], unweighted=True)[0]).astype(np.int64)
    senders, receivers = graph.nonzero()
    return int(np.gcd.reduce(levels[senders] + 1 - levels[receivers])) == length


def exponent_bound(nodes: int, period: int) -> int:
    """Rounds after which every product is positive, of any primitive rounds: p ((n-1)^2 + 1) + p - 1.

    Wielandt 1950 (recalled) for the product over a period; p - 1 rounds may be lost before the first whole period. A
    product that is positive stays so, as no round of a primitive sequence has a row or column of zeros.
    """
    return period * ((nodes - 1) ** 2 + 1) + period - 1
