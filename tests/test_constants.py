"""Constants of objectives: closed forms of quadratics, certified bounds that hold, observed values below them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_examples import EXAMPLES, examples, value

from sgpsim.errors import SpecificationError
from sgpsim.objectives import laws
from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.finite_sum import FiniteSum
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.observed import observed_constants
from sgpsim.objectives.quadratic import Quadratic, QuadraticArrays
from sgpsim.objectives.sigmoid import SigmoidLoss
from sgpsim.objectives.split import ByLabel
from sgpsim.streams import stream

# Quadratics in closed form.


@pytest.mark.parametrize("name", examples(Quadratic, QuadraticArrays))
def test_quadratic_closed_forms(name: str) -> None:
    objective = EXAMPLES[name]
    assert isinstance(objective, Quadratic | QuadraticArrays)
    H, b = objective.hessians, objective.centers
    assert H.shape == (objective.nodes, objective.dimension, objective.dimension)
    minimizer = np.linalg.solve(H.mean(axis=0), np.einsum("nij,nj->i", H, b) / objective.nodes)
    assert np.allclose(objective.minimizer, minimizer, rtol=1e-10)
    assert np.abs(objective.full_gradient(objective.minimizer)).max() < 1e-12
    at = stream(0, "test").standard_normal(objective.dimension)
    by_hand = np.mean([0.5 * (at - b[i]) @ H[i] @ (at - b[i]) for i in range(objective.nodes)])
    assert np.isclose(objective.loss(at), by_hand, rtol=1e-12)
    constants = objective.constants()
    assert value(constants.lowest) == objective.loss(objective.minimizer)
    assert np.isclose(value(constants.smoothness), np.linalg.eigvalsh(H).max(), rtol=1e-11)
    assert np.isclose(value(constants.convexity), np.linalg.eigvalsh(H).min(), rtol=1e-11)
    apart = [H[i] @ (at - b[i]) - H.mean(axis=0) @ (at - objective.minimizer) for i in range(objective.nodes)]
    if objective.unequal:
        assert constants.heterogeneity.evidence == "unknown" and "A2 fails globally" in constants.heterogeneity.how
    else:
        assert np.isclose(
            value(constants.heterogeneity), np.mean([each @ each for each in apart]), rtol=1e-11, atol=1e-28
        )


def test_quadratic_is_as_spread_and_distant_as_told() -> None:
    objective = Quadratic(8, 20, noise=3.0, spread=2.0, distance=5.0, most_curvature=0.5, structure="scalar")
    assert np.isclose(np.linalg.norm(objective.minimizer), 5.0)
    assert np.isclose(value(objective.constants().heterogeneity), (0.5 * 2.0) ** 2)
    noise = np.concatenate([next(objective.draws(node, stream(0, "gradient", node))) for node in range(8)])
    found = (noise**2).sum(axis=1)
    assert abs(found.mean() - 9.0) < 5 * found.std() / np.sqrt(len(found))
    wide = Quadratic(3, 10, least_curvature=0.01, most_curvature=7.0)
    assert np.isclose(value(wide.constants().smoothness), 7.0) and np.isclose(value(wide.constants().convexity), 0.01)


def test_long_quadratics_stay_small() -> None:
    objective = Quadratic(nodes=3, dimension=100_000, structure="diagonal")
    assert objective.curvature.shape == (100_000,)
    taken = np.concatenate([next(objective.draws(node, stream(0, "gradient", node))) for node in range(3)])
    assert objective.gradients(np.arange(3), np.zeros((3, 100_000)), taken).shape == (3, 100_000)
    with pytest.raises(SpecificationError, match="written out"):
        objective.hessians  # noqa: B018
    with pytest.raises(SpecificationError, match="structure='diagonal'"):
        Quadratic(nodes=3, dimension=100_000)


def test_quadratic_arrays_are_equal_by_content() -> None:
    one, same = (QuadraticArrays(np.eye(2), np.ones((3, 2)), 0.1) for _ in range(2))
    assert one == same and hash(one) == hash(same) and one != QuadraticArrays(np.eye(2), np.ones((3, 2)), 0.2)
    assert not QuadraticArrays(np.tile(np.eye(2), (3, 1, 1)), np.ones((3, 2))).unequal


# Constants.


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(EXAMPLES)),
    seed=st.integers(0, 10**6),
    spread=st.sampled_from([1e-3, 0.1, 1.0, 10.0, 1e3]),
)
def test_certified_constants_are_never_exceeded(name: str, seed: int, spread: float) -> None:
    objective = EXAMPLES[name]
    points = spread * stream(seed, "test").standard_normal((5, objective.dimension))
    points[1] = points[0] + 1e-3 * points[1]  # a close pair feels the local curvature
    laws.check_constants(objective, points)


def test_bounds_are_not_idle() -> None:
    """A node with one sample has curvature L at margin 0 (logistic); samples of both labels come near sigma^2."""
    data = SyntheticClassification(samples=2, features=3)
    logistic = LogisticRegression(2, data, ByLabel(), bias=False, batch=1)
    near = 1e-4 * logistic.shards.features[[0, 1]]
    found = observed_constants(logistic, np.stack((near[0], -near[0], near[1], -near[1])))
    assert value(found.smoothness) > 0.999 * value(logistic.constants().smoothness)
    mixed = LogisticRegression(1, SyntheticClassification(samples=64, features=3, flipped=0.5), bias=False, batch=1)
    far = observed_constants(mixed, 50 * stream(0, "test").standard_normal((20, 3)))
    assert 0.2 * value(mixed.constants().variance) < value(far.variance) <= value(mixed.constants().variance)


def test_constants_of_the_sigmoid_loss_scale() -> None:
    small, large = SigmoidLoss(8, scale=1.0).constants(), SigmoidLoss(8, scale=3.0).constants()
    assert np.isclose(value(large.smoothness), 9 * value(small.smoothness))
    assert np.isclose(value(large.variance), 9 * value(small.variance))
    assert np.isclose(value(large.heterogeneity), 9 * value(small.heterogeneity))
    assert all(
        getattr(small, field).evidence == "certified" for field in ("smoothness", "variance", "heterogeneity", "lowest")
    )


def test_nodes_by_groups_share_one_function() -> None:
    at = stream(0, "test").standard_normal(10)
    assert np.allclose([SigmoidLoss(nodes).loss(at) for nodes in (1, 2, 4, 8, 16)], SigmoidLoss(1).loss(at), rtol=1e-13)
    found = [value(SigmoidLoss(nodes).constants().heterogeneity) for nodes in (2, 16)]
    assert found[0] < found[1]


@pytest.mark.parametrize("name", EXAMPLES)
def test_observed_constants_lie_below_certified_ones(name: str) -> None:
    objective = EXAMPLES[name]
    points = stream(0, "test").standard_normal((5, objective.dimension))
    seen, certified = observed_constants(objective, points), objective.constants()
    for field in ("smoothness", "variance", "heterogeneity"):
        found, bound = getattr(seen, field), getattr(certified, field)
        exact = field != "variance" or isinstance(objective, FiniteSum)
        assert found.evidence == ("observed" if exact else "estimated")
        if bound.value is not None:
            assert found.value <= bound.value * (1 + (1e-9 if exact else 0.5)) + 1e-14
    if seen.convexity.value is not None and certified.convexity.value is not None:
        assert seen.convexity.value >= certified.convexity.value * (1 - 1e-9)
