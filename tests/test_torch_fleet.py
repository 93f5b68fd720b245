"""The fleet on torch tensors: the numbers of numpy to rounding, the clock to the bit, on a CPU and on a GPU."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
import pytest

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Seconds, Steps, TargetLoss
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.descents.adam import Adam
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import MassLeak
from sgpsim.experiment import Experiment
from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.objectives.sigmoid import SigmoidLoss
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.results.run import Run
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.matrices import UncheckedMatrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import UndirectedRing
from sgpsim.schedules.schedule import Schedule

torch = pytest.importorskip("torch")

NODES = 6
IRREGULAR = ErdosRenyiDigraph(NODES, 0.4, seed=3)
MACHINES = Cluster(NODES, ExponentialTime(1.0), Hockney(0.2, 1e3))
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")],
    ),
]
METHODS: list[tuple[Algorithm, Schedule]] = [
    (PushSum(), IRREGULAR),
    (SGP(SGD(Constant(0.1))), IRREGULAR),
    (SGP(Momentum(Constant(0.05))), OnePeerExponential(NODES)),
    (SGP(Adam(Constant(0.05), epsilon=0.1)), IRREGULAR),
    (OverlapSGP(SGD(Constant(0.1)), delay=0), IRREGULAR),
    (OverlapSGP(SGD(Constant(0.1)), delay=2), IRREGULAR),
    (OverlapSGP(SGD(Constant(0.1)), delay=3, every=2, biased=True), IRREGULAR),
    (DPSGD(SGD(Constant(0.1))), UndirectedRing(NODES)),
    (DPSGD(Momentum(Constant(0.05)), "adapt-then-combine"), UndirectedRing(NODES)),
    (AllReduceSGD(Momentum(Constant(0.05))), IRREGULAR),
]
DATA = SyntheticClassification(samples=120, features=5, groups=NODES, unlikeness=1.0)
OBJECTIVES: list[Objective] = [
    Quadratic(NODES, 3),
    Quadratic(NODES, 4, structure="diagonal", unequal=True),
    LogisticRegression(NODES, DATA, batch=4, regularization=0.01),
    SoftmaxRegression(NODES, SyntheticClassification(samples=120, features=4, classes=3), batch=4),
    SigmoidLoss(NODES, DATA),
]


def started(objective: Objective) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, np.random.default_rng(0).standard_normal((NODES, objective.dimension)).tolist()))


def assert_near(found: Run, numpy: Run, dtype: str) -> None:
    rounding: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-11}
    assert found.final.values.dtype == np.dtype(dtype)
    np.testing.assert_allclose(found.final.values, numpy.final.values, **rounding)
    np.testing.assert_allclose(found.final.weights, numpy.final.weights, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(found.final.clocks, numpy.final.clocks)
    keys = ["seed", "step", "metric"]
    rows = [run.metrics.filter(pl.col("metric") != "accuracy").sort(keys) for run in (found, numpy)]
    assert rows[0].drop("value").equals(rows[1].drop("value"))
    np.testing.assert_allclose(rows[0]["value"].to_numpy(), rows[1]["value"].to_numpy(), **rounding)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("method", "schedule"), METHODS, ids=lambda given: type(given).__name__)
def test_every_method_has_the_numbers_of_numpy(device: str, dtype: Any, method: Algorithm, schedule: Schedule) -> None:
    objective = OBJECTIVES[0]
    found = Experiment(method, objective, schedule, Steps(25), (0, 4), started(objective), dtype=dtype, measure_every=4)
    numpy = Vectorized(MACHINES, trace=True, keep_trajectory=True)
    plain = numpy.run(found)
    run = dataclasses.replace(numpy, device=device).run(found)
    assert run.outcome == "finished" and run.statistics["worst_monitor_ratio"] < 1
    assert_near(run, plain, dtype)
    assert run.trajectory is not None and plain.trajectory is not None and run.trace is not None
    for first, second in zip(run.trajectory, plain.trajectory, strict=True):
        assert isinstance(first, np.ndarray)
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4 if dtype == "float32" else 1e-10)
    assert run.trace.spans.equals(plain.trace.spans)  # type: ignore[union-attr]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_every_objective_has_the_numbers_of_numpy(device: str, dtype: Any, objective: Objective) -> None:
    for method in (SGP(Momentum(Constant(0.05))), OverlapSGP(SGD(Constant(0.1)), delay=1)):
        found = Experiment(method, objective, IRREGULAR, Steps(20), (0, 1, 2), started(objective), dtype=dtype)
        assert_near(Vectorized(MACHINES, device=device).run(found), Vectorized(MACHINES).run(found), dtype)


@pytest.mark.parametrize("device", DEVICES)
def test_budgets_and_laws_hold_on_tensors_too(device: str) -> None:
    quadratic = OBJECTIVES[0]
    fleet = Vectorized(MACHINES, device=device)
    for budget in (Seconds(7.0), TargetLoss(0.8, 60)):
        found = Experiment(SGP(), quadratic, IRREGULAR, budget, (0, 1), start=2.0)
        assert_near(fleet.run(found), Vectorized(MACHINES).run(found), "float64")
    diverging = Experiment(SGP(SGD(Constant(100.0))), quadratic, IRREGULAR, Steps(2000), start=1.0)
    ended = fleet.run(diverging)
    assert ended.outcome == "diverged" and "node " in ended.remarks[0]
    rows = UncheckedMatrices((IRREGULAR.matrix(0).toarray().T,))
    with pytest.raises(MassLeak, match="its shares sum to"):
        fleet.run(Experiment(SGP(), quadratic, rows, Steps(20), start=started(quadratic)))
