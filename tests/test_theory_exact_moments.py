"""Exact moments against runs, against an independent recursion over samples, and against plain SGD in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import QuadraticArrays
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.random_peer import RandomPeer
from sgpsim.schedules.rotating_star import RotatingStar
from sgpsim.schedules.schedule import Schedule
from theory.chain import Chain
from theory.delays import augmented
from theory.evidence import FIGURES, Moments, Path, moments_of
from theory.exact_moments import Quadratics, exact_moments
from theory.setting import Setting

NODES, DIMENSION, STEP = 5, 2, 0.1
GENERATOR = np.random.default_rng(3)
ROOTS = GENERATOR.standard_normal((NODES, DIMENSION, DIMENSION))
HESSIANS = ROOTS @ ROOTS.swapaxes(1, 2) / 4 + 0.2 * np.eye(DIMENSION)
CENTRES = GENERATOR.standard_normal((NODES, DIMENSION))
STARTS = GENERATOR.standard_normal((NODES, DIMENSION))
IRREGULAR = ErdosRenyiDigraph(NODES, 0.4)


def functions(noise: float) -> Quadratics:
    return Quadratics(HESSIANS, CENTRES, np.broadcast_to(np.eye(DIMENSION) * noise**2 / DIMENSION, HESSIANS.shape))


def setting(schedule: Schedule, steps: int, delay: int = 0, noise: float = 0.0) -> Setting:
    chain = Chain.of(schedule, steps)
    found = functions(noise).setting("test", chain, steps, STEP, STARTS)
    return replace(found, delayed=augmented(chain, delay), delay=delay) if delay else found


def run(schedule: Schedule, steps: int, delay: int, noise: float, seeds: int) -> Moments:
    descent = SGD(Constant(STEP))
    method = OverlapSGP(descent, delay=delay) if delay else SGP(descent)
    objective = QuadraticArrays(HESSIANS, CENTRES, noise)
    experiment = Experiment(method, objective, schedule, Steps(steps), tuple(range(seeds)), start=STARTS)  # pyright: ignore[reportArgumentType]
    found = Vectorized(keep_trajectory=True).run(experiment)
    return moments_of(Path.of(found.trajectory, steps), objective, objective.minimizer)


@pytest.mark.parametrize("schedule", [IRREGULAR, RotatingStar(NODES), RandomPeer(NODES)])
@pytest.mark.parametrize("delay", [0, 1, 2])
def test_without_noise_moments_are_the_run(schedule: Schedule, delay: int) -> None:
    exact, seen = exact_moments(setting(schedule, 40, delay), functions(0.0)), run(schedule, 40, delay, 0.0, 1)
    for name in FIGURES:
        assert np.allclose(getattr(exact, name), getattr(seen, name), rtol=1e-9, atol=1e-12), name


@pytest.mark.parametrize("delay", [0, 2])
def test_with_noise_the_mean_of_many_runs_agrees(delay: int) -> None:
    exact, seen = exact_moments(setting(IRREGULAR, 30, delay, 0.7), functions(0.7)), run(IRREGULAR, 30, delay, 0.7, 2000)
    for name in FIGURES:
        runs = getattr(seen, name)
        error = runs.std(axis=1) / np.sqrt(runs.shape[1])
        off = np.abs(runs.mean(axis=1) - getattr(exact, name)) / np.maximum(error, 1e-12)
        assert off[1:].max() < 5.0, name


def test_complete_graph_is_plain_sgd_in_closed_form() -> None:
    """One node on f: E(x - x*)^2 contracts by (1 - gamma h)^2 and gains gamma^2 sigma^2 / n per step."""
    curvature, noise, steps = 0.8, 0.5, 60
    shared = Quadratics(np.full((NODES, 1, 1), curvature), CENTRES[:, :1], np.full((NODES, 1, 1), noise**2))
    asked = shared.setting("plain", Chain.of(Complete(NODES), steps), steps, STEP, np.zeros((NODES, 1)))
    found = exact_moments(asked, shared)
    ratio, gain = (1 - STEP * curvature) ** 2, STEP**2 * noise**2 / NODES
    start = float(CENTRES[:, 0].mean() ** 2)
    count = np.arange(steps + 1)
    assert found.distance is not None
    assert np.allclose(found.distance, start * ratio**count + gain * (1 - ratio**count) / (1 - ratio))
    assert np.allclose(found.squared_gradient, curvature**2 * found.distance[:-1])
    assert np.allclose(found.deviation, 0.0, atol=1e-17)
    assert np.allclose(found.loss, shared.loss(shared.minimizer) + curvature / 2 * found.distance)


def test_constants_are_those_of_the_functions() -> None:
    found, constants = functions(0.7), functions(0.7).constants()
    assert constants.smoothness.value == pytest.approx(np.linalg.norm(HESSIANS, ord=2, axis=(1, 2)).max())
    assert constants.variance.value == pytest.approx(0.49)
    assert constants.heterogeneity.value is None and constants.heterogeneity.evidence == "unknown"
    assert constants.lowest.value == pytest.approx(found.loss(found.minimizer))
    nearby = found.minimizer + 0.01 * GENERATOR.standard_normal(DIMENSION)
    assert found.loss(nearby) > found.loss(found.minimizer)
    alike = Quadratics(np.broadcast_to(HESSIANS[0], HESSIANS.shape), CENTRES, found.noise)
    pulls = (CENTRES - CENTRES.mean(axis=0)) @ HESSIANS[0]
    assert alike.constants().heterogeneity.value == pytest.approx((pulls**2).sum() / NODES)


def test_steps_are_reused_only_where_they_are_equal() -> None:
    """A periodic chain and the same rounds written out, which reuses nothing, give the same figures."""
    steps = 120
    periodic = setting(RotatingStar(NODES), steps, 0, 0.7)
    rounds = np.stack([periodic.chain.round(step) for step in range(steps)])
    written = replace(periodic, chain=Chain(rounds, steps, False, NODES))
    one, other = exact_moments(periodic, functions(0.7)), exact_moments(written, functions(0.7))
    for name in FIGURES:
        assert np.allclose(getattr(one, name), getattr(other, name), rtol=1e-10), name
