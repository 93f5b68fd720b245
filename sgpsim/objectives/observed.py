"""Constants as seen: at the points that a run visited, or from samples where not even that can be had exactly.

The rule: nothing here is certified. `observed` values hold at the given points and may be exceeded elsewhere; they
stand in for certified ones where these are unknown or hopelessly large, and every verdict that rests on them says so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError, require_count
from sgpsim.objectives.finite_sum import FiniteSum
from sgpsim.objectives.objective import Constant, Constants, Objective
from sgpsim.streams import Reader, stream


def observed_constants(objective: Objective, points: NDArray[np.float64], draws: int = 256, seed: int = 0) -> Constants:
    """Constants at `points` (count, dimension), all nodes at each point.

    L: the largest |grad f_i(x) - grad f_i(y)| / |x - y| over nodes and pairs of points; mu: the smallest <grad f_i(x) -
    grad f_i(y), x - y> / |x - y|^2 (unknown where negative). zeta^2: the largest over points. sigma^2: the largest over
    nodes and points; exact for finite sums (a batch with replacement), else estimated from `draws` draws of the stream
    (seed, "observed variance", node). lowest: the objective's own. Memory: count * nodes * dimension.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != objective.dimension or not len(points):
        raise SpecificationError(
            f"observed_constants(points) has shape {points.shape}; it must be (count, {objective.dimension})."
            " Give at least one point."
        )
    require_count("observed_constants(draws)", draws, least=2)
    everywhere = np.broadcast_to(points[:, None, :], (len(points), objective.nodes, objective.dimension))
    gradients = objective.local_gradients(everywhere)
    apart = gradients - gradients.mean(axis=1, keepdims=True)
    heterogeneity = float(np.einsum("knd,knd->k", apart, apart).max()) / objective.nodes
    steepness, convexity = _between(points, gradients)
    where = f"largest over {len(points)} points"
    return Constants(
        smoothness=steepness,
        convexity=convexity,
        variance=_variance(objective, everywhere, draws, seed),
        heterogeneity=Constant(heterogeneity, "observed", f"(1/n) sum_i |grad f_i - grad f|^2, {where}"),
        lowest=objective.constants().lowest,
    )


def _between(points: NDArray[np.float64], gradients: NDArray[np.float64]) -> tuple[Constant, Constant]:
    """(L, mu) from all pairs of points: points (count, dimension), gradients (count, nodes, dimension)."""
    largest, smallest, pairs = 0.0, np.inf, 0
    for lag in range(1, len(points)):
        steps = points[lag:] - points[:-lag]
        lengths = np.einsum("kd,kd->k", steps, steps)
        moved = lengths > 0
        changes = gradients[lag:][moved] - gradients[:-lag][moved]
        if changes.size:
            slopes = np.einsum("knd,knd->kn", changes, changes) / lengths[moved, None]
            along = np.einsum("knd,kd->kn", changes, steps[moved]) / lengths[moved, None]
            largest = max(largest, float(np.sqrt(slopes.max())))
            smallest = min(smallest, float(along.min()))
            pairs += int(moved.sum())
    if not pairs:
        unknown = Constant.unknown("there is no pair of different points to compare")
        return unknown, unknown
    steepness = Constant(
        largest, "observed", f"largest |grad f_i(x) - grad f_i(y)| / |x - y| over {pairs} pairs of points"
    )
    if smallest < 0:
        return steepness, Constant.unknown(f"some f_i curves down between two of the points ({smallest:.3g})")
    return steepness, Constant(
        smallest, "observed", f"smallest slope of the gradient along the way over {pairs} pairs of points"
    )


def _variance(objective: Objective, everywhere: NDArray[np.float64], draws: int, seed: int) -> Constant:
    """sigma^2 at points (count, nodes, dimension)."""
    count = len(everywhere)
    if isinstance(objective, FiniteSum):
        largest = max(float(objective.variances(at).max()) for at in everywhere)
        return Constant(
            largest, "observed", f"exact variance of a draw with replacement, largest over nodes and {count} points"
        )
    largest, gradients = 0.0, objective.local_gradients(everywhere)
    for node in range(objective.nodes):
        reader = Reader(objective.draws(node, stream(seed, "observed variance", node)))
        taken = np.stack([reader.take() for _ in range(draws)])
        for point in range(count):
            at = np.ascontiguousarray(np.broadcast_to(everywhere[point, node], (draws, objective.dimension)))
            noise = np.asarray(objective.gradients(np.full(draws, node), at, taken)) - gradients[point, node]
            largest = max(largest, float(np.einsum("md,md->", noise, noise)) / draws)
    return Constant(
        largest, "estimated", f"mean of |g - grad f_i|^2 over {draws} draws, largest over nodes and {count} points"
    )
