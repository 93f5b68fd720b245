"""Durations: laws of barriers and rings, cycle times and the ring all-reduce, on the clocks of both backends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import networkx as nx
import numpy as np

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.experiment import Experiment
from sgpsim.node import Node
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import DirectedRing
from sgpsim.schedules.schedule import Schedule
from theory.case import Case
from theory.cases.runs import path_of
from theory.claims.barrier_time import BarrierTime
from theory.claims.directed_ring_time import DirectedRingTime
from theory.claims.max_plus_cycle import MaxPlusCycle
from theory.claims.ring_all_reduce import RingAllReduceTime
from theory.setting import Setting
from theory.timing import Durations, Timing
from theory.verdict import Outcome

SEEDS = 64
RESNET_BYTES, LATENCY, BANDWIDTH = 102.2e6, 30e-6, 1.25e9
"""One message of ResNet-50's parameters on 10 GbE at line rate."""


@dataclass(frozen=True)
class RingMessages(Algorithm):
    """A ring all-reduce as its messages: 2 (n - 1) times, everything held goes to the next node and comes from the
    last.

    Only its duration is meant; values travel round the ring instead of being summed. Each node first takes one
    gradient.
    """

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            await node.gradient(mass.value)
            for _ in range(2 * (node.size - 1)):
                node.send((node.rank + 1) % node.size, mass)
                mass = (await node.receive((node.rank - 1) % node.size)).mass
            node.report(step + 1, mass, None)

    @property
    def source(self) -> str:
        return "Patarasuk and Yuan 2009 (recalled), message pattern only"


def cases() -> list[Case]:
    paces, ring = (1.0, 2.0, 3.0, 4.0, 2.0, 1.0), DirectedRing(6)
    spread = (1.0, 1.3, 0.7, 2.0, 1.1, 0.9, 1.6, 1.2)
    return [
        *(Case(BarrierTime(), partial(barrier, nodes), Outcome.HOLDS) for nodes in (4, 16)),
        *(Case(DirectedRingTime(), partial(_ring, nodes), Outcome.HOLDS, slow=nodes > 4) for nodes in (4, 8)),
        *(Case(MaxPlusCycle(), partial(_cycle, ring, paces, delay, False), Outcome.HOLDS) for delay in (0.0, 2.0)),
        Case(MaxPlusCycle(), partial(_cycle, ring, paces, 2.0, True), Outcome.HOLDS),
        Case(MaxPlusCycle(), partial(_cycle, OnePeerExponential(8), spread, 0.8, False), Outcome.HOLDS),
        *(Case(RingAllReduceTime(), partial(_all_reduce, nodes, 0.0), Outcome.HOLDS) for nodes in (4, 8, 16)),
        Case(RingAllReduceTime(), partial(_all_reduce, 8, 0.5), Outcome.HOLDS),
        Case(RingAllReduceTime(), partial(_collective, 8), Outcome.HOLDS),
    ]


def barrier(nodes: int) -> tuple[Setting, Durations]:
    clocks = _clocks(AllReduceSGD(), DirectedRing(nodes), 400, SEEDS)
    setting = Setting.of(f"AllReduce, Exp(1) compute, n = {nodes}", DirectedRing(nodes), 400)
    timing = Timing("exponential", (1.0,) * nodes)
    return replace(setting, timing=timing), Durations(np.diff(clocks.max(axis=1), axis=0).reshape(1, -1))


def _ring(nodes: int) -> tuple[Setting, Durations]:
    steps = 4000
    clocks = _clocks(SGP(), DirectedRing(nodes), steps, SEEDS)
    setting = Setting.of(f"SGP on the directed ring, Exp(1) compute, n = {nodes}", DirectedRing(nodes), steps)
    timing = Timing("exponential", (1.0,) * nodes)
    settled = steps // 8  # far beyond the time in which the start is forgotten, which grows like n^{3/2}
    rate = (clocks[-1] - clocks[settled]).mean(axis=0) / (steps - settled)
    return replace(setting, timing=timing), Durations(rate[None])


def _cycle(schedule: Schedule, paces: tuple[float, ...], delay: float, events: bool) -> tuple[Setting, object]:
    nodes, steps = schedule.size, 800
    cluster = Cluster(nodes, ConstantTime(1.0), Hockney(latency=delay), graph=paced(paces))
    backend = Simulated(cluster, trace=False, keep_trajectory=True) if events else Vectorized(cluster, keep_trajectory=True)
    found = path_of(backend, Experiment(SGP(), Quadratic(nodes, dimension=1), schedule, Steps(steps)))
    clock = "event clock" if events else "array clock"
    setting = Setting.of(f"{type(schedule).__name__}, unequal paces, D = {delay:g}, {clock}", schedule, steps)
    return replace(setting, timing=Timing("constant", paces, latency=delay)), found


def _all_reduce(nodes: int, late: float) -> tuple[Setting, object]:
    network = Hockney(latency=LATENCY, bandwidth=BANDWIDTH)
    first = 1.0 + late  # node 0 begins this many seconds after the clock, the others after one
    cluster = Cluster(nodes, ConstantTime(1.0), network, graph=paced((first, *(1.0,) * (nodes - 1))))
    experiment = Experiment(
        RingMessages(), Quadratic(nodes, dimension=1), DirectedRing(nodes), Steps(1), message_bytes=RESNET_BYTES / nodes
    )
    found = path_of(Simulated(cluster, trace=False, keep_trajectory=True), experiment)
    title = f"ResNet-50, 10 GbE, as messages, n = {nodes}" + (f", one node {late:g} s late" if late else "")
    return _timed(title, nodes, first), found


def _collective(nodes: int) -> tuple[Setting, object]:
    cluster = Cluster(nodes, ConstantTime(1.0), Hockney(latency=LATENCY, bandwidth=BANDWIDTH))
    experiment = Experiment(AllReduceSGD(), Quadratic(nodes, dimension=1), DirectedRing(nodes), Steps(1), message_bytes=RESNET_BYTES)
    found = path_of(Vectorized(cluster, keep_trajectory=True), experiment)
    return _timed(f"ResNet-50, 10 GbE, one AllReduce-SGD step, n = {nodes}", nodes, 1.0), found


def _timed(title: str, nodes: int, late: float) -> Setting:
    timing = Timing("constant", (1.0,) * nodes, LATENCY, RESNET_BYTES / nodes / BANDWIDTH, late)
    return replace(Setting.of(title, DirectedRing(nodes), 1), timing=timing, method=None)  # a duration, whatever is done with values


def _clocks(algorithm: Algorithm, schedule: Schedule, steps: int, seeds: int) -> np.ndarray:
    """Clocks (steps + 1, nodes, seeds) with compute times Exp(1) and messages that take no time."""
    cluster = Cluster(schedule.size, ExponentialTime(1.0))
    objective = Quadratic(schedule.size, dimension=1)
    experiment = Experiment(algorithm, objective, schedule, Steps(steps), tuple(range(seeds)), measure_every=steps)
    return path_of(Vectorized(cluster, keep_trajectory=True), experiment).clocks


def paced(paces: tuple[float, ...]) -> nx.Graph:
    """Machines of these paces, each linked to every other with the network's own latency."""
    graph: nx.Graph = nx.complete_graph(len(paces))
    nx.set_node_attributes(graph, dict(enumerate(paces)), "pace")
    return graph
