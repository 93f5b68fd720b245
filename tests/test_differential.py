"""One text, three machines: matrix algebra (to rounding) = array program = event simulation (bit for bit)."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_experiments import clusters, experiments

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.choice import best_for
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.descents.adam import Adam
from sgpsim.descents.descent import Descent
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.quadratic import Quadratic, QuadraticArrays
from sgpsim.objectives.sigmoid import SigmoidLoss
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.results.run import Run
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import UndirectedRing
from theory.recursions import recursion_of


@st.composite
def cases(draw: st.DrawFn) -> tuple[Experiment, Cluster]:
    experiment = draw(experiments(most_nodes=10))  # from 8 on, numpy's sums of a row are not first to last
    return experiment, draw(clusters(experiment.nodes, experiment.message_size))


def sorted_rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort(frame.columns)


def assert_same(one: Run, other: Run) -> None:
    """Values, weights, clocks and traces to the bit; metrics too, but those that count mass under way."""
    for name, first, second in zip(one.final._fields, one.final, other.final, strict=True):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second, err_msg=name)
    assert one.trajectory is not None and other.trajectory is not None
    flying = one.experiment.algorithm.leaves_in_flight
    for name, first, second in zip(one.trajectory._fields, one.trajectory, other.trajectory, strict=True):
        if name.startswith("flight") and flying:
            np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-4, err_msg=name)
        else:
            np.testing.assert_array_equal(first, second, err_msg=name)
    assert one.trace is not None and other.trace is not None
    for first, second in ((one.trace.spans, other.trace.spans), (one.trace.messages, other.trace.messages)):
        assert sorted_rows(first).equals(sorted_rows(second))
    keys = ["seed", "cut", "step", "node", "metric"]
    first, second = one.metrics.sort(keys), other.metrics.sort(keys)
    assert first.drop("value").equals(second.drop("value"))
    # Defects say how far rounding went; bytes are counted message by message here, round by round there.
    exact = ~first["metric"].is_in(["mass_defect", "bytes_sent"])
    near = first["metric"] == "bytes_sent"
    assert first.filter(near)["value"].to_numpy() == pytest.approx(second.filter(near)["value"].to_numpy(), rel=1e-12)
    if flying:
        told, other_told = (frame.filter(exact)["value"].to_numpy() for frame in (first, second))
        assert told == pytest.approx(other_told, rel=1e-4, abs=1e-6 * (1 + np.abs(other_told).max()))
    else:
        assert first.filter(exact).equals(second.filter(exact))


@settings(max_examples=150, deadline=None)
@given(case=cases(), look_ahead=st.booleans())
def test_array_program_and_event_simulation_agree_to_the_bit(
    case: tuple[Experiment, Cluster], look_ahead: bool
) -> None:
    experiment, cluster = case
    vectorized = Vectorized(cluster, trace=True, keep_trajectory=True).run(experiment)
    simulated = Simulated(cluster, keep_trajectory=True, look_ahead=look_ahead).run(experiment)
    assert_same(vectorized, simulated)


DATA = SyntheticClassification(samples=130, features=5, groups=9, unlikeness=1.0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "objective",
    [
        LogisticRegression(9, DATA, batch=3, regularization=0.01),
        LogisticRegression(9, DATA, batch=3, sampling="epochs"),
        SoftmaxRegression(9, SyntheticClassification(samples=130, features=4, classes=3), batch=4),
        SigmoidLoss(9, DATA),
        Quadratic(9, 40),
        Quadratic(9, 33, unequal=True),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_they_agree_to_the_bit_on_every_objective(objective: Objective, dtype: Any) -> None:
    """Gradients come one by one, in batches of those in flight, or all at once: the same bits."""
    cluster = Cluster(9, ExponentialTime(1.0), Hockney(0.1, 1e4))
    for method in (SGP(Momentum(Constant(0.05))), OverlapSGP(SGD(Constant(0.1)), delay=1)):
        found = Experiment(method, objective, ErdosRenyiDigraph(9, 0.4), Steps(30), (0, 1, 2), dtype=dtype)
        vectorized = Vectorized(cluster, trace=True, keep_trajectory=True).run(found)
        for look_ahead in (False, True):
            assert_same(vectorized, Simulated(cluster, keep_trajectory=True, look_ahead=look_ahead).run(found))


@settings(max_examples=100, deadline=None)
@given(experiment=experiments())
def test_both_equal_matrix_algebra_to_rounding(experiment: Experiment) -> None:
    run = Vectorized(keep_trajectory=True).run(experiment)
    recursion = recursion_of(experiment.algorithm)
    assert isinstance(experiment.budget, Steps) and run.trajectory is not None and recursion is not None
    for column, seed in enumerate(experiment.seeds):
        path = recursion(experiment, seed, experiment.budget.count)
        scale = 1.0 + np.abs(path.values).max()
        rounding = (3e-5 if experiment.dtype == "float32" else 1e-12) * scale
        np.testing.assert_allclose(run.trajectory.weights, path.weights, rtol=0, atol=1e-12)
        flying = np.zeros(len(path.values)) if path.flight_weights is None else path.flight_weights
        np.testing.assert_allclose(run.trajectory.flight_weights, flying, rtol=0, atol=1e-12)
        np.testing.assert_allclose(run.trajectory.values[:, :, column], path.values, rtol=0, atol=rounding)
        flying = np.zeros_like(path.values[:, 0]) if path.flight_values is None else path.flight_values
        np.testing.assert_allclose(
            run.trajectory.flight_values[:, column], flying, rtol=0, atol=experiment.nodes * rounding
        )
        np.testing.assert_array_equal(run.final.values[:, column], run.trajectory.values[-1, :, column])
        np.testing.assert_array_equal(run.final.weights[:, column], run.trajectory.weights[-1])


@settings(max_examples=25, deadline=None)
@given(case=cases(), every=st.integers(1, 3), step_size=st.sampled_from([0.1, 0.3]))
def test_overlap_without_delay_is_sgp_to_the_bit(
    case: tuple[Experiment, Cluster], every: int, step_size: float
) -> None:
    """Also where messages are mixed as they arrive: without delay a round is complete before the next begins."""
    experiment, cluster = case
    if isinstance(experiment.algorithm, DPSGD):
        return
    descent = SGD(Constant(step_size))
    sgp = dataclasses.replace(experiment, algorithm=SGP(descent))
    plain = Vectorized(cluster, keep_trajectory=True).run(sgp)
    for method in (OverlapSGP(descent, delay=0), OverlapSGP(descent, delay=0, mixing="arrival")):
        assert not method.leaves_in_flight and not method.depends_on_timing
        for backend in (Vectorized(cluster, keep_trajectory=True), Simulated(cluster, keep_trajectory=True)):
            run = backend.run(dataclasses.replace(experiment, algorithm=method))
            assert run.trajectory is not None and plain.trajectory is not None
            for first, second in zip(run.trajectory, plain.trajectory, strict=True):
                np.testing.assert_array_equal(first, second)
    seldom = [
        dataclasses.replace(experiment, algorithm=OverlapSGP(descent, delay=0, every=every, mixing=mixing))
        for mixing in ("exact", "arrival")
    ]
    first, second = (
        backend(cluster).run(it).final for backend, it in zip((Vectorized, Simulated), seldom, strict=True)
    )
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.clocks, second.clocks)


@pytest.mark.parametrize("nodes", [2, 5, 8])
def test_biased_overlap_takes_its_gradients_at_a_shrunken_point(nodes: int) -> None:
    """theory: all start at 1 and nothing moves them; with half of the mass under way for one step, x settles at 2/3."""
    still = SGD(Constant(1e-300))
    runs = {}
    for biased in (False, True):
        method = OverlapSGP(still, delay=1, biased=biased)
        experiment = Experiment(method, Quadratic(nodes, 3), OnePeerExponential(nodes), Steps(80), start=1.0)
        runs[biased] = Vectorized(keep_trajectory=True).run(experiment).trajectory
        cuts = runs[biased]
        ratios = cuts.values[:, :, 0] / cuts.weights[..., None]
        assert ratios == pytest.approx(np.ones_like(ratios), abs=1e-12), "the ratio itself is never biased"
    taken_at = {biased: _gradient_points(nodes, biased) for biased in runs}
    assert taken_at[False] == pytest.approx(1.0, abs=1e-12)
    assert taken_at[True] == pytest.approx(2 / 3, abs=1e-12)


def _gradient_points(nodes: int, biased: bool) -> np.ndarray:
    """Where the last gradients are taken, read off the gradients themselves: g = x - b."""
    method = OverlapSGP(SGD(Constant(1e-300)), delay=1, biased=biased)
    objective = Quadratic(nodes, 3, noise=0.0, structure="scalar", most_curvature=1.0)
    experiment = Experiment(method, objective, OnePeerExponential(nodes), Steps(80), start=1.0)
    cuts = Vectorized(keep_trajectory=True).run(experiment).trajectory
    assert cuts is not None
    return cuts.gradients[79, :, 0] + objective.centers


@pytest.mark.parametrize(
    "descent", [SGD(Constant(0.2)), Momentum(Constant(0.05), 0.9, True), Momentum(Constant(0.05), 0.5, False)]
)
@pytest.mark.parametrize("unequal", [False, True])
def test_averaging_with_everybody_is_all_reduce_is_one_node_on_the_union(descent: Descent, unequal: bool) -> None:
    nodes, steps = 6, Steps(40)
    parts = Quadratic(nodes, 4, noise=0.0, unequal=unequal)
    union = QuadraticArrays(parts.hessians.mean(axis=0), parts.minimizer[None])
    finals = [
        Vectorized().run(Experiment(method, objective, schedule, steps, start=1.0)).final.values[0, 0]
        for method, objective, schedule in (
            (SGP(descent), parts, Complete(nodes)),
            (AllReduceSGD(descent), parts, Complete(nodes)),
            (SGP(descent), union, Complete(1)),
        )
    ]
    assert finals[0] == pytest.approx(finals[1], rel=1e-12, abs=1e-13)
    assert finals[0] == pytest.approx(finals[2], rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("model", [LogisticRegression, SoftmaxRegression])
def test_the_same_on_data_in_full_batches(model: type[LogisticRegression] | type[SoftmaxRegression]) -> None:
    """An epoch cut into batches of the node's whole share is a full batch."""
    nodes, samples = 4, 80
    data = SyntheticClassification(samples=samples, features=5)
    parts = model(nodes, data, batch=samples // nodes, sampling="epochs")
    union = model(1, data, batch=samples, sampling="epochs")
    finals = [
        Vectorized().run(Experiment(method, objective, Complete(objective.nodes), Steps(25))).final.values[-1, 0]
        for method, objective in (
            (SGP(SGD(Constant(0.5))), parts),
            (AllReduceSGD(SGD(Constant(0.5))), parts),
            (SGP(SGD(Constant(0.5))), union),
        )
    ]
    assert finals[0] == pytest.approx(finals[1], rel=1e-11, abs=1e-12)
    assert finals[0] == pytest.approx(finals[2], rel=1e-11, abs=1e-12)


def test_adam_is_not_linear_so_averaging_before_and_after_differ() -> None:
    """The negative control of the equality above: Adam declares that it is not linear, and it is not."""
    adam = Adam(Constant(0.05))
    assert not adam.linear and SGD().linear and Momentum().linear
    parts = Quadratic(6, 4, noise=0.0)
    finals = [
        Vectorized().run(Experiment(method, parts, Complete(6), Steps(40), start=1.0)).final.values[0, 0]
        for method in (SGP(adam), AllReduceSGD(adam))
    ]
    assert np.abs(finals[0] - finals[1]).max() > 1e-3


@pytest.mark.parametrize("number", [np.float64(0.1), np.float32(0.1), np.float64(0.1) * 1])
def test_numpy_scalars_do_not_widen_a_float32_run(number: float) -> None:
    """np.float64 is not a weak scalar: times a float32 array it gives float64."""
    for descent in (
        SGD(Constant(float(number))),
        Momentum(Constant(0.1), np.float64(0.5)),
        Adam(Constant(0.1), np.float64(0.9)),
    ):
        experiment = Experiment(SGP(descent), Quadratic(4, 3), OnePeerExponential(4), Steps(4), dtype="float32")
        for backend in (Vectorized(), Simulated(Cluster(4))):
            assert backend.run(experiment).final.values.dtype == np.float32
    constant = Constant(np.float64(0.1))
    assert type(constant.at(0)) is float and constant == Constant(0.1) and hash(constant) == hash(Constant(0.1))


def test_the_faster_backend_is_chosen_wherever_it_is_exact() -> None:
    quadratic, ring = Quadratic(4, 3), UndirectedRing(4)
    cluster = Cluster(4)
    for method in (SGP(), DPSGD(), AllReduceSGD(), OverlapSGP(delay=2), OverlapSGP(delay=0, mixing="arrival")):
        backend, why = best_for(Experiment(method, quadratic, ring), cluster)
        assert isinstance(backend, Vectorized) and type(method).__name__ in why
    for method in (ADPSGD(), OverlapSGP(delay=1, mixing="arrival")):
        backend, why = best_for(Experiment(method, quadratic, ring), cluster)
        assert isinstance(backend, Simulated) and type(method).__name__ in why
        with pytest.raises(SpecificationError, match="Vectorized cannot run"):
            Vectorized(cluster).run(Experiment(method, quadratic, ring))
