"""The jobs that the benchmark times: what sgpsim computes, and the same mathematics as a bare numpy loop or a bare
SimPy ring.

The rule: a bare loop does all of the mathematics (draws, gradients, mixing, de-biasing) and nothing else: no clock, no
monitor, no order of additions to keep. It is what a person would write who wants one number once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet_clock import FleetClock
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import LogNormalTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.experiment import Experiment
from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.objectives.split import EvenSplit
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_regular import RandomRegular

UNMEASURED = 10**9
COMMON_BATCH, COMMON_SAMPLES, COMMON_DIMENSION = 10, 100, 50


def cluster(nodes: int) -> Cluster:
    """Log-normal compute times on 10 Gb/s links: a clock that has something to do."""
    return Cluster(nodes, LogNormalTime(1.0, 0.05), Hockney(50e-6, 1.25e9))


def seconds(work: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _logistic(nodes: int, samples: int, dimension: int, batch: int) -> LogisticRegression:
    data = SyntheticClassification(samples=samples * nodes, features=dimension, seed=1)
    return LogisticRegression(nodes, data, EvenSplit(), batch, bias=False)


def common_job(nodes: int, rounds: int) -> Experiment:
    """D-PSGD on the 4-regular graph of seed 42, Metropolis shares, logistic regression with 50 features, 100 samples
    per node, batch 10, step size 0.1, start 0: the job that other simulators were measured on."""
    objective = _logistic(nodes, COMMON_SAMPLES, COMMON_DIMENSION, COMMON_BATCH)
    method = DPSGD(SGD(Constant(0.1)))
    return Experiment(method, objective, RandomRegular(nodes, 4, 42), Steps(rounds), measure_every=UNMEASURED)


def bare_common_job(experiment: Experiment, rounds: int) -> NDArray[np.float64]:
    """The same mathematics in numpy: returns the last points (nodes, dimension)."""
    objective, nodes = experiment.objective, experiment.nodes
    assert isinstance(objective, LogisticRegression)
    held = objective.shards.features.reshape(nodes, COMMON_SAMPLES, COMMON_DIMENSION)
    mixing: Any = experiment.schedule.matrix(0)
    mixing = mixing.toarray() if nodes <= 64 else mixing  # whichever is faster
    draw, rows = np.random.default_rng(0), np.arange(nodes)[:, None]
    points = np.zeros((nodes, COMMON_DIMENSION))
    for _ in range(rounds):
        batch = held[rows, draw.integers(0, COMMON_SAMPLES, (nodes, COMMON_BATCH))]
        slopes = -1.0 / (1.0 + np.exp(np.einsum("nbd,nd->nb", batch, points))) / COMMON_BATCH
        points = mixing @ points - 0.1 * np.einsum("nb,nbd->nd", slopes, batch)
    return points


def push_job(nodes: int, dimension: int, samples: int, rounds: int) -> Experiment:
    """SGP on the one-peer exponential graph, logistic regression, batch 16."""
    objective = _logistic(nodes, samples, dimension, 16)
    method = SGP(SGD(Constant(0.1)))
    return Experiment(method, objective, OnePeerExponential(nodes), Steps(rounds), measure_every=UNMEASURED)


def timing_job(nodes: int, rounds: int) -> Experiment:
    """SGP on one number per node: as little numerics as an event simulation can have."""
    return Experiment(
        SGP(), Quadratic(nodes, dimension=1), OnePeerExponential(nodes), Steps(rounds), measure_every=UNMEASURED
    )


def bare_push_job(experiment: Experiment, samples: int, rounds: int) -> NDArray[np.float64]:
    """The same mathematics in numpy: X <- P (X - gamma G(X / w)), w <- P w."""
    objective, nodes = experiment.objective, experiment.nodes
    assert isinstance(objective, LogisticRegression)
    held = objective.shards.features.reshape(nodes, samples, objective.dimension)
    period = experiment.schedule.period or 1
    matrices = [experiment.schedule.matrix(step) for step in range(period)]
    draw, rows = np.random.default_rng(0), np.arange(nodes)[:, None]
    values, weights = np.zeros((nodes, objective.dimension)), np.ones((nodes, 1))
    for step in range(rounds):
        batch = held[rows, draw.integers(0, samples, (nodes, 16))]
        margins = (batch @ (values / weights)[:, :, None])[:, :, 0]
        slopes = -1.0 / (1.0 + np.exp(margins)) / 16
        gradients = (slopes[:, None, :] @ batch)[:, 0]
        values = matrices[step % period] @ (values - 0.1 * gradients)
        weights = matrices[step % period] @ weights
    return values / weights


def bare_ring(nodes: int, rounds: int) -> float:
    """A ring of SimPy processes without numerics: compute, put a message into the next node's store, get one from the
    own. Returns the simulated seconds."""
    environment = simpy.Environment()
    stores = [simpy.Store(environment) for _ in range(nodes)]
    draws = np.random.default_rng(0).lognormal(0.0, 0.05, (nodes, rounds)).tolist()

    def node(rank: int) -> Iterator[simpy.Event]:
        following = stores[(rank + 1) % nodes]
        for duration in draws[rank]:
            yield environment.timeout(duration)
            following.put(rank)
            yield stores[rank].get()

    for rank in range(nodes):
        environment.process(node(rank))  # pyright: ignore[reportArgumentType]
    environment.run()
    return float(environment.now)


def clock_only(nodes: int, rounds: int) -> float:
    """The max-plus clock of a one-peer exponential round, alone. Returns the simulated seconds."""
    clock = FleetClock(cluster(nodes), OnePeerExponential(nodes), (0,), 1e6)
    for step in range(rounds):
        clock.compute()
        clock.scatter(step)
        clock.gather(step)
    return float(clock.now.max())
