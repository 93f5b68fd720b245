"""Five results of the theory package, computed again in plain numpy from their statements alone, on instances that no other
test has: irregular rounds, 1 to 24 nodes, one step and many, momentum, no noise, starts at the optimum.

The rule: nothing here calls what it checks; loops are written as the formulae read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.descents.descent import Descent
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.matrices import Matrices
from sgpsim.schedules.rotating_star import RotatingStar
from theory.cases.experiments import setting_of
from theory.cases.runs import path_of
from theory.chain import Chain
from theory.claims.consensus_bound import ConsensusBound
from theory.claims.consensus_profile import ConsensusProfile
from theory.claims.consensus_sum import ConsensusSum
from theory.claims.contraction_step import ContractionStep
from theory.claims.d1 import TheoremD1
from theory.claims.descent_step import DescentStep
from theory.claims.gradients_at_nodes import GradientsAtNodes
from theory.claims.profile_sums import ProfileSums
from theory.connectivity import windows
from theory.contraction import Contraction, profile
from theory.evidence import moments_of
from theory.exact_moments import Quadratics, exact_moments
from theory.setting import Setting
from theory.spectrum import gap
from theory.statistics import bootstrap_slope
from theory.verdict import Outcome, verify

Array = NDArray[np.float64]


def irregular(nodes: int, period: int, seed: int) -> list[Array]:
    """Rounds with a ring in each, further arcs by chance, and shares that are all unlike."""
    generator = np.random.default_rng((seed, nodes, period))
    rounds: list[Array] = []
    for _ in range(period):
        matrix = generator.uniform(0.2, 1.0, (nodes, nodes)) * (generator.random((nodes, nodes)) < 0.3)
        for node in range(nodes):
            matrix[node, node] += 0.3
            matrix[(node + 1) % nodes, node] += 0.2
        rounds.append(matrix / matrix.sum(axis=0))
    return rounds


class Kernels(NamedTuple):
    """weights: w^0..w^K. entries[k][s]: E_{k:s}. products[k][s]: A_{k:s}."""

    weights: list[Array]
    entries: list[list[Array]]
    products: list[list[Array]]


def kernels(rounds: list[Array], steps: int) -> Kernels:
    nodes = len(rounds[0])
    weights = [np.ones(nodes)]
    for step in range(steps):
        weights.append(rounds[step % len(rounds)] @ weights[-1])
    products: list[list[Array]] = []
    for stop in range(steps + 1):
        row: list[Array] = []
        for start in range(stop + 1):
            product = np.eye(nodes)
            for step in range(start, stop):
                product = rounds[step % len(rounds)] @ product
            row.append(product)
        products.append(row)
    entries = [[product / weights[stop][:, None] - 1 / nodes for product in row] for stop, row in enumerate(products)]
    return Kernels(weights, entries, products)


CASES = [(1, 1, 3), (2, 1, 9), (2, 3, 1), (5, 2, 14), (7, 1, 20), (7, 3, 12), (24, 2, 18)]


@pytest.mark.parametrize(("nodes", "period", "steps"), CASES)
def test_contraction_constants(nodes: int, period: int, steps: int) -> None:
    rounds = irregular(nodes, period, 1)
    setting, known = Setting.of("irregular", Matrices(tuple(rounds)), steps), kernels(rounds, steps)
    norms = [max(np.linalg.norm(known.entries[s + m][s], 2) for s in range(steps + 1 - m)) for m in range(steps + 1)]
    found = setting.profile
    seen = len(found.norms)
    assert found.norms == pytest.approx(norms[:seen], rel=1e-9, abs=1e-12)
    assert found.first == pytest.approx(sum(norms[1:]), rel=1e-9, abs=1e-11)
    assert found.second == pytest.approx(sum(norm**2 for norm in norms), rel=1e-9, abs=1e-11)
    time, product = 0, None
    while product is None or min(one.min() for one in product) <= 0:  # products from every start of the period
        time += 1
        product = []
        for start in range(period):
            one = np.eye(nodes)
            for step in range(start, start + time):
                one = rounds[step % period] @ one
            product.append(one)
    bound = setting.contraction
    if time <= steps:
        assert bound is not None and bound.time == time
        assert bound.least == pytest.approx(min(one.min() for one in product), rel=1e-12)
        assert bound.weight == pytest.approx(min(weights.min() for weights in known.weights), rel=1e-12)
        factor = 1 - nodes * bound.least
        assert bound.factor == pytest.approx(factor, abs=1e-14)
        lengths = np.arange(3 * time + 2)
        by_hand = [max(0.0, factor) ** (m // time) / bound.weight for m in lengths]
        assert bound.bound(lengths) == pytest.approx(by_hand)
        largest = [max(np.abs(known.entries[s + m][s]).max() for s in range(steps + 1 - m)) for m in range(steps + 1)]
        assert (np.array(largest) <= bound.bound(np.arange(steps + 1)) + 1e-12).all()  # Lemma A
        if bound.geometric is not None:
            constant, ratio = bound.geometric
            assert constant == pytest.approx(factor ** (-(time - 1) / time) / bound.weight) and ratio == pytest.approx(factor ** (1 / time))


@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("descent", [SGD(Constant(0.07)), Momentum(Constant(0.03), 0.9, True), Momentum(Constant(0.03), 0.6, False)])
@pytest.mark.parametrize(("nodes", "period", "steps"), [(1, 1, 2), (2, 3, 8), (5, 2, 11), (24, 1, 6)])
def test_the_consensus_bounds(nodes: int, period: int, steps: int, descent: Descent, kind: str) -> None:
    """lambda^{floor(k/T)}/delta sum_j |x_j^0| + sum_{s<k} lambda^{floor((k-s)/T)}/delta sum_j |m_j^s|, and the same with
    eps_m and Frobenius norms; moves made again from the gradients, and the run's own deviations below both."""
    rounds = irregular(nodes, period, 2)
    start = np.random.default_rng(nodes).standard_normal((nodes, 3))
    experiment = Experiment(
        SGP(descent),
        Quadratic(nodes, 3, noise=0.4, seed=nodes),
        Matrices(tuple(rounds)),
        Steps(steps),
        start=start,  # pyright: ignore[reportArgumentType]
        dtype=kind,  # pyright: ignore[reportArgumentType]
    )
    setting, path = setting_of(experiment), path_of(Vectorized(keep_trajectory=True), experiment)
    close = 1e-12 if kind == "float64" else 1e-5
    buffer = np.zeros((nodes, 3))
    for step in range(steps):
        gradient = path.gradients[step, :, 0]
        if isinstance(descent, Momentum):
            buffer = descent.momentum * buffer + gradient
            gradient = descent.momentum * buffer + gradient if descent.nesterov else buffer
        assert path.moves[step, :, 0] == pytest.approx(-(0.03 if isinstance(descent, Momentum) else 0.07) * gradient, rel=close, abs=close)
    given = Contraction(time=2, least=0.3 / nodes, weight=0.5, nodes=nodes)  # lambda = 0.7
    setting.__dict__["contraction"] = given
    by_node = ConsensusBound().predicted(setting, path).values[:, 0, 0]
    together = ConsensusProfile().predicted(setting, path).values[:, 0]
    known = kernels(rounds, steps)
    norms = [max(np.linalg.norm(known.entries[s + m][s], 2) for s in range(steps + 1 - m)) for m in range(steps + 1)]
    x = path.values[:, :, 0]
    for k in range(steps + 1):
        bound = 0.7 ** (k // 2) / 0.5 * sum(np.linalg.norm(x[0, j]) for j in range(nodes))
        frobenius = norms[k] * (np.linalg.norm(x[0]) if nodes > 1 else 0.0)  # one node starts where all start
        for s in range(k):
            bound += 0.7 ** ((k - s) // 2) / 0.5 * sum(np.linalg.norm(path.moves[s, j, 0]) for j in range(nodes))
            frobenius += norms[k - s] * np.linalg.norm(path.moves[s, :, 0])
        assert by_node[k] == pytest.approx(bound, rel=1e-12) and together[k] == pytest.approx(frobenius, rel=1e-9, abs=1e-12)
        apart = x[k] / known.weights[k][:, None] - x[k].mean(axis=0)
        assert np.linalg.norm(apart) <= frobenius + 1e3 * close
    measured = ConsensusBound().measured(setting, path).values[steps, :, 0]
    assert measured == pytest.approx(np.linalg.norm(apart, axis=1), rel=close, abs=10 * close)


def functions(nodes: int, shared: bool, noise: float, seed: int) -> Quadratics:
    generator = np.random.default_rng((seed, nodes))
    roots = generator.standard_normal((nodes, 2, 2)) * 0.5
    hessians = roots @ roots.transpose(0, 2, 1) + 0.2 * np.eye(2)
    hessians = np.broadcast_to(hessians[0], hessians.shape) if shared else hessians
    spread = generator.standard_normal((nodes, 2, 2)) * noise
    return Quadratics(hessians, generator.standard_normal((nodes, 2)), spread @ spread.transpose(0, 2, 1))


def second_moment(mean: Array, effects: list[Array], vector: Callable[[Array], Array], offset: Array | float) -> float:
    """E |vector(X) - offset|^2 of a linear map of X, the sum of `mean` and of independent noises times their `effects`."""
    return float(((vector(mean) - offset) ** 2).sum() + sum((vector(effect) ** 2).sum() for effect in effects))


def moments_by_hand(of: Quadratics, rounds: list[Array], start: Array, gamma: float, steps: int) -> dict[str, Array]:
    """X^k = mean + sum over all noises drawn so far, each noise's effect carried along by itself."""
    nodes = len(start)
    weights = [np.ones(nodes)]
    optimum = np.linalg.solve(sum(of.hessians), sum(h @ b for h, b in zip(of.hessians, of.centres, strict=True)))  # pyright: ignore
    hessian = sum(of.hessians) / nodes
    mean, effects = start.copy(), []  # effects: what one unit of one noise direction has done to X
    rows: dict[str, list[float]] = {
        name: [] for name in ("loss", "squared_gradient", "deviation", "mean_gradient", "drawn", "at_nodes", "distance")
    }
    for step in range(steps + 1):
        w = weights[step][:, None]
        second = partial(second_moment, mean, effects)
        loss = 0.0
        for i in range(nodes):
            root = np.linalg.cholesky(of.hessians[i]).T
            loss += second(lambda x: root @ x.mean(axis=0), root @ of.centres[i]) / (2 * nodes)  # noqa: B023
        rows["loss"].append(loss)
        rows["distance"].append(second(lambda x: x.mean(axis=0), optimum))
        if step == steps:
            break
        pulls = np.stack([of.hessians[i] @ of.centres[i] for i in range(nodes)])

        def at_z(x: Array) -> Array:
            return np.stack([of.hessians[i] @ (x / w)[i] for i in range(nodes)])  # noqa: B023

        rows["squared_gradient"].append(second(lambda x: hessian @ x.mean(axis=0), hessian @ optimum))
        rows["deviation"].append(second(lambda x: x / w - x.mean(axis=0), 0.0) / nodes)  # noqa: B023
        rows["mean_gradient"].append(second(lambda x: at_z(x).mean(axis=0), pulls.mean(axis=0)))
        own = sum(np.trace(of.noise[i]) for i in range(nodes)) / nodes
        rows["drawn"].append(second(at_z, pulls) / nodes + own)
        rows["at_nodes"].append(second(lambda x: (x / w) @ hessian, np.tile(hessian @ optimum, (nodes, 1))) / nodes)  # noqa: B023
        matrix = rounds[step % len(rounds)]
        effects = [matrix @ (effect - gamma * at_z(effect)) for effect in effects]
        mean = matrix @ (mean - gamma * (at_z(mean) - pulls))
        for i in range(nodes):
            values, vectors = np.linalg.eigh(of.noise[i])
            for value, vector in zip(values, vectors.T, strict=True):
                fresh = np.zeros((nodes, 2))
                fresh[i] = -gamma * np.sqrt(max(0.0, value)) * vector
                effects.append(matrix @ fresh)
        weights.append(matrix @ weights[-1])
    return {name: np.array(values) for name, values in rows.items()}


STARTS = ("optimum", "apart", "one point")


@pytest.mark.parametrize("start_at", STARTS)
@pytest.mark.parametrize(("nodes", "period", "steps", "noise", "shared"), [
    (1, 1, 4, 0.5, False), (2, 3, 1, 0.3, True), (2, 1, 9, 0.0, False), (5, 2, 8, 0.4, False), (7, 3, 6, 0.2, True), (24, 1, 2, 0.3, False),
])  # fmt: skip
def test_exact_moments_and_the_one_step_claims(nodes: int, period: int, steps: int, noise: float, shared: bool, start_at: str) -> None:
    of, rounds = functions(nodes, shared, noise, 3), irregular(nodes, period, 3)
    start = np.random.default_rng(nodes).standard_normal((nodes, 2))
    start = {"optimum": np.tile(of.minimizer, (nodes, 1)), "apart": start, "one point": np.tile(start[:1], (nodes, 1))}[start_at]
    curvatures = np.concatenate([np.linalg.eigvalsh(hessian) for hessian in of.hessians])
    smooth, convex, gamma = curvatures.max(), curvatures.min(), 0.24 / curvatures.max()
    setting = of.setting("by hand", Chain.of(Matrices(tuple(rounds)), steps), steps, gamma, start)
    found, known = exact_moments(setting, of), moments_by_hand(of, rounds, start, gamma, steps)
    for name, values in known.items():
        assert getattr(found, name) == pytest.approx(values, rel=1e-9, abs=1e-12), name
    variance = max(np.trace(covariance) for covariance in of.noise)
    lowest = sum((of.minimizer - b) @ h @ (of.minimizer - b) for h, b in zip(of.hessians, of.centres, strict=True)) / (2 * nodes)
    loss, distance = known["loss"], known["distance"]
    descent = [
        loss[k] - gamma / 2 * known["squared_gradient"][k] - gamma / 2 * (1 - smooth * gamma) * known["mean_gradient"][k]
        + gamma * smooth**2 / 2 * known["deviation"][k] + smooth * gamma**2 * variance / (2 * nodes)
        for k in range(steps)
    ]  # fmt: skip
    contraction = [
        (1 - gamma * convex / 2) * distance[k] - gamma * (loss[k] - lowest)
        + 5 / 2 * gamma * smooth * known["deviation"][k] + gamma**2 * variance / nodes
        for k in range(steps)
    ]  # fmt: skip
    assert DescentStep().predicted(setting, found).values == pytest.approx(descent, rel=1e-9, abs=1e-12)
    assert ContractionStep().predicted(setting, found).values == pytest.approx(contraction, rel=1e-9, abs=1e-12)
    assert verify(DescentStep(), setting, found).outcome is Outcome.HOLDS
    assert verify(ContractionStep(), setting, found).outcome is Outcome.HOLDS
    assert (loss[1:] <= np.array(descent) + 1e-12).all() and (distance[1:] <= np.array(contraction) + 1e-12).all()


@pytest.mark.parametrize("seeds", [30, 400])
def test_a_rate_and_its_interval(seeds: int) -> None:
    """The slope is that of a straight line through the logarithms of the means; its error is that of the delta method."""
    generator = np.random.default_rng(seeds)
    at = np.array([50.0, 90.0, 400.0, 1000.0])
    runs = generator.gamma(9.0, 1 / 9.0, (4, seeds)) * at[:, None] ** -0.7
    found = bootstrap_slope(at, runs, 0.05)
    assert found.slope == pytest.approx(np.polyfit(np.log(at), np.log(runs.mean(axis=1)), 1)[0], rel=1e-10)
    x = np.log(at) - np.log(at).mean()
    relative = runs.std(axis=1) / runs.mean(axis=1) / np.sqrt(seeds)
    error = np.sqrt(((x / (x @ x)) ** 2 * relative**2).sum())
    assert found.error == pytest.approx(error, rel=0.1)
    quantile = {30: 2.0452296, 400: 1.9659273}[seeds]  # Student's, 29 and 399 degrees of freedom
    assert (found.lower, found.upper) == pytest.approx([found.slope + sign * quantile * found.error for sign in (-1, 1)], rel=1e-6)
    alone = bootstrap_slope(at, runs[:, :1], 0.05)  # one seed: a line, and no interval
    assert alone.error == 0.0 and alone.slope == pytest.approx(np.polyfit(np.log(at), np.log(runs[:, 0]), 1)[0], rel=1e-10)


def test_exact_moments_of_what_one_round_averages() -> None:
    """Noise alone, averaged at once: spreads are 0, and what rounding leaves of a variance is no violation."""
    for nodes, seed in ((5, 45), (2, 1), (7, 2), (24, 3)):
        of = functions(nodes, True, 1.0, seed)
        chain = Chain.of(Matrices((np.full((nodes, nodes), 1 / nodes),)), 7)
        setting = of.setting("averaged", chain, 7, 0.05, np.tile(of.minimizer + 1e-17, (nodes, 1)))
        honest = exact_moments(setting, of)
        assert setting.profile.first < 1e-12
        for claim in (ConsensusSum(), GradientsAtNodes(), TheoremD1(), DescentStep()):
            assert verify(claim, setting, honest).outcome in (Outcome.HOLDS, Outcome.NOT_APPLICABLE), claim.name
        assert verify(ConsensusSum(), setting, honest).outcome is Outcome.HOLDS
        apart = replace(honest, deviation=honest.deviation + 1e-10 * np.trace(of.noise[0]))  # the control: no rounding
        assert verify(ConsensusSum(), setting, apart).outcome is Outcome.VIOLATED


@pytest.mark.parametrize("cut", [3, 6, 9])
def test_the_tail_of_a_profile_is_bounded(cut: int) -> None:
    """What is cut off a profile is at most the stated tail, and the tail is the formula: blocks of M, each a factor theta less."""
    rounds, steps = irregular(5, 2, 4), 60
    chain, known = Chain.of(Matrices(tuple(rounds)), 60), kernels(rounds, steps)
    norms = [max(np.linalg.norm(known.entries[s + m][s], 2) for s in range(steps + 1 - m)) for m in range(steps + 1)]
    found = profile(chain, cut, None)
    remainders = [
        known.products[s + cut][s] - np.outer(known.weights[s + cut], np.ones(5)) / 5 for s in range(steps + 1 - cut)
    ]
    theta = max(np.linalg.norm(remainder, 2) for remainder in remainders)
    block = np.array(norms[1 : cut + 1])
    assert theta < 1
    assert found.tails == pytest.approx((block.sum() * theta / (1 - theta), (block**2).sum() * theta**2 / (1 - theta**2)), rel=1e-8)
    assert sum(norms[cut + 1 :]) <= found.tails[0] and sum(norm**2 for norm in norms[cut + 1 :]) <= found.tails[1]
    given = Contraction(time=2, least=0.1, weight=0.4, nodes=5)
    for power in (1, 2):
        by_hand = sum((5 * 0.5 ** (m // 2) / 0.4) ** power for m in range(cut + 1, 400))
        assert by_hand <= given.tail(cut, power) * (1 + 1e-12) and given.tail(cut, power) <= 2.01 * by_hand / 0.5**power


def test_windows_of_rounds_that_never_repeat_are_seen_twice() -> None:
    """B = 3: a ring whose arcs take turns; with five rounds looked at, no two whole windows were."""
    arcs = [np.eye(3), np.eye(3), np.eye(3)]
    for sender, matrix in enumerate(arcs):
        matrix[sender, sender] = matrix[(sender + 1) % 3, sender] = 0.5
    for horizon, length in ((5, None), (6, 3), (9, 3)):
        found = windows(Chain(np.stack([arcs[step % 3] for step in range(horizon)]), horizon, False, 3))
        assert (None if found is None else found.length) == length


@pytest.mark.parametrize("nodes", [3, 5, 7])
def test_the_star_of_round_k_has_its_centre_at_node_k(nodes: int) -> None:
    for step in range(2 * nodes):
        matrix = RotatingStar(nodes).matrix(step).toarray()
        assert matrix[:, step % nodes] == pytest.approx(np.full(nodes, 1 / nodes))
        assert matrix[step % nodes] == pytest.approx([1 / nodes if node == step % nodes else 0.5 for node in range(nodes)])


def test_gradients_are_taken_at_the_ratios() -> None:
    nodes, steps = 5, 6
    objective = Quadratic(nodes, 2, noise=0.0, seed=3, unequal=True)
    experiment = Experiment(SGP(SGD(Constant(0.1))), objective, Matrices(tuple(irregular(nodes, 2, 7))), Steps(steps), start=2.0)
    path = path_of(Vectorized(keep_trajectory=True), experiment)
    for k in range(steps):
        z = path.values[k, :, 0] / path.weights[k][:, None]
        local = np.stack([objective.hessians[i] @ (z[i] - objective.centers[i]) for i in range(nodes)])
        assert path.gradients[k, :, 0] == pytest.approx(local, rel=1e-12)
        assert k == 0 or np.abs(z - path.values[k, :, 0]).max() > 1e-3  # x would be another point


def test_one_part_in_a_hundred_million_more_than_the_descent_step_allows_is_seen() -> None:
    """On |x - b|^2 / 2 of one node the descent step is an equality: the floor of rounding hides nothing beyond 1e-9."""
    of = Quadratics(np.eye(2)[None], np.ones((1, 2)), np.zeros((1, 2, 2)))
    setting = of.setting("equality", Chain.of(Matrices((np.ones((1, 1)),)), 4), 4, 0.1, np.zeros((1, 2)))
    honest = exact_moments(setting, of)
    assert verify(DescentStep(), setting, honest).outcome is Outcome.HOLDS
    raised = honest.loss * (1 + 1e-8 * np.arange(5))
    assert verify(DescentStep(), setting, replace(honest, loss=raised)).outcome is Outcome.VIOLATED


def test_the_sums_of_a_geometric_profile() -> None:
    """S1 <= C' q / (1 - q) and S2 <= C'^2 / (1 - q^2), C' = n C."""
    setting = Setting.of("irregular", Matrices(tuple(irregular(5, 2, 8))), 40)
    assert setting.contraction is not None and setting.contraction.geometric is not None
    constant, ratio = setting.contraction.geometric
    expected = [5 * constant * ratio / (1 - ratio), (5 * constant) ** 2 / (1 - ratio**2)]
    assert ProfileSums().predicted(setting, None).values == pytest.approx(expected)


@pytest.mark.parametrize("dimension", [1, 4])
def test_the_noise_of_a_gradient_has_the_stated_square(dimension: int) -> None:
    """E |g - grad f_i|^2 = sigma^2, whatever the dimension: 2,400 draws, five standard errors."""
    objective = Quadratic(2, dimension, noise=0.7, seed=1)
    experiment = Experiment(SGP(SGD(Constant(0.1))), objective, Matrices((np.full((2, 2), 0.5),)), Steps(30), tuple(range(40)))
    noise = moments_of(path_of(Vectorized(keep_trajectory=True), experiment), objective).noise
    assert noise is not None
    assert noise.mean() == pytest.approx(0.49, abs=5 * 0.49 * np.sqrt(2 / dimension / 2400))


@pytest.mark.parametrize("period", [1, 2, 5])
def test_the_gap_is_per_round(period: int) -> None:
    rounds = irregular(5, period, 6)
    product = np.eye(5)
    for matrix in rounds:
        product = matrix @ product
    second = np.sort(np.abs(np.linalg.eigvals(product)))[-2]
    assert gap(Chain.of(Matrices(tuple(rounds)), 20)) == pytest.approx(1 - second ** (1 / period), rel=1e-9)


def test_moments_of_a_path_are_the_means_of_its_figures() -> None:
    """drawn, noise and the rest, node by node, from the path of a run with irregular weights."""
    nodes, steps = 5, 6
    objective = Quadratic(nodes, 2, noise=0.7, seed=3, unequal=True)
    experiment = Experiment(SGP(SGD(Constant(0.1))), objective, Matrices(tuple(irregular(nodes, 2, 7))), Steps(steps), (0, 1), start=2.0)
    path = path_of(Vectorized(keep_trajectory=True), experiment)
    found = moments_of(path, objective, objective.minimizer)
    for k in range(steps):
        for seed in range(2):
            z = path.values[k, :, seed] / path.weights[k][:, None]
            xbar, drawn = path.values[k, :, seed].mean(axis=0), path.gradients[k, :, seed]
            local = np.stack([objective.hessians[i] @ (z[i] - objective.centers[i]) for i in range(nodes)])
            mean = objective.hessians.mean(axis=0)
            by_hand = {
                "deviation": ((z - xbar) ** 2).sum() / nodes,
                "mean_gradient": (local.mean(axis=0) ** 2).sum(),
                "drawn": (drawn**2).sum() / nodes,
                "noise": ((drawn - local) ** 2).sum() / nodes,
                "squared_gradient": ((mean @ (xbar - objective.minimizer)) ** 2).sum(),
                "at_nodes": (((z - objective.minimizer) @ mean) ** 2).sum() / nodes,
                "distance": ((xbar - objective.minimizer) ** 2).sum(),
            }
            for name, value in by_hand.items():
                assert getattr(found, name)[k, seed] == pytest.approx(value, rel=1e-9), name
