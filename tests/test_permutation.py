"""What the numbers may depend on: addresses of streams, and nothing else.

Nodes and their streams renamed rename the run. One seed makes the same bytes in any process. The k-th duration and the
k-th draw of a node are the same in every method. To measure changes nothing that is measured.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_experiments import clusters, experiments

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.backends.watch.monitor import MonitorPolicy
from sgpsim.budget import Gradients, Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.stragglers import MarkovSlow, PersistentSlow
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.step_sizes import Constant
from sgpsim.experiment import Experiment
from sgpsim.mass import Array
from sgpsim.objectives.objective import Constants, Objective
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.results.run import Run
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.matrices import Matrices
from sgpsim.schedules.ring import UndirectedRing
from sgpsim.streams import stream

NODES, SEED = 6, 3


# -- nodes renamed -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Renamed(Objective):
    """`objective` with its nodes renamed: node i is node order[i] of the original, with that one's stream at `seed`."""

    objective: Quadratic
    order: tuple[int, ...]
    seed: int

    @property
    def nodes(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.objective.nodes

    @property
    def dimension(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.objective.dimension

    def draws(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[Any]]:
        return self.objective.draws(self.order[node], stream(self.seed, "gradient", self.order[node]))

    def gradients(self, nodes: NDArray[np.int64], points: Array, draws: NDArray[Any]) -> Array:
        return self.objective.gradients(np.array(self.order)[nodes], points, draws)

    def loss(self, at: Array) -> Array:
        return self.objective.loss(at)

    def full_gradient(self, at: Array) -> Array:
        return self.objective.full_gradient(at)

    def local_gradients(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.objective.local_gradients(points[..., np.argsort(self.order), :])[..., list(self.order), :]

    def constants(self) -> Constants:
        return self.objective.constants()


def paced(paces: NDArray[np.float64]) -> Cluster:
    graph = nx.Graph()
    graph.add_nodes_from((node, {"pace": float(pace)}) for node, pace in enumerate(paces))
    graph.add_edges_from((node, "switch") for node in range(len(paces)))
    return Cluster(len(paces), ConstantTime(1.0), Hockney(0.2), graph=graph)


@settings(max_examples=30, deadline=None)
@given(
    order=st.permutations(range(NODES)),
    numbers=st.integers(0, 2**32),
    method=st.sampled_from(
        [SGP(Momentum(Constant(0.05))), OverlapSGP(delay=2), OverlapSGP(delay=2, mixing="arrival"), AllReduceSGD()]
    ),
)
def test_renaming_nodes_and_their_streams_renames_the_run(order: list[int], numbers: int, method: Algorithm) -> None:
    """To rounding, as additions run by ascending number. P'[i, j] = P[order[i], order[j]]."""
    generator = np.random.default_rng(numbers)
    matrix = generator.random((NODES, NODES)) * (generator.random((NODES, NODES)) < 0.5) + np.eye(NODES)
    matrix[(np.arange(NODES) + 1) % NODES, np.arange(NODES)] += 0.3
    matrix /= matrix.sum(axis=0)
    paces, starts = generator.uniform(0.5, 2.0, NODES), generator.standard_normal((NODES, 2))
    objective = Quadratic(NODES, 2, unequal=True)
    order_ = tuple(order)

    def run(named: Objective, mixing: Any, pace: Any, start: Any) -> Run:
        rows = tuple(map(tuple, start.tolist()))
        return Simulated(paced(pace)).run(
            Experiment(method, named, Matrices((mixing,)), Steps(12), (SEED,), start=rows)
        )

    plain = run(objective, matrix, paces, starts)
    renamed = run(Renamed(objective, order_, SEED), matrix[np.ix_(order, order)], paces[order], starts[order])
    for first, second in zip(plain.final, renamed.final, strict=True):
        assert second == pytest.approx(first[order], rel=1e-9, abs=1e-11)
    if not method.depends_on_timing:  # a look by time falls between two reports of one instant, whosever comes first
        assert renamed.curve("loss")["value"].to_numpy() == pytest.approx(plain.curve("loss")["value"].to_numpy())


# -- the same in every process -----------------------------------------------------------------------------------------

PROGRAM = """
import hashlib
from sgpsim import ADPSGD, SGP, Cluster, Experiment, OverlapSGP, Quadratic, Simulated, Steps, Vectorized
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.schedules.ring import UndirectedRing
cluster = Cluster(6, ExponentialTime(1.0), Hockney(0.3, 1e3))
for method in (SGP(), OverlapSGP(delay=2, mixing="arrival"), ADPSGD()):
    for backend in (Simulated(cluster), Vectorized(cluster, trace=True))[: 1 if method.depends_on_timing else 2]:
        run = backend.run(Experiment(method, Quadratic(6, 3), UndirectedRing(6), Steps(20), (0, 1)))
        told = hashlib.sha256()
        for part in run.final:
            told.update(part.tobytes())
        for frame in (run.metrics, run.trace.spans, run.trace.messages):
            told.update(frame.write_csv(float_precision=17).encode())
        print(type(method).__name__, type(backend).__name__, told.hexdigest())
"""


def test_one_seed_gives_the_same_bytes_in_any_process() -> None:
    """Whatever the order of sets and dictionaries by hash."""
    told = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(told) == 1 and len(told.pop().splitlines()) == 4


# -- common random numbers ---------------------------------------------------------------------------------------------


def durations(run: Run, node: int) -> NDArray[np.float64]:
    assert run.trace is not None
    spans = run.trace.spans.filter((pl.col("lane") == "compute") & (pl.col("node") == node)).sort("step")
    return (spans["end"] - spans["start"]).to_numpy()


def test_the_kth_duration_of_a_node_is_the_same_in_every_method() -> None:
    cluster = Cluster(
        NODES, ExponentialTime(1.0), Hockney(0.3, 1e3), stragglers=(MarkovSlow(), PersistentSlow((2,), 3.0))
    )
    methods = [
        SGP(), DPSGD(), OverlapSGP(delay=3), OverlapSGP(delay=3, mixing="arrival"), AllReduceSGD(), ADPSGD(),
    ]  # fmt: skip
    runs = [
        Simulated(cluster).run(Experiment(method, Quadratic(NODES, 2), UndirectedRing(NODES), Steps(40), (SEED,)))
        for method in methods
    ]
    for node in range(NODES):
        first = durations(runs[0], node)
        assert len(first) == 40 and first.std() > 0
        for run in runs[1:]:
            assert durations(run, node) == pytest.approx(first, rel=1e-9)
    other = Simulated(cluster).run(
        Experiment(SGP(), Quadratic(NODES, 2), UndirectedRing(NODES), Steps(40), (SEED + 1,))
    )
    assert np.abs(durations(other, 0) - durations(runs[0], 0)).min() > 0


def test_the_kth_noise_of_a_node_is_the_same_in_every_method() -> None:
    """Gradients at the same points with the same draws: from equal starts, first gradients are equal to the bit."""
    objective = Quadratic(NODES, 2)
    found = [
        Vectorized(keep_trajectory=True).run(Experiment(method, objective, Complete(NODES), Steps(9), (SEED,)))
        for method in (SGP(), DPSGD(), OverlapSGP(delay=3), AllReduceSGD())
    ]
    noises = []
    for run in found:
        assert run.trajectory is not None
        cuts = run.trajectory
        points = cuts.values[:-1] / cuts.weights[:-1, :, None, None]
        exact = objective.local_gradients(points[:, :, 0])
        noises.append((cuts.gradients[:, :, 0] - exact)[:9])
    for noise in noises[1:]:
        assert noise == pytest.approx(noises[0], abs=1e-12)
    assert noises[0].std() > 0.3


def test_longer_budgets_and_more_seeds_go_on_where_shorter_ones_stopped() -> None:
    cluster = Cluster(NODES, ExponentialTime(1.0))
    short = Experiment(SGP(), Quadratic(NODES, 2), UndirectedRing(NODES), Steps(10), (5,))
    long = dataclasses.replace(short, budget=Steps(700), seeds=(1, 5))
    for backend in (Simulated(cluster, trace=False), Vectorized(cluster)):
        first = backend.run(short).metrics.filter(pl.col("metric") == "loss")
        second = backend.run(long).metrics.filter(
            (pl.col("metric") == "loss") & (pl.col("seed") == 5) & (pl.col("step") <= 10)
        )
        assert first.equals(second)


# -- looking changes nothing -------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(found=experiments(), data=st.data())
def test_measuring_watching_and_tracing_change_no_number(found: Experiment, data: st.DataObject) -> None:
    cluster = data.draw(clusters(found.nodes, found.message_size))
    seldom = dataclasses.replace(found, measure_every=50)
    often = dataclasses.replace(found, measure_every=1)
    finals = [
        Simulated(cluster, monitor="off", trace=False).run(seldom),
        Simulated(cluster, keep_trajectory=True).run(often),
        Vectorized(cluster, monitor="off").run(seldom),
        Vectorized(cluster, check_every=1, trace=True, keep_trajectory=True).run(often),
    ]
    for run in finals[1:]:
        for first, second in zip(finals[0].final, run.final, strict=True):
            np.testing.assert_array_equal(first, second)


LOOKS: list[tuple[int, MonitorPolicy, bool]] = [(1, "raise", True), (7, "off", False)]


@pytest.mark.parametrize("method", [ADPSGD(), OverlapSGP(delay=2, mixing="arrival")])
def test_looking_by_time_changes_no_number(method: Algorithm) -> None:
    cluster = Cluster(NODES, ExponentialTime(1.0), Hockney(0.3, 1e3))
    runs = [
        Simulated(cluster, monitor=monitor, trace=trace).run(
            Experiment(method, Quadratic(NODES, 2), UndirectedRing(NODES), Gradients(120), measure_every=every)
        )
        for every, monitor, trace in LOOKS
    ]
    for first, second in zip(runs[0].final, runs[1].final, strict=True):
        np.testing.assert_array_equal(first, second)
    rows = [run.curve("loss") for run in runs]
    both = rows[0].join(rows[1], on=["seed", "time"])
    assert len(both) >= 3 and (both["value"] == both["value_right"]).all()
