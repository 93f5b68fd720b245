"""One text, three machines: matrix algebra (to rounding) = array program = event simulation (bit for bit)."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matrix_recursion import recursion
from random_experiments import clusters, experiments

from sgpsim.backends.simulated import Simulated
from sgpsim.backends.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.experiment import Experiment
from sgpsim.run import Run


@st.composite
def cases(draw: st.DrawFn) -> tuple[Experiment, Cluster]:
    experiment = draw(experiments())
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
        assert first["value"].to_numpy() == pytest.approx(second["value"].to_numpy(), rel=1e-5, abs=1e-4)
    else:
        assert first.filter(exact).equals(second.filter(exact))


@settings(max_examples=150, deadline=None)
@given(case=cases(), look_ahead=st.booleans())
def test_array_program_and_event_simulation_agree_to_the_bit(case: tuple[Experiment, Cluster], look_ahead: bool) -> None:
    experiment, cluster = case
    vectorized = Vectorized(cluster, trace=True, keep_trajectory=True).run(experiment)
    simulated = Simulated(cluster, keep_trajectory=True, look_ahead=look_ahead).run(experiment)
    assert_same(vectorized, simulated)


@settings(max_examples=100, deadline=None)
@given(experiment=experiments())
def test_both_equal_matrix_algebra_to_rounding(experiment: Experiment) -> None:
    run = Vectorized(keep_trajectory=True).run(experiment)
    assert isinstance(experiment.budget, Steps) and run.trajectory is not None
    for column, seed in enumerate(experiment.seeds):
        path = recursion(experiment, seed, experiment.budget.count)
        scale = 1.0 + np.abs(path.values).max()
        rounding = (3e-5 if experiment.dtype == "float32" else 1e-12) * scale
        np.testing.assert_allclose(run.trajectory.weights, path.weights, rtol=0, atol=1e-12)
        np.testing.assert_allclose(run.trajectory.flight_weights, path.flight_weights, rtol=0, atol=1e-12)
        np.testing.assert_allclose(run.trajectory.values[:, :, column], path.values, rtol=0, atol=rounding)
        np.testing.assert_allclose(
            run.trajectory.flight_values[:, column], path.flight_values, rtol=0, atol=experiment.nodes * rounding
        )
        np.testing.assert_array_equal(run.final.values[:, column], run.trajectory.values[-1, :, column])
        np.testing.assert_array_equal(run.final.weights[:, column], run.trajectory.weights[-1])
