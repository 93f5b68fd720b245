"""The laws of objectives: what `Objective` promises, checked on any concrete one.

The rule: each law is a function that raises AssertionError with a sentence; `check_objective` runs them all. They
sample points, so they refute and never prove; exact statements (unbiasedness of finite sums) go through every sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.objectives.finite_sum import FiniteSum
from sgpsim.objectives.objective import Constant, Objective
from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import Count, NotNegative, Seed, require_room
from sgpsim.streams import Reader, stream

ROUNDING = 1e-9
"""Relative slack wherever two float64 ways to one number are compared."""


@checked
def check_objective(
    objective: Objective, seed: Seed = 0, points: Count = 4, spread: NotNegative = 1.0, same_bits: bool = True
) -> None:
    """All laws at `points` random points around the start, `spread` away in each coordinate.

    same_bits: whether a gradient must have the same bits alone and in a batch (false: equal to rounding, as torch's
    vmap). Raises AssertionError.
    """
    require_room("check_objective(points) and the objective's dimension", points * objective.dimension)
    generator = stream(seed, "laws of objectives")
    sampled = objective.start() + spread * generator.standard_normal((points, objective.dimension))
    check_draws(objective, seed)
    check_leaves_points(objective, sampled)
    check_batches(objective, sampled, seed, same_bits)
    check_derivative(objective, sampled, generator)
    check_mean_of_nodes(objective, sampled)
    check_unbiased(objective, sampled, seed)
    check_constants(objective, sampled)


def check_draws(objective: Objective, seed: int) -> None:
    """Blocks have one length for all nodes, repeat from the same address, and don't depend on the order in which nodes
    are read."""
    streams = [objective.draws(node, stream(seed, "gradient", node)) for node in range(objective.nodes)]
    rounds = [[next(one) for one in streams] for _ in range(2)]
    lengths = {len(block) for blocks in rounds for block in blocks}
    assert len(lengths) == 1, f"blocks of draws have lengths {sorted(lengths)}; they must have one"
    for node in reversed(range(objective.nodes)):
        alone = objective.draws(node, stream(seed, "gradient", node))
        for blocks in rounds:
            assert np.array_equal(next(alone), blocks[node]), (
                f"the draws of node {node} depend on when other nodes are read"
            )


def check_leaves_points(objective: Objective, points: NDArray[np.float64]) -> None:
    """loss, full_gradient, accuracy and local_gradients leave the points that they are given as they were."""
    everywhere = np.repeat(points[:, None, :], objective.nodes, axis=1)
    asked = [(function, at) for function in ("loss", "full_gradient", "accuracy") for at in (points, points[0])]
    for name, at in (*asked, ("local_gradients", everywhere)):
        given = at.copy()
        getattr(objective, name)(given)
        assert np.array_equal(given, at), (
            f"{type(objective).__name__}.{name} writes into the points that it is given; they are those of the run."
            " Work on a copy"
        )


def check_batches(objective: Objective, points: NDArray[np.float64], seed: int, same_bits: bool) -> None:
    """A gradient is the same alone and in a batch of any company, keeps the type of its point, and leaves its input
    alone."""
    count = max(8, objective.nodes)
    nodes = np.arange(count) % objective.nodes
    taken = _draws(objective, nodes, seed)
    for kind in (np.float64, np.float32):
        at = points[np.arange(count) % len(points)].astype(kind)
        before = at.copy()
        together = objective.gradients(nodes, at, taken)
        assert together.dtype == kind and together.shape == at.shape, (
            f"gradients at {kind.__name__} {at.shape} are {together.dtype} {together.shape}"
        )
        assert np.array_equal(at, before), (
            f"{type(objective).__name__}.gradients changes the points that it is given; they are those of the run. Work on"
            " a copy"
        )
        order = np.arange(count)[::-1]
        back = objective.gradients(nodes[order], at[order], taken[order])[order]
        alone = np.concatenate(
            [objective.gradients(nodes[m : m + 1], at[m : m + 1], taken[m : m + 1]) for m in range(count)]
        )
        for other, company in ((alone, "alone"), (back, "in another order")):
            same = (
                np.array_equal(together, other)
                if same_bits
                else np.allclose(together, other, rtol=0, atol=_slack(together))
            )
            assert same, (
                f"a {kind.__name__} gradient differs by {np.abs(together - other).max():.3g} in a batch and {company}"
            )


def check_derivative(objective: Objective, points: NDArray[np.float64], generator: np.random.Generator) -> None:
    """The central difference of the loss along random directions is the gradient's component; batches of points equal
    single ones."""
    losses, gradients = np.asarray(objective.loss(points)), np.asarray(objective.full_gradient(points))
    assert losses.shape == points.shape[:-1] and gradients.shape == points.shape, (
        "loss or full_gradient has a wrong shape"
    )
    for point, loss, gradient in zip(points, losses, gradients, strict=True):
        assert np.isclose(objective.loss(point), loss, rtol=ROUNDING), (
            "the loss of a point depends on the batch it is in"
        )
        direction = generator.standard_normal(objective.dimension)
        direction *= 1e-4 / np.linalg.norm(direction)
        found = (float(objective.loss(point + direction)) - float(objective.loss(point - direction))) / 2
        slack = 1e-8 * float(np.linalg.norm(gradient)) + 1e-11 + 1e-13 * abs(float(loss))
        expected = float(gradient @ direction)
        assert abs(found - expected) <= slack, f"the loss changes by {found:.9g}, the gradient says {expected:.9g}"


def check_mean_of_nodes(objective: Objective, points: NDArray[np.float64]) -> None:
    """f = (1/n) sum_i f_i: the mean of the local gradients at one point is the full gradient."""
    everywhere = np.broadcast_to(points[:, None, :], (len(points), objective.nodes, objective.dimension))
    local = objective.local_gradients(everywhere)
    found, expected = local.mean(axis=1), np.asarray(objective.full_gradient(points))
    assert np.abs(found - expected).max() <= ROUNDING * (1 + np.abs(local).max()), (
        "the mean of local gradients is not the full gradient"
    )


def check_unbiased(objective: Objective, points: NDArray[np.float64], seed: int) -> None:
    """E g_i = grad f_i: exactly, over every sample, for finite sums; else the mean of draws within 6 standard
    errors."""
    at = points[0]
    local = objective.local_gradients(np.broadcast_to(at, (objective.nodes, objective.dimension)))
    for node in range(objective.nodes):
        if isinstance(objective, FiniteSum):
            owned = objective.shards.of_node(node)
            taken: NDArray[Any] = np.arange(owned.start, owned.stop, dtype=np.int32)[:, None]
        else:
            taken = _draws(objective, np.full(512, node), seed)
        each = np.asarray(objective.gradients(np.full(len(taken), node), np.tile(at, (len(taken), 1)), taken))
        error = np.abs(each.mean(axis=0) - local[node]).max()
        slack = ROUNDING * (1 + np.abs(each).max())
        if not isinstance(objective, FiniteSum):
            slack += 6 * float(each.std(axis=0).max()) / np.sqrt(len(taken))
        assert error <= slack, (
            f"the mean gradient of node {node} is {error:.3g} away from grad f_i; at most {slack:.3g} is chance"
        )


def check_constants(objective: Objective, points: NDArray[np.float64]) -> None:
    """No certified constant is broken at the points; the largest reach of each is where it is told."""
    constants = objective.constants()
    everywhere = np.broadcast_to(points[:, None, :], (len(points), objective.nodes, objective.dimension))
    local = objective.local_gradients(everywhere)
    for a, b in _pairs(len(points)):
        step, change = points[a] - points[b], local[a] - local[b]
        length = float(step @ step)
        _at_most(np.einsum("nd,nd->n", change, change).max(), _squared(constants.smoothness), length, "L^2 |x - y|^2")
        if constants.convexity.evidence == "certified":
            assert constants.convexity.value is not None
            _at_most(
                constants.convexity.value * length,
                1.0,
                float((change @ step).min()) + ROUNDING * length,
                "<grad difference, x - y>",
            )
    apart = local - local.mean(axis=1, keepdims=True)
    _at_most(np.einsum("knd,knd->k", apart, apart).max() / objective.nodes, constants.heterogeneity, 1.0, "zeta^2")
    if isinstance(objective, FiniteSum):
        _at_most(max(objective.variances(at).max() for at in everywhere), constants.variance, 1.0, "sigma^2")
    if constants.lowest.evidence == "certified":
        assert constants.lowest.value is not None
        lowest = float(np.asarray(objective.loss(points)).min())
        assert lowest >= constants.lowest.value - ROUNDING * (1 + abs(lowest)), (
            f"the loss is {lowest} below its bound {constants.lowest.value}"
        )


def _squared(constant: Constant) -> Constant:
    return Constant(None if constant.value is None else constant.value**2, constant.evidence, constant.how)


def _at_most(measured: float, constant: Constant | float, times: float, what: str) -> None:
    """measured <= constant * times, wherever the constant is certified."""
    if isinstance(constant, Constant):
        if constant.evidence != "certified":
            return
        assert constant.value is not None, f"{what} is certified without a value"
        constant = constant.value
    bound = constant * times
    assert measured <= bound * (1 + ROUNDING) + 1e-14, f"{what}: {measured:.9g} exceeds the certified {bound:.9g}"


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    for a in range(count):
        for b in range(a):
            yield a, b


def _draws(objective: Objective, nodes: NDArray[np.int64], seed: int) -> NDArray[Any]:
    """One draw for each entry of `nodes`, further ones of the same node from further on in its stream."""
    readers = {
        int(node): Reader(objective.draws(int(node), stream(seed, "gradient", int(node)))) for node in np.unique(nodes)
    }
    return np.stack([readers[int(node)].take() for node in nodes])


def _slack(values: NDArray[Any]) -> float:
    return float(64 * np.finfo(values.dtype).eps * (1 + np.abs(values).max()))
