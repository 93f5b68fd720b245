"""Honest runs are never accused: tiny and huge numbers in both types, matrices printed with few digits, weights that
run out of range, moves that come and go between two looks. Beside each, what must still be found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from faulty_algorithms import Faulty
from hypothesis import given, settings
from hypothesis import strategies as st
from random_experiments import odd_experiments

from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.faults import Drop
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant, StepDecay
from sgpsim.errors import MassLeak
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic, QuadraticArrays
from sgpsim.results.run import Run
from sgpsim.schedules.matrices import Matrices, UncheckedMatrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import DirectedRing
from sgpsim.schedules.switched import Switched


def both(experiment: Experiment, monitor: Any = "record", check_every: int = 10) -> list[Run]:
    cluster = Cluster(experiment.nodes, ExponentialTime(1.0))
    backends: list[Any] = [Simulated(cluster, monitor=monitor, trace=False)]
    if not experiment.algorithm.depends_on_timing:
        backends.append(Vectorized(cluster, monitor=monitor, check_every=check_every))
    return [backend.run(experiment) for backend in backends]


def honest(experiment: Experiment, check_every: int = 10) -> None:
    for run in both(experiment, check_every=check_every):
        assert run.outcome == "finished", (run.backend, run.remarks)
        assert run.statistics["worst_monitor_ratio"] < 1


def printed(matrix: Any, digits: int) -> Any:
    """A matrix as somebody would paste it."""
    return np.asarray(matrix).round(digits)


def random_matrix(nodes: int, seed: int) -> Any:
    matrix = np.random.default_rng(seed).random((nodes, nodes)) + 0.05
    return matrix / matrix.sum(axis=0)


@pytest.mark.parametrize("nodes", [1, 2, 4, 7])
@pytest.mark.parametrize("method", [SGP(SGD(Constant(0.5))), OverlapSGP(SGD(Constant(0.5))), AllReduceSGD(SGD(Constant(0.5)))], ids=repr)
def test_float32_may_shrink_into_the_subnormal_range(method: Any, nodes: int) -> None:
    still = QuadraticArrays(np.eye(2), np.zeros((nodes, 2)))
    honest(Experiment(method, still, DirectedRing(nodes), Steps(250), start=1.0, dtype="float32"))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("digits", [12, 13, 14])
@pytest.mark.parametrize("nodes", [2, 3, 6])
def test_matrices_may_be_printed_with_few_digits(nodes: int, digits: int, dtype: Any) -> None:
    thirds = printed(np.full((nodes, nodes), 1 / nodes), digits)
    for seed in range(3):
        pasted = Matrices((thirds, printed(random_matrix(nodes, seed), digits)))
        for method in (SGP(), PushSum(), OverlapSGP(delay=2, every=2), OverlapSGP(delay=2, mixing="arrival")):
            honest(Experiment(method, Quadratic(nodes, 2), pasted, Steps(40), (seed,), start=3.0, dtype=dtype))


def test_weights_may_shrink_over_thousands_of_rounds() -> None:
    short = UncheckedMatrices((np.full((3, 3), 0.3333333333333),))
    run = Vectorized().run(Experiment(PushSum(), Quadratic(3, 2), short, Steps(5000), start=1.0, measure_every=1000))
    assert run.outcome == "finished" and 3 - run.final.weights.sum() == pytest.approx(3 * 5000 * 1e-13, rel=1e-2)


def test_the_excess_of_a_later_part_of_a_schedule_counts_from_there_on() -> None:
    later = Switched(DirectedRing(3), Matrices((printed(np.full((3, 3), 1 / 3), 13),)), at=15)
    for method in (SGP(), OverlapSGP(delay=3, every=2)):
        honest(Experiment(method, Quadratic(3, 2), later, Steps(60), start=1.0))


def test_moves_that_cancel_over_the_nodes_between_two_looks_leave_their_rounding() -> None:
    """A first step of a million from the optimum, where the nodes' gradients cancel, then next to none."""
    leap = SGP(SGD(StepDecay(1e6, (1,), 1e-18)))
    objective = Quadratic(8, 3, noise=0.0, seed=2)
    at_best = tuple(objective.minimizer.tolist())
    honest(Experiment(leap, objective, OnePeerExponential(8), Steps(30), start=at_best))


@settings(max_examples=30, deadline=None)
@given(experiment=odd_experiments(), check_every=st.sampled_from([1, 7, 10, 50]))
def test_odd_experiments_are_no_leak(experiment: Experiment, check_every: int) -> None:
    for run in both(experiment, check_every=check_every):
        assert run.outcome in ("finished", "diverged"), run.remarks


# -- controls: what must still be found


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("start", [1e-20, 1.0, 1e20])
def test_a_dropped_message_is_found_in_both_types(start: float, dtype: Any) -> None:
    found = Experiment(SGP(), Quadratic(5, 2), DirectedRing(5), Steps(20), start=start, dtype=dtype)
    with pytest.raises(MassLeak, match="from node 1 to node 2 at round 4"):
        Simulated(Cluster(5, faults=(Drop(1, 2, 4),))).run(found)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("part", ["all", "one node"])
def test_shares_that_sum_to_less_are_found_in_both_types(part: str, dtype: Any) -> None:
    matrix = random_matrix(4, 1)
    matrix[:, slice(None) if part == "all" else 2] *= 0.999
    for run in both(Experiment(PushSum(), Quadratic(4, 2), UncheckedMatrices((matrix,)), Steps(20), start=1.0, dtype=dtype)):
        assert run.outcome == "leaked" and "its shares sum to 0.999" in run.remarks[0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_lost_weight_is_found_in_both_types(dtype: Any) -> None:
    """Weights are float64 always, so a billionth of one shows where values are float32, too, and on pasted matrices."""
    pasted = Matrices((printed(random_matrix(6, 0), 13),))
    for run in both(Experiment(Faulty("weight", 3, amount=1e-9), Quadratic(6, 2), pasted, Steps(20), dtype=dtype)):
        assert run.outcome == "leaked" and "of w by 1.000" in run.remarks[0]


def test_float32_sees_a_thousandth_of_all_mass_and_no_ten_billionth() -> None:
    """What the module's docstring says float32 hides."""
    outcomes = {}
    for amount in (1e-3, 1e-10):
        fault = Faulty("one coordinate", 3, amount=amount)
        found = Experiment(fault, Quadratic(6, 2, spread=0.1), DirectedRing(6), Steps(20), start=1.0, dtype="float32")
        outcomes[amount] = {run.outcome for run in both(found)}
    assert outcomes == {1e-3: {"leaked"}, 1e-10: {"finished"}}
