"""Metrics against their formulas, written out node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic, QuadraticArrays
from sgpsim.schedules.matrices import Matrices
from sgpsim.schedules.ring import DirectedRing


@pytest.mark.parametrize("nodes", [1, 3, 7])
@pytest.mark.parametrize("backend", [Vectorized(), None])
def test_metrics_are_their_formulas(nodes: int, backend: Any) -> None:
    generator = np.random.default_rng(nodes)
    matrix = generator.random((nodes, nodes)) + 0.1
    hessian, centers = np.diag([0.5, 2.0]), generator.standard_normal((nodes, 2))
    experiment = Experiment(
        SGP(), QuadraticArrays(hessian, centers, 0.3), Matrices((matrix / matrix.sum(axis=0),)), Steps(3), (0, 6), start=2.0
    )
    run = (backend or Simulated(Cluster(nodes))).run(experiment)
    for column, seed in enumerate(experiment.seeds):
        values, weights = run.final.values[:, column], run.final.weights[:, column]
        average = values.sum(axis=0) / nodes
        distances = [float(np.linalg.norm(value / weight - average)) for value, weight in zip(values, weights, strict=True)]
        gradient = np.sum([hessian @ (average - center) for center in centers], axis=0) / nodes
        expected = {
            "loss": sum((average - center) @ hessian @ (average - center) / 2 for center in centers) / nodes,
            "squared_gradient_norm": gradient @ gradient,
            "consensus_max": max(distances),
            "consensus_mean": sum(distances) / nodes,
            "consensus_squared": sum(distance**2 for distance in distances) / nodes,
            "bytes_sent": 3 * nodes * (nodes - 1) * 24.0,
        }
        for metric, value in expected.items():
            rows = run.curve(metric)
            assert rows.filter(rows["seed"] == seed)["value"][-1] == pytest.approx(value, rel=1e-9, abs=1e-14), metric


@pytest.mark.parametrize("nodes", [1, 2, 5])
@pytest.mark.parametrize("backend", [Vectorized(), None])
def test_an_all_reduce_counts_the_bytes_of_a_ring(nodes: int, backend: Any) -> None:
    """Each of n nodes sends 2 (n - 1) / n messages a step (Patarasuk and Yuan 2009)."""
    experiment = Experiment(AllReduceSGD(), Quadratic(nodes, 1), DirectedRing(nodes), Steps(3), message_bytes=10.0)
    sent = (backend or Simulated(Cluster(nodes))).run(experiment).curve("bytes_sent")["value"].to_list()
    assert sent == pytest.approx([2 * (nodes - 1) * 10.0 * step for step in range(4)])
