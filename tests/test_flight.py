"""What is under way is summed alike on both backends, in float64, and no rounding of earlier mass stays in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.backends.watch.flight import Flight, Passage, add_with_rest
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import QuadraticArrays
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.matrices import Matrices
from sgpsim.schedules.static_exponential import StaticExponential


def irregular(nodes: int) -> Matrices:
    """Senders of several unlike shares, and some of one."""
    generator = np.random.default_rng(nodes)
    matrix = generator.random((nodes, nodes)) * (generator.random((nodes, nodes)) < 0.5) + 0.2 * np.eye(nodes)
    matrix[(np.arange(nodes) + 1) % nodes, np.arange(nodes)] += 0.3
    return Matrices((matrix / matrix.sum(axis=0),))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("nodes", [1, 2, 7])
def test_both_backends_sum_what_is_under_way_to_the_rounding_of_float64(nodes: int, dtype: Any) -> None:
    for schedule in (irregular(nodes), StaticExponential(nodes)):
        experiment = Experiment(
            OverlapSGP(SGD(Constant(0.3)), delay=3, every=2), QuadraticArrays(np.eye(2), np.ones((nodes, 2)), 1.0),
            schedule, Steps(40), (0, 4), start=-1000.0, dtype=dtype,
        )  # fmt: skip
        cluster = Cluster(nodes, ExponentialTime(1.0))
        runs = [backend.run(experiment) for backend in (Simulated(cluster), Vectorized(cluster, check_every=3))]
        one, other = (run.metrics.sort("seed", "step", "metric") for run in runs)
        one, other = (table.filter(pl.col("metric") != "mass_defect") for table in (one, other))
        assert one.drop("value").equals(other.drop("value"))
        np.testing.assert_allclose(one["value"].to_numpy(), other["value"].to_numpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "method", [OverlapSGP(delay=2), OverlapSGP(delay=2, mixing="arrival"), ADPSGD()], ids=["exact", "arrival", "AD-PSGD"]
)
def test_large_mass_of_long_ago_leaves_no_trace_in_the_average(method: Algorithm) -> None:
    """From 1e8 towards the optimum 0 without noise: consensus stopped at 2e-8 while all nodes stood at 1e-80."""
    descent = SGD(Constant(0.5))
    schedule = BipartiteExponential(6) if isinstance(method, ADPSGD) else StaticExponential(6)
    experiment = Experiment(
        ADPSGD(descent) if isinstance(method, ADPSGD) else OverlapSGP(descent, 2, mixing=method.mixing),  # type: ignore[attr-defined]
        QuadraticArrays(np.eye(1), np.zeros((6, 1))), schedule, Steps(600), start=1e8, measure_every=100,
    )  # fmt: skip
    run = Simulated(Cluster(6, ExponentialTime(1.0), Hockney(0.1))).run(experiment)
    assert run.outcome == "finished"
    assert run.curve("consensus_max")["value"][-1] < 1e-50 and run.curve("loss")["value"][-1] < 1e-100
    assert float(np.abs(run.final.points).max()) < 1e-50


def test_messages_may_be_told_of_in_any_order_and_go_one_by_one() -> None:
    flight = Flight(1)
    passages: list[tuple[Passage, Passage]] = []
    for value in (1e16, 1.0, -3.0):
        message, carried = object(), np.array([value], dtype=np.float32)
        passages.append(((message, carried, 0.5, 1), (message, carried, 0.5, -1)))
    flight.add([passages[0][0], passages[1][1], passages[2][0]])
    flight.add([passages[1][0], passages[0][1]])
    assert flight.total() == (np.array([-3.0]), 0.5)
    flight.add([passages[2][1]])
    assert flight.total() == (np.array([0.0]), 0.0)


@settings(max_examples=50)
@given(st.lists(st.floats(-1e12, 1e12), max_size=60), st.sampled_from([np.float64, np.float32]))
def test_a_sum_with_its_rest_is_that_of_all_that_is_there(numbers: list[float], kind: type[np.floating[Any]]) -> None:
    """Every message comes and goes, in another order, but for the last two; what is left is exact to 1e-16 of itself."""
    messages = [np.array([number, -0.5 * number], kind) for number in numbers]
    flight, total, rest = Flight(2), np.zeros(2), np.zeros(2)
    for number, message in enumerate((*messages, *(-1 * message for message in messages[-3::-1]))):
        add_with_rest(total, rest, message)
        if number % 3 == 0:  # a row
            flight.carry(total, rest, 0.0)
            total, rest = np.zeros(2), np.zeros(2)
    flight.carry(total, rest, 0.0)
    for place in range(2):
        there = math.fsum(float(message[place]) for message in messages[-2:])
        assert math.isclose(flight.total()[0][place], there, rel_tol=1e-15, abs_tol=1e-18)


@pytest.mark.parametrize("check_every", [1, 10, 1000])
def test_a_defect_is_that_of_the_seed_alone(check_every: int) -> None:
    """One node, one number: numpy would add its moves pairwise, and those of several seeds in order."""
    experiment = Experiment(
        OverlapSGP(SGD(Constant(1.9))), QuadraticArrays(np.eye(1), np.ones((1, 1)), 1.0), Matrices((np.ones((1, 1)),)),
        Steps(60), (0, 5), start=3.0,
    )  # fmt: skip
    backend = Vectorized(check_every=check_every)
    alone = backend.run(Experiment(**{**vars(experiment), "seeds": (5,)}))
    together = backend.run(experiment).metrics.filter(pl.col("seed") == 5)
    assert together.equals(alone.metrics)
