"""Certified bounds of variance and heterogeneity where every sample's gradient is bounded.

The rule: only inequalities that hold at every point. A sample's gradient is g_j = u_j + s_j (x) a_j ((x): outer
product): u_j does not depend on the point, a_j is the feature vector and |s_j| <= reach whatever the point. Results are
raised by a relative 1e-9, more than the rounding of the sums behind them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sgpsim.objectives.finite_sum import Shards

RAISED = 1 + 1e-9

PROOF = (
    "g_j = u_j + s_j (x) a_j with u_j fixed and |s_j| <= {reach}, so by the triangle inequality"
    " sd_i(g) <= sd_i(u) + {reach} sqrt(mean_j |a_j|^2); |mean_j s_j (x) a_j| <= {reach} min(mean_j |a_j|,"
    " sqrt(lambda_max(A_i^T A_i / M_i))), and taking off their mean over nodes makes such a family no longer"
)


def largest_curvatures(shards: Shards) -> NDArray[np.float64]:
    """lambda_max(A_i^T A_i / M_i) of every node's features, through the smaller of the two Gram matrices: (nodes,)."""
    found = np.empty(shards.nodes)
    for node in range(shards.nodes):
        held = shards.features[shards.of_node(node)]
        gram = held @ held.T if len(held) < held.shape[1] else held.T @ held
        found[node] = np.linalg.eigvalsh(gram)[-1] / len(held)
    return found


def node_means(shards: Shards, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over each node's samples of values (samples, ...): (nodes, ...)."""
    sizes = np.diff(shards.starts).reshape(-1, *[1] * (values.ndim - 1))
    return np.add.reduceat(values, shards.starts[:-1], axis=0) / sizes


def spread_bounds(
    shards: Shards,
    curvatures: NDArray[np.float64],
    fixed_squares: NDArray[np.float64],
    fixed_means: NDArray[np.float64],
    reach: float,
) -> tuple[float, float]:
    """(bound of max_i Var_i(g) for one sample, bound of (1/n) sum_i |grad f_i - grad f|^2).

    curvatures: as by `largest_curvatures`. fixed_squares: |u_j|^2, (samples,). fixed_means: mean of u_j per node,
    (nodes, dimension).
    """
    squares = np.einsum("nd,nd->n", shards.features, shards.features)
    deviations = node_means(shards, fixed_squares) - np.einsum("nd,nd->n", fixed_means, fixed_means)
    variance = (np.sqrt(np.maximum(deviations, 0.0)) + reach * np.sqrt(node_means(shards, squares))) ** 2
    lengths = np.minimum(node_means(shards, np.sqrt(squares)), np.sqrt(curvatures))
    apart = fixed_means - fixed_means.mean(axis=0)
    between = np.sqrt(np.einsum("nd,nd->", apart, apart) / shards.nodes)
    heterogeneity = (between + reach * np.sqrt(np.mean(lengths**2))) ** 2
    return float(variance.max()) * RAISED, float(heterogeneity) * RAISED
