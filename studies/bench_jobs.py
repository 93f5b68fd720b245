"""The jobs of the benchmark: what sgpsim computes, beside the bare loop that computes the same.

The rule: `ours` and `bare` are functions of the number of rounds, ready to be timed; `bare` draws its own numbers, since
drawing is part of the job. What both are given (data, graphs) is made once, before anything is timed, except where
set-up is what a row is about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np
from scipy.sparse import csr_array

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.clock import FleetClock
from sgpsim.backends.fleet.vectorized import Vectorized
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
from sgpsim.results.run import Run
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_regular import RandomRegular
from sgpsim.schedules.ring import UndirectedRing
from sgpsim.streams import FleetReader, stream
from studies import bench_bare as bare

UNMEASURED = 10**9
STEP_SIZE = 0.1
LATENCY, BANDWIDTH = 50e-6, 1.25e9
MEGABYTE = 1e6
BLOCK = 512
"""Rounds between a long run and a short one: sgpsim draws up to 512 gradients and 256 compute times at a time, so with
fewer its draws would not count."""


def cluster(nodes: int) -> Cluster:
    """Log-normal compute times on 10 Gb/s links: a clock that has something to do."""
    return Cluster(nodes, LogNormalTime(1.0, 0.05), Hockney(LATENCY, BANDWIDTH))


@dataclass(frozen=True)
class Logistic:
    """Logistic regression on the same synthetic data for every method. samples: per node; batch: drawn with replacement."""

    nodes: int
    dimension: int
    samples: int
    batch: int
    seeds: int = 1

    @property
    def data(self) -> SyntheticClassification:
        """What is learned from."""
        return SyntheticClassification(samples=self.samples * self.nodes, features=self.dimension, seed=1)

    @cached_property
    def objective(self) -> LogisticRegression:
        """The objective; data are made on first use."""
        return LogisticRegression(self.nodes, self.data, EvenSplit(), self.batch, bias=False)

    @property
    def size(self) -> str:
        """In words."""
        return f"n = {self.nodes}, d = {self.dimension:,}"

    @property
    def occupancy(self) -> float:
        """Seconds that one message of a point and its weight holds its sender's port."""
        return (self.dimension * 8 + 8) / BANDWIDTH

    def draws(self) -> bare.Draws:
        """As a bare loop draws them."""
        return bare.block_draws(self.nodes, self.samples, self.batch, self.seeds)

    def own_draws(self) -> bare.Draws:
        """As sgpsim draws them, so that a bare loop has its very numbers."""
        reader = FleetReader(
            [
                self.objective.draws(node, stream(seed, "gradient", node))
                for node in range(self.nodes)
                for seed in range(self.seeds)
            ],
            (self.nodes * self.seeds,),
        )
        while True:
            yield reader.take().astype(np.int64)

    def experiment(self, method: type[Algorithm], schedule: Any, rounds: int) -> Experiment:
        """`method` on this objective, never measured between start and end."""
        descent: Any = SGD(Constant(STEP_SIZE))
        algorithm = method(descent)  # pyright: ignore[reportCallIssue]
        seeds = tuple(range(self.seeds))
        return Experiment(algorithm, self.objective, schedule, Steps(rounds), seeds=seeds, measure_every=UNMEASURED)

    def dpsgd(self, mixing: csr_array, rounds: int, draws: bare.Draws | None = None) -> Any:
        """The bare loop of D-PSGD."""
        features, source = self.objective.shards.features, draws or self.draws()
        return bare.dpsgd(features, mixing, STEP_SIZE, self.batch, source, rounds, self.seeds)

    def push(self, loop: Callable[..., Any], rounds: int, draws: bare.Draws | None = None) -> Any:
        """A bare loop on the one-peer exponential graph, or with a mean of all."""
        source = draws or self.draws()
        return loop(self.objective.shards.features, self.nodes, STEP_SIZE, self.batch, source, rounds)


def common(nodes: int, seeds: int = 1) -> Logistic:
    """50 features, 100 samples per node, batch 10: with D-PSGD on the 4-regular graph of seed 42, the job that other
    simulators were measured on."""
    return Logistic(nodes, 50, 100, 10, seeds)


def regular(nodes: int) -> RandomRegular:
    """The common job's graph."""
    return RandomRegular(nodes, 4, 42)


def regular_mixing(nodes: int) -> csr_array:
    """The common job's matrix as a bare loop makes it: Metropolis shares on a 4-regular graph are all 1/5."""
    graph = nx.random_regular_graph(4, nodes, seed=42)
    return csr_array((nx.to_scipy_sparse_array(graph, range(nodes), format="csr") + csr_array(np.eye(nodes))) / 5.0)


SMALL = Logistic(256, 100, 100, 16)
"""SGP's usual job."""
WIDE = (256, 100_000, 5, 4)
"""Points so long that nothing fits a cache: 0.2 GB of them, and 1 GB of data, which the row makes and lets go of."""
MEMORY = Logistic(256, 100_000, 4, 16)
"""The job whose peak memory is looked at."""


@dataclass(frozen=True)
class Asynchronous:
    """AD-PSGD on a ring of quadratics."""

    nodes: int
    dimension: int = 100

    @cached_property
    def objective(self) -> Quadratic:
        """Diagonal curvature, unit noise."""
        return Quadratic(self.nodes, self.dimension, structure="diagonal")

    def ours(self, rounds: int) -> Run:
        """The simulation."""
        experiment = Experiment(
            ADPSGD(SGD(Constant(STEP_SIZE))),
            self.objective,
            UndirectedRing(self.nodes),
            Steps(rounds),
            measure_every=UNMEASURED,
        )
        return Simulated(cluster(self.nodes), trace=False).run(experiment)

    def bare(self, rounds: int, given: bare.Exchange | None = None) -> Any:
        """The bare loop."""
        objective = self.objective
        exchange = given or bare.Exchange.drawn(
            self.nodes, rounds, -STEP_SIZE / np.sqrt(self.dimension), self.dimension
        )
        occupancy = (self.dimension * 8 + 8) / BANDWIDTH
        return bare.adpsgd(objective.centers, -STEP_SIZE * objective.curvature, exchange, occupancy, LATENCY)


def simulated_bare(job: Logistic, rounds: int) -> tuple[Any, list[float]]:
    """SGP's points and clocks: numbers do not depend on time, so they are computed by themselves."""
    points = job.push(bare.sgp, rounds)
    return points, bare.events(bare.block_seconds(job.nodes, rounds), job.occupancy, LATENCY)


def clock_only(nodes: int, rounds: int) -> float:
    """The max-plus clock of SGP on the one-peer exponential graph, alone. Returns the simulated seconds."""
    clock = FleetClock(cluster(nodes), OnePeerExponential(nodes), (0,), MEGABYTE)
    for step in range(rounds):
        clock.compute()
        clock.scatter(step)
        clock.gather(step)
    return float(clock.now.max())


@dataclass(frozen=True)
class Row:
    """One line of the table. ours, bare: the same job in sgpsim and as a bare loop, for so many rounds. short, long:
    rounds of the two runs whose difference is a round without set-up (long None: `short` rounds as they are, set-up
    included). pairs: the most that are worth their time (None: as many as are asked for). target: the least ratio that
    will do, where one means something."""

    job: str
    what: str
    ours: Callable[[int], Any]
    bare: Callable[[int], Any]
    short: int
    long: int | None
    pairs: int | None = None
    target: float | None = None


def rows(brief: bool = False) -> list[Row]:
    """All rows that run in this process; brief: the same on small jobs."""
    small = Logistic(16, 20, 20, 4) if brief else SMALL
    wide = Logistic(8, 300, 5, 4) if brief else Logistic(*WIDE)
    found = [_common(nodes, blocks) for nodes, blocks in ((16, 7), (64, 3), (256, 1))]
    found.append(_common(16, 1, seeds=16))
    found += [_set_up(rounds) for rounds in (1, 10, 100)]
    found.append(_push(small, SGP, bare.sgp))
    found.append(_push(wide, SGP, bare.wide_sgp, short=1, long=5, pairs=8))
    found.append(_push(small, OverlapSGP, bare.overlap_sgp))
    found.append(_push(small, AllReduceSGD, bare.allreduce_sgd))
    found.append(_push(small, SGP, bare.torch_sgp, device="cpu", pairs=10))
    found += [_simulated(small), _asynchronous(Asynchronous(8 if brief else 64))]
    found += [_clock(256), _clock(1024, pairs=10)]
    return found


def _common(nodes: int, blocks: int, seeds: int = 1) -> Row:
    job, backend, mixing = common(nodes, seeds), Vectorized(cluster(nodes)), regular_mixing(nodes)
    return Row(
        f"common job, n = {nodes}" + (f", {seeds} seeds" if seeds > 1 else ""),
        "Vectorized against numpy",
        lambda rounds: backend.run(job.experiment(DPSGD, regular(nodes), rounds)),
        lambda rounds: job.dpsgd(mixing, rounds),
        50,
        50 + blocks * BLOCK,
    )


def _set_up(rounds: int) -> Row:
    """From the data on, all that it takes to have the result."""
    job = common(64)
    return Row(
        "common job, n = 64",
        f"Vectorized against numpy, set-up and {rounds} round{'s' * (rounds > 1)}",
        lambda rounds: Vectorized(cluster(64)).run(job.experiment(DPSGD, regular(64), rounds)),
        lambda rounds: job.dpsgd(regular_mixing(64), rounds),
        rounds,
        None,
    )


def _push(
    job: Logistic,
    method: type[Algorithm],
    loop: Callable[..., Any],
    short: int = 20,
    long: int = 20 + BLOCK,
    pairs: int | None = None,
    device: str | None = None,
) -> Row:
    backend = Vectorized(cluster(job.nodes), device=device)
    return Row(
        f"{method.__name__}, {job.size}",
        "Vectorized against numpy" if device is None else "Vectorized on torch against torch, CPU",
        lambda rounds: backend.run(job.experiment(method, OnePeerExponential(job.nodes), rounds)),
        lambda rounds: job.push(loop, rounds),
        short,
        long,
        pairs,
    )


def _simulated(job: Logistic) -> Row:
    backend = Simulated(cluster(job.nodes), trace=False)
    return Row(
        f"SGP, {job.size}",
        "Simulated against SimPy processes",
        lambda rounds: backend.run(job.experiment(SGP, OnePeerExponential(job.nodes), rounds)),
        lambda rounds: simulated_bare(job, rounds),
        20,
        20 + BLOCK,
        pairs=10,
    )


def _asynchronous(job: Asynchronous) -> Row:
    name = f"ADPSGD, n = {job.nodes}, d = {job.dimension}"
    return Row(name, "Simulated against SimPy processes", job.ours, job.bare, 5, 5 + BLOCK, pairs=10)


def _clock(nodes: int, pairs: int | None = None) -> Row:
    """Time alone. The event loop is a bare one: sgpsim's own is slower by what the row on Simulated says."""
    occupancy = MEGABYTE / BANDWIDTH
    return Row(
        f"clock of SGP alone, n = {nodes}",
        "max-plus recursion against SimPy processes",
        lambda rounds: clock_only(nodes, rounds),
        lambda rounds: bare.events(bare.block_seconds(nodes, rounds), occupancy, LATENCY),
        20,
        20 + BLOCK,
        pairs,
        target=10.0,
    )
