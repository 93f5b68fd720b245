"""Timing: what claims about durations are asked about, and cycle times of max-plus linear systems.

The rule: without contention at receivers, the instant at which node i ends step k is t_i(k+1) = max_j (A_ij +
t_j(k)), A_ij = seconds from j's begin of the step to its message at i. Such systems have a cycle time, the largest
mean weight of a cycle (Baccelli, Cohen, Olsder and Quadrat 1992, recalled), which Karp's algorithm finds exactly.
Nothing here runs a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from theory.chain import Chain


@dataclass(frozen=True)
class Timing:
    """compute: the law of one gradient's seconds. mean: its expectation, per node. latency: seconds a message needs
    besides its transfer.

    transfer: seconds for which a message occupies its sender's port. late: seconds by which one node comes late,
    where that is the question.
    """

    compute: Literal["constant", "exponential"]
    mean: tuple[float, ...]
    latency: float = 0.0
    transfer: float = 0.0
    late: float = 0.0


@dataclass(frozen=True, eq=False)
class Durations:
    """values: (points, replicates), seconds; replicates are independent of each other."""

    values: NDArray[np.float64]


def max_plus(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """[A (x) B]_ij = max_l (A_il + B_lj)."""
    return (left[:, :, None] + right[None, :, :]).max(axis=1)


def rounds(chain: Chain, timing: Timing) -> list[NDArray[np.float64]]:
    """A of each stored round: c_j on the diagonal, c_j + transfer + latency where j sends to i, else -inf. One
    message per node and round."""
    found: list[NDArray[np.float64]] = []
    for matrix in chain.rounds:
        seconds = np.where(matrix > 0, np.asarray(timing.mean)[None, :] + timing.transfer + timing.latency, -np.inf)
        np.fill_diagonal(seconds, timing.mean)
        found.append(seconds)
    return found


def cycle_mean(weights: NDArray[np.float64]) -> float:
    """The largest mean weight of a cycle, by Karp 1978: max_v min_{k<n} (D_n(v) - D_k(v)) / (n - k), D_k(v) the
    heaviest walk of k edges to v.

    weights[i, j] is the edge j -> i, -inf where there is none; every node must be reachable from node 0.
    """
    nodes = len(weights)
    walks = np.full((nodes + 1, nodes), -np.inf)
    walks[0, 0] = 0.0
    for edges in range(nodes):
        walks[edges + 1] = (weights + walks[edges]).max(axis=1)
    with np.errstate(invalid="ignore"):
        means = (walks[nodes] - walks[:nodes]) / (nodes - np.arange(nodes))[:, None]
    means = np.where(np.isneginf(walks[:nodes]), np.inf, means)  # no walk of k edges: no constraint
    return float(means.min(axis=0)[~np.isneginf(walks[nodes])].max())


def cycle_time(chain: Chain, timing: Timing) -> float:
    """Seconds per round in the long run: the cycle mean of a period's rounds multiplied, over the period."""
    product: NDArray[np.float64] | None = None
    for seconds in rounds(chain, timing):
        product = seconds if product is None else max_plus(seconds, product)
    assert product is not None
    return cycle_mean(product) / len(chain.rounds)
